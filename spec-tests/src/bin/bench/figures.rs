//! What a measure came to, in numbers.

use serde::Serialize;

use crate::samples::Summary;

/// What a measure came to.
pub enum Taken {
    Figures(Vec<Figures>),
    /// The measure can't be taken here, for this reason.
    Skipped(String),
}

/// One quantity, for each runtime and for the floor, which counts as a runtime of the name `floor`.
#[derive(Serialize)]
pub struct Figures {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: Unit,
    pub better: Better,
    pub runtimes: Vec<Figure>,
    pub failed: Vec<Failed>,
}

#[derive(Serialize)]
pub struct Figure {
    pub runtime: String,
    #[serde(flatten)]
    pub summary: Summary,
}

/// A runtime that failed in the measure.
#[derive(Clone, Serialize)]
pub struct Failed {
    pub runtime: String,
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Unit {
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "ns")]
    Nanoseconds,
    #[serde(rename = "1/s")]
    PerSecond,
    #[serde(rename = "KiB")]
    Kibibytes,
    #[serde(rename = "1")]
    Count,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    Less,
    More,
}
