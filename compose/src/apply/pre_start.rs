//! A service's `pre_start` hooks: each runs to its end in a container of its own, with the mounts and networks of the
//! service's container, before that container starts.

use tokio::net::UnixStream;

use super::attach::frames;
use super::container::{self, New};
use super::hold::hold;
use super::hook::Lines;
use super::hooks_at_work::{AtWork, HooksAtWork};
use super::image::{self, Image, Shows, When};
use super::{resolved, stdio, task};
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::error::{Context, Error, Kind, Result};
use crate::id;
use crate::keep::attach_socket;
use crate::model::types::{Healthcheck, Hook, Mount, Project, Service};
use crate::model::values::MountKind;
use crate::observe::{self, Observed};
use crate::plan::graph::Target;
use crate::process::Process;
use crate::record::member::Member;

/// A hook, and the container that it goes before.
pub struct PreStart<'a> {
    pub project: &'a Project,
    pub target: &'a Target,
    /// The container that waits for it.
    pub one: &'a Observed,
    pub index: usize,
    pub image: &'a Image,
    pub member: Member,
}

impl PreStart<'_> {
    /// Runs the hook. `turn` waits for the project's lock, which is held while the hook's container is made. `show`
    /// gets each line that it puts out. A container whose hook has failed stays for its user to look at, until the next
    /// one is made. Nothing stays of one that is interrupted.
    pub async fn run<H>(
        self,
        (engine, disk, hooks): (&Engine, &Disk, &HooksAtWork),
        turn: impl AsyncFn() -> Result<H>,
        show: impl FnMut(&str),
    ) -> Result<()> {
        let Target { service: name, number, .. } = self.target;
        let unknown = || Error::of_kind(Kind::NotFound, format!("{name}: no such hook"));
        let definition = self.project.services.get(name).ok_or_else(unknown)?;
        let hook = definition.pre_start.get(self.index).ok_or_else(unknown)?;
        let what = format!("service {name:?} pre_start[{}]", self.index);
        let replica = if hook.per_replica { format!("-{number}") } else { String::new() };
        let own = format!("{}-{name}-pre_start-{}{replica}", self.project.name, self.index);
        let other = match &hook.image {
            Some(typed) => {
                let platform = definition.platform.as_deref();
                Some(image::ensure(engine, typed, When::Missing, platform, Shows::Progress).await.at(&what)?)
            }
            None => None,
        };
        let new = New {
            name: Some(own.clone()),
            service: service(resolved::service(self.project, name, definition)?, hook, self.one)?,
            image: other.as_ref().unwrap_or(self.image),
            binds: resolved::files(disk, self.project, definition)?,
            auto_remove: false,
            member: Some(Member { one_off: true, hook_of: Process::own(), ..self.member }),
            taken_over: Default::default(),
        };
        // Another command may be at the same hook. Whoever waits for it to end holds nothing else.
        let _alone = alone(disk, self.one.id()).await?;
        let held = turn().await?;
        // Another command has started the container meanwhile.
        if observe::one(engine, self.one.id()).await?.state.is_up() {
            return Ok(());
        }
        let at_work = hooks.begin()?;
        remove_stale(engine, disk, &own).await?;
        let made = container::create(engine, disk, new).await.at(&what)?;
        let made = observe::one(engine, &made).await?;
        drop(held);
        let mut lines = Lines::to(show);
        let code = match run((engine, disk), &made, &mut lines, &at_work).await {
            Ok(code) => code,
            Err(err) => {
                remove(engine, disk, &made).await?;
                return Err(err).at(&what);
            }
        };
        let last = lines.finish();
        if code == 0 {
            return remove(engine, disk, &made).await.at(&what);
        }
        let last = if last.is_empty() { last } else { format!(": {last}") };
        // Who has removed it has ended the hook.
        let kept =
            observe::one(engine, made.id()).await.at(format_args!("{what} exited with code {code}{last}"))?;
        let id = id::short(kept.id());
        Err(Error::new(format!(
            "{what} exited with code {code}{last} (hook container {id} retained for inspection)"
        )))
    }
}

