//! OUTPUT: what is kept of a container between two commands.
//!
//! `$root/$id/` holds `state.json` (the [`Record`]), `exec.json` (what `exec` needs of config.json) and, until `start`, the fifo `exec.fifo` that init waits at. The status isn't kept: it
//! follows from the process, the fifo and the freezer.

mod directory;
mod exec_config;
mod id;
mod record;
mod status;

pub use directory::{ContainerDir, Lock, Root};
pub use id::ContainerId;
pub use record::Record;
pub use status::{Facts, OciState, Status};
