//! A policy as an eBPF program for the hook of cgroup v2: the kernel runs it for each access to a device.

use super::policy::{Access, DeviceType, Devices, Policy};
use crate::sys::bpf::Insn;

impl Policy {
    /// The eBPF program that answers 1 for an access that this policy allows, else 0.
    pub fn program(&self) -> Vec<Insn> {
        let mut program = prologue();
        let groups = [DeviceType::Block, DeviceType::Char].map(|device_type| self.group(device_type));
        let mut left: usize = groups.iter().map(Vec::len).sum();
        for group in groups {
            left -= group.len();
            program.extend(group.into_iter().map(|draft| match draft {
                // A match jumps over all later rules, and over the two instructions that return the default.
                Draft::Match(left_in_group) => jump(left_in_group + left + 2),
                Draft::Insn(insn) => insn,
            }));
        }
        program.extend(answer(self.allow_by_default));
        program.extend(answer(!self.allow_by_default));
        program
    }

    /// The part of the program for accesses to devices of one type.
    fn group(&self, device_type: DeviceType) -> Vec<Draft> {
        let mut drafts = Vec::new();
        // From the last rule to the first, because a jump's length is the number of instructions after it.
        for (devices, &access) in
            self.exceptions.iter().rev().filter(|(devices, _)| devices.device_type == device_type)
        {
            let mut rule = self.rule(devices, access, drafts.len());
            rule.append(&mut drafts);
            drafts = rule;
        }
        if !drafts.is_empty() {
            drafts.insert(0, Draft::Insn(jump_unless_equal(TYPE, device_type.bit().into(), drafts.len())));
        }
        drafts
    }

    /// The instructions for one exception; `after` is how many instructions follow it in the group.
    fn rule(&self, devices: &Devices, access: Access, after: usize) -> Vec<Draft> {
        // An exception that allows must cover every access that is asked for. An exception that denies needs to cover
        // only one of them. Otherwise an O_RDWR open could write because reading is allowed.
        let mut rule = if self.allow_by_default {
            vec![
                Draft::Insn(jump_if_any(ACCESS, access.0.into(), 1)),
                Draft::Insn(jump(1)),
                Draft::Match(after),
            ]
        } else if access == Access::ALL {
            vec![Draft::Match(after)]
        } else {
            let others = Access::ALL.without(access);
            vec![Draft::Insn(jump_if_any(ACCESS, others.0.into(), 1)), Draft::Match(after)]
        };
        for (register, number) in [(MINOR, devices.minor), (MAJOR, devices.major)] {
            if let Some(number) = number {
                rule.insert(0, Draft::Insn(jump_unless_equal(register, number as i32, rule.len())));
            }
        }
        rule
    }
}

/// An instruction of a group, before the length of the later groups is known.
#[derive(Clone, Copy)]
enum Draft {
    Insn(Insn),
    /// A jump to the answer for an exception. The number says how many instructions follow in the group.
    Match(usize),
}

/// Takes the context (`struct bpf_cgroup_dev_ctx`) apart, whose address the kernel hands over in the first register.
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
    use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

    use super::super::policy::RULES_MAX;
    use super::*;

    fn rules(json: &str) -> Vec<LinuxDeviceCgroup> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn program_denies_an_open_of_which_a_part_is_denied() {
        let policy = Policy::new(&rules(
            r#"[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]"#,
        ));
        let program = policy.unwrap().program();
        let null = |access| run(&program, DeviceType::Char, 1, 3, access);
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
            for device_type in [DeviceType::Block, DeviceType::Char] {
                for (major, minor) in [(0, 0), (0, 1), (1, 0), (1, 1), (7, u32::MAX), (u32::MAX, 7)] {
                    for access in 1..8 {
                        let access = Access(access);
                        let answer = run(&program, device_type, major, minor, access);
                        let expected = as_v1(&policy, device_type, major, minor, access);
                        assert_eq!(
                            answer, expected,
                            "{policy}: {device_type:?} {major}:{minor} {access}\n{list:?}"
                        );
                        if access.0.is_power_of_two() {
                            let last = last_rule(&list, device_type, major, minor, access);
                            assert_eq!(
                                answer, last,
                                "{policy}: {device_type:?} {major}:{minor} {access}\n{list:?}"
                            );
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
        assert!(!run(&program, DeviceType::Block, 1, 0, Access::READ));
        assert!(run(&program, DeviceType::Char, 1, RULES_MAX as u32, Access::READ));
        assert!(Policy::new(&list).is_err());
    }

    /// devcgroup_legacy_check_permission() in the kernel's words.
    fn as_v1(policy: &Policy, device_type: DeviceType, major: u32, minor: u32, access: Access) -> bool {
        let device = Devices { device_type, major: Some(major), minor: Some(minor) };
        let mut fitting = policy.exceptions.iter().filter(|(known, _)| known.holds(device));
        if policy.allow_by_default {
            !fitting.any(|(_, denied)| denied.meets(access))
        } else {
            fitting.any(|(_, allowed)| access.without(*allowed) == Access::NONE)
        }
    }

    fn last_rule(
        list: &[LinuxDeviceCgroup],
        device_type: DeviceType,
        major: u32,
        minor: u32,
        access: Access,
    ) -> bool {
        let fits = |rule: &&LinuxDeviceCgroup| {
            let kind_fits = match rule.typ() {
                Some(LinuxDeviceType::B) => device_type == DeviceType::Block,
                Some(LinuxDeviceType::C) => device_type == DeviceType::Char,
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
    fn run(program: &[Insn], device_type: DeviceType, major: u32, minor: u32, access: Access) -> bool {
        let context = [u32::from(access.0) << 16 | u32::from(device_type.bit()), major, minor];
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
