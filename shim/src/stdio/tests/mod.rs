//! Streams as a client, a process and a logger see them. Clients and processes are threads or programs here, because
//! the runtime's one thread is the shim's.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as ChildStdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::stat::Mode;

use super::*;

mod loggers;

/// More than any step takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(LONG, test).await.expect("the test takes for ever") });
}

/// What may wait, beside the shim's thread.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// A directory of the test's own.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        Place(nix::unistd::mkdtemp(&std::env::temp_dir().join("shim-stdio-XXXXXX")).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a fifo, and returns how containerd spells it.
    fn fifo(&self, name: &str) -> String {
        nix::unistd::mkfifo(&self.path(name), Mode::from_bits_truncate(0o600)).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a logger, and returns its URI. The shell reads it: a program that was just written can't be executed
    /// while a child that another test has forked still has it open.
    fn logger(&self, scheme: &str, script: &str) -> String {
        let path = self.path("logger");
        fs::write(&path, format!("cd '{}'\n{script}", self.0.display())).unwrap();
        format!("{scheme}:///bin/sh?{}", path.display())
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Waits for what a logger writes. It has read everything, and may be slow to write it.
    async fn is_written(&self, name: &str, text: &str) {
        let deadline = Instant::now() + LONG;
        while self.text(name) != text && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(self.text(name), text);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn streams(stdin: &str, stdout: &str, stderr: &str) -> Streams {
    Streams { stdin: stdin.into(), stdout: stdout.into(), stderr: stderr.into(), terminal: false }
}

fn terminal(stdin: &str, stdout: &str) -> Streams {
    Streams { terminal: true, ..streams(stdin, stdout, "") }
}

fn owner() -> Owner {
    Owner { namespace: "ns".into(), id: "web1".into() }
}

async fn open(streams: &Streams) -> (Stdio, [File; 3]) {
    let (stdio, ForProcess::Streams(fds)) = Stdio::open(streams, None, &owner()).await.unwrap() else {
        panic!("not streams");
    };
    (stdio, fds.map(File::from))
}

async fn begun(streams: &Streams) -> (Stdio, [File; 3]) {
    let (mut stdio, files) = open(streams).await;
    stdio.begin().await.unwrap();
    (stdio, files)
}

async fn refusal(streams: Streams) -> Refusal {
    Stdio::open(&streams, None, &owner()).await.err().expect("opened")
}

/// Opens a fifo to read from, before there is anybody who writes.
fn client(path: &str) -> File {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = File::from(nix::fcntl::open(path, flags, Mode::empty()).unwrap());
    nix::fcntl::fcntl(&file, FcntlArg::F_SETFL(OFlag::O_RDONLY)).unwrap();
    file
}

/// Opens a fifo as a client does, and reads that many bytes.
fn client_reads(path: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    File::open(path).unwrap().read_exact(&mut bytes).unwrap();
    bytes
}

fn is_null(file: &File) -> bool {
    file.metadata().unwrap().rdev() == fs::metadata("/dev/null").unwrap().rdev()
}

#[test]
fn output_arrives_in_the_fifos_and_ends_with_the_process() {
    run(async {
        let place = Place::new();
        let (out, err) = (place.fifo("out"), place.fifo("err"));
        let clients = [client(&out), client(&err)];
        let (mut stdio, [_stdin, mut stdout, mut stderr]) = begun(&streams("", &out, &err)).await;
        stdout.write_all(b"to stdout").unwrap();
        stderr.write_all(b"to stderr").unwrap();
        drop((stdout, stderr));
        stdio.drained(LONG).await;
        let texts = aside(|| clients.map(|client| std::io::read_to_string(client).unwrap()));
        assert_eq!(texts.await, ["to stdout", "to stderr"]);
    });
}

#[test]
fn output_waits_for_a_client_that_comes_after_the_end_of_the_process() {
    run(async {
        let place = Place::new();
        let (out, err) = (place.fifo("out"), place.fifo("err"));
        let (mut stdio, [_stdin, mut stdout, stderr]) = begun(&streams("", &out, &err)).await;
        stdout.write_all(b"to stdout").unwrap();
        drop((stdout, stderr));
        stdio.drained(Duration::from_millis(50)).await;
        for (fifo, expected) in [(out, "to stdout"), (err, "")] {
            let client = tokio::task::spawn_blocking(|| fs::read_to_string(fifo).unwrap());
            stdio.outputs.join_next().await;
            assert_eq!(client.await.unwrap(), expected);
        }
    });
}

#[test]
fn a_client_that_waits_for_a_writer_sees_no_end_before_the_last() {
    run(async {
        let place = Place::new();
        for number in 0..50 {
            let out = place.fifo(&number.to_string());
            let path = out.clone();
            let client = tokio::task::spawn_blocking(|| fs::read_to_string(path).unwrap());
            // By now it is in open(), or the test shows nothing this time.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (mut stdio, [_stdin, mut stdout, _stderr]) = begun(&streams("", &out, "")).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            stdout.write_all(b"to stdout").unwrap();
            drop(stdout);
            stdio.drained(LONG).await;
            assert_eq!(client.await.unwrap(), "to stdout");
        }
    });
}

#[test]
fn streams_that_go_nowhere_are_null() {
    run(async {
        let place = Place::new();
        let (_stdio, files) = begun(&streams("", &place.fifo("out"), "")).await;
        assert_eq!(files.each_ref().map(is_null), [true, false, true]);
        let (_stdio, files) = begun(&streams("", "", "")).await;
        assert!(files.iter().all(is_null));
    });
}

#[test]
fn a_fifo_outlives_its_readers() {
    run(async {
        let place = Place::new();
        let out = place.fifo("out");
        let (_stdio, [_, mut stdout, _]) = begun(&streams("", &out, "")).await;
        for text in ["first", "second"] {
            let out = out.clone();
            stdout.write_all(text.as_bytes()).unwrap();
            assert_eq!(aside(move || client_reads(&out, text.len())).await, text.as_bytes());
        }
        // Nobody reads: no error.
        stdout.write_all(b"third").unwrap();
        let out = out.clone();
        assert_eq!(aside(move || client_reads(&out, 5)).await, b"third");
    });
}

#[test]
fn a_slow_reader_holds_the_process_up_and_loses_nothing() {
    // A file may be a fifo.
    for scheme in ["", "file://"] {
        run(a_slow_reader_of(scheme));
    }
}

async fn a_slow_reader_of(scheme: &str) {
    let place = Place::new();
    let out = place.fifo("out");
    let (mut stdio, [_, mut stdout, _]) = begun(&streams("", &format!("{scheme}{out}"), "")).await;
    let all: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let expected = all.clone();
    let process = tokio::task::spawn_blocking(move || stdout.write_all(&all).unwrap());
    // Nobody reads yet.
    let output = async { while stdio.outputs.join_next().await.is_some() {} };
    assert!(timeout(Duration::from_millis(50), output).await.is_err());
    assert!(!process.is_finished());
    let client = tokio::task::spawn_blocking(move || client_reads(&out, expected.len()) == expected);
    process.await.unwrap();
    stdio.drained(LONG).await;
    assert!(client.await.unwrap());
}

#[test]
fn whoever_keeps_the_stream_open_delays_no_longer_than_the_cap() {
    run(async {
        let place = Place::new();
        let out = place.fifo("out");
        let mut client = client(&out);
        let (mut stdio, [_, mut stdout, _]) = begun(&streams("", &out, "")).await;
        let grandchild = stdout.try_clone().unwrap();
        stdout.write_all(b"before the end").unwrap();
        drop(stdout);
        stdio.drained(Duration::from_millis(100)).await;
        let mut text = [0; 14];
        client.read_exact(&mut text).unwrap();
        assert_eq!(text, *b"before the end");
        drop(grandchild);
        stdio.drained(LONG).await;
    });
}

#[test]
fn stdin_ends_once_it_may_and_its_client_has_closed_it() {
    run(async {
        let place = Place::new();
        let stdin = place.fifo("in");
        let (mut stdio, [mut input, _, _]) = begun(&streams(&stdin, "", "")).await;
        let path = stdin.clone();
        aside(move || OpenOptions::new().write(true).open(path).unwrap().write_all(b"one").unwrap()).await;
        // The client is gone; another may come.
        let mut three = [0; 3];
        let mut input = aside(move || {
            input.read_exact(&mut three).unwrap();
            assert_eq!(&three, b"one");
            input
        })
        .await;
        let mut client = aside(move || OpenOptions::new().write(true).open(stdin).unwrap()).await;
        stdio.close_stdin();
        client.write_all(b"two").unwrap();
        drop(client);
        let rest = aside(move || {
            let mut rest = String::new();
            input.read_to_string(&mut rest).unwrap();
            rest
        });
        assert_eq!(rest.await, "two");
    });
}

#[test]
fn much_input_arrives_whole() {
    run(async {
        let place = Place::new();
        let stdin = place.fifo("in");
        let (mut stdio, [mut input, _, _]) = begun(&streams(&stdin, "", "")).await;
        let client = tokio::task::spawn_blocking(move || {
            let mut fifo = OpenOptions::new().write(true).open(stdin).unwrap();
            fifo.write_all(&vec![7; 3_000_000]).unwrap();
        });
        let process = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            input.read_to_end(&mut all).unwrap();
            all
        });
        client.await.unwrap();
        stdio.close_stdin();
        let all = process.await.unwrap();
        assert!(all.len() == 3_000_000 && all.iter().all(|byte| *byte == 7), "{}", all.len());
    });
}

#[test]
fn a_process_that_closes_its_stdin_ends_the_client_s_fifo() {
    run(async {
        let place = Place::new();
        let stdin = place.fifo("in");
        let (mut stdio, [input, _, _]) = begun(&streams(&stdin, "", "")).await;
        drop(input);
        let client = tokio::task::spawn_blocking(move || {
            let mut fifo = OpenOptions::new().write(true).open(stdin).unwrap();
            fifo.write_all(&[0; 200_000]).unwrap_err().kind()
        });
        stdio.input.join_next().await;
        assert_eq!(client.await.unwrap(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn both_outputs_append_to_one_file() {
    run(async {
        let place = Place::new();
        let log = place.path("new/dir/log");
        let uri = format!("file://{}", log.display());
        for (stderr, text) in [(uri.as_str(), "a"), ("", "b")] {
            let (mut stdio, [_, mut stdout, mut error]) = begun(&streams("", &uri, stderr)).await;
            stdout.write_all(text.as_bytes()).unwrap();
            error.write_all(text.as_bytes()).unwrap();
            drop((stdout, error));
            stdio.drained(LONG).await;
        }
        assert_eq!(place.text("new/dir/log"), "aabb");
    });
}

#[test]
fn what_cannot_be_opened_is_told_by_its_stream() {
    run(async {
        let place = Place::new();
        let missing = place.path("missing").to_str().unwrap().to_owned();
        let refused = refusal(streams("", &missing, "")).await;
        assert!(refused.text.starts_with("stdout: open(") && refused.text.contains("ENOENT"), "{refused:?}");
        let refused = refusal(streams(&missing, "", "")).await;
        assert!(refused.text.starts_with("stdin: open("), "{refused:?}");
        for (what, streams) in [
            ("is not a fifo", streams("", "/dev/null", "")),
            ("unknown scheme", streams("", "", "npipe:////./x")),
            ("only a fifo", streams("file:///dev/null", "", "")),
            ("for stdout only", streams("", "", "binary:///bin/true")),
        ] {
            let refused = refusal(streams).await;
            assert_eq!(refused.code, Code::InvalidArgument);
            assert!(refused.text.contains(what), "{refused:?}");
        }
    });
}

#[test]
fn pipes_belong_to_the_user_who_is_root_in_the_container() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root gives files away");
    }
    run(async {
        let place = Place::new();
        let null = fs::metadata("/dev/null").map(|of| (of.uid(), of.gid())).unwrap();
        let streams = streams(&place.fifo("in"), &place.fifo("out"), "");
        let (_stdio, files) = Stdio::open(&streams, Some((1234, 5678)), &owner()).await.unwrap();
        let ForProcess::Streams(fds) = files else { panic!("a terminal") };
        let owners = fds.map(|fd| File::from(fd).metadata().map(|of| (of.uid(), of.gid())).unwrap());
        assert_eq!(owners, [(1234, 5678), (1234, 5678), null]);
    });
}

/// Opens a terminal as the runtime does, runs a program in it, and sends the master.
fn in_terminal(socket: &Path, command: &mut Command) -> Child {
    let ends = nix::pty::openpty(None, None).unwrap();
    let child = on(command, &ends.slave).spawn().unwrap();
    // The command keeps its streams open.
    on_null(command);
    send_master(socket, &ends.master);
    child
}

fn on<'c>(command: &'c mut Command, peer: &OwnedFd) -> &'c mut Command {
    let stream = || ChildStdio::from(peer.try_clone().unwrap());
    command.stdin(stream()).stdout(stream()).stderr(stream())
}

fn on_null(command: &mut Command) {
    command.stdin(ChildStdio::null()).stdout(ChildStdio::null()).stderr(ChildStdio::null());
}

fn send_master(socket: &Path, master: &OwnedFd) {
    use std::os::fd::AsRawFd;
    let stream = UnixStream::connect(socket).unwrap();
    let rights = [master.as_raw_fd()];
    let name = [std::io::IoSlice::new(b"/dev/ptmx")];
    sendmsg::<()>(
        stream.as_fd().as_raw_fd(),
        &name,
        &[ControlMessage::ScmRights(&rights)],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
}

async fn open_terminal(streams: &Streams) -> (Stdio, PathBuf) {
    let (stdio, ForProcess::Terminal(socket)) = Stdio::open(streams, None, &owner()).await.unwrap() else {
        panic!("not a terminal");
    };
    (stdio, socket)
}

#[test]
fn a_terminal_s_output_goes_to_files_fifos_and_loggers() {
    run(async {
        let place = Place::new();
        let fifo = place.fifo("fifo");
        let logger = place.logger("binary", "exec 5>&-\ncat <&3 > logged\n");
        for output in [format!("file://{}", place.path("file").display()), logger, fifo.clone()] {
            let client = (output == fifo).then(|| client(&fifo));
            let (mut stdio, socket) = open_terminal(&terminal("", &output)).await;
            let mut echo = in_terminal(&socket, Command::new("echo").arg("shown"));
            stdio.begin().await.unwrap();
            assert!(!socket.parent().unwrap().exists());
            aside(move || echo.wait().unwrap()).await;
            stdio.drained(LONG).await;
            if let Some(client) = client {
                assert_eq!(aside(|| std::io::read_to_string(client).unwrap()).await, "shown\r\n");
            }
        }
        assert_eq!([place.text("file"), place.text("logged")], ["shown\r\n", "shown\r\n"]);
    });
}

#[test]
fn a_terminal_has_the_size_that_it_is_given() {
    run(async {
        let place = Place::new();
        let file = format!("file://{}", place.path("out").display());
        let (mut stdio, socket) = open_terminal(&terminal(&place.fifo("in"), &file)).await;
        let mut shell = in_terminal(&socket, Command::new("sh").args(["-c", "read go; stty size"]));
        stdio.resize(80, 24).unwrap();
        stdio.begin().await.unwrap();
        stdio.resize(132, 43).unwrap();
        let input = place.path("in");
        aside(move || OpenOptions::new().write(true).open(input).unwrap().write_all(b"\n").unwrap()).await;
        aside(move || shell.wait().unwrap()).await;
        stdio.drained(LONG).await;
        assert_eq!(place.text("out"), "\r\n43 132\r\n");
    });
}

#[test]
fn a_terminal_s_input_ends_after_all_of_it() {
    run(async {
        let place = Place::new();
        let input = place.fifo("in");
        let (mut stdio, socket) = open_terminal(&terminal(&input, "")).await;
        let count = place.path("count");
        let script = format!("cat > '{0}'; echo $? > '{0}.code'", count.display());
        let mut shell = in_terminal(&socket, Command::new("sh").args(["-c", &script]));
        stdio.begin().await.unwrap();
        // The last line isn't ended.
        let typed = format!("{}last", "0123456789\n".repeat(120_000));
        let text = typed.clone();
        let client = tokio::task::spawn_blocking(move || {
            OpenOptions::new().write(true).open(input).unwrap().write_all(text.as_bytes()).unwrap();
        });
        client.await.unwrap();
        stdio.close_stdin();
        aside(move || shell.wait().unwrap()).await;
        assert_eq!(place.text("count.code"), "0\n");
        assert!(place.text("count") == typed, "{} of {}", place.text("count").len(), typed.len());
    });
}

/// Runs `program` with the streams, and says how long a GiB took.
async fn gibibyte(streams: &Streams, program: &str) -> Duration {
    let (mut stdio, [input, output, error]) = open(streams).await;
    let (begin, worked_before) = (std::time::Instant::now(), worked());
    let mut command = Command::new("sh");
    let mut process =
        command.args(["-c", program]).stdin(input).stdout(output).stderr(error).spawn().unwrap();
    on_null(&mut command);
    stdio.begin().await.unwrap();
    stdio.close_stdin();
    assert!(aside(move || process.wait().unwrap()).await.success());
    stdio.drained(LONG).await;
    eprint!("the shim worked {:?}; ", worked() - worked_before);
    begin.elapsed()
}

/// What this process has worked.
fn worked() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF).unwrap();
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros((micros(usage.user_time()) + micros(usage.system_time())) as u64)
}

#[test]
#[ignore = "takes seconds and half a GiB of disk"]
fn a_gibibyte_through_each_kind_of_stream() {
    const MUCH: &str = "head -c 1G /dev/zero";
    run(async {
        let place = Place::new();
        let out = place.fifo("out");
        let mut client =
            Command::new("sh").args(["-c", &format!("cat '{out}' | wc -c > '{out}.count'")]).spawn();
        let took = gibibyte(&streams("", &out, ""), MUCH).await;
        eprintln!("stdout to a fifo: {took:?}");
        client.as_mut().unwrap().wait().unwrap();
        assert_eq!(place.text("out.count").trim(), "1073741824");
        let file = format!("file://{}", place.path("file").display());
        eprintln!("stdout to a file: {:?}", gibibyte(&streams("", &file, ""), MUCH).await);
        fs::remove_file(place.path("file")).unwrap();
        let logger = place.logger("binary", "exec 5>&-\nwc -c <&3 > logged\n");
        eprintln!("stdout to a logger: {:?}", gibibyte(&streams("", &logger, ""), MUCH).await);
        assert_eq!(place.text("logged").trim(), "1073741824");
        let stdin = place.fifo("in");
        let mut client = Command::new("sh").args(["-c", &format!("{MUCH} > '{stdin}'")]).spawn().unwrap();
        let count = "test $(wc -c) = 1073741824";
        // The client has opened the fifo once there is something to read.
        eprintln!("stdin from a fifo: {:?}", gibibyte(&streams(&stdin, "", ""), count).await);
        client.wait().unwrap();
    });
}
