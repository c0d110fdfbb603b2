//! Many runs of `/bin/true`, several at a time, each in a container of its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Better, Entrant, Quantity, Taken, Unit, interleave, ms};
use crate::Result;
use crate::lane::Lane;
use crate::options::Parallel;
use crate::stage::Stage;

pub fn take(stage: &Stage) -> Result<Taken> {
    let effort = &stage.effort.parallel;
    let mut entrants = Vec::new();
    for contender in stage.contenders {
        let lanes = (0..effort.at_once).map(|slot| Lane::lay(stage, contender, &format!("slot{slot}")));
        let lanes = lanes.collect::<Result<Vec<_>>>()?;
        let sample = Box::new(move || sample(&lanes, effort));
        entrants.push(Entrant { name: contender.name.clone(), sample });
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
    interleave(entrants, stage.turns(effort.rounds), quantities)
}

fn sample(lanes: &[Lane], effort: &Parallel) -> Result<[f64; 2]> {
    let begun = AtomicUsize::new(0);
    let start = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let slots: Vec<_> =
            lanes.iter().map(|lane| scope.spawn(|| slot(lane, &begun, effort.runs))).collect();
        let slowest = slots.into_iter().map(|slot| slot.join().map_err(|_| "a slot panicked")?);
        slowest.collect::<Result<Vec<Duration>>>()
    })?;
    let runs_per_second = effort.runs as f64 / start.elapsed().as_secs_f64();
    Ok([runs_per_second, ms(slowest.into_iter().max().unwrap_or_default())])
}

/// Runs one container after the other until all slots together have begun `runs`, and returns its slowest.
fn slot(lane: &Lane, begun: &AtomicUsize, runs: usize) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    while begun.fetch_add(1, Ordering::Relaxed) < runs {
        slowest = slowest.max(lane.time_command(lane.run_command())?);
    }
    Ok(slowest)
}
