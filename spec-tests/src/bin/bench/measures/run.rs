//! `run` of `/bin/true`, from the start of the runtime's process to its end; and the floor.

use std::process::Command;

use super::{Better, Entrant, Quantity, Taken, Unit, interleave, ms};
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
    let quantity =
        Quantity { name: "run", title: "run of /bin/true", unit: Unit::Milliseconds, better: Better::Less };
    interleave(entrants, stage.effort.rounds, [quantity])
}

fn runtime(lane: Lane<'_>) -> Entrant<'_, 1> {
    Entrant {
        name: lane.contender.name.clone(),
        sample: Box::new(move || Ok([ms(lane.time_command(lane.run_command())?)])),
    }
}

/// The floor tells by itself how long the start of its container took: its own start doesn't count.
fn floor(workshop: &Workshop) -> Entrant<'_, 1> {
    let sample = move || {
        let mut command = Command::new(workshop.helper(Helper::Floor)?);
        command.arg(workshop.rootfs()).arg("1").arg(FLOOR_NAMESPACES.to_string());
        let output = command.output()?;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        match told.split(' ').nth(1).and_then(|number| number.parse().ok()) {
            Some(took_ms) if output.status.success() => Ok([took_ms]),
            _ => Err(format!("floor: {}", String::from_utf8_lossy(&output.stderr).trim()).into()),
        }
    };
    Entrant { name: "floor".to_owned(), sample: Box::new(sample) }
}
