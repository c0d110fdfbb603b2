//! containerd's service for events: keeps what shims send, in its order.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use containerd_shim_protos::api::{Empty, ForwardRequest};
use containerd_shim_protos::events::task::{
    TaskCreate, TaskDelete, TaskExecAdded, TaskExecStarted, TaskExit, TaskOOM, TaskPaused, TaskResumed,
    TaskStart,
};
use containerd_shim_protos::shim::event::Envelope;
use protobuf::{Message, MessageField};
use ttrpc::proto::{Request, Response};

use super::task::PATIENCE;

const HEADER_BYTES: usize = 10;
const RESPONSE: u8 = 2;

/// An event, without the fields that differ from run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Create(String),
    Start(String),
    ExecAdded(String, String),
    ExecStarted(String, String),
    /// The container, the process, and its status.
    Exit(String, String, u32),
    Delete(String, u32),
    Oom(String),
    Paused(String),
    Resumed(String),
}

impl Event {
    fn of(envelope: &Envelope) -> Event {
        fn read<M: Message>(envelope: &Envelope) -> M {
            M::parse_from_bytes(&envelope.event.value).expect("an event")
        }
        let name = envelope.event.type_url.strip_prefix("containerd.events.").expect("a bare name");
        let (topic, event) = match name {
            "TaskCreate" => ("create", Event::Create(read::<TaskCreate>(envelope).container_id)),
            "TaskStart" => ("start", Event::Start(read::<TaskStart>(envelope).container_id)),
            "TaskExecAdded" => {
                let TaskExecAdded { container_id, exec_id, .. } = read(envelope);
                ("exec-added", Event::ExecAdded(container_id, exec_id))
            }
            "TaskExecStarted" => {
                let TaskExecStarted { container_id, exec_id, pid, .. } = read(envelope);
                assert_ne!(pid, 0);
                ("exec-started", Event::ExecStarted(container_id, exec_id))
            }
            "TaskExit" => {
                let TaskExit { container_id, id, exit_status, pid, exited_at, .. } = read(envelope);
                assert!(pid != 0 && exited_at.seconds > 1_700_000_000);
                ("exit", Event::Exit(container_id, id, exit_status))
            }
            "TaskDelete" => {
                let TaskDelete { container_id, exit_status, .. } = read(envelope);
                ("delete", Event::Delete(container_id, exit_status))
            }
            "TaskOOM" => ("oom", Event::Oom(read::<TaskOOM>(envelope).container_id)),
            "TaskPaused" => ("paused", Event::Paused(read::<TaskPaused>(envelope).container_id)),
            "TaskResumed" => ("resumed", Event::Resumed(read::<TaskResumed>(envelope).container_id)),
            other => panic!("an event of type {other}"),
        };
        assert_eq!(envelope.topic, format!("/tasks/{topic}"));
        event
    }

    pub fn container(&self) -> &str {
        match self {
            Event::Create(id)
            | Event::Start(id)
            | Event::ExecAdded(id, _)
            | Event::ExecStarted(id, _)
            | Event::Exit(id, ..)
            | Event::Delete(id, _)
            | Event::Oom(id)
            | Event::Paused(id)
            | Event::Resumed(id) => id,
        }
    }
}

/// The events that have come in.
#[derive(Default)]
struct Seen {
    envelopes: Mutex<Vec<Envelope>>,
    more: Condvar,
    open: Mutex<Vec<UnixStream>>,
    /// The topic of the events that are refused.
    refused: Mutex<Option<&'static str>>,
}

/// A containerd's ear, which can be away for a while.
pub struct Events {
    path: PathBuf,
    seen: Arc<Seen>,
}

impl Events {
    pub fn listen(path: &Path) -> Events {
        let events = Events { path: path.to_owned(), seen: Arc::default() };
        events.come_back();
        events
    }

