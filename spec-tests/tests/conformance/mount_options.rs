//! Every option word of a mount, and what the kernel then shows in mountinfo.

use std::process::Command;

use serde_json::json;
use spec_tests::container::Container;
use spec_tests::mountinfo::mounts_on;
use spec_tests::runtime::Outcome;
use spec_tests::{not_in_runc_1_1, skip_if};

use crate::mounts::tree_with_submount;

/// Option words of one mount, and what comes of them; each list as one string.
#[derive(Clone, Copy)]
struct Words {
    given: &'static str,
    /// What must be among the options that mountinfo shows.
    shown: &'static str,
    /// What must not be among them.
    hidden: &'static str,
}

const fn words(given: &'static str, shown: &'static str, hidden: &'static str) -> Words {
    Words { given, shown, hidden }
}

impl Words {
    fn given(&self) -> Vec<&'static str> {
        self.given.split_whitespace().collect()
    }

    /// Fails the test unless mountinfo shows what it should of the mount on `place`.
    #[track_caller]
    fn check(&self, mountinfo: &str, place: &str) {
        let mounts = mounts_on(mountinfo, place);
        let given = self.given;
        let mount = mounts.last().unwrap_or_else(|| panic!("nothing on {place} ({given}): {mountinfo}"));
        for option in self.shown.split_whitespace() {
            assert!(mount.has(option), "{given} on {place}: no {option} in {mount:?}");
        }
        for option in self.hidden.split_whitespace() {
            assert!(!mount.has(option), "{given} on {place}: {option} in {mount:?}");
        }
    }
}

const WORDS: [Words; 25] = [
    words("", "rw relatime", "nosuid nodev noexec"),
    words("ro", "ro", "rw"),
    words("rw", "rw", "ro"),
    words("ro rw", "rw", "ro"),
    words("nosuid", "nosuid", ""),
    words("nosuid suid", "", "nosuid"),
    words("nodev", "nodev", ""),
    words("nodev dev", "", "nodev"),
    words("noexec", "noexec", ""),
    words("noexec exec", "", "noexec"),
    words("nosuid nodev noexec ro", "nosuid nodev noexec ro", ""),
    words("noatime", "noatime", "relatime"),
    words("noatime atime", "", "noatime"),
    words("nodiratime", "nodiratime", ""),
    words("nodiratime diratime", "", "nodiratime"),
    words("relatime", "relatime", "noatime"),
    words("strictatime", "", "relatime noatime"),
    words("sync", "sync", ""),
    words("sync async", "", "sync"),
    words("dirsync", "dirsync", ""),
    words("mand nomand", "rw", "mand"),
    words("size=128k", "size=128k", ""),
    words("mode=700", "mode=700", ""),
    words("nr_inodes=77", "nr_inodes=77", ""),
    words("norelatime", "rw", "noatime"),
];

#[test]
fn every_word_on_a_tmpfs() {
    each_on_a_tmpfs(&WORDS);
}

#[test]
fn every_flag_on_a_bind() {
    let is_flag = |words: &&Words| !words.given.contains('=') && !words.given.contains("sync");
    let flags: Vec<&Words> = WORDS.iter().filter(is_flag).collect();
    let mut container = Container::new(|_| {});
    std::fs::create_dir(container.dir.join("data")).unwrap();
    let data = container.path("data");
    for (number, words) in flags.iter().enumerate() {
        let options = [vec!["bind"], words.given()].concat();
        container.bundle.mount("bind", &data, &format!("/m/{number}"), &options);
    }
    check_each(&flags, &container);
}

#[test]
fn newer_words() {
    not_in_runc_1_1!("knows no defaults, iversion, lazytime, silent, nosymfollow");
    each_on_a_tmpfs(&[
        words("defaults", "rw", "nosuid nodev noexec"),
        words("nosymfollow", "nosymfollow", ""),
        words("nosymfollow symfollow", "", "nosymfollow"),
        words("lazytime", "lazytime", ""),
        words("lazytime nolazytime", "", "lazytime"),
        words("silent", "rw", ""),
        words("loud", "rw", ""),
        words("noiversion", "rw", ""),
    ]);
}

fn each_on_a_tmpfs(all: &[Words]) {
    let container = Container::new(|bundle| {
        for (number, words) in all.iter().enumerate() {
            bundle.mount("tmpfs", "tmpfs", &format!("/m/{number}"), &words.given());
        }
    });
    check_each(&all.iter().collect::<Vec<_>>(), &container);
}

fn check_each(all: &[&Words], container: &Container) {
    let mountinfo = container.sees("cat /proc/self/mountinfo");
    for (number, words) in all.iter().enumerate() {
        words.check(&mountinfo, &format!("/m/{number}"));
    }
}

