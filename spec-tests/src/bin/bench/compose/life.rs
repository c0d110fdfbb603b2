//! A project of ten services: `up -d`, the same again, `ps`, `down`.

use super::Field;
use super::project::services;
use crate::Result;
use crate::figures::{Better, Taken, Unit};
use crate::measures::ms;
use crate::measures::sampling::{Quantity, Sampler, interleave};

pub fn take(field: &Field) -> Result<Taken> {
    let samplers = field.sides.iter().map(|side| Sampler {
        name: side.name.to_owned(),
        sample: Box::new(move || {
            let file = side.write("ten.yaml", &services(&side.image, &side.cgroup, side.first_port))?;
            let time = |words: &[&str]| side.compose(&file, words);
            let up = time(&["up", "-d"])?;
            let again = time(&["up", "-d"])?;
            let list = time(&["ps"])?;
            let down = time(&["down"])?;
            Ok([ms(up), ms(again), ms(list), ms(down)])
        }),
    });
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [
        quantity("up", "up -d of 10 services, 3 ports"),
        quantity("up-again", "up -d again"),
        quantity("project-ps", "compose ps of 10"),
        quantity("down", "down of 10 services"),
    ];
    let turns = field.effort.turns(field.effort.projects.rounds);
    Ok(Taken::Figures(interleave(samplers.collect(), turns, quantities)?))
}
