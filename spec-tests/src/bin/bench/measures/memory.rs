//! How much memory a `run` needs: its peak, and the smallest limit under which it works.

use std::fs;
use std::path::Path;
use std::process::Command;

use spec_tests::view::View;

use super::{Better, Entrant, Quantity, Taken, Unit, interleave};
use crate::Result;
use crate::lane::Lane;
use crate::options::LimitSearch;
use crate::stage::Stage;
use crate::workshop::Helper;

/// Every runtime works under this one.
const AMPLE_BYTES: u64 = 64 << 20;
const V2_CONTROLLERS: &str = "/sys/fs/cgroup/cgroup.controllers";

/// The peak of the largest process, from the runtime's own to the container's.
pub fn take_peak(stage: &Stage) -> Result<Taken> {
    let helper = match stage.workshop.helper(Helper::Peak) {
        Ok(helper) => helper,
        Err(error) => return Ok(Taken::Skipped(error.to_string())),
    };
    let entrants = stage.lanes("peak")?.into_iter().map(|lane| {
        let helper = helper.clone();
        Entrant { name: lane.contender.name.clone(), sample: Box::new(move || peak(&lane, &helper)) }
    });
    let quantity = Quantity {
        name: "peak-memory",
        title: "peak memory of run",
        unit: Unit::Kibibytes,
        better: Better::Less,
    };
    interleave(entrants.collect(), stage.turns(stage.effort.rounds), [quantity])
}

/// Limits the container by `linux.resources.memory.limit`, lower and lower.
pub fn take_limit(stage: &Stage) -> Result<Taken> {
    if stage.view == View::V2 && !fs::read_to_string(V2_CONTROLLERS)?.contains("memory") {
        return Ok(Taken::Skipped("the cgroup2 mount has no memory controller here".to_owned()));
    }
    let search = &stage.effort.limit;
    let entrants = stage.lanes("limit")?.into_iter().map(|mut lane| Entrant {
        name: lane.contender.name.clone(),
        sample: Box::new(move || smallest_limit(&mut lane, search)),
    });
    let quantity = Quantity {
        name: "memory-limit",
        title: "smallest working memory limit",
        unit: Unit::Kibibytes,
        better: Better::Less,
    };
    interleave(entrants.collect(), stage.turns(search.rounds), [quantity])
}

fn peak(lane: &Lane, helper: &Path) -> Result<[f64; 1]> {
    let (told, run) = (lane.bundle.dir.join("peak"), lane.run_command());
    let mut command = Command::new(helper);
    command.arg(&told).arg(run.get_program()).args(run.get_args());
    lane.time_command(command)?;
    Ok([fs::read_to_string(told)?.trim().parse()?])
}

/// Halves the span between a limit that is too low and one that works.
fn smallest_limit(lane: &mut Lane, search: &LimitSearch) -> Result<[f64; 1]> {
    let (mut too_low, mut works) = (0, AMPLE_BYTES);
    if !works_under(lane, works, 1) {
        return Err(format!("does not run under a limit of {} MiB", works >> 20).into());
    }
    while works - too_low > search.step_bytes {
        let middle = (too_low + works) / 2;
        if works_under(lane, middle, search.tries) {
            works = middle;
        } else {
            too_low = middle;
        }
    }
    Ok([works as f64 / 1024.0])
}

fn works_under(lane: &mut Lane, limit_bytes: u64, tries: usize) -> bool {
    lane.bundle.set("/linux/resources/memory/limit", limit_bytes).save();
    let works = (0..tries).all(|_| lane.time_command(lane.run_command()).is_ok());
    if !works {
        lane.clear();
    }
    works
}
