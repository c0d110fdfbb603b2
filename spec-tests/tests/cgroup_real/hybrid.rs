//! v1 with a unified hierarchy beside it, and without.

use corten::internals::apply::cgroup::create;

use super::fixture::{Test, in_namespace, limit_all, skip};
use super::processes::sleeper;

#[test]
fn process_that_left_the_unified_hierarchy_is_killed_too() {
    let Some(test) = Test::on_v1("v1-left", "{}") else { return };
    let Some(unified) = test.plan.dirs.iter().find(|dir| dir.is_unified()) else {
        return skip("there is no unified hierarchy beside those of v1");
    };
    create(&test.plan).unwrap();
    let (mut stays, mut leaves) = (sleeper(), sleeper());
    test.enter(stays.id());
    test.enter(leaves.id());
    std::fs::write(unified.mountpoint.join("cgroup.procs"), leaves.id().to_string()).unwrap();
    test.cgroup().kill_all().unwrap();
    assert!(!stays.wait().success() && !leaves.wait().success());
}

#[test]
fn plain_v1_without_the_unified_hierarchy_is_enough() {
    in_namespace(
        "hybrid::plain_v1_without_the_unified_hierarchy_is_enough",
        "umount /sys/fs/cgroup/unified 2>/dev/null || true",
        || {
            let Some(test) = Test::on_v1("v1-plain", "{}") else { return };
            assert!(test.plan.dirs.iter().all(|dir| !dir.is_unified()), "{:?}", test.plan.dirs);
            limit_all(&create(&test.plan).unwrap(), &test.plan);
        },
    );
}
