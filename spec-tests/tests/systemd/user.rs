//! Containers of an ordinary user's systemd, called from a scope of that systemd and from a login session, which is
//! outside of what was delegated to the user.

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::runtime::Call;
use spec_tests::{only_corten, skip_if, view};

use crate::{cgroup_of, need_systemd};

/// The user of the machine, who has a manager.
const USER: u32 = 1000;

/// The user at a login, who finds the bus of the manager.
const AT_LOGIN: [&str; 8] = [
    "setpriv",
    "--reuid=1000",
    "--regid=1000",
    "--init-groups",
    "--inh-caps=-all",
    "/usr/bin/env",
    "--unset=DBUS_SESSION_BUS_ADDRESS",
    "XDG_RUNTIME_DIR=/run/user/1000",
];

/// In a scope of the user's manager.
const IN_A_SCOPE: [&str; 6] = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--"];

/// Leaves the test where there is no such user, or the kernel's rules are not v2's.
macro_rules! need_user {
    () => {
        need_systemd!();
        skip_if!(!std::fs::exists("/run/user/1000/systemd/private").unwrap(), "no user with a manager");
        skip_if!(!view::is_unified(), "cgroups of v1 are delegated to no user");
    };
}

fn at_login(call: Call<'_>) -> Call<'_> {
    call.by(AT_LOGIN)
}

fn in_a_scope(call: Call<'_>) -> Call<'_> {
    call.by([&AT_LOGIN[..], &IN_A_SCOPE].concat())
}

fn sleeping(configure: impl FnOnce(&mut Bundle)) -> Container {
    let mut container = Container::in_a_scope(|bundle| {
        let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
        bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        bundle.config["linux"].as_object_mut().expect("linux").remove("resources");
        for mount in bundle.config["mounts"].as_array_mut().expect("mounts") {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
        bundle.args(["sleep", "1000"]);
        configure(bundle);
    });
    container.give_to(USER);
    at_login(container.run_with(["--detach"])).output().ok();
    container
}

/// Takes the container away as its user, whose manager root's runtime doesn't ask.
fn delete(container: &Container) {
    at_login(container.command(["delete", "--force", &container.id])).output().ok();
    container.assert_nothing_left();
}

/// The cgroup of a process that `exec` has brought into the container.
fn cgroup_of_exec(container: &Container, by: fn(Call<'_>) -> Call<'_>, flags: &[&str]) -> String {
    let pid_file = container.path("pid");
    let flags = [&["--detach", "--pid-file", &pid_file], flags].concat();
    by(container.exec_with(&flags, &["sleep", "1000"])).output().ok();
    cgroup_of(std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap())
}

#[test]
fn a_container_is_in_a_scope_of_the_users_manager() {
    need_user!();
    let container = sleeping(|_| {});
    let seen = cgroup_of(container.pid());
    assert!(seen.starts_with("/user.slice/user-1000.slice/user@1000.service/spec.slice/spec-"), "{seen}");
    delete(&container);
}

#[test]
fn an_exec_from_anywhere_lands_in_the_scope() {
    need_user!();
    only_corten!("asking systemd to move the process");
    let container = sleeping(|_| {});
    let expected = cgroup_of(container.pid());
    for by in [at_login, in_a_scope] {
        assert_eq!(cgroup_of_exec(&container, by, &[]), expected);
    }
    delete(&container);
}

#[test]
fn an_exec_from_a_login_joins_a_cgroup_below_the_scope() {
    need_user!();
    only_corten!("asking systemd to move the process");
    let container = sleeping(|_| {});
    let scope = cgroup_of(container.pid());
    at_login(container.exec(&["true"])).output().ok();
    let below = format!("/sys/fs/cgroup{scope}/below");
    assert!(
        std::process::Command::new(AT_LOGIN[0])
            .args(&AT_LOGIN[1..])
            .args(["mkdir", &below])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(cgroup_of_exec(&container, at_login, &["--cgroup", "below"]), format!("{scope}/below"));
    delete(&container);
}

#[test]
fn without_its_manager_an_exec_from_a_login_fails() {
    need_user!();
    only_corten!("asking systemd to move the process");
    let container = sleeping(|_| {});
    let alone = [&AT_LOGIN[..6], &["XDG_RUNTIME_DIR=/nonexistent"]].concat();
    container.exec(&["true"]).by(alone).output().fails();
    assert_eq!(at_login(container.exec(&["echo", "alive"])).output().ok(), "alive");
    delete(&container);
}
