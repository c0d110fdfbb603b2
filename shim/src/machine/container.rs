//! One container: what its calls may do in each state, and what the ends of its operations lead to.

mod deletion;
mod ending;
mod freezing;

use std::collections::BTreeMap;
use std::path::PathBuf;

use self::ending::Ending;
use self::freezing::Freezer;
use super::call::{Addition, Call, CallId, Checkpoint, Creation, ProcessKey, check_id};
use super::operation::{Event, Operation, Outcome, ProcessState, Reply, Status};
use super::process::{Life, Process};
use super::work::{Ended, Then, Work};
use crate::refusal::Refusal;

/// What a call is replied to with; nothing, if its reply comes later.
pub type Answer = Result<Option<Reply>, Refusal>;

/// A container that was created.
#[derive(Debug)]
pub struct Container {
    bundle: PathBuf,
    init: Process,
    execs: BTreeMap<String, Exec>,
    freezer: Freezer,
    /// Whether other processes than the descendants of init may be in its pid namespace.
    shares_pid_namespace: bool,
    /// The end of init, from the moment at which init is reaped until its exit is published.
    ending: Option<Ending>,
    /// Whether the output of init is copied: its deletion waits for nothing but operations that are at work.
    drained: bool,
    /// The call of Create, if init has ended before the end of the creation.
    creator: Option<CallId>,
}

/// A process that was added.
#[derive(Debug)]
struct Exec {
    process: Process,
    /// JSON of the specification's Process, until it runs.
    spec: Vec<u8>,
}

impl Container {
    /// A container that was created just now.
    pub fn new(creation: Creation, pid: i32, shares_pid_namespace: bool) -> Container {
        Container {
            bundle: creation.bundle,
            init: Process::new(ProcessKey::init(creation.id), creation.streams, pid),
            execs: BTreeMap::new(),
            freezer: Freezer::Thawed,
            shares_pid_namespace,
            ending: None,
            drained: false,
            creator: None,
        }
    }

    /// The pid of init.
    pub fn pid(&self) -> i32 {
        self.init.pid
    }

    /// A call to the container or to one of its processes.
    pub fn call(&mut self, call: CallId, what: Call, work: &mut Work) -> Answer {
        match what {
            Call::Start(ProcessKey { exec: None, .. }) => self.start_init(call, work),
            Call::Start(ProcessKey { exec: Some(exec), .. }) => self.start_exec(call, &exec, work),
            Call::Exec(addition) => self.add(*addition, work),
            Call::Delete(ProcessKey { exec: None, .. }) => self.delete_init(call, work),
            Call::Delete(ProcessKey { exec: Some(exec), .. }) => self.delete_exec(call, &exec, work),
            Call::State(process) => self.state(&process),
            Call::Wait(process) => Ok(self.process_mut(&process)?.wait(call)),
            Call::Kill { process, signal, all } => self.kill(call, process, signal, all, work),
            Call::Pause(_) => self.pause(call, work),
            Call::Resume(_) => self.resume(call, work),
            Call::Pids(id) => self.begin_for(call, Operation::Pids(id), work),
            Call::Stats(id) => self.begin_for(call, Operation::Stats(id), work),
            Call::Update(id, resources) => self.update(call, Operation::Update(id, resources), work),
            Call::Checkpoint(_, checkpoint) => self.checkpoint(call, checkpoint, work),
            Call::ResizePty(process, columns, rows) => self.resize(call, process, columns, rows, work),
            Call::CloseStdin(process) => self.close_stdin(call, process, work),
            // The machine answers these three: they need no container.
            Call::Create(_) | Call::Connect(_) | Call::Shutdown => Ok(Some(Reply::Empty)),
        }
    }

    fn id(&self) -> &str {
        &self.init.key.container
    }

    fn process(&self, key: &ProcessKey) -> Result<&Process, Refusal> {
        let Some(exec) = &key.exec else { return Ok(&self.init) };
        self.execs.get(exec).map(|exec| &exec.process).ok_or_else(|| no_process(exec))
    }

    fn process_mut(&mut self, key: &ProcessKey) -> Result<&mut Process, Refusal> {
        let Some(exec) = &key.exec else { return Ok(&mut self.init) };
        self.execs.get_mut(exec).map(|exec| &mut exec.process).ok_or_else(|| no_process(exec))
    }

    fn begin(&self, operation: Operation, then: Then, work: &mut Work) {
        work.begin(self.id(), operation, then);
    }

    /// Begins an operation whose result is the call's reply.
    fn begin_for(&self, call: CallId, operation: Operation, work: &mut Work) -> Answer {
        self.is_there()?;
        self.begin(operation, Then::Reply(call), work);
        Ok(None)
    }

