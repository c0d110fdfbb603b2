//! Effects: what is planned, done to containerd and to the disk.

pub mod archive;
pub mod attach;
pub mod change;
pub mod container;
pub mod credentials;
pub mod ctr;
pub mod diff;
pub mod host;
pub mod image;
pub mod keeper;
pub mod login;
pub mod membership;
pub mod mounted;
pub mod project;
pub mod resolved;
pub mod room;
pub mod stdio;
pub mod sweep;
pub mod task;
pub mod terminal;
pub mod unpack;
pub mod user;
pub mod volume;
pub mod walk;
