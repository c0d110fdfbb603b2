//! Network devices of the caller that the container gets (`linux.netDevices`).

use std::collections::BTreeSet;

use super::{ForPreparer, ForSupervisor, Step};
use crate::error::{Error, Result};
use crate::spec::{Namespace, Spec};
use crate::sys::netlink::NAME_BYTES_MAX;

const FIELD: &str = "linux.netDevices";
/// Stands in a name for the first number that makes a name which isn't taken.
pub const NUMBER: &str = "%d";

/// A network device that the container gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetDevice {
    /// What it is called in the caller's network namespace.
    pub name: String,
    /// What it is called in the container's; may hold one [`NUMBER`].
    pub inside: String,
}

impl NetDevice {
    /// Whether its name in the container is to be completed by a number.
    pub fn is_numbered(&self) -> bool {
        self.inside.contains(NUMBER)
    }
}

pub(super) fn steps(spec: &Spec) -> Result<Vec<Step>> {
    let asked = spec.linux().and_then(|linux| linux.net_devices().as_ref());
    let mut devices = Vec::new();
    for (name, device) in asked.into_iter().flatten() {
        let inside = device.name().as_ref().filter(|inside| !inside.is_empty()).unwrap_or(name);
        check(name, name.contains('%'), &format!("{FIELD}[{name:?}]"))?;
        let is_template = inside.matches(NUMBER).count() == 1;
        let stray = inside.matches('%').count() > usize::from(is_template);
        check(inside, stray, &format!("{FIELD}[{name:?}].name"))?;
        devices.push(NetDevice { name: name.clone(), inside: inside.clone() });
    }
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    if !spec.namespaces().is_private(Namespace::Network) {
        return Err(Error::invalid(format!("{FIELD}: needs a network namespace of the container's own")));
    }
    // A name that is given as it is must not be taken by a name with a number.
    devices.sort_by(|a, b| (a.is_numbered(), &a.name).cmp(&(b.is_numbered(), &b.name)));
    let mut taken = BTreeSet::new();
    let fixed = devices.iter().filter(|device| !device.is_numbered());
    for NetDevice { name, inside } in fixed {
        if !taken.insert(inside) {
            return Err(Error::invalid(format!("{FIELD}[{name:?}].name: two devices are called {inside:?}")));
        }
    }
    Ok(vec![
        Step::of(FIELD, ForPreparer::AskForNetDevices),
        Step::of(FIELD, ForSupervisor::MoveNetDevices(devices)),
    ])
}

/// The kernel's rules for a name.
fn check(name: &str, stray_percent: bool, field: &str) -> Result<()> {
    let is_wrong = name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || matches!(name, "." | "..")
        || name.contains(|c: char| matches!(c, '/' | ':') || c.is_ascii_whitespace())
        || stray_percent;
    if is_wrong {
        return Err(Error::invalid(format!("{field}: invalid network device name {name:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Action;

    fn planned(devices: &str, network: &str) -> Result<Vec<NetDevice>> {
        let config = format!(
            r#"{{"ociVersion":"1.3.0","root":{{"path":"r"}},"process":{{"cwd":"/","args":["a"]}},
                "linux":{{"namespaces":[{{"type":"mount"}}{network}],"netDevices":{devices}}}}}"#
        );
        let steps = steps(&Spec::load(config.as_bytes()).unwrap())?;
        Ok(steps
            .into_iter()
            .find_map(|step| match step.action {
                Action::Supervisor(ForSupervisor::MoveNetDevices(devices)) => Some(devices),
                _ => None,
            })
            .unwrap_or_default())
    }

    const NETWORK: &str = r#",{"type":"network"}"#;

    #[test]
    fn a_device_keeps_its_name_unless_it_gets_another() {
        let devices = planned(r#"{"b":{"name":"eth%d"},"a":{},"c":{"name":""}}"#, NETWORK).unwrap();
        let names: Vec<_> = devices.iter().map(|device| (&device.name[..], &device.inside[..])).collect();
        assert_eq!(names, [("a", "a"), ("c", "c"), ("b", "eth%d")]);
        assert_eq!(planned("{}", "").unwrap(), []);
    }

    #[test]
    fn names_that_the_kernel_refuses_are_refused_by_their_field() {
        let refused = |devices: &str| planned(devices, NETWORK).unwrap_err().to_string();
        for name in ["", ".", "..", "a/b", "a:b", "a b", "a\\t", "sixteen-bytes-on", "eth%d"] {
            let text = refused(&format!(r#"{{"{name}":{{}}}}"#));
            assert!(text.starts_with("linux.netDevices["), "{name}: {text}");
            assert!(text.contains("invalid network device name"), "{name}: {text}");
        }
        for name in ["a b", "eth%s", "eth%d%d", "%"] {
            let text = refused(&format!(r#"{{"a":{{"name":"{name}"}}}}"#));
            assert!(text.starts_with(r#"linux.netDevices["a"].name: invalid"#), "{name}: {text}");
        }
        assert!(refused(r#"{"a":{"name":"x"},"b":{"name":"x"}}"#).contains("two devices are called"));
    }

    #[test]
    fn a_device_needs_a_network_namespace_to_go_to() {
        let err = planned(r#"{"a":{}}"#, "").unwrap_err().to_string();
        assert_eq!(err, "linux.netDevices: needs a network namespace of the container's own");
    }
}
