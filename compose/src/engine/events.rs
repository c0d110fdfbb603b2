//! Events: what happens to all objects, as it happens.

use std::collections::VecDeque;
use std::time::Duration;

use prost::Message;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::types::{Any, Empty, Timestamp};
use super::{Engine, calls};
use crate::error::{Error, Kind, Result};
use crate::id;

calls! { "events.v1.Events":
    "Publish": Publish => Empty,
    "Subscribe": Subscribe => Envelope,
}

#[derive(Clone, PartialEq, Message)]
pub struct Publish {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(message, optional, tag = "2")]
    pub event: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Subscribe {
    #[prost(string, repeated, tag = "1")]
    pub filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    #[prost(message, optional, tag = "1")]
    pub timestamp: Option<Timestamp>,
    #[prost(string, tag = "2")]
    pub namespace: String,
    #[prost(string, tag = "3")]
    pub topic: String,
    #[prost(message, optional, tag = "4")]
    pub event: Option<Any>,
}

/// The event of topic `/tasks/exit`.
#[derive(Clone, PartialEq, Message)]
pub struct TaskExit {
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// The same as the container's for the task itself, else the process's.
    #[prost(string, tag = "2")]
    pub id: String,
    #[prost(uint32, tag = "3")]
    pub pid: u32,
    #[prost(uint32, tag = "4")]
    pub exit_status: u32,
    #[prost(message, optional, tag = "5")]
    pub exited_at: Option<Timestamp>,
}

/// What the events of a process that `exec` has added begin with.
#[derive(Clone, PartialEq, Message)]
pub struct OfProcess {
    #[prost(string, tag = "1")]
    pub container_id: String,
    #[prost(string, tag = "2")]
    pub exec_id: String,
}

/// What the events of containers, of tasks and of images begin with: an id, or an image's name.
#[derive(Clone, PartialEq, Message)]
pub struct OfObject {
    #[prost(string, tag = "1")]
    pub id: String,
}

/// The topic of the event by which a subscriber knows that events reach it.
const HELLO: &str = "/corten-compose/hello";

/// How long the hello may take before it is said again.
const HELLO_PATIENCE: Duration = Duration::from_millis(50);

/// How often it is said.
const HELLOS_MAX: usize = 200;

/// How many events wait for whoever reads them, before containerd has to keep them.
const WAITING_MAX: usize = 256;

/// All events of the namespace since [`Engine::subscribe`] has returned.
pub struct Subscription {
    /// What came between the subscription and its hello.
    early: VecDeque<Envelope>,
    events: mpsc::Receiver<Result<Envelope>>,
    address: String,
    reading: JoinHandle<()>,
}

impl Engine {
    /// Subscribes to the events of the namespace. None that happens after the return is missed: containerd answers a
    /// subscription with its first event, so that one is asked for.
    pub async fn subscribe(&self) -> Result<Subscription> {
        let (sender, events) = mpsc::channel(WAITING_MAX);
        let reading = tokio::spawn(read(self.clone(), sender));
        let mut subscription =
            Subscription { early: VecDeque::new(), events, address: self.address.clone(), reading };
        let mark = id::random()?;
        for _ in 0..HELLOS_MAX {
            let event = Any { type_url: HELLO.to_owned(), value: mark.clone().into_bytes() };
            self.call(Publish { topic: HELLO.to_owned(), event: Some(event) }).await?;
            while let Ok(told) = timeout(HELLO_PATIENCE, subscription.receive()).await {
                let envelope = told?;
                if envelope.topic != HELLO {
                    subscription.early.push_back(envelope);
                } else if envelope.event.is_some_and(|event| event.value == mark.as_bytes()) {
                    return Ok(subscription);
                }
            }
        }
        let line = format!("containerd at {}: it sends no events", self.address());
        Err(Error::of_kind(Kind::Unavailable, line))
    }
}

impl Subscription {
    /// Waits for the next event.
    ///
    /// Errors: containerd has ended.
    pub async fn next(&mut self) -> Result<Envelope> {
        loop {
            let envelope = match self.early.pop_front() {
                Some(envelope) => envelope,
                None => self.receive().await?,
            };
            if envelope.topic != HELLO {
                return Ok(envelope);
            }
        }
    }

    async fn receive(&mut self) -> Result<Envelope> {
        self.events.recv().await.unwrap_or_else(|| Err(ended(&self.address)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn read(engine: Engine, sender: mpsc::Sender<Result<Envelope>>) {
    let filters = vec![format!("namespace=={:?}", engine.namespace())];
    let mut answers = match engine.follow(Subscribe { filters }).await {
        Ok(answers) => answers,
        Err(err) => return drop(sender.send(Err(err)).await),
    };
    loop {
        let told = answers.next().await.and_then(|told| told.ok_or_else(|| ended(engine.address())));
        let is_last = told.is_err();
        if sender.send(told).await.is_err() || is_last {
            return;
        }
    }
}

fn ended(address: &str) -> Error {
    Error::of_kind(Kind::Unavailable, format!("containerd at {address}: it has ended its stream of events"))
}
