//! `logs`

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::{Ended, Session};
use crate::apply::task;
use crate::cli::docker::Logs;
use crate::error::{Context, Error, Result};
use crate::{keep, observe, time};

/// How often a log that is followed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub async fn logs(session: &Session, typed: &str, logs: &Logs) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    let mut log = Log::of(keep::log_path(&session.disk.container(one.id())));
    let show = Show::of(logs)?;
    show.last(&log.all()?, logs.tail);
    if !logs.follow || !one.state.is_up() {
        return Ok(0);
    }
    let ended = task::wait(&session.engine, one.id());
    tokio::pin!(ended);
    loop {
        let is_over = tokio::time::timeout(LOOK_AGAIN, &mut ended).await.is_ok();
        show.last(&log.rest()?, None);
        if is_over {
            return Ok(0);
        }
    }
}

/// A line of the log.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    log: String,
    stream: String,
    time: String,
}

/// A container's log: a file, and older ones beside it.
pub(super) struct Log {
    path: PathBuf,
    /// How many bytes of the file are read.
    shown: u64,
    /// The beginning of a line that isn't whole yet.
    unfinished: String,
}

impl Log {
    pub(super) fn of(path: PathBuf) -> Log {
        Log { path, shown: 0, unfinished: String::new() }
    }

    /// All there is, the oldest first.
    pub(super) fn all(&mut self) -> Result<Vec<Entry>> {
        let older = |number: usize| PathBuf::from(format!("{}.{number}", self.path.display()));
        let count = (1..).take_while(|&number| older(number).exists()).count();
        let mut text = String::new();
        for number in (1..=count).rev() {
            text.push_str(&read(&older(number), 0)?);
        }
        let entries = entries(&text);
        Ok(entries.into_iter().chain(self.rest()?).collect())
    }

    /// What has come since.
    pub(super) fn rest(&mut self) -> Result<Vec<Entry>> {
        let length = std::fs::metadata(&self.path).map_or(0, |about| about.len());
        let mut text = std::mem::take(&mut self.unfinished);
        if length < self.shown {
            // The file is the next one by now; the rest of the last one is beside it.
            text.push_str(&read(&PathBuf::from(format!("{}.1", self.path.display())), self.shown)?);
            self.shown = 0;
        }
        let new = read(&self.path, self.shown)?;
        self.shown += new.len() as u64;
        text.push_str(&new);
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        self.unfinished = text.split_off(whole);
        Ok(entries(&text))
    }
}

/// A file from a place on. One that isn't there is empty. What the keeper writes is UTF-8.
fn read(path: &Path, from: u64) -> Result<String> {
    use io::{Read, Seek, SeekFrom};
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(err) => return Err(err).at(path.display()),
    };
    let mut text = String::new();
    file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_string(&mut text)).at(path.display())?;
    Ok(text)
}

/// The lines that can be read: one that a crash has torn can't.
fn entries(text: &str) -> Vec<Entry> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// What is shown of a log, and how.
pub(super) struct Show {
    since: Option<(i64, u32)>,
    until: Option<(i64, u32)>,
    timestamps: bool,
}

impl Show {
    pub(super) fn of(logs: &Logs) -> Result<Show> {
        let moment = |typed: &Option<String>| typed.as_deref().map(moment).transpose();
        Ok(Show { since: moment(&logs.since)?, until: moment(&logs.until)?, timestamps: logs.timestamps })
    }

    fn last(&self, entries: &[Entry], count: Option<usize>) {
        self.last_behind("", entries, count);
    }

    /// Shows the last entries, each behind that prefix.
    pub(super) fn last_behind(&self, prefix: &str, entries: &[Entry], count: Option<usize>) {
        let shown: Vec<&Entry> = entries.iter().filter(|entry| self.has(entry)).collect();
        let from = count.map_or(0, |count| shown.len().saturating_sub(count));
        let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
        for entry in &shown[from..] {
            let time = if self.timestamps { format!("{} ", entry.time) } else { String::new() };
            let text = format!("{prefix}{time}{}", entry.log);
            // Who doesn't want to read it has gone.
            drop(if entry.stream == "stderr" {
                stderr.write_all(text.as_bytes())
            } else {
                stdout.write_all(text.as_bytes())
            });
        }
        drop(stdout.flush());
    }

    fn has(&self, entry: &Entry) -> bool {
        let Some(at) = time::parse_rfc3339(&entry.time) else { return true };
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }
}

/// RFC 3339, a date, seconds since 1970, or a duration back from now: `1h30m`.
pub(super) fn moment(typed: &str) -> Result<(i64, u32)> {
    let now = time::now().as_secs() as i64;
    let back = || typed.parse::<crate::model::values::Duration>().ok();
    let seconds = |typed: &str| typed.split('.').next().and_then(|whole| whole.parse().ok());
    time::parse_rfc3339(typed)
        .or_else(|| time::parse_rfc3339(&format!("{typed}Z")))
        .or_else(|| time::parse_rfc3339(&format!("{typed}T00:00:00Z")))
        .or_else(|| seconds(typed).map(|seconds| (seconds, 0)))
        .or_else(|| back().map(|back| (now - back.0.as_secs() as i64, 0)))
        .ok_or_else(|| Error::new(format!("invalid value for \"since\": {typed:?} is no time")))
}
