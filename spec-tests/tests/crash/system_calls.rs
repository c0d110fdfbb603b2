//! Driven by strace: SIGKILL in place of the N-th call of a kind, in whichever process makes it.
//!
//! strace runs detached (`-D`): it stays for as long as the created container does, and the test waits for the runtime.

use std::collections::BTreeMap;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use spec_tests::container::Container;
use spec_tests::skip::known_to_fail_on_runc_1_1_5;
use spec_tests::skip_if;

use crate::{at_each, left_after_delete};

/// The calls by which a runtime changes the world.
const CALLS: &str = "mkdir,mkdirat,mount,move_mount,fsmount,open_tree,mount_setattr,clone,clone3,fork,vfork,unshare,setns,\
                     pivot_root,umount2,symlink,symlinkat,mknod,mknodat,rename,renameat,renameat2,link,linkat,write,sendmsg,\
                     sendto,execve,execveat,seccomp,capset,sethostname,bpf,openat2,chdir,fchdir,unlink,unlinkat,setresuid";

/// How many places are tried.
const PLACES: usize = 60;

fn container() -> Container {
    Container::new(|bundle| {
        bundle.args(["sleep", "1000"]).mount("bind", "/bin/busybox", "/bound", &["bind", "ro"]);
    })
}

/// Runs `create` once under strace, and picks places evenly over all its calls.
fn places() -> Vec<(String, usize)> {
    let container = container();
    let log = container.path("strace");
    container
        .create()
        .by(["strace", "-D", "-f", "-qq", "-o", &log, "-e", &format!("trace={CALLS}")])
        .output()
        .ok();
    // The counter of strace is one per process: a place is the N-th call of the process that makes most of them.
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut places = Vec::new();
    for line in fs::read_to_string(log).expect("a trace").lines() {
        let Some((pid, call)) = line.split_once(' ') else { continue };
        let Some((name, _)) = call.trim_start().split_once('(') else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry((pid.to_owned(), name.to_owned())).or_default();
        *count += 1;
        let place = (name.to_owned(), *count);
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let step = places.len().div_ceil(PLACES).max(1);
    places.into_iter().step_by(step).collect()
}

#[test]
fn killed_at_a_system_call_delete_leaves_nothing() {
    skip_if!(!fs::exists("/usr/bin/strace").unwrap_or(false), "strace is not installed");
    known_to_fail_on_runc_1_1_5(AssertUnwindSafe(|| {
        at_each(&places(), |(call, number)| {
            let container = container();
            let inject = format!("inject={call}:signal=SIGKILL:when={number}");
            let log = container.path("strace");
            let strace =
                ["strace", "-D", "-f", "-qq", "-o", &log, "-e", &format!("trace={call}"), "-e", &inject];
            let create = container.create().by(strace);
            let ended = create.deadline(Duration::from_secs(5)).output_or_kill();
            let place = format!("{call} #{number}{}", if ended.is_some() { "" } else { " (hung)" });
            left_after_delete(&container, &place).or(ended.is_none().then_some(place))
        });
    }));
}
