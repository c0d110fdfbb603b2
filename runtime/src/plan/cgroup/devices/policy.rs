//! The spec's list of rules as a policy, and the policy as lines for the v1 controller.

use std::collections::BTreeMap;
use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::{Context, Error, Result};
use crate::plan::cgroup::host::Drivers;
use crate::plan::devices::{self, MAJOR_BITS, MINOR_BITS};

/// A default and the exceptions from it. The spec has a list instead, in which each rule overrides the rules before it.
/// The list was made for the v1 controller, and the kernel keeps it there in this form. v2 gets the same policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub(super) allow_by_default: bool,
    pub(super) exceptions: BTreeMap<Devices, Access>,
}

/// A set of devices: all of one type that have the given numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Devices {
    pub device_type: DeviceType,
    pub major: Option<u32>,
    pub minor: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DeviceType {
    Block,
    Char,
}

/// A set of accesses (reading, writing, making a node), as the kernel's `BPF_DEVCG_ACC_*` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access(pub u8);

/// One line for the v1 controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether it goes into `devices.allow` or into `devices.deny`.
    pub allow: bool,
    /// `c 1:3 rwm`.
    pub text: String,
}

impl Policy {
    /// The policy of `linux.resources.devices`, where the last rule that fits an access decides. A list that allows
    /// some devices is completed by the devices that every container may use. A list that denies some stays as it is.
    ///
    /// Errors: a rule that the v1 controller can't express, because the rule takes a part out of a wildcard.
    pub fn new(rules: &[LinuxDeviceCgroup]) -> Result<Policy> {
        let mut policy = Policy::from_list(rules)?;
        if !policy.allow_by_default {
            for (device_type, major, minor, access) in ALWAYS_ALLOWED {
                policy.put(true, Devices { device_type, major, minor }, access)?;
            }
        }
        Ok(policy)
    }

    /// The policy that forbids nothing.
    pub fn everything() -> Policy {
        Policy { allow_by_default: true, exceptions: BTreeMap::new() }
    }

    /// Whether nothing at all is forbidden.
    pub fn allows_everything(&self) -> bool {
        self.allow_by_default && self.exceptions.is_empty()
    }

    /// The lines that give a v1 cgroup this policy, whatever it has before.
    pub fn v1_lines(&self) -> Vec<Line> {
        let reset = Line { allow: self.allow_by_default, text: "a".to_owned() };
        let exceptions = self.exceptions.iter().map(|(devices, access)| Line {
            allow: !self.allow_by_default,
            text: format!("{devices} {access}"),
        });
        std::iter::once(reset).chain(exceptions).collect()
    }

    /// The policy as `DeviceAllow` of a unit has it: what may be done with which devices. `None` where the default is
    /// to allow, which systemd can't take exceptions from. It has no word for a minor number of every major number.
    pub fn for_systemd(&self, drivers: &Drivers) -> Option<Vec<(String, String)>> {
        let allowed = self.exceptions.iter().flat_map(|(devices, access)| {
            devices.names_for_systemd(drivers).into_iter().map(|name| (name, access.to_string()))
        });
        (!self.allow_by_default).then(|| allowed.collect())
    }

    pub(super) fn from_list(rules: &[LinuxDeviceCgroup]) -> Result<Policy> {
        if rules.len() > RULES_MAX {
            return Err(Error::invalid(format!("linux.resources.devices: more than {RULES_MAX} rules")));
        }
        let mut policy = Policy { allow_by_default: false, exceptions: BTreeMap::new() };
        for (index, rule) in rules.iter().enumerate() {
            policy.apply(rule).doing_with(|| format!("linux.resources.devices[{index}] ({rule})"))?;
        }
        Ok(policy)
    }

