//! What is expected: libseccomp's filter, built by the rules by which runc builds it, after runc's test for calls
//! that are newer than the profile.

use std::io::{Read, Seek};

use corten::internals::plan::seccomp::{Abi, Syscall};
use libseccomp::error::SeccompError;
use libseccomp::{ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Operator,
};
use spec_tests::bpf::{Program, SeccompData};

const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;
const X32_BIT: u32 = 1 << 30;

pub struct Reference {
    pub program: Program,
    /// By ABI: `AUDIT_ARCH_*`, whether x32's bit is set, and the largest number that the profile knows.
    largest: Vec<(u32, bool, u32)>,
}

impl Reference {
    pub fn new(profile: &LinuxSeccomp, native: Arch) -> Result<Reference, SeccompError> {
        let arches = arches(profile, native);
        let program = export(&context(profile, &arches)?);
        let adds_enosys = !matches!(
            profile.default_action(),
            Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace
        );
        let largest =
            arches.iter().filter(|_| adds_enosys).filter_map(|arch| largest(profile, *arch)).collect();
        Ok(Reference { program, largest })
    }

    pub fn verdict(&self, data: &SeccompData) -> u32 {
        let newer = self.largest.iter().any(|(arch, x32, largest)| {
            let has_x32_bit = *arch == audit_arch(ScmpArch::X32) && data.nr & X32_BIT != 0;
            data.arch == *arch && has_x32_bit == *x32 && data.nr > *largest
        });
        if newer { ENOSYS } else { self.program.run(data).verdict }
    }
}

/// The architectures of the profile that the machine can run, the native one first.
fn arches(profile: &LinuxSeccomp, native: Arch) -> Vec<ScmpArch> {
    let (native, compatible): (_, &[_]) = match native {
        Arch::ScmpArchX86_64 => {
            (ScmpArch::X8664, &[(Arch::ScmpArchX86, ScmpArch::X86), (Arch::ScmpArchX32, ScmpArch::X32)])
        }
        _ => (ScmpArch::Aarch64, &[(Arch::ScmpArchArm, ScmpArch::Arm)]),
    };
    let listed = |arch| profile.architectures().iter().flatten().any(|listed| *listed == arch);
    let compatible = compatible.iter().filter(|(arch, _)| listed(*arch)).map(|(_, arch)| *arch);
    std::iter::once(native).chain(compatible).collect()
}

fn context(profile: &LinuxSeccomp, arches: &[ScmpArch]) -> Result<ScmpFilterContext, SeccompError> {
    let default = action(profile.default_action(), profile.default_errno_ret());
    let mut context = ScmpFilterContext::new(default)?;
    for arch in arches {
        context.add_arch(*arch)?;
    }
    // The library is built for this machine, but can compile for another.
    if !arches.contains(&ScmpArch::native()) {
        context.remove_arch(ScmpArch::native())?;
    }
    let calls = || {
        profile.syscalls().iter().flatten().flat_map(|rule| rule.names().iter().map(move |name| (rule, name)))
    };
    // Beyond 32 as runc does. And libseccomp up to 2.5.5 forgets to load the number for 32-bit x86 if a call that
    // only a multiplexer has comes first in its list, but not in its tree.
    let only_multiplexed = ["accept", "recv", "send", "semop", "semtimedop"];
    if calls().count() > 32 || calls().any(|(_, name)| only_multiplexed.contains(&name.as_str())) {
        context.set_ctl_optimize(2)?;
    }
    for (rule, name) in calls() {
        let action = action(rule.action(), rule.errno_ret());
        let Ok(syscall) = ScmpSyscall::from_name(name) else { continue };
        if action == default {
            continue;
        }
        let args = rule.args().as_deref().unwrap_or_default();
        let repeats =
            args.iter().any(|arg| args.iter().filter(|other| other.index() == arg.index()).count() > 1);
        let conditions: Vec<_> = args.iter().map(condition).collect();
        match conditions.as_slice() {
            [] => context.add_rule(action, syscall).map(|_| ())?,
            each if repeats => each
                .iter()
                .try_for_each(|one| context.add_rule_conditional(action, syscall, &[*one]).map(|_| ()))?,
            all => context.add_rule_conditional(action, syscall, all).map(|_| ())?,
        }
    }
    Ok(context)
}

fn export(context: &ScmpFilterContext) -> Program {
    // SAFETY: the name is a string that ends in zero; the call returns a new descriptor, which nothing else owns.
    let mut file = unsafe {
        let fd = libc::memfd_create(c"bpf".as_ptr(), libc::MFD_CLOEXEC);
        <std::fs::File as std::os::fd::FromRawFd>::from_raw_fd(fd)
    };
    context.export_bpf(&file).expect("export");
    file.rewind().expect("rewind");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("read");
    Program::from_bytes(&bytes).expect("a valid program")
}

fn action(action: Action, errno_ret: Option<u32>) -> ScmpAction {
    let errno = errno_ret.unwrap_or(libc::EPERM as u32);
    match action {
        Action::ScmpActKill | Action::ScmpActKillThread => ScmpAction::KillThread,
        Action::ScmpActKillProcess => ScmpAction::KillProcess,
        Action::ScmpActTrap => ScmpAction::Trap,
        Action::ScmpActErrno => ScmpAction::Errno(errno as i32),
        Action::ScmpActNotify => ScmpAction::Notify,
        Action::ScmpActTrace => ScmpAction::Trace(errno as u16),
        Action::ScmpActLog => ScmpAction::Log,
        Action::ScmpActAllow => ScmpAction::Allow,
    }
}

fn condition(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    let (op, datum) = match arg.op() {
        Operator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        Operator::ScmpCmpLt => (ScmpCompareOp::Less, arg.value()),
        Operator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, arg.value()),
        Operator::ScmpCmpEq => (ScmpCompareOp::Equal, arg.value()),
        Operator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, arg.value()),
        Operator::ScmpCmpGt => (ScmpCompareOp::Greater, arg.value()),
        Operator::ScmpCmpMaskedEq => (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0)),
    };
    ScmpArgCompare::new(arg.index() as u32, op, datum)
}

/// runc knows no calls behind multiplexers here. We know them by the multiplexer's number and by their own, which
/// libseccomp doesn't tell.
fn largest(profile: &LinuxSeccomp, arch: ScmpArch) -> Option<(u32, bool, u32)> {
    let names = profile.syscalls().iter().flatten().flat_map(|rule| rule.names());
    let numbers = names.filter_map(|name| {
        let number = ScmpSyscall::from_name_by_arch(name, arch).ok()?.as_raw_syscall();
        match number {
            -120..=-101 if arch == ScmpArch::X86 => Some(102.max(own_number(name))),
            -224..=-201 if arch == ScmpArch::X86 => Some(117.max(own_number(name))),
            number => u32::try_from(number).ok(),
        }
    });
    numbers.max().map(|largest| (audit_arch(arch), arch == ScmpArch::X32, largest))
}

fn own_number(name: &str) -> u32 {
    Syscall::find(name).and_then(|syscall| syscall.number(Abi::X86)).unwrap_or(0)
}

fn audit_arch(arch: ScmpArch) -> u32 {
    match arch {
        ScmpArch::X86 => 0x4000_0003,
        ScmpArch::X8664 | ScmpArch::X32 => 0xc000_003e,
        ScmpArch::Arm => 0x4000_0028,
        ScmpArch::Aarch64 => 0xc000_00b7,
        other => panic!("no filters for {other:?}"),
    }
}
