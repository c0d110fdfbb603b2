//! A container's life: created under a lease, started, removed in the order that leaves nothing.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::image::Image;
use super::joined::{joined, rejoined};
use super::keeper::{self, Told};
use super::stdio::Streams;
use super::sweep::Making;
use super::view::Views;
use super::volume::Volume;
use super::want::{unwanted, want};
use super::{host, inherited, linked, stop, task, unpack, user, view, volume};
use crate::disk::{self, Disk};
use crate::engine::Engine;
use crate::engine::containers::{Container, CreateContainer, DeleteContainer, RuncOptions, Runtime};
use crate::engine::snapshots::{Prepare, RemoveSnapshot};
use crate::engine::types::{Any, Mount as Layer};
use crate::error::{Context, Error, Kind, Result, absent_is_fine};
use crate::model::refused::refused;
use crate::model::types::{Mount, Service};
use crate::model::values::MountKind;
use crate::net::endpoint::Endpoints;
use crate::net::hook::NAMESPACE;
use crate::observe::{self, Observed};
use crate::record::member::Member;
use crate::record::{self, Record, Wanted};
use crate::spec::{self, Bind, Inputs};
use crate::subpath::{Subpath, Subpaths};
use crate::{id, keep, names, net};

pub(super) const SPEC_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
const RUNC_OPTIONS_TYPE: &str = "containerd.runc.v1.Options";

/// A container to be made.
#[derive(Debug)]
pub struct New<'a> {
    /// None: some name that is free.
    pub name: Option<String>,
    pub service: Service,
    pub image: &'a Image,
    /// Secrets and configs, with their places on the host.
    pub binds: Vec<Bind>,
    /// Whether it is removed at its end.
    pub auto_remove: bool,
    /// Which container of which project it is.
    pub member: Option<Member>,
    /// The anonymous volumes that it takes over, by their places in the container.
    pub taken_over: BTreeMap<String, String>,
}

/// Makes a container that can be started, and gives its id. What is half made when this fails is removed.
///
/// Errors: among others what [`check`] says.
pub async fn create(engine: &Engine, disk: &Disk, new: New<'_>) -> Result<String> {
    check(&new.service)?;
    if let Some(wrong) = refused(&new.service) {
        return Err(Error::new(wrong));
    }
    keeper::check_networks(disk, &new.service)?;
    let lent = inherited::of(engine, &new.service).await?;
    let (mounted, inherited) = inherited::merged(&new.service, lent.mounts.clone());
    let inherited = (lent.anonymous(&inherited), inherited);
    let id = id::random()?;
    let maker = Maker { disk, id: &id, dir: disk.container(&id), new, mounted, inherited };
    if let Some(name) = &maker.new.name {
        names::check(name)?;
        refuse_taken(engine, name, maker.new.member.as_ref()).await?;
    }
    disk::make_dir(&maker.dir)?;
    Making::note(&maker.dir, &maker.mounted, &[])?;
    let mut anonymous = Vec::new();
    let made = engine.leased(async |engine| maker.make(engine, &mut anonymous).await).await;
    if made.is_err() {
        // The snapshot goes with the lease.
        best_effort(disk::remove_dir(&maker.dir));
        anonymous.iter().for_each(|name| best_effort(volume::remove(disk, name)));
    }
    made.and_then(|()| Making::done(&disk.container(&id))).map(|()| id)
}

/// Whether this host has what a service's container asks for.
///
/// Errors: in Docker's words.
pub fn check(service: &Service) -> Result<()> {
    spec::check::service(service, &host::cpus()?, &host::look())?;
    let mut binds =
        service.volumes.iter().filter(|mount| mount.kind == MountKind::Bind && !makes_source(mount));
    binds.try_for_each(|mount| source_is_there(mount.source.as_deref().unwrap_or_default()))
}

