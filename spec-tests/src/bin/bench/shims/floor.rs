//! The least that a shim can be: it answers each call at once, and no container is made. containerd and ctr do all that
//! they do for any shim, so what a command takes with this one is their own time.
//!
//! The bench is this shim where it is executed by the name of a shim.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::Result;

/// Where containerd finds it as `io.containerd.floor.v2`.
pub const NAME: &str = "containerd-shim-floor-v2";

/// The sockets' directory on the machine.
const SOCKETS: &str = "/run/floor";
const HEADER_BYTES: usize = 10;
const RESPONSE: u8 = 2;

/// Whether this program was executed as a shim.
pub fn is_asked_for() -> bool {
    let name = std::env::args_os().next();
    name.is_some_and(|name| Path::new(&name).file_name().is_some_and(|name| name == NAME))
}

/// Does what containerd asks a shim for on its command line.
pub fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    let done = match words.last().map(String::as_str) {
        Some("start") => start(&words),
        // An empty answer: there was never a container.
        Some("delete") => Ok(()),
        _ => serve(),
    };
    done.map_or_else(|_| ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// Executes this file anew, with its socket as standard input, and tells where that is.
fn start(words: &[String]) -> Result<()> {
    let id = words.iter().skip_while(|word| *word != "-id").nth(1).ok_or("no id")?;
    fs::create_dir_all(SOCKETS)?;
    let path = format!("{SOCKETS}/{id}");
    let listener = UnixListener::bind(&path)?;
    let mut server = Command::new("/proc/self/exe");
    server.arg0(NAME).args(["-id", id]).stdin(OwnedFd::from(listener)).process_group(0);
    server.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let address = format!("unix://{path}");
    fs::write("address", &address)?;
    print!("{address}");
    Ok(())
}

/// Answers the calls on each connection, until Shutdown.
fn serve() -> Result<()> {
    let listener = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let started = Arc::new(Started::default());
    loop {
        let stream = Arc::new(listener.accept()?.0);
        let started = Arc::clone(&started);
        std::thread::spawn(move || while answer_one(&stream, &started).is_ok() {});
    }
}

/// The processes that were started. Each has ended in the same moment.
#[derive(Default)]
struct Started {
    processes: Mutex<HashSet<Vec<u8>>>,
    more: Condvar,
}

/// Reads a request, and answers it; an answer that has to wait is a thread's.
fn answer_one(stream: &Arc<UnixStream>, started: &Arc<Started>) -> Result<()> {
    let mut header = [0; HEADER_BYTES];
    (&**stream).read_exact(&mut header)?;
    let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let mut request = vec![0; length as usize];
    (&**stream).read_exact(&mut request)?;
    let method = String::from_utf8(field(&request, 2).unwrap_or_default())?;
    let payload = field(&request, 3).unwrap_or_default();
    if method == "Wait" {
        let (stream, started) = (Arc::clone(stream), Arc::clone(started));
        std::thread::spawn(move || {
            started.wait_for(&process(&payload));
            // The connection may have ended.
            let _ = send(&stream, &header, &method, &answer(&method));
        });
        return Ok(());
    }
    if method == "Start" {
        started.add(process(&payload));
    }
    send(stream, &header, &method, &answer(&method))
}

impl Started {
    fn add(&self, process: Vec<u8>) {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner).insert(process);
        self.more.notify_all();
    }

    fn wait_for(&self, process: &[u8]) {
        let processes = self.processes.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.more.wait_while(processes, |processes| !processes.contains(process)));
    }
}

/// The container's id and the exec's, which are fields 1 and 2 of every request for a process.
fn process(payload: &[u8]) -> Vec<u8> {
    let [id, exec] = [1, 2].map(|number| field(payload, number).unwrap_or_default());
    [id, b"/".to_vec(), exec].concat()
}

/// What each method answers, as a message of protobuf.
fn answer(method: &str) -> Vec<u8> {
    let pid = varint(std::process::id().into());
    let number = |field: u8, value: &[u8]| [&[field << 3], value].concat();
    // Seconds, at which something has ended.
    let moment = |field: u8| {
        let seconds = number(1, &varint(1_700_000_000));
        [vec![field << 3 | 2, seconds.len() as u8], seconds].concat()
    };
    const STOPPED: u64 = 3;
    match method {
        "Create" | "Start" => number(1, &pid),
        "State" => [number(3, &pid), number(4, &varint(STOPPED)), moment(10)].concat(),
        "Wait" => moment(2),
        "Delete" => [number(1, &pid), moment(3)].concat(),
        "Connect" => [number(1, &pid), number(2, &pid)].concat(),
        "Pids" => {
            let process = number(1, &pid);
            [vec![1 << 3 | 2, process.len() as u8], process].concat()
        }
        _ => Vec::new(),
    }
}

fn send(mut stream: &UnixStream, header: &[u8], method: &str, payload: &[u8]) -> Result<()> {
    let response = [&[2 << 3 | 2], &*varint(payload.len() as u64), payload].concat();
    let length = (response.len() as u32).to_be_bytes();
    stream.write_all(&[&length, &header[4..8], &[RESPONSE, 0], &response].concat())?;
    if method == "Shutdown" {
        std::process::exit(0);
    }
    Ok(())
}

/// The bytes of a field of a message, if the field is there and has a length.
fn field(mut message: &[u8], wanted: u64) -> Option<Vec<u8>> {
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        let value = take_varint(&mut message)?;
        if key & 7 == 2 {
            let (bytes, rest) = message.split_at_checked(value as usize)?;
            message = rest;
            if key >> 3 == wanted {
                return Some(bytes.to_vec());
            }
        }
    }
    None
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
