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

/// Lets the entrants take their samples in turns, each round beginning with another, after one that doesn't count.
///
/// Whoever fails is out, and the figures say why.
fn interleave<const N: usize>(
    entrants: Vec<Entrant<N>>,
    rounds: usize,
    quantities: [Quantity; N],
) -> Result<Taken> {
    let mut seats: Vec<Seat<N>> = entrants.into_iter().map(Seat::new).collect();
    for round in 0..=rounds {
        for turn in 0..seats.len() {
            let number = (round + turn) % seats.len();
            seats[number].take_turn(round > 0);
            interrupt::check()?;
        }
    }
    let figures =
        quantities.into_iter().enumerate().map(|(index, quantity)| figures(quantity, &seats, index));
    Ok(Taken::Figures(figures.collect()))
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