/// A container on its way.
struct Maker<'a> {
    disk: &'a Disk,
    id: &'a str,
    dir: PathBuf,
    new: New<'a>,
    /// The service with the mounts of other containers, too.
    mounted: Service,
    /// Which of its mounts are of other containers, and the volumes among them that go with the last of these.
    inherited: (Vec<String>, Vec<Mount>),
}

impl Maker<'_> {
    async fn make(&self, engine: &Engine, anonymous: &mut Vec<String>) -> Result<()> {
        let New { service, image, .. } = &self.new;
        // Whoever lends something is still there, now that nobody removes volumes of this container any more.
        inherited::of(engine, service).await?;
        unpack::ensure(engine, image).await?;
        let prepare = Prepare {
            snapshotter: unpack::snapshotter(),
            key: self.id.to_owned(),
            parent: image.chain_id(),
            ..Prepare::default()
        };
        let layers = engine.call(prepare).await.at("its snapshot")?.mounts;
        let places = self.places(engine, &layers, anonymous).await?;
        let namespace = (NAMESPACE.to_owned(), engine.namespace().to_owned());
        let hostname = hostname(service, self.id)?;
        let host = host::look();
        let inputs = Inputs {
            id: self.id,
            service: &self.mounted,
            image: &image.document.config,
            user: user::of(service, &image.document.config, layers, &self.tree()).await?,
            hostname: &hostname,
            files: Some(&self.dir),
            binds: &places.binds,
            joined: joined(engine, service).await?,
            hooks: Some(keeper::hooks()?),
            annotations: [namespace].into_iter().chain(places.subpaths.annotation()?).collect(),
            host: &host,
            devices: &host::devices,
        };
        let spec = Any::json(SPEC_TYPE, &spec::build(&inputs)?)?;
        let record = Record {
            service: service.clone(),
            image: service.image.clone().unwrap_or_default(),
            image_id: image.id.clone(),
            command: spec::command(service, &image.document.config),
            stop_signal: stop_signal(service, image),
            anonymous_volumes: anonymous.iter().chain(self.new.taken_over.values()).cloned().collect(),
            volumes: places.volumes,
            inherited: self.inherited.1.clone(),
            inherited_anonymous: self.inherited.0.clone(),
            exposed: image.document.config.exposed_ports.keys().cloned().collect(),
            auto_remove: self.new.auto_remove,
            member: self.new.member.clone(),
            ..Record::default()
        };
        self.register(engine, (spec, places.views.labels()), record, &hostname, host.systemd).await
    }

    /// Gives the container its name and its record. Names are unique because whoever gives one holds the lock.
    async fn register(
        &self,
        engine: &Engine,
        (spec, views): (Any, HashMap<String, String>),
        record: Record,
        hostname: &str,
        systemd: bool,
    ) -> Result<()> {
        let New { service, image, .. } = &self.new;
        let lock = lock_names(self.disk).await?;
        let name = match &self.new.name {
            Some(name) => {
                refuse_taken(engine, name, self.new.member.as_ref()).await?;
                name.clone()
            }
            None => free_name(engine).await?,
        };
        let mut record = Record { name, ..record };
        let mut labels = record.divide_labels(&image.document.config.labels);
        labels.extend(views);
        let told = Told {
            id: self.id,
            name: &record.name,
            hostname,
            service,
            image: &image.document.config,
            auto_remove: self.new.auto_remove,
        };
        keeper::tell(engine, self.disk, &told)?;
        if record.is_revived() {
            labels.insert(record::LOG_URI.to_owned(), keeper::log_uri(&self.dir)?);
        }
        let container = Container {
            id: self.id.to_owned(),
            labels,
            image: image.name.clone(),
            runtime: Some(runtime(service, systemd)),
            spec: Some(spec),
            snapshotter: unpack::snapshotter(),
            snapshot_key: self.id.to_owned(),
            extensions: record.extensions()?,
            ..Container::default()
        };
        engine.call(CreateContainer { container: Some(container) }).await.at("its record")?;
        drop(lock);
        Ok(())
    }

    /// Where the container's tree is mounted while somebody looks at it.
    fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// The places on the host of all that is mounted.
    async fn places(&self, engine: &Engine, layers: &[Layer], anonymous: &mut Vec<String>) -> Result<Places> {
        let New { image, binds, .. } = &self.new;
        let service = &self.mounted;
        let is_asked = |target: &String| {
            let tmpfs = service.tmpfs.iter().filter_map(|tmpfs| tmpfs.split(':').next());
            service
                .volumes
                .iter()
                .map(|mount| mount.target.as_str())
                .chain(tmpfs)
                .any(|asked| asked == target)
        };
        let of_image = image.document.config.volumes.keys().filter(|target| !is_asked(target));
        let of_image = of_image.map(|target| Mount { target: target.clone(), ..Mount::default() });
        let mut places = Places { binds: binds.clone(), ..Places::default() };
        for mount in service.volumes.iter().cloned().chain(of_image) {
            let source = match mount.kind {
                MountKind::Tmpfs => continue,
                MountKind::Image => {
                    let layers = places.views.make(engine, self.id, &mount).await?;
                    places.binds.push(Bind {
                        layers,
                        target: mount.target,
                        read_only: true,
                        ..Bind::default()
                    });
                    continue;
                }
                MountKind::Bind => bind_source(&mount)?,
                MountKind::Volume => {
                    let name = self.volume(&mount, layers, anonymous).await?;
                    let data = volume::source(self.disk, &name)?;
                    places.in_volume(&mount, name, data)?
                }
                kind => {
                    return Err(Error::new(format!(
                        "volumes: {}: {kind:?}: can't be done here",
                        mount.target
                    )));
                }
            };
            let options = mount.bind.unwrap_or_default();
            places.binds.push(Bind {
                source,
                target: mount.target,
                read_only: mount.read_only,
                propagation: options.propagation,
                recursive: options.recursive,
                ..Bind::default()
            });
        }
        Ok(places)
    }

    /// The volume of a mount, which is made and filled where it isn't there yet.
    async fn volume(&self, mount: &Mount, layers: &[Layer], anonymous: &mut Vec<String>) -> Result<String> {
        let labels = mount.volume.iter().flat_map(|options| options.labels.clone()).collect();
        let wanted = Volume { driver: "local".to_owned(), labels, ..Volume::default() };
        let name = match mount.source.as_ref().or(self.new.taken_over.get(&mount.target)) {
            Some(name) => {
                volume::ensure(self.disk, &Volume { name: name.clone(), ..wanted })?;
                name.clone()
            }
            None => {
                let name = volume::ensure_anonymous(self.disk, wanted)?;
                anonymous.push(name.clone());
                Making::note(&self.dir, &self.mounted, anonymous)?;
                name
            }
        };
        if !mount.volume.as_ref().is_some_and(|options| options.nocopy) {
            volume::copy_up(self.disk, &name, &mount.target, layers.to_vec(), &self.tree()).await?;
        }
        Ok(name)
    }
}