    fn apply(&mut self, rule: &LinuxDeviceCgroup) -> Result<()> {
        let access = Access::parse(rule.access().as_deref().unwrap_or_default())?;
        let (major, minor) =
            (number(rule.major(), MAJOR_BITS, "major")?, number(rule.minor(), MINOR_BITS, "minor")?);
        let types: &[DeviceType] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::B => &[DeviceType::Block],
            LinuxDeviceType::C => &[DeviceType::Char],
            LinuxDeviceType::A if access == Access::ALL && major.is_none() && minor.is_none() => {
                *self = Policy { allow_by_default: rule.allow(), exceptions: BTreeMap::new() };
                return Ok(());
            }
            // The v1 controller takes a rule of type `a` as a rule for all devices and every access, whatever else it
            // says. To pass the rule on would allow more than was asked for, so it becomes two rules, of types `b` and
            // `c`.
            LinuxDeviceType::A => &[DeviceType::Block, DeviceType::Char],
            other => {
                return Err(Error::invalid(format!("type {:?} is not of a cgroup device", other.as_str())));
            }
        };
        types.iter().try_for_each(|&device_type| {
            self.put(rule.allow(), Devices { device_type, major, minor }, access)
        })
    }

    fn put(&mut self, allow: bool, devices: Devices, access: Access) -> Result<()> {
        if allow == self.allow_by_default {
            self.take_out(devices, access)
        } else {
            let known = self.exceptions.entry(devices).or_insert(Access::NONE);
            *known = known.with(access);
            Ok(())
        }
    }

    fn take_out(&mut self, devices: Devices, access: Access) -> Result<()> {
        let meets = |(known, allowed): &(&Devices, &Access)| known.overlaps(devices) && allowed.meets(access);
        if let Some((wider, _)) =
            self.exceptions.iter().filter(meets).find(|(known, _)| !devices.holds(**known))
        {
            // The v1 controller would ignore such a rule without a word.
            return Err(Error::unsupported(format!("cannot punch hole in existing wildcard rule {wider}")));
        }
        self.exceptions.retain(|known, left| {
            if devices.holds(*known) {
                *left = left.without(access);
            }
            *left != Access::NONE
        });
        Ok(())
    }
}

/// The name of a driver that has this major number and no other. systemd takes the name for a pattern.
fn driver_of_one(drivers: &[(u32, String)], major: u32) -> Option<&str> {
    let has_no_other = |name: &str| drivers.iter().all(|(other, of)| of != name || *other == major);
    let names = drivers.iter().filter(|(of, _)| *of == major).map(|(_, name)| name.as_str());
    names.into_iter().find(|name| !name.contains(['*', '?', '[', '\\']) && has_no_other(name))
}

/// The limit keeps each jump of the eBPF program within 16 bits: a rule can become two exceptions, of at most five
/// instructions each.
pub(super) const RULES_MAX: usize = 2048;

/// What every container may use: making nodes, and the devices that the runtime itself puts into `/dev`.
const ALWAYS_ALLOWED: [(DeviceType, Option<u32>, Option<u32>, Access); 11] = [
    (DeviceType::Char, None, None, Access::MKNOD),
    (DeviceType::Block, None, None, Access::MKNOD),
    (DeviceType::Char, Some(1), Some(3), Access::ALL), // null
    (DeviceType::Char, Some(1), Some(5), Access::ALL), // zero
    (DeviceType::Char, Some(1), Some(7), Access::ALL), // full
    (DeviceType::Char, Some(1), Some(8), Access::ALL), // random
    (DeviceType::Char, Some(1), Some(9), Access::ALL), // urandom
    (DeviceType::Char, Some(5), Some(0), Access::ALL), // tty
    (DeviceType::Char, Some(136), None, Access::ALL),  // pts/*
    (DeviceType::Char, Some(5), Some(2), Access::ALL), // ptmx
    (DeviceType::Char, Some(10), Some(200), Access::ALL), // net/tun
];

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allow_by_default { "devices: all" } else { "devices: none" })?;
        for (index, (devices, access)) in self.exceptions.iter().enumerate() {
            f.write_str(if index == 0 { " but " } else { ", " })?;
            write!(f, "{devices} {access}")?;
        }
        Ok(())
    }
}

