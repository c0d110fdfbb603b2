//! `seccompiler` as a second reference: one action, one architecture, and conditions that it compiles rule by
//! rule, so that it is right where libseccomp's merging of rules is not.

use std::collections::BTreeMap;

use corten::internals::plan::seccomp::{Abi, Disassembly, Syscall, compile};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Operator,
};
use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};
use spec_tests::bpf::{Instruction, Program};

use super::random::{Ingredients, config, machines};
use super::{docker_default, inputs, profile, program};

#[test]
fn docker_default_equals_seccompiler_as_far_as_that_goes() {
    let mut profile = docker_default();
    // seccompiler has one action for all matches, so the rule is left out that has clone3 fail with ENOSYS.
    let allowing =
        profile.syscalls().iter().flatten().filter(|rule| rule.errno_ret().is_none()).cloned().collect();
    profile.set_syscalls(Some(allowing));
    for machine in [Arch::ScmpArchX86_64, Arch::ScmpArchAarch64] {
        equals_seccompiler(&profile, machine).expect("equal");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_profiles_equal_seccompiler(
        json in Ingredients {
            names: &["read", "write", "openat", "personality", "clone", "ioctl", "statx"],
            actions: &["TRAP"],
            operators: &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"],
            arguments: 3,
            conditions_max: 3,
        }.profiles(),
        machine in machines(),
    ) {
        let mut profile = profile(&json);
        // seccompiler refuses a filter whose action for matches is also its default.
        if profile.default_action() != Action::ScmpActTrap {
            profile.set_architectures(None);
            equals_seccompiler(&profile, machine)?;
        }
    }
}

fn equals_seccompiler(profile: &LinuxSeccomp, machine: Arch) -> Result<(), TestCaseError> {
    let abi = if machine == Arch::ScmpArchX86_64 { Abi::X86_64 } else { Abi::Aarch64 };
    let filter = compile(profile, machine).expect("a filter");
    let (ours, theirs) = (program(&filter), theirs(profile, abi));
    let largest = rules(profile, abi).into_keys().max().unwrap_or(0);
    // Past the largest number we say ENOSYS, and seccompiler treats other architectures in its own way.
    let comparable = inputs::all(profile, machine)
        .filter(|data| data.arch == abi.audit_arch() && i64::from(data.nr) <= largest);
    for data in comparable {
        let (got, expected) = (ours.run(&data).verdict, theirs.run(&data).verdict);
        if got != expected {
            prop_assert!(
                false,
                "{data}: got {got:#x}, expected {expected:#x}\n{}",
                Disassembly(&filter.program)
            );
        }
    }
    Ok(())
}

fn theirs(profile: &LinuxSeccomp, abi: Abi) -> Program {
    let arch = if abi == Abi::X86_64 { TargetArch::x86_64 } else { TargetArch::aarch64 };
    let default = profile.default_action().as_u32(profile.default_errno_ret());
    let action =
        profile.syscalls().iter().flatten().next().map(|rule| rule.action().as_u32(rule.errno_ret()));
    let filter =
        SeccompFilter::new(rules(profile, abi), as_action(default), as_action(action.expect("a rule")), arch);
    let program: BpfProgram = filter.expect("a filter").try_into().expect("a program");
    let instructions = program.iter().map(|i| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k });
    Program::verified(instructions.collect()).expect("a valid program")
}

fn rules(profile: &LinuxSeccomp, abi: Abi) -> BTreeMap<i64, Vec<SeccompRule>> {
    let mut rules: BTreeMap<i64, Option<Vec<SeccompRule>>> = BTreeMap::new();
    for rule in profile.syscalls().iter().flatten() {
        for number in rule.names().iter().filter_map(|name| Syscall::find(name)?.number(abi)) {
            let all = rules.entry(i64::from(number)).or_insert_with(|| Some(Vec::new()));
            match alternatives(rule.args().as_deref().unwrap_or_default()) {
                // An unconditional rule, which is an empty list to seccompiler, replaces all other rules.
                None => *all = None,
                Some(more) => all.iter_mut().for_each(|all| all.extend(more.clone())),
            }
        }
    }
    rules.into_iter().map(|(number, rules)| (number, rules.unwrap_or_default())).collect()
}

/// `None` if one of them always holds.
fn alternatives(args: &[LinuxSeccompArg]) -> Option<Vec<SeccompRule>> {
    let repeats = args.iter().any(|arg| args.iter().filter(|other| other.index() == arg.index()).count() > 1);
    let groups: Vec<&[LinuxSeccompArg]> = if repeats { args.chunks(1).collect() } else { vec![args] };
    let group = |group: &[LinuxSeccompArg]| {
        let looks = |arg: &&LinuxSeccompArg| arg.op() != Operator::ScmpCmpMaskedEq || arg.value() != 0;
        SeccompRule::new(group.iter().filter(looks).map(condition).collect()).ok()
    };
    groups.into_iter().map(group).collect()
}

fn condition(arg: &LinuxSeccompArg) -> SeccompCondition {
    let (op, value) = match arg.op() {
        Operator::ScmpCmpNe => (SeccompCmpOp::Ne, arg.value()),
        Operator::ScmpCmpLt => (SeccompCmpOp::Lt, arg.value()),
        Operator::ScmpCmpLe => (SeccompCmpOp::Le, arg.value()),
        Operator::ScmpCmpEq => (SeccompCmpOp::Eq, arg.value()),
        Operator::ScmpCmpGe => (SeccompCmpOp::Ge, arg.value()),
        Operator::ScmpCmpGt => (SeccompCmpOp::Gt, arg.value()),
        Operator::ScmpCmpMaskedEq => (SeccompCmpOp::MaskedEq(arg.value()), arg.value_two().unwrap_or(0)),
    };
    SeccompCondition::new(arg.index() as u8, SeccompCmpArgLen::Qword, op, value).expect("a condition")
}

fn as_action(verdict: u32) -> SeccompAction {
    let data = verdict & 0xffff;
    match verdict & 0xffff_0000 {
        0x8000_0000 => SeccompAction::KillProcess,
        0 => SeccompAction::KillThread,
        0x0003_0000 => SeccompAction::Trap,
        0x0005_0000 => SeccompAction::Errno(data),
        0x7ff0_0000 => SeccompAction::Trace(data),
        0x7ffc_0000 => SeccompAction::Log,
        0x7fff_0000 => SeccompAction::Allow,
        other => panic!("no action {other:#x}"),
    }
}
