//! `exec` of `/bin/true` in a container that sleeps.

use super::sampling::{Quantity, Sampler, interleave};
use super::{ms, with_cpu};
use crate::conditions::Conditions;
use crate::container::Container;
use crate::figures::{Better, Taken, Unit};
use crate::{Result, process};

pub fn take(conditions: &Conditions) -> Result<Taken> {
    let samplers = conditions.containers("exec")?.into_iter().map(sampler).collect();
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [quantity("exec", "exec of /bin/true"), quantity("exec-cpu", "CPU time of exec")];
    Ok(Taken::Figures(interleave(samplers, conditions.effort.turns(conditions.effort.rounds), quantities)?))
}

fn sampler(container: Container<'_>) -> Sampler<'_, 2> {
    let name = container.runtime.name.clone();
    let mut sleeper = Sleeper { container, init: None };
    Sampler { name, sample: Box::new(move || sleeper.sample()) }
}

/// A container that is started by the first sample, and deleted with the last.
struct Sleeper<'a> {
    container: Container<'a>,
    init: Option<i32>,
}

impl Sleeper<'_> {
    fn sample(&mut self) -> Result<[f64; 2]> {
        if self.init.is_none() {
            self.container.bundle.args(["/bin/sleep", "1000"]).save();
            self.init = Some(self.container.create()?.1);
            self.container.time(["start", &self.container.id])?;
        }
        with_cpu(|| Ok(ms(self.container.time(["exec", &self.container.id, "/bin/true"])?)))
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let Some(init) = self.init else { return };
        self.container.clear();
        // A process that isn't dead by now is found by its marker at the end.
        let _ = process::reap(init);
    }
}
