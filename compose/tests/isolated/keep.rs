//! The keeper, with a shim that is only its pipes.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::host::{self, Process, RUNNING, Shim, isolated, log, record, until};
use crate::world::in_new_namespace;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn out(text: &str) -> (String, String) {
    ("stdout".to_owned(), text.to_owned())
}

#[test]
fn both_streams_are_logged_and_what_has_no_newline_too() {
    if !isolated() {
        return;
    }
    let mut shim = Shim::start("c1", json!({}));
    shim.say("one\ntwo");
    until("the line is logged", || log("c1") == [out("one\n")]);
    shim.stderr.write_all(b"bad\n").unwrap();
    until("stderr is logged", || log("c1").contains(&("stderr".to_owned(), "bad\n".to_owned())));
    shim.end();
    assert_eq!(log("c1").last(), Some(&out("two")));
}

#[test]
fn files_of_a_log_are_bounded() {
    if !isolated() {
        return;
    }
    let mut shim = Shim::start("c1", json!({"log": {"kept": true, "bytes_max": 4096, "files_max": 3}}));
    for number in 0..1000 {
        shim.say(&format!("{number}\n"));
    }
    shim.end();
    let numbers = log("c1").iter().map(|(_, text)| text.trim().parse::<u32>().unwrap()).collect::<Vec<_>>();
    let last = 1000 - u32::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (last..1000).collect::<Vec<_>>(), "the newest, without a gap");
    for name in ["log.json", "log.json.1", "log.json.2"] {
        let length = std::fs::metadata(format!("{}/c1/{name}", host::CONTAINERS)).unwrap().len();
        assert!(length <= 4096, "{name}: {length}");
    }
}

#[test]
fn a_killed_keeper_loses_nothing_that_was_logged_and_the_next_goes_on() {
    if !isolated() {
        return;
    }
    let mut shim = Shim::start("c1", json!({"log": {"kept": true, "bytes_max": 20000, "files_max": 3}}));
    let mut said = 0;
    for round in 0..20 {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(round) {
            shim.say(&format!("{said:06}\n"));
            said += 1;
        }
        shim.keeper.signal(Signal::SIGKILL);
        shim.keeper.0.wait().unwrap();
        // Written while nobody reads: it waits in the pipe.
        shim.say(&format!("{said:06}\n"));
        said += 1;
        shim.start_again("c1");
    }
    shim.end();
    // What a killed keeper had read of a line that wasn't whole is lost: a part of six digits is left.
    let lines = log("c1").into_iter().map(|(_, text)| text.trim().to_owned());
    let numbers = lines.filter(|line| line.len() == 6).map(|line| line.parse::<u32>().unwrap());
    let numbers = numbers.collect::<Vec<_>>();
    assert_eq!(numbers.last(), Some(&(said - 1)));
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "in order, nothing twice");
}

/// What frames say, without their headers.
fn text_of(mut frames: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((header, rest)) = frames.split_first_chunk::<8>() {
        let length = u32::from_be_bytes(header[4..].try_into().unwrap()) as usize;
        text.extend(&rest[..length]);
        frames = &rest[length..];
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn watchers_see_what_comes_and_a_slow_one_holds_nobody_up_for_long() {
    if !isolated() {
        return;
    }
    let mut shim = Shim::start("c1", json!({}));
    let attach = || {
        let client = UnixStream::connect(format!("{RUNNING}/c1/attach.sock")).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    };
    let (mut quick, slow) = (attach(), attach());
    shim.say("first\n");
    let mut frame = [0; 14];
    quick.read_exact(&mut frame).unwrap();
    assert_eq!(&frame, b"\x01\0\0\0\0\0\0\x06first\n");
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        quick.read_to_end(&mut all).unwrap();
        all
    });
    // More than a socket holds.
    let line = "x".repeat(999) + "\n";
    (0..2000).for_each(|_| shim.say(&line));
    shim.end();
    let all = reading.join().unwrap();
    assert_eq!(text_of(&all).lines().count(), 2000, "the quick one misses nothing");
    drop(slow);
    assert_eq!(log("c1").len(), 2001);
}

