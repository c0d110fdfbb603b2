//! The kernel, and the only place for `unsafe`: knows Linux, not OCI.

pub mod bpf;
pub mod cgroupfs;