/// What of the host is mounted into a container.
#[derive(Default)]
struct Places {
    binds: Vec<Bind>,
    /// The volume at each place in the container.
    volumes: BTreeMap<String, String>,
    subpaths: Subpaths,
    /// The images that are mounted.
    views: Views,
}

impl Places {
    /// Where on the host the volume of a mount is, or what the mount asks for of the volume.
    fn in_volume(&mut self, mount: &Mount, name: String, data: PathBuf) -> Result<String> {
        self.volumes.insert(mount.target.clone(), name);
        let path = mount.volume.as_ref().and_then(|options| options.subpath.clone());
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            return Ok(data.to_string_lossy().into_owned());
        };
        // Whether the place is there is asked at each start: who goes before may be the one who makes it.
        let subpath = Subpath { data, path };
        let source = subpath.on_host().to_string_lossy().into_owned();
        self.subpaths.0.insert(mount.target.clone(), subpath);
        Ok(source)
    }
}

/// A bind's source. One that isn't there is made, unless somebody asks for an error.
fn bind_source(mount: &Mount) -> Result<String> {
    let source = mount.source.clone().unwrap_or_default();
    match source_is_there(&source) {
        Err(_) if makes_source(mount) => disk::make_users_dir(Path::new(&source)).map(|()| source),
        is_there => is_there.map(|()| source),
    }
}

