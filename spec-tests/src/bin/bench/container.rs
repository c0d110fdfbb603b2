//! The container of one runtime in one measure: its bundle, its cgroups, and the commands that are measured.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use spec_tests::bundle::Bundle;
use spec_tests::manager::Manager;
use spec_tests::view::{self, View};

use crate::fixture::Fixture;
use crate::runtime::Runtime;
use crate::{Result, process};

/// What Docker writes for `docker run` without options.
pub const DOCKER_DEFAULT: &str = include_str!("../../../data/engine-configs/docker-28.5-run-default.json");

pub struct Container<'a> {
    pub runtime: &'a Runtime,
    manager: Manager,
    /// The container and its bundle: Docker's defaults with `/bin/true` as the program.
    pub id: String,
    pub bundle: Bundle,
    state: PathBuf,
    errors: PathBuf,
}

impl<'a> Container<'a> {
    /// Writes a bundle for `runtime`. No other container of this runtime may have the same `name`.
    pub fn new(fixture: &Fixture, view: View, runtime: &'a Runtime, name: &str) -> Result<Container<'a>> {
        let own = format!("{}-{}-{name}", runtime.name, view.name());
        let dir = fixture.dir.join("containers").join(&own);
        fs::create_dir_all(&dir)?;
        let id = format!("{}-{own}", fixture.marker);
        let cgroups_path = match fixture.manager {
            Manager::Cgroupfs => format!("/{}/{own}", fixture.marker),
            Manager::Systemd => fixture.manager.cgroups_path(&id),
        };
        let container = Container {
            runtime,
            manager: fixture.manager,
            id,
            bundle: Bundle { dir: dir.clone(), config: docker_default(fixture, view, &cgroups_path)? },
            state: fixture.states().join(&runtime.name),
            errors: dir.join("errors"),
        };
        container.bundle.save();
        Ok(container)
    }

    /// `BINARY --root STATE ARGS…`, with the flags that name the manager of cgroups.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.runtime.binary);
        command.arg("--root").arg(&self.state).args(self.manager.flags()).args(args);
        command
    }

    /// Times one command.
    pub fn time<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Duration> {
        self.time_command(self.command(args))
    }

    /// Times a command that was prepared, which may be one of another program.
    pub fn time_command(&self, command: Command) -> Result<Duration> {
        process::time(command, &self.errors)
    }

    /// `run --bundle BUNDLE ID`
    pub fn run_command(&self) -> Command {
        let mut command = self.command(["run", "--bundle"]);
        command.arg(&self.bundle.dir).arg(&self.id);
        command
    }

    /// Creates the container in the background and returns the pid of its init, which has become the bench's child.
    pub fn create(&self) -> Result<(Duration, i32)> {
        let pid_file = self.bundle.dir.join("pid");
        let mut command = self.command(["create", "--pid-file"]);
        command.arg(&pid_file).arg("--bundle").arg(&self.bundle.dir).arg(&self.id);
        let took = self.time_command(command)?;
        Ok((took, fs::read_to_string(pid_file)?.trim().parse()?))
    }

    /// Takes the container away, in whatever state a failure has left it.
    pub fn clear(&self) {
        // Mostly there is nothing to take away, which some runtimes call an error.
        let _ = self.time(["delete", "--force", &self.id]);
    }
}

/// Docker's config.json with the places on the host replaced by the bench's, and without Docker's own hooks.
fn docker_default(fixture: &Fixture, view: View, cgroup: &str) -> Result<Value> {
    let mut config: Value = serde_json::from_str(DOCKER_DEFAULT)?;
    // crun 1.8 refuses later versions, and nothing in this config needs one.
    config["ociVersion"] = "1.0.2".into();
    config["root"]["path"] = json!(fixture.rootfs());
    config["process"]["args"] = json!(["/bin/true"]);
    config["linux"]["cgroupsPath"] = cgroup.into();
    if let Some(fields) = config.as_object_mut() {
        fields.remove("hooks");
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten().filter(|mount| mount["type"] == "bind")
    {
        let destination = mount["destination"].as_str().unwrap_or_default();
        mount["source"] = json!(fixture.dir.join(destination.trim_start_matches("/etc/")));
    }
    if view == View::V2 || view::is_unified() {
        as_on_v2(&mut config["linux"]);
    }
    Ok(config)
}

/// The file was written on cgroup v1. On v2 Docker asks for a cgroup namespace, too. Limits that limit nothing are
/// taken out, because crun wants their controllers all the same, and the cgroup2 mount of a hybrid machine has none.
fn as_on_v2(linux: &mut Value) {
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.push(json!({"type": "cgroup"}));
    }
    if let Some(resources) = linux["resources"].as_object_mut() {
        resources.remove("memory");
        resources.remove("blockIO");
    }
}
