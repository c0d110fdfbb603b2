//! The hierarchy of v2.

use corten::internals::apply::cgroup::readings::Readings;
use corten::internals::apply::cgroup::{Cgroup, create};
use corten::internals::plan::cgroup::decide;

use super::fixture::{
    asked, assert_frozen_cgroup_is_refused, assert_opens_only_allowed_devices, assert_used_cgroup_is_refused,
    limit_all, on_v2, read, resources, skip,
};
use super::processes::{move_into, sleeper};

#[test]
fn container_lives_and_dies_in_one_cgroup() {
    on_v2("v2::container_lives_and_dies_in_one_cgroup", "{}", |test| {
        let created = create(&test.plan).unwrap();
        let mut sleeper = sleeper();
        test.enter(sleeper.id());
        limit_all(&created, &test.plan);
        let cgroup = test.cgroup();
        assert_eq!(cgroup.pids().unwrap(), [sleeper.id()]);

        cgroup.freeze().unwrap();
        assert!(cgroup.is_frozen().unwrap());
        assert!(test.text("", "cgroup.events").contains("frozen 1"));
        cgroup.signal_all(libc::SIGTERM).unwrap();
        assert!(cgroup.is_frozen().unwrap());
        cgroup.thaw().unwrap();
        assert!(!sleeper.wait().success());

        cgroup.remove().unwrap();
        assert!(!cgroup.exists());
    });
}

#[test]
fn kill_and_remove_reach_cgroups_below() {
    on_v2("v2::kill_and_remove_reach_cgroups_below", "{}", |test| {
        create(&test.plan).unwrap();
        std::fs::create_dir_all(test.dir("").join("a/b")).unwrap();
        let (mut outer, mut inner) = (sleeper(), sleeper());
        test.enter(outer.id());
        move_into(&test.dir("").join("a/b"), inner.id());
        let cgroup = test.cgroup();
        let mut pids = cgroup.pids().unwrap();
        pids.sort_unstable();
        let mut wanted = [outer.id(), inner.id()];
        wanted.sort_unstable();
        assert_eq!(pids, wanted);
        cgroup.freeze().unwrap();
        cgroup.kill_all().unwrap();
        // Removal waits for the last of them to be gone.
        cgroup.remove().unwrap();
        assert!(!outer.wait().success() && !inner.wait().success());
        let err = cgroup.below(&[(String::new(), "../x".into())]).map(drop).unwrap_err();
        assert_eq!(err.to_string(), "bad sub cgroup path: ../x");
    });
}

