//! The runtime as an ordinary user calls it: with a map of their own ids alone, with ranges that newuidmap and
//! newgidmap map, and inside a user namespace that is there already.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use serde_json::{Value, json};
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::runtime::Call;
use spec_tests::subject::subject;
use spec_tests::{only_corten, skip_if};

/// A user and a group that nobody here has.
const USER: u32 = 1234;

/// The first of the user's subordinate ids.
const SUBORDINATE: u32 = 700_000;

/// Becomes the user, with no right at all.
const AS_USER: [&str; 6] =
    ["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups", "--inh-caps=-all", "--"];

#[test]
fn a_user_maps_their_own_ids_and_gives_up_setgroups() {
    let container = users_container(own_ids);
    let seen =
        as_user(script(&container, "cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups; id -u"));
    assert_eq!(words(&seen.output().ok()), "0 1234 1 0 1234 1 deny 0");
}

#[test]
fn a_users_container_lives_and_dies_like_any() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.args(["sleep", "1000"]);
    });
    let command = |args: &[&str]| as_user(container.command(args)).output();
    as_user(container.create()).output().ok();
    command(&["start", &container.id]).ok();
    let exec = ["exec", &container.id, "sh", "-c", "id -u; cat /proc/self/uid_map"];
    assert_eq!(words(&command(&exec).ok()), "0 0 1234 1");
    command(&["exec", "--user", "0:0", &container.id, "true"]).ok();
    let state: Value = serde_json::from_str(&command(&["state", &container.id]).ok()).unwrap();
    assert_eq!(state["status"], "running");
    command(&["kill", &container.id, "KILL"]).ok();
    container.wait_stopped();
    command(&["delete", &container.id]).ok();
    container.assert_nothing_left();
}

#[test]
fn ranges_of_subordinate_ids_are_mapped_by_the_helpers() {
    skip_if!(!has_helpers(), "newuidmap and newgidmap are not here");
    let container = users_container(|bundle| {
        ranges(bundle, SUBORDINATE);
    });
    let call =
        with_subordinate_ids(&container, script(&container, "cat /proc/self/uid_map /proc/self/setgroups"));
    assert_eq!(words(&call.output().ok()), "0 1234 1 1 700000 1000 allow");
    let container = users_container(|bundle| {
        ranges(bundle, SUBORDINATE);
        bundle.set("/process/user", json!({"uid": 5, "gid": 6}));
    });
    let call = with_subordinate_ids(&container, script(&container, "id -u; id -g; touch /tmp/mine"));
    assert_eq!(words(&call.output().ok()), "5 6");
    let owner = fs::metadata(container.path("bundle/rootfs/tmp/mine")).unwrap().uid();
    assert_eq!(owner, SUBORDINATE + 4);
}

#[test]
fn groups_that_are_mapped_can_be_had() {
    skip_if!(!has_helpers(), "newuidmap and newgidmap are not here");
    only_corten!("an additional group of a user's container");
    let container = users_container(|bundle| {
        ranges(bundle, SUBORDINATE);
        bundle.set("/process/user", json!({"uid": 5, "gid": 6, "additionalGids": [7, 8]}));
    });
    let call = with_subordinate_ids(&container, script(&container, "id -G"));
    assert_eq!(call.output().ok(), "6 7 8");
}

#[test]
fn ids_that_are_not_the_users_are_refused_in_the_helpers_words() {
    skip_if!(!has_helpers(), "newuidmap and newgidmap are not here");
    let container = users_container(|bundle| {
        ranges(bundle, SUBORDINATE + 100_000);
    });
    let outcome = with_subordinate_ids(&container, script(&container, "true")).output();
    let error = outcome.fails();
    if subject().is_corten() {
        assert!(error.contains("newuidmap: uid range [1-1001) -> [800000-801000) not allowed"), "{error}");
    }
}

#[test]
fn without_the_helpers_the_error_names_them() {
    let container = users_container(|bundle| {
        ranges(bundle, SUBORDINATE);
    });
    let nowhere = [&AS_USER[..], &["/usr/bin/env", "PATH=/nonexistent"]].concat();
    let error = script(&container, "true").by(nowhere).output().fails();
    if subject().is_corten() {
        assert!(error.contains("newuidmap is not in $PATH"), "{error}");
    }
}

#[test]
fn a_user_needs_a_user_namespace() {
    let container = users_container(|bundle| {
        for field in ["uidMappings", "gidMappings"] {
            bundle.config["linux"].as_object_mut().unwrap().remove(field);
        }
    });
    as_user(container.run()).output().fails_with("rootless container requires user namespaces");
}

#[test]
fn groups_that_cannot_be_set_are_refused() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.set("/process/user/additionalGids", json!([5]));
    });
    as_user(container.run()).output().fails();
}

