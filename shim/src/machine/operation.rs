//! What the machine wants done.

use std::time::SystemTime;

use super::call::{Addition, CallId, Checkpoint, Creation, Exit, OperationId, ProcessKey, Streams};
use crate::refusal::Refusal;

/// What the machine wants done. Effects are carried out in their order; only [`Effect::Begin`] goes on beside others.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Begins an operation, whose end is told by [`Input::Done`].
    ///
    /// [`Input::Done`]: super::call::Input::Done
    Begin(OperationId, Operation),
    /// Nobody wants the container any more that is being created: its creation may end early, with an error.
    Abandon(String),
    /// Replies to a call.
    Reply(CallId, Result<Reply, Refusal>),
    /// Puts an event behind those that are already on their way.
    Publish(Event),
    /// Writes how init ended into the bundle, before anybody hears of it.
    StoreExit(String, Exit),
    /// Ends the shim: nobody finds it from now on, and it goes once all events are delivered and all replies are sent.
    Quit,
}

/// Something that takes time.
#[derive(Debug, PartialEq)]
pub enum Operation {
    /// Ends with [`Outcome::Created`].
    Create(Box<Creation>),
    /// Lets the init of the container execute its program. Ends with [`Outcome::Began`] if init has its pid only now,
    /// because the container is restored from a checkpoint: its creation ends with the pid 0.
    Start(String),
    /// Brings the added process into its container. Ends with [`Outcome::Began`].
    StartExec(Box<Addition>),
    /// Sends a signal to init, or with `all` to every process of the container.
    Signal {
        /// To whose init, or to which added process.
        process: ProcessKey,
        /// The number of the signal.
        signal: u32,
        /// To every process of the container.
        all: bool,
    },
    /// Ends every process of the container. There may be none.
    KillAll(String),
    /// Freezes the container.
    Pause(String),
    /// Thaws it.
    Resume(String),
    /// Ends with [`Outcome::Pids`].
    Pids(String),
    /// Ends with [`Outcome::Metrics`].
    Stats(String),
    /// Changes limits.
    Update(String, Vec<u8>),
    /// Makes a checkpoint.
    Checkpoint(String, Box<Checkpoint>),
    /// Sets the size of a terminal: columns, rows.
    ResizePty(ProcessKey, u16, u16),
    /// Lets standard input end.
    CloseStdin(ProcessKey),
    /// Looks a last time whether the kernel has killed for want of memory. Ends with [`Outcome::OutOfMemory`].
    LookForOutOfMemory(String),
    /// Waits until all output of the process is copied, for a while.
    Drain(ProcessKey),
    /// Takes the container away: its state, its cgroup, its root filesystem's mounts.
    Delete(String),
}

/// What an operation has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done,
    /// A container was created.
    Created {
        /// Its init.
        pid: i32,
        /// Whether other processes than init's descendants may be in its pid namespace: then they don't end with init.
        shares_pid_namespace: bool,
    },
    /// A process has begun.
    Began {
        /// Its number.
        pid: i32,
    },
    /// These are the pids of all processes.
    Pids(Vec<i32>),
    /// The type and the bytes of the metrics.
    Metrics(String, Vec<u8>),
    /// Whether processes were killed that nobody was told of yet.
    OutOfMemory(bool),
}

/// What a call is replied to with.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Nothing to say.
    Empty,
    /// A process was created or started.
    Pid(i32),
    /// What a process is doing.
    State(Box<ProcessState>),
    /// How a process ended, and its pid.
    Exit(i32, Exit),
    /// Pids, each with the id of the added process that it is.
    Pids(Vec<(i32, Option<String>)>),
    /// The type and the bytes of the metrics.
    Metrics(String, Vec<u8>),
    /// The pid of init, if it was created.
    Connected(i32),
}

/// The states of a process, with containerd's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not started yet.
    Created,
    /// At work.
    Running,
    /// Ended.
    Stopped,
    /// Frozen with its container.
    Paused,
    /// About to be frozen.
    Pausing,
}

/// What a process is doing.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessState {
    /// Which process.
    pub process: ProcessKey,
    /// The bundle of its container.
    pub bundle: std::path::PathBuf,
    /// Its number, 0 before it has one.
    pub pid: i32,
    /// Where it is in its life.
    pub status: Status,
    /// Its standard streams.
    pub streams: Streams,
    /// How it ended.
    pub exit: Option<Exit>,
}

/// What containerd is told, in this order for each process: created, started, exited, deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A container was created, by this call.
    Created(Box<Creation>, i32),
    /// Init was started.
    Started(String, i32),
    /// A process was added.
    ExecAdded(ProcessKey),
    /// It was started.
    ExecStarted(ProcessKey, i32),
    /// A process ended.
    Exited(ProcessKey, i32, Exit),
    /// A container was deleted.
    Deleted(String, i32, Exit),
    /// The kernel killed a process for want of memory.
    OutOfMemory(String),
    /// A container was frozen.
    Paused(String),
    /// It was thawed.
    Resumed(String),
    /// A checkpoint of it was made there.
    Checkpointed(String, std::path::PathBuf),
}

/// The time at which a deletion that never saw an end says that it ended.
pub const NEVER: SystemTime = SystemTime::UNIX_EPOCH;
