//! The container's cgroup as an object of the kernel: made, limited and joined before the container runs, and
//! found again afterwards.

mod create;
mod devices;
mod enter;
mod freezer;
mod live;
mod oom;
pub mod readings;
mod tree;
mod update;
mod write;

pub use create::{CreatedCgroup, create};
pub use enter::{Entrance, PIDS_LIMIT_REACHED};
pub use live::Cgroup;
pub use oom::{OomEvent, OomWatch};

/// How long we wait for the kernel to be done with a cgroup's processes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
