//! The keeper's own facts, and its side of the hook's question: who init is, and which sockets are wanted.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::{Mutex, Notify, oneshot};

use super::names::Names;
use super::settings::Settings;
use super::state::{State, stopped};
use super::{ports, probe, send_for_restart, watch};
use crate::disk::{self, Disk};
use crate::error::{Context, Error, Kind, Result};
use crate::net::endpoint::Endpoints;
use crate::net::firewall;
use crate::net::handshake::{Answer, Opened};
use crate::net::network::Publisher;
use crate::net::sockets;
use crate::process::Process;

/// Where names are asked for, if nothing can redirect the question.
const NAMES_PORTS: (u16, u16) = (53, 53);

/// A keeper, as its duties know it.
pub struct Keeper {
    /// The container's directory that lasts.
    pub container: PathBuf,
    /// Its directory below /run.
    pub running: PathBuf,
    /// What the keeper is told.
    pub settings: Settings,
    disk: Disk,
    state: Mutex<State>,
    /// What is open, and for whom.
    opened: RefCell<Option<(Process, Opened)>>,
    /// How the output is drained, until the first process is known.
    drain: Cell<Option<Drain>>,
    awaits: Cell<bool>,
    ended: Notify,
}

/// Asks for the output to be drained. Who is asked drops what it is given when that is done.
pub type Drain = oneshot::Sender<oneshot::Sender<()>>;

impl Keeper {
    /// Goes on from what an earlier keeper of the container has left.
    pub fn new(container: &Path, settings: Settings, drain: Drain) -> Result<Rc<Keeper>> {
        let disk = Disk::of(&settings.namespace);
        let running = disk.running(&settings.id);
        disk::make_dir(&running)?;
        // Whoever removes a container removes this directory first.
        if !container.exists() {
            disk::remove_dir(&running)?;
            return Err(Error::of_kind(Kind::NotFound, format!("{}: it is removed", settings.id)));
        }
        let last = State::load(&running)?.unwrap_or_default();
        let restarts = last.restarts_so_far();
        let next_restart = last.next_restart.filter(|_| last.is_due());
        let init = last.init.filter(Process::is_alive);
        let state = State { keeper: Process::own(), init, restarts, next_restart, ..last };
        state.save(&running)?;
        Ok(Rc::new(Keeper {
            opened: RefCell::new(None),
            drain: Cell::new(Some(drain)),
            awaits: Cell::new(false),
            ended: Notify::new(),
            container: container.to_owned(),
            running,
            settings,
            disk,
            state: Mutex::new(state),
        }))
    }

    /// Serves the container that the hook tells of, or that runs already because this keeper is the second.
    pub async fn listen(self: Rc<Keeper>, hooks: UnixListener) {
        if let Ok(Some(list)) = Endpoints::load(&self.disk, &self.settings.id) {
            if list.init.is_alive() {
                // Whom could a failure be told to? The container runs, and has at least its log.
                drop(self.open_once(&list));
                drop(self.begin(list.init).await);
            }
        }
        loop {
            let Ok((mut hook, _)) = hooks.accept().await else { continue };
            let answer = match self.answer().await {
                Ok(opened) => Answer::Opened(opened),
                Err(err) => Answer::Refused(err.to_string()),
            };
            let answer = serde_json::to_vec(&answer).unwrap_or_default();
            // A hook that has gone will take the container back.
            drop(hook.write_all(&answer).await);
        }
    }

    async fn answer(self: &Rc<Keeper>) -> Result<Opened> {
        if stopped::is_recent(&self.running) {
            return Err(Error::new("its user has just stopped it"));
        }
        let Some(list) = Endpoints::load(&self.disk, &self.settings.id)? else {
            return Ok(Opened::default());
        };
        let opened = self.open_once(&list)?;
        self.begin(list.init).await?;
        Ok(opened)
    }

    /// The sockets of a container, which are opened when they are asked for first.
    fn open_once(&self, list: &Endpoints) -> Result<Opened> {
        if let Some((init, opened)) = self.opened.borrow().clone() {
            if init == list.init {
                return Ok(opened);
            }
        }
        let opened = self.open(list)?;
        self.opened.replace(Some((list.init, opened.clone())));
        Ok(opened)
    }

    /// All sockets, or none: what has failed is dropped with the others.
    fn open(&self, list: &Endpoints) -> Result<Opened> {
        let mut opened = Opened::default();
        let mut held = Vec::new();
        for port in list.ports() {
            let port = sockets::Held::take(port)?;
            opened.ports.push(port.port.clone());
            held.push(port);
        }
        if !list.endpoints.is_empty() {
            let redirected = firewall::publisher() == Publisher::Nft;
            let wanted = list.names_at.or((!redirected).then_some(NAMES_PORTS));
            let sockets = sockets::Names::open(list.init.pid, wanted).at("names at 127.0.0.11")?;
            opened.names_at = Some(sockets.ports()?);
            Names::of(self.disk.clone(), &self.settings.id).serve(sockets)?;
        }
        held.into_iter().try_for_each(|held| ports::serve(&self.disk, &self.settings.id, held))?;
        Ok(opened)
    }

    /// Notes the container's first process, awaits its end, and probes it. A process that no earlier keeper has known
    /// has no health yet.
    async fn begin(self: &Rc<Keeper>, init: Process) -> Result<()> {
        let Some(drain) = self.drain.take() else { return Ok(()) };
        self.awaits.set(true);
        let has_check = self.settings.health.is_some();
        let noted = self.change(|state| {
            if state.init != Some(init) {
                state.init = Some(init);
                state.started = Some(SystemTime::now());
                state.health = has_check.then(Default::default);
            }
        });
        noted.await?;
        tokio::task::spawn_local(self.clone().await_end(init, drain));
        if let Some(check) = self.settings.health.clone() {
            tokio::task::spawn_local(probe::repeat(self.clone(), check));
        }
        Ok(())
    }

    async fn await_end(self: Rc<Keeper>, init: Process, drain: Drain) {
        watch::end_of(init).await;
        let (done, drained) = oneshot::channel();
        if drain.send(done).is_ok() {
            // An error is the answer: the other end is dropped when all is drained.
            drop(drained.await);
        }
        send_for_restart(&self).await;
        self.ended.notify_one();
    }

    /// Whether there is a first process whose end is awaited.
    pub fn knows_init(&self) -> bool {
        self.awaits.get()
    }

    /// Waits for the end of the first process and what follows from it, if this keeper knows of one.
    pub async fn has_ended(&self) {
        if self.knows_init() {
            self.ended.notified().await;
        }
    }

    /// Changes what others read.
    pub async fn change(&self, change: impl FnOnce(&mut State)) -> Result<()> {
        let mut state = self.state.lock().await;
        change(&mut state);
        state.save(&self.running)
    }

    /// What others read.
    pub async fn state(&self) -> State {
        self.state.lock().await.clone()
    }
}
