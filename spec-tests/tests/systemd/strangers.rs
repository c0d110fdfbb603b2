//! Units of others that bear a container's name: whatever the runtime does, they live on.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::manager::{systemctl, unit};
use spec_tests::runtime::{Call, Running, eventually};
use spec_tests::subject::subject;
use spec_tests::{only_corten, skip_if};

use crate::{need_systemd, show, sleeping};

/// A scope under a container's name, with a process that is none of the container's.
struct Stranger {
    process: Child,
    unit: String,
}

impl Stranger {
    fn of(container: &Container, command: &[&str]) -> Stranger {
        Stranger::in_slice("spec.slice", container, command)
    }

    fn in_slice(slice: &str, container: &Container, command: &[&str]) -> Stranger {
        let unit = unit(&container.id);
        let mut run = Command::new("systemd-run");
        run.args(["--scope", "--quiet", "--slice", slice, "--unit", &unit]).args(command);
        let process = run.spawn().unwrap();
        let stranger = Stranger { process, unit };
        eventually("the scope is there", || stranger.is("active") || stranger.is("failed"));
        stranger
    }

    #[track_caller]
    fn lives_on(&mut self) {
        assert!(self.process.try_wait().unwrap().is_none(), "the stranger has ended");
        assert!(self.is("active"), "the stranger's unit has ended");
    }

    fn is(&self, state: &str) -> bool {
        systemctl(["show", "--value", "--property", "ActiveState", &self.unit]) == state
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // The scope ends with its process. By now its name may be that of the container's.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_failed_unit_of_the_same_name_is_put_aside() {
    need_systemd!();
    let container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    skip_if!(subject().version().ends_with(" 1.1.5"), "runc 1.1.5 starts without a scope");
    // A scope fails if it doesn't end in time.
    let command = ["--property=RuntimeMaxSec=1", "sh", "-c", "sleep 1000"];
    let mut stranger = Stranger::of(&container, &command);
    eventually("the scope has failed", || stranger.is("failed"));
    stranger.process.wait().unwrap();
    container.run_with(["--detach"]).output().ok();
    assert_eq!(container.status(), "running");
    assert_eq!(show(&container, "ActiveState"), "active");
}

#[test]
fn a_live_unit_of_the_same_name_is_refused_and_lives_on() {
    need_systemd!();
    skip_if!(subject().is_crun(), "crun kills it");
    skip_if!(subject().version().ends_with(" 1.1.5"), "runc 1.1.5 starts beside it");
    let container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let mut stranger = Stranger::of(&container, &["sleep", "1000"]);
    container.create().output().fails();
    // runc 1.1 keeps nothing of a create that has failed; what is deleted here is deleted by force.
    container.command(["delete", "--force", &container.id]).output();
    stranger.lives_on();
}

/// Its cgroup is elsewhere, so only systemd can tell that the name is taken.
#[test]
fn a_live_unit_in_another_slice_lives_on() {
    need_systemd!();
    only_corten!("the peers' ends of such a start differ");
    let container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let mut stranger = Stranger::in_slice("other.slice", &container, &["sleep", "1000"]);
    container.create().output().fails_with("UnitExists");
    container.command(["delete", "--force", &container.id]).output();
    stranger.lives_on();
    let made = Path::new("/sys/fs/cgroup/spec.slice").join(&stranger.unit);
    assert!(!made.exists(), "{} is left", made.display());
}

/// The runtime built with faults, if there is such a build: a kill by time would strike where it likes.
fn with_faults(container: &mut Container) -> bool {
    let binary = std::env::var_os("CORTEN_FAULTS_BIN").map(PathBuf::from);
    let is_there = binary.is_some();
    container.runtime.binary = binary.unwrap_or_else(|| container.runtime.binary.clone());
    is_there
}

fn to_be_created(configure: impl FnOnce(&mut Bundle)) -> Container {
    Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
        configure(bundle);
    })
}

/// The start fails when systemd is at work on its unit, or once its unit runs.
#[test]
fn a_create_that_fails_leaves_a_unit_of_its_name_alone() {
    need_systemd!();
    skip_if!(!subject().is_corten(), "the peers' ends of such a start differ");
    // The kernel refuses a map whose parts overlap.
    let overlapping: fn(&mut Bundle) = |bundle| {
        let map = json!([
            {"containerID": 0, "hostID": 100_000, "size": 10},
            {"containerID": 5, "hostID": 200_000, "size": 10},
        ]);
        bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    };
    let failing_hook: fn(&mut Bundle) = |bundle| {
        bundle.hook("createRuntime", "exit 1");
    };
    for configure in [overlapping, failing_hook] {
        for slice in ["spec.slice", "other.slice"] {
            let container = to_be_created(configure);
            let mut stranger = Stranger::in_slice(slice, &container, &["sleep", "1000"]);
            container.create().output().fails();
            container.command(["delete", "--force", &container.id]).output().ok();
            stranger.lives_on();
        }
    }
}

