//! Several runtimes take their samples in turns.

use std::time::Duration;

use crate::figures::{Better, Failed, Figure, Figures, Unit};
use crate::samples::Summary;
use crate::{Result, interrupt};

/// What one quantity is.
pub struct Quantity {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: Unit,
    pub better: Better,
}

/// Takes one sample after the other, of `N` quantities each, for the runtime of this name.
pub struct Sampler<'a, const N: usize> {
    pub name: String,
    pub sample: Box<dyn FnMut() -> Result<[f64; N]> + 'a>,
}

/// Lets the samplers take their samples in turns, after one round that doesn't count.
///
/// Each round has an order of its own: what a sample leaves to the kernel to do (the end of a network namespace, a
/// grace period of RCU) slows the next sampler down, which must not always be the same. A sampler that fails is out,
/// and the figures say why.
pub fn interleave<const N: usize>(
    samplers: Vec<Sampler<N>>,
    turns: Turns,
    quantities: [Quantity; N],
) -> Result<Vec<Figures>> {
    let mut all: Vec<Series<N>> = samplers.into_iter().map(Series::new).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    let mut shuffle = Shuffle::new();
    for round in 0..=turns.rounds {
        shuffle.shuffle(&mut order);
        for index in &order {
            std::thread::sleep(turns.rest);
            all[*index].take_turn(round > 0);
            interrupt::check()?;
        }
    }
    let figures = quantities.into_iter().enumerate().map(|(index, quantity)| figures(quantity, &all, index));
    Ok(figures.collect())
}

/// How often the samplers take turns, and how long the machine rests before each sample.
pub struct Turns {
    pub rounds: usize,
    pub rest: Duration,
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

/// The samples of one sampler.
struct Series<'a, const N: usize> {
    sampler: Sampler<'a, N>,
    samples: Vec<[f64; N]>,
    failed: Option<String>,
}

impl<'a, const N: usize> Series<'a, N> {
    fn new(sampler: Sampler<'a, N>) -> Self {
        Series { sampler, samples: Vec::new(), failed: None }
    }

    fn take_turn(&mut self, counts: bool) {
        if self.failed.is_some() {
            return;
        }
        match (self.sampler.sample)() {
            Ok(sample) if counts => self.samples.push(sample),
            Ok(_) => {}
            Err(error) => self.failed = Some(error.to_string()),
        }
    }
}

fn figures<const N: usize>(quantity: Quantity, all: &[Series<N>], index: usize) -> Figures {
    let Quantity { name, title, unit, better } = quantity;
    let mut figures = Figures { name, title, unit, better, runtimes: Vec::new(), failed: Vec::new() };
    for series in all {
        let runtime = series.sampler.name.clone();
        let samples: Vec<f64> = series.samples.iter().map(|sample| sample[index]).collect();
        match (&series.failed, Summary::of(&samples)) {
            (None, Some(summary)) => figures.runtimes.push(Figure { runtime, summary }),
            (reason, _) => {
                let reason = reason.clone().unwrap_or_else(|| "took no sample".to_owned());
                figures.failed.push(Failed { runtime, reason });
            }
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sampler_follows_each_other_sampler_about_as_often() {
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
