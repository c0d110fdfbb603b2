//! The steps of a project's plan, each done to containerd and to the disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use tokio::time::timeout;

use super::awaited::Awaited;
use super::container::{self, New};
use super::hold::hold;
use super::hooks_at_work::HooksAtWork;
use super::image::Image;
use super::pre_start::PreStart;
use super::project_lock::{Held, InTurns};
use super::stop::How;
use super::volume::{self, Volume};
use super::walk::Progress;
use super::{hook, keeper, resolved, stop, task, want};
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{Context, Error, Kind, Result, absent_is_fine};
use crate::model::types::{Project, Service};
use crate::model::values::{self, Condition};
use crate::net::network::{Network, Wanted};
use crate::net::pool::Pool;
use crate::observe::{self, Observed, State};
use crate::plan::actual::Ingredients;
use crate::plan::graph::{Action, AnonymousVolumes, Creation, Goal, Named, Step, Target, Turn};
use crate::plan::wanted::{Facts, networks_of, volumes_of};
use crate::record::member::{Member, object_labels};
use crate::{id, signals, time};

/// Carries out the steps of a project's plan.
pub struct Performer<'a> {
    engine: &'a Engine,
    disk: &'a Disk,
    project: &'a Project,
    facts: &'a Facts,
    /// The images of the services.
    images: &'a BTreeMap<String, Image>,
    /// How long a container has from its stop signal to SIGKILL, if somebody says.
    stop_seconds: Option<i64>,
    /// Where hooks say that they are at work, and whether the user reads what they put out.
    hooks: (&'a HooksAtWork, bool),
    /// How long is waited for a container at most, if somebody says.
    wait_timeout: Option<Duration>,
    /// The project's lock, unless whoever calls holds it.
    turns: Option<InTurns>,
    /// The ids of containers that were made, by name and generation.
    made: RefCell<BTreeMap<(String, u64), String>>,
}

impl<'a> Performer<'a> {
    pub fn new(
        (engine, disk): (&'a Engine, &'a Disk),
        (project, facts): (&'a Project, &'a Facts),
        images: &'a BTreeMap<String, Image>,
        stop_seconds: Option<i64>,
        hooks: (&'a HooksAtWork, bool),
    ) -> Performer<'a> {
        Performer {
            engine,
            disk,
            project,
            facts,
            images,
            stop_seconds,
            hooks,
            wait_timeout: None,
            turns: None,
            made: RefCell::default(),
        }
    }

