//! What each system call of one architecture gets, as a step function over all 2^32 numbers.

use super::abi::{Abi, Width};
use super::condition::{Body, Condition};
use super::rules::Rules;
use super::syscalls::X32_BIT;
use super::verdict;
use crate::error::{Error, Result};

/// The part of a filter that holds for one value of `seccomp_data.arch`.
#[derive(Debug)]
pub struct Section {
    /// The value, `AUDIT_ARCH_*`.
    pub audit_arch: u32,
    /// From number 0 on, without a gap; neighbouring segments get different things.
    pub segments: Vec<Segment>,
    /// The tests that segments refer to.
    pub bodies: Vec<(Body, Width)>,
    /// What a call gets that no rule matches.
    pub default: u32,
}

/// System calls with consecutive numbers that all get the same verdict or the same tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first number; the last is the number before the next segment's `from`.
    pub from: u32,
    /// What the calls get.
    pub leaf: Leaf,
}

/// What a search by number finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// A filter's return value.
    Verdict(u32),
    /// Tests of the arguments: the index of one of [`Section::bodies`].
    Body(usize),
}

impl Section {
    /// The sections of a filter for `abis`, in their order.
    pub fn all(rules: &Rules, abis: &[Abi]) -> Result<Vec<Section>> {
        let primary = abis.iter().filter(|abi| **abi != Abi::X32);
        primary
            .map(|abi| Section::new(rules, *abi, *abi == Abi::X86_64 && abis.contains(&Abi::X32)))
            .collect()
    }

    fn new(rules: &Rules, abi: Abi, with_x32: bool) -> Result<Section> {
        let (audit_arch, default) = (abi.audit_arch(), rules.default);
        let mut section = Section { audit_arch, segments: Vec::new(), bodies: Vec::new(), default };
        let uses = uses(rules, abi);
        let mut unlisted = Unlisted { default, newer: newer(rules, &uses), x32: None };
        let mut listed = section.listed(rules, abi, &uses)?;
        if with_x32 {
            let uses = self::uses(rules, Abi::X32);
            unlisted.x32 = Some(X32::Covered { newer: newer(rules, &uses) });
            // All of x32's numbers are larger than x86_64's.
            listed.extend(section.listed(rules, Abi::X32, &uses)?);
        } else if abi == Abi::X86_64 {
            unlisted.x32 = Some(X32::Refused);
        }
        section.lay_out(&listed, &unlisted.steps());
        Ok(section)
    }

    /// The numbers that rules speak of, sorted, each with what it gets.
    fn listed(&mut self, rules: &Rules, abi: Abi, uses: &[Use]) -> Result<Vec<(u32, Leaf)>> {
        let mut listed = Vec::with_capacity(uses.len());
        for uses in uses.chunk_by(|a, b| a.number == b.number) {
            let mut body = Body::Tests(Vec::new());
            uses.iter().try_for_each(|used| used.add_to(&mut body, rules, abi))?;
            match body {
                Body::Verdict(verdict) => listed.push((uses[0].number, Leaf::Verdict(verdict))),
                // All rules for this number say the default.
                Body::Tests(tests) if tests.is_empty() => {}
                tests => listed.push((uses[0].number, Leaf::Body(self.index_of(tests, abi.width())))),
            }
        }
        Ok(listed)
    }

    fn index_of(&mut self, body: Body, width: Width) -> usize {
        let known = self.bodies.iter().position(|known| known.1 == width && known.0 == body);
        known.unwrap_or_else(|| {
            self.bodies.push((body, width));
            self.bodies.len() - 1
        })
    }

    /// Makes the segments: `listed` where rules speak of a number, `unlisted` everywhere else.
    fn lay_out(&mut self, listed: &[(u32, Leaf)], unlisted: &[(u32, u32)]) {
        let mut start = 0;
        for (number, leaf) in listed {
            self.fill(start, u64::from(*number), unlisted);
            self.push(*number, *leaf);
            start = u64::from(*number) + 1;
        }
        self.fill(start, 1 << 32, unlisted);
    }

    /// Makes the segments of the numbers from `start` to before `end`, of which no rule speaks.
    fn fill(&mut self, start: u64, end: u64, unlisted: &[(u32, u32)]) {
        if start == end {
            return;
        }
        for (at, (from, verdict)) in unlisted.iter().enumerate() {
            let until = unlisted.get(at + 1).map_or(1 << 32, |(next, _)| u64::from(*next));
            let from = start.max(u64::from(*from));
            if from < end.min(until) {
                self.push(from as u32, Leaf::Verdict(*verdict));
            }
        }
    }

