//! One file per command: what was typed → an operation of `container` → a text and an exit code.

mod caller;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod plan;
mod ps;
mod run;
mod spec;
mod start;
mod state;
mod update;
mod which;

use std::ffi::OsString;
use std::io::Write;

use crate::cli::{self, Command, CommandLine, CommandName, Global, Meaning, RootPath};
use crate::container::{CgroupManager, ContainerId, CreateOptions, FreshProcess, Rootless, Runtime};
use crate::error::{Context, Error, Result};
use crate::probe;
use crate::report::{Report, report_panics};
use crate::state::StateRoot;
use crate::sys::descriptors;

/// The exit code of a command that failed.
const FAILED: u8 = 1;

/// The exit code of an `exec` that failed, as in runc: programs rarely use it.
const EXEC_FAILED: u8 = 255;

/// What a command runs with.
struct Invocation {
    /// The global flags.
    global: Global,
    /// Where messages go.
    report: Report,
    /// Set for a command that brings a process into a container: `create`, `run`, `exec`.
    process: Option<FreshProcess>,
}

impl Invocation {
    /// The containers below the root that was named, or below the default root.
    fn runtime(&self) -> Result<Runtime> {
        match &self.global.root {
            RootPath::Default => StateRoot::ensure_default(probe::caller).map(Runtime::at),
            RootPath::Given(path) => Ok(Runtime::at(path)),
        }
    }

    /// The options of a new container that come from global flags and from the environment.
    fn options_for(&self, id: &ContainerId) -> Result<CreateOptions> {
        Ok(CreateOptions {
            cgroup_manager: match self.global.cgroup_manager {
                cli::CgroupManager::ByPath => CgroupManager::ByPath,
                cli::CgroupManager::Systemd => CgroupManager::Systemd,
                cli::CgroupManager::Cgroupfs => CgroupManager::Cgroupfs,
                cli::CgroupManager::Disabled => CgroupManager::Disabled,
            },
            rootless: match self.global.rootless {
                cli::Rootless::Auto => Rootless::Auto,
                cli::Rootless::Yes => Rootless::Yes,
                cli::Rootless::No => Rootless::No,
            },
            listen_fds: caller::listen_fds(),
            notify_directory: match caller::notify_socket() {
                Some(_) => Some(self.runtime()?.notify_directory(id)?),
                None => None,
            },
            ..CreateOptions::default()
        })
    }

    fn process(&self) -> Result<&FreshProcess> {
        self.process.as_ref().ok_or_else(|| Error::internal("the command doesn't run from a sealed image"))
    }
}

/// Carries out a command line and returns the exit code.
///
/// Process-wide effects: a panic is reported in one line and ends the process. If any word of the command line is
/// `create`, `run` or `exec`, those of [`FreshProcess::ensure`] too. The command adds its own.
///
/// Needs: a process with one thread, which has opened nothing yet.
pub fn main(argv: impl IntoIterator<Item = OsString>) -> u8 {
    report_panics();
    let argv: Vec<OsString> = argv.into_iter().collect();
    // Before the command line is parsed, because a process that isn't sealed begins anew. If the word is not the
    // command but, say, a container's name (`state run`), sealing costs time and does no harm.
    let enters = |word: &OsString| CommandName::of(word).is_some_and(CommandName::enters_a_container);
    let looks_like = argv.iter().any(enters);
    let process = if looks_like { FreshProcess::ensure().map(Some) } else { Ok(None) };
    // What is open from here on is the caller's.
    descriptors::remember_inherited();
    let opened = CommandLine::parse(argv.iter().cloned()).and_then(|line| Ok((open_report(&line)?, line)));
    let (report, mut line) = match opened {
        Ok(opened) => opened,
        Err(err) => {
            Report::open_if_possible(&CommandLine::log_of_refused(argv)).error(&err);
            return FAILED;
        }
    };
    let failed = if line.command_name() == Some(CommandName::Exec) { EXEC_FAILED } else { FAILED };
    let process =
        if line.command_name().is_some_and(CommandName::enters_a_container) { process } else { Ok(None) };
    let (process, meaning) = match process {
        Ok(process) => (process, line.meaning()),
        Err(err) => (None, Err(err)),
    };
    let invocation = Invocation { global: line.global, report, process };
    let done = meaning.and_then(|meaning| match meaning {
        Meaning::Run(command) => {
            let doing = command.doing();
            run(&invocation, command).doing(&doing)
        }
        Meaning::Print(text) => print(&text).map(|()| 0),
    });
    done.unwrap_or_else(|err| {
        invocation.report.error(&err);
        failed
    })
}

fn run(invocation: &Invocation, command: Command) -> Result<u8> {
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
        Command::Resume(args) => pause::resume(invocation, args),
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
