//! `containerd-shim-corten-v2`.

mod machine;
mod refusal;

fn main() {}