    fn push(&mut self, from: u32, leaf: Leaf) {
        if self.segments.last().is_none_or(|last| last.leaf != leaf) {
            self.segments.push(Segment { from, leaf });
        }
    }
}

/// A number that the profile speaks of, by one of its names.
#[derive(Clone, Copy)]
struct Use {
    number: u32,
    /// The index of the name in [`Rules::named`].
    named: usize,
}

/// The numbers that the profile's names have in `abi`, by themselves or through a multiplexer. They are sorted; several
/// uses of a number keep the order of the profile.
fn uses(rules: &Rules, abi: Abi) -> Vec<Use> {
    let mut uses = Vec::with_capacity(rules.named.len());
    for (named, (syscall, _)) in rules.named.iter().enumerate() {
        let multiplexer = syscall.multiplexed(abi).map(|multiplexed| multiplexed.number);
        uses.extend(syscall.number(abi).into_iter().chain(multiplexer).map(|number| Use { number, named }));
    }
    uses.sort_by_key(|used| used.number);
    uses
}

/// The first number that is newer than the profile, if newer numbers get something of their own.
fn newer(rules: &Rules, uses: &[Use]) -> Option<u32> {
    uses.last().filter(|_| rules.newer_is_enosys).map(|largest| largest.number + 1)
}

impl Use {
    /// Adds what the name's rule, if there is one, says of the number.
    fn add_to(&self, body: &mut Body, rules: &Rules, abi: Abi) -> Result<()> {
        let (syscall, Some(rule)) = rules.named[self.named] else { return Ok(()) };
        let (rule, width) = (&rules.rules[rule], abi.width());
        let call = syscall.multiplexed(abi).filter(|multiplexed| multiplexed.number == self.number);
        for conditions in &rule.alternatives {
            let added = match call {
                None => body.add(conditions, rule.verdict, width),
                Some(through) => {
                    body.add(&through_multiplexer(conditions, through.call), rule.verdict, width)
                }
            };
            added.map_err(|why| {
                let (field, name) = (&rule.field, syscall.name());
                Error::invalid(format!("{field}: {name}: {why}"))
            })?;
        }
        Ok(())
    }
}

/// A rule's conditions as libseccomp puts them to a multiplexer. There the first argument selects the call, so
/// conditions on the call's own first argument are left out.
fn through_multiplexer(conditions: &[Condition], call: u32) -> Vec<Condition> {
    let others = conditions.iter().filter(|condition| condition.arg != 0).copied();
    std::iter::once(Condition::equals(0, call)).chain(others).collect()
}

/// What a number gets that no rule speaks of.
///
/// A number larger than all that the profile knows is newer than the profile. It gets ENOSYS, because a program that
/// tries a new call first falls back to the old call by this errno. A default action that lets calls through needs no
/// such care: the kernel says ENOSYS by itself.
struct Unlisted {
    default: u32,
    /// The first number that is newer than the profile.
    newer: Option<u32>,
    /// How numbers with [`X32_BIT`] are taken; `None` on any machine but x86_64.
    x32: Option<X32>,
}

enum X32 {
    /// As system calls of an architecture that the profile doesn't name.
    Refused,
    /// As system calls. From the number `newer` on they are newer than the profile.
    Covered { newer: Option<u32> },
}

impl Unlisted {
    /// The steps of the function `verdict`: where it may change, and its value from there on.
    fn steps(&self) -> Vec<(u32, u32)> {
        let mut starts = vec![0];
        starts.extend(self.newer);
        if let Some(x32) = &self.x32 {
            starts.push(X32_BIT);
            starts.extend(x32.newer());
            starts.extend([NEGATIVE, NEGATIVE | X32_BIT, SKIPPED]);
        }
        starts.into_iter().map(|from| (from, self.verdict(from))).collect()
    }

    fn verdict(&self, number: u32) -> u32 {
        let newer = match &self.x32 {
            Some(x32) if number & X32_BIT != 0 => x32.newer(),
            _ => self.newer,
        };
        match self.x32 {
            _ if newer.is_some_and(|newer| number >= newer) => verdict::NO_SUCH_CALL,
            Some(X32::Refused) if number >= X32_BIT && number != SKIPPED => verdict::BAD_ARCHITECTURE,
            _ => self.default,
        }
    }
}

impl X32 {
    fn newer(&self) -> Option<u32> {
        match self {
            X32::Refused => None,
            X32::Covered { newer } => *newer,
        }
    }
}

/// Numbers with this bit are negative to the kernel.
const NEGATIVE: u32 = 1 << 31;

/// -1: a tracer sets this number so that the kernel skips the call, and the filter sees it too.
const SKIPPED: u32 = u32::MAX;
