//! One file per command: load, decide, apply, save.
//!
//! Each has a `run` that takes what was typed, and beside it the operation itself, which the shim calls.

mod container;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod features;
pub mod kill;
pub mod list;
pub mod pause;
pub mod plan;
pub mod ps;
pub mod resume;
pub mod run;
pub mod spec;
pub mod start;
pub mod state;
pub mod update;

use std::ffi::OsString;
use std::io::Write;

pub use container::Container;

use crate::apply::seal;
use crate::cli::{Command, CommandLine, CommandName, Global, Request, RootPath};
use crate::error::{Context, Error, Result};
use crate::probe;
use crate::report::{Report, report_panics};
use crate::state::StateRoot;
use crate::sys::{descriptors, signal};

/// The exit code of a command that failed.
const FAILED: u8 = 1;

/// The exit code of `exec` when it failed: any smaller one may be that of the process.
const EXEC_FAILED: u8 = 255;

/// What a command runs with.
pub struct Invocation {
    /// The global flags.
    pub global: Global,
    /// Where messages go.
    pub report: Report,
}

impl Invocation {
    /// The directory of states, which may not exist.
    pub fn root(&self) -> Result<StateRoot> {
        match &self.global.root {
            RootPath::Default => StateRoot::ensure_default(probe::caller).map(|path| StateRoot::at(&path)),
            RootPath::Given(path) => Ok(StateRoot::at(path)),
        }
    }

    /// The directory of states, made if need be.
    pub fn root_to_create_in(&self) -> Result<StateRoot> {
        match &self.global.root {
            RootPath::Default => StateRoot::open_or_create(&StateRoot::ensure_default(probe::caller)?),
            RootPath::Given(path) => StateRoot::open_or_create(path),
        }
    }
}

/// Carries out a command line and returns the exit code.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> u8 {
    report_panics();
    let argv: Vec<OsString> = argv.into_iter().collect();
    // Before the line is read, which would be read again afterwards. It may be that of a `state` of a container whose
    // name is `run`: that is sealed for nothing.
    let enters = |word: &OsString| CommandName::of(word).is_some_and(CommandName::enters_a_container);
    let sealed = if argv.iter().any(enters) { seal::ensure() } else { Ok(()) };
    // What is open from here on is the caller's.
    descriptors::remember_inherited();
    let opened = CommandLine::parse(argv).and_then(|line| Ok((open_report(&line)?, line)));
    let (report, mut line) = match opened {
        Ok(opened) => opened,
        Err(err) => {
            Report::default().error(&err);
            return FAILED;
        }
    };
    let failed = if line.command_name() == Some(CommandName::Exec) { EXEC_FAILED } else { FAILED };
    let enters = line.command_name().is_some_and(CommandName::enters_a_container);
    let request = if enters { sealed.and_then(|()| line.request()) } else { line.request() };
    let invocation = Invocation { global: line.global, report };
    let done = request.and_then(|request| match request {
        Request::Run(command) => {
            let doing = command.doing();
            run(&invocation, command).doing(&doing)
        }
        Request::Print(text) => print(&text).map(|()| 0),
    });
    done.unwrap_or_else(|err| {
        invocation.report.error(&err);
        failed
    })
}

fn run(invocation: &Invocation, command: Command) -> Result<u8> {
    if command.name().enters_a_container() {
        // A caller that ignores it would have no child of ours be waited for.
        signal::reset_child_signal()?;
        // What a caller has left open is for no hook. Init hands on what it is told to, and closes the rest.
        descriptors::close_on_exec_from(3, None)?;
    }
    match command {
        Command::Create(args) => create::run(invocation, args),
        Command::Delete(args) => delete::run(invocation, args),
        Command::Events(args) => events::run(invocation, args),
        Command::Exec(args) => exec::run(invocation, *args),
        Command::Features(_) => features::run(),
        Command::Kill(args) => kill::run(invocation, args),
        Command::List(args) => list::run(invocation, args),
        Command::Pause(args) => pause::run(invocation, args),
        Command::Plan(args) => plan::run(invocation, args),
        Command::Ps(args) => ps::run(invocation, args),
        Command::Resume(args) => resume::run(invocation, args),
        Command::Run(args) => run::run(invocation, args),
        Command::Spec(args) => spec::run(args),
        Command::Start(args) => start::run(invocation, args),
        Command::State(args) => state::run(invocation, args),
        Command::Update(args) => update::run(invocation, *args),
    }
}

fn open_report(line: &CommandLine) -> Result<Report> {
    // A container whose log's directory is gone still has to be killed and deleted.
    if matches!(line.command_name(), Some(CommandName::Kill | CommandName::Delete)) {
        Ok(Report::open_if_possible(&line.global.log))
    } else {
        Report::open(&line.global.log)
    }
}

/// Writes `text` to standard output.
fn print(text: impl AsRef<[u8]>) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_ref()).and_then(|()| stdout.flush());
    written.map_err(|err| Error::io("write(stdout)", &err))
}
