//! All figures of a bench, the ratios between them, and whether the targets are reached.

use std::fs;
use std::path::Path;

use serde::Serialize;
use spec_tests::manager::Manager;
use spec_tests::view::View;

use crate::Result;
use crate::figures::{Figures, Taken, Unit};
use crate::goals::{Goals, SUBJECT, Target};
use crate::runtime::Runtime;

#[derive(Serialize)]
pub struct Report {
    #[serde(skip)]
    pub goals: &'static Goals,
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
    #[serde(flatten)]
    pub target: Target,
    /// The subject's median, or its ratio to another's.
    pub found: f64,
    pub unit: Unit,
    pub reached: bool,
}

impl Report {
    pub fn new(runtimes: &[Runtime], rounds: usize, goals: &'static Goals) -> Report {
        let named = |runtime: &Runtime| Named {
            name: runtime.name.clone(),
            version: runtime.version.clone(),
            bytes: runtime.bytes,
            bytes_with_libraries: runtime.bytes_with_libraries,
        };
        Report {
            goals,
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
        let ratios = ratios(&figures, &self.goals.yardsticks);
        let targets = self.goals.targets.iter();
        for target in targets.filter(|target| target.is_about(view, figures.name)) {
            let found = found(target, &figures, &ratios);
            self.targets.extend(found.map(|found| Verdict {
                view: view.name(),
                measure: figures.name,
                target: *target,
                found,
                unit: figures.unit,
                reached: target.bound.holds(found),
            }));
        }
        self.measures.push(Measured { view: view.name(), figures, ratios });
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

/// What a target is about: the subject's median, or its ratio to that of another.
fn found(target: &Target, figures: &Figures, ratios: &[Ratio]) -> Option<f64> {
    match target.to {
        Some(to) => {
            ratios.iter().find(|ratio| ratio.runtime == SUBJECT && ratio.to == to).map(|ratio| ratio.ratio)
        }
        None => {
            let subject = figures.runtimes.iter().find(|figure| figure.runtime == SUBJECT);
            subject.map(|figure| figure.summary.median)
        }
    }
}

fn ratios(figures: &Figures, yardsticks: &[&'static str]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for to in yardsticks {
        let Some(base) = figures.runtimes.iter().find(|figure| figure.runtime == *to) else { continue };
        for figure in figures.runtimes.iter().filter(|figure| figure.runtime != *to) {
            let ratio = figure.summary.median / base.summary.median;
            ratios.push(Ratio { runtime: figure.runtime.clone(), to, ratio });
        }
    }
    ratios
}
