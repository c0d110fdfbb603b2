//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

// Until its callers are here.
#[allow(dead_code)]
mod disk;
// Until its callers are here.
#[allow(dead_code)]
mod engine;
// Until its callers are here.
#[allow(dead_code)]
mod error;
// Until its callers are here.
#[allow(dead_code)]
mod id;
// Until its callers are here.
#[allow(dead_code, unused_imports)]
mod keep;
// Until its callers are here.
#[allow(dead_code)]
mod model;
// Until its callers are here.
#[allow(dead_code)]
mod net;
mod process;
// Until its callers are here.
#[allow(dead_code)]
mod time;

use std::path::Path;
use std::process::ExitCode;

use error::{Error, Result};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("{err}");
            ExitCode::FAILURE
        }
    }
}

/// The verbs that nobody types come first: they are started often, and must be quick and small.
fn run() -> Result<()> {
    let arguments = std::env::args().collect::<Vec<_>>();
    match arguments.iter().map(String::as_str).skip(1).collect::<Vec<_>>().as_slice() {
        ["keep", container] => keep::run(Path::new(container)),
        ["hook", operation] => net::hook::run(operation),
        ["revive", container] => keep::revive(Path::new(container)),
        _ => Err(Error::new("no command is there yet")),
    }
}
