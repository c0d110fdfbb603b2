//! `run` of `/bin/true`, from the start of the runtime's process to its end; and the floor.

use std::process::Command;

use super::sampling::{Quantity, Sampler, interleave};
use super::{ms, with_cpu};
use crate::Result;
use crate::conditions::Conditions;
use crate::container::Container;
use crate::figures::{Better, Taken, Unit};
use crate::fixture::{Fixture, Helper};

/// The namespaces of Docker's default: mount, uts, ipc, pid, network.
const FLOOR_NAMESPACES: i32 =
    libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWPID | libc::CLONE_NEWNET;

pub fn take(conditions: &Conditions) -> Result<Taken> {
    let mut samplers: Vec<_> = conditions.containers("run")?.into_iter().map(runtime).collect();
    samplers.push(floor(conditions.fixture));
    let quantity = |name, title| Quantity { name, title, unit: Unit::Milliseconds, better: Better::Less };
    let quantities = [quantity("run", "run of /bin/true"), quantity("run-cpu", "CPU time of run")];
    Ok(Taken::Figures(interleave(samplers, conditions.effort.turns(conditions.effort.rounds), quantities)?))
}

fn runtime(container: Container<'_>) -> Sampler<'_, 2> {
    let name = container.runtime.name.clone();
    let sample = move || with_cpu(|| Ok(ms(container.time_command(container.run_command())?)));
    Sampler { name, sample: Box::new(sample) }
}

/// The floor tells by itself how long the start of its container took: its own start doesn't count, save as CPU time.
fn floor(fixture: &Fixture) -> Sampler<'_, 2> {
    Sampler { name: "floor".to_owned(), sample: Box::new(move || with_cpu(|| run_floor(fixture))) }
}

pub(super) fn run_floor(fixture: &Fixture) -> Result<f64> {
    let output = floor_command(fixture)?.output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    match told.split(' ').nth(1).and_then(|number| number.parse().ok()) {
        Some(took_ms) if output.status.success() => Ok(took_ms),
        _ => Err(format!("floor: {}", String::from_utf8_lossy(&output.stderr).trim()).into()),
    }
}

/// Starts one container.
pub(super) fn floor_command(fixture: &Fixture) -> Result<Command> {
    let mut command = Command::new(fixture.helper(Helper::Floor)?);
    command.arg(fixture.rootfs()).arg("1").arg(FLOOR_NAMESPACES.to_string());
    Ok(command)
}
