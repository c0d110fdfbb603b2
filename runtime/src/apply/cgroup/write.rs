//! Performs planned writes.

use crate::error::{Context, Errno, Error, Kind, Result};
use crate::plan::cgroup::{OnFailure, Value, Write};
use crate::sys::cgroupfs::Dir;

/// Knows the directory that holds the files of a controller.
pub(super) trait Places {
    fn place(&self, controller: &str) -> Result<&Dir>;
}

/// Writes all of `writes` in order, up to the first that fails.
pub(super) fn perform(places: &impl Places, writes: &[Write]) -> Result<()> {
    for write in writes {
        check(places, write).doing_with(|| describe(write))?;
    }
    let mut again = Vec::new();
    for write in writes {
        match attempt(places, write) {
            Err(err) if write.on_failure == OnFailure::RetryLast && err.is(Errno::EINVAL) => {
                again.push(write)
            }
            written => written.doing_with(|| describe(write))?,
        }
    }
    again.into_iter().try_for_each(|write| attempt(places, write).doing_with(|| describe(write)))
}

fn describe(write: &Write) -> String {
    format!("{} to {} ({})", write.aim, write.value, write.field)
}

/// Refuses a limit that is below the present use.
fn check(places: &impl Places, write: &Write) -> Result<()> {
    let (Some(file), Value::Text(value)) = (write.must_exceed, &write.value) else { return Ok(()) };
    // The caller asks for this check as a precaution, so a number that can't be read forbids nothing.
    let Ok(in_use) = places.place(&write.controller)?.read(file) else { return Ok(()) };
    match (value.parse::<u64>(), in_use.trim().parse::<u64>()) {
        (Ok(limit), Ok(in_use)) if limit <= in_use => {
            let cause = format!("rejecting memory limit {limit} <= usage {in_use}");
            Err(Error::new(Kind::WrongState, cause))
        }
        _ => Ok(()),
    }
}

fn attempt(places: &impl Places, write: &Write) -> Result<()> {
    let dir = places.place(&write.controller)?;
    let written = match value(dir, write) {
        Ok(Some(value)) => dir.write(&write.file, &value),
        Ok(None) => Ok(()),
        Err(err) => Err(err),
    };
    let Err(err) = written else { return Ok(()) };
    match &write.on_failure {
        OnFailure::IgnoreMissing if err.is(Errno::ENOENT) => Ok(()),
        OnFailure::Use(file, value) if err.is(Errno::ENOENT) => {
            dir.write(file, value).map_err(|err| explain(dir, write, err))
        }
        _ => Err(explain(dir, write, err)),
    }
}

/// The text to write; `None` where the present value is right.
fn value(dir: &Dir, write: &Write) -> Result<Option<String>> {
    let number = |file: &str| Ok(dir.read(file)?.trim().parse::<u64>().ok());
    Ok(match &write.value {
        Value::Text(text) => Some(text.clone()),
        Value::PeriodForQuota(period) => {
            let standing = dir.read(&write.file)?;
            Some(format!("{} {period}", standing.split(' ').next().unwrap_or("max")))
        }
        Value::SwapInTotal(total) => match number("memory.max")? {
            None => return Err(Error::invalid("unable to set swap limit without memory limit")),
            Some(memory) => Some(swap(*total, memory)?),
        },
        Value::SwapBesideLimit(limit) => match (number("memory.max")?, number("memory.swap.max")?) {
            (Some(memory), Some(standing)) => Some(swap(memory.saturating_add(standing), *limit)?),
            // Memory or swap is unlimited, so there is no total to keep.
            _ => None,
        },
    })
}

fn swap(total: u64, memory: u64) -> Result<String> {
    match total.checked_sub(memory) {
        Some(swap) => Ok(swap.to_string()),
        None => Err(Error::invalid("memory+swap limit should be >= memory limit")),
    }
}

/// Adds what the cgroup itself can say about a failed write.
fn explain(dir: &Dir, write: &Write, err: Error) -> Error {
    if err.is(Errno::ENOENT) || err.is(Errno::EPERM) || err.is(Errno::EACCES) {
        if let Ok(available) = dir.read("cgroup.controllers") {
            let controller = write.controller.as_ref();
            if controller != "cgroup" && !available.split_whitespace().any(|name| name == controller) {
                let cause = format!("controller {controller:?} not available in {}", dir.path().display());
                return Error::unsupported(cause).with_hint(format!("it has {:?}", available.trim()));
            }
        }
    }
    if err.is(Errno::EBUSY) && write.controller == "memory" {
        let usage = |files: [&str; 2]| files.iter().find_map(|file| dir.read(file).ok());
        let current = usage(["memory.usage_in_bytes", "memory.current"]);
        if let Some(current) = current {
            return err.with_hint(format!("the cgroup uses {} bytes", current.trim()));
        }
    }
    err
}
