//! Init: the process that becomes the program, once everything is prepared. It has no more rights and no more
//! descriptors than the program will have, but for the way to its supervisor and the fifo that it waits at. It ends
//! in `execve`, or in an error that the supervisor hears of; it never returns, unwinds or panics.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::Signal;

use super::handshake::{Channel, Message};
use super::hooks::{DefaultEnv, Surroundings, run_hooks};
use super::trace::Tracer;
use super::{console, limits, program};
use crate::error::{Errno, Error, Result};
use crate::plan::seccomp::Filter;
use crate::plan::{Action, ForInit, Leading, Program, Step};
use crate::spec::{HookKind, oci};
use crate::state::{OciState, Record, Status};
use crate::sys::clock::Deadline;
use crate::sys::process;
use crate::sys::seccomp::FilterFlags;
use crate::sys::signal::SignalQueue;
use crate::sys::{descriptors, file, poll, seccomp};
use crate::text;

/// A process that has nothing more to prepare.
pub struct Init<'a> {
    /// All steps of the plan, also those of others.
    pub steps: &'a [Step],
    /// The container, for the state that hooks get.
    pub record: &'a Record,
    /// The line to the supervisor.
    pub channel: Channel,
    /// The fifo that `start` writes to.
    pub start_fifo: Option<OwnedFd>,
    /// Times the steps.
    pub tracer: &'a Tracer,
    /// The program, once it is found.
    pub program: Option<program::Found>,
    /// The supervisor may end, and this process goes on.
    pub independent: bool,
}

impl Init<'_> {
    /// Performs the last steps. Reports an error, and exits.
    pub fn become_program(mut self) -> ! {
        let ended = self.perform_all();
        let err = ended.err().unwrap_or_else(|| Error::internal("the plan has nothing to execute"));
        self.report(err);
        process::exit_now(NOT_EXECUTED)
    }

    /// Tells the supervisor. Where that has ended after `create`, the caller's stderr is all there is. A supervisor
    /// that goes before has failed itself, and tells of its own failure.
    fn report(&self, err: Error) {
        let text = err.to_string();
        if self.channel.fail(err).is_err() && self.independent {
            eprintln!("{}", text::on_one_line(&text));
        }
    }

    fn perform_all(&mut self) -> Result<()> {
        let (steps, tracer) = (self.steps, self.tracer);
        for step in steps {
            let Action::Init(action) = &step.action else { continue };
            tracer.step(steps, step, || self.perform(action))?;
        }
        Ok(())
    }

    fn perform(&mut self, action: &ForInit) -> Result<()> {
        match action {
            ForInit::LeadSession(leading) => lead_session(*leading),
            ForInit::InstallSeccompListener(filter) | ForInit::InstallSeccompLast(filter) => {
                install_filter(filter, &self.channel)
            }
            ForInit::LimitItself(rlimits) => limits::limit_itself(rlimits),
            ForInit::FindProgram(program) => self.find_program(program),
            ForInit::ReportCreated => self.report_created(),
            ForInit::AwaitStart => self.await_start(),
            ForInit::RunStartHooks(hooks) => self.run_start_hooks(hooks),
            ForInit::Execute(program) => self.execute(program),
        }
    }

    fn find_program(&mut self, program: &Program) -> Result<()> {
        self.program = Some(program::find(program)?);
        Ok(())
    }

    /// From here on the container outlives its supervisor.
    fn report_created(&mut self) -> Result<()> {
        self.channel.ask(&Message::Created)?;
        process::set_parent_death_signal(None)?;
        self.independent = true;
        self.channel.say(&Message::Independent)
    }

    /// Waits for `start`, without a deadline.
    fn await_start(&mut self) -> Result<()> {
        // The fifo stays open until the program is executed: by its closing, `start` learns that the program runs.
        let Some(fifo) = &self.start_fifo else { return Ok(()) };
        let signals = SignalQueue::of(&ENDING_SIGNALS)?;
        let mut byte = [0_u8; 1];
        let mut unlinked = false;
        loop {
            poll::wait_readable(&[fifo.as_fd(), signals.as_fd()], Deadline::Never)?;
            if let Some(number) = signals.take()? {
                process::exit_now(128 + number);
            }
            match file::read(fifo, &mut byte) {
                Ok(1) => return signals.unblock(),
                // `start` removed the fifo's name and was killed before it wrote. Without a name, no further `start`
                // can come.
                Ok(_) if unlinked => return Err(Error::internal("`start` died before it said so")),
                Ok(_) => {
                    // A writer has opened the fifo and closed it again. If the fifo has no name now, `start` may have
                    // written since, so the fifo is read once more.
                    unlinked = file::stat_of(fifo)?.st_nlink == 0;
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                Err(err) if err.is(Errno::EAGAIN) => {}
                Err(err) => return Err(err.context("exec.fifo")),
            }
        }
    }

    fn run_start_hooks(&self, hooks: &[oci::Hook]) -> Result<()> {
        let found = self.program.as_ref().ok_or_else(not_found_yet)?;
        let env: Vec<String> = found.env.iter().map(|entry| entry.to_string_lossy().into_owned()).collect();
        let state = own_state(self.record, Status::Created);
        let surroundings = Surroundings { state: &state, env: DefaultEnv::Of(&env), directory: None };
        run_hooks(HookKind::StartContainer.name(), hooks, surroundings)
    }

    fn execute(&mut self, program: &Program) -> Result<()> {
        let found = self.program.take().ok_or_else(not_found_yet)?;
        program::execute(program, &found).map(|never| match never {})
    }
}

/// The exit code of a container whose program can't be executed, as in runc: programs rarely use it.
const NOT_EXECUTED: i32 = 255;

/// Signals that end a process by default. The first process of a pid namespace doesn't get a signal that it hasn't
/// asked for, and a container that was created and not started has to heed `kill` all the same.
const ENDING_SIGNALS: [Signal; 4] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM];

fn not_found_yet() -> Error {
    Error::internal("the program was not looked for")
}

fn lead_session(leading: Leading) -> Result<()> {
    process::new_session()?;
    if leading.with_terminal { console::take_control() } else { Ok(()) }
}

/// Installs a filter. The supervisor fetches its listener, if it has one.
///
/// Init names the listener's number before there is a listener: once the filter is in force, any call may wait for the
/// agent, and the agent for the supervisor. Init then does nothing but read until the listener is handed over.
pub(super) fn install_filter(filter: &Filter, channel: &Channel) -> Result<()> {
    if filter.listener.is_some() {
        channel.say(&Message::Listener(descriptors::next_number(channel)?))?;
    }
    let listener = install(filter)?;
    listener.map_or(Ok(()), |_open_until_fetched| channel.await_go())
}

/// Installs a filter. If the kernel doesn't know a flag, an optional flag is dropped, and a flag that the profile asks
/// for is an error.
fn install(filter: &Filter) -> Result<Option<OwnedFd>> {
    match seccomp::install(&filter.program, filter.flags | filter.optional_flags) {
        Err(err) if err.is(Errno::EINVAL) && filter.optional_flags != FilterFlags::NONE => {
            seccomp::install(&filter.program, filter.flags)
        }
        result => result,
    }
}

/// The state that hooks get which this process runs.
pub(super) fn own_state(record: &Record, status: Status) -> Vec<u8> {
    let record = Record { init_process_pid: std::process::id() as i32, ..record.clone() };
    OciState::of(&record, status).to_json()
}
