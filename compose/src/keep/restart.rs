//! Whether and when a container that has ended is started again. Pure.
//!
//! The rules are Docker's: 100 ms, doubled at each end that comes too soon, up to a minute; a life of 10 s was a good
//! one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// When a container is started again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case", tag = "name")]
pub enum Policy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends by itself.
    Always,
    /// The same. The two differ only at a boot.
    UnlessStopped,
    /// When it ends with another code than 0, so many times at most.
    OnFailure {
        /// How many times, or without end.
        retries_max: Option<u32>,
    },
}

/// An end, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The exit code.
    pub code: u32,
    /// How long the container has lived.
    pub lived: Duration,
    /// Whether the user has stopped it.
    pub stopped: bool,
}

/// What has been done already, since the user has started the container.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct History {
    /// How often it was started again.
    pub count: u32,
    /// The last pause.
    pub pause: Duration,
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const GOOD_LIFE: Duration = Duration::from_secs(10);

impl Policy {
    /// The longest pause. containerd's restart monitor acts on `always` and `unless-stopped` every 10 s, so a longer
    /// one would not be ours.
    fn pause_max(self) -> Duration {
        match self {
            Policy::Always | Policy::UnlessStopped => Duration::from_secs(10),
            Policy::No | Policy::OnFailure { .. } => Duration::from_secs(60),
        }
    }

    fn wants(self, end: End, count: u32) -> bool {
        match self {
            _ if end.stopped => false,
            Policy::No => false,
            Policy::Always | Policy::UnlessStopped => true,
            Policy::OnFailure { retries_max } => end.code != 0 && retries_max.is_none_or(|max| count < max),
        }
    }
}

impl History {
    /// The history once the container is started again, after its `pause`. Nothing if it isn't.
    pub fn after(self, policy: Policy, end: End) -> Option<History> {
        if !policy.wants(end, self.count) {
            return None;
        }
        let is_good = end.lived >= GOOD_LIFE || self.pause.is_zero();
        let pause = if is_good { FIRST_PAUSE } else { self.pause * 2 };
        Some(History { count: self.count + 1, pause: pause.min(policy.pause_max()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILURE: End = End { code: 1, lived: Duration::from_millis(5), stopped: false };
    const SUCCESS: End = End { code: 0, ..FAILURE };
    const ON_FAILURE: Policy = Policy::OnFailure { retries_max: None };

    fn pauses_ms(policy: Policy, ends: usize) -> Vec<u128> {
        let mut history = History::default();
        let next = || {
            history = history.after(policy, FAILURE)?;
            Some(history.pause.as_millis())
        };
        std::iter::from_fn(next).take(ends).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000];
        assert_eq!(pauses_ms(ON_FAILURE, 12), expected);
        let under_the_monitor = [100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000];
        assert_eq!(pauses_ms(Policy::Always, 9), under_the_monitor);
    }

    #[test]
    fn a_good_life_begins_anew() {
        let worn = History { count: 7, pause: Duration::from_secs(6) };
        let end = End { lived: Duration::from_secs(10), ..FAILURE };
        let after = worn.after(Policy::Always, end).unwrap();
        assert_eq!(after, History { count: 8, pause: Duration::from_millis(100) });
    }

    #[test]
    fn on_failure_counts_and_takes_0_for_done() {
        assert_eq!(History::default().after(ON_FAILURE, SUCCESS), None);
        assert_eq!(pauses_ms(Policy::OnFailure { retries_max: Some(3) }, 9).len(), 3);
        assert_eq!(pauses_ms(Policy::OnFailure { retries_max: Some(1) }, 9).len(), 1);
    }

    #[test]
    fn what_the_user_has_stopped_stays_stopped() {
        for policy in [Policy::Always, Policy::UnlessStopped, ON_FAILURE, Policy::No] {
            assert_eq!(History::default().after(policy, End { stopped: true, ..FAILURE }), None);
        }
        assert_eq!(History::default().after(Policy::No, FAILURE), None);
        assert!(History::default().after(Policy::UnlessStopped, SUCCESS).is_some());
    }
}
