//! The ABIs by which a process can enter the kernel of one machine.

use oci_spec::runtime::Arch;

use crate::error::{Error, Result};

/// A system-call ABI. The discriminants are the columns of the table of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86, on an x86_64 kernel.
    X86,
    /// x86_64's registers with 32-bit pointers: numbers with bit 30 set, under x86_64's audit architecture.
    X32,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm (EABI), on an aarch64 kernel.
    Arm,
}

/// How much of an argument of a system call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The low half. As in libseccomp, x32 has this width too.
    Bits32,
    /// All of it, in two comparisons of 32 bits.
    Bits64,
}

impl Abi {
    /// The ABIs that a profile with `architectures` covers on a `native` machine, the native one first.
    ///
    /// An architecture that the machine can't run is passed over, because no system call ever carries its number.
    pub fn covered(native: Arch, architectures: &[Arch]) -> Result<Vec<Abi>> {
        let runnable: &[(Arch, Abi)] = match native {
            Arch::ScmpArchX86_64 => &[
                (Arch::ScmpArchX86_64, Abi::X86_64),
                (Arch::ScmpArchX86, Abi::X86),
                (Arch::ScmpArchX32, Abi::X32),
            ],
            Arch::ScmpArchAarch64 => &[(Arch::ScmpArchAarch64, Abi::Aarch64), (Arch::ScmpArchArm, Abi::Arm)],
            other => {
                return Err(Error::unsupported(format!("linux.seccomp: no filters for {other} machines")));
            }
        };
        let covered = runnable.iter().filter(|(arch, _)| *arch == native || architectures.contains(arch));
        Ok(covered.map(|(_, abi)| *abi).collect())
    }

    /// The value of `seccomp_data.arch` (`AUDIT_ARCH_*` of linux/audit.h).
    pub fn audit_arch(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
        }
    }

    /// How much of an argument counts.
    pub fn width(self) -> Width {
        match self {
            Abi::X86_64 | Abi::Aarch64 => Width::Bits64,
            Abi::X86 | Abi::X32 | Abi::Arm => Width::Bits32,
        }
    }
}

/// A system call as a multiplexer takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Multiplexed {
    /// The number of the multiplexer.
    pub number: u32,
    /// The multiplexer's first argument.
    pub call: u32,
}

impl Multiplexed {
    /// How `name` can also be called through a multiplexer of 32-bit x86, if it can. The multiplexers are `socketcall`
    /// and `ipc`: their first argument selects the call, and the rest are pointers that a filter can't follow.
    pub(super) const fn by_x86(name: &str) -> Option<Multiplexed> {
        const SOCKETCALL: u32 = 102;
        const IPC: u32 = 117;
        let (number, call) = match name.as_bytes() {
            b"socket" => (SOCKETCALL, 1),
            b"bind" => (SOCKETCALL, 2),
            b"connect" => (SOCKETCALL, 3),
            b"listen" => (SOCKETCALL, 4),
            b"accept" => (SOCKETCALL, 5),
            b"getsockname" => (SOCKETCALL, 6),
            b"getpeername" => (SOCKETCALL, 7),
            b"socketpair" => (SOCKETCALL, 8),
            b"send" => (SOCKETCALL, 9),
            b"recv" => (SOCKETCALL, 10),
            b"sendto" => (SOCKETCALL, 11),
            b"recvfrom" => (SOCKETCALL, 12),
            b"shutdown" => (SOCKETCALL, 13),
            b"setsockopt" => (SOCKETCALL, 14),
            b"getsockopt" => (SOCKETCALL, 15),
            b"sendmsg" => (SOCKETCALL, 16),
            b"recvmsg" => (SOCKETCALL, 17),
            b"accept4" => (SOCKETCALL, 18),
            b"recvmmsg" => (SOCKETCALL, 19),
            b"sendmmsg" => (SOCKETCALL, 20),
            b"semop" => (IPC, 1),
            b"semget" => (IPC, 2),
            b"semctl" => (IPC, 3),
            b"semtimedop" => (IPC, 4),
            b"msgsnd" => (IPC, 11),
            b"msgrcv" => (IPC, 12),
            b"msgget" => (IPC, 13),
            b"msgctl" => (IPC, 14),
            b"shmat" => (IPC, 21),
            b"shmdt" => (IPC, 22),
            b"shmget" => (IPC, 23),
            b"shmctl" => (IPC, 24),
            _ => return None,
        };
        Some(Multiplexed { number, call })
    }
}
