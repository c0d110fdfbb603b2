//! A limit as a write into a file of the cgroup.

use std::borrow::Cow;
use std::fmt;

use crate::error::{Error, Result};

/// One value for one file of the cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The controller that the file belongs to.
    pub controller: Cow<'static, str>,
    /// The file.
    pub file: Cow<'static, str>,
    /// What is written.
    pub value: Value,
    /// What this is for, as a verb phrase: `limit memory`.
    pub aim: &'static str,
    /// The field of config.json that asks for it.
    pub field: Cow<'static, str>,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// A file whose number the value must exceed. All such files are read before anything is written.
    pub must_exceed: Option<&'static str>,
}

/// What is written. All values but `Text` depend on what stands in the cgroup already, and occur in updates only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// This text.
    Text(String),
    /// This period, with the quota that stands in `cpu.max`.
    PeriodForQuota(u64),
    /// The swap that is left of this total after the memory limit that stands in `memory.max`.
    SwapInTotal(u64),
    /// The swap with which the total of memory and swap stays as it is when memory gets this limit.
    SwapBesideLimit(u64),
}

/// What a failed write means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The limit can't be set: an error.
    Fail,
    /// ENOENT is no error: without the file there is nothing to limit.
    IgnoreMissing,
    /// On ENOENT, this value is written into this file instead.
    Use(&'static str, String),
    /// EINVAL may only mean that the value doesn't fit yet, so it is written again after all other limits.
    RetryLast,
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {} ({})", shown(&self.file), self.value, self.aim, self.field)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(&shown(text)),
            Value::PeriodForQuota(period) => write!(f, "<its quota> {period}"),
            Value::SwapInTotal(total) => write!(f, "{total} - <memory.max>"),
            Value::SwapBesideLimit(limit) => write!(f, "<memory.swap.max> + <memory.max> - {limit}"),
        }
    }
}

/// The text as it is or, where a part of it could not be seen, in quotes.
fn shown(text: &str) -> Cow<'_, str> {
    let quoted = format!("{text:?}");
    if quoted.len() == text.len() + 2 { text.into() } else { quoted.into() }
}

impl Write {
    /// A write of `text` to `file`, whose name starts with its controller's; any failure is an error.
    pub(super) fn new(
        file: impl Into<Cow<'static, str>>,
        text: impl ToString,
        aim: &'static str,
        field: impl Into<Cow<'static, str>>,
    ) -> Write {
        Write::with(file, Value::text(text), aim, field)
    }

    /// As [`Write::new`], for a value that may depend on what stands in the cgroup.
    pub(super) fn with(
        file: impl Into<Cow<'static, str>>,
        value: Value,
        aim: &'static str,
        field: impl Into<Cow<'static, str>>,
    ) -> Write {
        let (file, field) = (file.into(), field.into());
        let controller = controller_of(&file).to_owned().into();
        Write { controller, file, value, aim, field, on_failure: OnFailure::Fail, must_exceed: None }
    }

    /// Whether this is a pids limit that has no room for two processes.
    pub(super) fn has_room_for_one(&self) -> bool {
        let max = match &self.value {
            Value::Text(max) if self.file == "pids.max" => max.trim().parse().ok(),
            _ => None,
        };
        max.is_some_and(|max: u64| max < 2)
    }

    pub(super) fn or(self, on_failure: OnFailure) -> Write {
        Write { on_failure, ..self }
    }

    /// As [`Write::or`], if `condition` holds.
    pub(super) fn or_if(self, condition: bool, on_failure: OnFailure) -> Write {
        if condition { self.or(on_failure) } else { self }
    }

    pub(super) fn above(self, file: &'static str) -> Write {
        Write { must_exceed: Some(file), ..self }
    }
}

impl Value {
    pub(super) fn text(text: impl ToString) -> Value {
        Value::Text(text.to_string())
    }
}

/// The limits of one container.
#[derive(Default)]
pub(super) struct Limits {
    pub before_enter: Vec<Write>,
    pub writes: Vec<Write>,
    pub notes: Vec<String>,
}

/// Collects the limits of one container, with what is known of the host's controllers.
pub(super) struct Collector<'a> {
    version: &'static str,
    has: &'a dyn Fn(&str) -> bool,
    limits: Limits,
}

impl<'a> Collector<'a> {
    /// `has` knows which controllers there are.
    pub fn new(version: &'static str, has: &'a dyn Fn(&str) -> bool) -> Self {
        Collector { version, has, limits: Limits::default() }
    }

    pub fn finish(self) -> Limits {
        self.limits
    }

    /// Adds `write`; an error if its controller isn't there.
    pub fn add(&mut self, write: Write) -> Result<()> {
        self.check(&write)?;
        self.limits.writes.push(write);
        Ok(())
    }

    /// As [`Collector::add`], for a value that must be written before a process joins.
    pub fn add_before_enter(&mut self, write: Write) -> Result<()> {
        self.check(&write)?;
        self.limits.before_enter.push(write);
        Ok(())
    }

    /// Notes that `field` is passed over, if it was `asked` for.
    pub fn pass_over(&mut self, asked: bool, field: &str, why: &str) {
        if asked {
            self.limits.notes.push(format!("{field}: passed over, {why}"));
        }
    }

    /// As [`Collector::add`], but doesn't ask whether the host has the controller.
    pub fn add_unchecked(&mut self, write: Write) {
        self.limits.writes.push(write);
    }

    fn check(&self, write: &Write) -> Result<()> {
        if (self.has)(&write.controller) {
            return Ok(());
        }
        let Write { field, controller, .. } = write;
        let version = self.version;
        let cause = format!("{field}: the {controller} controller is not there (cgroup {version})");
        Err(Error::unsupported(cause))
    }
}

/// The controller that a file belongs to: what its name starts with, `memory.max`. On v2, cgroup v1's `blkio`
/// is called `io`.
fn controller_of(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// A memory size as the spec has it: `-1` is no limit, 0 and absence say nothing.
pub(super) fn size(value: Option<i64>, field: &str) -> Result<Option<i64>> {
    match value {
        None | Some(0) => Ok(None),
        Some(value) if value < -1 => Err(Error::invalid(format!("{field}: {value} is not a size"))),
        some => Ok(some),
    }
}

/// A weight of block I/O as the spec has it: 10 to 1000, and 0 and absence say nothing.
pub(super) fn io_weight(value: Option<u16>, field: &str) -> Result<Option<u16>> {
    match value {
        None | Some(0) => Ok(None),
        Some(10..=1000) => Ok(value),
        Some(other) => Err(Error::invalid(format!("{field}: {other} is not within 10 and 1000"))),
    }
}

/// A value that was given and isn't 0: in these fields 0 has always meant "not given".
pub(super) fn set<T: PartialEq + Default>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// A text that was given and isn't empty.
pub(super) fn set_text(value: &Option<String>) -> Option<&str> {
    value.as_deref().filter(|text| !text.is_empty())
}
