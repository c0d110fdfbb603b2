//! Programs run to their end under a deadline, and what they said; and programs on a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Outcome, Stop, ensure};
use crate::patience::seconds;

/// How long any one program may take, in seconds.
const DEADLINE: u32 = 60;

/// How long a terminal may take to show what is waited for, in seconds.
const TERMINAL_DEADLINE: u32 = 20;

/// What a program said, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The command line, for reports.
    pub command: String,
    /// Its standard output, or all that appeared on its terminal.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code, or 128 and the signal that ended it.
    pub code: i32,
}

impl Said {
    /// Fails unless the program exited with `code`.
    pub fn exits(self, code: i32) -> Outcome<Self> {
        let holds = self.code == code;
        self.expect(holds, || format!("expected exit code {code}"))
    }

    /// Fails unless the program exited with one of `codes`, which differ between versions of the program.
    pub fn exits_with_any(self, codes: &[i32]) -> Outcome<Self> {
        let holds = codes.contains(&self.code);
        self.expect(holds, || format!("expected one of the exit codes {codes:?}"))
    }

    /// Fails unless the program succeeded.
    pub fn ok(self) -> Outcome<Self> {
        self.exits(0)
    }

    /// Fails unless standard output is exactly `text`.
    pub fn says(self, text: &str) -> Outcome<Self> {
        let holds = self.stdout == text;
        self.expect(holds, || format!("expected exactly {text:?} on stdout"))
    }

    /// Fails unless `part` is in standard output.
    pub fn shows(self, part: &str) -> Outcome<Self> {
        let holds = self.stdout.contains(part);
        self.expect(holds, || format!("expected {part:?} on stdout"))
    }

    /// Fails if `part` is in standard output.
    pub fn hides(self, part: &str) -> Outcome<Self> {
        let holds = !self.stdout.contains(part);
        self.expect(holds, || format!("expected no {part:?} on stdout"))
    }

    /// Fails unless `part` is in standard error.
    pub fn complains(self, part: &str) -> Outcome<Self> {
        let holds = self.stderr.contains(part);
        self.expect(holds, || format!("expected {part:?} on stderr"))
    }

    /// Fails unless `part` is in standard output or standard error.
    pub fn tells(self, part: &str) -> Outcome<Self> {
        let holds = self.stdout.contains(part) || self.stderr.contains(part);
        self.expect(holds, || format!("expected {part:?} on stdout or stderr"))
    }

    /// Standard output without the white space around it.
    pub fn word(&self) -> &str {
        self.stdout.trim()
    }

    fn expect(self, holds: bool, expectation: impl FnOnce() -> String) -> Outcome<Self> {
        ensure(holds, || format!("{}, but:\n{}", expectation(), self.report()))?;
        Ok(self)
    }

    /// The whole, for a person to read.
    pub fn report(&self) -> String {
        let mut text = format!("$ {}\n", self.command);
        for (mark, stream) in [("  ", &self.stdout), ("! ", &self.stderr)] {
            stream.lines().for_each(|line| text += &format!("{mark}{line}\n"));
        }
        text + &format!("exit code {}\n", self.code)
    }
}

/// Runs `command` to its end, with `input` on its standard input.
pub fn run(command: &mut Command, input: Option<&[u8]>) -> Outcome<Said> {
    let text = describe(command);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|err| Stop::failed(format!("{text}: {err}")))?;
    let writer = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut stdin, input)| {
        // A program need not read its input to the end.
        thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let status = wait(&mut child, seconds(DEADLINE)).map_err(|why| Stop::failed(format!("{text}: {why}")))?;
    drop(writer.map(JoinHandle::join));
    let text_of =
        |stream: Option<JoinHandle<String>>| stream.and_then(|it| it.join().ok()).unwrap_or_default();
    Ok(Said { command: text, stdout: text_of(stdout), stderr: text_of(stderr), code: code_of(status) })
}

