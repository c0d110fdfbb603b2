//! The memory of a shim whose containers sleep: of one container, which is what a shim of its own costs each, and of a
//! group, which has one shim.

use std::fs;
use std::time::Duration;

use super::Shim;
use super::client::Client;
use super::crowd::Crowd;
use crate::Result;
use crate::figures::{Better, Figures, Taken, Unit};
use crate::measures::sampling::{Quantity, Sampler, interleave};

/// Threads that have nothing to do have ended by then, and what Go's collector frees is free.
const REST: Duration = Duration::from_secs(2);

/// How many containers are in a group, and the names and titles of what is measured of its shim.
struct Group {
    containers: usize,
    names: [&'static str; 3],
    titles: [&'static str; 3],
}

const GROUPS: [Group; 3] = [
    Group {
        containers: 1,
        names: ["shim-rss-1", "shim-pss-1", "shim-private-dirty-1"],
        titles: ["RSS, 1 container", "PSS, 1 container", "private dirty memory, 1 container"],
    },
    Group {
        containers: 10,
        names: ["shim-rss-10", "shim-pss-10", "shim-private-dirty-10"],
        titles: ["RSS, 10 containers", "PSS, 10 containers", "private dirty memory, 10 containers"],
    },
    Group {
        containers: 100,
        names: ["shim-rss-100", "shim-pss-100", "shim-private-dirty-100"],
        titles: ["RSS, 100 containers", "PSS, 100 containers", "private dirty memory, 100 containers"],
    },
];

pub fn take(client: &Client) -> Result<Taken> {
    let groups = GROUPS.iter().take(client.effort.shims.crowds);
    let figures = groups.map(|group| take_of(client, group)).collect::<Result<Vec<_>>>()?;
    Ok(Taken::Figures(figures.into_iter().flatten().collect()))
}

fn take_of(client: &Client, group: &Group) -> Result<Vec<Figures>> {
    let real = client.shims.iter().filter(|shim| shim.name != "floor");
    let samplers = real.map(|shim| Sampler {
        name: shim.name.to_owned(),
        sample: Box::new(move || sample(client, shim, group.containers)),
    });
    let quantity = |index: usize| Quantity {
        name: group.names[index],
        title: group.titles[index],
        unit: Unit::Kibibytes,
        better: Better::Less,
    };
    let turns = client.effort.turns(client.effort.shims.memory_rounds);
    interleave(samplers.collect(), turns, [quantity(0), quantity(1), quantity(2)])
}

fn sample(client: &Client, shim: &Shim, containers: usize) -> Result<[f64; 3]> {
    let mut crowd = Crowd::new(client, shim);
    let group = format!("io.containerd.runc.v2.group={}", client.fresh_name());
    for _ in 0..containers {
        crowd.add(&["--annotation", &group])?;
    }
    std::thread::sleep(REST);
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", crowd.shim_pid()?))?;
    let kibibytes = |field: &str| -> Result<f64> {
        let line = rollup.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        Ok(line.and_then(|line| line.trim().strip_suffix(" kB")).ok_or("no such field")?.trim().parse()?)
    };
    Ok([kibibytes("Rss")?, kibibytes("Pss")?, kibibytes("Private_Dirty")?])
}
