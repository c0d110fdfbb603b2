//! Which devices a container may use: the spec's list of rules as a policy, and the policy as lines for the
//! v1 controller and as an eBPF program for v2.

use std::collections::BTreeMap;
use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::{Context, Error, Result};
use crate::sys::bpf::Insn;

/// What remains of a list of rules in which each later one overrides the earlier: a default and exceptions
/// from it. This is what the kernel's v1 controller knows, which the spec's list was made for; v2 gets the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    allow_by_default: bool,
    exceptions: BTreeMap<Devices, Access>,
}

/// A set of devices: of one kind, with the numbers that are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Devices {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Block,
    Char,
}

/// Some of reading, writing and making a node, as the kernel's `BPF_DEVCG_ACC_*` bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Access(u8);

/// One line for the v1 controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whether it goes into `devices.allow` or into `devices.deny`.
    pub allow: bool,
    /// `c 1:3 rwm`.
    pub text: String,
}

impl Policy {
    /// The policy of `linux.resources.devices`, of which the last rule that fits an access decides. To a
    /// list of what is allowed, what every container may use is added; a list of what isn't stands as it is.
    ///
    /// # Errors
    /// A rule that the v1 controller can't express: one that takes a part out of a wildcard.
    pub fn of(rules: &[LinuxDeviceCgroup]) -> Result<Policy> {
        let mut policy = Policy::from_list(rules)?;
        if !policy.allow_by_default {
            for (kind, major, minor, access) in ALWAYS_ALLOWED {
                policy.put(true, Devices { kind, major, minor }, access)?;
            }
        }
        Ok(policy)
    }

    /// Whether nothing at all is forbidden.
    pub fn allows_everything(&self) -> bool {
        self.allow_by_default && self.exceptions.is_empty()
    }

    /// The lines that bring a v1 cgroup from whatever it has to this policy.
    pub fn v1_lines(&self) -> Vec<Line> {
        let reset = Line { allow: self.allow_by_default, text: "a".to_owned() };
        let exceptions = self.exceptions.iter().map(|(devices, access)| Line {
            allow: !self.allow_by_default,
            text: format!("{devices} {access}"),
        });
        std::iter::once(reset).chain(exceptions).collect()
    }

    /// The eBPF program that answers 1 for an access that this policy allows, else 0.
    pub fn program(&self) -> Vec<Insn> {
        let mut program = prologue();
        let groups = [Kind::Block, Kind::Char].map(|kind| self.group(kind));
        let mut left: usize = groups.iter().map(Vec::len).sum();
        for group in groups {
            left -= group.len();
            program.extend(group.into_iter().map(|insn| match insn {
                // What matches jumps over all that follows, and over the two that answer the default.
                Step::Match(left_in_group) => jump(left_in_group + left + 2),
                Step::Insn(insn) => insn,
            }));
        }
        program.extend(answer(self.allow_by_default));
        program.extend(answer(!self.allow_by_default));
        program
    }