    // Start and Exec

    fn start_init(&mut self, call: CallId, work: &mut Work) -> Answer {
        if self.ending.is_some() {
            return Err(self.has_no_init());
        }
        if self.init.start(call)? {
            let start = Operation::Start(self.id().to_string());
            self.begin(start, Then::Start(self.init.key.clone()), work);
        }
        Ok(None)
    }

    fn start_exec(&mut self, call: CallId, id: &str, work: &mut Work) -> Answer {
        if self.ending.is_some() || self.init.is_stopped() {
            return Err(self.has_no_init());
        }
        if self.init.life != Life::Running || self.freezer != Freezer::Thawed {
            return Err(self.refuses_to_exec());
        }
        let exec = self.execs.get_mut(id).ok_or_else(|| no_process(id))?;
        if exec.process.start(call)? {
            let process = exec.process.key.clone();
            let streams = exec.process.streams.clone();
            let addition = Addition { process: process.clone(), streams, spec: exec.spec.clone() };
            self.begin(Operation::StartExec(Box::new(addition)), Then::Start(process), work);
        }
        Ok(None)
    }

    fn has_no_init(&self) -> Refusal {
        Refusal::precondition(format!("container {} init process is not running", self.id()))
    }

    fn refuses_to_exec(&self) -> Refusal {
        Refusal::unknown(format!("cannot exec in a {} state", self.word()))
    }

    fn add(&mut self, addition: Addition, work: &mut Work) -> Answer {
        let Addition { process: key, streams, spec } = addition;
        let id = key.exec.clone().unwrap_or_default();
        check_id(&id)?;
        let is_created = self.init.pid != 0 && !self.init.is_stopped() && !self.init.is_being_deleted();
        if !is_created || self.freezer != Freezer::Thawed {
            return Err(self.refuses_to_exec());
        }
        if self.execs.contains_key(&id) {
            return Err(Refusal::already_exists(format!("id {id}")));
        }
        work.publish(Event::ExecAdded(key.clone()));
        self.execs.insert(id, Exec { process: Process::new(key, streams, 0), spec });
        Ok(Some(Reply::Empty))
    }

    fn started(&mut self, key: &ProcessKey, result: Ended, work: &mut Work) {
        let Some(id) = &key.exec else {
            if let Some(exit) = self.init.started(result, work) {
                self.end(exit, work);
            }
            return;
        };
        let Some(exec) = self.execs.get_mut(id) else { return };
        if let Some(exit) = exec.process.started(result, work) {
            exec.process.stop(exit, work);
        }
        if exec.process.life != Life::Created {
            exec.spec = Vec::new();
            if std::mem::take(&mut exec.process.closes_stdin) {
                work.begin(&key.container, Operation::CloseStdin(key.clone()), Then::Nothing);
            }
            // The process came into the container after the others were killed.
            self.kill_all(work);
        }
    }

    /// Takes the steps that have waited for the ends of other processes or operations.
    pub fn settle(&mut self, work: &mut Work) {
        self.settle_end(work);
        self.settle_deletion(work);
    }

    // Kill

    /// Never waits for another operation: a start that hangs in a hook is ended by this.
    fn kill(&self, call: CallId, mut process: ProcessKey, signal: u32, all: bool, work: &mut Work) -> Answer {
        self.process(&process)?;
        if all {
            process.exec = None;
        }
        let target = self.process(&process)?;
        let is_init = process.exec.is_none();
        let is_reaped = is_init && !all && (self.ending.is_some() || target.is_parked());
        if target.is_stopped() || is_reaped {
            return Err(Refusal::not_found("process already finished"));
        }
        if target.pid == 0 {
            return Err(Refusal::precondition("process not created"));
        }
        self.begin_for(call, Operation::Signal { process, signal, all }, work)
    }

    /// The call's caller has gone away.
    pub fn forget(&mut self, call: CallId) {
        self.init.forget(call);
        self.execs.values_mut().for_each(|exec| exec.process.forget(call));
    }

    // State, and the calls that are little more than an operation

    fn state(&self, key: &ProcessKey) -> Answer {
        let process = self.process(key)?;
        Ok(Some(Reply::State(Box::new(ProcessState {
            process: process.key.clone(),
            bundle: self.bundle.clone(),
            pid: process.pid,
            status: self.status(process),
            streams: process.streams.clone(),
            exit: process.exit(),
        }))))
    }

