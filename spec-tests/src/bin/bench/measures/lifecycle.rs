//! `create`, `start`, the end of the container, `delete`: what containerd does for a container that ends by itself.

use super::{Better, Entrant, Quantity, Taken, Unit, interleave, ms};
use crate::lane::Lane;
use crate::stage::Stage;
use crate::{Result, process};

pub fn take(stage: &Stage) -> Result<Taken> {
    let entrants = stage.lanes("lifecycle")?.into_iter().map(entrant).collect();
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [
        quantity("lifecycle", "create + start + delete"),
        quantity("create", "create alone"),
        quantity("start", "start alone"),
        quantity("delete", "delete alone"),
    ];
    interleave(entrants, stage.turns(stage.effort.rounds), quantities)
}

fn entrant(lane: Lane<'_>) -> Entrant<'_, 4> {
    Entrant { name: lane.contender.name.clone(), sample: Box::new(move || sample(&lane)) }
}

fn sample(lane: &Lane) -> Result<[f64; 4]> {
    let (created, init) = lane.create()?;
    let started = lane.time(["start", &lane.id])?;
    process::reap(init)?;
    let deleted = lane.time(["delete", &lane.id])?;
    Ok([ms(created + started + deleted), ms(created), ms(started), ms(deleted)])
}
