//! Effects: what is planned, done to containerd and to the disk.

pub mod attach;
pub mod change;
pub mod container;
pub mod diff;
pub mod host;
pub mod image;
pub mod keeper;
pub mod mounted;
pub mod project;
pub mod resolved;
pub mod stdio;
pub mod sweep;
pub mod task;
pub mod terminal;
pub mod unpack;
pub mod user;
pub mod volume;
pub mod walk;
