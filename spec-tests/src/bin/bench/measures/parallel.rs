//! Many runs of `/bin/true`, several at a time, each in a container of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::ms;
use super::sampling::{Quantity, Sampler, interleave};
use crate::Result;
use crate::conditions::Conditions;
use crate::container::Container;
use crate::effort::Parallel;
use crate::figures::{Better, Taken, Unit};

pub fn take(conditions: &Conditions) -> Result<Taken> {
    let effort = &conditions.effort.parallel;
    let mut samplers = Vec::new();
    for runtime in conditions.runtimes {
        let containers = (0..effort.at_once)
            .map(|slot| Container::new(conditions.fixture, conditions.view, runtime, &format!("slot{slot}")));
        let containers = containers.collect::<Result<Vec<_>>>()?;
        let sample = Box::new(move || sample(&containers, effort));
        samplers.push(Sampler { name: runtime.name.clone(), sample });
    }
    let quantities = [
        Quantity { name: "parallel", title: "runs in parallel", unit: Unit::PerSecond, better: Better::More },
        Quantity {
            name: "parallel-slowest",
            title: "slowest run in parallel",
            unit: Unit::Milliseconds,
            better: Better::Less,
        },
    ];
    interleave(samplers, conditions.turns(effort.rounds), quantities)
}

fn sample(containers: &[Container], effort: &Parallel) -> Result<[f64; 2]> {
    let begun = AtomicUsize::new(0);
    let start = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let slots: Vec<_> =
            containers.iter().map(|container| scope.spawn(|| slot(container, &begun, effort.runs))).collect();
        let slowest = slots.into_iter().map(|slot| slot.join().map_err(|_| "a slot panicked")?);
        slowest.collect::<Result<Vec<Duration>>>()
    })?;
    let runs_per_second = effort.runs as f64 / start.elapsed().as_secs_f64();
    Ok([runs_per_second, ms(slowest.into_iter().max().unwrap_or_default())])
}

/// Runs one container after the other until all slots together have begun `runs`, and returns its slowest.
fn slot(container: &Container, begun: &AtomicUsize, runs: usize) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    while begun.fetch_add(1, Ordering::Relaxed) < runs {
        slowest = slowest.max(container.time_command(container.run_command())?);
    }
    Ok(slowest)
}
