//! All figures of a bench, the ratios between them, and whether the targets are reached.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::Serialize;
use spec_tests::manager::Manager;
use spec_tests::view::View;

use crate::Result;
use crate::figures::{Figures, Taken};
use crate::runtime::Runtime;

/// The runtime that the targets are about.
pub const SUBJECT: &str = "corten";

#[derive(Serialize)]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    pub runtimes: Vec<Named>,
    pub measures: Vec<Measured>,
    pub skipped: Vec<Skipped>,
    pub targets: Vec<Verdict>,
}

#[derive(Serialize)]
pub struct Machine {
    pub kernel: String,
    pub cpus: usize,
    /// Who makes the containers' cgroups.
    pub cgroups_by: &'static str,
    /// The load average over a minute before the bench began: what else was going on.
    pub load: f64,
}

#[derive(Serialize)]
pub struct Named {
    pub name: String,
    pub version: String,
    pub bytes: u64,
    pub bytes_with_libraries: u64,
}

#[derive(Serialize)]
pub struct Measured {
    pub view: &'static str,
    #[serde(flatten)]
    pub figures: Figures,
    /// The median of each runtime, divided by that of another.
    pub ratios: Vec<Ratio>,
}

#[derive(Serialize)]
pub struct Ratio {
    pub runtime: String,
    pub to: &'static str,
    pub ratio: f64,
}

#[derive(Serialize)]
pub struct Skipped {
    pub view: &'static str,
    pub measure: &'static str,
    pub reason: String,
}

/// A target and how far the subject is from it.
#[derive(Serialize)]
pub struct Verdict {
    pub view: &'static str,
    pub measure: &'static str,
    pub to: &'static str,
    #[serde(flatten)]
    pub target: Bound,
    pub ratio: f64,
    pub reached: bool,
}

struct Target {
    measure: &'static str,
    /// None for all.
    view: Option<View>,
    to: &'static str,
    bound: Bound,
}

/// The bound that a ratio should keep.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Bound::AtMost(bound) => ratio <= bound,
            Bound::AtLeast(bound) => ratio >= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::AtMost(bound) => write!(f, "≤ {bound}"),
            Bound::AtLeast(bound) => write!(f, "≥ {bound}"),
        }
    }
}

/// What ratios are taken to.
const YARDSTICKS: [&str; 2] = ["crun", "floor"];

const TARGETS: [Target; 8] = [
    target("run", Some(View::V1), "crun", Bound::AtMost(0.3)),
    target("run", Some(View::V2), "crun", Bound::AtMost(0.45)),
    target("run", None, "floor", Bound::AtMost(2.5)),
    target("lifecycle", None, "crun", Bound::AtMost(0.4)),
    target("exec", None, "crun", Bound::AtMost(0.4)),
    target("parallel-20", None, "crun", Bound::AtLeast(2.0)),
    target("parallel-100-slowest", None, "crun", Bound::AtMost(0.4)),
    target("peak-memory", None, "crun", Bound::AtMost(0.5)),
];

const fn target(measure: &'static str, view: Option<View>, to: &'static str, bound: Bound) -> Target {
    Target { measure, view, to, bound }
}

impl Report {
    pub fn new(runtimes: &[Runtime], rounds: usize) -> Report {
        let named = |runtime: &Runtime| Named {
            name: runtime.name.clone(),
            version: runtime.version.clone(),
            bytes: runtime.bytes,
            bytes_with_libraries: runtime.bytes_with_libraries,
        };
        Report {
            machine: Machine::here(),
            rounds,
            runtimes: runtimes.iter().map(named).collect(),
            measures: Vec::new(),
            skipped: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Takes up what a measure came to.
    pub fn add(&mut self, view: View, measure: &'static str, taken: Taken) {
        match taken {
            Taken::Skipped(reason) => self.skipped.push(Skipped { view: view.name(), measure, reason }),
            Taken::Figures(all) => all.into_iter().for_each(|figures| self.add_figures(view, figures)),
        }
    }

    /// Writes all of it as JSON.
    pub fn save(&self, path: &Path) -> Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        fs::write(path, serde_json::to_vec_pretty(self)?)
            .map_err(|error| format!("write {}: {error}", path.display()).into())
    }

    fn add_figures(&mut self, view: View, figures: Figures) {
        let ratios = ratios(&figures);
        for target in TARGETS.iter().filter(|target| target.is_about(view, figures.name)) {
            let found = ratios.iter().find(|ratio| ratio.runtime == SUBJECT && ratio.to == target.to);
            self.targets.extend(found.map(|ratio| target.judge(view, ratio.ratio)));
        }
        self.measures.push(Measured { view: view.name(), figures, ratios });
    }
}

impl Target {
    fn is_about(&self, view: View, measure: &str) -> bool {
        self.measure == measure && self.view.is_none_or(|own| own == view)
    }

    fn judge(&self, view: View, ratio: f64) -> Verdict {
        let Target { measure, to, bound, .. } = *self;
        Verdict { view: view.name(), measure, to, target: bound, ratio, reached: bound.holds(ratio) }
    }
}

impl Machine {
    fn here() -> Machine {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Machine {
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cgroups_by: match Manager::of_environment() {
                Manager::Cgroupfs => "the runtime",
                Manager::Systemd => "systemd",
            },
            load: text("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }
}

fn ratios(figures: &Figures) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for to in YARDSTICKS {
        let Some(base) = figures.runtimes.iter().find(|figure| figure.runtime == to) else { continue };
        for figure in figures.runtimes.iter().filter(|figure| figure.runtime != to) {
            let ratio = figure.summary.median / base.summary.median;
            ratios.push(Ratio { runtime: figure.runtime.clone(), to, ratio });
        }
    }
    ratios
}
