//! An interpreter for classic BPF over `struct seccomp_data`, as strict as the kernel's verifier.
//!
//! It lets two filters be compared on any machine, for any architecture, without installing either.

use std::fmt;

/// One instruction, `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Class, size, mode and operation.
    pub code: u16,
    /// Instructions to skip if the comparison holds.
    pub jt: u8,
    /// Instructions to skip if it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

/// What a filter decides on, `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeccompData {
    /// The number of the system call.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Where the caller is.
    pub instruction_pointer: u64,
    /// The arguments, as the registers hold them.
    pub args: [u64; 6],
}

/// A program that passed [`Program::verified`].
#[derive(Clone, Debug)]
pub struct Program(Vec<Instruction>);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it returned.
    pub verdict: u32,
    /// How many instructions it took.
    pub steps: usize,
}

const LOAD_WORD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_BITS_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

const INSTRUCTIONS_MAX: usize = 4096;
const DATA_BYTES: u32 = 64;

impl Program {
    /// Takes a program if the kernel would: known instructions, aligned loads inside of the data, jumps inside of
    /// the program, a return at its end.
    pub fn verified(instructions: Vec<Instruction>) -> Result<Program, String> {
        let len = instructions.len();
        if len == 0 || len > INSTRUCTIONS_MAX {
            return Err(format!("{len} instructions"));
        }
        for (at, instruction) in instructions.iter().enumerate() {
            let left = len - 1 - at;
            let fits = match instruction.code {
                LOAD_WORD => instruction.k < DATA_BYTES && instruction.k % 4 == 0 && left > 0,
                AND => left > 0,
                JUMP => (instruction.k as usize) < left,
                JUMP_EQUAL | JUMP_GREATER | JUMP_GREATER_OR_EQUAL | JUMP_BITS_SET => {
                    usize::from(instruction.jt.max(instruction.jf)) < left
                }
                RETURN => true,
                _ => false,
            };
            if !fits {
                return Err(format!("instruction {at} of {len}: {instruction:x?}"));
            }
        }
        Ok(Program(instructions))
    }

    /// Takes a program as seccomp_export_bpf(3) writes it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Program, String> {
        let instructions = bytes.chunks_exact(8).map(|raw| Instruction {
            code: u16::from_ne_bytes([raw[0], raw[1]]),
            jt: raw[2],
            jf: raw[3],
            k: u32::from_ne_bytes([raw[4], raw[5], raw[6], raw[7]]),
        });
        Program::verified(instructions.collect())
    }

    /// The instructions.
    pub fn instructions(&self) -> &[Instruction] {
        &self.0
    }

    /// Runs it. It ends, because BPF only jumps forward.
    pub fn run(&self, data: &SeccompData) -> Outcome {
        let (mut accumulator, mut at, mut steps) = (0, 0, 0);
        loop {
            let Instruction { code, jt, jf, k } = self.0[at];
            steps += 1;
            at += 1;
            let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
            match code {
                LOAD_WORD => accumulator = data.word(k),
                AND => accumulator &= k,
                JUMP => at += k as usize,
                JUMP_EQUAL => branch(accumulator == k),
                JUMP_GREATER => branch(accumulator > k),
                JUMP_GREATER_OR_EQUAL => branch(accumulator >= k),
                JUMP_BITS_SET => branch(accumulator & k != 0),
                _ => return Outcome { verdict: k, steps },
            }
        }
    }
}

impl SeccompData {
    /// The word at `offset`, on a little-endian machine.
    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64, offset: u32| (if offset % 8 == 0 { value } else { value >> 32 }) as u32;
        match offset {
            0 => self.nr,
            4 => self.arch,
            8 | 12 => half(self.instruction_pointer, offset),
            _ => half(self.args[(offset as usize - 16) / 8], offset),
        }
    }
}

impl fmt::Display for SeccompData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nr {} ({:#x}) arch {:#x} args {:x?}", self.nr, self.nr, self.arch, self.args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    #[test]
    fn loads_compares_and_returns() {
        let high_of_first_argument = 20;
        let program = Program::verified(vec![
            instruction(LOAD_WORD, 0, 0, high_of_first_argument),
            instruction(AND, 0, 0, 0xf0),
            instruction(JUMP_EQUAL, 0, 1, 0x30),
            instruction(RETURN, 0, 0, 1),
            instruction(RETURN, 0, 0, 2),
        ])
        .expect("a valid program");
        let run =
            |high: u64| program.run(&SeccompData { args: [high << 32, 0, 0, 0, 0, 0], ..Default::default() });
        assert_eq!(run(0x3f), Outcome { verdict: 1, steps: 4 });
        assert_eq!(run(0x4f), Outcome { verdict: 2, steps: 4 });
    }

    #[test]
    fn refuses_what_the_kernel_refuses() {
        let refused = |instructions: &[Instruction]| Program::verified(instructions.to_vec()).is_err();
        let done = instruction(RETURN, 0, 0, 0);
        assert!(refused(&[]));
        assert!(refused(&[instruction(LOAD_WORD, 0, 0, 0)]), "runs off its end");
        assert!(refused(&[instruction(LOAD_WORD, 0, 0, 64), done]), "loads past the data");
        assert!(refused(&[instruction(LOAD_WORD, 0, 0, 2), done]), "loads unaligned");
        assert!(refused(&[instruction(JUMP_EQUAL, 1, 0, 0), done]), "jumps past its end");
        assert!(refused(&[instruction(JUMP, 0, 0, 1), done]), "jumps past its end");
        assert!(refused(&[instruction(0x30, 0, 0, 0), done]), "loads a byte");
    }
}
