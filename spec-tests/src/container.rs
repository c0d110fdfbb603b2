//! One throw-away container, the centre of nearly every test: made, used, and taken down with a look at what is left.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::bundle::Bundle;
use crate::cgroup::Cgroup;
use crate::leftovers;
use crate::manager::Manager;
use crate::root::copy_program;
use crate::runtime::{Call, Outcome, Runtime, eventually};
use crate::subject::subject;
use crate::view::View;

/// A container of the runtime under test, with its directory, bundle, state root and cgroup.
///
/// Dropping it runs `delete --force`, fails the test if anything is left, and removes the rest.
pub struct Container {
    /// Its id, found in the name of everything that belongs to it.
    pub id: String,
    /// Its bundle; config.json is written by each `create` and `run`.
    pub bundle: Bundle,
    /// The runtime, with a state root that no other test shares.
    pub runtime: Runtime,
    /// A directory of the host for whatever the test needs.
    pub dir: PathBuf,
    extra_ids: Vec<String>,
}

impl Container {
    /// Makes a bundle that asks for what Docker asks for by default, changed by `configure`.
    pub fn new(configure: impl FnOnce(&mut Bundle)) -> Container {
        Container::in_view(View::Plain, configure)
    }

    /// As [`Container::new`], for a runtime that finds cgroups mounted as in `view`.
    pub fn in_view(view: View, configure: impl FnOnce(&mut Bundle)) -> Container {
        Container::made_by(Manager::of_environment(), view, configure)
    }

    /// As [`Container::new`], with a cgroup that systemd makes, whatever the environment says.
    pub fn in_a_scope(configure: impl FnOnce(&mut Bundle)) -> Container {
        Container::made_by(Manager::Systemd, View::Plain, configure)
    }

    fn made_by(manager: Manager, view: View, configure: impl FnOnce(&mut Bundle)) -> Container {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        // The runtime is looked for first: without it there is nothing to make, and no way to clean up.
        let _ = subject();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        // The closing letter keeps a marker from being the beginning of a second marker.
        let id = format!("ct{}n{number}x", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        fs::create_dir_all(dir.join("bundle")).expect("make a test directory");
        let mut runtime = Runtime::new(&dir, &id);
        runtime.view = view;
        runtime.manager = manager;
        let mut bundle = Bundle::create(dir.join("bundle"), &manager.cgroups_path(&id));
        configure(&mut bundle);
        Container { id, bundle, runtime, dir, extra_ids: Vec::new() }
    }

    /// Makes and starts a container that sleeps.
    pub fn sleeping(configure: impl FnOnce(&mut Bundle)) -> Container {
        let container = Container::new(|bundle| {
            bundle.args(["sleep", "1000"]);
            configure(bundle);
        });
        container.create().output().ok();
        container.start().ok();
        container
    }

    /// Runs a shell script as the payload, in the foreground, and returns what it printed.
    #[track_caller]
    pub fn sees(&self, script: &str) -> String {
        let mut bundle = self.bundle.clone();
        bundle.sh(script);
        self.command_of(&bundle, "run", [""; 0]).output().ok()
    }

    /// Prepares `create`, after writing config.json.
    pub fn create(&self) -> Call<'_> {
        self.create_with::<&str>([])
    }

