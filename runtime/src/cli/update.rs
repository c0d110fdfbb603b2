//! `update`: other limits for a container.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::Args;
use super::container::id;
use super::go::parse_bytes;
use super::low::{LowArgs, number};
use super::table::{self, value};
use crate::error::Result;
use crate::state::ContainerId;

/// `update`
#[derive(Debug)]
pub struct UpdateArgs {
    /// The container.
    pub id: ContainerId,
    /// Where the limits come from.
    pub source: UpdateSource,
    /// `--l3-cache-schema`; empty if there is none.
    pub l3_cache_schema: String,
    /// `--mem-bw-schema`; empty if there is none.
    pub mem_bw_schema: String,
}

/// Where `update` has the limits from.
#[derive(Debug)]
pub enum UpdateSource {
    /// `--resources -`
    Stdin,
    /// `--resources FILE`
    File(PathBuf),
    /// All flags but `--resources`.
    Flags(Box<LinuxResources>),
}

pub(super) fn table(table: clap::Command) -> clap::Command {
    table
        .about("Change the resource limits of a container")
        .arg(value("resources", "FILE").short('r').help(
            "Read the limits from FILE, or from standard input if it is '-': the 'linux.resources' object of a \
             config.json; other flags are then ignored",
        ))
        .arg(value("memory", "BYTES").help("Limit memory: in bytes, or as 512k, 64m, 1g; -1 for no limit"))
        .arg(value("memory-reservation", "BYTES").help("Protect this much memory from reclaim"))
        .arg(value("memory-swap", "BYTES").help("Limit memory and swap together; -1 for no limit"))
        .arg(value("kernel-memory", "BYTES").hide(true).help("Ignored"))
        .arg(value("kernel-memory-tcp", "BYTES").hide(true).help("Ignored"))
        .arg(value("pids-limit", "NUMBER").help("Limit the number of processes; -1 for no limit"))
        .arg(value("cpu-share", "SHARES").help("Weigh the container's CPU time against others'"))
        .arg(value("cpu-quota", "MICROSECONDS").help("Limit CPU time in each period; -1 for no limit"))
        .arg(value("cpu-period", "MICROSECONDS").help("The length of a period"))
        .arg(value("cpu-burst", "MICROSECONDS").help("CPU time that may be saved up from one period for another"))
        .arg(value("cpu-rt-runtime", "MICROSECONDS").help("Limit realtime CPU time in each realtime period"))
        .arg(value("cpu-rt-period", "MICROSECONDS").help("The length of a realtime period"))
        .arg(value("cpu-idle", "0|1").help("Run only when nothing else wants the CPU"))
        .arg(value("cpuset-cpus", "LIST").help("Run on these CPUs: '0-2,7'"))
        .arg(value("cpuset-mems", "LIST").help("Use these memory nodes"))
        .arg(value("blkio-weight", "WEIGHT").help("Weigh the container's disk access against others': 10 to 1000"))
        .arg(value("l3-cache-schema", "SCHEMA").help("What it gets of the L3 cache (Intel RDT): 'L3:0=ff'"))
        .arg(value("mem-bw-schema", "SCHEMA").help("What it gets of memory bandwidth (Intel RDT): 'MB:0=50'"))
        .arg(table::id("The name of the container"))
}

impl Args for UpdateArgs {
    fn read(low: &mut LowArgs) -> Result<UpdateArgs> {
        let source = match low.path("resources") {
            Some(file) if file == Path::new("-") => UpdateSource::Stdin,
            Some(file) => UpdateSource::File(file),
            None => UpdateSource::Flags(Box::new(resources(low)?)),
        };
        Ok(UpdateArgs {
            source,
            l3_cache_schema: low.text("l3-cache-schema")?.unwrap_or_default(),
            mem_bw_schema: low.text("mem-bw-schema")?.unwrap_or_default(),
            id: id(low)?,
        })
    }

