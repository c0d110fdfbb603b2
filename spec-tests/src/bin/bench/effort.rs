//! How much work the bench puts into each measure.

use std::time::Duration;

use crate::measures::sampling::Turns;

/// How often, how long, how closely.
pub struct Effort {
    pub rounds: usize,
    pub rest: Duration,
    pub parallel: Parallel,
    /// How many runs are traced.
    pub traced: usize,
    pub limit: LimitSearch,
    pub calls: Calls,
    pub shims: Shims,
    pub projects: Projects,
}

pub struct Parallel {
    pub rounds: usize,
    pub runs: usize,
}

pub struct LimitSearch {
    pub rounds: usize,
    /// A limit works if so many runs in a row do.
    pub tries: usize,
    pub step_bytes: u64,
}

pub struct Calls {
    pub rounds: usize,
    pub batches: usize,
    pub calls_per_batch: usize,
}

pub struct Projects {
    pub rounds: usize,
    /// How often a full host's containers are listed.
    pub lists: usize,
}

pub struct Shims {
    pub short: Parallel,
    /// Starts at the same time.
    pub starts: Parallel,
    pub memory_rounds: usize,
    /// How many of the crowds of idle containers are measured.
    pub crowds: usize,
}

impl Effort {
    pub fn turns(&self, rounds: usize) -> Turns {
        Turns { rounds, rest: self.rest }
    }

    pub fn full() -> Effort {
        Effort {
            rounds: 60,
            rest: Duration::ZERO,
            parallel: Parallel { rounds: 3, runs: 200 },
            traced: 10,
            limit: LimitSearch { rounds: 3, tries: 3, step_bytes: 32 << 10 },
            calls: Calls { rounds: 10, batches: 20, calls_per_batch: 20_000 },
            shims: Shims {
                short: Parallel { rounds: 3, runs: 100 },
                starts: Parallel { rounds: 5, runs: 24 },
                memory_rounds: 1,
                crowds: 3,
            },
            projects: Projects { rounds: 9, lists: 20 },
        }
    }

    pub fn quick() -> Effort {
        Effort {
            rounds: 3,
            rest: Duration::ZERO,
            parallel: Parallel { rounds: 1, runs: 6 },
            traced: 1,
            limit: LimitSearch { rounds: 1, tries: 1, step_bytes: 8 << 20 },
            calls: Calls { rounds: 1, batches: 2, calls_per_batch: 1000 },
            shims: Shims {
                short: Parallel { rounds: 1, runs: 10 },
                starts: Parallel { rounds: 1, runs: 4 },
                memory_rounds: 1,
                crowds: 2,
            },
            projects: Projects { rounds: 1, lists: 1 },
        }
    }
}
