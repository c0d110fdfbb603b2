//! How much memory a `run` needs: its peak, and the smallest limit under which it works.

use std::fs;
use std::path::Path;
use std::process::Command;

use spec_tests::view::View;

use super::sampling::{Quantity, Sampler, interleave};
use crate::Result;
use crate::conditions::Conditions;
use crate::container::Container;
use crate::effort::LimitSearch;
use crate::figures::{Better, Taken, Unit};
use crate::fixture::Helper;

/// Every runtime works under this limit.
const AMPLE_BYTES: u64 = 64 << 20;
const V2_CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";

/// The peak of the largest process, from the runtime's own to the container's.
pub fn take_peak(conditions: &Conditions) -> Result<Taken> {
    let helper = match conditions.fixture.helper(Helper::Peak) {
        Ok(helper) => helper,
        Err(error) => return Ok(Taken::Skipped(error.to_string())),
    };
    let samplers = conditions.containers("peak")?.into_iter().map(|container| {
        let helper = helper.clone();
        Sampler { name: container.runtime.name.clone(), sample: Box::new(move || peak(&container, &helper)) }
    });
    let quantity = Quantity {
        name: "peak-memory",
        title: "peak memory of run",
        unit: Unit::Kibibytes,
        better: Better::Less,
    };
    Ok(Taken::Figures(interleave(
        samplers.collect(),
        conditions.effort.turns(conditions.effort.rounds),
        [quantity],
    )?))
}

/// Limits the container by `linux.resources.memory.limit`, lower and lower.
pub fn take_limit(conditions: &Conditions) -> Result<Taken> {
    if conditions.view == View::V2 && !fs::read_to_string(V2_CONTROLLERS)?.contains("memory") {
        return Ok(Taken::Skipped("the cgroup2 mount has no memory controller here".to_owned()));
    }
    let search = &conditions.effort.limit;
    let samplers = conditions.containers("limit")?.into_iter().map(|mut container| Sampler {
        name: container.runtime.name.clone(),
        sample: Box::new(move || smallest_limit(&mut container, search)),
    });
    let quantity = Quantity {
        name: "memory-limit",
        title: "smallest working memory limit",
        unit: Unit::Kibibytes,
        better: Better::Less,
    };
    Ok(Taken::Figures(interleave(samplers.collect(), conditions.effort.turns(search.rounds), [quantity])?))
}

fn peak(container: &Container, helper: &Path) -> Result<[f64; 1]> {
    let (told, run) = (container.bundle.dir.join("peak"), container.run_command());
    let mut command = Command::new(helper);
    command.arg(&told).arg(run.get_program()).args(run.get_args());
    container.time_command(command)?;
    Ok([fs::read_to_string(told)?.trim().parse()?])
}

/// Halves the span between a limit that is too low and one that works.
fn smallest_limit(container: &mut Container, search: &LimitSearch) -> Result<[f64; 1]> {
    let (mut too_low, mut works) = (0, AMPLE_BYTES);
    if !works_under(container, works, 1) {
        return Err(format!("does not run under a limit of {} MiB", works >> 20).into());
    }
    while works - too_low > search.step_bytes {
        let middle = (too_low + works) / 2;
        if works_under(container, middle, search.tries) {
            works = middle;
        } else {
            too_low = middle;
        }
    }
    Ok([works as f64 / 1024.0])
}

fn works_under(container: &mut Container, limit_bytes: u64, tries: usize) -> bool {
    container.bundle.set("/linux/resources/memory/limit", limit_bytes).save();
    let works = (0..tries).all(|_| container.time_command(container.run_command()).is_ok());
    if !works {
        container.clear();
    }
    works
}
