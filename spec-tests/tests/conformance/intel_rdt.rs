//! `linux.intelRdt`: the resctrl group of a container's processes. Each test has a filesystem of its own that behaves
//! as resctrl; the machine's, if there is one, is never touched.

use serde_json::{Value, json};
use spec_tests::container::Container;
use spec_tests::resctrl::Resctrl;
use spec_tests::{only_corten, skip_if};

/// A container that sleeps, and what it asks for.
fn asking(intel_rdt: Value) -> Container {
    Container::new(|bundle| {
        bundle.args(["sleep", "1000"]).set("/linux/intelRdt", intel_rdt);
    })
}

fn create(resctrl: &Resctrl, container: &Container) {
    resctrl.seen_by(container.create()).output().ok();
}

/// Runs `exec` of a program that sleeps, and returns its pid.
fn join(container: &Container) {
    container.exec_with(&["--detach"], &["sleep", "1000"]).output().ok();
}

macro_rules! needs_a_stand_in {
    () => {
        // runc looks at /sys/fs/resctrl, which only a kernel with resctrl has.
        only_corten!("finding the filesystem that stands in for resctrl");
        skip_if!(!Resctrl::possible(), "no FUSE");
    };
}

#[test]
fn a_group_of_the_containers_own_comes_and_goes_with_it() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let schemata = json!({"l3CacheSchema": "L3:0=f0", "memBwSchema": "MB:0=20;1=70", "schemata": ["L3:1=3"]});
    let container = asking(schemata);
    create(&resctrl, &container);
    assert_eq!(resctrl.groups(), [&container.id[..]]);
    assert_eq!(resctrl.schemata(&container.id), "    MB:0= 20;1= 70\n    L3:0=f0;1=03\n");
    assert_eq!(resctrl.tasks(&container.id), [container.pid()]);
    container.start().ok();
    join(&container);
    assert_eq!(resctrl.entered(&container.id), 2);
    container.command(["delete", "--force", &container.id]).output().ok();
    assert_eq!(resctrl.groups(), [""; 0]);
}

#[test]
fn a_monitoring_group_bears_the_containers_name_and_has_all_its_processes() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    resctrl.make("gold");
    for class in [json!("gold"), json!("/"), json!(null)] {
        let container = asking(json!({"closID": class, "enableMonitoring": true}));
        create(&resctrl, &container);
        container.start().ok();
        join(&container);
        let above = match class.as_str() {
            Some("/") => String::new(),
            Some(name) => format!("{name}/"),
            None => format!("{}/", container.id),
        };
        assert_eq!(resctrl.entered(&format!("{above}mon_groups/{}", container.id)), 2, "{class}");
        assert_eq!(resctrl.entered(&above), 2, "{class}");
        container.command(["delete", "--force", &container.id]).output().ok();
        assert_eq!(resctrl.groups(), ["gold"], "{class}");
    }
}

#[test]
fn a_group_that_has_a_name_is_shared_and_stays() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let asked = json!({"closID": "gold", "schemata": ["L3:0=f", "MB:0=21"]});
    let (one, other) = (asking(asked.clone()), asking(asked));
    create(&resctrl, &one);
    create(&resctrl, &other);
    assert_eq!(resctrl.tasks("gold").len(), 2);
    for container in [&one, &other] {
        container.command(["delete", "--force", &container.id]).output().ok();
    }
    assert_eq!(resctrl.groups(), ["gold"]);
    assert_eq!(resctrl.schemata("gold"), "    MB:0= 30;1=100\n    L3:0=0f;1=ff\n");
}

#[test]
fn a_shared_group_with_other_schemata_is_refused_and_keeps_them() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    resctrl.make("gold");
    let container = asking(json!({"closID": "gold", "l3CacheSchema": "L3:0=f", "enableMonitoring": true}));
    let refused = resctrl.seen_by(container.create()).output();
    refused.fails_with("has other schemata");
    refused.fails_with("(linux.intelRdt.l3CacheSchema)");
    assert_eq!(resctrl.groups(), ["gold"]);
    assert!(resctrl.schemata("gold").contains("L3:0=ff"));
}

#[test]
fn a_shared_group_without_schemata_has_to_be_there() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let container = asking(json!({"closID": "gold"}));
    resctrl.seen_by(container.create()).output().fails_with("there is no resctrl group");
    assert_eq!(resctrl.groups(), [""; 0]);
}

#[test]
fn a_group_of_somebody_elses_is_not_taken() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let container = asking(json!({"schemata": ["L3:0=f"]}));
    resctrl.make(&container.id);
    resctrl.seen_by(container.create()).output().fails_with("there is a resctrl group");
    assert_eq!(resctrl.groups(), [&container.id[..]]);
    assert!(resctrl.schemata(&container.id).contains("L3:0=ff"));
}

#[test]
fn what_the_kernel_refuses_is_told_in_its_words_and_nothing_is_left() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    for class in [json!(null), json!("gold")] {
        let container = asking(json!({"closID": class, "schemata": ["L3:0=fff"], "enableMonitoring": true}));
        let refused = resctrl.seen_by(container.create()).output();
        refused.fails_with(
            "write schemata L3:0=fff (linux.intelRdt.schemata): write(schemata): invalid argument",
        );
        refused.fails_with("hint: the kernel says: Mask out of range");
        assert_eq!(resctrl.groups(), [""; 0]);
        container.assert_nothing_left();
    }
}

#[test]
fn update_changes_the_schemata_of_a_container_that_has_a_group() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let container = asking(json!({}));
    create(&resctrl, &container);
    let update = |flags: &[&str]| container.command([&["update"], flags, &[&container.id]].concat()).output();
    update(&["--l3-cache-schema", "L3:1=3", "--mem-bw-schema", "MB:0=50"]).ok();
    assert_eq!(resctrl.schemata(&container.id), "    MB:0= 50;1=100\n    L3:0=ff;1=03\n");
    update(&["--l3-cache-schema", "L3:9=3"]).fails_with("Unknown resource or domain");
    update(&["--mem-bw-schema", "L3:0=3"]).fails_with("--mem-bw-schema: ");
    let without = Container::sleeping(|_| {});
    let refused = without.command(["update", "--l3-cache-schema", "L3:0=f", &without.id]).output();
    refused.fails_with("--l3-cache-schema: the container has no resctrl group");
}

#[test]
fn a_process_does_not_join_without_the_group_that_it_belongs_to() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let container = asking(json!({}));
    create(&resctrl, &container);
    container.start().ok();
    std::fs::remove_dir(resctrl.top().join(&container.id)).expect("remove the group");
    container.exec(&["true"]).output().fails_with("there is no resctrl group");
}

#[test]
fn init_enters_its_group_with_the_rights_of_the_host() {
    needs_a_stand_in!();
    let resctrl = Resctrl::mount();
    let mut container = asking(json!({"enableMonitoring": true}));
    container.bundle.user_namespace(100_000);
    // A table of mounts that is mounted over would keep a user namespace from mounting a procfs of its own.
    container.bundle.unmount("/proc");
    create(&resctrl, &container);
    assert_eq!(resctrl.tasks(&format!("{0}/mon_groups/{0}", container.id)), [container.pid()]);
}
