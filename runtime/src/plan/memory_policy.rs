//! The NUMA memory policy of a container's processes (`linux.memoryPolicy`).

use super::{ForPreparer, Step};
use crate::error::{Error, Result};
use crate::spec::{Spec, oci};
use crate::sys::list::numbers;
use crate::sys::memory_policy::{FLAGS, MODES, MemoryPolicy};

const FIELD: &str = "linux.memoryPolicy";

/// Sets the policy, where the config has one: for init and for each process that joins.
pub(super) fn step(spec: &Spec) -> Result<Option<Step>> {
    let asked = spec.linux().and_then(|linux| linux.memory_policy().as_ref());
    let policy = asked.map(policy).transpose()?;
    Ok(policy.map(|policy| Step::of(FIELD, ForPreparer::SetMemoryPolicy(policy))))
}

fn policy(asked: &oci::LinuxMemoryPolicy) -> Result<MemoryPolicy> {
    let flags = asked.flags().iter().flatten().map(|flag| number(&FLAGS, &flag.to_string(), "flags"));
    let flags = flags.collect::<Result<Vec<u32>>>()?.into_iter().fold(0, |all, flag| all | flag);
    Ok(MemoryPolicy { mode: number(&MODES, &asked.mode().to_string(), "mode")?, flags, nodes: nodes(asked)? })
}

fn number(table: &[(u32, &str)], name: &str, field: &str) -> Result<u32> {
    let found = table.iter().find(|(_, known)| *known == name);
    let number = found.map(|(number, _)| *number);
    number.ok_or_else(|| Error::unsupported(format!("{FIELD}.{field}: {name} is not supported")))
}

/// The nodes of the list, and whether the mode takes any. What the kernel alone knows it says itself: which nodes there
/// are, and which flags fit a mode.
fn nodes(asked: &oci::LinuxMemoryPolicy) -> Result<Vec<usize>> {
    use oci::MemoryPolicyModeType as Mode;
    let list = asked.nodes().as_deref().unwrap_or_default();
    let nodes = numbers(list)
        .ok_or_else(|| Error::invalid(format!("{FIELD}.nodes: {list:?} is no list of memory nodes")))?;
    let mode = asked.mode();
    match mode {
        Mode::MpolDefault | Mode::MpolLocal if !nodes.is_empty() => {
            let count = nodes.len();
            Err(Error::invalid(format!("{FIELD}.nodes: mode {mode} requires 0 nodes but got {count}")))
        }
        Mode::MpolBind | Mode::MpolInterleave | Mode::MpolPreferredMany | Mode::MpolWeightedInterleave
            if nodes.is_empty() =>
        {
            Err(Error::invalid(format!("{FIELD}.nodes: mode {mode} requires at least one node")))
        }
        Mode::MpolDefault
        | Mode::MpolLocal
        | Mode::MpolPreferred
        | Mode::MpolBind
        | Mode::MpolInterleave
        | Mode::MpolPreferredMany
        | Mode::MpolWeightedInterleave => Ok(nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(json: &str) -> Result<MemoryPolicy> {
        policy(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn mode_flags_and_nodes_become_the_kernels_numbers() {
        let asked = r#"{"mode":"MPOL_BIND","nodes":"0-1,5","flags":["MPOL_F_STATIC_NODES"]}"#;
        let expected = MemoryPolicy { mode: 2, flags: 1 << 15, nodes: vec![0, 1, 5] };
        let planned = planned(asked).unwrap();
        assert_eq!(planned, expected);
        assert_eq!(planned.to_string(), "MPOL_BIND|MPOL_F_STATIC_NODES, [0, 1, 5]");
    }

    #[test]
    fn preferred_is_with_or_without_nodes() {
        for nodes in ["", "0"] {
            planned(&format!(r#"{{"mode":"MPOL_PREFERRED","nodes":"{nodes}"}}"#)).unwrap();
        }
    }

    #[test]
    fn nodes_that_do_not_fit_the_mode_are_refused() {
        for (asked, what) in [
            (r#"{"mode":"MPOL_DEFAULT","nodes":"0-7"}"#, "mode MPOL_DEFAULT requires 0 nodes but got 8"),
            (r#"{"mode":"MPOL_LOCAL","nodes":"0"}"#, "mode MPOL_LOCAL requires 0 nodes but got 1"),
            (r#"{"mode":"MPOL_INTERLEAVE"}"#, "mode MPOL_INTERLEAVE requires at least one node"),
            (r#"{"mode":"MPOL_BIND","nodes":"0-9876543210"}"#, "\"0-9876543210\" is no list of memory nodes"),
        ] {
            let err = planned(asked).unwrap_err().to_string();
            assert_eq!(err, format!("linux.memoryPolicy.nodes: {what}"));
        }
    }
}
