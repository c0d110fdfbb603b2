//! Which scope, in which slice, a `linux.cgroupsPath` means.

use spec_tests::container::Container;
use spec_tests::manager::{self, Manager};
use spec_tests::subject::subject;
use spec_tests::{only_corten, skip_if};

use crate::{cgroup_of, need_systemd, sleeping};

/// Fails the test unless the container with this path runs in the cgroup, or, as crun has it, in one below.
#[track_caller]
fn lands(path: &str, expected: &str) {
    let mut container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    container.bundle.set("/linux/cgroupsPath", path.replace("ID", &container.id));
    container.run_with(["--detach"]).output().ok();
    let seen = cgroup_of(container.pid());
    assert_eq!(seen.trim_end_matches("/container"), expected.replace("ID", &container.id), "{path}");
}

#[test]
fn prefix_and_name_become_a_scope_in_the_slice() {
    need_systemd!();
    let container = sleeping(|_| {});
    assert_eq!(cgroup_of(container.pid()).trim_end_matches("/container"), container.cgroup().path);
    assert_eq!(crate::show(&container, "ActiveState"), "active");
    assert_eq!(crate::show(&container, "Slice"), "spec.slice");
}

#[test]
fn without_a_path_the_scope_is_in_system_slice_and_bears_the_id() {
    need_systemd!();
    let container = sleeping(|bundle| {
        bundle.config["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    });
    let seen = cgroup_of(container.pid());
    let name = subject().path.file_name().unwrap().to_str().unwrap();
    assert_eq!(seen.trim_end_matches("/container"), format!("/system.slice/{name}-{}.scope", container.id));
}

#[test]
fn an_empty_slice_is_system_slice() {
    need_systemd!();
    skip_if!(subject().is_crun(), "crun refuses it");
    lands(":x:ID", "/system.slice/x-ID.scope");
}

#[test]
fn an_empty_prefix_leaves_its_dash() {
    need_systemd!();
    skip_if!(subject().is_crun(), "crun leaves the dash away");
    lands("spec.slice::ID", "/spec.slice/-ID.scope");
}

#[test]
fn slices_are_nested_by_their_dashes() {
    need_systemd!();
    lands("spec-a-b.slice:x:ID", "/spec.slice/spec-a.slice/spec-a-b.slice/x-ID.scope");
}

#[test]
fn the_root_slice_has_scopes_of_its_own() {
    need_systemd!();
    lands("-.slice:x:ID", "/x-ID.scope");
}

#[test]
fn names_that_the_kernel_may_take_are_escaped() {
    need_systemd!();
    skip_if!(!subject().is_corten() && !subject().is_crun(), "runc looks for the name as it is");
    lands("cpu.slice:x:ID", "/_cpu.slice/x-ID.scope");
    lands("spec.slice:memory.x:ID", "/spec.slice/_memory.x-ID.scope");
    lands("spec.slice:_x:ID", "/spec.slice/__x-ID.scope");
    lands("spec.slice:memory-x.y:ID", "/spec.slice/memory-x.y-ID.scope");
}

#[test]
fn the_longest_name_that_a_unit_can_have() {
    need_systemd!();
    // 255 bytes with what is around it.
    let room = 255 - "x-".len() - ".scope".len();
    let mut container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    let name = format!("{}-{}", "l".repeat(room - container.id.len() - 1), container.id);
    container.bundle.set("/linux/cgroupsPath", format!("spec.slice:x:{name}"));
    container.run_with(["--detach"]).output().ok();
    let seen = cgroup_of(container.pid());
    assert_eq!(seen.trim_end_matches("/container"), format!("/spec.slice/x-{name}.scope"));
    container.command(["delete", "--force", &container.id]).output().ok();
    container.assert_nothing_left();
    container.bundle.set("/linux/cgroupsPath", format!("spec.slice:x:l{name}"));
    container.create().output().fails();
    container.assert_nothing_left();
}

#[test]
fn what_is_no_slice_is_refused_and_leaves_nothing() {
    need_systemd!();
    for slice in ["spec", "spec--a.slice", "-spec.slice", "spec-.slice", "a/b.slice", "spec.service"] {
        let mut container = Container::in_a_scope(|_| {});
        container.bundle.set("/linux/cgroupsPath", format!("{slice}:x:{}", container.id));
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn a_path_with_other_than_three_parts_is_refused() {
    need_systemd!();
    skip_if!(subject().is_crun(), "crun takes what it gets");
    for path in ["/absolute/ID", "spec.slice:ID", "spec.slice:x:ID:more"] {
        let mut container = Container::in_a_scope(|_| {});
        container.bundle.set("/linux/cgroupsPath", path.replace("ID", &container.id));
        container.create().output().fails();
        container.assert_nothing_left();
    }
}

#[test]
fn the_form_of_the_path_asks_for_systemd_without_the_flag() {
    need_systemd!();
    only_corten!("recognising the form");
    let mut container = Container::in_a_scope(|bundle| {
        bundle.args(["sleep", "1000"]);
    });
    // The container's units are still looked for: only the commands lack the flag.
    let create = container.create().without_globals();
    create.global(["--root", container.runtime.root.to_str().unwrap()]).output().ok();
    assert_eq!(cgroup_of(container.pid()), container.cgroup().path);
    assert_eq!(crate::show(&container, "ActiveState"), "active");
    container.runtime.manager = Manager::Cgroupfs;
    container.command(["delete", "--force", &container.id]).output().ok();
    container.runtime.manager = Manager::Systemd;
    container.assert_nothing_left();
}

#[test]
fn two_containers_share_a_slice_and_not_a_scope() {
    need_systemd!();
    let (first, second) = (sleeping(|_| {}), sleeping(|_| {}));
    first.command(["delete", "--force", &first.id]).output().ok();
    assert_eq!(second.status(), "running");
    assert_eq!(manager::systemctl(["is-active", "spec.slice"]), "active");
}
