//! What a system call costs in a container, under the filter that the runtime made of Docker's profile and without.

use std::fs::{self, File};
use std::process::Stdio;

use super::sampling::{Quantity, Sampler, interleave};
use crate::Result;
use crate::conditions::Conditions;
use crate::container::Container;
use crate::effort::Calls;
use crate::figures::{Better, Taken, Unit};
use crate::fixture::Helper;

pub fn take(conditions: &Conditions) -> Result<Taken> {
    if let Err(error) = conditions.fixture.helper(Helper::Calls) {
        return Ok(Taken::Skipped(error.to_string()));
    }
    let effort = &conditions.effort.calls;
    let mut samplers = Vec::new();
    for (filtered, unfiltered) in
        conditions.containers("filter")?.into_iter().zip(conditions.containers("no-filter")?)
    {
        samplers.push(sampler(filtered, unfiltered, effort));
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
    Ok(Taken::Figures(interleave(samplers, conditions.effort.turns(effort.rounds), quantities)?))
}

fn sampler<'a>(mut filtered: Container<'a>, mut unfiltered: Container<'a>, effort: &Calls) -> Sampler<'a, 6> {
    let (batches, calls) = (effort.batches.to_string(), effort.calls_per_batch.to_string());
    let program = ["/bin/calls", &batches, &calls];
    filtered.bundle.args(program).save();
    unfiltered.bundle.args(program).set("/linux/seccomp", serde_json::Value::Null).save();
    let name = filtered.runtime.name.clone();
    let sample = move || {
        let ([a, b, c], [d, e, f]) = (call_times(&filtered)?, call_times(&unfiltered)?);
        Ok([a, b, c, d, e, f])
    };
    Sampler { name, sample: Box::new(sample) }
}

/// The three figures that the helper prints, in its order.
fn call_times(container: &Container) -> Result<[f64; 3]> {
    let printed = container.bundle.dir.join("printed");
    let mut command = container.run_command();
    command.stdin(Stdio::null()).stdout(File::create(&printed)?);
    let output = command.output()?;
    let text = fs::read_to_string(&printed)?;
    let times: Vec<f64> = text.lines().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
    times.try_into().map_err(|_| format!("calls: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
