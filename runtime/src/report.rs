//! How an error leaves the program: one line for people on standard error, one record for engines in a log file.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use crate::error::{Context, Error, Result, best_effort};
use crate::sys::clock::Timestamp;
use crate::sys::process;
use crate::text;

/// The program's name, in messages.
pub const NAME: &str = "corten";

/// The exit code after a panic: that of a failed `exec`, which programs rarely use.
const PANICKED: i32 = 255;

/// Has a panic reported in one line. The process then exits instead of aborting: SIGABRT doesn't end the first process
/// of a pid namespace.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.to_string().replace('\n', " ");
        print_to_stderr(&format!("{NAME}: this is a mistake in {NAME}, please report it: {text}\n"));
        process::exit_now(PANICKED)
    }));
}

/// Where errors are written to besides standard error, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTarget {
    /// The file that is appended to.
    pub file: Option<PathBuf>,
    /// The shape of a record.
    pub format: LogFormat,
    /// What is worth a record.
    pub level: LogLevel,
}

/// The shape of a log record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `time="…" level=error msg="…"`
    #[default]
    Text,
    /// `{"level":"error","msg":"…","time":"…"}`
    Json,
}

/// How much a log tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// All there is.
    Debug,
    /// What didn't go well, and failures.
    #[default]
    Warning,
    /// Failures alone.
    Error,
}

/// Where messages go.
#[derive(Debug, Default)]
pub struct Report {
    log: Option<File>,
    format: LogFormat,
    level: LogLevel,
}

impl Report {
    /// Opens the log file of `target`, if it names one.
    pub fn open(target: &LogTarget) -> Result<Report> {
        let open = |path| OpenOptions::new().append(true).create(true).mode(0o644).open(path);
        let log = match &target.file {
            Some(path) => Some(
                open(path)
                    .map_err(|err| Error::io(format!("open({:?}, O_APPEND|O_CREAT)", path), &err))
                    .doing("open the log file (--log)")?,
            ),
            None => None,
        };
        Ok(Report { log, format: target.format, level: target.level })
    }

    /// As [`Report::open`], but goes on without a log file that can't be opened: a container whose log directory is
    /// gone still has to be killed and deleted.
    pub fn open_if_possible(target: &LogTarget) -> Report {
        let stderr_only = LogTarget { file: None, ..target.clone() };
        Report::open(target).or_else(|_| Report::open(&stderr_only)).unwrap_or_default()
    }

    /// Reports the failure of the command. It is said once, at the top.
    ///
    /// The log file gets one record and nothing else, because podman reads the whole file as one JSON value. The text
    /// goes to standard error too, because conmon hands standard error on.
    pub fn error(&self, err: &Error) {
        let text = err.to_string();
        self.log("error", &text);
        let who = if err.is_verbatim() { String::new() } else { format!("{NAME}: ") };
        let mut said = format!("{who}{}\n", text::on_one_line(&text));
        if let Some(hint) = err.hint() {
            said.push_str(&format!("hint: {}\n", text::on_one_line(hint)));
        }
        print_to_stderr(&said);
    }

    /// Reports what didn't go well but fails nothing.
    ///
    /// An engine that reads JSON expects nothing in the log but the error, so a warning goes to standard error unless
    /// the level is debug.
    pub fn warning(&self, text: &str) {
        if self.level > LogLevel::Warning {
            return;
        }
        if self.format == LogFormat::Json && self.level != LogLevel::Debug {
            print_to_stderr(&format!("{NAME}: warning: {}\n", text::on_one_line(text)));
        } else {
            self.log_or_print("warning", text);
        }
    }

    /// Reports each of `texts` as a [warning](Self::warning).
    pub fn warnings(&self, texts: &[String]) {
        texts.iter().for_each(|text| self.warning(text));
    }

    /// Reports `text` at the level debug. At other levels the text isn't even put together.
    pub fn debug(&self, text: impl FnOnce() -> String) {
        if self.level == LogLevel::Debug {
            self.log_or_print("debug", &text());
        }
    }

