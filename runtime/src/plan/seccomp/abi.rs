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
    /// The low half; the high half is not looked at, on x32 either, as in libseccomp.
    Bits32,
    /// All of it, in two comparisons of 32 bits.
    Bits64,
}

impl Abi {
    /// The ABIs that a profile with `architectures` covers on a `native` machine, the native one first.
    ///
    /// An architecture that such a machine can't run is passed over: no system call ever carries its number.
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

    /// How `name` can also be called through a multiplexer, if it can: 32-bit x86 has `socketcall` and `ipc`,
    /// whose first argument says which call is meant and whose others are pointers that a filter can't follow.
    pub fn multiplexed(self, name: &str) -> Option<Multiplexed> {
        if self != Abi::X86 {
            return None;
        }
        let socketcall = |call| Some(Multiplexed { number: 102, call });
        let ipc = |call| Some(Multiplexed { number: 117, call });
        match name {
            "socket" => socketcall(1),
            "bind" => socketcall(2),
            "connect" => socketcall(3),
            "listen" => socketcall(4),
            "accept" => socketcall(5),
            "getsockname" => socketcall(6),
            "getpeername" => socketcall(7),
            "socketpair" => socketcall(8),
            "send" => socketcall(9),
            "recv" => socketcall(10),
            "sendto" => socketcall(11),
            "recvfrom" => socketcall(12),
            "shutdown" => socketcall(13),
            "setsockopt" => socketcall(14),
            "getsockopt" => socketcall(15),
            "sendmsg" => socketcall(16),
            "recvmsg" => socketcall(17),
            "accept4" => socketcall(18),
            "recvmmsg" => socketcall(19),
            "sendmmsg" => socketcall(20),
            "semop" => ipc(1),
            "semget" => ipc(2),
            "semctl" => ipc(3),
            "semtimedop" => ipc(4),
            "msgsnd" => ipc(11),
            "msgrcv" => ipc(12),
            "msgget" => ipc(13),
            "msgctl" => ipc(14),
            "shmat" => ipc(21),
            "shmdt" => ipc(22),
            "shmget" => ipc(23),
            "shmctl" => ipc(24),
            _ => None,
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
