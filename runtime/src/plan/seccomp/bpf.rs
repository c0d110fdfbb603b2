//! An assembler for classic BPF that works from the end of the program to its start.
//!
//! BPF only jumps forward. So an assembler that works backward knows the target of every jump that it writes, and sees
//! at once whether the eight bits of a branch reach it.

use std::fmt;

use super::condition::Word;
use crate::sys::seccomp::Instruction;

/// `A = seccomp_data[k]`, a word.
pub const LOAD: u16 = 0x20;
/// `A &= k`.
pub const AND: u16 = 0x54;
/// Skip `k` instructions.
pub const JUMP: u16 = 0x05;
/// Return `k`.
pub const RETURN: u16 = 0x06;

/// The longest jump of a branch: one less than its eight bits hold, because a jump to its second target may come to
/// stand in between.
const REACH: usize = 254;

/// A comparison of the accumulator with a constant, without sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `A == k`
    Equal,
    /// `A > k`
    Greater,
    /// `A >= k`
    GreaterOrEqual,
}

impl Compare {
    const ALL: [Compare; 3] = [Compare::Equal, Compare::Greater, Compare::GreaterOrEqual];

    /// The instruction's code.
    fn code(self) -> u16 {
        match self {
            Compare::Equal => 0x15,
            Compare::Greater => 0x25,
            Compare::GreaterOrEqual => 0x35,
        }
    }

    /// The comparison of an instruction's code.
    pub fn of(code: u16) -> Option<Compare> {
        Compare::ALL.into_iter().find(|compare| compare.code() == code)
    }

    /// Whether it holds for the accumulator.
    pub fn holds(self, accumulator: u32, k: u32) -> bool {
        match self {
            Compare::Equal => accumulator == k,
            Compare::Greater => accumulator > k,
            Compare::GreaterOrEqual => accumulator >= k,
        }
    }
}

/// A place in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A place to jump to, and where to jump instead if the accumulator holds the word already that the place loads first.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    label: Label,
    loaded: Option<(u32, Label)>,
}

impl From<Label> for Entry {
    fn from(label: Label) -> Entry {
        Entry { label, loaded: None }
    }
}

impl Entry {
    /// Where to jump whatever the accumulator holds.
    pub fn label(self) -> Label {
        self.label
    }

    /// Where to jump if the accumulator holds the word at `offset`.
    fn having(self, offset: u32) -> Label {
        match self.loaded {
            Some((loaded, label)) if loaded == offset => label,
            _ => self.label,
        }
    }
}

/// A program in the making, from its last instruction to its first.
#[derive(Debug, Default)]
pub struct Assembler {
    reversed: Vec<Instruction>,
    /// The nearest return of each value.
    returns: Vec<(u32, Label)>,
}

impl Assembler {
    /// A place that returns `value`: an existing one if it is near, else a new one.
    pub fn returning(&mut self, value: u32) -> Label {
        match self.returns.iter().position(|(returned, _)| *returned == value) {
            Some(known) if self.distance(self.returns[known].1) <= REACH => self.returns[known].1,
            Some(known) => {
                let label = self.push(RETURN, value);
                self.returns[known].1 = label;
                label
            }
            None => {
                let label = self.push(RETURN, value);
                self.returns.push((value, label));
                label
            }
        }
    }

    /// Compares the accumulator with `k`.
    pub fn branch(&mut self, compare: Compare, k: u32, yes: Label, no: Label) -> Label {
        let no = self.within_reach(no);
        let yes = self.within_reach(yes);
        let code = compare.code();
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }

    /// Loads the word at `offset` of `seccomp_data`, and goes on with the instruction that was written last.
    pub fn load(&mut self, offset: u32) -> Label {
        self.push(LOAD, offset)
    }

    /// Loads a word of an argument, masks it and compares it with its value.
    pub fn test(&mut self, word: &Word, compare: Compare, yes: Entry, no: Entry) -> Entry {
        let Word { offset, mask, value } = *word;
        let after_load = if mask == u32::MAX {
            self.branch(compare, value, yes.having(offset), no.having(offset))
        } else {
            self.branch(compare, value, yes.label, no.label);
            self.push(AND, mask)
        };
        Entry { label: self.load(offset), loaded: Some((offset, after_load)) }
    }

