//! What a server costs. `CORTEN_SHIM` names the file that is measured, which should be one for users.

use std::time::{Duration, Instant};

use super::containerd::{Containerd, until};
use super::task::{Streams, creation};

const STARTS: usize = 30;

#[test]
#[ignore = "measures, and judges nothing"]
fn what_a_start_and_an_idle_server_cost() {
    let Some(containerd) = Containerd::new() else { return };
    let mut times: Vec<Duration> = (0..STARTS).map(|number| time_of_start(&containerd, number)).collect();
    times.sort();
    println!("start: median {:?}, fastest {:?}", times[STARTS / 2], times[0]);

    let (server, request) = containerd.server_for("c0", &["sleep", "600"]);
    let memory = |containers: usize| {
        std::thread::sleep(Duration::from_secs(1));
        let [rss, pss, dirty] = ["VmRSS", "Pss", "Private_Dirty"].map(|field| server.memory(field));
        let descriptors = server.descriptors().len();
        println!(
            "{containers} containers: RSS {rss}, PSS {pss}, Private_Dirty {dirty} KiB, {descriptors} fds"
        );
    };
    memory(0);
    server.task.run(&request);
    memory(1);
    for number in 1..10 {
        let id = format!("c{number}");
        let bundle = containerd.bundle(&id, &["sleep", "600"]);
        server.task.run(&creation(&id, &bundle, Streams::default()));
    }
    memory(10);
    for number in (0..10).rev() {
        let id = format!("c{number}");
        server.task.kill(&id, "", 9).expect("it is there");
        server.task.wait(&id, "").expect("its exit");
        server.task.delete(&id, "").expect("it is deleted");
    }
    server.task.shutdown("c0");
    server.is_gone();
    containerd.leaves_nothing();
}

fn time_of_start(containerd: &Containerd, number: usize) -> Duration {
    let id = format!("s{number}");
    containerd.bundle(&id, &["true"]);
    let begin = Instant::now();
    let output = containerd.command(&id, "start", b"");
    let time = begin.elapsed();
    let address = String::from_utf8(output.stdout).expect("an address");
    let task = super::task::Task::connect(&address);
    let pid = task.connect_call(&id).shim_pid.try_into().expect("a pid");
    task.shutdown(&id);
    until("the server ends", || super::containerd::is_gone(pid).then_some(()).ok_or(pid));
    time
}