#[test]
fn an_owner_without_a_mapping_is_refused_by_name() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.mount("tmpfs", "tmpfs", "/owned", &["gid=5"]);
    });
    let error = as_user(container.run()).output().fails();
    if subject().is_corten() {
        assert!(error.contains("gid=5 is not mapped in linux.gidMappings"), "{error}");
    }
}

#[test]
fn devices_are_the_hosts() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.set("/linux/devices", json!([{"path": "/dev/full", "type": "c", "major": 1, "minor": 7}]));
    });
    let call = as_user(script(
        &container,
        "echo x > /dev/null; head -c 4 /dev/zero | wc -c; stat -c %t:%T /dev/full",
    ));
    assert_eq!(words(&call.output().ok()), "4 1:7");
}

#[test]
fn binds_are_as_the_options_say() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        let source = bundle.dir.join("data");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), "text").unwrap();
        bundle.mount("bind", &source, "/data", &["rbind", "ro"]);
        bundle.mount("bind", source.join("file"), "/file", &["bind"]);
    });
    let call =
        as_user(script(&container, "cat /data/file /file; touch /data/x 2>/dev/null || echo ' read-only'"));
    assert_eq!(call.output().ok(), "texttext read-only");
}

#[test]
fn limits_without_a_right_to_a_cgroup_are_refused_and_rules_for_devices_are_passed_over() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.set("/linux/resources", json!({"devices": [{"allow": false, "access": "rwm"}]}));
    });
    as_user(script(&container, "true")).output().ok();
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.set("/linux/resources", json!({"memory": {"limit": 100_000_000}}));
    });
    as_user(script(&container, "true")).output().fails();
}

#[test]
fn an_update_without_a_cgroup_says_what_is_missing() {
    only_corten!("the wording");
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.args(["sleep", "1000"]);
    });
    as_user(container.create()).output().ok();
    let update = as_user(container.command(["update", "--pids-limit", "5", &container.id])).output();
    update.fails_with("linux.resources.pids.limit: the container has no cgroup of its own");
}

#[test]
fn namespaces_of_another_container_of_the_user_are_joined_with_its_users() {
    let holder = running_container();
    for kind in ["ipc", "uts", "pid"] {
        let [users, path] = ["user", kind].map(|kind| format!("/proc/{}/ns/{kind}", holder.pid()));
        let joining = users_container(|bundle| {
            bundle.namespace("user", Some(&users)).namespace(kind, Some(&path));
        });
        let seen = as_user(script(&joining, &format!("readlink /proc/self/ns/{kind}; id -u"))).output().ok();
        let theirs = fs::read_link(&path).unwrap();
        assert_eq!(words(&seen), format!("{} 0", theirs.display()));
    }
}

#[test]
fn a_namespace_without_its_users_is_refused_with_a_hint() {
    only_corten!("the hint");
    let holder = running_container();
    let path = format!("/proc/{}/ns/ipc", holder.pid());
    let joining = users_container(|bundle| {
        own_ids(bundle);
        bundle.namespace("ipc", Some(&path));
    });
    as_user(joining.run()).output().fails_with("a user namespace that has to be joined as well");
}

#[test]
fn a_rootfs_that_the_container_s_root_may_not_reach_is_refused_with_a_hint() {
    only_corten!("the hint");
    skip_if!(!has_helpers(), "newuidmap and newgidmap are not here");
    let container = users_container(|bundle| {
        let map = json!([{"containerID": 0, "hostID": SUBORDINATE, "size": 1000}]);
        bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    });
    fs::set_permissions(&container.dir, Permissions::from_mode(0o700)).unwrap();
    let outcome = with_subordinate_ids(&container, script(&container, "true")).output();
    outcome.fails_with("may not enter a directory above it");
}

#[test]
fn without_leave_a_cgroup_that_cannot_be_made_is_an_error() {
    let container = users_container(own_ids);
    as_user(script(&container, "true")).global(["--rootless=true"]).output().ok();
    as_user(script(&container, "true")).global(["--rootless=false"]).output().fails();
}

#[test]
fn the_oom_score_is_raised() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.set("/process/oomScoreAdj", 700);
    });
    let call = as_user(script(&container, "cat /proc/self/oom_score_adj"));
    assert_eq!(call.output().ok(), "700");
}

#[test]
fn an_oom_score_that_cannot_be_lowered_stays() {
    only_corten!("an OOM score that stays");
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.set("/process/oomScoreAdj", -700);
    });
    as_user(script(&container, "true")).output().ok();
}

#[test]
fn what_takes_root_is_refused_by_name() {
    only_corten!("the wording");
    let refused = |pointer: &str, value: Value| {
        let container = users_container(|bundle| {
            own_ids(bundle);
            bundle.push(pointer, value);
        });
        as_user(container.run()).output().fails()
    };
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    let id_mapped = json!({"type": "bind", "source": "/tmp", "destination": "/m", "options": ["bind", "idmap"],
        "uidMappings": map, "gidMappings": map});
    assert!(refused("/mounts", id_mapped).contains("an id-mapped mount needs root of the host"));
    let time = refused("/linux/namespaces", json!({"type": "time"}));
    assert!(time.contains("linux.namespaces[time]: a time namespace needs root of the host"), "{time}");
}

