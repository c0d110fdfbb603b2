//! Options of mounts, beside runc: the same bundle is run by both, and both payloads must see the same mounts.
//!
//! The words that runc 1.1 has, in all pairs, and what a list of words does to the one text that mount(2) takes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use spec_tests::bundle::Bundle;
use spec_tests::container::Container;
use spec_tests::runtime::Outcome;
use spec_tests::{not_in_runc_1_1, skip_if};

const RUNC: &str = "/usr/sbin/runc";

const FLAGS: [&str; 21] = [
    "ro",
    "rw",
    "nosuid",
    "suid",
    "nodev",
    "dev",
    "noexec",
    "exec",
    "noatime",
    "atime",
    "nodiratime",
    "diratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
];

/// Words of a tmpfs's own.
const DATA: [&str; 9] = [
    "size=128k",
    "mode=710",
    "nr_inodes=77",
    "",
    ",",
    ",,mode=1700,",
    "size=64k,uid=5,gid=6",
    "nr_inodes=99,mode=750,size=1m",
    "=skipped,mode=711",
];

/// Runs a bundle by the runtime under test and by runc.
fn both(configure: impl Fn(&mut Bundle)) -> [Outcome; 2] {
    let container = Container::new(&configure);
    let mut beside = Container::new(&configure);
    beside.runtime.binary = PathBuf::from(RUNC);
    let outcomes = [container.run().output(), beside.run().output()];
    container.assert_nothing_left();
    outcomes
}

/// What a payload sees of the mounts below /m, in the order in which they were mounted: all of mountinfo from the place
/// on, but for the peer group of a host's mount that is shared. Releases of runc differ there.
const LOOK: &str = "sed -n 's/ master:[0-9]*//; s/^.* \\(\\/m\\/\\)/\\1/p' /proc/self/mountinfo; stat -c '%n %a %u %g' /m/*; df -P /m/* | sed 's/.*%//'";

#[track_caller]
fn same_mounts(configure: impl Fn(&mut Bundle)) {
    let [ours, runcs] = both(|bundle| {
        configure(bundle);
        bundle.sh(LOOK);
    });
    let (ours, runcs) = (ours.ok(), runcs.ok());
    assert!(!ours.is_empty());
    for (ours, runcs) in ours.lines().zip(runcs.lines()) {
        assert_eq!(ours, runcs, "Corten's on the left");
    }
    assert_eq!(ours.lines().count(), runcs.lines().count());
}

fn runc_takes(word: &str) -> bool {
    let mut container = Container::new(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/m", &[word]).sh("true");
    });
    container.runtime.binary = PathBuf::from(RUNC);
    container.run().output().code == 0
}

macro_rules! needs_runc {
    () => {
        skip_if!(!Path::new(RUNC).exists(), "there is no {RUNC} to compare with");
    };
}

#[test]
fn every_pair_of_words_on_a_tmpfs() {
    needs_runc!();
    // An older kernel does not skip a word without a name.
    let words: Vec<&str> = FLAGS.into_iter().chain(DATA).filter(|word| runc_takes(word)).collect();
    same_mounts(|bundle| {
        for (first, one) in words.iter().enumerate() {
            for (second, two) in words.iter().enumerate() {
                let options: &[&str] = if one == two { &[one] } else { &[one, two] };
                bundle.mount("tmpfs", "tmpfs", &format!("/m/{first:02}-{second:02}"), options);
            }
        }
    });
}

#[test]
fn every_pair_of_flags_on_a_bind() {
    needs_runc!();
    // runc 1.1 keeps the flags of the source where a word takes them back; this source has none.
    same_mounts(|bundle| {
        for (first, one) in FLAGS.iter().enumerate() {
            for (second, two) in FLAGS.iter().enumerate() {
                let place = format!("/m/{first:02}-{second:02}");
                bundle.mount("bind", "rootfs/etc", &place, &["bind", one, "", two]);
            }
        }
    });
}

#[test]
fn a_tmpfs_keeps_the_mode_of_its_mountpoint_unless_any_word_has_one() {
    not_in_runc_1_1!("gives it the mode of the mountpoint in any case");
    let cases: [(&[&str], &str); 5] = [
        (&[], "1751"),
        (&[""], "1751"),
        (&["nr_inodes=9"], "1751"),
        (&["nr_inodes=9,mode=700"], "700"),
        (&["mode=711,nr_inodes=9", "size=64k"], "711"),
    ];
    for (options, expected) in cases {
        let container = Container::new(|bundle| {
            let mountpoint = bundle.rootfs().join("m");
            fs::create_dir(&mountpoint).unwrap();
            fs::set_permissions(mountpoint, fs::Permissions::from_mode(0o1751)).unwrap();
            bundle.mount("tmpfs", "tmpfs", "/m", options);
        });
        assert_eq!(container.sees("stat -c %a /m"), expected, "{options:?}");
    }
}

