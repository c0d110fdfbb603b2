//! What the host is: facts, read once.

pub mod cgroup;
