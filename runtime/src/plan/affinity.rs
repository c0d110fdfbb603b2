//! The CPUs of a process that joins a container (`process.execCPUAffinity`).

use super::{ForPreparer, Step};
use crate::error::{Error, Result};
use crate::spec::oci;
use crate::sys::list::numbers;

/// The CPUs that a process may use. An empty list leaves them as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Before it enters the cgroup.
    pub initial: Vec<usize>,
    /// After it has entered the cgroup.
    pub last: Vec<usize>,
}

/// Enters the cgroup, with the CPUs that the process is given.
pub(super) fn enter_cgroup(process: &oci::Process) -> Result<Step> {
    let affinity = of(process)?;
    let is_given = affinity != Affinity::default();
    let action = ForPreparer::EnterCgroup(affinity);
    Ok(if is_given { Step::of("process.execCPUAffinity", action) } else { Step::always(action) })
}

/// The CPUs that the process is given.
pub(super) fn of(process: &oci::Process) -> Result<Affinity> {
    let Some(affinity) = process.exec_cpu_affinity() else { return Ok(Affinity::default()) };
    let cpus = |text: &Option<String>, field: &str| match text.as_deref() {
        Some(text) if !text.is_empty() => numbers(text).ok_or_else(|| {
            Error::invalid(format!("process.execCPUAffinity.{field}: {text:?} is no list of CPUs"))
        }),
        _ => Ok(Vec::new()),
    };
    let (initial, last) = (affinity.initial(), affinity.cpu_affinity_final());
    Ok(Affinity { initial: cpus(initial, "initial")?, last: cpus(last, "final")? })
}