    fn from_list(rules: &[LinuxDeviceCgroup]) -> Result<Policy> {
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
        let (major, minor) = (number(rule.major(), "major")?, number(rule.minor(), "minor")?);
        let kinds: &[Kind] = match rule.typ().unwrap_or_default() {
            LinuxDeviceType::B => &[Kind::Block],
            LinuxDeviceType::C => &[Kind::Char],
            LinuxDeviceType::A if access == Access::ALL && major.is_none() && minor.is_none() => {
                *self = Policy { allow_by_default: rule.allow(), exceptions: BTreeMap::new() };
                return Ok(());
            }
            // The v1 controller takes any rule for all kinds as one for all devices and every access. That
            // would open more than was asked for, so such a rule is taken as one for either kind.
            LinuxDeviceType::A => &[Kind::Block, Kind::Char],
            other => {
                return Err(Error::invalid(format!("type {:?} is not of a cgroup device", other.as_str())));
            }
        };
        kinds.iter().try_for_each(|&kind| self.put(rule.allow(), Devices { kind, major, minor }, access))
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
            // The v1 controller would ignore the rule without a word.
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

    /// The part of the program for accesses to devices of one kind.
    fn group(&self, kind: Kind) -> Vec<Step> {
        let mut steps = Vec::new();
        // From the last rule to the first, since a jump is counted in what follows it.
        for (devices, &access) in self.exceptions.iter().rev().filter(|(devices, _)| devices.kind == kind) {
            let mut rule = self.rule(devices, access, steps.len());
            rule.append(&mut steps);
            steps = rule;
        }
        if !steps.is_empty() {
            steps.insert(0, Step::Insn(jump_unless_equal(TYPE, kind.bit().into(), steps.len())));
        }
        steps
    }

    /// The instructions for one exception; `after` is how many follow in the group.
    fn rule(&self, devices: &Devices, access: Access, after: usize) -> Vec<Step> {
        // An exception that allows must cover all that is asked for, one that denies any part of it: the
        // write of an O_RDWR open must not slip through because reading is allowed.
        let mut rule = match self.allow_by_default {
            false if access == Access::ALL => vec![Step::Match(after)],
            false => vec![
                Step::Insn(jump_if_any(ACCESS, Access::ALL.without(access).0.into(), 1)),
                Step::Match(after),
            ],
            true => vec![
                Step::Insn(jump_if_any(ACCESS, access.0.into(), 1)),
                Step::Insn(jump(1)),
                Step::Match(after),
            ],
        };
        for (register, number) in [(MINOR, devices.minor), (MAJOR, devices.major)] {
            if let Some(number) = number {
                rule.insert(0, Step::Insn(jump_unless_equal(register, number as i32, rule.len())));
            }
        }
        rule
    }
}

/// So that each jump of the program fits its 16 bits: a rule can be two exceptions of at most five
/// instructions.
const RULES_MAX: usize = 2048;

/// What every container may use: making nodes, and the devices of `/dev` that the
/// runtime itself puts there.
const ALWAYS_ALLOWED: [(Kind, Option<u32>, Option<u32>, Access); 11] = [
    (Kind::Char, None, None, Access::MKNOD),
    (Kind::Block, None, None, Access::MKNOD),
    (Kind::Char, Some(1), Some(3), Access::ALL),    // null
    (Kind::Char, Some(1), Some(5), Access::ALL),    // zero
    (Kind::Char, Some(1), Some(7), Access::ALL),    // full
    (Kind::Char, Some(1), Some(8), Access::ALL),    // random
    (Kind::Char, Some(1), Some(9), Access::ALL),    // urandom
    (Kind::Char, Some(5), Some(0), Access::ALL),    // tty
    (Kind::Char, Some(136), None, Access::ALL),     // pts/*
    (Kind::Char, Some(5), Some(2), Access::ALL),    // ptmx
    (Kind::Char, Some(10), Some(200), Access::ALL), // net/tun
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
    fn holds(self, other: Devices) -> bool {
        let all = |own: Option<u32>, other| own.is_none() || own == other;
        self.kind == other.kind && all(self.major, other.major) && all(self.minor, other.minor)
    }

    /// Whether some device is in both sets.
    fn overlaps(self, other: Devices) -> bool {
        let some = |own: Option<u32>, other: Option<u32>| own.is_none() || other.is_none() || own == other;
        self.kind == other.kind && some(self.major, other.major) && some(self.minor, other.minor)
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let kind = if self.kind == Kind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{}", number(self.major), number(self.minor))
    }
}

impl Kind {
    /// `BPF_DEVCG_DEV_*`.
    fn bit(self) -> u8 {
        match self {
            Kind::Block => 1,
            Kind::Char => 2,
        }
    }
}

impl Access {
    const NONE: Access = Access(0);
    const MKNOD: Access = Access(1);
    const READ: Access = Access(2);
    const WRITE: Access = Access(4);
    const ALL: Access = Access(7);

    fn parse(text: &str) -> Result<Access> {
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

    fn with(self, other: Access) -> Access {
        Access(self.0 | other.0)
    }

    fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }

    fn meets(self, other: Access) -> bool {
        self.0 & other.0 != 0
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(Access::READ, "r"), (Access::WRITE, "w"), (Access::MKNOD, "m")];
        letters.iter().filter(|(bit, _)| self.meets(*bit)).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

/// A device number of the spec: absence and -1 stand for any.
fn number(number: Option<i64>, name: &str) -> Result<Option<u32>> {
    match number {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(format!("{name} {number} is not a device number"))),
        },
    }
}

/// A step of a rule whose place in the program isn't known yet.
#[derive(Clone, Copy)]
enum Step {
    Insn(Insn),
    /// The rule matches. So many steps follow in its group.
    Match(usize),
}

/// The context (`struct bpf_cgroup_dev_ctx`) taken apart: the kernel hands over its address in the first
/// register.
fn prologue() -> Vec<Insn> {
    vec![
        load_word(TYPE, CONTEXT, 0),
        op(BPF_ALU | BPF_MOV | BPF_X, ACCESS, TYPE, 0, 0),
        op(BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff),
        op(BPF_ALU | BPF_RSH | BPF_K, ACCESS, 0, 0, 16),
        load_word(MAJOR, CONTEXT, 4),
        load_word(MINOR, CONTEXT, 8),
    ]
}