    fn status(&self, process: &Process) -> Status {
        match process.life {
            Life::Created | Life::Starting { .. } => Status::Created,
            Life::Running => match self.freezer {
                Freezer::Thawed => Status::Running,
                Freezer::Pausing => Status::Pausing,
                Freezer::Paused | Freezer::Resuming => Status::Paused,
            },
            Life::Stopped(_) => Status::Stopped,
        }
    }

    /// The state of the container in containerd's words.
    fn word(&self) -> &'static str {
        match self.status(&self.init) {
            Status::Created => "created",
            Status::Running => "running",
            Status::Stopped => "stopped",
            Status::Paused => "paused",
            Status::Pausing => "pausing",
        }
    }

    fn refuses_to(&self, verb: &str) -> Refusal {
        Refusal::precondition(format!("cannot {verb} a {} container", self.word()))
    }

    /// Whether init runs, frozen or not.
    fn lives(&self) -> bool {
        self.init.life == Life::Running && self.ending.is_none()
    }

    fn update(&self, call: CallId, operation: Operation, work: &mut Work) -> Answer {
        if self.init.is_stopped() {
            return Err(self.refuses_to("update"));
        }
        self.begin_for(call, operation, work)
    }

    fn checkpoint(&self, call: CallId, checkpoint: Box<Checkpoint>, work: &mut Work) -> Answer {
        if !self.lives() {
            return Err(self.refuses_to("checkpoint"));
        }
        let then = Then::Checkpoint(call, checkpoint.path.clone());
        self.begin(Operation::Checkpoint(self.id().to_string(), checkpoint), then, work);
        Ok(None)
    }

    fn checkpointed(&self, result: Ended, path: PathBuf, work: &mut Work) -> Result<Reply, Refusal> {
        result?;
        work.publish(Event::Checkpointed(self.id().to_string(), path));
        Ok(Reply::Empty)
    }

    fn resize(&self, call: CallId, key: ProcessKey, columns: u16, rows: u16, work: &mut Work) -> Answer {
        let process = self.process(&key)?;
        if process.is_stopped() {
            return Err(Refusal::precondition("cannot resize a stopped process"));
        }
        if !process.streams.terminal {
            return Ok(Some(Reply::Empty));
        }
        self.begin_for(call, Operation::ResizePty(key, columns, rows), work)
    }

    fn close_stdin(&mut self, call: CallId, key: ProcessKey, work: &mut Work) -> Answer {
        let process = self.process_mut(&key)?;
        if process.is_stopped() {
            return Ok(Some(Reply::Empty));
        }
        if process.pid == 0 && key.exec.is_some() {
            // A client may come to the end of its input before the start has ended, which opens the fifo.
            process.closes_stdin = true;
            return Ok(Some(Reply::Empty));
        }
        self.begin_for(call, Operation::CloseStdin(key), work)
    }

    // The ends of operations

    /// An operation has come to its end.
    pub fn done(&mut self, then: Then, result: Ended, work: &mut Work) {
        match then {
            Then::Start(process) => self.started(&process, result, work),
            Then::Reply(call) => work.reply(call, result.map(|outcome| self.reply_of(outcome))),
            Then::Pause(call) => {
                let reply = self.paused(result, work);
                work.reply(call, reply);
            }
            Then::Resume(call) => {
                let reply = self.resumed(result, work);
                work.reply(call, reply);
            }
            Then::Checkpoint(call, path) => {
                let reply = self.checkpointed(result, path, work);
                work.reply(call, reply);
            }
            Then::LookForOutOfMemory => self.looked_for_out_of_memory(result, work),
            Then::KillCreated => self.killed_created(result, work),
            Then::Drain(process) => self.drained(&process, work),
            // The exit that is held asks for the first by itself.
            Then::KillAll | Then::Nothing => {}
            // The machine deals with these: the container is not in its books before, or after.
            Then::Create | Then::Delete | Then::Discard => {}
        }
    }

    fn reply_of(&self, outcome: Outcome) -> Reply {
        match outcome {
            Outcome::Pids(pids) => {
                Reply::Pids(pids.into_iter().map(|pid| (pid, self.exec_of(pid))).collect())
            }
            Outcome::Metrics(kind, bytes) => Reply::Metrics(kind, bytes),
            _ => Reply::Empty,
        }
    }

    fn exec_of(&self, pid: i32) -> Option<String> {
        let runs = |exec: &Exec| exec.process.life == Life::Running && exec.process.pid == pid;
        self.execs.iter().find(|(_, exec)| runs(exec)).map(|(id, _)| id.clone())
    }
}

/// What every call hears of a container that isn't in the books.
pub fn not_created() -> Refusal {
    Refusal::not_found("container not created")
}

fn no_process(exec: &str) -> Refusal {
    Refusal::not_found(format!("process does not exist {exec}"))
}
