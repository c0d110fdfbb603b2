//! What is measured: one file per measure.

mod calls;
mod exec;
mod grace_periods;
mod lifecycle;
mod memory;
pub mod parallel;
mod run;
pub mod sampling;

use std::time::Duration;

use crate::conditions::Conditions;
use crate::figures::Taken;
use crate::{Result, process};

pub struct Measure {
    pub name: &'static str,
    /// Otherwise the view of cgroups has no part in it, and one is enough.
    pub in_each_view: bool,
    pub take: fn(&Conditions) -> Result<Taken>,
}

/// In the order of the table.
pub const ALL: [Measure; 8] = [
    Measure { name: "run", in_each_view: true, take: run::take },
    Measure { name: "lifecycle", in_each_view: true, take: lifecycle::take },
    Measure { name: "exec", in_each_view: true, take: exec::take },
    Measure { name: "parallel", in_each_view: true, take: parallel::take },
    Measure { name: "grace-periods", in_each_view: true, take: grace_periods::take },
    Measure { name: "peak-memory", in_each_view: true, take: memory::take_peak },
    Measure { name: "memory-limit", in_each_view: true, take: memory::take_limit },
    Measure { name: "calls", in_each_view: false, take: calls::take },
];

/// Takes a sample by `take`, and beside it the CPU time that was used for it, in ms.
pub fn with_cpu(take: impl FnOnce() -> Result<f64>) -> Result<[f64; 2]> {
    let before = process::cpu_of_children()?;
    let taken = take()?;
    Ok([taken, ms(process::cpu_of_children()? - before)])
}

pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
