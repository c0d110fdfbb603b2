//! `ps -a` of a host with two hundred containers.

use std::path::PathBuf;

use super::Field;
use super::project::crowd;
use super::side::Side;
use crate::Result;
use crate::figures::{Better, Taken, Unit};
use crate::measures::ms;
use crate::measures::sampling::{Quantity, Sampler, interleave};

pub fn take(field: &Field) -> Result<Taken> {
    let crowds: Result<Vec<Crowd>> = field.sides.iter().map(Crowd::new).collect();
    let crowds = crowds?;
    let samplers = crowds.iter().map(|crowd| Sampler {
        name: crowd.side.name.to_owned(),
        sample: Box::new(move || Ok([ms(crowd.side.plain(&["ps", "-a"])?)])),
    });
    let quantity = Quantity {
        name: "ps-200",
        title: "ps -a of 200 containers",
        unit: Unit::Milliseconds,
        better: Better::Less,
    };
    let turns = field.effort.turns(field.effort.projects.lists);
    Ok(Taken::Figures(interleave(samplers.collect(), turns, [quantity])?))
}

/// Containers that were created, gone with this value.
struct Crowd<'a> {
    side: &'a Side<'a>,
    file: PathBuf,
}

impl<'a> Crowd<'a> {
    fn new(side: &'a Side<'a>) -> Result<Crowd<'a>> {
        let file = side.write("crowd.yaml", &crowd(&side.image, &side.cgroup))?;
        let crowd = Crowd { side, file };
        side.arrange(&crowd.file, &["create"])?;
        Ok(crowd)
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        drop(self.side.arrange(&self.file, &["down"]));
    }
}
