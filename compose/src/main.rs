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
#[allow(dead_code)]
mod model;
mod names;
mod observe;
mod reference;
mod signals;
mod spec;
mod time;
mod view;

fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let ended = if name == "cortenctl" { docker() } else { Err(Error::new("no command is there yet")) };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            eprintln!("{}: {err}", name.display());
            ExitCode::FAILURE
        }
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
