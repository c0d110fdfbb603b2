//! What the figures are compared with, and what is to be reached.

use std::fmt;

use serde::Serialize;
use spec_tests::view::View;

/// The runtime, or the shim, that the targets are about.
pub const SUBJECT: &str = "corten";

pub struct Goals {
    /// What ratios are taken to.
    pub yardsticks: [&'static str; 2],
    pub targets: &'static [Target],
}

#[derive(Clone, Copy, Serialize)]
pub struct Target {
    #[serde(skip)]
    measure: &'static str,
    /// None for all.
    #[serde(skip)]
    view: Option<View>,
    /// None for the median itself.
    pub to: Option<&'static str>,
    #[serde(flatten)]
    pub bound: Bound,
}

/// The bound that a median, or a ratio of medians, should keep.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

pub const OF_RUNTIMES: Goals = Goals {
    yardsticks: ["crun", "floor"],
    targets: &[
        ratio("run", Some(View::V1), "crun", Bound::AtMost(0.3)),
        ratio("run", Some(View::V2), "crun", Bound::AtMost(0.45)),
        ratio("run", None, "floor", Bound::AtMost(2.5)),
        ratio("lifecycle", None, "crun", Bound::AtMost(0.4)),
        ratio("exec", None, "crun", Bound::AtMost(0.4)),
        ratio("parallel-20", None, "crun", Bound::AtLeast(2.0)),
        ratio("parallel-100-slowest", None, "crun", Bound::AtMost(0.4)),
        ratio("peak-memory", None, "crun", Bound::AtMost(0.5)),
    ],
};

pub const OF_SHIMS: Goals = Goals {
    yardsticks: ["go-runc", "floor"],
    targets: &[
        median("shim-start", Bound::AtMost(3.0)),
        ratio("ctr-run", None, "go-runc", Bound::AtMost(0.5)),
        ratio("ctr-exec", None, "go-runc", Bound::AtMost(0.5)),
        ratio("short-10", None, "go-runc", Bound::AtLeast(3.0)),
        median("shim-rss-10", Bound::AtMost(4608.0)),
        median("shim-private-dirty-10", Bound::AtMost(614.0)),
    ],
};

pub const OF_PROJECTS: Goals = Goals {
    yardsticks: ["docker", "nerdctl"],
    targets: &[
        ratio("up", None, "docker", Bound::AtMost(0.5)),
        ratio("up-again", None, "docker", Bound::AtMost(0.5)),
        ratio("down", None, "docker", Bound::AtMost(0.5)),
        median("up-again", Bound::AtMost(40.0)),
        median("ps-200", Bound::AtMost(30.0)),
        median("keeper-rss", Bound::AtMost(2560.0)),
        median("keeper-private-dirty", Bound::AtMost(410.0)),
    ],
};

const fn ratio(measure: &'static str, view: Option<View>, to: &'static str, bound: Bound) -> Target {
    Target { measure, view, to: Some(to), bound }
}

const fn median(measure: &'static str, bound: Bound) -> Target {
    Target { measure, view: None, to: None, bound }
}

impl Target {
    pub fn is_about(&self, view: View, measure: &str) -> bool {
        self.measure == measure && self.view.is_none_or(|own| own == view)
    }
}

impl Bound {
    pub fn holds(self, found: f64) -> bool {
        match self {
            Bound::AtMost(bound) => found <= bound,
            Bound::AtLeast(bound) => found >= bound,
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
