//! From sections to a program: dispatch on the architecture, a binary search by number, tests of arguments.

use oci_spec::runtime::LinuxSeccompOperator as Operator;

use super::abi::Width;
use super::bpf::{Assembler, Compare, Entry, Label};
use super::condition::{Body, Condition, Test};
use super::section::{Leaf, Section, Segment};
use super::syscalls::X32_BIT;
use super::verdict;
use crate::sys::seccomp::Instruction;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Writes the program for `sections`. A call of the first section passes the fewest instructions.
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
    /// The places of the bodies that are written already.
    bodies: Vec<Option<Label>>,
}

impl Search<'_> {
    /// Writes the search for the segment of the number in the accumulator, which is in one of `segments`.
    fn write(&mut self, segments: &[Segment]) -> Label {
        match segments {
            [only] => self.leaf(only.leaf),
            [around, one, after] if around.leaf == after.leaf && after.from - one.from == 1 => {
                let (yes, no) = (self.leaf(one.leaf), self.leaf(around.leaf));
                self.asm.branch(Compare::Equal, one.from, yes, no)
            }
            _ => {
                let (low, high) = segments.split_at(middle(segments));
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

/// Where to divide segments so that both halves have about as many system calls. Programs make calls of all numbers, so
/// the search is balanced over numbers, not over segments.
fn middle(segments: &[Segment]) -> usize {
    let ends = segments.iter().skip(1).map(|next| next.from);
    let weights = || segments.iter().zip(ends.clone()).map(|(segment, end)| weight(segment.from, end));
    let total = weights().sum::<u32>() + 1;
    let before = weights().scan(0, |before, weight| {
        *before += weight;
        Some(*before)
    });
    let unevenness = before.map(|before| before.abs_diff(total - before));
    unevenness.enumerate().min_by_key(|(_, unevenness)| *unevenness).map_or(1, |(at, _)| at + 1)
}

/// How much a segment counts: four for each of its calls, up to a cap, so that ranges without any calls don't matter. A
/// segment of calls with x32's bit counts one in all, because few programs use them.
fn weight(from: u32, end: u32) -> u32 {
    const CALLS_MAX: u32 = 64;
    if from >= X32_BIT { 1 } else { 4 * CALLS_MAX.min(end - from) }
}

fn write_body(asm: &mut Assembler, body: &Body, width: Width, fail: Entry) -> Entry {
    match body {
        Body::Verdict(verdict) => asm.returning(*verdict).into(),
        Body::Tests(tests) => {
            let groups = tests.chunk_by(|a, b| share_high_word(&a.condition, &b.condition, width));
            groups.rev().fold(fail, |next, group| write_group(asm, group, width, next))
        }
    }
}

/// Whether both conditions are equalities that first ask the same of the high word.
fn share_high_word(a: &Condition, b: &Condition, width: Width) -> bool {
    let high = |condition: &Condition| condition.words(width).rev().nth(1);
    let is_equality = |condition: &Condition| {
        matches!(condition.op, Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq) && condition.mask as u32 != 0
    };
    is_equality(a) && is_equality(b) && a.arg == b.arg && high(a) == high(b)
}

/// Writes tests that are tried in turn. Several tests share their high word, which is compared once.
fn write_group(asm: &mut Assembler, group: &[Test], width: Width, next: Entry) -> Entry {
    if let [Test { condition, then }] = group {
        let yes = write_body(asm, then, width, next);
        return write_condition(asm, condition, width, yes, next);
    }
    let low = group.iter().rev().fold(next, |next, Test { condition, then }| {
        let yes = write_body(asm, then, width, next);
        write_condition(asm, condition, Width::Bits32, yes, next)
    });
    let high = group[0].condition.words(width).next().filter(|_| width == Width::Bits64);
    match high.filter(|high| high.mask != 0) {
        Some(high) => asm.test(&high, Compare::Equal, low, next),
        None => low,
    }
}

fn write_condition(asm: &mut Assembler, condition: &Condition, width: Width, yes: Entry, no: Entry) -> Entry {
    let (compare, yes, no) = match condition.op {
        Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq => (Compare::Equal, yes, no),
        Operator::ScmpCmpNe => (Compare::Equal, no, yes),
        Operator::ScmpCmpGt => (Compare::Greater, yes, no),
        Operator::ScmpCmpGe => (Compare::GreaterOrEqual, yes, no),
        Operator::ScmpCmpLt => (Compare::GreaterOrEqual, no, yes),
        Operator::ScmpCmpLe => (Compare::Greater, no, yes),
    };
    // A word of which no bit counts is not looked at.
    let words: Vec<_> = condition.words(width).filter(|word| word.mask != 0).collect();
    let [high, low] = words.as_slice() else { return asm.test(&words[0], compare, yes, no) };
    let low = asm.test(low, compare, yes, no);
    let equal = asm.test(high, Compare::Equal, low, no);
    match compare {
        Compare::Equal => equal,
        Compare::Greater | Compare::GreaterOrEqual => asm.test(high, Compare::Greater, yes, equal),
    }
}