impl Devices {
    /// Whether each device of `other` is in this set.
    pub fn holds(self, other: Devices) -> bool {
        let all = |own: Option<u32>, other| own.is_none() || own == other;
        self.device_type == other.device_type && all(self.major, other.major) && all(self.minor, other.minor)
    }

    /// What systemd calls these devices. It knows a whole major number by the name of a driver alone: where no driver
    /// has this number and no other, each device has to be named.
    fn names_for_systemd(self, drivers: &Drivers) -> Vec<String> {
        /// A driver has as many unless it asks for more.
        const MINORS: u32 = 256;
        let (kind, drivers) = match self.device_type {
            DeviceType::Block => ("block", &drivers.block),
            DeviceType::Char => ("char", &drivers.char),
        };
        let one = |major: u32, minor: u32| format!("/dev/{kind}/{major}:{minor}");
        match (self.major, self.minor) {
            (Some(major), Some(minor)) => vec![one(major, minor)],
            (Some(major), None) => match driver_of_one(drivers, major) {
                Some(name) => vec![format!("{kind}-{name}")],
                None => (0..MINORS).map(|minor| one(major, minor)).collect(),
            },
            (None, None) => vec![format!("{kind}-*")],
            (None, Some(_)) => Vec::new(),
        }
    }

    /// Whether some device is in both sets.
    fn overlaps(self, other: Devices) -> bool {
        let some = |own: Option<u32>, other: Option<u32>| own.is_none() || other.is_none() || own == other;
        self.device_type == other.device_type
            && some(self.major, other.major)
            && some(self.minor, other.minor)
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let letter = if self.device_type == DeviceType::Block { 'b' } else { 'c' };
        write!(f, "{letter} {}:{}", number(self.major), number(self.minor))
    }
}

impl DeviceType {
    /// `BPF_DEVCG_DEV_*`.
    pub fn bit(self) -> u8 {
        match self {
            DeviceType::Block => 1,
            DeviceType::Char => 2,
        }
    }
}

impl Access {
    pub const NONE: Access = Access(0);
    pub const MKNOD: Access = Access(1);
    pub const READ: Access = Access(2);
    pub const WRITE: Access = Access(4);
    pub const ALL: Access = Access(7);

    pub fn parse(text: &str) -> Result<Access> {
        if text.is_empty() {
            return Err(Error::invalid("device access cannot be empty"));
        }
        text.chars().try_fold(Access::NONE, |access, letter| match letter {
            'r' => Ok(access.with(Access::READ)),
            'w' => Ok(access.with(Access::WRITE)),
            'm' => Ok(access.with(Access::MKNOD)),
            _ => Err(Error::invalid(format!("access {text:?} is not of r, w and m"))),
        })
    }

