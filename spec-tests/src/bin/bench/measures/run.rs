//! `run` of `/bin/true`, from the start of the runtime's process to its end; and the floor.

use std::process::Command;

use super::{Better, Entrant, Quantity, Taken, Unit, interleave, ms, with_cpu};
use crate::Result;
use crate::lane::Lane;
use crate::stage::Stage;
use crate::workshop::{Helper, Workshop};

/// The namespaces of Docker's default: mount, uts, ipc, pid, network.
const FLOOR_NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID | libc::CLONE_NEWNET;

pub fn take(stage: &Stage) -> Result<Taken> {
    let mut entrants: Vec<_> = stage.lanes("run")?.into_iter().map(runtime).collect();
    entrants.push(floor(stage.workshop));
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [quantity("run", "run of /bin/true"), quantity("run-cpu", "CPU time of run")];
    interleave(entrants, stage.turns(stage.effort.rounds), quantities)
}

fn runtime(lane: Lane<'_>) -> Entrant<'_, 2> {
    let name = lane.contender.name.clone();
    let sample = move || with_cpu(|| Ok(ms(lane.time_command(lane.run_command())?)));
    Entrant { name, sample: Box::new(sample) }
}

/// The floor tells by itself how long the start of its container took: its own start doesn't count, save as CPU time.
fn floor(workshop: &Workshop) -> Entrant<'_, 2> {
    Entrant { name: "floor".to_owned(), sample: Box::new(move || with_cpu(|| run_floor(workshop))) }
}

fn run_floor(workshop: &Workshop) -> Result<f64> {
    let mut command = Command::new(workshop.helper(Helper::Floor)?);
    command.arg(workshop.rootfs()).arg("1").arg(FLOOR_NAMESPACES.to_string());
    let output = command.output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    match told.split(' ').nth(1).and_then(|number| number.parse().ok()) {
        Some(took_ms) if output.status.success() => Ok(took_ms),
        _ => Err(format!("floor: {}", String::from_utf8_lossy(&output.stderr).trim()).into()),
    }
}
