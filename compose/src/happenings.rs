//! What happens to containers and images: containerd's events, and what our own commands and keepers announce, in
//! Docker's words.

use std::collections::{BTreeMap, HashMap};

use prost::Message;

use crate::engine::Engine;
use crate::engine::announce::{Done, TOPIC};
use crate::engine::containers::{Container, GetContainer};
use crate::engine::events::{Envelope, OfObject, OfProcess, Subscription, TaskExit};
use crate::error::Result;
use crate::record;
use crate::reference::familiar;
use crate::view::events::Event;

/// Labels that are nobody's but containerd's and its clients'.
const HIDDEN: [&str; 5] =
    ["containerd.io/", "io.containerd", "io.cri-containerd", "nerdctl/", "corten.compose/"];

/// Events from a moment on, with what is known of the containers that they are about.
pub struct Happenings {
    engine: Engine,
    subscription: Subscription,
    known: HashMap<String, About>,
}

/// What the events of a container say beside its id.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub name: String,
    pub image: String,
    pub labels: BTreeMap<String, String>,
}

impl About {
    fn of(container: &Container) -> About {
        let record = record::Record::of(container).ok().flatten();
        let mut container = container.clone();
        record.iter().for_each(|record| record.complete(&mut container));
        let labels = &container.labels;
        let named = labels.get(record::NAME).or_else(|| labels.get("nerdctl/name"));
        let is_shown = |(name, _): &(&String, &String)| !HIDDEN.iter().any(|start| name.starts_with(start));
        let shown = labels.iter().filter(is_shown);
        let typed = record.map(|record| record.image);
        About {
            name: named.unwrap_or(&container.id).clone(),
            image: typed.unwrap_or_else(|| familiar(&container.image)),
            labels: shown.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

impl Happenings {
    /// All that happens from now on.
    pub async fn of(engine: &Engine) -> Result<Happenings> {
        let subscription = engine.subscribe().await?;
        let containers = engine.containers().await?;
        let known = containers.iter().map(|container| (container.id.clone(), About::of(container)));
        Ok(Happenings { engine: engine.clone(), subscription, known: known.collect() })
    }

    /// Waits for the next event that Docker would tell of.
    ///
    /// Errors: containerd has ended.
    pub async fn next(&mut self) -> Result<Event> {
        loop {
            let envelope = self.subscription.next().await?;
            if let Some(event) = self.event(&envelope).await {
                return Ok(event);
            }
        }
    }

    async fn event(&mut self, envelope: &Envelope) -> Option<Event> {
        let Told { kind, action, id, mut attributes } = told(envelope)?;
        if kind == "container" {
            if action == "create" || !self.known.contains_key(&id) {
                let get = GetContainer { id: id.clone() };
                // One that is gone already has no name any more.
                let found = self.engine.call(get).await.ok().and_then(|answer| answer.container);
                let about = found.as_ref().map_or_else(|| nameless(&id), About::of);
                self.known.insert(id.clone(), about);
            }
            if let (Some(about), "rename", Some(name)) =
                (self.known.get_mut(&id), action.as_str(), attributes.get("name"))
            {
                about.name.clone_from(name);
            }
            let about = match action.as_str() {
                "destroy" => self.known.remove(&id),
                _ => self.known.get(&id).cloned(),
            };
            let about = about.unwrap_or_else(|| nameless(&id));
            let own = [("image", about.image), ("name", about.name)];
            let own = own.map(|(name, value)| (name.to_owned(), value));
            attributes = about.labels.into_iter().chain(own).chain(attributes).collect();
        }
        let at = envelope.timestamp.unwrap_or_default();
        let at = (at.seconds, u32::try_from(at.nanos).unwrap_or_default());
        Some(Event { at, kind, action, id, attributes })
    }
}

fn nameless(id: &str) -> About {
    About { name: id.to_owned(), ..About::default() }
}

/// What an event of containerd's says by itself.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    kind: &'static str,
    action: String,
    id: String,
    attributes: BTreeMap<String, String>,
}

/// None: nothing that Docker would tell of.
fn told(envelope: &Envelope) -> Option<Told> {
    let message = envelope.event.as_ref()?;
    let object = || OfObject::decode(message.value.as_slice()).ok().map(|object| object.id);
    let of = |kind, action: &str, id, attributes: &[(&str, String)]| {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Some(Told { kind, action: action.to_owned(), id, attributes: attributes.collect() })
    };
    let process = |action| {
        let process = OfProcess::decode(message.value.as_slice()).ok()?;
        of("container", action, process.container_id, &[("execID", process.exec_id)])
    };
    match envelope.topic.as_str() {
        "/containers/create" => of("container", "create", object()?, &[]),
        "/containers/delete" => of("container", "destroy", object()?, &[]),
        "/tasks/start" => of("container", "start", object()?, &[]),
        "/tasks/oom" => of("container", "oom", object()?, &[]),
        "/tasks/paused" => of("container", "pause", object()?, &[]),
        "/tasks/resumed" => of("container", "unpause", object()?, &[]),
        "/tasks/exec-added" => process("exec_create"),
        "/tasks/exec-started" => process("exec_start"),
        "/tasks/exit" => {
            let exit = TaskExit::decode(message.value.as_slice()).ok()?;
            let code = ("exitCode", exit.exit_status.to_string());
            if exit.id == exit.container_id {
                of("container", "die", exit.container_id, &[code])
            } else {
                of("container", "exec_die", exit.container_id, &[("execID", exit.id), code])
            }
        }
        "/images/create" | "/images/update" => image(object()?, "tag"),
        "/images/delete" => image(object()?, "untag"),
        topic if topic.starts_with(TOPIC) => {
            let Done { id, action, attributes } = message.read_json().ok()?;
            Some(Told { kind: "container", action, id, attributes })
        }
        _ => None,
    }
}

fn image(name: String, action: &str) -> Option<Told> {
    let attributes = BTreeMap::from([("name".to_owned(), familiar(&name))]);
    Some(Told { kind: "image", action: action.to_owned(), id: familiar(&name), attributes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::types::Any;

    fn envelope(topic: &str, message: &impl Message) -> Envelope {
        let event = Some(Any::message("", message));
        Envelope { topic: topic.to_owned(), event, ..Envelope::default() }
    }

    #[test]
    fn the_end_of_a_container_is_told_apart_from_that_of_its_processes() {
        let exit = |id: &str| {
            let exit =
                TaskExit { container_id: "c".into(), id: id.into(), exit_status: 3, ..TaskExit::default() };
            told(&envelope("/tasks/exit", &exit)).unwrap()
        };
        assert_eq!((exit("c").action.as_str(), exit("c").attributes["exitCode"].as_str()), ("die", "3"));
        assert_eq!((exit("p").action.as_str(), exit("p").attributes["execID"].as_str()), ("exec_die", "p"));
        assert_eq!(exit("p").id, "c");
    }

    #[test]
    fn what_is_announced_is_told_and_what_is_no_event_of_dockers_is_not() {
        let done = Done::to("c", "health_status: healthy").with("a", 1);
        let event = Some(Any::json("", &done).unwrap());
        let topic = format!("{TOPIC}health_status");
        let told_of = told(&Envelope { topic: topic.clone(), event, ..Envelope::default() }).unwrap();
        assert_eq!(
            (told_of.action.as_str(), told_of.attributes["a"].as_str()),
            ("health_status: healthy", "1")
        );
        assert_eq!(told(&envelope(&topic, &OfObject { id: "no json".into() })), None);
        assert_eq!(told(&envelope("/snapshot/prepare", &OfObject::default())), None);
        assert_eq!(told(&Envelope { topic: "/tasks/start".into(), ..Envelope::default() }), None);
    }
}
