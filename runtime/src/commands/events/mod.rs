//! `events`: what a container uses, again and again, and when it runs out of memory.

mod stats;

use serde::Serialize;

use self::stats::Stats;
use super::{Invocation, print};
use crate::cli::EventsArgs;
use crate::container::{Container, OomEvent, Status};
use crate::error::{Error, Kind, Result};
use crate::report::Report;
use crate::sys::clock::Deadline;
use crate::sys::poll;

/// Prints events of a container until it is gone, or its usage once.
pub(super) fn run(invocation: &Invocation, args: EventsArgs) -> Result<u8> {
    let container = invocation.runtime()?.find(&args.id)?;
    if container.status()? == Status::Stopped {
        return Err(Error::new(Kind::WrongState, format!("container with id {} is not running", args.id)));
    }
    if args.once {
        print_usage(&container)?;
    } else {
        follow(&container, &args, &invocation.report)?;
    }
    Ok(0)
}

fn follow(container: &Container, args: &EventsArgs, report: &Report) -> Result<()> {
    let mut watch = container.watch_oom()?;
    let mut next_usage = Deadline::after(args.interval);
    loop {
        poll::readable_by(&watch, next_usage)?;
        match watch.read()? {
            Some(OomEvent::Gone) => return Ok(()),
            Some(OomEvent::Oom) => print_event(&Event::Oom { id: args.id.as_str() })?,
            None => {}
        }
        if next_usage.passed() {
            next_usage = Deadline::after(args.interval);
            if !container.cgroup_exists() {
                return Ok(());
            }
            if let Err(err) = print_usage(container) {
                // A part of the cgroup may be gone. The watch tells when all of it is.
                report.warning(&err.to_string());
            }
        }
    }
}

fn print_usage(container: &Container) -> Result<()> {
    let data = Box::new(Stats::from(&container.readings()?));
    print_event(&Event::Stats { id: container.id(), data })
}

fn print_event(event: &Event) -> Result<()> {
    let json = serde_json::to_string(event).map_err(|err| Error::internal(err.to_string()))?;
    print(json + "\n")
}

/// One line of output, in runc's shape.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Event<'a> {
    Oom { id: &'a str },
    Stats { id: &'a str, data: Box<Stats> },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_shape_that_callers_look_for() {
        let oom = serde_json::to_string(&Event::Oom { id: "c1" }).expect("json");
        assert_eq!(oom, r#"{"type":"oom","id":"c1"}"#);
        let stats = serde_json::to_string(&Event::Stats { id: "c1", data: Box::default() }).expect("json");
        assert!(stats.starts_with(r#"{"type":"stats","id":"c1","data":{"cpu":{"#), "{stats}");
    }
}