fn answer(allow: bool) -> [Insn; 2] {
    [op(BPF_ALU | BPF_MOV | BPF_K, ANSWER, 0, 0, allow.into()), op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)]
}

fn load_word(to: u8, base: u8, offset: i16) -> Insn {
    op(BPF_LDX | BPF_MEM | BPF_W, to, base, offset, 0)
}

fn jump(over: usize) -> Insn {
    op(BPF_JMP | BPF_JA, 0, 0, over as i16, 0)
}

/// Compares the lower half, as device numbers have 32 bits and `number` would be sign-extended.
fn jump_unless_equal(register: u8, number: i32, over: usize) -> Insn {
    op(BPF_JMP32 | BPF_JNE | BPF_K, register, 0, over as i16, number)
}

fn jump_if_any(register: u8, bits: i32, over: usize) -> Insn {
    op(BPF_JMP32 | BPF_JSET | BPF_K, register, 0, over as i16, bits)
}

fn op(code: u8, destination: u8, source: u8, off: i16, imm: i32) -> Insn {
    let regs =
        if cfg!(target_endian = "little") { source << 4 | destination } else { destination << 4 | source };
    Insn { code, regs, off, imm }
}

const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// linux/bpf_common.h and linux/bpf.h.
const BPF_LDX: u8 = 0x01;
const BPF_ALU: u8 = 0x04;
const BPF_JMP: u8 = 0x05;
const BPF_JMP32: u8 = 0x06;
const BPF_W: u8 = 0x00;
const BPF_MEM: u8 = 0x60;
const BPF_K: u8 = 0x00;
const BPF_X: u8 = 0x08;
const BPF_AND: u8 = 0x50;
const BPF_RSH: u8 = 0x70;
const BPF_MOV: u8 = 0xb0;
const BPF_JA: u8 = 0x00;
const BPF_JSET: u8 = 0x40;
const BPF_JNE: u8 = 0x50;
const BPF_EXIT: u8 = 0x90;

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
        Policy::of(&rules(json)).unwrap_err().to_string()
    }

    #[test]
    fn without_a_list_only_the_default_devices_are_allowed() {
        let policy = Policy::of(&[]).unwrap();
        let lines: Vec<_> = policy.v1_lines().into_iter().map(|line| (line.allow, line.text)).collect();
        assert_eq!(lines[0], (false, "a".to_owned()));
        assert_eq!(lines[1], (true, "b *:* m".to_owned()));
        assert_eq!(lines[3], (true, "c 1:3 rwm".to_owned()));
        assert_eq!(lines.len(), 12);
        assert!(!policy.allows_everything());
    }

    #[test]
    fn privileged_list_allows_everything() {
        let policy = Policy::of(&rules(r#"[{"allow":true,"access":"rwm"}]"#)).unwrap();
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
        assert!(error(r#"[{"type":"c","major":-2,"access":"r"}]"#).contains("major -2"));
        assert!(error(r#"[{"type":"c","minor":4294967296,"access":"r"}]"#).contains("minor 4294967296"));
    }

    #[test]
    fn program_denies_an_open_of_which_a_part_is_denied() {
        let policy = Policy::of(&rules(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]"#,
        ));
        let program = policy.unwrap().program();
        let null = |access| run(&program, Kind::Char, 1, 3, access);
        assert!(null(Access::READ) && null(Access::MKNOD));
        assert!(!null(Access::WRITE) && !null(Access::READ.with(Access::WRITE)));
    }

    /// Random lists over few numbers, so that the rules meet each other.
    #[test]
    fn program_answers_as_the_v1_controller_and_the_last_rule_that_fits_decides() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut lists = 0;
        while lists < 3000 {
            let list: Vec<_> = (0..random.below(7)).map(|_| random.rule()).collect();
            let Ok(policy) = Policy::from_list(&list) else { continue };
            lists += 1;
            let program = policy.program();
            for kind in [Kind::Block, Kind::Char] {
                for (major, minor) in [(0, 0), (0, 1), (1, 0), (1, 1), (7, u32::MAX), (u32::MAX, 7)] {
                    for access in 1..8 {
                        let access = Access(access);
                        let answer = run(&program, kind, major, minor, access);
                        let expected = as_v1(&policy, kind, major, minor, access);
                        assert_eq!(answer, expected, "{policy}: {kind:?} {major}:{minor} {access}\n{list:?}");
                        if access.0.is_power_of_two() {
                            let last = last_rule(&list, kind, major, minor, access);
                            assert_eq!(answer, last, "{policy}: {kind:?} {major}:{minor} {access}\n{list:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn longest_program_s_jumps_fit() {
        let list: Vec<_> = (0..RULES_MAX as i64)
            .map(|minor| rule(false, LinuxDeviceType::A, Some(1), Some(minor), Access::READ))
            .collect();
        let list = [vec![rule(true, LinuxDeviceType::A, None, None, Access::ALL)], list].concat();
        let program = Policy::from_list(&list[..RULES_MAX]).unwrap().program();
        assert!(!run(&program, Kind::Block, 1, 0, Access::READ));
        assert!(run(&program, Kind::Char, 1, RULES_MAX as u32, Access::READ));
        assert!(Policy::of(&list).is_err());
    }

    /// devcgroup_legacy_check_permission() in the kernel's words.
    fn as_v1(policy: &Policy, kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let device = Devices { kind, major: Some(major), minor: Some(minor) };
        let mut fitting = policy.exceptions.iter().filter(|(known, _)| known.holds(device));
        match policy.allow_by_default {
            true => !fitting.any(|(_, denied)| denied.meets(access)),
            false => fitting.any(|(_, allowed)| access.without(*allowed) == Access::NONE),
        }
    }

    fn last_rule(list: &[LinuxDeviceCgroup], kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let fits = |rule: &&LinuxDeviceCgroup| {
            let kind_fits = match rule.typ() {
                Some(LinuxDeviceType::B) => kind == Kind::Block,
                Some(LinuxDeviceType::C) => kind == Kind::Char,
                _ => true,
            };
            kind_fits
                && rule.major().is_none_or(|number| number == i64::from(major))
                && rule.minor().is_none_or(|number| number == i64::from(minor))
                && Access::parse(rule.access().as_ref().unwrap()).unwrap().meets(access)
        };
        list.iter().rev().find(fits).is_some_and(|rule| rule.allow())
    }

    fn rule(
        allow: bool,
        typ: LinuxDeviceType,
        major: Option<i64>,
        minor: Option<i64>,
        access: Access,
    ) -> LinuxDeviceCgroup {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(allow).set_typ(Some(typ)).set_major(major).set_minor(minor);
        rule.set_access(Some(access.to_string()));
        rule
    }

    /// The few instructions that the programs consist of.
    fn run(program: &[Insn], kind: Kind, major: u32, minor: u32, access: Access) -> bool {
        let context = [u32::from(access.0) << 16 | u32::from(kind.bit()), major, minor];
        let (mut registers, mut at) = ([0u64; 11], 0usize);
        loop {
            let insn = program[at];
            let (to, from) = (usize::from(insn.regs & 0xf), usize::from(insn.regs >> 4));
            at += 1;
            let operand = if insn.code & BPF_X != 0 { registers[from] as u32 } else { insn.imm as u32 };
            let value = registers[to] as u32;
            let mut jump_if = |condition: bool| {
                at = at.checked_add_signed(if condition { insn.off.into() } else { 0 }).unwrap()
            };
            match insn.code & !BPF_X {
                code if code == BPF_JMP | BPF_EXIT => return registers[usize::from(ANSWER)] != 0,
                code if code == BPF_JMP | BPF_JA => jump_if(true),
                code if code == BPF_JMP32 | BPF_JNE => jump_if(value != operand),
                code if code == BPF_JMP32 | BPF_JSET => jump_if(value & operand != 0),
                code if code == BPF_ALU | BPF_MOV => registers[to] = operand.into(),
                code if code == BPF_ALU | BPF_AND => registers[to] = (value & operand).into(),
                code if code == BPF_ALU | BPF_RSH => registers[to] = (value >> operand).into(),
                code if code == BPF_LDX | BPF_MEM | BPF_W && from == usize::from(CONTEXT) => {
                    registers[to] = context[insn.off as usize / 4].into();
                }
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }

        fn rule(&mut self) -> LinuxDeviceCgroup {
            let typ = [LinuxDeviceType::A, LinuxDeviceType::B, LinuxDeviceType::C][self.below(3) as usize];
            let numbers = [None, Some(0), Some(1), Some(7), Some(i64::from(u32::MAX))];
            let (major, minor) = (numbers[self.below(5) as usize], numbers[self.below(5) as usize]);
            let access = if self.below(2) == 0 { Access::ALL } else { Access(self.below(7) as u8 + 1) };
            rule(self.below(2) == 0, typ, major, minor, access)
        }
    }
}
