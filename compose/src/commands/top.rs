//! `top`: what the host's `ps` says of the container's processes.

use std::process::Command;

use super::{Ended, Session, print};
use crate::apply::task;
use crate::engine::Engine;
use crate::engine::tasks::ListPids;
use crate::error::{Context, Error, Result};
use crate::observe::{self, Observed};
use crate::view::table::aligned;

pub async fn top(session: &Session, typed: &str, options: &[String]) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    print(&aligned(&processes(&session.engine, one, options).await?))?;
    Ok(0)
}

/// The processes of a container, as the host's `ps` lists them by these options, below its headings.
pub async fn processes(engine: &Engine, one: &Observed, options: &[String]) -> Result<Vec<Vec<String>>> {
    if !one.state.is_up() {
        return Err(task::not_running(one));
    }
    let pids = engine.call(ListPids { container_id: one.id().to_owned() }).await.at(one.name())?.processes;
    let pids: Vec<String> = pids.iter().map(|process| process.pid.to_string()).collect();
    let usual = ["-ef".to_owned()];
    let options = if options.is_empty() { &usual } else { options };
    // Some options list processes of this terminal alone, unless others are named; and some go with no names.
    let named = format!("-q{}", pids.join(","));
    let mut said = Command::new("ps").args(options).arg(named).output().at("ps")?;
    if !said.status.success() {
        said = Command::new("ps").args(options).output().at("ps")?;
    }
    if !said.status.success() {
        return Err(Error::new(String::from_utf8_lossy(&said.stderr).trim().to_owned())).at("ps");
    }
    rows(&String::from_utf8_lossy(&said.stdout), &pids)
}

/// The lines of these processes, and the headings.
fn rows(said: &str, pids: &[String]) -> Result<Vec<Vec<String>>> {
    let mut lines = said.lines();
    let headings: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let column = headings.iter().position(|heading| heading == "PID");
    let column = column.ok_or_else(|| Error::new("Couldn't find PID field in ps output"))?;
    let count = headings.len();
    let mut table = vec![headings];
    for line in lines {
        let cells = cells(line, count);
        if cells.get(column).is_some_and(|pid| pids.contains(pid)) {
            table.push(cells);
        }
    }
    Ok(table)
}

/// As many cells as there are headings: the last one may have spaces.
fn cells(line: &str, count: usize) -> Vec<String> {
    let mut rest = line.trim_start();
    let mut cells = Vec::new();
    while cells.len() + 1 < count {
        let Some((cell, after)) = rest.split_once(char::is_whitespace) else { break };
        cells.push(cell.to_owned());
        rest = after.trim_start();
    }
    cells.push(rest.to_owned());
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_listed() {
        let said = "UID PID CMD\nroot 1 init x\nroot 7 sleep 1000\n";
        assert_eq!(
            aligned(&rows(said, &["7".to_owned()]).unwrap()),
            "UID       PID       CMD\nroot      7         sleep 1000\n"
        );
        assert!(rows("CMD\n", &[]).is_err());
    }
}
