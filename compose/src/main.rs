//! Docker's everyday on bare containerd: `corten-compose` for Compose projects, `cortenctl` for single containers.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use crate::error::{Context, Kind, Result, tell_lines};
use crate::keep::HandedOver;
use crate::process::child;

mod actual;
mod apply;
mod build;
mod changes;
mod cli;
mod client_config;
mod commands;
mod disk;
mod engine;
mod error;
mod happenings;
mod id;
mod input;
mod keep;
#[cfg(feature = "manual")]
mod manual;
mod model;
mod names;
mod net;
mod observe;
mod output;
mod pipe;
mod plan;
mod process;
mod record;
mod reference;
mod shared_memory;
mod signals;
mod spec;
mod subpath;
mod time;
mod view;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let program = arguments.first().map(Path::new).and_then(Path::file_name).unwrap_or_default();
    match run(program, &arguments) {
        Ok(code) => ExitCode::from(code),
        Err(err) => {
            tell_lines(format_args!("{}: {err}", program.to_string_lossy()));
            ExitCode::FAILURE
        }
    }
}

/// The verbs that nobody types come first: they are started often, and must be quick and small.
fn run(program: &OsStr, arguments: &[OsString]) -> Result<u8> {
    let words: Vec<&str> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    match words.as_slice() {
        ["keep", container] => keep::run(Path::new(container), HandedOver::by_shim()).map(|()| 0),
        ["keep", container, stdout, stderr, command] => {
            let fifos = HandedOver::by_command(Path::new(stdout), Path::new(stderr), command.parse()?);
            keep::run(Path::new(container), fifos).map(|()| 0)
        }
        ["child", parent, ..] => {
            child::become_program(parent, arguments.get(3..).unwrap_or_default()).map(|()| 0)
        }
        ["thaw", address, namespace, id] => apply::frozen::thaw(address, namespace, id).map(|()| 0),
        ["hook", operation] => net::hook::run(operation).map(|()| 0),
        #[cfg(feature = "manual")]
        ["manual", share] => manual::write(Path::new(share)).map(|()| 0),
        ["revive", container] => keep::revive(Path::new(container)).map(|()| 0),
        _ if program == "cortenctl" => docker(arguments),
        _ => compose(arguments),
    }
}

/// Docker compose's commands.
fn compose(arguments: &[OsString]) -> Result<u8> {
    disk::tighten();
    let matches = match cli::parse::read(cli::compose::command(), arguments) {
        Ok(matches) => matches,
        Err(unread) => {
            unread.tell();
            return Ok(if unread.is_asked() { 0 } else { 1 });
        }
    };
    let here = std::env::current_dir().at("the current directory")?;
    // A variable that isn't UTF-8 can't be named in a file.
    let environment = std::env::vars_os();
    let environment =
        environment.filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = cli::compose::asked(&matches, here, environment)
        .and_then(|asked| runtime.block_on(commands::compose::perform(asked)));
    // A thread that waits for a lock has nobody to tell any more.
    runtime.shutdown_background();
    // The line begins with the file and the place in it, for editors that jump there.
    done.or_else(|err| {
        if let Kind::Interrupted(code) = err.kind() {
            return Ok(code);
        }
        tell_lines(format_args!("{err}"));
        Ok(1)
    })
}

/// Docker's commands.
fn docker(arguments: &[OsString]) -> Result<u8> {
    disk::tighten();
    let matches = match cli::parse::read(cli::docker::tree(), arguments) {
        Ok(matches) => matches,
        Err(unread) => {
            unread.tell();
            let refused = if unread.is_of_words() { 1 } else { commands::REFUSED };
            return Ok(if unread.is_asked() { 0 } else { refused });
        }
    };
    let meant = match cli::docker::meant(&matches) {
        // As with Docker, what can't be read of a command line is 125, and all that `run` and `create` refuse of it.
        Err(err) if err.kind() == Kind::Usage || cli::parse::makes_a_container(&names(&matches)) => {
            commands::complain(&err);
            return Ok(commands::REFUSED);
        }
        meant => meant?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(commands::perform(meant));
    // A thread that reads standard input would be waited for.
    runtime.shutdown_background();
    ended
}

/// The names of the command, below the program's.
fn names(matches: &clap::ArgMatches) -> Vec<&str> {
    let mut names = Vec::new();
    let mut at = matches;
    while let Some((name, of)) = at.subcommand() {
        names.push(name);
        at = of;
    }
    names
}