/// Calls `attempt` until it gives true or that many seconds are over; fails with `what` was waited for.
pub fn until(what: &str, patience: u32, mut attempt: impl FnMut() -> bool) -> Outcome {
    let limit = seconds(patience);
    let deadline = Instant::now() + limit;
    while !attempt() {
        ensure(Instant::now() < deadline, || format!("waited {limit:?} in vain for {what}"))?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A program whose standard streams are a terminal.
pub struct Terminal {
    command: String,
    child: Child,
    keyboard: File,
    screen: Arc<Screen>,
    /// How much of the screen earlier waits have consumed.
    read_to: usize,
}

#[derive(Default)]
struct Screen {
    text: Mutex<(String, bool)>,
    changed: Condvar,
}

impl Terminal {
    /// Starts `command` on a new terminal of that many rows and columns.
    pub fn open(command: &mut Command, rows: u16, columns: u16) -> Outcome<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(&size, None).map_err(Stop::failed)?;
        let text = describe(command);
        let end = || slave.try_clone().map(Stdio::from).map_err(Stop::failed);
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        let child = command.spawn().map_err(|err| Stop::failed(format!("{text}: {err}")))?;
        // The reader sees the end only once every copy of the slave is closed: ours, and those in `command`.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(slave);
        let keyboard = File::from(master);
        let output = keyboard.try_clone().map_err(Stop::failed)?;
        let screen = Arc::new(Screen::default());
        let shown = Arc::clone(&screen);
        thread::spawn(move || shown.follow(output));
        Ok(Terminal { command: text, child, keyboard, screen, read_to: 0 })
    }

    /// Types `keys`.
    pub fn types(&mut self, keys: &str) -> Outcome {
        self.keyboard.write_all(keys.as_bytes()).map_err(Stop::failed)
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) -> Outcome {
        kill(Pid::from_raw(self.child.id() as i32), signal).map_err(Stop::failed)
    }

    /// Waits until `text` appears after what earlier waits saw.
    pub fn awaits(&mut self, text: &str) -> Outcome {
        let deadline = Instant::now() + seconds(TERMINAL_DEADLINE);
        let mut shown = self.screen.lock();
        loop {
            if let Some(at) = shown.0[self.read_to..].find(text) {
                self.read_to += at + text.len();
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure(!shown.1 && !left.is_zero(), || {
                format!("expected {text:?} on the terminal of {}, but it shows:\n{}", self.command, shown.0)
            })?;
            let woken = self.screen.changed.wait_timeout(shown, left);
            shown = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the program to end, and gives all that the terminal showed as its standard output.
    pub fn ends(mut self) -> Outcome<Said> {
        let status = wait(&mut self.child, seconds(DEADLINE));
        let status = status
            .map_err(|why| Stop::failed(format!("{}: {why}: {}", self.command, self.screen.lock().0)))?;
        let screen = self.screen.lock();
        let done =
            self.screen.changed.wait_timeout_while(screen, seconds(TERMINAL_DEADLINE), |shown| !shown.1);
        let text = done.unwrap_or_else(PoisonError::into_inner).0.0.replace('\r', "");
        Ok(Said { command: self.command.clone(), stdout: text, stderr: String::new(), code: code_of(status) })
    }
}

impl Drop for Terminal {
    /// A scenario that ends early leaves no client behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Screen {
    fn lock(&self) -> MutexGuard<'_, (String, bool)> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds all of `output` as it comes. A terminal whose other side is closed ends with EIO.
    fn follow(&self, mut output: File) {
        let mut buffer = [0; 4096];
        loop {
            let count = output.read(&mut buffer).unwrap_or(0);
            let mut shown = self.lock();
            shown.0.push_str(&String::from_utf8_lossy(&buffer[..count]));
            shown.1 = count == 0;
            self.changed.notify_all();
            if count == 0 {
                return;
            }
        }
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        drop(stream.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus, String> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().map_err(|err| err.to_string())? {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            drop(child.kill());
            drop(child.wait());
            return Err(format!("still running after {} s", limit.as_secs()));
        }
        thread::sleep(Duration::from_millis(3));
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The command line as one would type it, near enough.
fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain =
            !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$;&|<>*(){}".contains(c));
        if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_with_what_it_said() {
        let said =
            run(Command::new("sh").args(["-c", "cat; echo oops >&2; exit 3"]), Some(b"in")).expect("sh");
        assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.code), ("in", "oops\n", 3));
        assert!(
            said.clone().exits(3).is_ok() && said.clone().ok().is_err() && said.complains("oops").is_ok()
        );
    }

    #[test]
    fn a_signal_shows_as_128_and_its_number() {
        let said = run(Command::new("sh").args(["-c", "kill -9 $$"]), None).expect("sh");
        assert_eq!(said.code, 137);
    }

    #[test]
    fn a_terminal_has_a_size_and_echoes() {
        let mut terminal =
            Terminal::open(Command::new("sh").args(["-c", "stty size; read x; echo got $x"]), 24, 91)
                .expect("terminal");
        terminal.awaits("24 91").expect("size");
        terminal.types("word\n").expect("types");
        assert_eq!(terminal.ends().expect("end").stdout, "24 91\nword\ngot word\n");
    }
}
