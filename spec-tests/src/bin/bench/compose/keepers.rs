//! The memory of the process that `corten-compose` has beside each container.

use std::fs;
use std::time::Duration;

use super::Field;
use super::project::{SERVICES, services};
use crate::Result;
use crate::figures::{Better, Taken, Unit};
use crate::measures::sampling::{Quantity, Sampler, interleave};

/// What a start leaves to be done has been done by then.
const REST: Duration = Duration::from_secs(2);

pub fn take(field: &Field) -> Result<Taken> {
    let side = field.sides.first().ok_or("no side")?;
    let sampler = Sampler {
        name: side.name.to_owned(),
        sample: Box::new(move || {
            let file = side.write("kept.yaml", &services(&side.image, &side.cgroup, side.first_port))?;
            side.compose(&file, &["up", "-d"])?;
            std::thread::sleep(REST);
            let pids = field.containerd.keepers()?;
            let memory = average(&pids);
            side.compose(&file, &["down"])?;
            if pids.len() != SERVICES {
                return Err(format!("{} keepers of {SERVICES} containers", pids.len()).into());
            }
            memory
        }),
    };
    let quantity = |name, title| Quantity { name, title, unit: Unit::Kibibytes, better: Better::Less };
    let quantities = [
        quantity("keeper-rss", "RSS of a keeper"),
        quantity("keeper-private-dirty", "private dirty memory of a keeper"),
    ];
    Ok(Taken::Figures(interleave(vec![sampler], field.effort.turns(1), quantities)?))
}

/// RSS and private dirty memory, in KiB.
fn average(pids: &[i32]) -> Result<[f64; 2]> {
    let mut sums = [0.0; 2];
    for pid in pids {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        for (sum, field) in sums.iter_mut().zip(["Rss:", "Private_Dirty:"]) {
            let line = rollup.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such field")?;
            *sum += line.trim().trim_end_matches(" kB").parse::<f64>()?;
        }
    }
    Ok(sums.map(|sum| sum / pids.len().max(1) as f64))
}
