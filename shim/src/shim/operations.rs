//! Carries out what the machine begins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corten::container::{OomEvent, PidFd, SealedImage, Usage};
use corten::error::best_effort;
use futures_util::future::{Either, select};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Shim, locked};
use crate::bundle::Bundle;
use crate::children::Children;
use crate::driver::{self, Driver, MemoryWatch, Site, library};
use crate::log::{self, Level};
use crate::machine::call::{Addition, Creation, Exit, Input, ProcessKey, RootfsMount};
use crate::machine::operation::{Operation, Outcome};
use crate::options::Parsed;
use crate::refusal::{Code, Refusal};
use crate::rootfs;
use crate::stdio::{Owner, Stdio};

/// How long a process that has ended may be survived by its output.
const DRAIN: Duration = Duration::from_secs(10);
const KILL: i32 = 9;

type Done = Result<Outcome, Refusal>;

/// The containers and processes that operations work on.
pub struct Works {
    namespace: String,
    image: Arc<Option<SealedImage>>,
    /// Whose ends are waited for.
    pub children: Arc<Children>,
    /// Containers that are being created.
    creating: Mutex<BTreeMap<String, Arc<Site>>>,
    containers: Mutex<BTreeMap<String, Place>>,
    processes: Mutex<BTreeMap<ProcessKey, Process>>,
}

/// A container's runtime, its cgroup, and the watch for want of memory.
#[derive(Clone)]
struct Place {
    site: Arc<Site>,
    usage: Option<Usage>,
    memory: Option<MemoryWatch>,
    /// What waits on the watch.
    _teller: Option<Arc<Teller>>,
    pid: i32,
}

/// A task that ends with this value.
struct Teller(AbortHandle);

impl Drop for Teller {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A process and its streams.
struct Process {
    pid: i32,
    stdio: Arc<tokio::sync::Mutex<Stdio>>,
}

impl Works {
    /// Of the containers of a namespace.
    pub fn new(namespace: &str, image: Option<SealedImage>, children: Arc<Children>) -> Works {
        Works {
            namespace: namespace.to_owned(),
            image: Arc::new(image),
            children,
            creating: Mutex::default(),
            containers: Mutex::default(),
            processes: Mutex::default(),
        }
    }

    /// Carries out `operation` to its end.
    pub async fn carry_out(&self, shim: &Arc<Shim>, operation: Operation) -> Done {
        let done = |()| Outcome::Done;
        match operation {
            Operation::Create(creation) => self.create(shim, *creation).await,
            Operation::StartExec(addition) => self.start_exec(shim, *addition).await,
            Operation::Start(id) => self.site(&id)?.start().await.map(done),
            Operation::Signal { process, signal, all } => self.signal(&process, signal, all).await.map(done),
            Operation::KillAll(id) => self.site(&id)?.kill_all().await.map(done),
            Operation::Pause(id) => self.site(&id)?.pause().await.map(done),
            Operation::Resume(id) => self.site(&id)?.resume().await.map(done),
            Operation::Pids(id) => self.site(&id)?.pids().await.map(Outcome::Pids),
            Operation::Stats(id) => self.metrics(&id),
            Operation::Update(id, json) => self.site(&id)?.update(json).await.map(done),
            Operation::Checkpoint(..) => {
                Err(Refusal::new(Code::Unimplemented, "checkpoint: corten has no checkpoints yet"))
            }
            Operation::ResizePty(key, columns, rows) => self.resize(&key, columns, rows).await.map(done),
            Operation::CloseStdin(key) => {
                if let Some(stdio) = self.stdio(&key) {
                    stdio.lock().await.close_stdin();
                }
                Ok(Outcome::Done)
            }
            Operation::LookForOutOfMemory(id) => {
                let memory = locked(&self.containers).get(&id).and_then(|place| place.memory.clone());
                let seen = memory.and_then(|watch| watch.look());
                Ok(Outcome::OutOfMemory(seen == Some(OomEvent::Oom)))
            }
            Operation::Drain(key) => {
                if let Some(stdio) = self.stdio(&key) {
                    stdio.lock().await.drained(DRAIN).await;
                }
                if key.exec.is_some() {
                    locked(&self.processes).remove(&key);
                }
                Ok(Outcome::Done)
            }
            Operation::Delete(id) => self.delete(&id).await.map(done),
        }
    }