    /// Ends the service, as the end of containerd does: the socket stays, and nobody listens.
    pub fn go_away(&self) {
        // Whoever is connected is let go; a new socket, which nobody listens at, takes the old place.
        fs::remove_file(&self.path).expect("it is there");
        drop(UnixListener::bind(&self.path).expect("a socket"));
        for stream in locked(&self.seen.open).drain(..) {
            // The shim may have gone.
            stream.shutdown(std::net::Shutdown::Both).unwrap_or_default();
        }
    }

    pub fn come_back(&self) {
        fs::remove_file(&self.path).unwrap_or_default();
        let listener = UnixListener::bind(&self.path).expect("a socket");
        let (seen, path) = (Arc::clone(&self.seen), self.path.clone());
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if !path.exists() {
                    return;
                }
                let seen = Arc::clone(&seen);
                locked(&seen.open).push(stream.try_clone().expect("a copy"));
                std::thread::spawn(move || while serve_one(&stream, &seen).is_some() {});
            }
        });
    }

    /// Refuses all events of the topic, as containerd refuses what it can't read.
    pub fn refuse(&self, topic: &'static str) {
        *locked(&self.seen.refused) = Some(topic);
    }

    /// The envelopes until now.
    pub fn envelopes(&self) -> Vec<Envelope> {
        locked(&self.seen.envelopes).clone()
    }

    /// The events until now.
    pub fn all(&self) -> Vec<Event> {
        events_of(self.envelopes())
    }

    /// The events of a container until now.
    pub fn of(&self, id: &str) -> Vec<Event> {
        self.all().into_iter().filter(|event| event.container() == id).collect()
    }

    /// Waits for an event.
    pub fn wait_for(&self, event: &Event) {
        self.wait_until(&format!("{event:?}"), |events| events.contains(event));
    }

    pub fn wait_until(&self, what: &str, holds: impl Fn(&[Event]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut envelopes = locked(&self.seen.envelopes);
        loop {
            let events = events_of(envelopes.clone());
            if holds(&events) {
                return;
            }
            assert!(Instant::now() < deadline, "no {what} in {events:?}");
            let waited = self.seen.more.wait_timeout(envelopes, Duration::from_millis(200));
            envelopes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// An envelope whose receipt was lost with its connection comes again, and counts once.
fn events_of(mut envelopes: Vec<Envelope>) -> Vec<Event> {
    envelopes.dedup();
    envelopes.iter().map(Event::of).collect()
}

/// Answers a request. `None` when the connection has ended.
fn serve_one(mut stream: &UnixStream, seen: &Seen) -> Option<()> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).ok()?;
    let length = u32::from_be_bytes(header[..4].try_into().ok()?);
    let mut bytes = vec![0; length.try_into().ok()?];
    stream.read_exact(&mut bytes).ok()?;
    let request = Request::parse_from_bytes(&bytes).expect("a request");
    assert_eq!(
        (&*request.service, &*request.method),
        ("containerd.services.events.ttrpc.v1.Events", "Forward")
    );
    let forwarded = ForwardRequest::parse_from_bytes(&request.payload).expect("an event");
    let envelope = forwarded.envelope.unwrap();
    let code = if *locked(&seen.refused) == Some(&*envelope.topic) {
        ttrpc::Code::INVALID_ARGUMENT
    } else {
        locked(&seen.envelopes).push(envelope);
        seen.more.notify_all();
        ttrpc::Code::OK
    };
    let response = Response {
        status: MessageField::some(ttrpc::get_status(code, "")),
        payload: Empty::default().write_to_bytes().expect("bytes"),
        ..Response::default()
    };
    let body = response.write_to_bytes().expect("bytes");
    let length = u32::try_from(body.len()).expect("a short answer");
    let mut answer = [&length.to_be_bytes()[..], &header[4..8], &[RESPONSE, 0]].concat();
    answer.extend(body);
    stream.write_all(&answer).ok()
}

pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
