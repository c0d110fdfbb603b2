//! One container, and how its runtime is reached.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use corten::container::{OomEvent, OomWatch, SealedImage, Usage};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::{Driver, library};
use crate::children::Children;
use crate::log::{self, Level};
use crate::options::Options;
use crate::refusal::{Code, Refusal};
use crate::watch::watched;

/// What a runtime says of a process that isn't there.
const ENDED: [&str; 3] = ["process already finished", "container not running", "no such process"];
const ABSENT: [&str; 2] = ["does not exist", "no such container"];

/// One container, and how its runtime is reached.
pub struct Site {
    /// Who carries out the work.
    pub driver: Driver,
    /// The directory of the states of its namespace.
    pub root: PathBuf,
    /// Its id.
    pub id: String,
    /// Its bundle.
    pub bundle: PathBuf,
    /// The options of its creation.
    pub options: Options,
    /// Whether nobody wants the container any more that is being created.
    pub abandoned: watch::Sender<bool>,
    /// The sealed image of this file, unless none can be made: then each command seals itself.
    pub image: Arc<Option<SealedImage>>,
    /// Whose ends are waited for.
    pub children: Arc<Children>,
    /// How many logs were named.
    pub logs: AtomicU64,
}

impl Site {
    /// A number for the log of a command.
    pub fn next_log(&self) -> u64 {
        self.logs.fetch_add(1, Ordering::Relaxed)
    }

    /// Lets init execute its program.
    pub async fn start(&self) -> Result<(), Refusal> {
        match self.driver {
            Driver::Library => {
                self.by_library_with_hooks("start", |runtime, id| runtime.lock(id)?.start().map(drop)).await
            }
            Driver::Binary(_) => self.by_command("start", &[]).await,
        }
    }

    /// Sends a signal to init, or to all processes.
    pub async fn signal(&self, signal: u32, all: bool) -> Result<(), Refusal> {
        let sent = match self.driver {
            Driver::Library => {
                self.by_library("kill", move |runtime, id| library::signal(runtime, id, signal, all)).await
            }
            Driver::Binary(_) => {
                let mut args: Vec<OsString> = vec!["kill".into()];
                args.extend(all.then(|| "--all".into()));
                args.extend([self.id.clone().into(), signal.to_string().into()]);
                self.run(args).await.map(drop)
            }
        };
        sent.map_err(|refusal| {
            let says = |phrases: &[&str]| phrases.iter().any(|phrase| refusal.text.contains(phrase));
            if says(&ENDED) {
                Refusal::not_found("process already finished")
            } else if refusal.code == Code::NotFound || says(&ABSENT) {
                Refusal::not_found(refusal.text)
            } else {
                refusal
            }
        })
    }

    /// Ends every process that is left.
    pub async fn kill_all(&self) -> Result<(), Refusal> {
        match self.driver {
            Driver::Library => self.by_library("kill", library::kill_all).await,
            Driver::Binary(_) => self.signal(9, true).await,
        }
    }

    /// Freezes it.
    pub async fn pause(&self) -> Result<(), Refusal> {
        match self.driver {
            Driver::Library => self.by_library("pause", |runtime, id| runtime.lock(id)?.pause()).await,
            Driver::Binary(_) => self.by_command("pause", &[]).await,
        }
    }

    /// Thaws it.
    pub async fn resume(&self) -> Result<(), Refusal> {
        match self.driver {
            Driver::Library => self.by_library("resume", |runtime, id| runtime.lock(id)?.resume()).await,
            Driver::Binary(_) => self.by_command("resume", &[]).await,
        }
    }

    /// The pids of all of its processes.
    pub async fn pids(&self) -> Result<Vec<i32>, Refusal> {
        match self.driver {
            Driver::Library => self.by_library("ps", |runtime, id| runtime.find(id)?.pids()).await,
            Driver::Binary(_) => {
                let args = ["ps", "--format", "json", &self.id];
                let text = self.run(args.map(OsString::from).into()).await?;
                serde_json::from_str(&text).map_err(|err| Refusal::unknown(format!("ps: {err}")))
            }
        }
    }

    /// Changes its limits.
    pub async fn update(&self, json: Vec<u8>) -> Result<(), Refusal> {
        match self.driver {
            Driver::Library => {
                self.by_library("update", move |runtime, id| library::update(runtime, id, &json)).await
            }
            Driver::Binary(_) => {
                let path = self.bundle.join(format!("resources.{}.json", self.next_log()));
                let written = std::fs::write(&path, json);
                written.map_err(|err| Refusal::unknown(format!("{}: {err}", path.display())))?;
                let args =
                    ["update".into(), "--resources".into(), path.clone().into(), self.id.clone().into()];
                let updated = self.run(args.into()).await;
                drop(std::fs::remove_file(path));
                updated.map(drop)
            }
        }
    }

    /// Takes away what is left of it.
    pub async fn delete(&self) -> Result<(), Refusal> {
        match &self.driver {
            Driver::Library => {
                let (driver, bundle, root, id) =
                    (self.driver.clone(), self.bundle.clone(), self.root.clone(), self.id.clone());
                let delete = move |_: &_, _: &_| driver.delete_by_force(&bundle, &root, &id);
                self.by_library_with_hooks("delete", delete).await.map(drop)
            }
            Driver::Binary(_) => match self.by_command("delete", &["--force"]).await {
                Err(refusal) if ABSENT.iter().any(|phrase| refusal.text.contains(phrase)) => Ok(()),
                result => result,
            },
        }
    }

    /// Lets the creation of the container end early, with an error.
    pub fn abandon(&self) {
        self.abandoned.send_replace(true);
    }

    /// Takes away what a creation that has failed may have left.
    pub async fn undo(&self) {
        if let Err(refusal) = self.delete().await {
            log::say(Level::Warning, &format!("{}: what was created is left: {}", self.id, refusal.text));
        }
    }

    async fn by_command(&self, command: &'static str, flags: &[&str]) -> Result<(), Refusal> {
        let words = [command].into_iter().chain(flags.iter().copied()).chain([self.id.as_str()]);
        let done = self.run(words.map(OsString::from).collect()).await;
        done.map(drop).map_err(|refusal| super::failed(command, refusal))
    }
}

/// A watch for want of memory, which one task waits on and another may read a last time.
#[derive(Clone)]
pub struct MemoryWatch {
    watch: Arc<Mutex<OomWatch>>,
    ready: Arc<AsyncFd<std::os::fd::OwnedFd>>,
}

impl MemoryWatch {
    /// Watches a container's cgroup, if it has one that counts memory.
    pub fn new(usage: &Usage) -> Option<MemoryWatch> {
        let watch = usage.watch_oom().ok()?;
        let copy = watch.as_fd().try_clone_to_owned().ok()?;
        let ready = watched(copy, Interest::READABLE).ok()?;
        Some(MemoryWatch { watch: Arc::new(Mutex::new(watch)), ready: Arc::new(ready) })
    }

    /// What has happened since it was read last.
    pub fn look(&self) -> Option<OomEvent> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).read().unwrap_or(Some(OomEvent::Gone))
    }

    /// Waits until a process was killed. `None` if that can't be any more.
    pub async fn next(&self) -> Option<()> {
        loop {
            let mut ready = self.ready.readable().await.ok()?;
            ready.clear_ready();
            match self.look() {
                Some(OomEvent::Oom) => return Some(()),
                Some(OomEvent::Gone) => return None,
                None => {}
            }
        }
    }
}
