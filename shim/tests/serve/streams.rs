//! Standard streams through fifos and terminals, as engines use them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use containerd_shim_protos::api::Status;
use serde_json::json;

use super::containerd::{Containerd, fifo, is_of_containerd, until};
use super::task::{PATIENCE, Streams};

/// Fifos, as containerd makes them.
struct Fifos {
    stdin: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
    /// containerd opens all of them at once.
    _stderr_reader: File,
}

impl Fifos {
    fn new(containerd: &Containerd) -> Fifos {
        let of = |name: &str| fifo(&containerd.dir.join(name));
        let stderr = of("stderr");
        Fifos { stdin: of("stdin"), stdout: of("stdout"), _stderr_reader: reader(&stderr), stderr }
    }

    fn streams(&self) -> Streams {
        let text = |path: &PathBuf| path.to_str().expect("a plain path").to_owned();
        let [stdin, stdout, stderr] = [&self.stdin, &self.stdout, &self.stderr].map(text);
        Streams { stdin, stdout, stderr, terminal: false }
    }

    fn terminal(&self) -> Streams {
        Streams { stderr: String::new(), terminal: true, ..self.streams() }
    }

    fn reader(&self) -> File {
        reader(&self.stdout)
    }

    fn writer(&self) -> File {
        File::options().write(true).open(&self.stdin).expect("the shim reads")
    }
}

/// A client that reads. It doesn't wait for the shim to open the fifo.
fn reader(path: &Path) -> File {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.expect("a fifo");
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).expect("a fifo");
    file
}

