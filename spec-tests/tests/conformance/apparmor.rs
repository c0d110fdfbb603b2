//! AppArmor: the profile that config.json or `exec --apparmor` names. Only on a kernel that has it on.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;
use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::{not_in_runc_1_1, only_corten, skip_if};

const CURRENT: &str = "cat /proc/self/attr/current";

/// A profile of the kernel, which goes with this value.
struct Profile(String);

impl Profile {
    /// Loads a profile that allows everything but what `denied` says.
    fn load(name: &str, denied: &str) -> Profile {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("corten-test-{}-{number}-{name}", std::process::id());
        let profile = Profile(name);
        profile.parse(
            "--replace",
            &format!("capability, network, mount, umount, pivot_root, signal, ptrace, unix, file, {denied}"),
        );
        profile
    }

    fn parse(&self, action: &str, rules: &str) {
        let mut parser = Command::new("apparmor_parser");
        let mut parser =
            parser.args(["--skip-cache", action]).stdin(Stdio::piped()).spawn().expect("run apparmor_parser");
        let text = format!("profile {} flags=(attach_disconnected) {{ {rules} }}\n", self.0);
        parser.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("write a profile");
        assert!(parser.wait().expect("wait for apparmor_parser").success());
    }

    /// What a process reads of itself under this profile.
    fn enforced(&self) -> String {
        format!("{} (enforce)", self.0)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        self.parse("--remove", "");
    }
}

fn no_apparmor() -> bool {
    let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    enabled.trim() != "Y" || !Path::new("/sbin/apparmor_parser").exists()
}

fn under(profile: &Profile) -> impl FnOnce(&mut Bundle) {
    let name = profile.0.clone();
    move |bundle| {
        bundle.set("/process/apparmorProfile", name);
    }
}

#[test]
fn a_container_runs_under_its_profile_and_an_exec_under_the_same() {
    skip_if!(no_apparmor(), "no AppArmor");
    let profile = Profile::load("own", "deny /tmp/** w,");
    let container = Container::sleeping(under(&profile));
    assert_eq!(container.inside("cat /proc/1/attr/current"), profile.enforced());
    assert_eq!(container.inside(CURRENT), profile.enforced());
    assert_eq!(
        container.inside("touch /var/x; touch /tmp/x 2>&1 || true"),
        "touch: /tmp/x: Permission denied"
    );
}

#[test]
fn exec_runs_under_the_profile_that_it_names() {
    skip_if!(no_apparmor(), "no AppArmor");
    let (own, named) = (Profile::load("own", ""), Profile::load("named", ""));
    let container = Container::sleeping(under(&own));
    let exec = |flags: &[&str]| container.exec_with(flags, &["sh", "-c", CURRENT]).output().ok();
    assert_eq!(exec(&["--apparmor", &named.0]), named.enforced());
    assert_eq!(exec(&["--apparmor", ""]), own.enforced());
    assert_eq!(exec(&["--apparmor", "unconfined"]), "unconfined");
}

#[test]
fn exec_without_a_profile_in_its_process_json_has_none() {
    skip_if!(no_apparmor(), "no AppArmor");
    let profile = Profile::load("own", "");
    let container = Container::sleeping(under(&profile));
    let exec = |profile: serde_json::Value| {
        let process = json!({
            "cwd": "/", "args": ["sh", "-c", CURRENT], "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "apparmorProfile": profile,
        });
        let process = container.file("process.json", &process.to_string());
        container.command(["exec", "--process", &process, &container.id]).output().ok()
    };
    assert_eq!(exec(profile.0.clone().into()), profile.enforced());
    assert_eq!(exec(json!(null)), "unconfined");
}

#[test]
fn a_container_without_a_profile_is_unconfined() {
    skip_if!(no_apparmor(), "no AppArmor");
    let container = Container::new(|_| {});
    assert_eq!(container.sees(CURRENT), "unconfined");
    let container = Container::new(|bundle| {
        bundle.set("/process/apparmorProfile", "unconfined");
    });
    assert_eq!(container.sees(CURRENT), "unconfined");
}