fn makes_source(mount: &Mount) -> bool {
    mount.bind.as_ref().and_then(|options| options.create_host_path).unwrap_or(true)
}

/// Whether there is something at a path that is to be mounted.
///
/// Errors: there is nothing, in Docker's words.
pub fn source_is_there(path: &str) -> Result<()> {
    let missing = |_| {
        Error::new(format!("invalid mount config for type \"bind\": bind source path does not exist: {path}"))
    };
    std::fs::metadata(path).map(drop).map_err(missing)
}

/// The host's own name.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

fn hostname(service: &Service, id: &str) -> Result<String> {
    let asked = service.hostname.as_ref().filter(|asked| !asked.is_empty());
    match (asked, service.network_mode.as_deref(), service.uts.as_deref()) {
        (Some(hostname), _, _) => Ok(hostname.clone()),
        (None, Some("host"), _) | (None, _, Some("host")) => {
            std::fs::read_to_string(HOSTNAME).at(HOSTNAME).map(|name| name.trim_end().to_owned())
        }
        _ => Ok(id::short(id).to_owned()),
    }
}

fn stop_signal(service: &Service, image: &Image) -> String {
    let images = Some(&image.document.config.stop_signal).filter(|signal| !signal.is_empty());
    service.stop_signal.as_ref().or(images).map_or(stop::SIGNAL, String::as_str).to_owned()
}

/// Where systemd owns the cgroups, runc has to be told so. The cgroup's path tells Corten.
fn runtime(service: &Service, systemd: bool) -> Runtime {
    let name = service.runtime.as_deref().map_or_else(|| host::runtime().to_owned(), host::runtime_named);
    let options = systemd.then(|| Any::message(RUNC_OPTIONS_TYPE, &RuncOptions { systemd_cgroup: true }));
    Runtime { name, options }
}

/// Holds the lock of whoever gives a container its name, or changes its record.
pub async fn lock_names(disk: &Disk) -> Result<impl Drop + use<>> {
    let disk = disk.clone();
    let lock = tokio::task::spawn_blocking(move || disk.lock("names")).await;
    lock.map_err(|err| Error::new(err.to_string())).at("the lock of names")?
}

/// Whoever replaces a container of a project has its name beside it for a while.
///
/// Errors: AlreadyExists, in Docker's words.
pub async fn refuse_taken(engine: &Engine, name: &str, member: Option<&Member>) -> Result<()> {
    let is_replaced = |one: &Observed| {
        let other = one.record.as_ref().and_then(|record| record.member.as_ref());
        member.zip(other).is_some_and(|(member, other)| member.replaces(other))
    };
    match observe::containers(engine).await?.iter().find(|one| one.name() == name && !is_replaced(one)) {
        None => Ok(()),
        Some(owner) => Err(Error::of_kind(
            Kind::AlreadyExists,
            format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove \
                 (or rename) that container to be able to reuse that name.",
                owner.id()
            ),
        )),
    }
}

async fn free_name(engine: &Engine) -> Result<String> {
    let taken = observe::containers(engine).await?;
    loop {
        let name = names::random()?;
        if taken.iter().all(|one| one.name() != name) {
            return Ok(name);
        }
    }
}

