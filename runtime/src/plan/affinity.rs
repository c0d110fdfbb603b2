//! The CPUs of a process that joins a container (`process.execCPUAffinity`).

use super::{ForInit, Step};
use crate::error::{Error, Result};
use crate::spec::oci;

/// The CPUs that a process may use; none says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Before it enters the cgroup.
    pub initial: Vec<usize>,
    /// Afterwards.
    pub last: Vec<usize>,
}

/// Enters the cgroup, with the CPUs that the process is given.
pub(super) fn enter_cgroup(process: &oci::Process) -> Result<Step> {
    match affinity(process)? {
        none if none == Affinity::default() => Ok(Step::always(ForInit::EnterCgroup(none))),
        given => Ok(Step::of("process.execCPUAffinity", ForInit::EnterCgroup(given))),
    }
}

fn affinity(process: &oci::Process) -> Result<Affinity> {
    let Some(affinity) = process.exec_cpu_affinity() else { return Ok(Affinity::default()) };
    let list = |text: &Option<String>, field: &str| match text.as_deref() {
        Some(text) if !text.is_empty() => cpu_list(text).ok_or_else(|| {
            Error::invalid(format!("process.execCPUAffinity.{field}: {text:?} is no list of CPUs"))
        }),
        _ => Ok(Vec::new()),
    };
    let (initial, last) = (affinity.initial(), affinity.cpu_affinity_final());
    Ok(Affinity { initial: list(initial, "initial")?, last: list(last, "final")? })
}

/// `0-3,7`
fn cpu_list(text: &str) -> Option<Vec<usize>> {
    const CPUS_MAX: usize = 8192;
    let mut cpus = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= CPUS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::cpu_list;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(cpu_list("0-2,5"), Some(vec![0, 1, 2, 5]));
        assert_eq!(cpu_list("3-1"), None);
        assert_eq!(cpu_list("0-99999999"), None);
    }
}
