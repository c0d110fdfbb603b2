//! What judges Corten from outside: the helpers that the suites under `tests/` share.
//!
//! The runtime under test is a binary, named by `CORTEN_BIN`; any OCI runtime with runc's command line will do, and
//! a check that runc itself fails says so in its own text.
//!
//! | variable | meaning |
//! |---|---|
//! | `CORTEN_BIN` | the runtime under test; by default `release/corten` in the target directory of the tests |
//! | `CORTEN_FAULTS_BIN` | Corten built with the feature `faults`, for the tests that end it at a named step |
//! | `CORTEN_CGROUP_MANAGER` | `systemd`: containers get their cgroups from systemd; see [`manager`] |
//! | `CORTEN_SKIPPED` | a file to which every skip, and every failure that was expected, is appended as a line |

pub mod bpf;
pub mod bundle;
pub mod cgroup;
pub mod console;
pub mod container;
pub mod engine;
pub mod leftovers;
pub mod manager;
pub mod mountinfo;
pub mod notify;
pub mod patience;
pub mod payload;
pub mod race;
pub mod resctrl;
pub mod root;
pub mod runtime;
pub mod skip;
pub mod subject;
pub mod victim;
pub mod view;