#[test]
fn a_profile_goes_with_no_new_privileges_another_user_and_a_filter() {
    skip_if!(no_apparmor(), "no AppArmor");
    let profile = Profile::load("own", "");
    let container = Container::sleeping(|bundle| {
        under(&profile)(bundle);
        bundle.set("/process/noNewPrivileges", true).set("/process/user", json!({"uid": 1000, "gid": 1000}));
        let forbidden = json!([{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]);
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": forbidden}));
    });
    let seen = format!("{CURRENT}; grep -E '^(NoNewPrivs|Seccomp):|^Uid' /proc/self/status");
    let expected =
        format!("{}\nUid:\t1000\t1000\t1000\t1000\nNoNewPrivs:\t1\nSeccomp:\t2", profile.enforced());
    assert_eq!(container.inside(&seen), expected);
    assert_eq!(container.inside("cat /proc/1/attr/current"), profile.enforced());
}

/// The profile is written through a procfs that nothing covers.
#[test]
fn a_profile_is_applied_below_a_read_only_proc() {
    skip_if!(no_apparmor(), "no AppArmor");
    not_in_runc_1_1!("exec writes through the container's /proc");
    let profile = Profile::load("own", "");
    let container = Container::sleeping(|bundle| {
        under(&profile)(bundle);
        bundle.set("/linux/readonlyPaths", json!(["/proc"])).set("/root/readonly", true);
    });
    assert_eq!(container.inside(CURRENT), profile.enforced());
}

#[test]
fn a_profile_is_applied_in_joined_namespaces_and_in_a_user_namespace() {
    skip_if!(no_apparmor(), "no AppArmor");
    let profile = Profile::load("own", "");
    let owner = Container::sleeping(|_| {});
    let joined = Container::new(|bundle| {
        under(&profile)(bundle);
        bundle.namespace("pid", Some(&format!("/proc/{}/ns/pid", owner.pid())));
    });
    assert_eq!(joined.sees(CURRENT), profile.enforced());
    let remapped = Container::new(|bundle| {
        under(&profile)(bundle);
        bundle.user_namespace(100_000);
    });
    assert_eq!(remapped.sees(CURRENT), profile.enforced());
}

#[test]
fn hooks_outside_of_the_container_are_not_under_its_profile() {
    skip_if!(no_apparmor(), "no AppArmor");
    let profile = Profile::load("own", "");
    let seen = std::env::temp_dir().join(format!("{}.hook", profile.0));
    let container = Container::new(|bundle| {
        under(&profile)(bundle);
        bundle.hook("createRuntime", &format!("{CURRENT} > {}", seen.display()));
    });
    container.run().output().ok();
    let text = std::fs::read_to_string(&seen).expect("what the hook wrote");
    std::fs::remove_file(&seen).expect("remove it");
    assert_eq!(text.trim(), "unconfined");
}

#[test]
fn a_profile_that_is_not_loaded_is_an_error() {
    skip_if!(no_apparmor(), "no AppArmor");
    let container = Container::new(|bundle| {
        bundle.set("/process/apparmorProfile", "corten-test-missing");
    });
    container.create().output().fails_with("apparmor");
    container.assert_nothing_left();
    let running = Container::sleeping(|_| {});
    running.exec_with(&["--apparmor", "corten-test-missing"], &["true"]).output().fails_with("apparmor");
}

/// Podman tells its caller that a label was refused if the path stands between these quotes.
#[test]
fn the_error_of_a_missing_profile_has_the_path_that_podman_looks_for() {
    skip_if!(no_apparmor(), "no AppArmor");
    only_corten!("the words of an error");
    let container = Container::new(|bundle| {
        bundle.set("/process/apparmorProfile", "corten-test-missing");
    });
    let text = container.create().output().fails();
    assert!(text.contains("process.apparmorProfile"), "{text}");
    assert!(
        text.contains("write(`/proc/thread-self/attr/apparmor/exec`): no such file or directory"),
        "{text}"
    );
    assert!(text.contains("hint: is the profile corten-test-missing loaded?"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}