/// Makes the task of a container that has none that runs. The process waits for [`begin`]. Gives the place in the log
/// where its output begins.
pub async fn prepare(engine: &Engine, observed: &Observed, streams: &Streams) -> Result<keep::LogMark> {
    let disk = Disk::of(engine.namespace());
    put_away(engine, &disk, observed).await?;
    let mark = keep::LogMark::of(&disk.container(observed.id()));
    let made = make_task(engine, observed, streams).await;
    if let Err(err) = &made {
        give_up(engine, observed, mark, err).await;
    }
    made.map(|()| mark)
}

/// Removes the last task of a container, if there is one, before the next one's keeper is started: that keeper would
/// end with the last one's.
pub async fn put_last_away(engine: &Engine, disk: &Disk, observed: &Observed) -> Result<()> {
    if observed.task.is_some() { put_away(engine, disk, observed).await } else { Ok(()) }
}

/// Removes the last task of a container that is to be started. What has ended before is deleted only now: until then
/// its exit code is known.
async fn put_away(engine: &Engine, disk: &Disk, observed: &Observed) -> Result<()> {
    // The end of a task that somebody has made and never started is no end of the container.
    let _stays = observed.task.as_ref().map(|_| keeper::stays(disk, observed)).transpose()?;
    keep::given_up(&disk.running(observed.id())).await?;
    task::remove(engine, observed.id()).await?;
    // Whoever was sent for by that end is to see that the user has stopped the container.
    keep::given_up(&disk.running(observed.id())).await
}

async fn make_task(engine: &Engine, observed: &Observed, streams: &Streams) -> Result<()> {
    let mut container = observed.container.clone();
    let spec: Option<serde_json::Value> = container.spec.as_ref().map(Any::read_json).transpose()?;
    // Once more, because the hook can tell less well what is wrong.
    Subpaths::of_spec(&spec.unwrap_or_default())?.check()?;
    if let Some(record) = &observed.record {
        linked::check(engine, record).await?;
        let joined = joined(engine, &record.service).await?;
        container.spec = rejoined(container.spec, &record.service, joined)?;
        want(engine, &container, record, Wanted::Starting).await?;
    }
    keep::starting::begin(&Disk::of(engine.namespace()).container(observed.id()))?;
    task::create(engine, &container, streams).await.map(drop)
}

/// How often a start is tried whose task somebody else has made meanwhile.
const STARTS_MAX: usize = 3;

/// Starts a container that nobody is attached to.
pub async fn start(engine: &Engine, observed: &Observed, streams: &Streams) -> Result<()> {
    let mut left = STARTS_MAX;
    loop {
        left -= 1;
        match start_once(engine, observed, streams).await {
            Err(err) if err.kind() == Kind::AlreadyExists && left > 0 => {}
            started => return started,
        }
        // containerd's restart monitor has looked at it before it was stopped, and was faster.
        let now = observe::one(engine, observed.id()).await?;
        if let (true, Some(record)) = (now.state.is_up(), &now.record) {
            return want(engine, &now.container, record, Wanted::Running).await;
        }
    }
}

async fn start_once(engine: &Engine, observed: &Observed, streams: &Streams) -> Result<()> {
    let mark = prepare(engine, observed, streams).await?;
    let started = begin(engine, observed).await;
    if let Err(err) = &started {
        give_up(engine, observed, mark, err).await;
    }
    started
}

/// Starts the process of a task that is made.
pub async fn begin(engine: &Engine, observed: &Observed) -> Result<()> {
    keep::starting::end(&Disk::of(engine.namespace()).container(observed.id()))?;
    task::start(engine, observed.id()).await?;
    match &observed.record {
        Some(record) => want(engine, &observed.container, record, Wanted::Running).await,
        None => Ok(()),
    }
}

