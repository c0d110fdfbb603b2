//! The bench's own place on the machine: one directory with the root filesystem and the helpers, and one cgroup.
//!
//! Everything in it bears the same marker, by which it is found and taken down at the end, however the end comes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use spec_tests::cgroup::Cgroup;
use spec_tests::manager::Manager;
use spec_tests::{leftovers, root};

use crate::Result;

/// A program in C that the bench needs: `data/bench/NAME.c`, compiled into a small static binary.
#[derive(Clone, Copy)]
pub enum Helper {
    /// Starts a container with as little as can be.
    Floor,
    /// Tells the peak memory of a command.
    Peak,
    /// Times system calls; lies in the container, too.
    Calls,
}

pub struct Fixture {
    /// Found in the name of all that belongs to this bench.
    pub marker: String,
    pub dir: PathBuf,
    /// Who makes the containers' cgroups.
    pub manager: Manager,
}

impl Fixture {
    pub fn open() -> Result<Fixture> {
        let marker = format!("bench{}x", std::process::id());
        let dir = std::env::temp_dir().join(&marker);
        fs::create_dir(&dir).map_err(|error| format!("make {}: {error}", dir.display()))?;
        let fixture = Fixture { marker, dir, manager: Manager::of_environment() };
        fixture.take_down_after_panic();
        root::populate(&fixture.rootfs());
        fs::create_dir(fixture.states())?;
        for file in ["resolv.conf", "hostname", "hosts"] {
            fs::write(fixture.dir.join(file), "127.0.0.1 localhost\n")?;
        }
        if fixture.helper(Helper::Calls).is_ok() {
            fs::copy(fixture.dir.join("calls"), fixture.rootfs().join("bin/calls"))?;
        }
        Ok(fixture)
    }

    /// All runtimes share one root filesystem, so that no runtime has a warmer cache.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Where the runtimes keep the states of their containers.
    pub fn states(&self) -> PathBuf {
        self.dir.join("states")
    }

    /// Returns a helper, compiled at its first use.
    ///
    /// Errors: without a C compiler or a static libc.
    pub fn helper(&self, helper: Helper) -> Result<PathBuf> {
        let name = helper.name();
        let binary = self.dir.join(name);
        if binary.exists() {
            return Ok(binary);
        }
        let source = self.dir.join(name).with_extension("c");
        fs::write(&source, helper.source())?;
        let compiled = Command::new("cc").args(["-O2", "-static", "-o"]).arg(&binary).arg(&source).output();
        let compiled = compiled.map_err(|error| format!("{name}.c needs a C compiler: cc: {error}"))?;
        if !compiled.status.success() {
            let said = String::from_utf8_lossy(&compiled.stderr).into_owned();
            return Err(
                format!("{name}.c does not compile: {}", said.lines().last().unwrap_or_default()).into()
            );
        }
        Ok(binary)
    }

    fn take_down_after_panic(&self) {
        let (marker, dir, manager) = (self.marker.clone(), self.dir.clone(), self.manager);
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            report(info);
            take_down(&marker, &dir, manager);
        }));
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        take_down(&self.marker, &self.dir, self.manager);
    }
}

impl Helper {
    fn name(self) -> &'static str {
        match self {
            Helper::Floor => "floor",
            Helper::Peak => "peak",
            Helper::Calls => "calls",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Helper::Floor => include_str!("../../../data/bench/floor.c"),
            Helper::Peak => include_str!("../../../data/bench/peak.c"),
            Helper::Calls => include_str!("../../../data/bench/calls.c"),
        }
    }
}

fn take_down(marker: &str, dir: &Path, manager: Manager) {
    for pid in leftovers::processes(marker) {
        if let Some(pid) = Pid::from_raw(pid as i32) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    manager.stop(marker);
    Cgroup { path: format!("/{marker}") }.remove();
    let _ = fs::remove_dir_all(dir);
}
