//! What a container may leave behind, and must not: mounts, cgroups, units, processes, state.
//!
//! Everything of one test bears its marker, so tests that run side by side do not see each other.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::manager::Manager;
use crate::patience::seconds;

/// Looks for leftovers until there are none, for three seconds at most: a killed process needs a moment to go.
pub fn find(marker: &str, manager: Manager, state_root: &Path) -> Vec<String> {
    let deadline = Instant::now() + seconds(3);
    loop {
        let found = look(marker, manager, state_root);
        if found.is_empty() || Instant::now() > deadline {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The pids of the processes that belong to a test.
pub fn processes(marker: &str) -> Vec<u32> {
    let mut pids: Vec<u32> = fs::read_dir("/proc")
        .expect("read /proc")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    pids.retain(|pid| *pid != std::process::id() && belongs(*pid, marker));
    pids
}

/// The mount points, in this mount namespace, that belong to a test.
pub fn mounts(marker: &str) -> Vec<String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    let ours = mountinfo.lines().filter(|line| line.contains(marker));
    ours.filter_map(|line| line.split(' ').nth(4)).map(str::to_owned).collect()
}

fn look(marker: &str, manager: Manager, state_root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(mounts(marker).into_iter().map(|path| format!("mount {path}")));
    found.extend(manager.cgroup(marker).existing().iter().map(|dir| format!("cgroup {}", dir.display())));
    found.extend(manager.units(marker).into_iter().map(|unit| format!("unit {unit}")));
    found.extend(processes(marker).iter().map(|pid| format!("process {pid} {}", describe(*pid))));
    for entry in fs::read_dir(state_root).into_iter().flatten().flatten() {
        // A runtime may keep a cache of its own beside the containers.
        if !entry.file_name().to_string_lossy().starts_with('.') {
            found.push(format!("state {}", entry.path().display()));
        }
    }
    found
}

fn belongs(pid: u32, marker: &str) -> bool {
    let text = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let root_mount = |line: &str| line.split(' ').nth(4) == Some("/") && line.contains(marker);
    text("stat").split(") ").last().is_some_and(|stat| !stat.starts_with('Z'))
        && (text("cgroup").contains(marker)
            || text("cmdline").contains(marker)
            || text("environ").contains(marker)
            || link("cwd").to_string_lossy().contains(marker)
            || text("mountinfo").lines().any(root_mount))
}

fn describe(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}