/// The unit was asked for and not yet waited for when the start failed.
#[test]
fn a_create_that_fails_before_its_unit_is_confirmed_leaves_no_unit() {
    need_systemd!();
    let container = to_be_created(|bundle| {
        let map = json!([
            {"containerID": 0, "hostID": 100_000, "size": 10},
            {"containerID": 5, "hostID": 200_000, "size": 10},
        ]);
        bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    });
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn a_hook_that_fails_leaves_no_unit() {
    need_systemd!();
    for hook in ["createRuntime", "createContainer"] {
        let container = to_be_created(|bundle| {
            bundle.hook(hook, "exit 1");
        });
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

/// Killed between the start of its unit and the record of the created container.
#[test]
fn a_create_killed_before_its_record_leaves_nothing_and_stops_no_stranger() {
    need_systemd!();
    for step in ["start-unit", "await-unit", "limit-cgroup"] {
        let mut container = to_be_created(|_| {});
        skip_if!(!with_faults(&mut container), "CORTEN_FAULTS_BIN is not set");
        let killed = container.create().env("CORTEN_FAULT", format!("kill:{step}")).output();
        assert_eq!(killed.code, 128 + 9, "{step}: {killed}");
        container.command(["delete", "--force", &container.id]).output().ok();
        container.assert_nothing_left();
    }
    for (step, slice) in
        [("start-unit", "other.slice"), ("await-unit", "other.slice"), ("start-unit", "spec.slice")]
    {
        let mut container = to_be_created(|_| {});
        with_faults(&mut container);
        let before =
            (slice == "other.slice").then(|| Stranger::in_slice(slice, &container, &["sleep", "1000"]));
        container.create().env("CORTEN_FAULT", format!("kill:{step}")).output();
        // In the slice of the container, the stranger finds the cgroup that is left of the start.
        let mut stranger =
            before.unwrap_or_else(|| Stranger::in_slice(slice, &container, &["sleep", "1000"]));
        container.command(["delete", "--force", &container.id]).output().ok();
        stranger.lives_on();
        drop(stranger);
        container.assert_nothing_left();
    }
}

/// The container has stopped, its unit has gone by itself, and its name and cgroup are somebody else's by now.
#[test]
fn a_delete_leaves_a_stranger_that_has_taken_the_name_alone() {
    need_systemd!();
    skip_if!(!subject().is_corten(), "the peers stop whatever has the name");
    let own_pids: fn(&mut Bundle) = |_| {};
    let shared_pids: fn(&mut Bundle) = |bundle| {
        bundle.share_namespace("pid");
    };
    for configure in [own_pids, shared_pids] {
        for force in [&[][..], &["--force"]] {
            let container = sleeping(configure);
            container.kill("KILL").ok();
            container.wait_stopped();
            eventually("the unit has gone", || crate::units(&container).is_empty());
            let mut stranger = Stranger::of(&container, &["sleep", "1000"]);
            let delete = [&["delete"], force, &[container.id.as_str()]].concat();
            container.command(delete).output().ok();
            stranger.lives_on();
            drop(stranger);
            container.assert_nothing_left();
        }
    }
}

/// Whoever loses a race touches nothing of the winner's.
fn race(containers: [&Container; 2]) {
    // Each writes its config before one of them reads it.
    let begun = containers.map(Container::create).map(Call::spawn);
    let ended = begun.map(Running::wait);
    let won: Vec<_> = containers.iter().zip(&ended).filter(|(_, create)| create.code == 0).collect();
    let [(winner, _)] = won[..] else { panic!("{} have won: {} {}", won.len(), ended[0], ended[1]) };
    assert_eq!(winner.status(), "created");
    winner.start().ok();
    assert_eq!(winner.status(), "running");
    assert_eq!(crate::units(containers[0]).len(), 1);
    winner.kill("KILL").ok();
    winner.wait_stopped();
    winner.delete().ok();
    for container in containers {
        container.assert_nothing_left();
    }
}

const RACES: usize = 20;

#[test]
fn of_two_creates_of_one_id_one_wins() {
    need_systemd!();
    only_corten!("a lock around the state of a container");
    for _ in 0..RACES {
        let container = to_be_created(|_| {});
        race([&container, &container]);
    }
}

#[test]
fn of_two_creates_of_one_unit_one_wins() {
    need_systemd!();
    only_corten!("the peers' ends of such a race differ");
    for _ in 0..RACES {
        let one = to_be_created(|_| {});
        let mut other = to_be_created(|_| {});
        other.bundle.set("/linux/cgroupsPath", one.cgroups_path());
        race([&one, &other]);
    }
}

#[test]
fn a_slice_is_the_unit() {
    need_systemd!();
    only_corten!("a slice as the unit");
    let slice = |container: &Container| format!("spec-{}.slice", container.id);
    let mut container = to_be_created(|_| {});
    container.bundle.set("/linux/cgroupsPath", format!("spec.slice:x:{}", slice(&container)));
    container.run_with(["--detach"]).output().ok();
    assert_eq!(crate::cgroup_of(container.pid()), format!("/spec.slice/{}", slice(&container)));
    assert_eq!(systemctl(["is-active", &slice(&container)]), "active");
    systemctl(["daemon-reload"]);
    assert_eq!(crate::cgroup_of(container.pid()), format!("/spec.slice/{}", slice(&container)));
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
}

/// A slice that is there may be anybody's, with scopes of others in it.
#[test]
fn a_slice_of_others_is_refused_and_lives_on() {
    need_systemd!();
    only_corten!("a slice as the unit");
    let mut container = to_be_created(|_| {});
    let slice = format!("spec-{}.slice", container.id);
    container.bundle.set("/linux/cgroupsPath", format!("spec.slice:x:{slice}"));
    let mut stranger = Stranger::in_slice(&slice, &container, &["sleep", "1000"]);
    container.create().output().fails();
    container.command(["delete", "--force", &container.id]).output().ok();
    stranger.lives_on();
    assert_eq!(systemctl(["is-active", &slice]), "active");
    drop(stranger);
    systemctl(["stop", &slice]);
}
