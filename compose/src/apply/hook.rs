//! A service's hooks that run in its container: `post_start`, `pre_stop`.

use std::time::Duration;

use tokio::time::timeout;

use super::attach::Target;
use super::exec::{self, Addition};
use super::hooks_at_work::{AtWork, HooksAtWork};
use super::stdio::Streams;
use super::task::SIGKILL;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::engine::tasks::{Kill, Wait};
use crate::error::{Error, Result};
use crate::id;
use crate::keep::FurtherOutput;
use crate::model::types::Hook;
use crate::observe::Observed;

/// The longest line that is shown in one.
const CHUNK_BYTES: usize = 16 << 10;

/// How long a hook that was killed may take to its end.
const KILLED: Duration = Duration::from_secs(2);

/// Runs a hook of the service in a container that runs, to the hook's end. `show` gets each line that the hook puts
/// out.
///
/// Errors: the container doesn't run; the hook's exit code, with the last line that it has put out.
pub async fn run(
    (engine, disk, hooks): (&Engine, &Disk, &HooksAtWork),
    one: &Observed,
    (service, hook): (&str, &Hook),
    show: impl FnMut(&str),
) -> Result<()> {
    exec::check_runs(one)?;
    let at_work = hooks.begin()?;
    let process = exec::process(one, &addition(hook))?;
    let target = Target { container: one.id().to_owned(), exec: id::random()? };
    let output = FurtherOutput::open(&disk.running(one.id()), &target.exec)?;
    let path = output.path().to_string_lossy().into_owned();
    // Both streams in one, so that lines stay in their order.
    let streams = Streams { stdout: path.clone(), stderr: path, ..Streams::default() };
    exec::add(engine, &target, process, &streams).await?;
    let ended = async {
        let code = to_the_end(engine, &target, &at_work).await;
        // The shim has handed on all output once the process is deleted.
        exec::delete(engine, &target).await;
        code
    };
    let mut lines = Lines::to(show);
    let ended = output.read_while(ended, |chunk| lines.take(chunk)).await;
    let last = lines.finish();
    match ended {
        Ok(0) => Ok(()),
        Ok(code) => Err(failed(service, code, &last)),
        Err(err) => match exec::code_of(&err) {
            exec::REFUSED => Err(err),
            code => Err(failed(service, code.into(), &err.to_string())),
        },
    }
}

fn failed(service: &str, code: u32, why: &str) -> Error {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    Error::new(format!("{service} hook exited with status {code}{why}"))
}

fn addition(hook: &Hook) -> Addition {
    let set =
        |(name, value): (&String, &Option<String>)| value.as_ref().map(|value| format!("{name}={value}"));
    Addition {
        command: hook.command.clone().unwrap_or_default(),
        tty: false,
        privileged: hook.privileged,
        user: hook.user.clone(),
        directory: hook.working_dir.clone(),
        environment: hook.environment.iter().filter_map(set).collect(),
    }
}

async fn to_the_end(engine: &Engine, target: &Target, at_work: &AtWork<'_>) -> Result<u32> {
    exec::start(engine, target).await?;
    let Target { container: container_id, exec: exec_id } = target.clone();
    let wait = Wait { container_id: container_id.clone(), exec_id: exec_id.clone() };
    match at_work.unless_ended(engine.call(wait.clone())).await {
        Ok(ended) => Ok(ended?.exit_status),
        Err(interrupted) => {
            let kill = Kill { container_id, exec_id, signal: SIGKILL, all: false };
            // Its container may have ended, and the hook with it.
            drop(engine.call(kill).await);
            drop(timeout(KILLED, engine.call(wait)).await);
            Err(interrupted)
        }
    }
}

/// Chunks of bytes on their way to lines of text.
pub struct Lines<F> {
    show: F,
    unfinished: Vec<u8>,
    last: String,
}

impl<F: FnMut(&str)> Lines<F> {
    /// Each line goes to `show`, without its end.
    pub fn to(show: F) -> Lines<F> {
        Lines { show, unfinished: Vec::new(), last: String::new() }
    }

    /// Takes a chunk. A line that is longer than a chunk is shown in pieces.
    pub fn take(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend(piece);
            if piece.ends_with(b"\n") || self.unfinished.len() >= CHUNK_BYTES {
                self.end_line();
            }
        }
    }

    /// Shows what has no end yet, and gives the last line that says something.
    pub fn finish(mut self) -> String {
        if !self.unfinished.is_empty() {
            self.end_line();
        }
        self.last
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.unfinished);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end_matches(['\n', '\r']);
        (self.show)(line);
        if !line.trim().is_empty() {
            line.clone_into(&mut self.last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn chunks_become_lines_wherever_they_are_cut() {
        let mut shown = Vec::new();
        let mut lines = Lines::to(|line: &str| shown.push(line.to_owned()));
        for chunk in [&b"on"[..], b"e\r\ntwo\n\nthr", b"ee"] {
            lines.take(chunk);
        }
        assert_eq!(lines.finish(), "three");
        assert_eq!(shown, ["one", "two", "", "three"]);
    }
}
