//! Real Docker engines for tests, and the comparison of two runtimes under one engine.
//!
//! From the outside in: the [`sandbox`] is a pid and mount namespace that holds the whole test run, so that
//! nothing outlives it. In it, a [`machine`] has its own network, mounts, hostname, `/run` and `/etc`, as if it
//! were a host of its own, and each [`dockerd`] engine gets one. The [`pool`] carries out a [`scenario`] in two
//! [`session`]s, one under the reference runtime and one under the tested runtime. The scenario passes if both did
//! what it expects *and* said the same, after [`normal`] took out what differs from any run to the next.

pub mod dockerd;
pub mod image;
pub mod machine;
pub mod normal;
pub mod pool;
pub mod process;
pub mod sandbox;
pub mod scenario;
pub mod session;

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
