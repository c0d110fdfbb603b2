//! DECISION: pure functions from what is asked for to what will be done.

pub mod mount_options;