#[test]
fn propagation_words() {
    let cases = [
        ("private", None),
        ("rprivate", None),
        ("shared", Some("shared:")),
        ("rshared", Some("shared:")),
        ("slave", None),
        ("rslave", None),
        ("unbindable", Some("unbindable")),
        ("runbindable", Some("unbindable")),
    ];
    let container = Container::new(|bundle| {
        for (word, _) in cases {
            bundle.mount("tmpfs", "tmpfs", &format!("/m/{word}"), &[word]);
        }
    });
    let mountinfo = container.sees("cat /proc/self/mountinfo");
    for (word, tag) in cases {
        let mount = mounts_on(&mountinfo, &format!("/m/{word}")).pop().expect(word);
        assert_eq!(
            mount.tags.first().map(|seen| seen.trim_end_matches(char::is_numeric)),
            tag,
            "{word}: {mountinfo}"
        );
    }
}

#[test]
fn a_slave_of_a_shared_tree_receives_what_is_mounted_later() {
    let container = Container::new(|bundle| {
        let tree = bundle.dir.parent().unwrap().join("tree");
        bundle.mount("bind", &tree, "/slave", &["rbind", "rslave"]).mount(
            "bind",
            &tree,
            "/private",
            &["rbind", "rprivate"],
        );
        // The hook mounts in the namespace of the runtime, after the container has its own.
        bundle.hook("poststart", &format!("mkdir {0}/later; mount -t tmpfs later {0}/later", tree.display()));
        bundle.sh("for i in $(seq 100); do grep -q ' /slave/later ' /proc/self/mountinfo && break; sleep 0.02; done
                   grep -c ' /slave/later ' /proc/self/mountinfo; grep -c ' /private/later ' /proc/self/mountinfo; true");
    });
    let tree = container.path("tree");
    let prologue = format!("mkdir {tree}; mount -t tmpfs tree {tree}; mount --make-shared {tree}");
    assert_eq!(container.run().private_mounts().prologue(&prologue).output().ok(), "1\n0");
}

#[test]
fn recursive_words_reach_what_is_mounted_below() {
    let recursive = [
        words("rro", "ro", ""),
        words("rrw", "", "ro"),
        words("rnosuid", "nosuid", ""),
        words("rsuid", "", "nosuid"),
        words("rnodev", "nodev", ""),
        words("rdev", "", "nodev"),
        words("rnoexec", "noexec", ""),
        words("rexec", "", "noexec"),
        words("rnoatime", "noatime", ""),
        words("rnodiratime", "nodiratime", ""),
        words("rdiratime", "", "nodiratime"),
        words("rrelatime", "relatime", ""),
    ];
    let mut container = Container::new(|_| {});
    let tree = container.path("tree");
    for words in recursive {
        let place = format!("/m/{}", words.given);
        container.bundle.mount("bind", &tree, &place, &["rbind", words.given]);
    }
    container.bundle.sh("cat /proc/self/mountinfo");
    let mountinfo = container.run().private_mounts().prologue(&tree_with_submount(&tree)).output().ok();
    for words in recursive {
        words.check(&mountinfo, &format!("/m/{}", words.given));
        words.check(&mountinfo, &format!("/m/{}/sub", words.given));
    }
}

#[test]
fn ro_alone_leaves_what_is_mounted_below_writable() {
    let mut container = Container::new(|_| {});
    let tree = container.path("tree");
    container.bundle.mount("bind", &tree, "/m", &["rbind", "ro"]);
    container.bundle.sh("touch /m/x 2>/dev/null || echo refused; touch /m/sub/x && echo may");
    let outcome = container.run().private_mounts().prologue(&tree_with_submount(&tree)).output();
    assert_eq!(outcome.ok(), "refused\nmay");
}

#[test]
fn a_bind_keeps_the_flags_of_its_source_where_no_word_says_otherwise() {
    let mut container = Container::new(|_| {});
    let tree = container.path("tree");
    container.bundle.mount("bind", &tree, "/kept", &["bind"]);
    container.bundle.sh("cat /proc/self/mountinfo");
    let prologue = format!("mkdir {tree}; mount -t tmpfs -o nosuid,nodev,noexec tree {tree}");
    let mountinfo = container.run().private_mounts().prologue(&prologue).output().ok();
    words("bind", "nosuid nodev noexec", "").check(&mountinfo, "/kept");
}

#[test]
fn a_bind_may_clear_the_flags_of_its_source() {
    not_in_runc_1_1!("leaves the flags of the source");
    let mut container = Container::new(|_| {});
    let tree = container.path("tree");
    container.bundle.mount("bind", &tree, "/cleared", &["bind", "suid", "dev", "exec"]);
    container.bundle.sh("cat /proc/self/mountinfo");
    let prologue = format!("mkdir {tree}; mount -t tmpfs -o nosuid,nodev,noexec tree {tree}");
    let mountinfo = container.run().private_mounts().prologue(&prologue).output().ok();
    words("suid dev exec", "", "nosuid nodev noexec").check(&mountinfo, "/cleared");
}

#[test]
fn a_readonly_remount_of_an_existing_mount_holds() {
    let mut container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/t", &[]).mount("tmpfs", "tmpfs", "/t", &["remount", "ro"]);
    });
    container.bundle.sh("touch /t/x 2>/dev/null || echo refused");
    let outcome = container.run().output();
    skip_if!(outcome.code != 0, "remount as a mount of its own is refused");
    assert_eq!(outcome.ok(), "refused");
}