#[test]
fn hooks_run_as_the_user() {
    let container = users_container(|bundle| {
        own_ids(bundle);
        let file = bundle.dir.join("hook");
        bundle.hook("createRuntime", &format!("id -u > {}", file.display()));
    });
    as_user(script(&container, "true")).output().ok();
    assert_eq!(fs::read_to_string(container.path("bundle/hook")).unwrap().trim(), "1234");
}

#[test]
fn root_of_a_user_namespace_runs_containers_without_one_and_below() {
    let inside = [&AS_USER[..], &["unshare", "--user", "--map-root-user", "--mount", "--"]].concat();
    let container = users_container(|bundle| {
        bundle.set("/process/oomScoreAdj", 300);
    });
    let see = "cat /proc/self/uid_map; echo x > /dev/null && cat /proc/self/oom_score_adj";
    let call = script(&container, see).by(&inside);
    assert_eq!(words(&call.output().ok()), "0 1234 1 300");
    let container = users_container(|bundle| {
        let map = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
        bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        bundle.mount("bind", "/bin/busybox", "/bound", &["bind", "ro"]);
    });
    let call = script(&container, "cat /proc/self/uid_map; test -s /bound && echo bound").by(&inside);
    assert_eq!(words(&call.output().ok()), "0 0 1 bound");
}

#[test]
fn the_config_that_spec_writes_runs() {
    let container = users_container(own_ids);
    let bundle = container.path("spec");
    fs::create_dir(&bundle).unwrap();
    chown(&bundle, Some(USER), Some(USER)).unwrap();
    as_user(container.command(["spec", "--rootless", "--bundle", &bundle])).output().ok();
    let path = format!("{bundle}/config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["root"]["path"] = container.path("bundle/rootfs").into();
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = json!(["id", "-u"]);
    fs::write(&path, config.to_string()).unwrap();
    let run = as_user(container.command(["run", "--bundle", &bundle, &container.id]));
    assert_eq!(run.output().ok(), "0");
}

/// A container whose files, and whose copy of the runtime, the user can reach. It asks for no cgroup.
fn users_container(configure: impl FnOnce(&mut Bundle)) -> Container {
    let mut container = Container::new(|bundle| {
        let linux = bundle.config["linux"].as_object_mut().expect("linux");
        linux.remove("cgroupsPath");
        linux.remove("resources");
        for mount in bundle.config["mounts"].as_array_mut().expect("mounts") {
            if let Some(options) = mount["options"].as_array_mut() {
                options.retain(|option| option != "gid=5");
            }
        }
        configure(bundle);
    });
    container.give_to(USER);
    container
}

/// A container that runs: until its program is executed, its namespaces are closed to the user.
fn running_container() -> Container {
    let container = users_container(|bundle| {
        own_ids(bundle);
        bundle.args(["sleep", "1000"]);
    });
    as_user(container.create()).output().ok();
    as_user(container.command(["start", &container.id])).output().ok();
    container
}

fn own_ids(bundle: &mut Bundle) {
    let map = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
}

/// Root is the user, all others are from `first` on.
fn ranges(bundle: &mut Bundle, first: u32) {
    let map = json!([
        {"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": first, "size": 1000},
    ]);
    bundle.namespace("user", None).set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
}

fn has_helpers() -> bool {
    ["newuidmap", "newgidmap"].iter().all(|name| PathBuf::from("/usr/bin").join(name).exists())
}

fn script<'a>(container: &'a Container, script: &str) -> Call<'a> {
    let mut bundle = container.bundle.clone();
    bundle.sh(script).save();
    container.command(["run".as_ref(), "--bundle".as_ref(), bundle.dir.as_os_str(), container.id.as_ref()])
}

fn as_user(call: Call<'_>) -> Call<'_> {
    call.by(AS_USER)
}

/// Has the machine know the user and the user's subordinate ids, for this command.
fn with_subordinate_ids<'a>(container: &Container, call: Call<'a>) -> Call<'a> {
    let passwd = container.file("passwd", "root:x:0:0::/:/bin/sh\ntester:x:1234:1234::/:/bin/sh\n");
    let ids = container.file("subids", &format!("tester:{SUBORDINATE}:65536\n"));
    let bind = |file: &str, on: &str| format!("mount --bind {file} {on}\n");
    let lines = [(&passwd, "/etc/passwd"), (&ids, "/etc/subuid"), (&ids, "/etc/subgid")];
    let lines: String = lines.into_iter().map(|(file, on)| bind(file, on)).collect();
    as_user(call.private_mounts().prologue(&lines))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
