//! Which system calls a container may make: Docker's default, as the runtime specification writes a profile.
//!
//! Everything is refused with EPERM but what is named here. What is left out reaches beyond the container: the clock,
//! modules, the kernel's keyrings, new mounts and namespaces, io_uring, tracing by BPF and perf. A capability that the
//! container is given brings the calls that the capability is for.

use serde_json::{Value, json};

/// The machine that a profile is for, by the names of Rust's `ARCH`, with Docker's name.
const MACHINES: [(&str, &str, &[&str]); 2] = [
    ("x86_64", "amd64", &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
    ("aarch64", "arm64", &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
];

/// Calls of every container, by what they are about.
const ALWAYS: [&str; 12] = [
    FILES,
    TREES,
    ATTRIBUTES,
    DESCRIPTORS,
    POLLING,
    MEMORY,
    PROCESSES,
    IDENTITY,
    SIGNALS,
    TIME,
    IPC,
    NETWORK,
];

const FILES: &str = "close close_range copy_file_range creat fadvise64 fadvise64_64 fallocate fdatasync fstat fstat64 \
    fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 io_cancel io_destroy io_getevents io_pgetevents \
    io_pgetevents_time64 io_setup io_submit _llseek lseek lstat lstat64 newfstatat open openat openat2 pread64 preadv \
    preadv2 pwrite64 pwritev pwritev2 read readahead readv sendfile sendfile64 splice stat stat64 statfs statfs64 \
    statx sync sync_file_range syncfs tee truncate truncate64 vmsplice write writev cachestat ioctl name_to_handle_at";

const TREES: &str = "access chdir faccessat faccessat2 fanotify_mark fchdir getcwd getdents getdents64 \
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch landlock_add_rule landlock_create_ruleset \
    landlock_restrict_self link linkat listmount mkdir mkdirat mknod mknodat readlink readlinkat rename renameat \
    renameat2 rmdir statmount symlink symlinkat umask unlink unlinkat";

const ATTRIBUTES: &str = "chmod chown chown32 fchmod fchmodat fchmodat2 fchown fchown32 fchownat fgetxattr flistxattr \
    fremovexattr fsetxattr futimesat getxattr getxattrat lchown lchown32 lgetxattr listxattr listxattrat llistxattr \
    lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat utime utimensat utimensat_time64 utimes";

const DESCRIPTORS: &str = "dup dup2 dup3 eventfd eventfd2 fcntl fcntl64 flock memfd_create memfd_secret pipe pipe2 \
    signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64";

const POLLING: &str = "epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
    epoll_wait_old _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select";

const MEMORY: &str = "brk madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap \
    mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages";

const PROCESSES: &str = "execve execveat exit exit_group fork vfork futex futex_requeue futex_time64 futex_wait \
    futex_waitv futex_wake getcpu getpgid getpgrp getpid getppid getpriority getrlimit get_robust_list getrusage \
    getsid get_thread_area gettid ioprio_get ioprio_set pidfd_open prctl prlimit64 restart_syscall riscv_hwprobe rseq \
    sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield seccomp setpgid setpriority setrlimit set_robust_list setsid set_thread_area \
    set_tid_address sysinfo ugetrlimit uname uretprobe wait4 waitid waitpid getrandom";

const IDENTITY: &str = "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 \
    getresgid getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid \
    setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 \
    setuid setuid32";

const SIGNALS: &str = "alarm kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask \
    sigreturn tgkill tkill";

/// `adjtimex` and its kin read the clock here: to set it they ask for a capability.
const TIME: &str = "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime \
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time \
    timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 times";

const IPC: &str = "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend \
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat \
    shmctl shmdt shmget";

const NETWORK: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg \
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";

/// Harmless only since Linux 4.8, where a tracer can't get around a filter any more.
const TRACING: &str = "process_vm_readv process_vm_writev ptrace";

/// Calls of one machine alone.
const OF_X86: &str = "arch_prctl modify_ldt";
const OF_ARM: &str = "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls";

/// Calls that come with a capability.
const BY_CAPABILITY: [(&str, &str); 14] = [
    ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "CAP_SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open \
         quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("CAP_SYS_BOOT", "reboot"),
    ("CAP_SYS_CHROOT", "chroot"),
    ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
    ("CAP_SYS_PACCT", "acct"),
    ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("CAP_SYS_RAWIO", "ioperm iopl"),
    ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("CAP_SYS_TTY_CONFIG", "vhangup"),
    ("CAP_SYS_NICE", "get_mempolicy mbind migrate_pages move_pages set_mempolicy set_mempolicy_home_node"),
    ("CAP_SYSLOG", "syslog"),
    ("CAP_BPF", "bpf"),
    ("CAP_PERFMON", "perf_event_open"),
];

/// AF_VSOCK leads to the hypervisor, past every network namespace.
const VSOCK: u64 = 40;

/// Personalities that only change what uname(2) and addresses look like, and the question which one it is.
const PERSONALITIES: [u64; 5] = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Flags of clone(2) that make a namespace.
const NAMESPACE_FLAGS: u64 = 0x7e02_0000;

const ENOSYS: u32 = 38;

/// The profile for a container with these capabilities, on this machine.
pub fn default_profile(capabilities: &[String]) -> Value {
    profile(std::env::consts::ARCH, capabilities)
}

fn machines(machine: &str) -> Option<&'static (&'static str, &'static str, &'static [&'static str])> {
    MACHINES.iter().find(|(name, ..)| *name == machine)
}

/// This machine, by Docker's name.
pub fn machine() -> Option<&'static str> {
    machines(std::env::consts::ARCH).map(|(_, name, _)| *name)
}

/// This machine, by libseccomp's name.
pub fn architecture() -> Option<&'static str> {
    machines(std::env::consts::ARCH).and_then(|(_, _, architectures)| architectures.first().copied())
}

fn profile(machine: &str, capabilities: &[String]) -> Value {
    let has = |name: &str| capabilities.iter().any(|capability| capability == name);
    let architectures = machines(machine).map(|(_, _, architectures)| *architectures);
    let mut calls = vec![
        allow(&ALWAYS.join(" ")),
        allow(TRACING),
        allow_if("socket", 0, VSOCK, "SCMP_CMP_NE"),
        allow(if machine == "x86_64" { OF_X86 } else { OF_ARM }),
    ];
    calls.extend(PERSONALITIES.map(|persona| allow_if("personality", 0, persona, "SCMP_CMP_EQ")));
    calls.extend(
        BY_CAPABILITY.iter().filter(|(capability, _)| has(capability)).map(|(_, names)| allow(names)),
    );
    if !has("CAP_SYS_ADMIN") {
        calls.push(allow_if("clone", 0, NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ"));
        // Its flags are behind a pointer, where no filter sees them. C libraries take ENOSYS for an old kernel.
        calls.push(json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": architectures.unwrap_or_default(),
        "syscalls": calls,
    })
}

fn allow(names: &str) -> Value {
    json!({ "names": names.split_whitespace().collect::<Vec<_>>(), "action": "SCMP_ACT_ALLOW" })
}

fn allow_if(name: &str, index: u32, value: u64, operator: &str) -> Value {
    // A masked comparison takes the mask first, and then what has to be left: no flag.
    json!({
        "names": [name],
        "action": "SCMP_ACT_ALLOW",
        "args": [{ "index": index, "value": value, "op": operator }],
    })
}
