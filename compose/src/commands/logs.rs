//! `logs`

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Ended, Session};
use crate::apply::task;
use crate::changes::Changes;
use crate::cli::docker::Logs;
use crate::error::{Context, Error, Result};
use crate::observe::Observed;
use crate::{keep, observe, time};

pub async fn logs(session: &Session, typed: &str, logs: &Logs) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    // Nobody keeps the output of what others have made.
    one.record()?;
    let dir = session.disk.container(one.id());
    let mut log = Log::of(keep::log_path(&dir));
    let show = Show::of(logs, one)?;
    let changes = Changes::of([dir.as_path()])?;
    let mut is_read = show.last(&log.begin(logs)?, logs.tail);
    if !logs.follow || !one.state.is_up() {
        return Ok(0);
    }
    let running = session.disk.running(one.id());
    let ended = async {
        task::wait(&session.engine, one.id()).await?;
        // Until then the keeper may still write what was put out last.
        keep::settled(&running).await
    };
    tokio::pin!(ended);
    while is_read {
        let is_over = tokio::select! {
            ended = &mut ended => ended.map(|()| true)?,
            changed = changes.next() => changed.map(|()| false)?,
        };
        is_read = show.last(&log.rest()?, None) && !is_over;
    }
    Ok(0)
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

    /// The last lines, so many at least if there are. The files are read from their ends.
    pub(super) fn last(&mut self, count: usize) -> Result<Vec<Entry>> {
        let (newest, read) = end_of(&self.path, count)?;
        self.shown = read;
        let mut text = newest;
        let whole = text.rfind('\n').map_or(0, |at| at + 1);
        self.unfinished = text.split_off(whole);
        let older = (1..).map(|number| PathBuf::from(format!("{}.{number}", self.path.display())));
        for path in older.take_while(|path| path.exists()) {
            let missing = count.saturating_sub(text.lines().count());
            if missing == 0 {
                break;
            }
            text.insert_str(0, &end_of(&path, missing)?.0);
        }
        Ok(entries(&text))
    }

    /// What there is, as far as it is shown: all, if it is chosen by time.
    pub(super) fn begin(&mut self, logs: &Logs) -> Result<Vec<Entry>> {
        match logs.tail {
            Some(count) if logs.since.is_none() && logs.until.is_none() => self.last(count),
            _ => self.all(),
        }
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

/// The last lines of a file, so many at most, and the file's length. One that isn't there is empty.
fn end_of(path: &Path, count: usize) -> Result<(String, u64)> {
    use std::os::unix::fs::FileExt;
    const CHUNK: u64 = 64 << 10;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok((String::new(), 0)),
        Err(err) => return Err(err).at(path.display()),
    };
    let length = file.metadata().at(path.display())?.len();
    let (mut from, mut chunks, mut newlines) = (length, Vec::new(), 0);
    // The newline of the line before the first one is looked for, too.
    while from > 0 && newlines <= count {
        let mut chunk = vec![0; usize::try_from(CHUNK.min(from)).unwrap_or_default()];
        from -= chunk.len() as u64;
        file.read_exact_at(&mut chunk, from).at(path.display())?;
        newlines += chunk.iter().filter(|byte| **byte == b'\n').count();
        chunks.push(chunk);
    }
    chunks.reverse();
    let bytes = chunks.concat();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // A line that isn't whole yet is none of them.
    let torn = usize::from(!text.is_empty() && !text.ends_with('\n'));
    Ok((lines[lines.len().saturating_sub(count.saturating_add(torn))..].concat(), length))
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
    /// What stands before each line, after its time.
    details: String,
}

impl Show {
    pub(super) fn of(logs: &Logs, one: &Observed) -> Result<Show> {
        let (since, until) = (moment("since", &logs.since)?, moment("until", &logs.until)?);
        let details = if logs.details { details_of(one) + " " } else { String::new() };
        Ok(Show { since, until, timestamps: logs.timestamps, details })
    }

    fn last(&self, entries: &[Entry], count: Option<usize>) -> bool {
        self.last_behind("", entries, count)
    }

