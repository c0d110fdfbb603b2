//! Conditions on arguments, and the order in which the rules of one system call are tried.

use std::fmt;

use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator as Operator};

use super::abi::Width;
use crate::error::{Error, Result};
use crate::sys::seccomp::INSTRUCTIONS_MAX;

/// Arguments of a system call, by `seccomp_data.args`.
const ARGUMENTS: usize = 6;

/// One comparison of one argument with a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0.
    pub arg: usize,
    /// How it is compared.
    pub op: Operator,
    /// The bits that count; all of them but for MASKED_EQ.
    pub mask: u64,
    /// What it is compared with.
    pub value: u64,
}

impl Condition {
    /// Takes a condition from the profile's `field`.
    pub fn parse(arg: &LinuxSeccompArg, field: &str) -> Result<Condition> {
        if arg.index() >= ARGUMENTS {
            let index = arg.index();
            return Err(Error::invalid(format!("{field}.index: {index} is past the last argument, 5")));
        }
        let (mask, value) = match arg.op() {
            Operator::ScmpCmpMaskedEq => (arg.value(), arg.value_two().unwrap_or(0)),
            _ => (u64::MAX, arg.value()),
        };
        Ok(Condition { arg: arg.index(), op: arg.op(), mask, value })
    }

    /// Argument `arg` equals `value`.
    pub fn equals(arg: usize, value: u32) -> Condition {
        Condition { arg, op: Operator::ScmpCmpEq, mask: u64::MAX, value: value.into() }
    }

    /// The condition as an ABI of `width` sees it; `None` if it always holds.
    fn narrowed(self, width: Width) -> Option<Condition> {
        let counted = match width {
            Width::Bits32 => u32::MAX.into(),
            Width::Bits64 => u64::MAX,
        };
        let mask = self.mask & counted;
        (mask != 0).then_some(Condition { mask, value: self.value & mask, ..self })
    }

    /// Whether `self`, which comes earlier in the profile, is tried before `other`.
    ///
    /// libseccomp's order: later arguments first; then equalities, upper bounds, lower bounds; then the narrower bound
    /// and, of equalities, the larger value. Conditions that are equal in all this keep the order of the profile.
    fn precedes(&self, other: &Condition, width: Width) -> bool {
        if (self.arg, self.rank()) != (other.arg, other.rank()) {
            return (self.arg, self.rank()) > (other.arg, other.rank());
        }
        for (ours, theirs) in self.words(width).zip(other.words(width)) {
            if ours.value != theirs.value {
                return match self.op {
                    Operator::ScmpCmpLt | Operator::ScmpCmpLe => ours.value < theirs.value,
                    _ => ours.value > theirs.value,
                };
            }
            // Words under different masks are different tests, so the lower words needn't be compared.
            if (ours.mask, self.is_masked()) != (theirs.mask, other.is_masked()) {
                break;
            }
        }
        true
    }

    fn rank(&self) -> u32 {
        match self.op {
            Operator::ScmpCmpEq | Operator::ScmpCmpNe | Operator::ScmpCmpMaskedEq => 3,
            Operator::ScmpCmpLt | Operator::ScmpCmpLe => 2,
            Operator::ScmpCmpGt | Operator::ScmpCmpGe => 1,
        }
    }

    fn is_masked(&self) -> bool {
        self.op == Operator::ScmpCmpMaskedEq
    }

    /// The words of 32 bits that are compared, the high one first.
    pub fn words(&self, width: Width) -> impl DoubleEndedIterator<Item = Word> {
        let low = Word { offset: 16 + 8 * self.arg as u32, mask: self.mask as u32, value: self.value as u32 };
        let high =
            Word { offset: low.offset + 4, mask: (self.mask >> 32) as u32, value: (self.value >> 32) as u32 };
        [high, low].into_iter().skip(usize::from(width == Width::Bits32))
    }
}

/// Half of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its offset in `struct seccomp_data`, on a little-endian machine.
    pub offset: u32,
    /// The bits that count.
    pub mask: u32,
    /// What it is compared with.
    pub value: u32,
}

/// What a system call gets: at once, or after tests of its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A filter's return value.
    Verdict(u32),
    /// The tests in the order in which they are tried. If none leads to a verdict, the default action stands.
    Tests(Vec<Test>),
}

/// A condition and what follows where it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// What is tested.
    pub condition: Condition,
    /// What follows where the condition holds. If it comes to no verdict, the next test of this level is tried.
    pub then: Body,
}

/// Why a rule can't be added.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Two rules give the same calls different actions, and the earlier rule isn't the more general.
    Contradiction,
    /// Each test takes an instruction at least, and there are more of them than a filter may have.
    TooManyTests,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Contradiction => {
                f.write_str("an earlier rule for the same arguments has another action")
            }
            Refusal::TooManyTests => write!(
                f,
                "the filter has more than {INSTRUCTIONS_MAX} instructions, and the kernel takes no more"
            ),
        }
    }
}

impl Body {
    /// Adds a rule: `verdict` where all of `conditions` hold, as an ABI of `width` sees them.
    ///
    /// As in libseccomp, an unconditional rule replaces all conditional rules, wherever it comes in the profile. Of
    /// several unconditional rules, the first stands.
    pub fn add(&mut self, conditions: &[Condition], verdict: u32, width: Width) -> Result<(), Refusal> {
        let mut chain: Vec<_> = conditions.iter().filter_map(|condition| condition.narrowed(width)).collect();
        chain.sort_by_key(|condition| condition.arg);
        match (self, chain.split_first()) {
            (Body::Verdict(_), _) => Ok(()),
            (body, None) => {
                *body = Body::Verdict(verdict);
                Ok(())
            }
            (Body::Tests(tests), Some((first, rest))) => insert(tests, first, rest, verdict, width),
        }
    }

    /// Adds the rest of a rule below the conditions that it shares with an earlier rule. If the earlier rule is the
    /// more general, it stands. If the later rule is the more general, it may only repeat what the earlier rules say.
    fn refine(&mut self, rest: &[Condition], verdict: u32, width: Width) -> Result<(), Refusal> {
        match (self, rest.split_first()) {
            (Body::Verdict(_), Some(_)) => Ok(()),
            (body, None) if body.is_always(verdict) => {
                *body = Body::Verdict(verdict);
                Ok(())
            }
            (_, None) => Err(Refusal::Contradiction),
            (Body::Tests(tests), Some((first, rest))) => insert(tests, first, rest, verdict, width),
        }
    }

    fn is_always(&self, verdict: u32) -> bool {
        match self {
            Body::Verdict(other) => *other == verdict,
            Body::Tests(tests) => tests.iter().all(|test| test.then.is_always(verdict)),
        }
    }
}

fn insert(
    tests: &mut Vec<Test>,
    first: &Condition,
    rest: &[Condition],
    verdict: u32,
    width: Width,
) -> Result<(), Refusal> {
    let place =
        tests.iter().position(|test| test.condition == *first || !test.condition.precedes(first, width));
    match place {
        Some(same) if tests[same].condition == *first => tests[same].then.refine(rest, verdict, width),
        _ if tests.len() == INSTRUCTIONS_MAX => Err(Refusal::TooManyTests),
        place => {
            let then = rest.iter().rev().fold(Body::Verdict(verdict), |then, condition| {
                Body::Tests(vec![Test { condition: *condition, then }])
            });
            tests.insert(place.unwrap_or(tests.len()), Test { condition: *first, then });
            Ok(())
        }
    }
}