#[test]
fn devices_are_restricted_by_one_program_that_is_replaced() {
    on_v2("v2::devices_are_restricted_by_one_program_that_is_replaced", "{}", |test| {
        let programs = || {
            let dir = std::fs::File::open(test.dir("")).unwrap();
            corten::internals::sys::bpf::device_program_ids(std::os::fd::AsFd::as_fd(&dir)).unwrap()
        };
        limit_all(&create(&test.plan).unwrap(), &test.plan);
        let first = programs();
        assert_eq!(first.len(), 1);
        assert_opens_only_allowed_devices(test);

        limit_all(&create(&test.plan).unwrap(), &test.plan);
        let second = programs();
        assert_eq!(second.len(), 1);
        assert_ne!(first, second);

        let everything = resources(r#"{"devices":[{"allow":true,"access":"rwm"}]}"#);
        let plan = decide(asked(&test.path, &everything), &test.host).unwrap();
        limit_all(&create(&plan).unwrap(), &plan);
        assert!(programs().is_empty());
    });
}

#[test]
fn verifier_takes_long_and_odd_lists_of_devices() {
    on_v2("v2::verifier_takes_long_and_odd_lists_of_devices", "{}", |test| {
        let numbers = |of: &dyn Fn(usize) -> String| (0..500).map(of).collect::<Vec<_>>().join(",");
        let allowed = numbers(&|n| format!(r#"{{"allow":true,"type":"c","major":{n},"access":"rw"}}"#));
        let denied = numbers(&|n| format!(r#"{{"allow":false,"minor":{n},"access":"w"}}"#));
        let odd = r#"{"allow":true,"type":"b","major":4095,"minor":0,"access":"m"}"#.to_owned();
        let denied = format!(r#"{{"allow":true,"access":"rwm"}},{denied}"#);
        for list in [allowed, denied, odd] {
            let resources = resources(&format!(r#"{{"devices":[{list}]}}"#));
            let plan = decide(asked(&test.path, &resources), &test.host).unwrap();
            limit_all(&create(&plan).unwrap(), &plan);
        }
    });
}

#[test]
fn cgroup_with_processes_is_refused() {
    on_v2("v2::cgroup_with_processes_is_refused", "{}", assert_used_cgroup_is_refused);
}

#[test]
fn frozen_cgroup_is_refused() {
    on_v2("v2::frozen_cgroup_is_refused", "{}", assert_frozen_cgroup_is_refused);
}

#[test]
fn controllers_are_enabled_down_to_the_cgroup() {
    on_v2("v2::controllers_are_enabled_down_to_the_cgroup", "{}", |test| {
        if !test.has("hugetlb") {
            return skip("the v2 view has no hugetlb controller");
        }
        let limit = resources(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#);
        let plan = decide(asked(&test.path.join("x/y"), &limit), &test.host).unwrap();
        let created = create(&plan).unwrap();
        limit_all(&created, &plan);
        let dir = &plan.dirs[0].path;
        assert_eq!(read(&dir.join("hugetlb.2MB.max")), "4194304");
        let Readings::V2(read) = Cgroup::open(plan.paths()).readings().unwrap() else { panic!("not of v2") };
        assert_eq!(read.hugetlb["2MB"].max, 4194304);
        created.undo().unwrap();
        assert!(!test.dir("").exists());
    });
}

#[test]
fn resource_without_its_controller_is_an_error_that_names_both() {
    on_v2("v2::resource_without_its_controller_is_an_error_that_names_both", "{}", |test| {
        if test.has("memory") {
            return skip("the v2 view has a memory controller");
        }
        let decide = |json| decide(asked(&test.path, &resources(json)), &test.host);
        let err = decide(r#"{"memory":{"limit":4096}}"#).map(drop).unwrap_err();
        let text = "linux.resources.memory.limit: the memory controller is not there (cgroup v2)";
        assert_eq!(err.to_string(), text);

        let plan = decide(r#"{"unified":{"memory.high":"4096"}}"#).unwrap();
        let created = create(&plan).unwrap();
        let text = created.limit_resources(&plan).unwrap_err().to_string();
        assert_eq!(
            text,
            format!(
                "set a v2 parameter to 4096 (linux.resources.unified[\"memory.high\"]): \
                 controller \"memory\" not available in {}",
                plan.dirs[0].path.display()
            )
        );
        created.undo().unwrap();
        assert!(!plan.dirs[0].path.exists());

        let plan = decide(r#"{"unified":{"cgroup.max.descendants":"3"}}"#).unwrap();
        limit_all(&create(&plan).unwrap(), &plan);
        assert_eq!(test.text("", "cgroup.max.descendants"), "3");
    });
}

#[test]
fn container_below_a_threaded_cgroup_becomes_threaded() {
    on_v2("v2::container_below_a_threaded_cgroup_becomes_threaded", "{}", |test| {
        let parent = test.dir("").parent().unwrap().to_owned();
        std::fs::create_dir(&parent).unwrap();
        std::fs::create_dir(parent.join("threaded")).unwrap();
        std::fs::write(parent.join("threaded/cgroup.type"), "threaded").unwrap();
        create(&test.plan).unwrap();
        assert_eq!(test.text("", "cgroup.type"), "threaded");
        let mut sleeper = sleeper();
        test.enter(sleeper.id());
        assert_eq!(test.cgroup().pids().unwrap(), [sleeper.id()]);
        test.cgroup().kill_all().unwrap();
        assert!(!sleeper.wait().success());
        test.cgroup().remove().unwrap();
        std::fs::remove_dir(parent.join("threaded")).unwrap();
    });
}