    /// Writes how init ended into the bundle, for a `delete` after this shim.
    pub fn store_exit(&self, container: &str, exit: Exit) {
        let Some(Place { site, pid, .. }) = locked(&self.containers).get(container).cloned() else { return };
        if let Err(err) = Bundle::at(&site.bundle).write_exit(pid.unsigned_abs(), exit) {
            log::say(Level::Warning, &format!("{container}: the exit is not stored: {err}"));
        }
    }

    async fn create(&self, shim: &Arc<Shim>, creation: Creation) -> Done {
        if creation.checkpoint.is_some() {
            return Err(Refusal::new(Code::Unimplemented, "restore: corten has no checkpoints yet"));
        }
        let site = Arc::new(self.prepare(&creation)?);
        let config = Config::read(&site.bundle)?;
        locked(&self.creating).insert(creation.id.clone(), Arc::clone(&site));
        let created = match mount_rootfs(&site, creation.rootfs.clone()).await {
            Ok(()) => self.create_mounted(shim, &creation, &site, &config).await,
            Err(refusal) => Err(refusal),
        };
        locked(&self.creating).remove(&creation.id);
        if created.is_err() {
            rootfs::unmount_all(&Bundle::at(&site.bundle).rootfs());
        }
        created
    }

    /// Ends the creation of a container early: nobody wants it any more.
    pub fn abandon(&self, container: &str) {
        locked(&self.creating).get(container).into_iter().for_each(|site| site.abandon());
    }

    async fn create_mounted(
        &self,
        shim: &Arc<Shim>,
        creation: &Creation,
        site: &Arc<Site>,
        config: &Config,
    ) -> Done {
        let user = config.owner_of_streams(site.options.io_uid, site.options.io_gid);
        let owner = Owner { namespace: self.namespace.clone(), id: creation.id.clone() };
        let (mut stdio, streams) = Stdio::open(&creation.streams, user, &owner).await?;
        // Until its end is waited for, nobody else may reap it.
        let _hold = self.children.hold();
        let (pid, begun) = with_streams(site.create(streams), &mut stdio, creation.streams.terminal).await?;
        if let Err(refusal) = begun {
            site.undo().await;
            return Err(refusal);
        }
        let usage = site.usage(pid).inspect_err(|err| log::say(Level::Warning, &err.text)).ok();
        let memory = usage.as_ref().and_then(MemoryWatch::new);
        let teller = memory.clone().map(|memory| tell_of_memory(shim, &creation.id, memory));
        let place = Place { site: Arc::clone(site), usage, memory, _teller: teller.map(Arc::new), pid };
        self.attend(shim, ProcessKey::init(&creation.id), pid, stdio);
        locked(&self.containers).insert(creation.id.clone(), place);
        Ok(Outcome::Created { pid, shares_pid_namespace: config.shares_pid_namespace() })
    }

    /// Decides who carries out the work, and leaves word of it in the bundle.
    fn prepare(&self, creation: &Creation) -> Result<Site, Refusal> {
        let (name, bytes) = creation.options.clone().unwrap_or_default();
        let Parsed { options, warnings } = Parsed::of(&name, &bytes, &|path| std::fs::read_to_string(path))?;
        warnings.iter().for_each(|warning| log::say(Level::Warning, warning));
        let driver = Driver::asked(&options.binary_name);
        let bundle = Bundle::at(&creation.bundle);
        let stored = bundle
            .write_options(&options)
            .and_then(|()| bundle.write_runtime(&driver.name().to_string_lossy()));
        stored.map_err(|err| library::refusal(&err))?;
        Ok(Site {
            driver,
            root: driver::root(&options.root, &self.namespace),
            id: creation.id.clone(),
            bundle: creation.bundle.clone(),
            options,
            abandoned: watch::Sender::new(false),
            image: Arc::clone(&self.image),
            children: Arc::clone(&self.children),
            logs: AtomicU64::new(0),
        })
    }

