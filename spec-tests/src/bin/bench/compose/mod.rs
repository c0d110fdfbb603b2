//! Compose projects: how long a user of `corten-compose` waits, beside docker compose and nerdctl compose where they
//! are at hand.
//!
//! containerd and dockerd run on a machine each, with the same view of the cgroups and the same image.

mod keepers;
mod life;
mod list;
mod project;
mod side;

use std::path::PathBuf;

use spec_tests::engine::sandbox;
use spec_tests::engine::{Outcome, Stop};
use spec_tests::subject::subject;
use spec_tests::view::View;

use crate::figures::Taken;
use crate::goals::OF_PROJECTS;
use crate::options::Options;
use crate::report::Report;
use crate::runtime::{Runtime, on_path};
use crate::{Result, interrupt, table};
use side::{OnContainerd, OnDocker, Side};

/// What is measured of projects.
pub struct Measure {
    pub name: &'static str,
    take: fn(&Field) -> Result<Taken>,
}

/// In the order of the table.
pub const MEASURES: [Measure; 3] = [
    Measure { name: "project", take: life::take },
    Measure { name: "list", take: list::take },
    Measure { name: "keepers", take: keepers::take },
];

/// All that a measure needs.
pub struct Field<'a> {
    pub sides: Vec<Side<'a>>,
    pub containerd: &'a OnContainerd,
    pub effort: &'a crate::effort::Effort,
}

/// Measures projects with the machine's own view of the cgroups.
pub fn bench(options: &Options) -> Result<()> {
    if on_path("containerd").is_none() {
        eprintln!("bench: projects aren't measured: there is no containerd");
        return Ok(());
    }
    let sandbox = sandbox::enter();
    interrupt::listen()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let program = named("CORTEN_COMPOSE_BIN", "corten-compose");
    let containerd =
        OnContainerd::start(&sandbox, &named("CORTEN_SHIM", "containerd-shim-corten-v2"), program)
            .map_err(told)?;
    let docker = OnDocker::start(&sandbox).map_err(told)?;
    let mut sides = vec![containerd.corten()];
    sides.extend(docker.as_ref().map(OnDocker::docker));
    sides.extend(containerd.nerdctl());
    let runtimes: Result<Vec<_>> = sides
        .iter()
        .map(|side| Runtime::with_version(side.name, side.version.clone(), side.program.clone()))
        .collect();
    let mut report = Report::new(&runtimes?, options.effort.projects.rounds, &OF_PROJECTS);
    let field = Field { sides, containerd: &containerd, effort: &options.effort };
    for measure in MEASURES.iter().filter(|measure| options.wants(measure.name)) {
        eprintln!("{}, with projects", measure.name);
        report.add(View::Plain, measure.name, (measure.take)(&field)?);
    }
    table::print(&report);
    report.save(&options.json)
}

/// The program that a variable names, or that stands beside the runtime.
fn named(variable: &str, name: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| subject().path.with_file_name(name), PathBuf::from)
}

fn told(stop: Stop) -> String {
    match stop {
        Stop::Failed(why) | Stop::Skipped(why) => why,
    }
}

/// What is there, or nothing where it isn't at hand.
fn at_hand<T>(outcome: Outcome<T>) -> Outcome<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(Stop::Skipped(why)) => {
            eprintln!("bench: {why}");
            Ok(None)
        }
        Err(failed) => Err(failed),
    }
}