/// Takes back a start that has failed for this reason, and notes the reason. Of what was put out nothing is the
/// container's.
pub async fn give_up(engine: &Engine, observed: &Observed, mark: keep::LogMark, reason: &Error) {
    match reason.kind() {
        // The task is another's.
        Kind::AlreadyExists => return,
        // Who got no answer may have been heard.
        Kind::Unavailable if may_run(engine, observed).await => return,
        _ => {}
    }
    let disk = Disk::of(engine.namespace());
    best_effort(task::remove(engine, observed.id()).await);
    let (container, running) = (disk.container(observed.id()), disk.running(observed.id()));
    best_effort(keep::not_started(&container, &running, mark).await);
    let started = observed.exit.as_ref().and_then(|exit| exit.started);
    best_effort(keep::Exit::of_failed_start(reason, started).save(&container));
    unwanted(engine, observed).await;
}

/// Whether a container may run whose start was not answered. If it does, the restart monitor is told.
async fn may_run(engine: &Engine, observed: &Observed) -> bool {
    match (observe::one(engine, observed.id()).await, &observed.record) {
        (Ok(now), _) if !now.state.is_up() => false,
        (Ok(now), Some(record)) => {
            best_effort(want(engine, &now.container, record, Wanted::Running).await);
            true
        }
        _ => true,
    }
}

/// Removes a container with its task, its snapshot, its directory, and if `volumes` the anonymous volumes that no other
/// container has.
///
/// The order leaves nothing that nobody finds again: the record goes when the task is gone, and what only the record
/// names goes after it, by the collector if not by us.
pub async fn remove(engine: &Engine, disk: &Disk, observed: &Observed, volumes: bool) -> Result<()> {
    let id = observed.id();
    if let Some(record) = &observed.record {
        absent_is_fine(want(engine, &observed.container, record, Wanted::Stopped).await)?;
    }
    // Before the task: whoever is about to start the container again would make one that nobody removes.
    keep::given_up(&disk.running(id)).await?;
    end_keeper(disk, id)?;
    task::remove(engine, id).await?;
    absent_is_fine(engine.call(DeleteContainer { id: id.to_owned() }).await.at(id).map(drop))?;
    let Container { snapshotter, snapshot_key, .. } = observed.container.clone();
    if !snapshot_key.is_empty() {
        let removed = engine.call(RemoveSnapshot { snapshotter, key: snapshot_key }).await;
        absent_is_fine(removed.at(id).map(drop))?;
    }
    view::remove(engine, &observed.container).await?;
    // The last hook has done it, unless it failed. What can't be taken back now is at the next sweep, by its list.
    let is_released = is_released(disk, id).await;
    if is_released {
        disk::remove_dir(&disk.running(id))?;
    }
    disk::remove_dir(&disk.container(id))?;
    // The shim of a command that was killed may have started a keeper or a hook meanwhile, which makes the directory.
    // Who makes it later sees that the lasting one is gone.
    if is_released && !Endpoints::is_in(&disk.running(id)) {
        disk::remove_dir(&disk.running(id))?;
    }
    for name in observed.record.iter().filter(|_| volumes).flat_map(Record::goes_along) {
        match volume::remove_unused(engine, disk, name).await {
            // A container that was given its name has it, or it is gone.
            Err(err) if !matches!(err.kind(), Kind::WrongState | Kind::NotFound) => return Err(err),
            _ => {}
        }
    }
    Ok(())
}

/// Takes back what a container without a process has of networks, unless its last hook is just doing so. Returns
/// whether nothing of it is left.
async fn is_released(disk: &Disk, id: &str) -> bool {
    const TRIES: usize = 100;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 0..TRIES {
        match net::sweep::release(disk, id) {
            Ok(false) => sleep(PAUSE).await,
            released => return released.is_ok(),
        }
    }
    false
}

/// Ends the container's keeper.
pub fn end_keeper(disk: &Disk, id: &str) -> Result<()> {
    keep::State::load(&disk.running(id)).map(|state| state.unwrap_or_default().end_keeper())
}

/// Cleaning up after a failure: the failure is what the user hears of.
pub fn best_effort(done: Result<()>) {
    drop(done);
}
