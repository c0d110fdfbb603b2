//! The kernel: the only `unsafe` of the runtime. Knows Linux, not OCI; one file per family of calls.
#![allow(unsafe_code)]

pub mod seccomp;
