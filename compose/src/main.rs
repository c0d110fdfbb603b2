//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

use std::path::Path;
use std::process::ExitCode;

use crate::error::{Error, Result};

// Until its callers are here.
#[allow(dead_code)]
mod apply;
mod cli;
mod commands;
// Until its callers are here.
#[allow(dead_code)]
mod disk;
// Until its callers are here.
#[allow(dead_code)]
mod engine;
mod error;
mod id;
// Until its callers are here.
#[allow(dead_code, unused_imports)]
mod keep;
// Until its callers are here.
#[allow(dead_code)]
mod model;
mod names;
// Until its callers are here.
#[allow(dead_code)]
mod net;
mod observe;
mod process;
mod reference;
mod signals;
mod spec;
mod time;
mod view;

fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let ended = match hidden() {
        Some(ended) => ended.map(|()| 0),
        None if name == "cortenctl" => docker(),
        None => Err(Error::new("no command is there yet")),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            eprintln!("{}: {err}", name.to_string_lossy());
            ExitCode::FAILURE
        }
    }
}

/// The verbs that nobody types: runtimes and shims do, often, so they are quick and small.
fn hidden() -> Option<Result<()>> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["keep", container] => Some(keep::run(Path::new(container))),
        ["hook", operation] => Some(net::hook::run(operation)),
        ["revive", container] => Some(keep::revive(Path::new(container))),
        _ => None,
    }
}

/// Docker's commands.
fn docker() -> Result<u8> {
    let matches = match cli::docker::tree().try_get_matches() {
        Ok(matches) => matches,
        Err(err) => {
            drop(err.print());
            return Ok(if err.use_stderr() { commands::REFUSED } else { 0 });
        }
    };
    let meant = cli::docker::meant(&matches)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(commands::perform(meant));
    // A thread that reads standard input would be waited for.
    runtime.shutdown_background();
    ended
}
