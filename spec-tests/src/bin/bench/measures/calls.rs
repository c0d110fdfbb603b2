//! What a system call costs in a container, under the filter that the runtime made of Docker's profile and without.

use std::fs::{self, File};
use std::process::Stdio;

use super::{Better, Entrant, Quantity, Taken, Unit, interleave};
use crate::Result;
use crate::lane::Lane;
use crate::options::Calls;
use crate::stage::Stage;
use crate::workshop::Helper;

pub fn take(stage: &Stage) -> Result<Taken> {
    if let Err(error) = stage.workshop.helper(Helper::Calls) {
        return Ok(Taken::Skipped(error.to_string()));
    }
    let effort = &stage.effort.calls;
    let mut entrants = Vec::new();
    for (filtered, unfiltered) in stage.lanes("filter")?.into_iter().zip(stage.lanes("no-filter")?) {
        entrants.push(entrant(filtered, unfiltered, effort));
    }
    let quantity = |name, title| Quantity { name, title, unit: Unit::Nanoseconds, better: Better::Less };
    let quantities = [
        quantity("call-getppid", "getppid under the filter"),
        quantity("call-read", "read under the filter"),
        quantity("call-personality", "personality (argument tested) under the filter"),
        quantity("call-getppid-unfiltered", "getppid without a filter"),
        quantity("call-read-unfiltered", "read without a filter"),
        quantity("call-personality-unfiltered", "personality without a filter"),
    ];
    interleave(entrants, stage.turns(effort.rounds), quantities)
}

fn entrant<'a>(mut filtered: Lane<'a>, mut unfiltered: Lane<'a>, effort: &Calls) -> Entrant<'a, 6> {
    let (batches, calls) = (effort.batches.to_string(), effort.calls_per_batch.to_string());
    let program = ["/bin/calls", &batches, &calls];
    filtered.bundle.args(program).save();
    unfiltered.bundle.args(program).set("/linux/seccomp", serde_json::Value::Null).save();
    let name = filtered.contender.name.clone();
    let sample = move || {
        let ([a, b, c], [d, e, f]) = (call_times(&filtered)?, call_times(&unfiltered)?);
        Ok([a, b, c, d, e, f])
    };
    Entrant { name, sample: Box::new(sample) }
}

/// The three figures that the helper prints, in its order.
fn call_times(lane: &Lane) -> Result<[f64; 3]> {
    let printed = lane.bundle.dir.join("printed");
    let mut command = lane.run_command();
    command.stdin(Stdio::null()).stdout(File::create(&printed)?);
    let output = command.output()?;
    let text = fs::read_to_string(&printed)?;
    let times: Vec<f64> = text.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
    times.try_into().map_err(|_| format!("calls: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
