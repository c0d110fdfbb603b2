//! `exec` of `/bin/true` in a container that sleeps.

use super::{Better, Entrant, Quantity, Taken, Unit, interleave, ms, with_cpu};
use crate::lane::Lane;
use crate::stage::Stage;
use crate::{Result, process};

pub fn take(stage: &Stage) -> Result<Taken> {
    let entrants = stage.lanes("exec")?.into_iter().map(entrant).collect();
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [quantity("exec", "exec of /bin/true"), quantity("exec-cpu", "CPU time of exec")];
    interleave(entrants, stage.turns(stage.effort.rounds), quantities)
}

fn entrant(lane: Lane<'_>) -> Entrant<'_, 2> {
    let name = lane.contender.name.clone();
    let mut sleeper = Sleeper { lane, init: None };
    Entrant { name, sample: Box::new(move || sleeper.sample()) }
}

/// A container that is started by the first sample, and deleted with the last.
struct Sleeper<'a> {
    lane: Lane<'a>,
    init: Option<i32>,
}

impl Sleeper<'_> {
    fn sample(&mut self) -> Result<[f64; 2]> {
        if self.init.is_none() {
            self.lane.bundle.args(["/bin/sleep", "1000"]).save();
            self.init = Some(self.lane.create()?.1);
            self.lane.time(["start", &self.lane.id])?;
        }
        with_cpu(|| Ok(ms(self.lane.time(["exec", &self.lane.id, "/bin/true"])?)))
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let Some(init) = self.init else { return };
        self.lane.clear();
        // What is not dead by now is found by its marker in the end.
        let _ = process::reap(init);
    }
}