/// All that comes until `text` has come.
fn read_until(reader: &mut File, text: &str) -> String {
    let (mut said, mut bytes, deadline) = (String::new(), [0; 4096], Instant::now() + PATIENCE);
    while !said.ends_with(text) {
        assert!(
            Instant::now() < deadline,
            "{} bytes, ... {:?}",
            said.len(),
            said.get(said.len().saturating_sub(99)..)
        );
        let length = reader.read(&mut bytes).expect("a fifo");
        said.push_str(std::str::from_utf8(&bytes[..length]).expect("ASCII"));
        if length == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
    said
}

fn with_streams(
    containerd: &Containerd,
    args: &[&str],
    streams: Streams,
) -> (super::containerd::Server, containerd_shim_protos::api::CreateTaskRequest) {
    let (server, request) = containerd.server_with("c", args, |config| {
        config["process"]["terminal"] = json!(streams.terminal);
        let terminals = json!({
            "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["newinstance", "ptmxmode=0666"],
        });
        config["mounts"].as_array_mut().expect("a list").push(terminals);
    });
    let request = super::task::creation("c", request.bundle.as_ref(), streams);
    (server, request)
}

#[test]
fn much_input_ends_with_close_io() {
    const BYTES: usize = 8 << 20;
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let (server, request) = with_streams(&containerd, &["sh", "-c", "cat | wc -c"], fifos.streams());
    let mut reader = fifos.reader();
    server.task.run(&request);
    let mut writer = fifos.writer();
    writer.write_all(&vec![b'x'; BYTES]).expect("somebody reads");
    drop(writer);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(server.task.status("c", ""), Status::RUNNING, "it has ended without CloseIO");
    server.task.close_stdin("c", "").expect("it is closed");
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    assert_eq!(read_until(&mut reader, "\n").trim(), BYTES.to_string());
    containerd.ends(&server, "c");
}

#[test]
fn input_of_an_exec_may_end_before_the_start() {
    if is_of_containerd() {
        // The exec waits for more for ever.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.run(&request);
    let mut reader = fifos.reader();
    server.task.exec_with("c", "e", &["cat"], fifos.streams()).expect("it is added");
    server.task.close_stdin("c", "e").expect("it is closed");
    thread::scope(|scope| {
        // The client opens the fifo before anybody reads, and waits there.
        scope.spawn(|| fifos.writer().write_all(b"all of it\n").expect("somebody reads"));
        thread::sleep(Duration::from_millis(50));
        server.task.start("c", "e").expect("it starts");
    });
    assert_eq!(read_until(&mut reader, "\n"), "all of it\n");
    assert_eq!(server.task.wait("c", "e").expect("its exit").exit_status, 0);
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}

#[test]
fn output_may_be_wanted_without_errors() {
    if is_of_containerd() {
        // It wants both or none.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let streams = Streams { stdin: String::new(), stderr: String::new(), ..fifos.streams() };
    let (server, request) = with_streams(&containerd, &["sh", "-c", "echo err >&2; echo out"], streams);
    let mut reader = fifos.reader();
    server.task.run(&request);
    assert_eq!(read_until(&mut reader, "\n"), "out\n");
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
}

#[test]
fn a_terminal_has_a_size_and_an_end_of_input() {
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let script = "read x; stty size; cat; echo over";
    let (server, request) = with_streams(&containerd, &["sh", "-c", script], fifos.terminal());
    let mut reader = fifos.reader();
    server.task.run(&request);
    server.task.resize("c", 123, 45).expect("a terminal");
    let mut writer = fifos.writer();
    writer.write_all(b"\n").expect("somebody reads");
    read_until(&mut reader, "45 123\r\n");
    writer.write_all(b"line\n").expect("somebody reads");
    read_until(&mut reader, "line\r\nline\r\n");
    if is_of_containerd() {
        // Its CloseIO ends the program with 129 at times.
        writer.write_all(b"\x04").expect("somebody reads");
    } else {
        drop(writer);
        server.task.close_stdin("c", "").expect("it is closed");
    }
    read_until(&mut reader, "over\r\n");
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
}

#[test]
fn the_call_says_whether_an_exec_has_a_terminal() {
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let (server, request) = with_streams(&containerd, &["sleep", "600"], Streams::default());
    server.task.run(&request);
    let mut reader = fifos.reader();
    let streams = Streams { stdin: String::new(), ..fifos.terminal() };
    server
        .task
        .exec_with("c", "e", &["sh", "-c", "test -t 1 && echo terminal"], streams)
        .expect("it is added");
    server.task.start("c", "e").expect("it starts");
    read_until(&mut reader, "terminal\r\n");
    assert_eq!(server.task.wait("c", "e").expect("its exit").exit_status, 0);
    server.task.delete("c", "e").expect("it is deleted");
    server.task.kill("c", "", 9).expect("it is there");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}

#[test]
fn a_slow_reader_makes_the_payload_wait_and_nobody_else() {
    const BYTES: usize = 4 << 20;
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let script = format!("head -c {BYTES} /dev/zero; echo over; read x");
    let (server, request) = with_streams(&containerd, &["sh", "-c", &script], fifos.streams());
    let first = fifos.reader();
    server.task.run(&request);
    for _ in 0..20 {
        assert_eq!(server.task.status("c", ""), Status::RUNNING);
    }
    until("head waits for the reader", || match server.task.pids("c").expect("pids").processes.len() {
        2 => Ok(()),
        count => Err(count),
    });
    // The reader goes, as with a restart of containerd, and the next reads on.
    drop(first);
    thread::sleep(Duration::from_millis(50));
    let mut second = fifos.reader();
    let said = read_until(&mut second, "over\n");
    assert_eq!(said.len(), BYTES + "over\n".len());
    server.task.close_stdin("c", "").expect("it is closed");
    server.task.wait("c", "").expect("its exit");
    containerd.ends(&server, "c");
}

#[test]
fn a_user_namespace_may_open_its_streams_anew() {
    if is_of_containerd() {
        // It has to be told the owner.
        return;
    }
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let script = "echo init > /proc/self/fd/1; read x < /proc/self/fd/0; echo $x";
    let (server, mut request) = containerd.server_with("c", &["sh", "-c", script], |config| {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
        (config["linux"]["uidMappings"], config["linux"]["gidMappings"]) = (map.clone(), map);
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({"type": "user"}));
    });
    let streams = fifos.streams();
    (request.stdin, request.stdout) = (streams.stdin, streams.stdout);
    let mut reader = fifos.reader();
    server.task.run(&request);
    read_until(&mut reader, "init\n");
    fifos.writer().write_all(b"again\n").expect("somebody reads");
    read_until(&mut reader, "again\n");
    assert_eq!(server.task.wait("c", "").expect("its exit").exit_status, 0);
    containerd.ends(&server, "c");
}

#[test]
fn a_child_that_keeps_the_output_open_holds_up_the_deletion_for_a_while_only() {
    let Some(containerd) = Containerd::new() else { return };
    let fifos = Fifos::new(&containerd);
    let (server, request) = containerd.server_for("c", &["sleep", "600"]);
    server.task.run(&request);
    let before = server.descriptors();
    let reader = fifos.reader();
    let streams = Streams { stdin: String::new(), ..fifos.streams() };
    server.task.exec_with("c", "e", &["sh", "-c", "sleep 600 & exit 4"], streams).expect("it is added");
    server.task.start("c", "e").expect("it starts");
    assert_eq!(server.task.wait("c", "e").expect("its exit").exit_status, 4);
    let begin = Instant::now();
    server.task.delete("c", "e").expect("it is deleted");
    assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
    drop(reader);
    server.has_descriptors(&before);
    server.task.kill("c", "", 9).expect("it is there");
    until("init ends", || server.task.wait("c", ""));
    containerd.ends(&server, "c");
}