    fn log_or_print(&self, level: &str, text: &str) {
        if self.log.is_some() {
            self.log(level, text);
        } else {
            print_to_stderr(&record(self.format, level, text, Timestamp::now()));
        }
    }

    fn log(&self, level: &str, text: &str) {
        if let Some(mut log) = self.log.as_ref() {
            let record = record(self.format, level, text, Timestamp::now());
            // In one call, so that records of commands at work at the same time don't mix.
            let written = log.write_all(record.as_bytes()).map_err(|err| Error::io("write(--log)", &err));
            best_effort(written, "the same text goes to standard error");
        }
    }
}

fn print_to_stderr(text: &str) {
    let written =
        std::io::stderr().write_all(text.as_bytes()).map_err(|err| Error::io("write(stderr)", &err));
    best_effort(written, "there is nowhere else to say it");
}

/// One record in the form of logrus, the logging library of runc: engines parse this form.
fn record(format: LogFormat, level: &str, text: &str, time: Timestamp) -> String {
    let time = time.to_whole_seconds();
    match format {
        LogFormat::Text => format!("time=\"{time}\" level={level} msg={}\n", quoted(text)),
        LogFormat::Json => {
            // Engines read the text out of JSON and show it.
            let text = serde_json::Value::from(&*text::harmless(text));
            format!("{{\"level\":\"{level}\",\"msg\":{text},\"time\":\"{time}\"}}\n")
        }
    }
}

/// The text in double quotes, on one line.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Errno, Kind};

    fn log_of(format: LogFormat, level: LogLevel, say: impl FnOnce(&Report)) -> String {
        let name = format!("corten-report-{}-{format:?}-{level:?}", std::process::id());
        let file = std::env::temp_dir().join(name);
        let target = LogTarget { file: Some(file.clone()), format, level };
        say(&Report::open(&target).expect("a log file"));
        let text = std::fs::read_to_string(&file).expect("the log");
        std::fs::remove_file(file).expect("remove");
        text
    }

    #[test]
    fn json_log_has_one_record_and_no_warning() {
        let log = log_of(LogFormat::Json, LogLevel::Warning, |report| {
            report.warning("careful");
            report.debug(|| panic!("not asked for"));
            report.error(&Error::kernel("mount(\"proc\")", Errno::EPERM).context("create c1"));
        });
        let record: serde_json::Value = serde_json::from_str(&log).expect("one JSON value");
        assert_eq!(record["level"], "error");
        assert_eq!(record["msg"], "create c1: mount(\"proc\"): operation not permitted (EPERM)");
        assert!(log.starts_with("{\"level\":\"error\",\"msg\":\"create c1"), "{log}");
        assert_eq!(record["time"].as_str().map(str::len), Some("2026-08-22T10:11:12Z".len()));
    }

    #[test]
    fn debug_log_tells_everything() {
        let log = log_of(LogFormat::Json, LogLevel::Debug, |report| {
            report.warning("careful");
            report.debug(|| "a step".into());
        });
        let levels: Vec<bool> =
            log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).collect();
        assert_eq!(levels, [true, true]);
        assert!(log.contains("\"level\":\"debug\""));
    }

    #[test]
    fn text_log_is_on_one_line_per_record() {
        let log = log_of(LogFormat::Text, LogLevel::Warning, |report| {
            report.error(&Error::new(Kind::Internal, "a \"b\"\nc\\d\u{7}"));
        });
        assert!(log.ends_with("Z\" level=error msg=\"a \\\"b\\\"\\nc\\\\d\\u{7}\"\n"), "{log}");
        assert!(log.starts_with("time=\"20"));
    }

    #[test]
    fn log_that_cannot_be_written_is_an_error_or_left_out() {
        let file = Some(PathBuf::from("/nonexistent/log"));
        let target = LogTarget { file, ..LogTarget::default() };
        let err = Report::open(&target).expect_err("no such directory").to_string();
        assert!(err.starts_with("open the log file (--log): open(\"/nonexistent/log\""), "{err}");
        assert!(Report::open_if_possible(&target).log.is_none());
    }
}
