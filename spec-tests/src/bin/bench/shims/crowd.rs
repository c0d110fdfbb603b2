//! Containers that sleep, under one shim. They end with the value.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::Shim;
use super::client::Client;
use crate::Result;

/// No sound shim takes so long to notice that a process has ended.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Crowd<'a> {
    client: &'a Client<'a>,
    shim: &'a Shim,
    pub ids: Vec<String>,
}

impl<'a> Crowd<'a> {
    /// Of nobody yet.
    pub fn new(client: &'a Client<'a>, shim: &'a Shim) -> Crowd<'a> {
        Crowd { client, shim, ids: Vec::new() }
    }

    /// Starts one container more, with those flags.
    pub fn add(&mut self, flags: &[&str]) -> Result<()> {
        let id = self.client.fresh_name();
        self.ids.push(id.clone());
        let flags = [&["--detach"], flags].concat();
        self.client.run(self.shim, &flags, &id, &["/bin/sleep", "1000"]).map(drop)
    }

    /// Starts so many containers at once.
    pub fn add_at_once(&mut self, count: usize) -> Result<Duration> {
        let (client, shim) = (self.client, self.shim);
        let ids: Vec<String> = (0..count).map(|_| client.fresh_name()).collect();
        self.ids.extend_from_slice(&ids);
        let start = |id: &String| client.run(shim, &["--detach"], id, &["/bin/sleep", "1000"]);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let starts: Vec<_> = ids.iter().map(|id| scope.spawn(|| start(id).map(drop))).collect();
            starts.into_iter().try_for_each(|start| start.join().map_err(|_| "a start panicked")?)
        })?;
        Ok(begun.elapsed())
    }

    /// The process of the shim: the parent of a container's init.
    pub fn shim_pid(&self) -> Result<i32> {
        let tasks = self.tasks()?;
        let (init, _) = tasks.first().ok_or("no container runs")?;
        let status = fs::read_to_string(format!("/proc/{init}/status"))?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        Ok(parent.ok_or("a process without a parent")?.trim().parse()?)
    }

    /// The pid of each init, and whether it runs.
    fn tasks(&self) -> Result<Vec<(i32, bool)>> {
        let output = self.client.command(["tasks", "list"]).output()?;
        let listed = String::from_utf8_lossy(&output.stdout).into_owned();
        let task = |line: &str| {
            let [id, pid, status] = line.split_whitespace().collect::<Vec<_>>()[..] else { return None };
            let is_ours = self.ids.iter().any(|own| own == id);
            is_ours.then_some((pid.parse().ok()?, status == "RUNNING"))
        };
        Ok(listed.lines().filter_map(task).collect())
    }

    /// Ends all containers.
    fn end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let tasks = self.tasks()?;
            let running: Vec<i32> = tasks.iter().filter(|(_, runs)| *runs).map(|(pid, _)| *pid).collect();
            if running.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                return Err("the containers haven't ended".into());
            }
            for pid in running.into_iter().filter_map(Pid::from_raw) {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        for kind in ["tasks", "containers"] {
            self.client
                .time("end", [kind, "delete"].into_iter().chain(self.ids.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("bench: {}: {error}", self.shim.name);
        }
    }
}
