//! `logs`

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::Duration;

use super::{Ended, Session, print};
use crate::apply::stdio::LOG;
use crate::apply::task;
use crate::cli::docker::Logs;
use crate::error::{Context, Result};
use crate::observe;

/// How often a log that is followed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub async fn logs(session: &Session, typed: &str, logs: &Logs) -> Ended {
    let containers = session.containers().await?;
    let one = observe::find(&containers, typed)?;
    let path = session.disk.container(one.id()).join(LOG);
    let mut log = match File::open(&path) {
        Ok(log) => log,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        Err(err) => return Err(err).at(path.display()),
    };
    let mut text = String::new();
    read(&mut log, &mut text).at(path.display())?;
    print(last_lines(&text, logs.tail));
    if logs.follow && one.state().is_up() {
        let ended = task::wait(&session.engine, one.id());
        tokio::pin!(ended);
        loop {
            let is_over = tokio::time::timeout(LOOK_AGAIN, &mut ended).await.is_ok();
            show_rest(&mut log)?;
            if is_over {
                break;
            }
        }
    }
    Ok(0)
}

fn read(log: &mut File, text: &mut String) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    text.push_str(&String::from_utf8_lossy(&bytes));
    Ok(())
}

fn show_rest(log: &mut File) -> Result<()> {
    log.seek(SeekFrom::Current(0))?;
    let mut bytes = Vec::new();
    log.read_to_end(&mut bytes)?;
    drop(std::io::stdout().write_all(&bytes).and_then(|()| std::io::stdout().flush()));
    Ok(())
}

/// The last lines of a text; none: all of it.
fn last_lines(text: &str, count: Option<usize>) -> &str {
    let Some(count) = count else { return text };
    let body = text.strip_suffix('\n').unwrap_or(text);
    let starts = body.rmatch_indices('\n').map(|(at, _)| at + 1);
    let start = if count == 0 { text.len() } else { starts.take(count).nth(count - 1).unwrap_or(0) };
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_are_whole_lines() {
        let text = "a\nb\nc\n";
        assert_eq!(last_lines(text, None), text);
        assert_eq!(last_lines(text, Some(0)), "");
        assert_eq!(last_lines(text, Some(1)), "c\n");
        assert_eq!(last_lines(text, Some(2)), "b\nc\n");
        assert_eq!(last_lines(text, Some(9)), text);
        assert_eq!(last_lines("x", Some(1)), "x");
    }
}
