//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

mod error;
// Until its callers are here.
#[allow(dead_code)]
mod model;
// Until its callers are here.
#[allow(dead_code)]
mod plan;

use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> error::Result<()> {
    Err(error::Error::new("no command is there yet"))
}