    fn container(&self) -> Option<&ContainerId> {
        Some(&self.id)
    }
}

/// The flags of `update` as the `linux.resources` they stand for.
fn resources(low: &mut LowArgs) -> Result<LinuxResources> {
    let mut memory = LinuxMemory::default();
    memory.set_limit(low.value("memory", bytes_or_unlimited)?);
    memory.set_reservation(low.value("memory-reservation", bytes_or_unlimited)?);
    memory.set_swap(low.value("memory-swap", bytes_or_unlimited)?);

    let mut cpu = LinuxCpu::default();
    cpu.set_shares(low.value("cpu-share", number)?);
    cpu.set_quota(low.value("cpu-quota", number)?);
    cpu.set_period(low.value("cpu-period", number)?);
    cpu.set_burst(low.value("cpu-burst", number)?);
    cpu.set_realtime_runtime(low.value("cpu-rt-runtime", number)?);
    cpu.set_realtime_period(low.value("cpu-rt-period", number)?);
    cpu.set_idle(low.value("cpu-idle", number)?);
    cpu.set_cpus(low.text("cpuset-cpus")?.filter(|list| !list.is_empty()));
    cpu.set_mems(low.text("cpuset-mems")?.filter(|list| !list.is_empty()));

    let mut block_io = LinuxBlockIo::default();
    block_io.set_weight(low.parsed("blkio-weight", number)?.filter(|weight| *weight != 0));

    let mut resources = LinuxResources::default();
    resources.set_memory((memory != LinuxMemory::default()).then_some(memory));
    resources.set_cpu((cpu != LinuxCpu::default()).then_some(cpu));
    resources.set_block_io((block_io != LinuxBlockIo::default()).then_some(block_io));
    resources.set_pids(low.parsed("pids-limit", number)?.map(|limit| {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        pids
    }));
    Ok(resources)
}

fn bytes_or_unlimited(text: &str) -> Result<i64> {
    if text == "-1" { Ok(-1) } else { parse_bytes(text) }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::testing::{command, error};
    use super::*;

    fn update(words: &str) -> UpdateArgs {
        match command(words) {
            Command::Update(update) => *update,
            other => panic!("{words}: {other:?}"),
        }
    }

    fn source(words: &str) -> UpdateSource {
        update(words).source
    }

    #[test]
    fn schemata_stand_beside_resources_from_anywhere() {
        let update = update("update --l3-cache-schema L3:0=f --resources - c1");
        assert_eq!((&update.l3_cache_schema[..], &update.mem_bw_schema[..]), ("L3:0=f", ""));
    }

    #[test]
    fn resources_from_elsewhere() {
        for words in ["update --resources=- c1", "update c1 --resources -"] {
            assert!(matches!(source(words), UpdateSource::Stdin), "{words}");
        }
        assert!(
            matches!(source("update -r /r.json c1"), UpdateSource::File(file) if file == Path::new("/r.json"))
        );
    }

    #[test]
    fn flags_become_resources() {
        let words = "update --memory 50M --memory-swap -1 --cpu-quota -1 --pids-limit 0 --cpuset-cpus 0-1 c1";
        let UpdateSource::Flags(resources) = source(words) else { panic!("not flags") };
        let json = serde_json::to_string(&resources).expect("json");
        assert_eq!(
            json,
            r#"{"memory":{"limit":52428800,"swap":-1},"cpu":{"quota":-1,"cpus":"0-1"},"pids":{"limit":0}}"#
        );
        assert_eq!(
            error("update --cpu-share x c1"),
            "update: --cpu-share: \"x\" is not a number in its range"
        );
        for flag in ["pids-limit", "blkio-weight"] {
            let text = error(&format!("update --{flag}= c1"));
            assert_eq!(text, format!("update: --{flag}: \"\" is not a number in its range"));
        }
        // Go programs take these as texts.
        assert!(matches!(source("update --cpu-share= c1"), UpdateSource::Flags(_)));
    }
}
