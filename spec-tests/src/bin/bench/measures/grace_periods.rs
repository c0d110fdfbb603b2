//! How often one `run` waits for RCU: for an expedited grace period, which the kernel needs to take a mount, a mount
//! namespace or a superblock away. Alone on the machine each costs little; many starts at once queue for them.

use super::run::run_floor;
use super::sampling::{Quantity, Sampler, interleave};
use crate::Result;
use crate::conditions::Conditions;
use crate::figures::{Better, Taken, Unit};
use crate::waits::Waits;

const FUNCTION: &str = "synchronize_rcu_expedited";

pub fn take(conditions: &Conditions) -> Result<Taken> {
    let fixture = conditions.fixture;
    let waits = match Waits::open(fixture) {
        Ok(waits) => waits,
        Err(error) => return Ok(Taken::Skipped(format!("no kernel stacks to be had: {error}"))),
    };
    let mut samplers = Vec::new();
    for container in conditions.containers("grace")? {
        let (waits, name) = (&waits, container.runtime.name.clone());
        let run = move || container.time_command(container.run_command());
        samplers.push(Sampler { name, sample: Box::new(move || Ok([waits.count(FUNCTION, &run)? as f64])) });
    }
    let floor = || Ok([waits.count(FUNCTION, || run_floor(fixture))? as f64]);
    samplers.push(Sampler { name: "floor".to_owned(), sample: Box::new(floor) });
    let quantity = Quantity {
        name: "grace-periods",
        title: "waits for RCU in one run",
        unit: Unit::Count,
        better: Better::Less,
    };
    Ok(Taken::Figures(interleave(samplers, conditions.effort.turns(conditions.effort.traced), [quantity])?))
}
