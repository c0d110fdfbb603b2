//! `--trace FILE`: the plan with times beside it, as a Chrome trace that Perfetto opens.
//!
//! Supervisor and init write to the same file, one event a line, each line in one `write`; the array is left open, as
//! the format allows, since neither process knows whether it ends last.
//!
//! A build with the feature `faults` also ends or fails a step that `CORTEN_FAULT` names: `kill:STEP`, `fail:STEP`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use serde_json::json;

use crate::error::{Context, Error, Result, without_middle};
use crate::plan::{Actor, Step};
use crate::sys::file;

/// Writes events, if a trace was asked for.
pub struct Tracer {
    file: Option<OwnedFd>,
    started: Instant,
}

/// A tracer that writes nothing.
impl Default for Tracer {
    fn default() -> Tracer {
        Tracer { file: None, started: Instant::now() }
    }
}

impl Tracer {
    /// A tracer that writes to `path`; without a path it writes nothing.
    pub fn to(path: Option<&Path>) -> Result<Tracer> {
        let nowhere = Tracer::default();
        let Some(path) = path else { return Ok(nowhere) };
        let flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_TRUNC;
        let file = file::create_following_links(path, flags, 0o644).doing("--trace")?;
        file::write_whole(file.as_fd(), b"[\n", "trace")?;
        Ok(Tracer { file: Some(file), ..nowhere })
    }

    /// Performs a step of a plan, and writes how long it took.
    pub fn step<T>(&self, steps: &[Step], step: &Step, perform: impl FnOnce() -> Result<T>) -> Result<T> {
        #[cfg(feature = "faults")]
        faults::strike(step)?;
        if self.file.is_none() {
            return perform().map_err(|err| named(err, step));
        }
        let begun = self.started.elapsed();
        let result = perform().map_err(|err| named(err, step));
        let took = self.started.elapsed() - begun;
        self.write(&event(step, step.performer(steps), begun, took));
        result
    }

    /// What the tracer has open.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let file = self.file.as_ref().map(AsFd::as_fd).into_iter();
        #[cfg(feature = "faults")]
        let file = file.chain(faults::cord());
        file
    }

    fn write(&self, line: &str) {
        if let Some(file) = &self.file {
            let written = file::write_whole(file.as_fd(), line.as_bytes(), "trace");
            crate::error::best_effort(written, "a full disk under the trace must not end a container");
        }
    }
}

/// One event of the trace, as a line.
fn event(step: &Step, performer: &str, begun: Duration, took: Duration) -> String {
    let thread = match step.stage().actor() {
        Actor::Supervisor => 1,
        Actor::Preparer => 2,
        Actor::Init => 3,
    };
    let microseconds = |time: Duration| time.as_nanos() as f64 / 1000.0;
    let event = json!({
        "name": step.stage().name(),
        "cat": performer,
        "ph": "X",
        "ts": microseconds(begun),
        "dur": microseconds(took),
        "pid": 1,
        "tid": thread,
        "args": { "what": step.what(), "field": step.field },
    });
    format!("{event},\n")
}

/// Of a longer description, beginning and end: the type of a mount, and its place.
const WHAT_BYTES_MAX: usize = 160;

/// Says in an error which step failed and which field asked for it.
fn named(err: Error, step: &Step) -> Error {
    err.at_step(|| {
        let (name, what) = (step.stage().name().replace('-', " "), step.what());
        let what = if what.is_empty() { what } else { format!(" {}", without_middle(&what, WHAT_BYTES_MAX)) };
        let field = if step.field.is_empty() { String::new() } else { format!(" ({})", step.field) };
        format!("{name}{what}{field}")
    })
}

#[cfg(feature = "faults")]
pub use faults::tie_supervisor;

#[cfg(feature = "faults")]
mod faults {
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::OnceLock;

    use crate::error::{Error, Result};
    use crate::plan::Step;
    use crate::sys::fault::Cord;

    static SUPERVISOR: OnceLock<Cord> = OnceLock::new();
    /// What the supervisor was told to do. Its child has no environment to ask.
    static FAULT: OnceLock<Option<String>> = OnceLock::new();

    /// Lets init, which inherits the cord, kill the supervisor from inside its pid namespace.
    pub fn tie_supervisor() -> Result<()> {
        let cord = Cord::tie()?;
        SUPERVISOR.get_or_init(|| cord);
        Ok(())
    }

    /// The end of the cord that init pulls at. Init must not close it.
    pub(super) fn cord() -> Option<BorrowedFd<'static>> {
        SUPERVISOR.get().map(AsFd::as_fd)
    }

    /// Ends the supervisor, or fails the step, if `CORTEN_FAULT` names it.
    pub(super) fn strike(step: &Step) -> Result<()> {
        let fault = FAULT.get_or_init(|| std::env::var("CORTEN_FAULT").ok());
        let Some(fault) = fault else { return Ok(()) };
        match fault.split_once(':') {
            Some(("kill", name)) if name == step.stage().name() => {
                if SUPERVISOR.get().is_none() {
                    tie_supervisor()?;
                }
                SUPERVISOR.get().ok_or_else(|| Error::internal("no cord"))?.pull()?;
                // In init: the supervisor's death ends init, and until then init must do nothing more. After `start`
                // there is no supervisor, and init ends by itself.
                std::thread::sleep(std::time::Duration::from_secs(2));
                crate::sys::process::exit_now(1)
            }
            Some(("fail", name)) if name == step.stage().name() => {
                Err(Error::internal("fault injected").context(name.to_string()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{ForPreparer, PropagationChange};

    #[test]
    fn an_event_is_json_whatever_a_config_names() {
        let odd = "\u{200d}\"\\\u{1}\n";
        let action = ForPreparer::MaskPath(odd.into());
        let step = Step { field: odd.to_owned().into(), action: action.into() };
        let line = event(&step, "init", Duration::from_nanos(1500), Duration::ZERO);
        let event: serde_json::Value = serde_json::from_str(line.trim_end().trim_end_matches(',')).unwrap();
        assert_eq!((event["ts"].as_f64(), event["args"]["field"].as_str()), (Some(1.5), Some(odd)));
        assert!(!line.trim_end().contains('\n'));
        let step = Step {
            field: "".into(),
            action: ForPreparer::SetRootPropagation(PropagationChange::slave()).into(),
        };
        assert!(super::event(&step, "init", Duration::ZERO, Duration::ZERO).contains("set-root-propagation"));
    }
}
