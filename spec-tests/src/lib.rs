//! What judges Corten from outside needs in common.

pub mod bpf;
