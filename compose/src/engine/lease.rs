//! The guard of what is half made: a lease for as long as the work lasts.
//!
//! A snapshot that no container names yet goes at containerd's next collection, unless a lease holds it. The lease
//! names the process that works. If the process is killed, the lease ends by its own time, or earlier, when the next
//! command finds that the process is gone.

use std::collections::HashMap;

use super::Engine;
use super::leases::{CreateLease, DeleteLease, LeaseRecord, ListLeases};
use crate::error::{Kind, Result};
use crate::process::Process;
use crate::{id, time};

/// Which process works: `PID STARTED`, with the time from `/proc/PID/stat`.
const OWNER: &str = "corten.compose/owner";

/// When containerd lets go of a lease by itself.
const EXPIRES: &str = "containerd.io/gc.expire";

/// The longest that anything takes under a lease: a pull over a slow line.
const EXPIRES_AFTER_SECONDS: i64 = 3600;

impl Engine {
    /// Does `work` with all that it makes held by a lease, and lets go of the lease afterwards.
    pub async fn leased<T>(&self, work: impl AsyncFnOnce(&Engine) -> Result<T>) -> Result<T> {
        let id = format!("corten-{}", id::random()?);
        self.call(CreateLease { id: id.clone(), labels: labels() }).await?;
        let done = work(&self.under(&id)).await;
        // What was made is named by now, or not wanted. A lease that stays ends by its own time.
        drop(self.call(DeleteLease { id, sync: false }).await);
        done
    }

    /// Lets go of the leases whose process was killed.
    pub async fn drop_dead_leases(&self) -> Result<()> {
        let filters = vec![format!("labels.\"{OWNER}\"")];
        for lease in self.call(ListLeases { filters }).await?.leases {
            if is_dead(&lease) {
                match self.call(DeleteLease { id: lease.id, sync: false }).await {
                    Err(err) if err.kind() != Kind::NotFound => return Err(err),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

fn labels() -> HashMap<String, String> {
    let expires = time::rfc3339(time::now().as_secs() as i64 + EXPIRES_AFTER_SECONDS, 0);
    let mut labels = HashMap::from([(EXPIRES.to_owned(), expires)]);
    let owner = Process::own().map(|own| format!("{} {}", own.pid, own.started));
    labels.extend(owner.map(|owner| (OWNER.to_owned(), owner)));
    labels
}

fn is_dead(lease: &LeaseRecord) -> bool {
    let owner = lease.labels.get(OWNER).and_then(|owner| owner.split_once(' '));
    let process = owner
        .and_then(|(pid, started)| Some(Process { pid: pid.parse().ok()?, started: started.parse().ok()? }));
    process.is_some_and(|process| !process.is_alive())
}