    /// Shows the last entries, each behind that prefix. Returns whether somebody still reads them.
    pub(super) fn last_behind(&self, prefix: &str, entries: &[Entry], count: Option<usize>) -> bool {
        let shown: Vec<&Entry> = entries.iter().filter(|entry| self.has(entry)).collect();
        let from = count.map_or(0, |count| shown.len().saturating_sub(count));
        let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
        for entry in &shown[from..] {
            let time = if self.timestamps { format!("{} ", entry.time) } else { String::new() };
            let text = format!("{prefix}{time}{}{}", self.details, entry.log);
            let written = if entry.stream == "stderr" {
                stderr.write_all(text.as_bytes())
            } else {
                stdout.write_all(text.as_bytes())
            };
            if written.is_err() {
                return false;
            }
        }
        stdout.flush().is_ok()
    }

    fn has(&self, entry: &Entry) -> bool {
        let Some(at) = time::parse_rfc3339(&entry.time) else { return true };
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at <= until)
    }
}

/// The labels and variables of a container that its log options name, as Docker writes them: `A=1,B=2`.
fn details_of(one: &Observed) -> String {
    let Some(record) = &one.record else { return String::new() };
    let options = record.service.logging.as_ref().map(|logging| &logging.options);
    let named = |option: &str| -> Vec<&str> {
        let names = options.and_then(|options| options.get(option)).into_iter();
        names.flat_map(|names| names.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
    };
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for name in named("labels") {
        found.extend(one.container.labels.get(name).map(|value| (name, value.as_str())));
    }
    for name in named("env") {
        let value = record.service.environment.get(name).and_then(Option::as_deref);
        found.extend(value.map(|value| (name, value)));
    }
    let pairs = found.into_iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join(",")
}

/// A text in which nothing means anything to who reads pairs.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The moment that a flag names, if it is typed.
pub(super) fn moment(flag: &str, typed: &Option<String>) -> Result<Option<(i64, u32)>> {
    let Some(typed) = typed else { return Ok(None) };
    let found = moment_of(typed);
    found.map(Some).ok_or_else(|| Error::new(format!("invalid value for \"{flag}\": {typed:?} is no time")))
}

/// RFC 3339, a date, seconds since 1970, or a duration back from now: `1h30m`.
pub(super) fn moment_of(typed: &str) -> Option<(i64, u32)> {
    let now = time::now().as_secs() as i64;
    let back = || typed.parse::<crate::model::values::Duration>().ok();
    let seconds = |typed: &str| typed.split('.').next().and_then(|whole| whole.parse().ok());
    time::parse_rfc3339(typed)
        .or_else(|| time::parse_rfc3339(&format!("{typed}Z")))
        .or_else(|| time::parse_rfc3339(&format!("{typed}T00:00:00Z")))
        .or_else(|| seconds(typed).map(|seconds| (seconds, 0)))
        .or_else(|| back().map(|back| (now - back.0.as_secs() as i64, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-26T10:00:00Z\"}}\n")
    }

    #[test]
    fn the_last_lines_are_read_from_the_end_of_all_files() {
        let dir = std::env::temp_dir().join(format!("corten-compose-logs-{}", std::process::id()));
        crate::disk::make_dir(&dir).unwrap();
        let path = dir.join("log.json");
        let many: String = (0..3000).map(|number| line(&number.to_string())).collect();
        std::fs::write(dir.join("log.json.2"), line("oldest")).unwrap();
        std::fs::write(dir.join("log.json.1"), &many).unwrap();
        std::fs::write(&path, line("a") + &line("b") + "{\"log\":\"torn").unwrap();
        let last = |count| {
            let entries = Log::of(path.clone()).last(count).unwrap();
            entries.iter().map(|entry| entry.log.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(last(4)[..], ["2998", "2999", "a", "b"]);
        let all = last(usize::MAX);
        assert_eq!((all.len(), all[0].as_str()), (3003, "oldest"));
        let mut log = Log::of(path.clone());
        assert_eq!(log.last(2).unwrap()[0].log, "a\n", "a torn line is none yet");
        std::fs::write(&path, line("a") + &line("b") + &line("torn")).unwrap();
        assert_eq!(log.rest().unwrap()[0].log, "torn\n");
        crate::disk::remove_dir(&dir).unwrap();
    }
}
