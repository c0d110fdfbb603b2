//! From sections to a program: dispatch on the architecture, a binary search by number, tests of arguments.

use oci_spec::runtime::LinuxSeccompOperator as Operator;

use super::abi::Width;
use super::bpf::{Assembler, Compare, Entry, Label};
use super::condition::{Body, Condition, Test};
use super::section::{Leaf, Section, Segment};
use super::verdict;
use crate::sys::seccomp::Instruction;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Writes the program for `sections`; the first is met with the fewest instructions.
pub fn assemble(sections: &[Section]) -> Vec<Instruction> {
    let mut asm = Assembler::default();
    let mut labels: Vec<_> = sections.iter().rev().map(|section| write_section(&mut asm, section)).collect();
    labels.reverse();
    let bad = asm.returning(verdict::BAD_ARCHITECTURE);
    sections.iter().zip(labels).rev().fold(bad, |otherwise, (section, label)| {
        asm.branch(Compare::Equal, section.audit_arch, label, otherwise)
    });
    asm.load(ARCHITECTURE);
    asm.finish()
}

fn write_section(asm: &mut Assembler, section: &Section) -> Label {
    let mut search = Search { asm, section, bodies: vec![None; section.bodies.len()] };
    match section.segments.as_slice() {
        [only] => search.leaf(only.leaf),
        several => {
            search.write(several);
            asm.load(NUMBER)
        }
    }
}

struct Search<'a> {
    asm: &'a mut Assembler,
    section: &'a Section,
    /// Where the bodies are that are written already.
    bodies: Vec<Option<Label>>,
}

impl Search<'_> {
    /// Finds the segment that the number in the accumulator is in, given that it is in one of `segments`.
    fn write(&mut self, segments: &[Segment]) -> Label {
        match segments {
            [only] => self.leaf(only.leaf),
            [around, one, after] if around.leaf == after.leaf && after.from - one.from == 1 => {
                let (yes, no) = (self.leaf(one.leaf), self.leaf(around.leaf));
                self.asm.branch(Compare::Equal, one.from, yes, no)
            }
            _ => {
                let (low, high) = segments.split_at(segments.len() / 2);
                let (yes, no) = (self.write(high), self.write(low));
                self.asm.branch(Compare::GreaterOrEqual, high[0].from, yes, no)
            }
        }
    }

    fn leaf(&mut self, leaf: Leaf) -> Label {
        match leaf {
            Leaf::Verdict(verdict) => self.asm.returning(verdict),
            Leaf::Body(index) => match self.bodies[index] {
                Some(written) => written,
                None => {
                    let (body, width) = &self.section.bodies[index];
                    let fail = self.asm.returning(self.section.default).into();
                    let written = write_body(self.asm, body, *width, fail).label();
                    self.bodies[index] = Some(written);
                    written
                }
            },
        }
    }
}

fn write_body(asm: &mut Assembler, body: &Body, width: Width, fail: Entry) -> Entry {
    match body {
        Body::Verdict(verdict) => asm.returning(*verdict).into(),
        Body::Tests(tests) => tests.iter().rev().fold(fail, |next, Test { condition, then }| {
            let yes = write_body(asm, then, width, next);
            write_condition(asm, condition, width, yes, next)
        }),
    }
}

fn write_condition(asm: &mut Assembler, condition: &Condition, width: Width, yes: Entry, no: Entry) -> Entry {
    match condition.op {
        Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq => write_equal(asm, condition, width, yes, no),
        Operator::ScmpCmpNe => write_equal(asm, condition, width, no, yes),
        Operator::ScmpCmpGt => write_above(asm, condition, Compare::Greater, width, yes, no),
        Operator::ScmpCmpGe => write_above(asm, condition, Compare::GreaterOrEqual, width, yes, no),
        Operator::ScmpCmpLt => write_above(asm, condition, Compare::GreaterOrEqual, width, no, yes),
        Operator::ScmpCmpLe => write_above(asm, condition, Compare::Greater, width, no, yes),
    }
}

/// All words are equal under their masks; a word of which no bit counts is not looked at.
fn write_equal(asm: &mut Assembler, condition: &Condition, width: Width, yes: Entry, no: Entry) -> Entry {
    let words: Vec<_> = condition.words(width).filter(|word| word.mask != 0).collect();
    words
        .iter()
        .rev()
        .fold(yes, |yes, word| asm.test(word.offset, word.mask, Compare::Equal, word.value, yes, no))
}

/// The words are above the condition's, the low one as `compare` has it: it counts where the high ones are equal.
fn write_above(
    asm: &mut Assembler,
    condition: &Condition,
    compare: Compare,
    width: Width,
    yes: Entry,
    no: Entry,
) -> Entry {
    let words: Vec<_> = condition.words(width).collect();
    words.iter().rev().enumerate().fold(no, |lower, (above_low, word)| {
        if above_low == 0 {
            return asm.test(word.offset, u32::MAX, compare, word.value, yes, no);
        }
        let equal = asm.test(word.offset, u32::MAX, Compare::Equal, word.value, lower, no);
        asm.test(word.offset, u32::MAX, Compare::Greater, word.value, yes, equal)
    })
}
