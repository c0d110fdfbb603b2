//! The library's operations on a container, each on a thread that may wait.

use corten::container::{ContainerId, Runtime, Usage, resources_from_json};
use corten::error::{Error, Kind};

use tokio::sync::Semaphore;

use super::{Driver, Site, failed};
use crate::metrics;
use crate::refusal::{Code, Refusal};

const KILL: i32 = 9;

/// How many threads wait for the kernel, or for a hook, at the same time. A thread that has nothing to do ends soon.
pub const THREADS_MAX: usize = 64;
/// How many of them may run hooks, which take as long as they like: what is asked of other containers meanwhile still
/// finds a thread.
static WITH_HOOKS: Semaphore = Semaphore::const_new(THREADS_MAX / 2);

impl Site {
    /// Carries out `work` on a thread that may wait. Hooks may be children of the shim meanwhile.
    pub async fn by_library<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Runtime, &ContainerId) -> corten::error::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _hold = self.children.hold();
        let runtime = Runtime::at(&self.root);
        let id = ContainerId::parse(&self.id).map_err(|err| refusal(&err))?;
        let done = tokio::task::spawn_blocking(move || work(&runtime, &id)).await;
        let result = done.map_err(|err| Refusal::unknown(format!("{doing}: {err}")))?;
        result.map_err(|err| failed(doing, refusal(&err)))
    }

    /// The same for work that runs hooks.
    pub async fn by_library_with_hooks<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Runtime, &ContainerId) -> corten::error::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        // The semaphore is never closed.
        let _turn = WITH_HOOKS.acquire().await;
        self.by_library(doing, work).await
    }

    /// What the cgroup of the container that was just created will tell.
    pub fn usage(&self, pid: i32) -> Result<Usage, Refusal> {
        let found = match self.driver {
            Driver::Library => ContainerId::parse(&self.id)
                .and_then(|id| Runtime::at(&self.root).find(&id))
                .map(|container| Usage::of(&container)),
            Driver::Binary(_) => Usage::of_init(pid),
        };
        found.map_err(|err| refusal(&err))
    }
}

/// Sends a signal. Nobody to send it to is NotFound, on which engines act.
pub fn signal(runtime: &Runtime, id: &ContainerId, signal: u32, all: bool) -> Result<(), Error> {
    let container = runtime.find(id)?;
    let signal = signal as i32;
    if all { container.signal_all(signal) } else { container.signal(signal) }
}

/// Ends whatever is left in the container.
pub fn kill_all(runtime: &Runtime, id: &ContainerId) -> Result<(), Error> {
    match runtime.find(id)?.signal_all(KILL) {
        Err(err) if err.kind() == Kind::WrongState => Ok(()),
        result => result,
    }
}

/// The type and the bytes of the metrics.
pub fn metrics(usage: &Usage) -> Result<(String, Vec<u8>), Refusal> {
    if !usage.cgroup_exists() {
        return Err(Refusal::not_found("cgroup does not exist"));
    }
    let readings = usage.readings().map_err(|err| refusal(&err))?;
    metrics::encoded(&readings).map(|(name, bytes)| (name.to_owned(), bytes))
}

/// Changes limits.
pub fn update(runtime: &Runtime, id: &ContainerId, json: &[u8]) -> Result<(), Error> {
    let resources = resources_from_json(json)?;
    runtime.lock(id)?.update(&resources)
}

/// An error of the library as a refusal.
pub fn refusal(err: &Error) -> Refusal {
    let code = match err.kind() {
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        _ => Code::Unknown,
    };
    Refusal::new(code, err.to_string())
}
