//! What a keeper is told of its container. It is written when the container is created.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::restart::Policy;
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::process::Process;

/// The file's name in the container's directory.
const FILE: &str = "keep.json";

/// All that a keeper is told.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Settings {
    /// The containerd namespace.
    pub namespace: String,
    /// The container's id.
    pub id: String,
    /// containerd's socket.
    pub address: String,
    /// The URI by which a shim starts the keeper.
    #[serde(default)]
    pub log_uri: String,
    /// Where output goes.
    #[serde(default)]
    pub log: Log,
    /// How health is found out, if at all.
    #[serde(default)]
    pub health: Option<Check>,
    /// When the container is started again.
    #[serde(default)]
    pub restart: Policy,
    /// Whether the container is removed at its end.
    #[serde(default)]
    pub auto_remove: bool,
    /// The command that is about to start the container again: until that ends, the container stays.
    #[serde(default)]
    pub stays_for: Option<Process>,
}

/// Where output goes.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Log {
    /// Whether output is kept at all. Who is attached sees it in any case.
    pub kept: bool,
    /// How large a file grows.
    pub bytes_max: u64,
    /// How many files there are, the newest included.
    pub files_max: u32,
}

impl Default for Log {
    fn default() -> Log {
        Log { kept: true, bytes_max: 100_000_000, files_max: 3 }
    }
}

/// How health is found out.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Check {
    /// The program and its arguments.
    pub args: Vec<String>,
    /// The pause between two probes.
    #[serde(default = "Check::usual_pause")]
    pub interval: Duration,
    /// How long a probe may take.
    #[serde(default = "Check::usual_pause")]
    pub timeout: Duration,
    /// So many failures in a row are unhealthy.
    #[serde(default = "Check::usual_retries")]
    pub retries: u32,
    /// For so long after the start failures don't count.
    #[serde(default)]
    pub start_period: Duration,
    /// The pause between two probes meanwhile.
    #[serde(default = "Check::usual_start_interval")]
    pub start_interval: Duration,
}

impl Check {
    /// A check with Docker's defaults.
    pub fn of(args: Vec<String>) -> Check {
        Check {
            args,
            interval: Check::usual_pause(),
            timeout: Check::usual_pause(),
            retries: Check::usual_retries(),
            start_period: Duration::ZERO,
            start_interval: Check::usual_start_interval(),
        }
    }

    fn usual_pause() -> Duration {
        Duration::from_secs(30)
    }

    fn usual_retries() -> u32 {
        3
    }

    fn usual_start_interval() -> Duration {
        Duration::from_secs(5)
    }
}

impl Settings {
    /// The settings of the container whose directory this is.
    pub fn load(container: &Path) -> Result<Settings> {
        let path = container.join(FILE);
        let settings = disk::read_json(&path)?;
        settings.ok_or_else(|| Error::of_kind(Kind::NotFound, format!("{}: not found", path.display())))
    }

    /// Writes them into the container's directory.
    pub fn save(&self, container: &Path) -> Result<()> {
        disk::write_json(&container.join(FILE), self)
    }
}
