//! Events for containerd, in one queue: each is delivered before the next is sent, and they wait while containerd is
//! away.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use containerd_shim_protos::api::{Empty, ForwardRequest};
use containerd_shim_protos::events::task::{
    TaskCheckpointed, TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskIO, TaskOOM,
    TaskPaused, TaskResumed, TaskStart,
};
use containerd_shim_protos::shim::event::Envelope;
use containerd_shim_protos::shim_async::{Client, EventsClient};
use containerd_shim_protos::types::mount::Mount;
use protobuf::well_known_types::any::Any;
use protobuf::well_known_types::timestamp::Timestamp;
use protobuf::{Message, MessageField};
use tokio::sync::Notify;

use crate::log::{self, Level};
use crate::machine::call::{Creation, Exit};
use crate::machine::operation::Event;

/// How many events wait for a containerd that is away. Of more, the oldest are lost.
const WAITING_MAX: usize = 4096;
/// How long containerd may take to accept an event.
const DELIVERY: Duration = Duration::from_secs(5);
/// How long to wait before an event is tried again, at first and at last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// The queue.
pub struct Queue {
    namespace: String,
    address: String,
    waiting: Mutex<VecDeque<Envelope>>,
    changed: Notify,
}

impl Queue {
    /// For the containerd that listens for events at `address`.
    pub fn new(namespace: &str, address: &str) -> Queue {
        let address =
            if address.starts_with("unix://") { address.to_owned() } else { format!("unix://{address}") };
        Queue { namespace: namespace.to_owned(), address, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// Puts an event behind the others.
    pub fn push(&self, event: &Event) {
        let mut waiting = self.locked();
        if waiting.len() == WAITING_MAX {
            // The first may be on its way: it is taken out once it is delivered.
            drop(waiting.remove(1));
            log::say(Level::Error, "an event is lost: containerd is away for too long");
        }
        waiting.push_back(envelope(&self.namespace, event));
        drop(waiting);
        self.changed.notify_waiters();
    }

    /// Waits until all are delivered.
    pub async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            if self.locked().is_empty() {
                return;
            }
            changed.await;
        }
    }

