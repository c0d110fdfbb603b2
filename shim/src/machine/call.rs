//! What the machine is told: calls of the task service, ends of operations, and what the kernel says.

use std::path::PathBuf;
use std::time::SystemTime;

use corten::container::ContainerId;
use serde::{Deserialize, Serialize};

use super::operation::Outcome;
use crate::refusal::{Code, Refusal};

/// One call of the task service, which waits for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// One operation that is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationId(pub u64);

/// A process that containerd knows: the init of a container, or one that was added to it by `Exec`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessKey {
    /// The container's id.
    pub container: String,
    /// The id of the added process; `None` for init.
    pub exec: Option<String>,
}

impl ProcessKey {
    /// The init of `container`.
    pub fn init(container: impl Into<String>) -> ProcessKey {
        ProcessKey { container: container.into(), exec: None }
    }
}

/// Checks the id of a container, or of a process that is to be added: both become names of files.
///
/// Errors: InvalidArgument.
pub fn check_id(id: &str) -> Result<(), Refusal> {
    const SHOWN: usize = 80;
    let refuse = |_| {
        let shown: String = id.chars().take(SHOWN).collect();
        Refusal::new(Code::InvalidArgument, format!("{shown:?} is not an id"))
    };
    ContainerId::parse(id).map(drop).map_err(refuse)
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code, or 128 and the signal.
    pub status: u32,
    /// When it was reaped.
    pub at: SystemTime,
}

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// A call has come in.
    Call(CallId, Call),
    /// Nobody waits any more for the reply of the call. A creation is undone; what another call has begun goes on. A
    /// reply may still come.
    Forgotten(CallId),
    /// The operation has come to its end.
    Done(OperationId, Result<Outcome, Refusal>),
    /// The process was reaped. Told once of each process that an operation has reported as begun; it may be told before
    /// the operation's end is.
    Exited(ProcessKey, Exit),
    /// The kernel has killed a process of the container for want of memory.
    OutOfMemory(String),
    /// For a while nobody has been connected who could call.
    Deserted,
}

/// A call of the task service.
#[derive(Debug)]
pub enum Call {
    /// Creates a container, whose init waits for `Start`.
    Create(Box<Creation>),
    /// Starts init, or the process that `Exec` has added.
    Start(ProcessKey),
    /// Adds a process to a container; `Start` starts it.
    Exec(Box<Addition>),
    /// Takes a process that has ended, or was never started, out of the books.
    Delete(ProcessKey),
    /// What a process is doing.
    State(ProcessKey),
    /// Waits for the end of a process.
    Wait(ProcessKey),
    /// Sends a signal; `all`: to every process of the container.
    Kill {
        /// To whom.
        process: ProcessKey,
        /// The number of the signal.
        signal: u32,
        /// To every process of the container instead.
        all: bool,
    },
    /// Freezes the container.
    Pause(String),
    /// Thaws it.
    Resume(String),
    /// All of its processes.
    Pids(String),
    /// What it uses.
    Stats(String),
    /// Changes its limits: JSON of the specification's LinuxResources.
    Update(String, Vec<u8>),
    /// Writes its state to a directory, by the options that came with the call.
    Checkpoint(String, Box<Checkpoint>),
    /// The size of the terminal of a process: columns, rows.
    ResizePty(ProcessKey, u16, u16),
    /// The standard input of a process ends once its sender has closed it.
    CloseStdin(ProcessKey),
    /// The pids of the shim and of init.
    Connect(String),
    /// Ends the shim if it has no container.
    Shutdown,
}

impl Call {
    /// The container that it is about. Nothing for [`Call::Shutdown`].
    pub fn container(&self) -> &str {
        match self {
            Call::Create(creation) => &creation.id,
            Call::Exec(addition) => &addition.process.container,
            Call::Start(process)
            | Call::Delete(process)
            | Call::State(process)
            | Call::Wait(process)
            | Call::Kill { process, .. }
            | Call::ResizePty(process, ..)
            | Call::CloseStdin(process) => &process.container,
            Call::Pause(id)
            | Call::Resume(id)
            | Call::Pids(id)
            | Call::Stats(id)
            | Call::Update(id, _)
            | Call::Checkpoint(id, _)
            | Call::Connect(id) => id,
            Call::Shutdown => "",
        }
    }
}

/// Where the standard streams of a process go, as containerd says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Streams {
    /// A path, a URI, or nothing.
    pub stdin: String,
    /// A path, a URI, or nothing.
    pub stdout: String,
    /// A path, a URI, or nothing.
    pub stderr: String,
    /// Whether they are one terminal.
    pub terminal: bool,
}

/// A mount of the root filesystem, as containerd says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsMount {
    /// The filesystem's name, or `bind`.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// Below the root filesystem; nothing for the root itself.
    pub target: String,
    /// As mount(8) has them.
    pub options: Vec<String>,
}

/// A container that is to be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Creation {
    /// Its id.
    pub id: String,
    /// The absolute path of its bundle.
    pub bundle: PathBuf,
    /// What its root filesystem is mounted from.
    pub rootfs: Vec<RootfsMount>,
    /// Its standard streams.
    pub streams: Streams,
    /// The type and the bytes of the options that came with the call.
    pub options: Option<(String, Vec<u8>)>,
    /// The directory of a checkpoint that it is restored from.
    pub checkpoint: Option<PathBuf>,
}

/// A process that is to be added to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// Of which container, and its own id.
    pub process: ProcessKey,
    /// Its standard streams.
    pub streams: Streams,
    /// JSON of the specification's Process.
    pub spec: Vec<u8>,
}

/// A checkpoint that is to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where to.
    pub path: PathBuf,
    /// The type and the bytes of the options that came with the call.
    pub options: Option<(String, Vec<u8>)>,
}
