//! `containerd-shim-corten-v2`: what containerd starts for each group of containers.

mod args;
mod bootstrap;
mod bundle;
mod children;
mod clock;
mod delete;
mod driver;
mod events;
mod info;
mod log;
mod machine;
mod metrics;
mod options;
mod peers;
mod refusal;
mod rootfs;
mod serve;
mod service;
mod shim;
mod socket;
mod start;
mod stdio;
mod watch;

use std::process::ExitCode;

use args::Command;
use corten::error::Error;
use corten::internals::sys::memory::OrOneLine;

/// musl's own allocator asks the kernel for nearly every piece anew, and returns it at once.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: OrOneLine<dlmalloc::GlobalDlmalloc> = OrOneLine(dlmalloc::GlobalDlmalloc);

#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: OrOneLine<std::alloc::System> = OrOneLine(std::alloc::System);

fn main() -> ExitCode {
    let done = match args::parse(std::env::args_os()) {
        Ok(Command::Runtime) => return corten::main(std::env::args_os()).into(),
        Ok(Command::Start(args)) => start::run(&args),
        Ok(Command::Delete(args)) => delete::run(&args),
        Ok(Command::Serve(args)) => serve::serve(&args),
        Ok(Command::MountIdMapped) => rootfs::id_mapped::run(),
        Ok(Command::Info) => info::run(),
        Ok(Command::Version) => info::version(),
        Ok(Command::Help) => info::help(),
        Err(text) => Err(Error::invalid(text)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            say(&err.to_string());
            ExitCode::FAILURE
        }
    }
}

/// One line on standard error, which containerd logs, or hands on as the error.
fn say(text: &str) {
    use std::io::Write;
    let line = format!("containerd-shim-corten-v2: {}\n", text.replace('\n', " "));
    let said = std::io::stderr().lock().write_all(line.as_bytes());
    corten::error::best_effort(
        said.map_err(|err| Error::io("write(stderr)", &err)),
        "there is nobody else to tell",
    );
}
