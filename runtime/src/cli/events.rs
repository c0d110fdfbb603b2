//! `events`: the resource usage of a container.

use std::time::Duration;

use super::Args;
use super::container::id;
use super::go::parse_duration;
use super::low::LowArgs;
use super::table::{self, flag, value};
use crate::error::{Error, Result};
use crate::state::ContainerId;

/// `events`
#[derive(Debug)]
pub struct EventsArgs {
    /// The container.
    pub id: ContainerId,
    /// `--interval`; never zero.
    pub interval: Duration,
    /// `--stats`: once, and no more.
    pub once: bool,
}

pub(super) fn table(table: clap::Command) -> clap::Command {
    table
        .about("Print the resource usage of a container again and again, and each time it runs out of memory")
        .arg(value("interval", "DURATION").help("Print the usage this often: '5s', '100ms' [default: 5s]"))
        .arg(flag("stats").help("Print the usage once and end"))
        .arg(table::id("The name of the container"))
}

impl Args for EventsArgs {
    fn read(low: &mut LowArgs) -> Result<EventsArgs> {
        let interval = low.parsed("interval", |text| match parse_duration(text)? {
            Duration::ZERO => Err(Error::invalid("duration interval must be greater than 0")),
            interval => Ok(interval),
        })?;
        let interval = interval.unwrap_or(Duration::from_secs(5));
        Ok(EventsArgs { id: id(low)?, interval, once: low.flag("stats") })
    }

    fn container(&self) -> Option<&ContainerId> {
        Some(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::testing::{command, error};
    use super::*;

    #[test]
    fn interval() {
        let Command::Events(events) = command("events --interval 100ms c1") else { panic!("not events") };
        assert_eq!(events.interval, Duration::from_millis(100));
        assert!(error("events --interval= c1").starts_with("events: --interval: "));
        assert!(error("events --interval 0s c1").ends_with("duration interval must be greater than 0"));
    }
}
