//! One process: its life from created to stopped, and the calls that wait for a turn in it.

use super::call::{CallId, Exit, ProcessKey, Streams};
use super::operation::{Event, NEVER, Outcome, Reply};
use super::work::{Ended, Work};
use crate::refusal::Refusal;

/// Where a process is in its life.
#[derive(Debug, PartialEq)]
pub enum Life {
    /// Not started.
    Created,
    /// An operation starts it.
    Starting {
        /// The call that waits for the start. None, if its caller has gone away.
        caller: Option<CallId>,
        /// The exit of the process, if it was told before the end of the start.
        parked: Option<Exit>,
    },
    /// Started.
    Running,
    /// Ended, and its exit is published.
    Stopped(Exit),
}

/// A process that containerd knows.
#[derive(Debug)]
pub struct Process {
    /// Its container and its id.
    pub key: ProcessKey,
    /// Its standard streams.
    pub streams: Streams,
    /// 0 before it has a number.
    pub pid: i32,
    /// Where it is in its life.
    pub life: Life,
    /// Whether its standard input is to end, which was said before it had a number.
    pub closes_stdin: bool,
    /// Calls of Wait.
    waits: Vec<CallId>,
    /// Calls of Delete. While there is one, the process is being deleted and starts no more.
    deletes: Vec<CallId>,
}

impl Process {
    /// A process that was not started.
    pub fn new(key: ProcessKey, streams: Streams, pid: i32) -> Process {
        Process {
            key,
            streams,
            pid,
            life: Life::Created,
            closes_stdin: false,
            waits: Vec::new(),
            deletes: Vec::new(),
        }
    }

    /// Whether it is being started, or runs.
    pub fn is_live(&self) -> bool {
        matches!(self.life, Life::Starting { .. } | Life::Running)
    }

    /// Whether its exit is published.
    pub fn is_stopped(&self) -> bool {
        matches!(self.life, Life::Stopped(_))
    }

    /// Whether a Delete of it is at work.
    pub fn is_being_deleted(&self) -> bool {
        !self.deletes.is_empty()
    }

    /// How it ended, once its exit is published.
    pub fn exit(&self) -> Option<Exit> {
        match self.life {
            Life::Stopped(exit) => Some(exit),
            _ => None,
        }
    }

    /// Lets the call wait for the start of the process. Returns whether the start must begin: a start that is at work
    /// goes on without its caller, and the next call takes the caller's place.
    ///
    /// Errors: FailedPrecondition, if it isn't created, or another call waits for its start.
    pub fn start(&mut self, call: CallId) -> Result<bool, Refusal> {
        let state = match &mut self.life {
            Life::Created if self.deletes.is_empty() => {
                self.life = Life::Starting { caller: Some(call), parked: None };
                return Ok(true);
            }
            Life::Starting { caller: caller @ None, .. } => {
                *caller = Some(call);
                return Ok(false);
            }
            Life::Created => "deleted",
            Life::Starting { .. } => "starting",
            Life::Running => "running",
            Life::Stopped(_) => "stopped",
        };
        Err(Refusal::precondition(format!("cannot start a {state} process")))
    }

    /// The start has come to its end: the event, then the reply. Returns an exit that was told before.
    ///
    /// An added process whose start fails has never been, for containerd: it is as before the start, no exit of it is
    /// published, and those who wait for its end hear why there is none.
    pub fn started(&mut self, result: Ended, work: &mut Work) -> Option<Exit> {
        let Life::Starting { caller, parked } = std::mem::replace(&mut self.life, Life::Created) else {
            return None;
        };
        let reply = match result {
            Ok(outcome) => Ok(self.began(outcome, work)),
            Err(refusal) => Err(refusal),
        };
        let has_been = reply.is_ok() || self.key.exec.is_none();
        if !has_been {
            self.answer_waits(&reply, work);
        }
        if let Some(caller) = caller {
            work.reply(caller, reply);
        }
        parked.filter(|_| has_been)
    }

    fn began(&mut self, outcome: Outcome, work: &mut Work) -> Reply {
        if let Outcome::Began { pid } = outcome {
            self.pid = pid;
        }
        self.life = Life::Running;
        work.publish(match self.key.exec {
            None => Event::Started(self.key.container.clone(), self.pid),
            Some(_) => Event::ExecStarted(self.key.clone(), self.pid),
        });
        Reply::Pid(self.pid)
    }

    /// Holds back an exit that is told before the end of the start. Returns whether it was the time for that.
    pub fn park(&mut self, exit: Exit) -> bool {
        let Life::Starting { parked, .. } = &mut self.life else { return false };
        parked.get_or_insert(exit);
        true
    }

    /// Whether it has ended though its start has not.
    pub fn is_parked(&self) -> bool {
        matches!(self.life, Life::Starting { parked: Some(_), .. })
    }

    /// It has ended: the event, then the replies to all who wait for the end.
    pub fn stop(&mut self, exit: Exit, work: &mut Work) {
        self.life = Life::Stopped(exit);
        work.publish(Event::Exited(self.key.clone(), self.pid, exit));
        self.answer_waits(&Ok(Reply::Exit(self.pid, exit)), work);
    }

    /// Replies to a Wait, or lets it wait.
    pub fn wait(&mut self, call: CallId) -> Option<Reply> {
        let Some(exit) = self.exit() else {
            self.waits.push(call);
            return None;
        };
        Some(Reply::Exit(self.pid, exit))
    }

    /// Replies to all who wait for the end.
    pub fn answer_waits(&mut self, reply: &Result<Reply, Refusal>, work: &mut Work) {
        work.reply_all(std::mem::take(&mut self.waits), reply);
    }

    /// Lets a Delete wait for the end of the deletion. Returns whether the deletion must begin: all calls that come
    /// while it is at work share its result.
    pub fn delete(&mut self, call: CallId) -> bool {
        self.deletes.push(call);
        self.deletes.len() == 1
    }

    /// The deletion has failed, and the process stays.
    pub fn keep(&mut self, refusal: Refusal, work: &mut Work) {
        work.reply_all(std::mem::take(&mut self.deletes), &Err(refusal));
    }

    /// The process leaves the books: everybody who waits is replied to.
    pub fn leave(mut self, work: &mut Work) {
        let exit = self.exit().unwrap_or(Exit { status: 0, at: NEVER });
        work.reply_all(std::mem::take(&mut self.deletes), &Ok(Reply::Exit(self.pid, exit)));
        let never = Refusal::not_found("was never started");
        self.answer_waits(&Err(never), work);
    }

    /// The call's caller has gone away.
    pub fn forget(&mut self, call: CallId) {
        self.waits.retain(|wait| *wait != call);
        match &mut self.life {
            Life::Starting { caller, .. } if *caller == Some(call) => *caller = None,
            _ => {}
        }
    }
}
