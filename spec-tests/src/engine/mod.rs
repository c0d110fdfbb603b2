//! Real Docker engines for tests, and the comparison of two runtimes under one engine.
//!
//! From the outside in: the [`sandbox`] is a pid and mount namespace that holds the whole test run, so that
//! nothing outlives it. In it, a [`machine`] has its own network, mounts, hostname, `/run` and `/etc`, as if it
//! were a host of its own, and each [`dockerd`] engine gets one. The [`pool`] carries out a [`scenario`] in two
//! [`session`]s, one under the reference runtime and one under the tested runtime. The scenario passes if both did
//! what it expects *and* said the same, after [`normal`] took out what differs from any run to the next.

use std::path::Path;
use std::process::Command;

use machine::Machine;
use role::Role;

pub mod containerd;
pub mod dockerd;
pub mod image;
pub mod machine;
pub mod normal;
pub mod podman;
pub mod pods;
pub mod pool;
pub mod process;
pub mod role;
pub mod sandbox;
pub mod scenario;
pub mod session;
pub mod suite;
pub mod verdict;

/// An engine as its client sees it.
pub trait Engine: Send + Sync {
    /// Which of the engines that a suite starts a scenario runs on.
    type On: Copy + Send + Sync + 'static;

    /// The client's name.
    const CLIENT: &'static str;

    /// The client's words for the removal of containers in whatever state.
    const REMOVE: &'static [&'static str];

    /// The client, led to this engine and to nothing of the user's; with the runtime of `role` where the client
    /// chooses the runtime for all that it does.
    fn call(&self, role: Role) -> Command;

    /// The flags of `run ARGS…` and `create ARGS…` that choose the runtime.
    fn runtime_flags(&self, on: Self::On, role: Role, args: &[&str]) -> Vec<&'static str>;

    /// The host that the engine runs on.
    fn machine(&self) -> &Machine;

    /// The engine's scratch directory; it is the same path for the test and for the engine.
    fn dir(&self) -> &Path;

    /// The user whose engine it is, and to whom belongs what a session makes for it.
    fn user(&self) -> u32 {
        0
    }
}

/// Why a scenario ended early.
#[derive(Debug)]
pub enum Stop {
    /// Something was not as expected; the text says what.
    Failed(String),
    /// The scenario can't run on this machine; the text says why.
    Skipped(String),
}

impl Stop {
    /// A failure, from anything that can be shown.
    pub fn failed(what: impl std::fmt::Display) -> Self {
        Stop::Failed(what.to_string())
    }
}

/// What a step of a scenario gives, or why the scenario ends here.
pub type Outcome<T = ()> = Result<T, Stop>;

/// Fails the scenario with `complaint` unless `holds`.
pub fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Stop::Failed(complaint())) }
}
