//! What a filter says of one call: its program, run on the call's data.

use super::abi::Abi;
use super::bpf::{AND, Compare, JUMP, LOAD, RETURN};
use super::syscalls::Syscall;
use super::{Arch, Filter};
use crate::sys::seccomp::Instruction;

impl Filter {
    /// Whether a `native` process may make a call with these arguments.
    pub fn allows(&self, native: Arch, name: &str, args: [u64; 6]) -> bool {
        self.lets_through(native, name, args) == Some(true)
    }

    /// Whether a `native` process may not make a call with these arguments. A call that the machine doesn't have isn't
    /// forbidden.
    pub fn forbids(&self, native: Arch, name: &str, args: [u64; 6]) -> bool {
        self.lets_through(native, name, args) == Some(false)
    }

    fn lets_through(&self, native: Arch, name: &str, args: [u64; 6]) -> Option<bool> {
        let abi = Abi::covered(native, &[]).ok()?.first().copied()?;
        let number = Syscall::find(name)?.number(abi)?;
        let verdict = verdict(&self.program, &data(number, abi.audit_arch(), args));
        Some([libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_LOG].contains(&verdict))
    }
}

/// `struct seccomp_data`, as words: number, architecture, instruction pointer, arguments by halves. The kernel has the
/// halves in the order of the machine; every architecture here is little-endian.
fn data(number: u32, audit_arch: u32, args: [u64; 6]) -> [u32; 16] {
    let mut words = [0; 16];
    words[..2].copy_from_slice(&[number, audit_arch]);
    for (at, arg) in args.into_iter().enumerate() {
        words[4 + 2 * at] = arg as u32;
        words[5 + 2 * at] = (arg >> 32) as u32;
    }
    words
}

/// What the program returns. A program that ends in any other way isn't one that the assembler makes; it kills.
fn verdict(program: &[Instruction], data: &[u32; 16]) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    while let Some(Instruction { code, jt, jf, k }) = program.get(at) {
        at += 1;
        match *code {
            RETURN => return *k,
            LOAD => accumulator = data.get(*k as usize / 4).copied().unwrap_or(0),
            AND => accumulator &= k,
            JUMP => at += *k as usize,
            code => match Compare::of(code) {
                Some(compare) => at += usize::from(if compare.holds(accumulator, *k) { *jt } else { *jf }),
                None => break,
            },
        }
    }
    libc::SECCOMP_RET_KILL_PROCESS
}
