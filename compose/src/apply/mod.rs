//! Effects: what is planned, done to containerd and to the disk.

pub mod attach;
pub mod container;
pub mod copy;
pub mod detach;
pub mod exec;
pub mod hook;
pub mod host;
pub mod image;
pub mod inside;
pub mod keeper;
pub mod member;
pub mod mounted;
pub mod pre_start;
pub mod project;
pub mod record;
pub mod resolved;
pub mod stdio;
pub mod sweep;
pub mod task;
pub mod terminal;
pub mod unpack;
pub mod user;
pub mod volume;
pub mod walk;
