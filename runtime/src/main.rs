//! The `corten` command.

use std::process::ExitCode;

use corten::internals::sys::memory::OrOneLine;

/// musl's own allocator asks the kernel for nearly every piece anew, and returns it at once.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: OrOneLine<dlmalloc::GlobalDlmalloc> = OrOneLine(dlmalloc::GlobalDlmalloc);

#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: OrOneLine<std::alloc::System> = OrOneLine(std::alloc::System);

fn main() -> ExitCode {
    corten::main(std::env::args_os()).into()
}
