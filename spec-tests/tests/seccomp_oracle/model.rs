//! What the rules of a profile say, read one by one: slow, and without an opinion on which of several rules that
//! match with different actions comes first.

use corten::internals::plan::seccomp::{Abi, Syscall, X32_BIT};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Operator,
    LinuxSyscall,
};
use spec_tests::bpf::SeccompData;

const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// The verdicts that a filter for `profile` may give on `data`: one, unless rules disagree.
pub fn verdicts(profile: &LinuxSeccomp, native: Arch, data: &SeccompData) -> Vec<u32> {
    let default = profile.default_action().as_u32(profile.default_errno_ret());
    let Some(abi) = abi(profile, native, data) else {
        let skipped =
            native == Arch::ScmpArchX86_64 && data.arch == Abi::X86_64.audit_arch() && data.nr == u32::MAX;
        return vec![if skipped { default } else { KILL_THREAD }];
    };
    let lets_through =
        matches!(profile.default_action(), Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace);
    let named: Vec<_> = uses(profile, abi).collect();
    let is_newer = named.iter().map(|used| used.number).max().is_some_and(|largest| data.nr > largest);
    if is_newer && !lets_through {
        return vec![ENOSYS];
    }
    // Negative numbers are neither x86_64's nor, without the bit, x32's.
    if abi == Abi::X86_64 && data.nr >= X32_BIT && !covers(profile, Arch::ScmpArchX32) {
        return vec![KILL_THREAD];
    }
    let said = named.iter().filter(|used| used.number == data.nr).filter_map(|used| {
        let verdict = used.rule.action().as_u32(used.rule.errno_ret());
        let mut alternatives = used.alternatives(abi);
        alternatives.retain(|conditions| conditions.iter().all(|holds| holds.on(data, abi)));
        let unconditional = alternatives.iter().any(|conditions| conditions.is_empty());
        (verdict != default && !alternatives.is_empty()).then_some((verdict, unconditional))
    });
    let said: Vec<_> = said.collect();
    match said.iter().find(|(_, unconditional)| *unconditional) {
        Some((verdict, _)) => vec![*verdict],
        None if said.is_empty() => vec![default],
        None => said.into_iter().map(|(verdict, _)| verdict).collect(),
    }
}

/// The ABI by which the call was made, if the profile covers it.
fn abi(profile: &LinuxSeccomp, native: Arch, data: &SeccompData) -> Option<Abi> {
    let (is_x86, has_x32_bit) = (native == Arch::ScmpArchX86_64, data.nr & X32_BIT != 0);
    match data.arch {
        0xc000_003e if is_x86 && !has_x32_bit => Some(Abi::X86_64),
        0xc000_003e if is_x86 => covers(profile, Arch::ScmpArchX32).then_some(Abi::X32),
        0x4000_0003 if is_x86 => covers(profile, Arch::ScmpArchX86).then_some(Abi::X86),
        0xc000_00b7 if !is_x86 => Some(Abi::Aarch64),
        0x4000_0028 if !is_x86 => covers(profile, Arch::ScmpArchArm).then_some(Abi::Arm),
        _ => None,
    }
}

fn covers(profile: &LinuxSeccomp, arch: Arch) -> bool {
    profile.architectures().iter().flatten().any(|listed| *listed == arch)
}

/// A rule that speaks of a number.
struct Use<'a> {
    number: u32,
    rule: &'a LinuxSyscall,
    /// The number is a multiplexer's, and its first argument must be this.
    call: Option<u32>,
}

fn uses(profile: &LinuxSeccomp, abi: Abi) -> impl Iterator<Item = Use<'_>> {
    let rules = profile.syscalls().iter().flatten();
    let named = rules.flat_map(|rule| rule.names().iter().map(move |name| (rule, name)));
    named.flat_map(move |(rule, name)| {
        let syscall = Syscall::find(name);
        let direct = syscall.and_then(|syscall| syscall.number(abi));
        let direct = direct.map(|number| Use { number, rule, call: None });
        let multiplexed = syscall.and_then(|syscall| syscall.multiplexed(abi));
        let multiplexed = multiplexed.map(|m| Use { number: m.number, rule, call: Some(m.call) });
        direct.into_iter().chain(multiplexed)
    })
}

impl Use<'_> {
    /// The rule's conditions without those that look at no bit: it matches if all of one alternative hold.
    fn alternatives(&self, abi: Abi) -> Vec<Vec<Holds>> {
        let args = self.rule.args().as_deref().unwrap_or_default();
        let repeats =
            args.iter().any(|arg| args.iter().filter(|other| other.index() == arg.index()).count() > 1);
        let groups: Vec<&[LinuxSeccompArg]> = if repeats { args.chunks(1).collect() } else { vec![args] };
        let alternative = |group: &&[LinuxSeccompArg]| {
            let looked_at = group.iter().filter(|arg| self.call.is_none() || arg.index() != 0);
            let holds = self.call.map(Holds::Call).into_iter().chain(looked_at.map(|arg| Holds::Arg(*arg)));
            holds.filter(|holds| holds.looks(abi)).collect()
        };
        groups.iter().map(alternative).collect()
    }
}

enum Holds {
    Call(u32),
    Arg(LinuxSeccompArg),
}

impl Holds {
    fn looks(&self, abi: Abi) -> bool {
        match self {
            Holds::Arg(arg) if arg.op() == Operator::ScmpCmpMaskedEq => counted(arg.value(), abi) != 0,
            _ => true,
        }
    }

    fn on(&self, data: &SeccompData, abi: Abi) -> bool {
        let arg = match self {
            Holds::Call(call) => return data.args[0] as u32 == *call,
            Holds::Arg(arg) => arg,
        };
        let (actual, value) = (counted(data.args[arg.index()], abi), counted(arg.value(), abi));
        match arg.op() {
            Operator::ScmpCmpNe => actual != value,
            Operator::ScmpCmpLt => actual < value,
            Operator::ScmpCmpLe => actual <= value,
            Operator::ScmpCmpEq => actual == value,
            Operator::ScmpCmpGe => actual >= value,
            Operator::ScmpCmpGt => actual > value,
            Operator::ScmpCmpMaskedEq => actual & value == arg.value_two().unwrap_or(0) & value,
        }
    }
}

fn counted(value: u64, abi: Abi) -> u64 {
    match abi {
        Abi::X86_64 | Abi::Aarch64 => value,
        Abi::X86 | Abi::X32 | Abi::Arm => value & 0xffff_ffff,
    }
}
