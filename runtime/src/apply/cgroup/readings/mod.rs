//! What a container's cgroup has used: the kernel's numbers by controller, in the kernel's units and under its names.
//! Nothing is added up and nothing left out, so that each caller can put them into its own words.

mod text;
pub mod v1;
pub mod v2;

use std::collections::BTreeMap;

pub(super) use text::keyed;
pub use v1::V1;
pub use v2::V2;

use crate::error::{Errno, Error, Result};
use crate::plan::cgroup::CgroupPaths;
use crate::sys::cgroupfs::Dir;

/// The numbers of one cgroup.
#[derive(Clone, Debug, PartialEq)]
pub enum Readings {
    /// Of its directories in the hierarchies of v1.
    V1(Box<V1>),
    /// Of its directory in the hierarchy of v2.
    V2(Box<V2>),
}

/// The lines `KEY NUMBER` of a file such as `memory.stat`.
pub type Keyed = BTreeMap<String, u64>;

/// What stands for `max`: no limit.
pub const UNLIMITED: u64 = u64::MAX;

/// `pids.*`: processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Pids {
    pub current: u64,
    pub max: u64,
}

/// `rdma.*`, by device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Rdma {
    pub current: BTreeMap<String, RdmaDevice>,
    pub max: BTreeMap<String, RdmaDevice>,
}

/// The resources of one RDMA device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct RdmaDevice {
    pub hca_handle: u64,
    pub hca_object: u64,
}

/// `*.pressure` (PSI): how long some or all processes have waited for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct Pressure {
    pub some: PressureLine,
    pub full: PressureLine,
}

/// Percentages of the last 10, 60 and 300 seconds, and microseconds in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct PressureLine {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total_usec: u64,
}

/// Reads the numbers of the cgroup at `paths`.
///
/// Errors: what the kernel says. A file that this kernel or this hierarchy doesn't have is none.
pub(super) fn read(paths: &CgroupPaths) -> Result<Readings> {
    match paths.get(CgroupPaths::UNIFIED) {
        Some(path) if paths.is_v2() => v2::read(&Dir::open(path)?).map(|v2| Readings::V2(Box::new(v2))),
        _ => v1::read(paths).map(|v1| Readings::V1(Box::new(v1))),
    }
}

/// A file that an older kernel, or one configured otherwise, doesn't have.
fn if_there<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(err) if err.is(Errno::ENOENT) => Ok(None),
        Err(err) => Err(err),
    }
}

/// A file with one number.
fn number(dir: &Dir, file: &str) -> Result<u64> {
    let content = dir.read(file)?;
    text::number(&content).ok_or_else(|| unexpected(file, &content))
}

fn keyed_file(dir: &Dir, file: &str) -> Result<Option<Keyed>> {
    let content = if_there(dir.read(file))?;
    Ok(content.map(|content| keyed(&content).map(|(key, value)| (key.to_owned(), value)).collect()))
}

fn pids(dir: &Dir) -> Result<Option<Pids>> {
    let Some(current) = if_there(number(dir, "pids.current"))? else { return Ok(None) };
    Ok(Some(Pids { current, max: number(dir, "pids.max")? }))
}

fn rdma(dir: &Dir) -> Result<Rdma> {
    let devices = |file| -> Result<_> {
        let content = if_there(dir.read(file))?.unwrap_or_default();
        Ok(text::rdma(&content))
    };
    Ok(Rdma { current: devices("rdma.current")?, max: devices("rdma.max")? })
}

/// The sizes of huge pages of this host as cgroup files spell them: `2MB`.
fn huge_page_sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    text::huge_page_sizes(entries.filter_map(|entry| entry.file_name().into_string().ok()))
}

fn unexpected(file: &str, content: &str) -> Error {
    Error::internal(format!("{file} says {:?}", content.lines().next().unwrap_or_default()))
}