    /// Prepares `create` with more flags.
    pub fn create_with<S: AsRef<OsStr>>(&self, flags: impl IntoIterator<Item = S>) -> Call<'_> {
        self.bundle_command("create", flags)
    }

    /// Prepares `run`, after writing config.json.
    pub fn run(&self) -> Call<'_> {
        self.run_with::<&str>([])
    }

    /// Prepares `run` with more flags.
    pub fn run_with<S: AsRef<OsStr>>(&self, flags: impl IntoIterator<Item = S>) -> Call<'_> {
        self.bundle_command("run", flags)
    }

    /// Runs `start`.
    pub fn start(&self) -> Outcome {
        self.command(["start", &self.id]).output()
    }

    /// Runs `kill` with a signal.
    pub fn kill(&self, signal: &str) -> Outcome {
        self.command(["kill", &self.id, signal]).output()
    }

    /// Runs `delete`.
    pub fn delete(&self) -> Outcome {
        self.command(["delete", &self.id]).output()
    }

    /// Prepares `exec ID ARGS…`.
    pub fn exec(&self, args: &[&str]) -> Call<'_> {
        self.exec_with(&[], args)
    }

    /// Prepares `exec FLAGS… ID ARGS…`.
    pub fn exec_with(&self, flags: &[&str], args: &[&str]) -> Call<'_> {
        self.command([&["exec"], flags, &[&self.id], args].concat())
    }

    /// Runs a shell script by `exec`, and returns what it printed.
    #[track_caller]
    pub fn inside(&self, script: &str) -> String {
        self.exec(&["sh", "-c", script]).output().ok()
    }

    /// Prepares any command.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Call<'_> {
        self.runtime.call(args)
    }

    /// What `state` says.
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.command(["state", &self.id]).output().ok()).expect("state prints JSON")
    }

    /// The status that `state` tells.
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status").to_owned()
    }

    /// The pid of the container's first process, on the host.
    pub fn pid(&self) -> u32 {
        u32::try_from(self.state()["pid"].as_u64().expect("a pid")).expect("a pid")
    }

    /// Waits until the container's payload has ended.
    #[track_caller]
    pub fn wait_stopped(&self) {
        eventually("stopped", || self.status() == "stopped");
    }

    /// The `linux.cgroupsPath` of the container, for a config that the test has from elsewhere.
    pub fn cgroups_path(&self) -> String {
        self.runtime.manager.cgroups_path(&self.id)
    }

    /// The container's cgroup.
    pub fn cgroup(&self) -> Cgroup {
        self.runtime.manager.cgroup(&self.id)
    }

    /// A path in the test's own directory, as text.
    pub fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().expect("a UTF-8 path").to_owned()
    }

    /// Writes a file in the test's own directory, and returns its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        fs::write(self.dir.join(name), content).expect("write a file");
        self.path(name)
    }

    /// Has a user of this id reach the test's directory, its bundle and a copy of the runtime, and write to its
    /// directories. The files of the rootfs stay: they are shared with other tests.
    pub fn give_to(&mut self, user: u32) {
        let binary = self.dir.join("runtime");
        copy_program(&self.runtime.binary, &binary).expect("copy the runtime");
        self.runtime.binary = binary;
        give(&self.dir, user);
    }

    /// Has a further container of the same runtime deleted at the end.
    pub fn also_delete(&mut self, id: &str) {
        self.extra_ids.push(id.to_owned());
    }

    /// What the container has left behind by now.
    pub fn leftovers(&self) -> Vec<String> {
        leftovers::find(&self.id, self.runtime.manager, &self.runtime.root)
    }

    /// Fails the test if the container has left anything behind.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        let found = self.leftovers();
        assert!(found.is_empty(), "left behind:\n{}", found.join("\n"));
    }

    /// Takes away by hand whatever is left, so that a test that has found leftovers can go on.
    pub fn sweep(&self) {
        remove_by_hand(&self.id, self.runtime.manager);
        let _ = fs::remove_dir_all(&self.runtime.root);
    }

    fn bundle_command<S: AsRef<OsStr>>(&self, verb: &str, flags: impl IntoIterator<Item = S>) -> Call<'_> {
        self.command_of(&self.bundle, verb, flags)
    }

    fn command_of<S: AsRef<OsStr>>(
        &self,
        bundle: &Bundle,
        verb: &str,
        flags: impl IntoIterator<Item = S>,
    ) -> Call<'_> {
        bundle.save();
        let mut args = vec![verb.into(), "--bundle".into(), bundle.dir.clone().into_os_string()];
        args.extend(flags.into_iter().map(|flag| flag.as_ref().to_owned()));
        args.push(self.id.clone().into());
        self.command(args)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut forced = Vec::new();
        for id in self.extra_ids.iter().chain([&self.id]) {
            forced.push(self.command(["delete", "--force", id]).output());
        }
        let found = self.leftovers();
        remove_by_hand(&self.id, self.runtime.manager);
        let _ = fs::remove_dir_all(&self.dir);
        if !std::thread::panicking() {
            assert!(forced.iter().all(|outcome| outcome.code == 0), "delete --force: {}", forced[0]);
            assert!(found.is_empty(), "left behind after delete --force:\n{}", found.join("\n"));
        }
    }
}

fn give(dir: &Path, user: u32) {
    chown(dir, Some(user), Some(user)).expect("chown a directory");
    let below = fs::read_dir(dir).expect("read a directory").flatten();
    let directories = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.for_each(|entry| give(&entry.path(), user));
}

/// Takes away what the runtime under test has left, but nothing without the marker of this test.
fn remove_by_hand(marker: &str, manager: Manager) {
    manager.cgroup(marker).thaw();
    for pid in leftovers::processes(marker) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    for path in leftovers::mounts(marker).iter().rev() {
        let _ = Command::new("umount").arg("--lazy").arg(path).status();
    }
    if !leftovers::processes(marker).is_empty() {
        // The killed processes take a moment to die, and their cgroup can be removed only afterwards.
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    manager.stop(marker);
    manager.cgroup(marker).remove();
    Cgroup { path: format!("/{marker}") }.remove();
}
