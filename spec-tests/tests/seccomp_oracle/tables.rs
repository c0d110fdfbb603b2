//! The table of system calls against libseccomp's and the `syscalls` crate's.

use corten::internals::plan::seccomp::{Abi, Syscall};
use libseccomp::{ScmpArch, ScmpSyscall};

/// x32 got this call in Linux 6.11 by the number that x86_64 had given it; libseccomp 2.5 has it for x86_64 alone.
const GOT_LATER: (&str, Abi) = ("map_shadow_stack", Abi::X32);

#[test]
fn numbers_are_those_of_libseccomp() {
    let abis = [
        (Abi::X86_64, ScmpArch::X8664),
        (Abi::X86, ScmpArch::X86),
        (Abi::X32, ScmpArch::X32),
        (Abi::Aarch64, ScmpArch::Aarch64),
        (Abi::Arm, ScmpArch::Arm),
    ];
    let mut compared = 0;
    for syscall in Syscall::all().iter().filter(|syscall| is_known_to_libseccomp(syscall)) {
        for (abi, arch) in abis.into_iter().filter(|(abi, _)| (syscall.name(), *abi) != GOT_LATER) {
            let theirs =
                ScmpSyscall::from_name_by_arch(syscall.name(), arch).expect("known for one, known for all");
            // Negative: the architecture has no such call, or has it behind a multiplexer and maybe directly, too.
            let theirs = u32::try_from(theirs.as_raw_syscall()).ok();
            if syscall.multiplexed(abi).is_none() {
                assert_eq!(syscall.number(abi), theirs, "{} on {abi:?}", syscall.name());
                compared += 1;
            }
        }
    }
    assert!(compared > 2000, "compared {compared} numbers");
}

#[test]
fn multiplexed_calls_are_those_of_libseccomp() {
    for syscall in Syscall::all().iter().filter(|syscall| is_known_to_libseccomp(syscall)) {
        let theirs = ScmpSyscall::from_name_by_arch(syscall.name(), ScmpArch::X86)
            .expect("known for one, known for all");
        // libseccomp numbers these calls downward, from -100 for socketcall and from -200 for ipc.
        let expected = match theirs.as_raw_syscall() {
            number @ -199..=-101 => Some((102, -100 - number)),
            number @ -299..=-201 => Some((117, -200 - number)),
            _ => None,
        };
        let ours = syscall.multiplexed(Abi::X86).map(|m| (m.number, m.call as i32));
        assert_eq!(ours, expected, "{}", syscall.name());
    }
}

#[test]
fn every_name_of_libseccomp_is_known() {
    for arch in [ScmpArch::X8664, ScmpArch::X86, ScmpArch::X32, ScmpArch::Aarch64, ScmpArch::Arm] {
        let bit = if arch == ScmpArch::X32 { 1 << 30 } else { 0 };
        for number in (0..2000).chain(0xf_0000..0xf_0010) {
            if let Ok(name) = ScmpSyscall::from_raw_syscall(number | bit).get_name_by_arch(arch) {
                assert!(Syscall::find(&name).is_some(), "{name}, {number} on {arch:?}");
            }
        }
    }
}

#[test]
fn numbers_are_those_of_the_syscalls_crate() {
    fn compare<S: Copy + Into<u32>>(abi: Abi, theirs: impl Iterator<Item = (S, &'static str)>) {
        let mut compared = 0;
        for (number, name) in theirs {
            let Some(syscall) = Syscall::find(name) else { continue };
            let number = number.into();
            // The crate gives 64-bit Arm the calls for 64-bit time, which only 32-bit machines have.
            if abi == Abi::Aarch64 && (403..=423).contains(&number) {
                continue;
            }
            assert_eq!(syscall.number(abi), Some(number), "{name} on {abi:?}");
            compared += 1;
        }
        assert!(compared > 300, "compared {compared} numbers on {abi:?}");
    }
    compare(Abi::X86_64, syscalls::x86_64::Sysno::iter().map(|s| (s.id() as u32, s.name())));
    compare(Abi::X86, syscalls::x86::Sysno::iter().map(|s| (s.id() as u32, s.name())));
    compare(Abi::Aarch64, syscalls::aarch64::Sysno::iter().map(|s| (s.id() as u32, s.name())));
    compare(Abi::Arm, syscalls::arm::Sysno::iter().map(|s| (s.id() as u32, s.name())));
}

/// Whether libseccomp's verdicts on a call can be compared with ours.
pub fn is_comparable(name: &str) -> bool {
    Syscall::find(name).is_none_or(|syscall| is_known_to_libseccomp(syscall) && syscall.name() != GOT_LATER.0)
}

fn is_known_to_libseccomp(syscall: &Syscall) -> bool {
    ScmpSyscall::from_name(syscall.name()).is_ok()
}
