//! How long a test waits for what must happen.

use std::time::Duration;

/// So many seconds, or ten times as many on the emulated processor of `scripts/vm`, which sets `CORTEN_VM`.
pub fn seconds(count: u32) -> Duration {
    let slowness = if std::env::var_os("CORTEN_VM").is_some() { 10 } else { 1 };
    Duration::from_secs(u64::from(count * slowness))
}
