//! The shim as it serves: the machine, and what carries out its effects.

pub mod operations;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use corten::error::best_effort;
use tokio::sync::{Notify, oneshot};

use self::operations::Works;
use crate::events::Queue;
use crate::machine::Machine;
use crate::machine::call::{Call, CallId, Input};
use crate::machine::operation::{Effect, Reply};
use crate::refusal::Refusal;
use crate::socket::Served;
use crate::stdio::loggers_ended;

/// How long the end of the shim waits for a containerd that takes no events.
const LAST_EVENTS: Duration = Duration::from_secs(10);
/// How long loggers may take that were told to end: they may have to be killed.
const LAST_LOGGERS: Duration = Duration::from_secs(30);
/// How long the last replies may take on their way.
const LAST_REPLIES: Duration = Duration::from_millis(50);

type Answer = Result<Reply, Refusal>;

/// The shim of a group of containers.
pub struct Shim {
    machine: Mutex<Machine>,
    waiting: Mutex<BTreeMap<CallId, oneshot::Sender<Answer>>>,
    next_call: AtomicU64,
    /// On their way to containerd.
    pub events: Queue,
    /// Carries out operations.
    pub works: Works,
    /// Told when the shim has nothing more to do.
    pub quit: Notify,
    /// Until it is retired.
    socket: Mutex<Option<Served>>,
}

impl Shim {
    /// A shim without a container, which is reached by `socket`.
    pub fn new(events: Queue, works: Works, socket: Option<Served>) -> Shim {
        Shim {
            machine: Mutex::new(Machine::new()),
            waiting: Mutex::default(),
            next_call: AtomicU64::new(0),
            events,
            works,
            quit: Notify::new(),
            socket: Mutex::new(socket),
        }
    }

    /// Lets nobody find this shim any more: the next `start` begins another.
    pub fn retire(&self) {
        if let Some(socket) = locked(&self.socket).take() {
            best_effort(socket.retire(), "a dead socket is replaced by the next `start`");
        }
    }

    /// Makes a call, and waits for its reply.
    pub async fn call(self: &Arc<Self>, call: Call) -> Answer {
        let id = CallId(self.next_call.fetch_add(1, Ordering::Relaxed));
        let (sender, reply) = oneshot::channel();
        locked(&self.waiting).insert(id, sender);
        let mut caller = Caller { shim: self, id, waits: true };
        self.tell(Input::Call(id, call));
        let answer = reply.await;
        caller.waits = false;
        answer.unwrap_or_else(|_| Err(Refusal::unknown("the shim has no reply")))
    }

    /// Tells the machine something, and carries out what it says, in its order.
    ///
    /// Needs: the one thread of the server, so that nobody's effects come between.
    pub fn tell(self: &Arc<Self>, input: Input) {
        let effects = locked(&self.machine).handle(input);
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(self: &Arc<Self>, effect: Effect) {
        match effect {
            Effect::Begin(id, operation) => {
                let shim = Arc::clone(self);
                tokio::spawn(async move {
                    let result = shim.works.carry_out(&shim, operation).await;
                    shim.tell(Input::Done(id, result));
                });
            }
            Effect::Abandon(container) => self.works.abandon(&container),
            Effect::Reply(id, answer) => {
                if let Some(caller) = locked(&self.waiting).remove(&id) {
                    // Whoever has gone doesn't want it.
                    drop(caller.send(answer));
                }
            }
            Effect::Publish(event) => self.events.push(&event),
            Effect::StoreExit(container, exit) => self.works.store_exit(&container, exit),
            Effect::Quit => {
                self.retire();
                let shim = Arc::clone(self);
                tokio::spawn(async move {
                    let delivered = shim.events.drained();
                    drop(tokio::time::timeout(LAST_EVENTS, delivered).await);
                    tokio::time::sleep(LAST_REPLIES).await;
                    drop(tokio::time::timeout(LAST_LOGGERS, loggers_ended()).await);
                    shim.quit.notify_one();
                });
            }
        }
    }
}

/// Somebody who waits for a reply. When the connection ends before, the call is dropped, and the machine forgets it.
struct Caller<'a> {
    shim: &'a Arc<Shim>,
    id: CallId,
    waits: bool,
}

impl Drop for Caller<'_> {
    fn drop(&mut self) {
        if self.waits {
            locked(&self.shim.waiting).remove(&self.id);
            self.shim.tell(Input::Forgotten(self.id));
        }
    }
}

/// What the mutex holds: nothing that runs while it is locked leaves it half done.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