#[test]
fn a_remount_to_readonly_waits_until_all_below_is_made() {
    let script = "touch /dev/x /t/x 2>/dev/null || echo refused; echo x > /dev/null && echo x > /t/below/x && cat /t/below/x";
    let container = Container::new(|bundle| {
        bundle
            .mount("tmpfs", "tmpfs", "/t", &[])
            .mount("tmpfs", "tmpfs", "/dev", &["remount", "ro"])
            .mount("tmpfs", "tmpfs", "/t", &["remount", "ro"])
            .mount("tmpfs", "tmpfs", "/t/below", &[])
            .push("/linux/devices", json!({"path": "/dev/further", "type": "c", "major": 1, "minor": 3}));
    });
    let outcome = container.sees(script);
    assert_eq!(outcome, "refused\nx");
    assert_eq!(container.sees("test -c /dev/further && readlink /dev/ptmx"), "pts/ptmx");
}

#[test]
fn a_remount_of_another_type_waits_too_where_something_is_made_below() {
    not_in_runc_1_1!("remounts at once");
    let container = Container::new(|bundle| {
        bundle.mount("ramfs", "ramfs", "/t", &[]).mount("none", "none", "/t", &["remount", "ro"]).mount(
            "tmpfs",
            "tmpfs",
            "/t/below",
            &[],
        );
    });
    assert_eq!(container.sees("touch /t/x 2>/dev/null || echo refused; touch /t/below/x"), "refused");
}

#[test]
fn options_beyond_a_page_are_refused_and_not_cut_off() {
    not_in_runc_1_1!("lets the kernel cut them off");
    let container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/t", &[&format!("size={}64k", "0".repeat(4090))]);
    });
    let said = container.create().output().fails();
    assert!(said.contains("4095") && said.contains("tmpfs") && said.contains("/t"), "{said}");
}

/// Binds a tmpfs that has `flags` with `options`, and says how the kernel then shows it.
fn bound_as(flags: &str, options: &[&str], in_user_namespace: bool) -> Outcome {
    let mut container = Container::new(|bundle| {
        if in_user_namespace {
            bundle.user_namespace(100_000);
        }
        bundle.sh("awk '$2 == \"/tmp\" { print $4 }' /proc/mounts");
    });
    let source = container.dir.join("source");
    std::fs::create_dir_all(&source).unwrap();
    container.bundle.mount("bind", source.to_str().unwrap(), "/tmp", options);
    let source = source.display();
    let shell = |script: String| {
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success(), "{script}");
    };
    shell(format!("mount -t tmpfs tmpfs {source} && mount --bind -o remount,{flags} {source}"));
    let outcome = container.run().output();
    shell(format!("umount {source}"));
    outcome
}

#[test]
fn access_times_are_those_of_mount_2() {
    for (flags, option, expected) in [
        ("noatime", "atime", "rw,noatime"),
        ("noatime", "norelatime", "rw,noatime"),
        ("noatime", "relatime", "rw,relatime"),
        ("noatime", "nodiratime", "rw,nodiratime,relatime"),
        ("nodiratime,relatime", "diratime", "rw,nodiratime,relatime"),
        ("nodiratime,relatime", "strictatime", "rw"),
        ("relatime", "noatime", "rw,noatime"),
    ] {
        let seen = bound_as(flags, &["bind", option], false);
        // A tmpfs has options of its own.
        let seen = seen.ok().split(",inode64").next().unwrap_or_default().to_owned();
        assert_eq!(seen, expected, "{flags} bound with {option}");
    }
}

#[test]
fn a_flag_that_a_user_namespace_locks_is_taken_back_by_no_option() {
    not_in_runc_1_1!("takes no word for it");
    for (flags, option) in [("ro", "rw"), ("nodev", "dev"), ("nosuid", "suid"), ("noexec", "exec")] {
        bound_as(flags, &["bind", option], true).fails_with("operation not permitted");
        let kept = bound_as(flags, &["bind", "rprivate"], true);
        assert!(kept.ok().split(',').any(|word| word == flags), "{kept}");
    }
    // No option names the attribute, so the habit of clearing it gives way.
    let kept = bound_as("noexec", &["bind", "nosuid"], true);
    assert!(kept.ok().starts_with("rw,nosuid,noexec"), "{kept}");
}