    /// With an end of all waits for containers, if somebody says.
    pub fn waiting_at_most(self, wait_timeout: Option<Duration>) -> Performer<'a> {
        Performer { wait_timeout, ..self }
    }

    /// With the project's lock, which steps that only wait let go of.
    pub fn in_turns(self, held: Held) -> Performer<'a> {
        Performer { turns: Some(InTurns::new(held)), ..self }
    }

    /// Carries out a step, or skips it.
    pub async fn perform(&self, step: Step) -> Result<Progress> {
        let action = step.action;
        // These take as long as a container or a hook takes.
        let waits =
            matches!(action, Action::Await(..) | Action::RunHook(..) | Action::Stop(_) | Action::Kill(..));
        if waits {
            self.turns.iter().for_each(InTurns::let_go);
        }
        let _held = if waits { None } else { self.turn().await? };
        match action {
            Action::Await(target, goal) => self.wait_in_time(&target, goal).await,
            Action::RemoveNetwork(named) => self.remove_network(&named),
            Action::RemoveVolume(named) => self.remove_volume(&named).await,
            action => self.act(action).await.map(|()| Progress::Done),
        }
    }

    /// The project's lock, for a step that changes something.
    async fn turn(&self) -> Result<Option<Held>> {
        match &self.turns {
            Some(turns) => turns.hold().await.map(Some),
            None => Ok(None),
        }
    }

    async fn act(&self, action: Action) -> Result<()> {
        match action {
            Action::CreateNetwork(named) => self.create_network(&named),
            Action::CreateVolume(named) => self.create_volume(&named),
            Action::Create(creation) => self.create(&creation).await.at(&creation.target.name),
            Action::Start(target) => self.start(&target).await.at(&target.name),
            // What these come to is told by [`Performer::perform`].
            Action::Await(..) | Action::RemoveNetwork(_) | Action::RemoveVolume(_) => Ok(()),
            Action::Kill(target, signal) => self.kill(&target, &signal).await.at(&target.name),
            Action::Pause(target) => self.pause(&target).await.at(&target.name),
            Action::Unpause(target) => self.unpause(&target).await.at(&target.name),
            Action::RunHook(target, turn, index) => self.run_hook(&target, turn, index).await,
            Action::Stop(target) => self.stop(&target).await.at(&target.name),
            Action::Remove(target, volumes) => self.remove(&target, volumes).await.at(&target.name),
        }
    }

    // ---- networks and volumes

    fn create_network(&self, named: &Named) -> Result<()> {
        let network = self.project.networks.get(&named.key).ok_or_else(|| unknown(&named.key))?;
        let mut wanted = Wanted::of(network, now())?;
        wanted.labels.extend(object_labels(
            &self.project.name,
            "network",
            &named.key,
            self.hash(&self.facts.networks, &named.key),
        ));
        match Network::create(self.disk, wanted, &Pool::default()) {
            Err(err) if err.kind() != Kind::AlreadyExists => Err(err),
            _ => Ok(()),
        }
    }

    fn remove_network(&self, named: &Named) -> Result<Progress> {
        unless_in_use(Network::remove(self.disk, &named.name))
    }

    async fn remove_volume(&self, named: &Named) -> Result<Progress> {
        unless_in_use(volume::remove_unused(self.engine, self.disk, &named.name).await)
    }

    fn create_volume(&self, named: &Named) -> Result<()> {
        let wanted = self.project.volumes.get(&named.key).ok_or_else(|| unknown(&named.key))?;
        let ours = object_labels(
            &self.project.name,
            "volume",
            &named.key,
            self.hash(&self.facts.volumes, &named.key),
        );
        let mut volume = Volume::of(wanted);
        volume.labels.extend(ours);
        volume::ensure(self.disk, &volume)
    }

    fn hash<'f>(&self, facts: &'f BTreeMap<String, String>, key: &str) -> &'f str {
        facts.get(key).map_or("", String::as_str)
    }

    // ---- containers

    async fn create(&self, creation: &Creation) -> Result<()> {
        let target = &creation.target;
        let service = self.service(target)?;
        let image = self.images.get(&target.service).ok_or_else(|| Error::new("it has no image"))?;
        let new = New {
            name: Some(target.name.clone()),
            service: self.resolved(&target.service, service).await?,
            image,
            binds: resolved::files(self.disk, self.project, service)?,
            auto_remove: false,
            member: Some(self.member(target, service)?),
            taken_over: creation.anonymous_volumes.clone(),
        };
        let id = container::create(self.engine, self.disk, new).await?;
        self.made.borrow_mut().insert((target.name.clone(), target.generation), id);
        Ok(())
    }

    /// Makes a container of `run`, and gives its id. It answers to its service's name only if somebody asks for that.
    pub async fn create_one_off(&self, one_off: OneOff<'_>) -> Result<String> {
        let OneOff { service: key, name, slug, auto_remove, use_aliases } = one_off;
        let target =
            Target { name: name.to_owned(), service: key.to_owned(), number: 1, generation: 0, id: None };
        let definition = self.service(&target)?;
        let image = self.images.get(key).ok_or_else(|| Error::new("it has no image"))?;
        let mut service = self.resolved(key, definition).await?;
        if !use_aliases {
            service.networks.values_mut().for_each(|attachment| attachment.aliases.clear());
        }
        let new = New {
            name: Some(target.name.clone()),
            service,
            image,
            binds: resolved::files(self.disk, self.project, definition)?,
            auto_remove,
            member: Some(Member {
                one_off: true,
                slug: slug.to_owned(),
                ..self.member(&target, definition)?
            }),
            taken_over: BTreeMap::new(),
        };
        container::create(self.engine, self.disk, new).await
    }

    /// The service as its containers get it.
    async fn resolved(&self, key: &str, definition: &Service) -> Result<Service> {
        let mut service = resolved::service(self.project, key, definition)?;
        if !(service.links.is_empty() && service.external_links.is_empty()) {
            resolved::link(&mut service, self.project, &observe::containers(self.engine).await?)?;
        }
        Ok(service)
    }

    fn member(&self, target: &Target, service: &Service) -> Result<Member> {
        let fact = |facts: &BTreeMap<String, String>| self.hash(facts, &target.service).to_owned();
        let mut networks = BTreeMap::new();
        for name in networks_of(self.project, service) {
            let id = Network::load(self.disk, &name)?.id;
            networks.insert(name, id);
        }
        let mut volumes = BTreeMap::new();
        for name in volumes_of(self.project, service) {
            let found = volume::find(self.disk, &name)?;
            volumes.insert(name, found.map(|volume| volume.created).unwrap_or_default());
        }
        let made_of = Ingredients {
            config: fact(&self.facts.services),
            image: fact(&self.facts.images),
            files: fact(&self.facts.files),
            networks,
            volumes,
        };
        let files = self.project.files.iter().map(|file| file.to_string_lossy().into_owned());
        let depends_on = service.depends_on.iter().map(|(name, dependency)| {
            format!("{name}:{}:{}", condition_name(dependency.condition), dependency.restart)
        });
        Ok(Member {
            project: self.project.name.clone(),
            service: target.service.clone(),
            number: target.number,
            one_off: false,
            hook_of: None,
            slug: String::new(),
            generation: target.generation,
            made_of,
            directory: self.project.directory.to_string_lossy().into_owned(),
            files: files.collect::<Vec<_>>().join(","),
            depends_on: depends_on.collect::<Vec<_>>().join(","),
        })
    }

    async fn start(&self, target: &Target) -> Result<()> {
        let _held = hold(self.disk, self.find(target).await?.id()).await?;
        let one = self.find(target).await?;
        if one.state.is_up() {
            return want::confirm(self.engine, &one).await;
        }
        container::put_last_away(self.engine, self.disk, &one).await?;
        let streams = keeper::streams(self.disk, &one).await?;
        container::start(self.engine, &one, &streams).await
    }

    /// Runs a hook. What doesn't run is stopped without one.
    async fn run_hook(&self, target: &Target, turn: Turn, index: usize) -> Result<()> {
        let service = self.service(target)?;
        let (hooks, is_shown) = self.hooks;
        let one = match self.find(target).await {
            Err(err) if turn == Turn::PreStop && err.kind() == Kind::NotFound => return Ok(()),
            found => found?,
        };
        let show = |line: &str| {
            if is_shown {
                // Who doesn't want to read it has gone.
                let (service, number) = (&target.service, target.number);
                drop(writeln!(std::io::stdout(), "{service}-{number} ->  | {line}"));
            }
        };
        let of_turn = match turn {
            Turn::PreStart => {
                let image = self.images.get(&target.service).ok_or_else(|| Error::new("it has no image"))?;
                let member = self.member(target, service)?;
                let hook = PreStart { project: self.project, target, one: &one, index, image, member };
                return hook.run((self.engine, self.disk, hooks), async || self.turn().await, show).await;
            }
            Turn::PreStop if one.state != State::Running => return Ok(()),
            Turn::PreStop => &service.pre_stop,
            Turn::PostStart => &service.post_start,
        };
        let hook = of_turn.get(index).ok_or_else(|| unknown(&target.service))?;
        hook::run((self.engine, self.disk, hooks), &one, (&target.service, hook), show).await
    }

    async fn stop(&self, target: &Target) -> Result<()> {
        let how = How { signal: None, seconds: self.stop_seconds };
        match self.find(target).await {
            // Somebody else has removed it.
            Err(err) if err.kind() == Kind::NotFound => Ok(()),
            found => stop::stop(self.engine, self.disk, found?.id(), how).await,
        }
    }

    async fn kill(&self, target: &Target, signal: &str) -> Result<()> {
        let id = self.find(target).await?.id().to_owned();
        stop::kill(self.engine, self.disk, &id, signals::number(signal)?).await
    }

    async fn pause(&self, target: &Target) -> Result<()> {
        task::pause(self.engine, &self.find(target).await?).await
    }

    async fn unpause(&self, target: &Target) -> Result<()> {
        task::unpause(self.engine, &self.find(target).await?).await
    }

    async fn remove(&self, target: &Target, volumes: AnonymousVolumes) -> Result<()> {
        let found = match self.find(target).await {
            // Whoever starts it is done before, and nobody starts it afterwards.
            Ok(one) => hold(self.disk, one.id()).await.map(|held| (held, one)),
            Err(err) => Err(err),
        };
        match found {
            Ok((_held, one)) => {
                container::remove(self.engine, self.disk, &one, volumes == AnonymousVolumes::Remove).await
            }
            Err(err) if err.kind() == Kind::NotFound => Ok(()),
            Err(err) => Err(err),
        }
    }

    /// Waits for a container for as long as is said.
    ///
    /// Errors: in docker compose's words, when the time is over, or when it will never be that far and has to.
    async fn wait_in_time(&self, target: &Target, goal: Goal) -> Result<Progress> {
        let id = self.find(target).await.at(&target.name)?.id().to_owned();
        let awaited = Awaited { engine: self.engine, disk: self.disk, target, id: &id };
        let waiting = awaited.wait_for(goal);
        let Some(patience) = self.wait_timeout else { return waiting.await };
        let over = || Error::new(format!("application not healthy after {}", values::Duration(patience)));
        timeout(patience, waiting).await.unwrap_or_else(|_| Err(over()))
    }

    // ---- containers that are there

    async fn find(&self, target: &Target) -> Result<Observed> {
        let typed = self.id(target);
        if id::is_whole(&typed) {
            return observe::one(self.engine, &typed).await;
        }
        observe::find(&observe::containers(self.engine).await?, &typed).cloned()
    }

    fn id(&self, target: &Target) -> String {
        let made = self.made.borrow();
        let made = made.get(&(target.name.clone(), target.generation)).cloned();
        target.id.clone().or(made).unwrap_or_else(|| target.name.clone())
    }

    fn service(&self, target: &Target) -> Result<&'a Service> {
        self.project.services.get(&target.service).ok_or_else(|| unknown(&target.service))
    }
}

/// A container of `run`.
pub struct OneOff<'a> {
    pub service: &'a str,
    pub name: &'a str,
    /// What tells it from others of the service.
    pub slug: &'a str,
    pub auto_remove: bool,
    /// Whether it answers to its service's name.
    pub use_aliases: bool,
}

/// A network or a volume that others use stays, as it does with docker compose.
fn unless_in_use(removed: Result<()>) -> Result<Progress> {
    match removed {
        Err(err) if err.kind() == Kind::WrongState => Ok(Progress::InUse),
        removed => absent_is_fine(removed).map(|()| Progress::Done),
    }
}

fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::CompletedSuccessfully => "service_completed_successfully",
    }
}

fn unknown(key: &str) -> Error {
    Error::of_kind(Kind::NotFound, format!("{key}: not in the project"))
}

fn now() -> String {
    time::rfc3339(time::now().as_secs() as i64, 0)
}
