//! A /proc that shows another pid namespace: the number of a process of one's own is a stranger's there.

use std::fs;

use spec_tests::container::Container;
use spec_tests::only_corten;

/// Runs the command in a pid namespace of its own, where its children's numbers are those of old processes outside.
const UNSEEN: [&str; 7] =
    ["unshare", "--pid", "--fork", "sh", "-c", "for i in $(seq 24); do true & done; wait; \"$@\"", "sh"];

#[test]
fn oom_score_of_a_stranger() {
    let container = Container::new(|bundle| {
        bundle.set("/process/oomScoreAdj", 777);
    });
    let result = container.run().by(UNSEEN).output();
    let scores = fs::read_dir("/proc").unwrap().flatten();
    let scores = scores.filter_map(|process| fs::read_to_string(process.path().join("oom_score_adj")).ok());
    assert_eq!(scores.filter(|score| score.trim() == "777").count(), 0, "{result}");
    assert!(result.code == 0 || result.stderr.contains("/proc"), "{result}");
    container.assert_nothing_left();
}

#[test]
fn every_command_refuses_what_it_would_mistake_for_the_container() {
    only_corten!("a look at /proc before it is used");
    let container = Container::sleeping(|bundle| {
        bundle.user_namespace(100_000);
    });
    let id = &container.id;
    let processes = container.file("process.json", "{}");
    let resources = container.file("resources.json", "{}");
    let commands: &[&[&str]] = &[
        &["state", id],
        &["list"],
        &["ps", id],
        &["kill", id, "KILL"],
        &["exec", id, "true"],
        &["exec", "--process", &processes, id],
        &["pause", id],
        &["update", "--resources", &resources, id],
        &["events", "--stats", id],
        &["delete", id],
        &["delete", "--force", id],
    ];
    for command in commands {
        let result = container.command(*command).by(UNSEEN).output();
        result.fails_with("/proc is not the procfs of this pid namespace");
    }
    container.run().by(UNSEEN).output().fails_with("/proc is not the procfs of this pid namespace");
    assert_eq!(container.status(), "running");
}
