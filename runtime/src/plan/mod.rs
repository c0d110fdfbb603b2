//! The decision: what will be done, as a value. Pure.

pub mod seccomp;
