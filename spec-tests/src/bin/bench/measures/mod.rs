//! What is measured: one file per measure.

mod calls;
mod exec;
mod lifecycle;
mod memory;
mod parallel;
mod run;

use std::time::Duration;

use serde::Serialize;

use crate::samples::Summary;
use crate::stage::Stage;
use crate::{Result, interrupt, process};

pub struct Measure {
    pub name: &'static str,
    /// Otherwise the view of cgroups has no part in it, and one is enough.
    pub in_each_view: bool,
    pub take: fn(&Stage) -> Result<Taken>,
}

/// In the order of the table.
pub const ALL: [Measure; 7] = [
    Measure { name: "run", in_each_view: true, take: run::take },
    Measure { name: "lifecycle", in_each_view: true, take: lifecycle::take },
    Measure { name: "exec", in_each_view: true, take: exec::take },
    Measure { name: "parallel", in_each_view: true, take: parallel::take },
    Measure { name: "peak-memory", in_each_view: true, take: memory::take_peak },
    Measure { name: "memory-limit", in_each_view: true, take: memory::take_limit },
    Measure { name: "calls", in_each_view: false, take: calls::take },
];

/// What a measure came to.
pub enum Taken {
    Figures(Vec<Figures>),
    /// It can't be taken here, for this reason.
    Skipped(String),
}

/// One quantity, for each contender.
#[derive(Serialize)]
pub struct Figures {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: Unit,
    pub better: Better,
    pub contenders: Vec<Figure>,
    pub failed: Vec<Failed>,
}

#[derive(Serialize)]
pub struct Figure {
    pub contender: String,
    #[serde(flatten)]
    pub summary: Summary,
}

/// A contender that could not do it.
#[derive(Clone, Serialize)]
pub struct Failed {
    pub contender: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "1/s")]
    PerSecond,
    #[serde(rename = "KiB")]
    Kibibytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Less,
    More,
}

/// What one quantity is.
struct Quantity {
    name: &'static str,
    title: &'static str,
    unit: Unit,
    better: Better,
}

/// A contender that takes samples.
struct Entrant<'a, const N: usize> {
    name: String,
    sample: Box<dyn FnMut() -> Result<[f64; N]> + 'a>,
}

/// Lets the entrants take their samples in turns, after one round that doesn't count.
///
/// Each round has an order of its own: what one leaves to be done in the kernel (the end of a network namespace, a
/// grace period of RCU) hits whoever is next, and that must not always be the same. Who fails is out, and the figures
/// say why.
fn interleave<const N: usize>(
    entrants: Vec<Entrant<N>>,
    turns: Turns,
    quantities: [Quantity; N],
) -> Result<Taken> {
    let mut seats: Vec<Seat<N>> = entrants.into_iter().map(Seat::new).collect();
    let mut order: Vec<usize> = (0..seats.len()).collect();
    let mut shuffle = Shuffle::new();
    for round in 0..=turns.rounds {
        shuffle.shuffle(&mut order);
        for seat in &order {
            std::thread::sleep(turns.rest);
            seats[*seat].take_turn(round > 0);
            interrupt::check()?;
        }
    }
    let figures =
        quantities.into_iter().enumerate().map(|(index, quantity)| figures(quantity, &seats, index));
    Ok(Taken::Figures(figures.collect()))
}

/// How often the entrants take turns, and how long the machine rests before each.
struct Turns {
    rounds: usize,
    rest: Duration,
}

impl Stage<'_> {
    fn turns(&self, rounds: usize) -> Turns {
        Turns { rounds, rest: self.effort.rest }
    }
}

/// The same orders in every bench: a xorshift generator from a fixed seed.
struct Shuffle {
    state: u64,
}

impl Shuffle {
    fn new() -> Shuffle {
        Shuffle { state: 0x9e37_79b9_7f4a_7c15 }
    }

    /// Fisher and Yates's.
    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            order.swap(last, self.below(last + 1));
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % end as u64) as usize
    }
}

struct Seat<'a, const N: usize> {
    entrant: Entrant<'a, N>,
    samples: Vec<[f64; N]>,
    failed: Option<String>,
}

impl<'a, const N: usize> Seat<'a, N> {
    fn new(entrant: Entrant<'a, N>) -> Self {
        Seat { entrant, samples: Vec::new(), failed: None }
    }

    fn take_turn(&mut self, counts: bool) {
        if self.failed.is_some() {
            return;
        }
        match (self.entrant.sample)() {
            Ok(sample) if counts => self.samples.push(sample),
            Ok(_) => {}
            Err(error) => self.failed = Some(error.to_string()),
        }
    }
}

fn figures<const N: usize>(quantity: Quantity, seats: &[Seat<N>], index: usize) -> Figures {
    let Quantity { name, title, unit, better } = quantity;
    let mut figures = Figures { name, title, unit, better, contenders: Vec::new(), failed: Vec::new() };
    for seat in seats {
        let contender = seat.entrant.name.clone();
        let samples: Vec<f64> = seat.samples.iter().map(|sample| sample[index]).collect();
        match (&seat.failed, Summary::of(&samples)) {
            (None, Some(summary)) => figures.contenders.push(Figure { contender, summary }),
            (reason, _) => {
                let reason = reason.clone().unwrap_or_else(|| "took no sample".to_owned());
                figures.failed.push(Failed { contender, reason });
            }
        }
    }
    figures
}

/// Takes a sample by `take`, and beside it the CPU time that was used for it, in ms.
fn with_cpu(take: impl FnOnce() -> Result<f64>) -> Result<[f64; 2]> {
    let before = process::cpu_of_children()?;
    let taken = take()?;
    Ok([taken, ms(process::cpu_of_children()? - before)])
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entrant_follows_each_other_one_about_as_often() {
        let mut order = [0, 1, 2, 3];
        let mut shuffle = Shuffle::new();
        let mut follows = [[0; 4]; 4];
        for _ in 0..1200 {
            shuffle.shuffle(&mut order);
            order.windows(2).for_each(|pair| follows[pair[0]][pair[1]] += 1);
        }
        // 3 pairs in each of 1200 rounds, over 12 that there are.
        let uneven = (0..4)
            .flat_map(|a| (0..4).map(move |b| (a, b)))
            .find(|(a, b)| a != b && !(240..360).contains(&follows[*a][*b]));
        assert_eq!(uneven, None, "{follows:?}");
    }
}
