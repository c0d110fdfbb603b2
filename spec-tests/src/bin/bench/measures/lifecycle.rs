//! `create`, `start`, the end of the container, `delete`: what containerd does for a container that ends by itself.

use super::ms;
use super::sampling::{Quantity, Sampler, interleave};
use crate::conditions::Conditions;
use crate::container::Container;
use crate::figures::{Better, Taken, Unit};
use crate::{Result, process};

pub fn take(conditions: &Conditions) -> Result<Taken> {
    let samplers = conditions.containers("lifecycle")?.into_iter().map(sampler).collect();
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [
        quantity("lifecycle", "create + start + delete"),
        quantity("create", "create alone"),
        quantity("start", "start alone"),
        quantity("delete", "delete alone"),
    ];
    Ok(Taken::Figures(interleave(samplers, conditions.effort.turns(conditions.effort.rounds), quantities)?))
}

fn sampler(container: Container<'_>) -> Sampler<'_, 4> {
    Sampler { name: container.runtime.name.clone(), sample: Box::new(move || sample(&container)) }
}

fn sample(container: &Container) -> Result<[f64; 4]> {
    let (created, init) = container.create()?;
    let started = container.time(["start", &container.id])?;
    process::reap(init)?;
    let deleted = container.time(["delete", &container.id])?;
    Ok([ms(created + started + deleted), ms(created), ms(started), ms(deleted)])
}
