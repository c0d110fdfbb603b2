//! The kernel takes our filters and does what they say: each is installed in a forked child.

use std::os::fd::AsRawFd;

use corten::internals::plan::seccomp::{Filter, compile};
use corten::internals::sys::seccomp::{FilterFlags, Instruction, action_supported, flags_supported, install};
use oci_spec::runtime::Arch;

use super::{docker_default, profile};

const MACHINE: Arch = if cfg!(target_arch = "x86_64") { Arch::ScmpArchX86_64 } else { Arch::ScmpArchAarch64 };

#[test]
fn docker_default_lets_a_process_run_and_refuses_what_it_should() {
    let filter = compile(&docker_default(), MACHINE).expect("a filter");
    assert_eq!(in_child(&filter, || call(libc::SYS_getppid, [0; 3]) > 0), Exit::With(true));
    assert_eq!(in_child(&filter, || fails_with(libc::EPERM, libc::SYS_reboot, [0; 3])), Exit::With(true));
    assert_eq!(in_child(&filter, || fails_with(libc::ENOSYS, libc::SYS_clone3, [0; 3])), Exit::With(true));
    assert_eq!(in_child(&filter, || fails_with(libc::ENOSYS, 1500, [0; 3])), Exit::With(true));
    let [linux, linux32, odd] = [0, 8, 7];
    assert_eq!(in_child(&filter, || call(libc::SYS_personality, [linux, 0, 0]) >= 0), Exit::With(true));
    assert_eq!(in_child(&filter, || call(libc::SYS_personality, [linux32, 0, 0]) >= 0), Exit::With(true));
    assert_eq!(
        in_child(&filter, || fails_with(libc::EPERM, libc::SYS_personality, [odd, 0, 0])),
        Exit::With(true)
    );
    let (af_inet, af_vsock) = (libc::AF_INET as i64, libc::AF_VSOCK as i64);
    let stream = libc::SOCK_STREAM as i64;
    assert_eq!(in_child(&filter, || call(libc::SYS_socket, [af_inet, stream, 0]) >= 0), Exit::With(true));
    assert_eq!(
        in_child(&filter, || fails_with(libc::EPERM, libc::SYS_socket, [af_vsock, stream, 0])),
        Exit::With(true)
    );
}

#[test]
fn each_action_does_what_it_says() {
    let with = |action: &str| {
        let rule = format!(r#"{{"names":["getppid"],"action":"SCMP_ACT_{action}"}}"#);
        let text = format!(r#"{{"defaultAction":"SCMP_ACT_LOG","listenerPath":"/l","syscalls":[{rule}]}}"#);
        compile(&profile(&text), MACHINE).expect("a filter")
    };
    let getppid = || call(libc::SYS_getppid, [0; 3]) > 0;
    assert_eq!(in_child(&with("ALLOW"), getppid), Exit::With(true));
    assert_eq!(in_child(&with("LOG"), getppid), Exit::With(true));
    assert_eq!(in_child(&with("KILL"), getppid), Exit::By(libc::SIGSYS));
    assert_eq!(in_child(&with("KILL_PROCESS"), getppid), Exit::By(libc::SIGSYS));
    assert_eq!(in_child(&with("TRAP"), getppid), Exit::By(libc::SIGSYS));
    assert_eq!(
        in_child(&with("ERRNO"), || fails_with(libc::EPERM, libc::SYS_getppid, [0; 3])),
        Exit::With(true)
    );
    // No process traces the child.
    assert_eq!(
        in_child(&with("TRACE"), || fails_with(libc::ENOSYS, libc::SYS_getppid, [0; 3])),
        Exit::With(true)
    );
}

#[test]
fn notify_returns_a_listener() {
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/l","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "syscalls":[{"names":["getppid"],"action":"SCMP_ACT_NOTIFY"}]}"#;
    let filter = compile(&profile(text), MACHINE).expect("a filter");
    let listener =
        || install(&filter.program, filter.flags).is_ok_and(|fd| fd.is_some_and(|fd| fd.as_raw_fd() > 2));
    assert_eq!(fork_and(listener), Exit::With(true));
}

#[test]
fn longest_filter_is_taken_and_a_broken_one_refused() {
    let rule = |n| {
        format!(
            r#"{{"names":["ioctl"],"action":"SCMP_ACT_ALLOW","args":[{{"index":1,"value":{n},"op":"SCMP_CMP_EQ"}}]}}"#
        )
    };
    let rules: Vec<_> = (0..4000_u64).map(rule).collect();
    let text = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {{"names":["exit_group","exit"],"action":"SCMP_ACT_ALLOW"}},{}]}}"#,
        rules.join(",")
    );
    let filter = compile(&profile(&text), MACHINE).expect("a filter");
    assert!(filter.program.len() > 4000, "{} instructions", filter.program.len());
    let ioctl = |request| move || fails_with(libc::EBADF, libc::SYS_ioctl, [-1, request, 0]);
    assert_eq!(in_child(&filter, ioctl(0)), Exit::With(true));
    assert_eq!(in_child(&filter, ioctl(3999)), Exit::With(true));
    assert_eq!(
        in_child(&filter, || fails_with(libc::EPERM, libc::SYS_ioctl, [-1, 4000, 0])),
        Exit::With(true)
    );

    let endless = [Instruction { code: 0x05, jt: 0, jf: 0, k: 7 }];
    let err = install(&endless, FilterFlags::NONE).expect_err("jumps past its end");
    assert_eq!(err.to_string(), "seccomp(SECCOMP_SET_MODE_FILTER, 0, {len=1}): invalid argument (EINVAL)");
}

#[test]
fn probes_tell_known_from_unknown() {
    assert!(flags_supported(FilterFlags::LOG | FilterFlags::SPEC_ALLOW));
    assert!(action_supported(0x0005_0001));
    assert!(!action_supported(0x1234_0000));
}

/// How a child ended.
#[derive(Debug, PartialEq, Eq)]
enum Exit {
    With(bool),
    By(i32),
}

/// What `says` says in a child under `filter`.
fn in_child(filter: &Filter, says: impl FnOnce() -> bool) -> Exit {
    fork_and(|| install(&filter.program, filter.flags | filter.optional_flags).is_ok() && says())
}

fn fork_and(says: impl FnOnce() -> bool) -> Exit {
    // SAFETY: the child of this process with many threads makes system calls alone, and ends by _exit; waitpid
    // writes to `status` before it returns.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "fork");
        if pid == 0 {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
            libc::prctl(libc::PR_SET_DUMPABLE, 0);
            let said = says();
            libc::_exit(i32::from(said));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid, "waitpid");
        if libc::WIFSIGNALED(status) {
            Exit::By(libc::WTERMSIG(status))
        } else {
            Exit::With(libc::WEXITSTATUS(status) == 1)
        }
    }
}

fn fails_with(errno: i32, number: i64, args: [i64; 3]) -> bool {
    // SAFETY: errno is this thread's own.
    call(number, args) == -1 && unsafe { *libc::__errno_location() } == errno
}

fn call(number: i64, args: [i64; 3]) -> i64 {
    // SAFETY: the calls made here take no pointers, or null ones.
    unsafe { libc::syscall(number, args[0], args[1], args[2]) }
}
