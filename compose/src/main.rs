//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

mod cli;
// Until its callers are here.
#[allow(dead_code)]
mod commands;
// Until its callers are here.
#[allow(dead_code)]
mod disk;
// Until its callers are here.
#[allow(dead_code)]
mod error;
// Until its callers are here.
#[allow(dead_code)]
mod model;

use cli::compose::Asked;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = cli::compose::command().get_matches();
    let here = std::env::current_dir().unwrap_or_default();
    // A variable that isn't UTF-8 can't be named in a file.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let done = match cli::compose::asked(&matches, here, environment) {
        Some(Asked::Config(request, options)) => commands::config::run(&request, &options),
        None => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
