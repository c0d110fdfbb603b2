//! Real Docker engines for tests, and the comparison of two runtimes under one engine.
//!
//! From the outside in: the [`sandbox`] is a pid and mount namespace that holds the whole test run, so that
//! nothing outlives it. In it, a [`machine`] has its own network, mounts, hostname, `/run` and `/etc`, as if it
//! were a host of its own, and each [`dockerd`] engine gets one. A [`case`] is played once for each of two
//! [`seat`]s, the reference runtime and the tested one, and passes if both did what the case expects *and* said
//! the same, after [`normal`] took out what differs from any run to the next.

pub mod case;
pub mod dockerd;
pub mod image;
pub mod machine;
pub mod normal;
pub mod process;
pub mod sandbox;
pub mod seat;

/// Why a case ended early.
#[derive(Debug)]
pub enum Stop {
    /// Something was not as expected; the text says what.
    Failed(String),
    /// The case can't run on this machine; the text says why.
    Skipped(String),
}

impl Stop {
    /// A failure, from anything that can be shown.
    pub fn failed(what: impl std::fmt::Display) -> Self {
        Stop::Failed(what.to_string())
    }
}

/// What a step of a case gives, or why the case ends here.
pub type Outcome<T = ()> = Result<T, Stop>;

/// Fails the case with `complaint` unless `holds`.
pub fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Stop::Failed(complaint())) }
}