/// A hook that has failed, or a command that was killed, has left its container.
async fn remove_stale(engine: &Engine, disk: &Disk, name: &str) -> Result<()> {
    let containers = observe::containers(engine).await?;
    let is_stale = |one: &&Observed| {
        let member = one.record.as_ref().and_then(|record| record.member.as_ref());
        one.name() == name && member.is_some_and(|member| member.one_off)
    };
    match containers.iter().find(is_stale) {
        Some(stale) => remove(engine, disk, stale).await,
        None => Ok(()),
    }
}

async fn remove(engine: &Engine, disk: &Disk, one: &Observed) -> Result<()> {
    let _held = hold(disk, one.id()).await?;
    container::remove(engine, disk, one, true).await
}

/// Waits until no other command runs a hook before the start of the container of that id.
async fn alone(disk: &Disk, id: &str) -> Result<impl Drop + use<>> {
    let place = disk.container(id).join("pre_start.lock");
    let locked = tokio::task::spawn_blocking(move || disk::lock_at(&place)).await;
    locked.map_err(|err| Error::new(err.to_string()))?.at("the lock of its hooks")
}

async fn run(
    (engine, disk): (&Engine, &Disk),
    made: &Observed,
    lines: &mut Lines<impl FnMut(&str)>,
    at_work: &AtWork<'_>,
) -> Result<u32> {
    let streams = stdio::kept(&disk.container(made.id()), false)?;
    let held = hold(disk, made.id()).await?;
    // Somebody may have removed it before it was held.
    observe::one(engine, made.id()).await?;
    container::prepare(engine, made, &streams).await?;
    let waiting = tokio::spawn({
        let (engine, id) = (engine.clone(), made.id().to_owned());
        async move { task::wait(&engine, &id).await }
    });
    let socket = attach_socket(&disk.running(made.id()));
    let output = UnixStream::connect(&socket).await.at(socket.display())?;
    container::begin(engine, made).await?;
    drop(held);
    // A keeper that is killed in the middle of a chunk shows no more.
    drop(at_work.unless_ended(frames(output, |_, chunk| lines.take(chunk))).await?);
    let code = waiting.await.map_err(|err| Error::new(err.to_string()))??;
    code.ok_or_else(|| Error::new("its end was seen by nobody"))
}

/// The service as the hook's container gets it.
fn service(service: Service, hook: &Hook, one: &Observed) -> Result<Service> {
    let record = one.record()?;
    let kept = &record.volumes;
    let mut volumes = service.volumes;
    for mount in volumes.iter_mut().filter(|mount| mount.kind == MountKind::Volume) {
        mount.source = mount.source.take().or_else(|| kept.get(&mount.target).cloned());
    }
    // Volumes that only the image names. Volumes of other containers are taken over once more.
    let is_own = |target: &String| record.inherited.iter().all(|mount| mount.target != *target);
    for (target, source) in kept.iter().filter(|(target, _)| is_own(target)) {
        if !volumes.iter().any(|mount| mount.target == *target) {
            let (target, source) = (target.clone(), Some(source.clone()));
            volumes.push(Mount { kind: MountKind::Volume, source, target, ..Mount::default() });
        }
    }
    let mut environment = service.environment;
    environment.extend(hook.environment.clone());
    Ok(Service {
        image: hook.image.clone().or(service.image),
        command: hook.command.clone(),
        user: hook.user.clone().or(service.user),
        working_dir: hook.working_dir.clone().or(service.working_dir),
        privileged: hook.privileged || service.privileged,
        environment,
        volumes,
        healthcheck: Some(Healthcheck { disable: true, ..Healthcheck::default() }),
        restart: None,
        deploy: service.deploy.map(|deploy| crate::model::types::Deploy { restart_policy: None, ..deploy }),
        container_name: None,
        ports: Vec::new(),
        stdin_open: false,
        tty: false,
        ..service
    })
}
