//! 3. EFFECTS: performs a finished plan, and never looks at the spec.
//!
//! `supervisor` and `init` are the processes of a start (`init` is the intermediate process too), `handshake` is what
//! they say to each other. Each further file performs the steps of one subsystem.

mod build;
pub mod cgroup;
mod child;
mod console;
mod copy_up;
mod devices;
mod execution;
pub mod foreground;
mod handed_out;
pub mod handshake;
pub mod hooks;
mod identity;
pub mod idmap;
mod init;
mod inside;
mod joined_procfs;
mod limits;
mod listener;
mod namespaces;
mod net_devices;
mod preparer;
mod procfs;
mod program;
pub mod readiness;
mod relay;
pub mod resctrl;
mod rootfs;
pub mod seal;
pub mod starting;
mod subprocess;
mod supervisor;
mod trace;
mod undo;
mod unit;

pub use supervisor::{Created, Creation, Joined, Joining, create, exec};
pub use trace::Tracer;
