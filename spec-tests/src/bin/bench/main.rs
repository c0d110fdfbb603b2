//! Corten beside its peers, and beside the least that the kernel asks for, in one run on one machine.
//!
//! ```text
//! CORTEN_BIN=/path/to/corten cargo run --release -p spec-tests --bin bench -- [OPTIONS]
//! ```
//!
//! `--help` lists the options. The peers are whichever of crun, runc and youki are on PATH, or newer ones that
//! `scripts/bench-peers` has fetched. The runtimes take turns, so that whatever else the machine does hits all alike;
//! absolute figures drift, ratios hold. Needs root, and leaves nothing behind but the JSON.

mod compose;
mod conditions;
mod container;
mod effort;
mod figures;
mod fixture;
mod goals;
mod interrupt;
mod measures;
mod options;
mod peers;
mod process;
mod report;
mod runtime;
mod samples;
mod shims;
mod table;
mod waits;

use std::error::Error;
use std::process::ExitCode;

use conditions::Conditions;
use fixture::Fixture;
use options::{Options, Typed};
use report::Report;

/// What a fallible function of the bench returns. Its errors are read, and no code branches on them.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    if shims::floor::is_asked_for() {
        return shims::floor::main();
    }
    let done = match Options::parse(std::env::args().skip(1)) {
        Ok(Typed::Help) => {
            print!("{}", options::HELP);
            Ok(())
        }
        Ok(Typed::Run(options)) if options.shims => shims::bench(&options),
        Ok(Typed::Run(options)) if options.projects => compose::bench(&options),
        Ok(Typed::Run(options)) => bench(&options),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    if let Some(dir) = &options.peers {
        peers::install(dir)?;
    }
    interrupt::listen()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let runtimes = runtime::find(&options.beside, options.peers.as_deref())?;
    let fixture = Fixture::open()?;
    let mut report = Report::new(&runtimes, options.effort.rounds, &goals::OF_RUNTIMES);
    for (number, view) in options.views.iter().enumerate() {
        let conditions =
            Conditions { fixture: &fixture, view: *view, runtimes: &runtimes, effort: &options.effort };
        let wanted = measures::ALL.iter().filter(|measure| number == 0 || measure.in_each_view);
        for measure in wanted.filter(|measure| options.wants(measure.name)) {
            eprintln!("{}: {}", view.name(), measure.name);
            report.add(*view, measure.name, conditions.take(measure.take)?);
        }
    }
    table::print(&report);
    report.save(&options.json)
}
