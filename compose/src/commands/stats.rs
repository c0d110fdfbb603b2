//! `stats`, of both trees.

use std::collections::HashMap;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::{Ended, Session};
use crate::cli::observe::Stats;
use crate::engine::Engine;
use crate::engine::metrics::{self, Used};
use crate::engine::tasks::Metrics;
use crate::error::Result;
use crate::observe::{self, Observed};
use crate::view::stats::{self, Sample};
use crate::view::table;

/// Between two looks; between the first two, by which use is told at all, it is less.
const AGAIN: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(500);

/// Of how many containers the use is asked for by name. Beyond that it is asked for of all.
const NAMED_MAX: usize = 20;

/// `cortenctl stats`
pub async fn stats(session: &Session, asked: &Stats) -> Ended {
    let mut is_first = true;
    show(&session.engine, asked, async || {
        let containers = session.containers().await?;
        let named = asked.containers.iter().map(|name| (name.clone(), observe::find(&containers, name)));
        let mut chosen = Vec::new();
        for (name, found) in named {
            match found {
                Ok(one) => chosen.push((name, one.clone())),
                // A container that goes later is not shown any more.
                Err(err) if is_first => return Err(err),
                Err(_) => {}
            }
        }
        is_first = false;
        if asked.containers.is_empty() {
            let all = containers.into_iter().filter(|one| asked.all || one.state.is_up());
            chosen = all.map(|one| (one.id().to_owned(), one)).collect();
        }
        Ok(chosen)
    })
    .await
}

/// Shows what the containers use that are chosen anew each time: each with the name by which it is known.
pub async fn show(
    engine: &Engine,
    asked: &Stats,
    mut choose: impl AsyncFnMut() -> Result<Vec<(String, Observed)>>,
) -> Ended {
    let begun = Instant::now();
    let memory_bytes = memory_bytes();
    let mut before: HashMap<String, Sample> = HashMap::new();
    let mut screen = Screen::of(asked);
    let mut looks = 0_usize;
    loop {
        let chosen = choose().await?;
        let samples = samples(engine, &chosen, begun).await?;
        if looks > 0 || chosen.is_empty() {
            let rows: Vec<Value> = chosen
                .iter()
                .map(|(typed, one)| {
                    let sample = |samples: &HashMap<String, Sample>| samples.get(one.id()).copied();
                    let both = (sample(&before), sample(&samples));
                    stats::row(one, typed, both, memory_bytes, asked.no_trunc)
                })
                .collect();
            let text = table::list(&rows, &stats::COLUMNS, &stats::HEADINGS, asked.format.as_deref())?;
            if !screen.paint(&text) || asked.no_stream {
                return Ok(0);
            }
        } else {
            // A format that is none is told at once.
            table::list(&[], &stats::COLUMNS, &stats::HEADINGS, asked.format.as_deref())?;
        }
        before = samples;
        sleep(if looks == 0 { FIRST } else { AGAIN }).await;
        looks += 1;
    }
}

/// Where the text is painted over and over, or written one after the other.
struct Screen {
    is_painted: bool,
    is_clean: bool,
}

impl Screen {
    fn of(asked: &Stats) -> Screen {
        let is_table = asked.format.as_deref().is_none_or(|format| format.starts_with("table"));
        Screen { is_painted: stdout().is_terminal() && !asked.no_stream && is_table, is_clean: false }
    }

    /// Returns whether somebody looks at it.
    fn paint(&mut self, text: &str) -> bool {
        let mut out = stdout().lock();
        let painted = if self.is_painted {
            let begin = if self.is_clean { "\x1b[H" } else { "\x1b[2J\x1b[H" };
            format!("{begin}{}\x1b[J", text.replace('\n', "\x1b[K\n"))
        } else {
            text.to_owned()
        };
        self.is_clean = true;
        out.write_all(painted.as_bytes()).and_then(|()| out.flush()).is_ok()
    }
}

/// What those of the containers have used that run.
async fn samples(
    engine: &Engine,
    chosen: &[(String, Observed)],
    begun: Instant,
) -> Result<HashMap<String, Sample>> {
    let up: Vec<&Observed> = chosen.iter().map(|(_, one)| one).filter(|one| one.state.is_up()).collect();
    if up.is_empty() {
        return Ok(HashMap::new());
    }
    let named = up.iter().map(|one| format!("id=={:?}", one.id()));
    let filters = if up.len() > NAMED_MAX { Vec::new() } else { named.collect() };
    let answer = engine.call(Metrics { filters }).await?;
    let at = begun.elapsed();
    let used: HashMap<String, metrics::Used> =
        answer.metrics.into_iter().filter_map(|metric| Some((metric.id, Used::of(&metric.data?)?))).collect();
    let samples = up.into_iter().filter_map(|one| {
        let used = *used.get(one.id())?;
        let (received_bytes, sent_bytes) = network(one.task.as_ref()?.pid).unwrap_or_default();
        Some((one.id().to_owned(), Sample { at, used, received_bytes, sent_bytes }))
    });
    Ok(samples.collect())
}

/// What the network of a process has taken in and sent. None: it has the host's, or has ended.
fn network(pid: u32) -> Option<(u64, u64)> {
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    if namespace(&pid.to_string())? == namespace("self")? {
        return None;
    }
    std::fs::read_to_string(format!("/proc/{pid}/net/dev")).ok().map(|dev| stats::network(&dev))
}

/// The host's memory.
fn memory_bytes() -> u64 {
    let about = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = about.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 = total.and_then(|total| total.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    kib * 1024
}