    /// The program from its start, without the loads that every jump passes over.
    pub fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        let program = self.reversed;
        let mut reached = vec![false; program.len()];
        reached[0] = true;
        for (at, instruction) in program.iter().enumerate() {
            if let (true, Some((yes, no))) = (reached[at], successors(at, instruction)) {
                (reached[yes], reached[no]) = (true, true);
            }
        }
        let places: Vec<usize> = reached
            .iter()
            .scan(0, |kept, reached| {
                *kept += usize::from(*reached);
                Some(*kept - usize::from(*reached))
            })
            .collect();
        let stays = program.iter().enumerate().filter(|(at, _)| reached[*at]);
        stays.map(|(at, instruction)| moved(instruction, at, &places)).collect()
    }

    /// A place that does what `target` does, and that a branch can reach if it is written next or next but one.
    fn within_reach(&mut self, target: Label) -> Label {
        let distance = self.distance(target);
        if distance <= REACH {
            return target;
        }
        match self.reversed[target.0] {
            Instruction { code: RETURN, k, .. } => self.returning(k),
            _ => self.push(JUMP, distance as u32),
        }
    }

    /// How many instructions an instruction written next skips to get to `target`.
    fn distance(&self, target: Label) -> usize {
        self.reversed.len() - 1 - target.0
    }

    fn push(&mut self, code: u16, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt: 0, jf: 0, k });
        Label(self.reversed.len() - 1)
    }
}

/// Where the program goes on after `instruction` at `at`: if its comparison holds, and if not. A return goes nowhere.
fn successors(at: usize, instruction: &Instruction) -> Option<(usize, usize)> {
    let Instruction { code, jt, jf, k } = *instruction;
    match code {
        RETURN => None,
        LOAD | AND => Some((at + 1, at + 1)),
        JUMP => Some((at + 1 + k as usize, at + 1 + k as usize)),
        _ => Some((at + 1 + usize::from(jt), at + 1 + usize::from(jf))),
    }
}

/// The instruction with its jumps adapted, once all instructions are at their new places. Jumps only get shorter, so
/// every target is still in reach.
fn moved(instruction: &Instruction, at: usize, places: &[usize]) -> Instruction {
    let Some((yes, no)) = successors(at, instruction) else { return *instruction };
    let skipping = |target: usize| places[target] - places[at] - 1;
    match instruction.code {
        LOAD | AND => *instruction,
        JUMP => Instruction { k: skipping(yes) as u32, ..*instruction },
        _ => Instruction { jt: skipping(yes) as u8, jf: skipping(no) as u8, ..*instruction },
    }
}

/// Prints a program, one instruction a line, jumps with the line that they go to.
pub struct Disassembly<'a>(pub &'a [Instruction]);

impl fmt::Display for Disassembly<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Instruction { code, jt, jf, k }) in self.0.iter().enumerate() {
            let (yes, no) = (at + 1 + usize::from(*jt), at + 1 + usize::from(*jf));
            match *code {
                LOAD => writeln!(f, "{at:>4}: ld {}", Field(*k)),
                AND => writeln!(f, "{at:>4}: and {k:#x}"),
                JUMP => writeln!(f, "{at:>4}: ja {}", at + 1 + *k as usize),
                RETURN => writeln!(f, "{at:>4}: ret {}", super::verdict::Named(*k)),
                0x15 => writeln!(f, "{at:>4}: jeq {k:#x}, {yes}, {no}"),
                0x25 => writeln!(f, "{at:>4}: jgt {k:#x}, {yes}, {no}"),
                0x35 => writeln!(f, "{at:>4}: jge {k:#x}, {yes}, {no}"),
                other => writeln!(f, "{at:>4}: {other:#x} {jt} {jf} {k:#x}"),
            }?;
        }
        Ok(())
    }
}

/// A word of `struct seccomp_data` by its offset.
struct Field(u32);

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("nr"),
            4 => f.write_str("arch"),
            offset if offset < 16 => write!(f, "data[{offset}]"),
            offset if offset % 8 == 0 => write!(f, "args[{}].low", (offset - 16) / 8),
            offset => write!(f, "args[{}].high", (offset - 16) / 8),
        }
    }
}
