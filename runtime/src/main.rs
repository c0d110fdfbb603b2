//! The `corten` command.

use std::process::ExitCode;

/// musl's own allocator asks the kernel for nearly every piece anew, and returns it at once.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    corten::main(std::env::args_os()).into()
}