    pub fn with(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    pub fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    pub fn meets(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")];
        letters.iter().filter(|(bit, _)| self.meets(*bit)).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// A device number of the spec: none and -1 stand for any number.
fn number(number: Option<i64>, bits: u32, name: &str) -> Result<Option<u32>> {
    number.filter(|number| *number != -1).map(|number| devices::number(number, bits, name)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).unwrap()
    }

    fn listed(json: &str) -> String {
        Policy::from_list(&rules(json)).unwrap().to_string()
    }

    fn error(json: &str) -> String {
        Policy::new(&rules(json)).unwrap_err().to_string()
    }

    #[test]
    fn without_a_list_only_the_default_devices_are_allowed() {
        let policy = Policy::new(&[]).unwrap();
        let lines: Vec<_> = policy.v1_lines().into_iter().map(|line| (line.allow, line.text)).collect();
        assert_eq!(lines[0], (false, "a".to_owned()));
        assert_eq!(lines[1], (true, "b *:* m".to_owned()));
        assert_eq!(lines[3], (true, "c 1:3 rwm".to_owned()));
        assert_eq!(lines.len(), 12);
        assert!(!policy.allows_everything());
    }

    #[test]
    fn privileged_list_allows_everything() {
        let policy = Policy::new(&rules(r#"[{"allow":true,"access":"rwm"}]"#)).unwrap();
        assert!(policy.allows_everything());
        assert_eq!(policy.v1_lines(), [Line { allow: true, text: "a".to_owned() }]);
    }

    #[test]
    fn rule_for_all_devices_starts_anew() {
        assert_eq!(
            listed(
                r#"[{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},
                    {"allow":true,"type":"a","access":"mrw"},
                    {"allow":false,"type":"b","major":8,"minor":-1,"access":"w"}]"#
            ),
            "devices: all but b 8:* w"
        );
    }

    #[test]
    fn rule_for_either_kind_opens_no_more_than_it_says() {
        assert_eq!(
            listed(r#"[{"allow":true,"type":"a","major":10,"minor":200,"access":"rw"}]"#),
            "devices: none but b 10:200 rw, c 10:200 rw"
        );
    }

    #[test]
    fn accesses_add_up_and_are_taken_away() {
        assert_eq!(
            listed(
                r#"[{"allow":true,"type":"c","major":1,"minor":3,"access":"r"},
                    {"allow":true,"type":"c","major":1,"minor":3,"access":"wm"},
                    {"allow":true,"type":"c","major":1,"minor":5,"access":"r"},
                    {"allow":false,"type":"c","major":1,"access":"m"},
                    {"allow":false,"type":"c","major":1,"minor":5,"access":"r"}]"#
            ),
            "devices: none but c 1:3 rw"
        );
    }

    #[test]
    fn a_whole_major_number_is_told_systemd_by_a_driver_of_its_own() {
        let drivers = Drivers {
            char: vec![(4, "/dev/vc/0".into()), (4, "tty".into()), (136, "pts".into())],
            block: vec![(8, "sd".into()), (65, "sd".into())],
        };
        let told = |rule: &str| {
            let list = format!(r#"[{{"allow":true,"access":"rw",{rule}}}]"#);
            let names = Policy::from_list(&rules(&list)).unwrap().for_systemd(&drivers).unwrap();
            (names.len(), names.first().map(|(name, access)| format!("{name} {access}")))
        };
        let one = |name: &str| (1, Some(name.to_owned()));
        assert_eq!(told(r#""type":"c","major":136"#), one("char-pts rw"));
        assert_eq!(told(r#""type":"c","major":4"#), one("char-/dev/vc/0 rw"));
        assert_eq!(told(r#""type":"c","major":4,"minor":64"#), one("/dev/char/4:64 rw"));
        assert_eq!(told(r#""type":"b""#), one("block-* rw"));
        assert_eq!(told(r#""type":"b","major":8"#), (256, Some("/dev/block/8:0 rw".into())));
        assert_eq!(told(r#""type":"c","major":42"#), (256, Some("/dev/char/42:0 rw".into())));
        assert_eq!(told(r#""type":"c","minor":3"#), (0, None));
    }

    #[test]
    fn hole_in_a_wildcard_is_refused() {
        let err = error(
            r#"[{"allow":true,"type":"c","major":1,"access":"rw"},
                {"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]"#,
        );
        assert_eq!(
            err,
            "linux.resources.devices[1] (c 1:3 w): cannot punch hole in existing wildcard rule c 1:*"
        );
    }

    #[test]
    fn bad_rules_are_named() {
        assert!(
            error(r#"[{"allow":true,"type":"c"}]"#).contains("devices[0] (c *:* ): device access cannot")
        );
        assert!(error(r#"[{"type":"c","access":"rx"}]"#).contains(r#"access "rx" is not of r, w and m"#));
        assert!(error(r#"[{"type":"p","access":"r"}]"#).contains(r#"type "p" is not of a cgroup device"#));
        assert!(error(r#"[{"type":"c","major":-2,"access":"r"}]"#).contains("major: -2"));
        assert!(error(r#"[{"type":"c","minor":4294967296,"access":"r"}]"#).contains("minor: 4294967296"));
    }
}