    async fn start_exec(&self, shim: &Arc<Shim>, addition: Addition) -> Done {
        let key = addition.process;
        let site = self.site(&key.container)?;
        let exec = key.exec.clone().unwrap_or_default();
        let config = Config::read(&site.bundle)?;
        let user = config.owner_of_streams(site.options.io_uid, site.options.io_gid);
        let owner = Owner { namespace: self.namespace.clone(), id: exec.clone() };
        let terminal = addition.streams.terminal;
        let spec = with_terminal(addition.spec, terminal);
        let (mut stdio, streams) = Stdio::open(&addition.streams, user, &owner).await?;
        let _hold = self.children.hold();
        let (pid, begun) = with_streams(site.exec(&exec, &spec, streams), &mut stdio, terminal).await?;
        if begun.is_err() {
            best_effort(PidFd::open(pid).and_then(|pidfd| pidfd.send_signal(KILL)), "it has ended, then");
        }
        begun?;
        self.attend(shim, key, pid, stdio);
        Ok(Outcome::Began { pid })
    }

    /// Waits for the end of a process that was just begun, and tells the machine.
    fn attend(&self, shim: &Arc<Shim>, key: ProcessKey, pid: i32, stdio: Stdio) {
        let stdio = Arc::new(tokio::sync::Mutex::new(stdio));
        locked(&self.processes).insert(key.clone(), Process { pid, stdio });
        let (shim, child) = (Arc::clone(shim), self.children.know(pid));
        tokio::spawn(async move {
            let exit = match child {
                Ok(child) => child.end().await,
                Err(err) => Err(err),
            };
            let exit = exit.unwrap_or_else(|err| {
                log::say(Level::Error, &format!("{}: its end is unknown: {err}", key.container));
                Exit { status: 255, at: std::time::SystemTime::now() }
            });
            shim.tell(Input::Exited(key, exit));
        });
    }

    async fn signal(&self, key: &ProcessKey, signal: u32, all: bool) -> Result<(), Refusal> {
        if key.exec.is_none() || all {
            return self.site(&key.container)?.signal(signal, all).await;
        }
        let pid = locked(&self.processes).get(key).map(|process| process.pid);
        // The number of a process that was reaped may be a stranger's by now.
        let pid = pid.filter(|pid| self.children.knows(*pid));
        let gone = || Refusal::not_found("process already finished");
        let pidfd = PidFd::open(pid.ok_or_else(gone)?).map_err(|_| gone())?;
        pidfd.send_signal(signal as i32).map_err(|err| match err.errno() {
            Some(corten::error::Errno::ESRCH) => gone(),
            _ => library::refusal(&err),
        })
    }

    async fn resize(&self, key: &ProcessKey, columns: u16, rows: u16) -> Result<(), Refusal> {
        match self.stdio(key) {
            Some(stdio) => stdio.lock().await.resize(columns, rows),
            None => Ok(()),
        }
    }

    async fn delete(&self, id: &str) -> Result<(), Refusal> {
        let site = self.site(id)?;
        site.delete().await?;
        rootfs::unmount_all(&Bundle::at(&site.bundle).rootfs());
        locked(&self.containers).remove(id);
        locked(&self.processes).retain(|key, _| key.container != id);
        Ok(())
    }

    fn metrics(&self, id: &str) -> Done {
        let usage = locked(&self.containers).get(id).and_then(|place| place.usage.clone());
        let usage = usage.ok_or_else(|| Refusal::not_found("cgroup does not exist"))?;
        library::metrics(&usage).map(|(name, bytes)| Outcome::Metrics(name, bytes))
    }

    fn site(&self, id: &str) -> Result<Arc<Site>, Refusal> {
        let places = locked(&self.containers);
        let place = places.get(id).ok_or_else(|| Refusal::not_found("container not created"))?;
        Ok(Arc::clone(&place.site))
    }