#[test]
fn the_state_says_who_keeps() {
    if !isolated() {
        return;
    }
    let shim = Shim::start("c1", json!({}));
    let state = std::fs::read_to_string(format!("{RUNNING}/c1/state.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["keeper"]["pid"], shim.keeper.pid());
    assert!(state["keeper"]["started"].as_u64().unwrap() > 0);
}

/// The list of endpoints, as the hook writes it before it asks.
fn list(id: &str, init: &Process, ports: Value) {
    let endpoint = json!({"network": "n", "container": id, "name": id, "names": [id], "interface": "eth0",
        "addresses": ["127.0.0.1/8"], "ports": ports});
    let made = json!({"endpoint": endpoint, "plugins": [], "publisher": "nft"});
    let list = json!({"init": identity(init).1, "endpoints": [made]});
    record(format!("{RUNNING}/{id}/endpoints.json"), &list);
}

fn ask(id: &str) -> Value {
    let mut answer = String::new();
    let mut keeper = UnixStream::connect(format!("{RUNNING}/{id}/keeper.sock")).unwrap();
    keeper.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    keeper.read_to_string(&mut answer).unwrap();
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn ports_are_held_and_served_and_a_second_container_hears_who_has_them() {
    if !isolated() {
        return;
    }
    let _shim = Shim::start("c1", json!({}));
    let init = in_new_namespace();
    // The test's own loopback stands for the container.
    let _server = Process(
        Command::new("busybox").args(["httpd", "-f", "-p", "127.0.0.1:81", "-h", "/"]).spawn().unwrap(),
    );
    std::fs::write("/run/here", "served").unwrap();
    let port =
        |host: u16| json!([{"host_ip": null, "host_port": host, "container_port": 81, "protocol": "tcp"}]);
    list("c1", &init, port(0));
    let opened = ask("c1");
    let host = opened["opened"]["ports"][0]["host_port"].as_u64().unwrap();
    for address in ["127.0.0.1", "[::1]"] {
        assert_eq!(host::sh(&format!("busybox wget -qO- http://{address}:{host}/run/here")), "served");
    }
    let _second = Shim::start("c2", json!({}));
    list("c2", &init, port(u16::try_from(host).unwrap()));
    let refused = ask("c2")["refused"].as_str().unwrap().to_owned();
    assert!(refused.starts_with(&format!("port 0.0.0.0:{host}/tcp: in use by corten-compose")), "{refused}");
}

#[test]
fn names_are_answered_inside_by_udp_and_tcp() {
    if !isolated() {
        return;
    }
    let _shim = Shim::start("c1", json!({}));
    let init = in_new_namespace();
    list("c1", &init, json!([]));
    let address = json!({"network": "n", "container": "c1", "name": "c1", "names": ["c1", "web"], "interface": "eth0",
        "addresses": ["10.72.0.2/24"]});
    record(format!("{RUNNING}/net/n/c1"), &address);
    let names_at = ask("c1")["opened"]["names_at"].clone();
    let port = |index: usize| u16::try_from(names_at[index].as_u64().unwrap()).unwrap();
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
    let [by_udp, by_tcp] = host::within(init.pid(), || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket.send_to(question, ("127.0.0.11", port(0))).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.11", port(1))).unwrap();
        stream.write_all(&[&[0, question.len() as u8], &question[..]].concat()).unwrap();
        let mut by_tcp = vec![0; length + 2];
        stream.read_exact(&mut by_tcp).unwrap();
        [answer[..length].to_vec(), by_tcp[2..].to_vec()]
    });
    assert!(by_udp.ends_with(&[10, 72, 0, 2]), "{by_udp:?}");
    assert_eq!(by_udp, by_tcp);
}

#[test]
fn the_end_of_init_is_seen_and_a_second_keeper_takes_the_sockets_over() {
    if !isolated() {
        return;
    }
    let mut shim = Shim::start("c1", json!({}));
    let init = in_new_namespace();
    list(
        "c1",
        &init,
        json!([{"host_ip": "127.0.0.1", "host_port": 8099, "container_port": 81, "protocol": "tcp"}]),
    );
    assert!(ask("c1")["opened"].is_object());
    shim.keeper.signal(Signal::SIGKILL);
    shim.keeper.0.wait().unwrap();
    shim.start_again("c1");
    until("the port is held again", || std::net::TcpStream::connect("127.0.0.1:8099").is_ok());
    shim.say("last words");
    drop(init);
    until("the unfinished line is logged at the end", || log("c1") == [out("last words")]);
}

/// `PID:STARTED`, and the same for JSON.
fn identity(process: &Process) -> (String, Value) {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).unwrap();
    let started: u64 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    (format!("{}:{started}", process.pid()), json!({"pid": process.pid(), "started": started}))
}

#[test]
fn a_keeper_whose_command_was_killed_before_there_was_a_task_ends_and_no_other() {
    if !isolated() {
        return;
    }
    let keepers = ["c1", "c2"].map(|id| {
        // Shim and keeper, for the directories and fifos.
        let mut shim = Shim::start(id, json!({}));
        shim.end();
        let command = Process(Command::new("sleep").arg("1000").spawn().unwrap());
        let mut keep = Command::new(host::program());
        keep.args(["keep", &format!("{}/{id}", host::CONTAINERS)]);
        keep.args(["stdout", "stderr"].map(|fifo| format!("/run/shim/{id}/{fifo}")));
        keep.arg(identity(&command).0).stdout(Stdio::piped());
        let mut keeper = Process(keep.spawn().unwrap());
        let ready = keeper.0.stdout.take().unwrap().read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(ready, 0);
        (shim, command, keeper)
    });
    let init = in_new_namespace();
    list("c2", &init, json!([]));
    assert!(ask("c2")["opened"].is_object());
    let [(_, command, mut unclaimed), (_, other_command, mut claimed)] = keepers;
    std::thread::sleep(Duration::from_millis(100));
    assert!(unclaimed.0.try_wait().unwrap().is_none(), "its command lives");
    drop((command, other_command));
    until("the keeper without a task has ended", || unclaimed.0.try_wait().unwrap().is_some());
    std::thread::sleep(Duration::from_secs(2));
    assert!(claimed.0.try_wait().unwrap().is_none(), "its container runs");
}

#[test]
fn a_keeper_is_small() {
    // What cargo builds for tests is larger.
    if std::env::var("CORTEN_COMPOSE_BIN").is_err() || !isolated() {
        return;
    }
    let shim = Shim::start("c1", json!({}));
    let init = in_new_namespace();
    list("c1", &init, json!([{"host_port": 0, "container_port": 81, "protocol": "tcp"}]));
    assert!(ask("c1")["opened"].is_object());
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", shim.keeper.pid())).unwrap();
    let kib = |key: &str| {
        let line = rollup.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
    };
    eprintln!("RSS {} KiB, private dirty {} KiB", kib("Rss:"), kib("Private_Dirty:"));
    assert!(kib("Rss:") <= 2560 && kib("Private_Dirty:") <= 410, "{rollup}");
}