#[test]
fn a_comma_before_a_digit_divides_nothing_on_a_tmpfs() {
    needs_runc!();
    let [ours, runcs] = both(|bundle| {
        bundle.mount("tmpfs", "tmpfs", "/m/a", &["mpol=bind:0,0,size=64k"]).sh(LOOK);
    });
    assert_eq!((ours.code, ours.stdout), (runcs.code, runcs.stdout), "{}", ours.stderr);
}

#[test]
fn long_sources_and_long_words() {
    needs_runc!();
    same_mounts(|bundle| {
        for length in [254, 255, 256, 257, 1000, 4000] {
            bundle.mount("tmpfs", "s".repeat(length), &format!("/m/source{length}"), &["mode=755", "nosuid"]);
            let zeros = "0".repeat(length - "size=64k".len());
            bundle.mount("tmpfs", "tmpfs", &format!("/m/word{length}"), &["ro", &format!("size={zeros}64k")]);
        }
    });
}

/// Directories to be laid over each other, with names of `length` bytes in all.
fn layers(dir: &Path, count: usize, length: usize) -> Vec<String> {
    (0..count)
        .map(|number| {
            let begin = format!("{}/layer{number:02}", dir.display());
            let path = format!("{begin}{}", "x".repeat(length.saturating_sub(begin.len())));
            fs::create_dir_all(format!("{path}/of{number}")).unwrap();
            path
        })
        .collect()
}

#[test]
fn an_overlay_of_many_layers() {
    needs_runc!();
    let shared = Container::new(|_| {});
    let lower = |count, length| layers(&shared.dir, count, length).join(":");
    let cases = [lower(3, 82), lower(3, 83), lower(6, 90), lower(24, 90), lower(40, 90)];
    same_mounts(|bundle| {
        for (number, lower) in cases.iter().enumerate() {
            let lower = format!("lowerdir={lower}");
            bundle.mount("overlay", "overlay", &format!("/m/{number}"), &["ro", &lower]);
            let several = format!("{lower},xino=off,,index=off");
            bundle.mount("overlay", "overlay", &format!("/m/{number}several"), &["nodev", "", &several]);
        }
    });
}

#[test]
fn commas_in_names_of_an_overlay() {
    needs_runc!();
    let shared = Container::new(|_| {});
    for name in ["with,comma", "with:colon", "plain"] {
        fs::create_dir_all(shared.dir.join(name).join(name)).unwrap();
    }
    let dir = shared.dir.display();
    for lower in [
        format!("lowerdir={dir}/with\\,comma:{dir}/plain"),
        format!("lowerdir={dir}/with\\:colon:{dir}/plain"),
        format!("lowerdir={dir}/with,comma:{dir}/plain"),
        format!("lowerdir={dir}/plain:{dir}/with\\:colon,index=off"),
    ] {
        let [ours, runcs] = both(|bundle| {
            bundle.mount("overlay", "overlay", "/m/a", &[&lower]).sh("ls /m/a");
        });
        assert_eq!((ours.code == 0, &ours.stdout), (runcs.code == 0, &runcs.stdout), "{lower}: {ours}");
    }
}

#[test]
fn what_the_kernel_refuses_of_several_words_in_one() {
    needs_runc!();
    for word in [
        "nosuid,mode=700",
        "mode=700,nonsense",
        "nonsense,",
        "size=lots,mode=700",
        "mode=\"700\"",
        "mode=700\\,size=64k",
        "=",
        "sync,mode=700",
        "ro,mode=700",
    ] {
        let [ours, runcs] = both(|bundle| {
            bundle.mount("tmpfs", "tmpfs", "/m/a", &[word]).sh(LOOK);
        });
        assert_eq!(
            (ours.code == 0, &ours.stdout),
            (runcs.code == 0, &runcs.stdout),
            "{word}: {ours} {runcs}"
        );
    }
}

#[test]
fn other_filesystems_take_several_words_in_one() {
    needs_runc!();
    same_mounts(|bundle| {
        bundle
            .mount("proc", "proc", "/m/proc", &["", "nosuid", "hidepid=2,gid=5"])
            .mount("devpts", "devpts", "/m/pts", &["newinstance,ptmxmode=0666,mode=0620", ""])
            .mount("sysfs", "sysfs", "/m/sys", &["", ",", "ro"])
            .mount("mqueue", "mqueue", "/m/mqueue", &["", "noexec"]);
    });
}
