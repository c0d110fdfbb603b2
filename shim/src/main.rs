//! `containerd-shim-corten-v2`.

mod machine;
#[allow(dead_code)]
mod metrics;
mod refusal;
#[allow(dead_code)]
mod stdio;

fn main() {}
