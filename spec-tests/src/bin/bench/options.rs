//! What is measured, how often, and where the figures go.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use spec_tests::view::View;

use crate::effort::Effort;
use crate::{Result, compose, measures, shims};

pub const HELP: &str = "\
Usage: bench [OPTIONS]

  --rounds N          samples of each timing (60)
  --rest MS           how long the machine rests before each sample (0)
  --quick             few rounds of everything, to see that the bench works
  --shims             measures shims under a containerd of the bench's own, in place of runtimes by themselves
  --compose           measures projects of corten-compose beside docker compose's, in place of runtimes
  --view VIEW         only this view of cgroups: v1 or v2; may be repeated
  --only MEASURE      only this measure: run, lifecycle, exec, parallel, grace-periods, peak-memory, memory-limit,
                      calls; of shims: start, run, exec, memory, parallel, short;
                      of projects: project, list, keepers; may be repeated
  --beside NAME=PATH  a further runtime; may be repeated
  --peers DIR         what scripts/bench-peers has made: its crun and runc are taken where they are newer than those
                      on PATH; none if empty
  --json FILE         where the figures go (target/bench.json)
  --help              prints this

CORTEN_BIN names the Corten to measure; else it is release/corten in the target directory that holds the bench.
CORTEN_SHIM names its shim, CORTEN_COMPOSE_BIN its corten-compose; else they stand beside it.
CORTEN_CGROUP_MANAGER=systemd measures --systemd-cgroup, where systemd runs (scripts/systemd).
";

/// What was typed.
pub enum Typed {
    Help,
    Run(Box<Options>),
}

pub struct Options {
    pub effort: Effort,
    pub shims: bool,
    pub projects: bool,
    pub views: Vec<View>,
    /// Names of measures; none stands for all.
    pub only: Vec<String>,
    pub beside: Vec<(String, PathBuf)>,
    pub peers: Option<PathBuf>,
    pub json: PathBuf,
}

impl Options {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Typed> {
        let mut options = Options {
            effort: Effort::full(),
            shims: false,
            projects: false,
            views: Vec::new(),
            only: Vec::new(),
            beside: Vec::new(),
            peers: None,
            json: PathBuf::from("target/bench.json"),
        };
        let (mut rounds, mut rest) = (None, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--help" => return Ok(Typed::Help),
                "--quick" => options.effort = Effort::quick(),
                "--rounds" => rounds = Some(number::<usize>(&value()?)?.max(1)),
                "--shims" => options.shims = true,
                "--compose" => options.projects = true,
                "--rest" => rest = Some(Duration::from_millis(number(&value()?)?)),
                "--view" => options.views.push(view(&value()?)?),
                "--only" => options.only.push(measure(value()?)?),
                "--beside" => options.beside.push(named_path(&value()?)?),
                "--peers" => options.peers = Some(PathBuf::from(value()?)).filter(|dir| dir != Path::new("")),
                "--json" => options.json = PathBuf::from(value()?),
                _ => return Err(format!("unknown option {word}; --help lists them").into()),
            }
        }
        options.effort.rounds = rounds.unwrap_or(options.effort.rounds);
        options.effort.rest = rest.unwrap_or(options.effort.rest);
        if options.views.is_empty() {
            options.views = View::all().to_vec();
        }
        Ok(Typed::Run(Box::new(options)))
    }

    pub fn wants(&self, measure: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == measure)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{text} is not a number").into())
}

fn view(text: &str) -> Result<View> {
    let named = View::all().iter().find(|view| view.name() == text);
    named.copied().ok_or_else(|| format!("this machine has no view {text}").into())
}

fn measure(text: String) -> Result<String> {
    let of_runtimes = measures::ALL.iter().map(|measure| measure.name);
    let of_shims = shims::MEASURES.iter().map(|measure| measure.name);
    let of_projects = compose::MEASURES.iter().map(|measure| measure.name);
    if of_runtimes.chain(of_shims).chain(of_projects).any(|name| name == text) {
        return Ok(text);
    }
    Err(format!("there is no measure {text}; --help lists them").into())
}

fn named_path(text: &str) -> Result<(String, PathBuf)> {
    let (name, path) = text.split_once('=').ok_or_else(|| format!("{text} is not NAME=PATH"))?;
    Ok((name.to_owned(), PathBuf::from(path)))
}
