//! Many runs of `/bin/true`, several at a time, each in a container of its own; and as many starts of the floor, which
//! show how much of a rate the kernel leaves to any runtime.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ms;
use super::run::floor_command;
use super::sampling::{Quantity, Sampler, interleave};
use crate::conditions::Conditions;
use crate::container::Container;
use crate::effort::Parallel;
use crate::figures::{Better, Figures, Taken, Unit};
use crate::fixture::Helper;
use crate::{Result, process};

/// How many run at a time, and the names of what is measured of them.
struct Crowd {
    at_once: usize,
    rate: (&'static str, &'static str),
    slowest: (&'static str, &'static str),
}

const CROWDS: [Crowd; 3] = [
    Crowd {
        at_once: 4,
        rate: ("parallel-4", "runs, 4 at a time"),
        slowest: ("parallel-4-slowest", "slowest run, 4 at a time"),
    },
    Crowd {
        at_once: 20,
        rate: ("parallel-20", "runs, 20 at a time"),
        slowest: ("parallel-20-slowest", "slowest run, 20 at a time"),
    },
    Crowd {
        at_once: 100,
        rate: ("parallel-100", "runs, 100 at a time"),
        slowest: ("parallel-100-slowest", "slowest run, 100 at a time"),
    },
];

pub fn take(conditions: &Conditions) -> Result<Taken> {
    let figures = CROWDS.iter().map(|crowd| take_of(conditions, crowd)).collect::<Result<Vec<_>>>()?;
    Ok(Taken::Figures(figures.into_iter().flatten().collect()))
}

fn take_of(conditions: &Conditions, crowd: &Crowd) -> Result<Vec<Figures>> {
    let effort = &conditions.effort.parallel;
    let mut samplers = Vec::new();
    for runtime in conditions.runtimes {
        let slots = 0..crowd.at_once.min(effort.runs);
        let containers = slots.map(|slot| conditions.container(runtime, &format!("slot{slot}")));
        let containers = containers.collect::<Result<Vec<_>>>()?;
        let run = |container: &Container| container.time_command(container.run_command());
        let sample = Box::new(move || sample(&containers, run, effort));
        samplers.push(Sampler { name: runtime.name.clone(), sample });
    }
    samplers.push(floor(conditions, crowd.at_once));
    let ((rate, rate_title), (slowest, slowest_title)) = (crowd.rate, crowd.slowest);
    let quantities = [
        Quantity { name: rate, title: rate_title, unit: Unit::PerSecond, better: Better::More },
        Quantity { name: slowest, title: slowest_title, unit: Unit::Milliseconds, better: Better::Less },
    ];
    interleave(samplers, conditions.effort.turns(effort.rounds), quantities)
}

/// Unlike in the measure of one run, the floor's own start counts, because each runtime's counts.
fn floor<'a>(conditions: &'a Conditions, at_once: usize) -> Sampler<'a, 2> {
    let Conditions { fixture, effort, .. } = *conditions;
    let errors: Vec<_> = (0..at_once).map(|slot| fixture.dir.join(format!("floor{slot}.errors"))).collect();
    let run = |errors: &PathBuf| process::time(floor_command(fixture)?, errors);
    let sample = move || {
        // Compiled before any slot runs it: the kernel executes no file that is open for writing, and a process that
        // another slot forks meanwhile keeps it open.
        fixture.helper(Helper::Floor)?;
        sample(&errors, run, &effort.parallel)
    };
    Sampler { name: "floor".to_owned(), sample: Box::new(sample) }
}

/// Lets each of `slots` do one `run` after the other, until all slots together have begun as many as is asked for.
pub fn sample<S: Sync>(
    slots: &[S],
    run: impl Fn(&S) -> Result<Duration> + Sync,
    effort: &Parallel,
) -> Result<[f64; 2]> {
    let begun = AtomicUsize::new(0);
    let slowest_of = |slot| -> Result<Duration> {
        let mut slowest = Duration::ZERO;
        while begun.fetch_add(1, Ordering::Relaxed) < effort.runs {
            slowest = slowest.max(run(slot)?);
        }
        Ok(slowest)
    };
    let start = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let slots: Vec<_> = slots.iter().map(|slot| scope.spawn(|| slowest_of(slot))).collect();
        let slowest = slots.into_iter().map(|slot| slot.join().map_err(|_| "a slot panicked")?);
        slowest.collect::<Result<Vec<Duration>>>()
    })?;
    let runs_per_second = effort.runs as f64 / start.elapsed().as_secs_f64();
    Ok([runs_per_second, ms(slowest.into_iter().max().unwrap_or_default())])
}