    fn stdio(&self, key: &ProcessKey) -> Option<Arc<tokio::sync::Mutex<Stdio>>> {
        locked(&self.processes).get(key).map(|process| Arc::clone(&process.stdio))
    }
}

/// Tells the machine each time that the container has wanted memory.
fn tell_of_memory(shim: &Arc<Shim>, container: &str, memory: MemoryWatch) -> Teller {
    let (shim, id) = (Arc::clone(shim), container.to_owned());
    let teller = tokio::spawn(async move {
        while memory.next().await.is_some() {
            shim.tell(Input::OutOfMemory(id.clone()));
        }
    });
    Teller(teller.abort_handle())
}

/// Mounts the root filesystem. If that fails, a part of it stays.
async fn mount_rootfs(site: &Site, mounts: Vec<RootfsMount>) -> Result<(), Refusal> {
    if rootfs::id_mapped::is_asked(&mounts) {
        return site.mount_id_mapped(&mounts).await;
    }
    let rootfs = Bundle::at(&site.bundle).rootfs();
    let mounted = tokio::task::spawn_blocking(move || rootfs::mount_all(mounts, rootfs)).await;
    mounted.map_err(|err| Refusal::unknown(format!("rootfs: {err}")))?
}

/// The process as it is to be: whether it has a terminal is for the call to say, as with containerd's own shim. What is
/// no JSON is the runtime's to refuse.
fn with_terminal(spec: Vec<u8>, terminal: bool) -> Vec<u8> {
    let Ok(mut process) = serde_json::from_slice::<serde_json::Value>(&spec) else { return spec };
    if !process.is_object() || process["terminal"].as_bool().unwrap_or(false) == terminal {
        return spec;
    }
    process["terminal"] = terminal.into();
    process.to_string().into_bytes()
}

/// Runs what brings a process into its container, and has its streams begin. A terminal comes before the command has
/// ended; but of pipes nothing is copied before there is a process, so that nobody reads the runtime's own complaints.
/// Returns the pid, and whether the streams have begun.
async fn with_streams(
    begins: impl Future<Output = Result<i32, Refusal>>,
    stdio: &mut Stdio,
    terminal: bool,
) -> Result<(i32, Result<(), Refusal>), Refusal> {
    if !terminal {
        return Ok((begins.await?, stdio.begin().await));
    }
    let (begins, streams) = (pin!(begins), pin!(stdio.begin()));
    match select(begins, streams).await {
        Either::Left((pid, streams)) => Ok((pid?, streams.await)),
        Either::Right((begun, begins)) => Ok((begins.await?, begun)),
    }
}

/// What the shim wants to know of config.json.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    linux: Linux,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
    uid_mappings: Option<Vec<Mapping>>,
    gid_mappings: Option<Vec<Mapping>>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    #[serde(rename = "containerID")]
    container_id: u32,
    #[serde(rename = "hostID")]
    host_id: u32,
}

impl Config {
    fn read(bundle: &Path) -> Result<Config, Refusal> {
        let path = bundle.join("config.json");
        let failed = |err: String| Refusal::new(Code::InvalidArgument, format!("{}: {err}", path.display()));
        let text = std::fs::read(&path).map_err(|err| failed(err.to_string()))?;
        serde_json::from_slice(&text).map_err(|err| failed(err.to_string()))
    }

    /// Whether other processes than init's descendants may be in its pid namespace.
    fn shares_pid_namespace(&self) -> bool {
        let mut pid = self.linux.namespaces.iter().flatten().filter(|namespace| namespace.kind == "pid");
        !pid.any(|namespace| namespace.path.as_ref().is_none_or(|path| path.as_os_str().is_empty()))
    }

    /// Who owns the pipes: whom the options name, or the container's root in its user namespace, so that a program may
    /// open /dev/stderr anew.
    fn owner_of_streams(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        if (uid, gid) != (0, 0) {
            return Some((uid, gid));
        }
        let root = |mappings: &Option<Vec<Mapping>>| {
            mappings.iter().flatten().find(|mapping| mapping.container_id == 0).map(|mapping| mapping.host_id)
        };
        root(&self.linux.uid_mappings).zip(root(&self.linux.gid_mappings))
    }
}
