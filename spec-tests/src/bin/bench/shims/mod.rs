//! Shims under a real containerd: how long a user of `ctr` waits, and what a shim costs meanwhile.
//!
//! containerd runs on a machine of its own, as in the suite `containerd`. The [`floor`] is a shim whose containers cost
//! nothing: its figures are containerd's own part, and ctr's.

mod client;
mod crowd;
mod exec;
pub mod floor;
mod memory;
mod parallel;
mod run;
mod start;

use std::fs;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use spec_tests::engine::containerd::{self, Containerd};
use spec_tests::engine::sandbox;
use spec_tests::engine::{Engine, Stop};
use spec_tests::subject::subject;

use crate::figures::Taken;
use crate::goals::{OF_SHIMS, SUBJECT};
use crate::options::Options;
use crate::report::Report;
use crate::runtime::{Runtime, on_path};
use crate::{Result, interrupt, table};
use client::Client;

/// What is measured of shims.
pub struct Measure {
    pub name: &'static str,
    take: fn(&Client) -> Result<Taken>,
}

/// In the order of the table.
pub const MEASURES: [Measure; 6] = [
    Measure { name: "start", take: start::take },
    Measure { name: "run", take: run::take },
    Measure { name: "exec", take: exec::take },
    Measure { name: "parallel", take: parallel::take_starts },
    Measure { name: "short", take: parallel::take_short },
    Measure { name: "memory", take: memory::take },
];

/// A shim with a runtime: how `ctr run` asks for it.
pub struct Shim {
    pub name: &'static str,
    pub flags: Vec<String>,
    pub file: PathBuf,
}

/// Measures the shims, in the first of the views of cgroups: crun works there, too.
pub fn bench(options: &Options) -> Result<()> {
    if on_path("containerd").is_none() {
        eprintln!("bench: shims aren't measured: there is no containerd");
        return Ok(());
    }
    let sandbox = sandbox::enter();
    interrupt::listen()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let view = *options.views.first().ok_or("no view of cgroups")?;
    let shim = std::env::var_os("CORTEN_SHIM");
    let shim = shim.map_or_else(|| subject().path.with_file_name("containerd-shim-corten-v2"), PathBuf::from);
    let containerd =
        Containerd::start(&sandbox, view.name(), containerd::Client::Ctr, view, &shim).map_err(told)?;
    fs::copy(std::env::current_exe()?, containerd.dir().join("path").join(floor::NAME))?;
    let shims = shims(&shim)?;
    let mut report = Report::new(&named(&shims)?, options.effort.rounds, &OF_SHIMS);
    let client = Client::new(&containerd, &shims, &options.effort);
    for measure in MEASURES.iter().filter(|measure| options.wants(measure.name)) {
        eprintln!("{}: {}, with shims", view.name(), measure.name);
        report.add(view, measure.name, on_machine(&containerd, || (measure.take)(&client))?);
    }
    table::print(&report);
    report.save(&options.json)
}

fn named(shims: &[Shim]) -> Result<Vec<Runtime>> {
    let named = shims.iter().map(|shim| Runtime::with_version(shim.name, String::new(), shim.file.clone()));
    named.collect()
}

/// The shims, of which those that aren't there are left out.
fn shims(corten: &Path) -> Result<Vec<Shim>> {
    let go = on_path("containerd-shim-runc-v2").ok_or("there is no containerd-shim-runc-v2")?;
    let runtime = |name: &str| vec!["--runtime".to_owned(), format!("io.containerd.{name}.v2")];
    let with = |binary: &Path| {
        [runtime("runc"), vec!["--runc-binary".into(), binary.display().to_string()]].concat()
    };
    let mut shims = vec![
        Shim { name: SUBJECT, flags: runtime("corten"), file: corten.to_owned() },
        Shim { name: "go-runc", flags: runtime("runc"), file: go.clone() },
        Shim { name: "go-corten", flags: with(&subject().path), file: go.clone() },
    ];
    shims.extend(on_path("crun").map(|crun| Shim { name: "go-crun", flags: with(&crun), file: go }));
    shims.push(Shim { name: "floor", flags: runtime("floor"), file: std::env::current_exe()? });
    Ok(shims)
}

/// Carries out `work` on a thread that sees the machine's mounts: what it executes begins there by itself, and no other
/// program's start counts.
fn on_machine<T: Send>(containerd: &Containerd, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let ended = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_FS)?;
            setns(containerd.machine().mounts()?, CloneFlags::CLONE_NEWNS)?;
            work()
        });
        thread.join()
    });
    ended.map_err(|_| "a measure panicked")?
}

fn told(stop: Stop) -> String {
    match stop {
        Stop::Failed(why) | Stop::Skipped(why) => why,
    }
}