    /// Delivers events for ever.
    pub async fn deliver(&self) {
        let mut client = None;
        let mut pause = PAUSES.0;
        loop {
            let changed = self.changed.notified();
            let Some(next) = self.locked().front().cloned() else {
                changed.await;
                continue;
            };
            let sent = self.send(&mut client, next).await;
            if sent.as_ref().err().is_none_or(is_refusal) {
                pause = PAUSES.0;
                self.locked().pop_front();
                self.changed.notify_waiters();
            } else {
                client = None;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }

    async fn send(&self, client: &mut Option<EventsClient>, envelope: Envelope) -> ttrpc::Result<()> {
        let client = match client {
            Some(client) => client,
            None => client.insert(EventsClient::new(Client::connect(&self.address).await?)),
        };
        let request = ForwardRequest { envelope: MessageField::some(envelope), ..ForwardRequest::default() };
        let context = ttrpc::context::with_duration(DELIVERY);
        let sent: ttrpc::Result<Empty> = client.forward(context, &request).await;
        sent.map(drop)
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, VecDeque<Envelope>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether containerd won't take the event, however often it is told: those behind it must not wait.
fn is_refusal(err: &ttrpc::Error) -> bool {
    let ttrpc::Error::RpcStatus(status) = err else { return false };
    let refused = status.code.enum_value() == Ok(ttrpc::Code::INVALID_ARGUMENT);
    if refused {
        log::say(Level::Error, &format!("containerd refuses an event: {}", status.message));
    }
    refused
}

fn envelope(namespace: &str, event: &Event) -> Envelope {
    let (topic, name, value) = message(event);
    Envelope {
        timestamp: MessageField::some(timestamp(SystemTime::now())),
        namespace: namespace.to_owned(),
        topic: topic.to_owned(),
        event: MessageField::some(Any {
            type_url: format!("containerd.events.{name}"),
            value: value.unwrap_or_default(),
            ..Any::default()
        }),
        ..Envelope::default()
    }
}

/// The topic, the name of the type, and the bytes.
fn message(event: &Event) -> (&'static str, &'static str, protobuf::Result<Vec<u8>>) {
    let pid_of = |pid: &i32| pid.unsigned_abs();
    match event {
        Event::Created(creation, pid) => {
            ("/tasks/create", "TaskCreate", task_create(creation, pid_of(pid)).write_to_bytes())
        }
        Event::Started(id, pid) => {
            let message = TaskStart { container_id: id.clone(), pid: pid_of(pid), ..TaskStart::default() };
            ("/tasks/start", "TaskStart", message.write_to_bytes())
        }
        Event::ExecAdded(key) => {
            let (container_id, exec_id) = (key.container.clone(), key.exec.clone().unwrap_or_default());
            let message = TaskExecAdded { container_id, exec_id, ..TaskExecAdded::default() };
            ("/tasks/exec-added", "TaskExecAdded", message.write_to_bytes())
        }
        Event::ExecStarted(key, pid) => {
            let (container_id, exec_id) = (key.container.clone(), key.exec.clone().unwrap_or_default());
            let message =
                TaskExecStarted { container_id, exec_id, pid: pid_of(pid), ..TaskExecStarted::default() };
            ("/tasks/exec-started", "TaskExecStarted", message.write_to_bytes())
        }
        Event::Exited(key, pid, exit) => {
            let message = TaskExit {
                container_id: key.container.clone(),
                // Init goes by the container's id.
                id: key.exec.clone().unwrap_or_else(|| key.container.clone()),
                pid: pid_of(pid),
                exit_status: exit.status,
                exited_at: exited_at(exit),
                ..TaskExit::default()
            };
            ("/tasks/exit", "TaskExit", message.write_to_bytes())
        }
        Event::Deleted(id, pid, exit) => {
            let message = TaskDelete {
                container_id: id.clone(),
                pid: pid_of(pid),
                exit_status: exit.status,
                exited_at: exited_at(exit),
                ..TaskDelete::default()
            };
            ("/tasks/delete", "TaskDelete", message.write_to_bytes())
        }
        Event::OutOfMemory(id) => {
            let message = TaskOOM { container_id: id.clone(), ..TaskOOM::default() };
            ("/tasks/oom", "TaskOOM", message.write_to_bytes())
        }
        Event::Paused(id) => {
            let message = TaskPaused { container_id: id.clone(), ..TaskPaused::default() };
            ("/tasks/paused", "TaskPaused", message.write_to_bytes())
        }
        Event::Resumed(id) => {
            let message = TaskResumed { container_id: id.clone(), ..TaskResumed::default() };
            ("/tasks/resumed", "TaskResumed", message.write_to_bytes())
        }
        Event::Checkpointed(id, path) => {
            let checkpoint = path.to_string_lossy().into_owned();
            let message =
                TaskCheckpointed { container_id: id.clone(), checkpoint, ..TaskCheckpointed::default() };
            ("/tasks/checkpointed", "TaskCheckpointed", message.write_to_bytes())
        }
    }
}

fn task_create(creation: &Creation, pid: u32) -> TaskCreate {
    let streams = &creation.streams;
    let rootfs = creation.rootfs.iter().map(|mount| Mount {
        type_: mount.kind.clone(),
        source: mount.source.clone(),
        target: mount.target.clone(),
        options: mount.options.clone(),
        ..Mount::default()
    });
    TaskCreate {
        container_id: creation.id.clone(),
        bundle: creation.bundle.to_string_lossy().into_owned(),
        rootfs: rootfs.collect(),
        io: MessageField::some(TaskIO {
            stdin: streams.stdin.clone(),
            stdout: streams.stdout.clone(),
            stderr: streams.stderr.clone(),
            terminal: streams.terminal,
            ..TaskIO::default()
        }),
        checkpoint: creation
            .checkpoint
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned())
            .unwrap_or_default(),
        pid,
        ..TaskCreate::default()
    }
}

fn exited_at(exit: &Exit) -> MessageField<Timestamp> {
    MessageField::some(timestamp(exit.at))
}

/// The time as protobuf has it.
pub fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().try_into().unwrap_or_default(),
        ..Timestamp::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_that_is_on_its_way_is_not_the_one_that_is_lost() {
        let queue = Queue::new("ns", "/nobody");
        for number in 0..WAITING_MAX + 2 {
            queue.push(&Event::Paused(format!("c{number}")));
        }
        let waiting = queue.locked();
        let expected = |number: usize| envelope("ns", &Event::Paused(format!("c{number}"))).event;
        assert_eq!(waiting.len(), WAITING_MAX);
        assert_eq!([&waiting[0].event, &waiting[1].event], [&expected(0), &expected(3)]);
    }
}
