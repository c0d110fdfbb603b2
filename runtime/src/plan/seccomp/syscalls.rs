//! The system calls of Linux by name, with their numbers for each ABI that our machines run.
//!
//! The numbers are the kernel's (`arch/x86/entry/syscalls/*.tbl`, `scripts/syscall.tbl`, `arch/arm/tools/syscall.tbl`)
//! as of Linux 7.1. A name without a number is another architecture's system call: a profile that has such a name is
//! not wrong. `spec-tests/tests/seccomp_oracle/tables.rs` compares the table with libseccomp's and with the `syscalls`
//! crate's. To add the calls of a new kernel, add their rows and run that suite.

use super::abi::{Abi, Multiplexed};

/// The bit that tells a system call of x32 from one of x86_64.
pub const X32_BIT: u32 = 1 << 30;

/// A system call that some architecture of Linux has.
#[derive(Debug)]
pub struct Syscall {
    name: Name,
    /// In the order of [`Abi`], x32 without its bit; `NO` where the ABI has no such call.
    numbers: [u32; 5],
    multiplexed: Option<Multiplexed>,
}

/// A name without a pointer: a table of pointers would be relocated, page by page, at every start of the runtime.
#[derive(Debug)]
struct Name {
    len: u8,
    bytes: [u8; 31],
}

impl Syscall {
    /// Finds a system call by its name.
    pub fn find(name: &str) -> Option<&'static Syscall> {
        let mut slot = hash(name.as_bytes());
        while let Some(found) = TABLE.get(usize::from(SLOTS[slot])) {
            if found.name.as_bytes() == name.as_bytes() {
                return Some(found);
            }
            slot = (slot + 1) % SLOTS.len();
        }
        None
    }

    /// All system calls, sorted by name.
    pub fn all() -> &'static [Syscall] {
        &TABLE
    }

    /// Its name.
    pub fn name(&self) -> &str {
        std::str::from_utf8(self.name.as_bytes()).unwrap_or_default()
    }

    /// How it can also be called through a multiplexer of `abi`, if it can.
    pub fn multiplexed(&self, abi: Abi) -> Option<Multiplexed> {
        self.multiplexed.filter(|_| abi == Abi::X86)
    }

    /// Its number for `abi`, if it has one; on x32 with [`X32_BIT`].
    pub fn number(&self, abi: Abi) -> Option<u32> {
        match self.numbers[abi as usize] {
            NO => None,
            number if abi == Abi::X32 => Some(number | X32_BIT),
            number => Some(number),
        }
    }
}

impl Name {
    const fn of(name: &str) -> Name {
        let (mut bytes, mut at) = ([0; 31], 0);
        while at < name.len() {
            bytes[at] = name.as_bytes()[at];
            at += 1;
        }
        Name { len: name.len() as u8, bytes }
    }

    const fn as_bytes(&self) -> &[u8] {
        self.bytes.split_at(self.len as usize).0
    }
}

const fn row(name: &str, numbers: [u32; 5]) -> Syscall {
    Syscall { name: Name::of(name), numbers, multiplexed: Multiplexed::by_x86(name) }
}

/// A hash table of the names: indices of [`TABLE`], [`FREE`] between them. The compiler fills it, so that finding
/// a name costs a few nanoseconds and starting the runtime nothing.
static SLOTS: [u16; 2048] = {
    let mut slots = [FREE; 2048];
    let mut index = 0;
    while index < TABLE.len() {
        let mut slot = hash(TABLE[index].name.as_bytes());
        while slots[slot] != FREE {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = index as u16;
        index += 1;
    }
    slots
};

const FREE: u16 = u16::MAX;

/// FNV-1a, folded to an index of [`SLOTS`].
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ hash >> 15) as usize % 2048
}

/// No such system call on this ABI.
const NO: u32 = u32::MAX;

// Sorted by name. The columns: x86_64, x86, x32, aarch64, arm (EABI).
#[rustfmt::skip]
static TABLE: [Syscall; 508] = [
    row("_llseek", [ NO, 140,  NO,  NO,     140]),
    row("_newselect", [ NO, 142,  NO,  NO,     142]),
    row("_sysctl", [156, 149,  NO,  NO,     149]),
    row("accept", [ 43,  NO,  43, 202,     285]),
    row("accept4", [288, 364, 288, 242,     366]),
    row("access", [ 21,  33,  21,  NO,      33]),
    row("acct", [163,  51, 163,  89,      51]),
    row("add_key", [248, 286, 248, 217,     309]),
    row("adjtimex", [159, 124, 159, 171,     124]),
    row("afs_syscall", [183, 137, 183,  NO,      NO]),
    row("alarm", [ 37,  27,  37,  NO,      NO]),
    row("arch_prctl", [158, 384, 158,  NO,      NO]),
    row("arm_fadvise64_64", [ NO,  NO,  NO,  NO,     270]),
    row("arm_sync_file_range", [ NO,  NO,  NO,  NO,     341]),
    row("atomic_barrier", [ NO,  NO,  NO,  NO,      NO]),
    row("atomic_cmpxchg_32", [ NO,  NO,  NO,  NO,      NO]),
    row("bdflush", [ NO, 134,  NO,  NO,     134]),
    row("bind", [ 49, 361,  49, 200,     282]),
    row("bpf", [321, 357, 321, 280,     386]),
    row("break", [ NO,  17,  NO,  NO,      NO]),
    row("breakpoint", [ NO,  NO,  NO,  NO, 0xf0001]),
    row("brk", [ 12,  45,  12, 214,      45]),
    row("cachectl", [ NO,  NO,  NO,  NO,      NO]),
    row("cacheflush", [ NO,  NO,  NO,  NO, 0xf0002]),
    row("cachestat", [451, 451, 451, 451,     451]),
    row("capget", [125, 184, 125,  90,     184]),
    row("capset", [126, 185, 126,  91,     185]),
    row("chdir", [ 80,  12,  80,  49,      12]),
    row("chmod", [ 90,  15,  90,  NO,      15]),
    row("chown", [ 92, 182,  92,  NO,     182]),
    row("chown32", [ NO, 212,  NO,  NO,     212]),
    row("chroot", [161,  61, 161,  51,      61]),
    row("clock_adjtime", [305, 343, 305, 266,     372]),
    row("clock_adjtime64", [ NO, 405,  NO,  NO,     405]),
    row("clock_getres", [229, 266, 229, 114,     264]),
    row("clock_getres_time64", [ NO, 406,  NO,  NO,     406]),
    row("clock_gettime", [228, 265, 228, 113,     263]),
    row("clock_gettime64", [ NO, 403,  NO,  NO,     403]),
    row("clock_nanosleep", [230, 267, 230, 115,     265]),
    row("clock_nanosleep_time64", [ NO, 407,  NO,  NO,     407]),
    row("clock_settime", [227, 264, 227, 112,     262]),
    row("clock_settime64", [ NO, 404,  NO,  NO,     404]),
    row("clone", [ 56, 120,  56, 220,     120]),
    row("clone3", [435, 435, 435, 435,     435]),
    row("close", [  3,   6,   3,  57,       6]),
    row("close_range", [436, 436, 436, 436,     436]),
    row("connect", [ 42, 362,  42, 203,     283]),
    row("copy_file_range", [326, 377, 326, 285,     391]),
    row("creat", [ 85,   8,  85,  NO,       8]),
    row("create_module", [174, 127,  NO,  NO,      NO]),
    row("delete_module", [176, 129, 176, 106,     129]),
    row("dup", [ 32,  41,  32,  23,      41]),
    row("dup2", [ 33,  63,  33,  NO,      63]),
    row("dup3", [292, 330, 292,  24,     358]),
    row("epoll_create", [213, 254, 213,  NO,     250]),
    row("epoll_create1", [291, 329, 291,  20,     357]),
    row("epoll_ctl", [233, 255, 233,  21,     251]),
    row("epoll_ctl_old", [214,  NO,  NO,  NO,      NO]),
    row("epoll_pwait", [281, 319, 281,  22,     346]),
    row("epoll_pwait2", [441, 441, 441, 441,     441]),
    row("epoll_wait", [232, 256, 232,  NO,     252]),
    row("epoll_wait_old", [215,  NO,  NO,  NO,      NO]),
    row("eventfd", [284, 323, 284,  NO,     351]),
    row("eventfd2", [290, 328, 290,  19,     356]),
    row("execve", [ 59,  11, 520, 221,      11]),
    row("execveat", [322, 358, 545, 281,     387]),
    row("exit", [ 60,   1,  60,  93,       1]),
    row("exit_group", [231, 252, 231,  94,     248]),
    row("faccessat", [269, 307, 269,  48,     334]),
    row("faccessat2", [439, 439, 439, 439,     439]),
    row("fadvise64", [221, 250, 221, 223,      NO]),
    row("fadvise64_64", [ NO, 272,  NO,  NO,      NO]),
    row("fallocate", [285, 324, 285,  47,     352]),
    row("fanotify_init", [300, 338, 300, 262,     367]),
    row("fanotify_mark", [301, 339, 301, 263,     368]),
    row("fchdir", [ 81, 133,  81,  50,     133]),
    row("fchmod", [ 91,  94,  91,  52,      94]),
    row("fchmodat", [268, 306, 268,  53,     333]),
    row("fchmodat2", [452, 452, 452, 452,     452]),
    row("fchown", [ 93,  95,  93,  55,      95]),
    row("fchown32", [ NO, 207,  NO,  NO,     207]),
    row("fchownat", [260, 298, 260,  54,     325]),
    row("fcntl", [ 72,  55,  72,  25,      55]),
    row("fcntl64", [ NO, 221,  NO,  NO,     221]),
    row("fdatasync", [ 75, 148,  75,  83,     148]),
    row("fgetxattr", [193, 231, 193,  10,     231]),
    row("file_getattr", [468, 468, 468, 468,     468]),
    row("file_setattr", [469, 469, 469, 469,     469]),
    row("finit_module", [313, 350, 313, 273,     379]),
    row("flistxattr", [196, 234, 196,  13,     234]),
    row("flock", [ 73, 143,  73,  32,     143]),
    row("fork", [ 57,   2,  57,  NO,       2]),
    row("fremovexattr", [199, 237, 199,  16,     237]),
    row("fsconfig", [431, 431, 431, 431,     431]),
    row("fsetxattr", [190, 228, 190,   7,     228]),
    row("fsmount", [432, 432, 432, 432,     432]),
    row("fsopen", [430, 430, 430, 430,     430]),
    row("fspick", [433, 433, 433, 433,     433]),
    row("fstat", [  5, 108,   5,  80,     108]),
    row("fstat64", [ NO, 197,  NO,  NO,     197]),
    row("fstatat64", [ NO, 300,  NO,  NO,     327]),
    row("fstatfs", [138, 100, 138,  44,     100]),
    row("fstatfs64", [ NO, 269,  NO,  NO,     267]),
    row("fsync", [ 74, 118,  74,  82,     118]),
    row("ftime", [ NO,  35,  NO,  NO,      NO]),
    row("ftruncate", [ 77,  93,  77,  46,      93]),
    row("ftruncate64", [ NO, 194,  NO,  NO,     194]),
    row("futex", [202, 240, 202,  98,     240]),
    row("futex_requeue", [456, 456, 456, 456,     456]),
    row("futex_time64", [ NO, 422,  NO,  NO,     422]),
    row("futex_wait", [455, 455, 455, 455,     455]),
    row("futex_waitv", [449, 449, 449, 449,     449]),
    row("futex_wake", [454, 454, 454, 454,     454]),
    row("futimesat", [261, 299, 261,  NO,     326]),
    row("get_kernel_syms", [177, 130,  NO,  NO,      NO]),
    row("get_mempolicy", [239, 275, 239, 236,     320]),
    row("get_robust_list", [274, 312, 531, 100,     339]),
    row("get_thread_area", [211, 244,  NO,  NO,      NO]),
    row("get_tls", [ NO,  NO,  NO,  NO, 0xf0006]),
    row("getcpu", [309, 318, 309, 168,     345]),
    row("getcwd", [ 79, 183,  79,  17,     183]),
    row("getdents", [ 78, 141,  78,  NO,     141]),
    row("getdents64", [217, 220, 217,  61,     217]),
    row("getegid", [108,  50, 108, 177,      50]),
    row("getegid32", [ NO, 202,  NO,  NO,     202]),
    row("geteuid", [107,  49, 107, 175,      49]),
    row("geteuid32", [ NO, 201,  NO,  NO,     201]),
    row("getgid", [104,  47, 104, 176,      47]),
    row("getgid32", [ NO, 200,  NO,  NO,     200]),
    row("getgroups", [115,  80, 115, 158,      80]),
    row("getgroups32", [ NO, 205,  NO,  NO,     205]),
    row("getitimer", [ 36, 105,  36, 102,     105]),
    row("getpagesize", [ NO,  NO,  NO,  NO,      NO]),
    row("getpeername", [ 52, 368,  52, 205,     287]),
    row("getpgid", [121, 132, 121, 155,     132]),
    row("getpgrp", [111,  65, 111,  NO,      65]),
    row("getpid", [ 39,  20,  39, 172,      20]),
    row("getpmsg", [181, 188, 181,  NO,      NO]),
    row("getppid", [110,  64, 110, 173,      64]),
    row("getpriority", [140,  96, 140, 141,      96]),
    row("getrandom", [318, 355, 318, 278,     384]),
    row("getresgid", [120, 171, 120, 150,     171]),
    row("getresgid32", [ NO, 211,  NO,  NO,     211]),
    row("getresuid", [118, 165, 118, 148,     165]),
    row("getresuid32", [ NO, 209,  NO,  NO,     209]),
    row("getrlimit", [ 97,  76,  97, 163,      NO]),
    row("getrusage", [ 98,  77,  98, 165,      77]),
    row("getsid", [124, 147, 124, 156,     147]),
    row("getsockname", [ 51, 367,  51, 204,     286]),
    row("getsockopt", [ 55, 365, 542, 209,     295]),
    row("gettid", [186, 224, 186, 178,     224]),
    row("gettimeofday", [ 96,  78,  96, 169,      78]),
    row("getuid", [102,  24, 102, 174,      24]),
    row("getuid32", [ NO, 199,  NO,  NO,     199]),
    row("getxattr", [191, 229, 191,   8,     229]),
    row("getxattrat", [464, 464, 464, 464,     464]),
    row("gtty", [ NO,  32,  NO,  NO,      NO]),
    row("idle", [ NO, 112,  NO,  NO,      NO]),
    row("init_module", [175, 128, 175, 105,     128]),
    row("inotify_add_watch", [254, 292, 254,  27,     317]),
    row("inotify_init", [253, 291, 253,  NO,     316]),
    row("inotify_init1", [294, 332, 294,  26,     360]),
    row("inotify_rm_watch", [255, 293, 255,  28,     318]),
    row("io_cancel", [210, 249, 210,   3,     247]),
    row("io_destroy", [207, 246, 207,   1,     244]),
    row("io_getevents", [208, 247, 208,   4,     245]),
    row("io_pgetevents", [333, 385, 333, 292,     399]),
    row("io_pgetevents_time64", [ NO, 416,  NO,  NO,     416]),
    row("io_setup", [206, 245, 543,   0,     243]),
    row("io_submit", [209, 248, 544,   2,     246]),
    row("io_uring_enter", [426, 426, 426, 426,     426]),
    row("io_uring_register", [427, 427, 427, 427,     427]),
    row("io_uring_setup", [425, 425, 425, 425,     425]),
    row("ioctl", [ 16,  54, 514,  29,      54]),
    row("ioperm", [173, 101, 173,  NO,      NO]),
    row("iopl", [172, 110, 172,  NO,      NO]),
    row("ioprio_get", [252, 290, 252,  31,     315]),
    row("ioprio_set", [251, 289, 251,  30,     314]),
    row("ipc", [ NO, 117,  NO,  NO,      NO]),
    row("kcmp", [312, 349, 312, 272,     378]),
    row("kexec_file_load", [320,  NO, 320, 294,     401]),
    row("kexec_load", [246, 283, 528, 104,     347]),
    row("keyctl", [250, 288, 250, 219,     311]),
    row("kill", [ 62,  37,  62, 129,      37]),
    row("landlock_add_rule", [445, 445, 445, 445,     445]),
    row("landlock_create_ruleset", [444, 444, 444, 444,     444]),
    row("landlock_restrict_self", [446, 446, 446, 446,     446]),
    row("lchown", [ 94,  16,  94,  NO,      16]),
    row("lchown32", [ NO, 198,  NO,  NO,     198]),
    row("lgetxattr", [192, 230, 192,   9,     230]),
    row("link", [ 86,   9,  86,  NO,       9]),
    row("linkat", [265, 303, 265,  37,     330]),
    row("listen", [ 50, 363,  50, 201,     284]),
    row("listmount", [458, 458, 458, 458,     458]),
    row("listns", [470, 470, 470, 470,     470]),
    row("listxattr", [194, 232, 194,  11,     232]),
    row("listxattrat", [465, 465, 465, 465,     465]),
    row("llistxattr", [195, 233, 195,  12,     233]),
    row("lock", [ NO,  53,  NO,  NO,      NO]),
    row("lookup_dcookie", [212, 253, 212,  18,     249]),
    row("lremovexattr", [198, 236, 198,  15,     236]),
    row("lseek", [  8,  19,   8,  62,      19]),
    row("lsetxattr", [189, 227, 189,   6,     227]),
    row("lsm_get_self_attr", [459, 459, 459, 459,     459]),
    row("lsm_list_modules", [461, 461, 461, 461,     461]),
    row("lsm_set_self_attr", [460, 460, 460, 460,     460]),
    row("lstat", [  6, 107,   6,  NO,     107]),
    row("lstat64", [ NO, 196,  NO,  NO,     196]),
    row("madvise", [ 28, 219,  28, 233,     220]),
    row("map_shadow_stack", [453, 453, 453, 453,     453]),
    row("mbind", [237, 274, 237, 235,     319]),
    row("membarrier", [324, 375, 324, 283,     389]),
    row("memfd_create", [319, 356, 319, 279,     385]),
    row("memfd_secret", [447, 447, 447, 447,      NO]),
    row("migrate_pages", [256, 294, 256, 238,     400]),
    row("mincore", [ 27, 218,  27, 232,     219]),
    row("mkdir", [ 83,  39,  83,  NO,      39]),
    row("mkdirat", [258, 296, 258,  34,     323]),
    row("mknod", [133,  14, 133,  NO,      14]),
    row("mknodat", [259, 297, 259,  33,     324]),
    row("mlock", [149, 150, 149, 228,     150]),
    row("mlock2", [325, 376, 325, 284,     390]),
    row("mlockall", [151, 152, 151, 230,     152]),
    row("mmap", [  9,  90,   9, 222,      NO]),
    row("mmap2", [ NO, 192,  NO,  NO,     192]),
    row("modify_ldt", [154, 123, 154,  NO,      NO]),
    row("mount", [165,  21, 165,  40,      21]),
    row("mount_setattr", [442, 442, 442, 442,     442]),
    row("move_mount", [429, 429, 429, 429,     429]),
    row("move_pages", [279, 317, 533, 239,     344]),
    row("mprotect", [ 10, 125,  10, 226,     125]),
    row("mpx", [ NO,  56,  NO,  NO,      NO]),
    row("mq_getsetattr", [245, 282, 245, 185,     279]),
    row("mq_notify", [244, 281, 527, 184,     278]),
    row("mq_open", [240, 277, 240, 180,     274]),
    row("mq_timedreceive", [243, 280, 243, 183,     277]),
    row("mq_timedreceive_time64", [ NO, 419,  NO,  NO,     419]),
    row("mq_timedsend", [242, 279, 242, 182,     276]),
    row("mq_timedsend_time64", [ NO, 418,  NO,  NO,     418]),
    row("mq_unlink", [241, 278, 241, 181,     275]),
    row("mremap", [ 25, 163,  25, 216,     163]),
    row("mseal", [462, 462, 462, 462,     462]),
    row("msgctl", [ 71, 402,  71, 187,     304]),
    row("msgget", [ 68, 399,  68, 186,     303]),
    row("msgrcv", [ 70, 401,  70, 188,     302]),
    row("msgsnd", [ 69, 400,  69, 189,     301]),
    row("msync", [ 26, 144,  26, 227,     144]),
    row("multiplexer", [ NO,  NO,  NO,  NO,      NO]),
    row("munlock", [150, 151, 150, 229,     151]),
    row("munlockall", [152, 153, 152, 231,     153]),
    row("munmap", [ 11,  91,  11, 215,      91]),
    row("name_to_handle_at", [303, 341, 303, 264,     370]),
    row("nanosleep", [ 35, 162,  35, 101,     162]),
    row("newfstatat", [262,  NO, 262,  79,      NO]),
    row("nfsservctl", [180, 169,  NO,  42,     169]),
    row("nice", [ NO,  34,  NO,  NO,      34]),
    row("oldfstat", [ NO,  28,  NO,  NO,      NO]),
    row("oldlstat", [ NO,  84,  NO,  NO,      NO]),
    row("oldolduname", [ NO,  59,  NO,  NO,      NO]),
    row("oldstat", [ NO,  18,  NO,  NO,      NO]),
    row("olduname", [ NO, 109,  NO,  NO,      NO]),
    row("open", [  2,   5,   2,  NO,       5]),
    row("open_by_handle_at", [304, 342, 304, 265,     371]),
    row("open_tree", [428, 428, 428, 428,     428]),
    row("open_tree_attr", [467, 467, 467, 467,     467]),
    row("openat", [257, 295, 257,  56,     322]),
    row("openat2", [437, 437, 437, 437,     437]),
    row("pause", [ 34,  29,  34,  NO,      29]),
    row("pciconfig_iobase", [ NO,  NO,  NO,  NO,     271]),
    row("pciconfig_read", [ NO,  NO,  NO,  NO,     272]),
    row("pciconfig_write", [ NO,  NO,  NO,  NO,     273]),
    row("perf_event_open", [298, 336, 298, 241,     364]),
    row("personality", [135, 136, 135,  92,     136]),
    row("pidfd_getfd", [438, 438, 438, 438,     438]),
    row("pidfd_open", [434, 434, 434, 434,     434]),
    row("pidfd_send_signal", [424, 424, 424, 424,     424]),
    row("pipe", [ 22,  42,  22,  NO,      42]),
    row("pipe2", [293, 331, 293,  59,     359]),
    row("pivot_root", [155, 217, 155,  41,     218]),
    row("pkey_alloc", [330, 381, 330, 289,     395]),
    row("pkey_free", [331, 382, 331, 290,     396]),
    row("pkey_mprotect", [329, 380, 329, 288,     394]),
    row("poll", [  7, 168,   7,  NO,     168]),
    row("ppoll", [271, 309, 271,  73,     336]),
    row("ppoll_time64", [ NO, 414,  NO,  NO,     414]),
    row("prctl", [157, 172, 157, 167,     172]),
    row("pread64", [ 17, 180,  17,  67,     180]),
    row("preadv", [295, 333, 534,  69,     361]),
    row("preadv2", [327, 378, 546, 286,     392]),
    row("prlimit64", [302, 340, 302, 261,     369]),
    row("process_madvise", [440, 440, 440, 440,     440]),
    row("process_mrelease", [448, 448, 448, 448,     448]),
    row("process_vm_readv", [310, 347, 539, 270,     376]),
    row("process_vm_writev", [311, 348, 540, 271,     377]),
    row("prof", [ NO,  44,  NO,  NO,      NO]),
    row("profil", [ NO,  98,  NO,  NO,      NO]),
    row("pselect6", [270, 308, 270,  72,     335]),
    row("pselect6_time64", [ NO, 413,  NO,  NO,     413]),
    row("ptrace", [101,  26, 521, 117,      26]),
    row("putpmsg", [182, 189, 182,  NO,      NO]),
    row("pwrite64", [ 18, 181,  18,  68,     181]),
    row("pwritev", [296, 334, 535,  70,     362]),
    row("pwritev2", [328, 379, 547, 287,     393]),
    row("query_module", [178, 167,  NO,  NO,      NO]),
    row("quotactl", [179, 131, 179,  60,     131]),
    row("quotactl_fd", [443, 443, 443, 443,     443]),
    row("read", [  0,   3,   0,  63,       3]),
    row("readahead", [187, 225, 187, 213,     225]),
    row("readdir", [ NO,  89,  NO,  NO,      NO]),
    row("readlink", [ 89,  85,  89,  NO,      85]),
    row("readlinkat", [267, 305, 267,  78,     332]),
    row("readv", [ 19, 145, 515,  65,     145]),
    row("reboot", [169,  88, 169, 142,      88]),
    row("recv", [ NO,  NO,  NO,  NO,     291]),
    row("recvfrom", [ 45, 371, 517, 207,     292]),
    row("recvmmsg", [299, 337, 537, 243,     365]),
    row("recvmmsg_time64", [ NO, 417,  NO,  NO,     417]),
    row("recvmsg", [ 47, 372, 519, 212,     297]),
    row("remap_file_pages", [216, 257, 216, 234,     253]),
    row("removexattr", [197, 235, 197,  14,     235]),
    row("removexattrat", [466, 466, 466, 466,     466]),
    row("rename", [ 82,  38,  82,  NO,      38]),
    row("renameat", [264, 302, 264,  38,     329]),
    row("renameat2", [316, 353, 316, 276,     382]),
    row("request_key", [249, 287, 249, 218,     310]),
    row("restart_syscall", [219,   0, 219, 128,       0]),
    row("riscv_flush_icache", [ NO,  NO,  NO,  NO,      NO]),
    row("riscv_hwprobe", [ NO,  NO,  NO,  NO,      NO]),
    row("rmdir", [ 84,  40,  84,  NO,      40]),
    row("rseq", [334, 386, 334, 293,     398]),
    row("rseq_slice_yield", [471, 471, 471, 471,     471]),
    row("rt_sigaction", [ 13, 174, 512, 134,     174]),
    row("rt_sigpending", [127, 176, 522, 136,     176]),
    row("rt_sigprocmask", [ 14, 175,  14, 135,     175]),
    row("rt_sigqueueinfo", [129, 178, 524, 138,     178]),
    row("rt_sigreturn", [ 15, 173, 513, 139,     173]),
    row("rt_sigsuspend", [130, 179, 130, 133,     179]),
    row("rt_sigtimedwait", [128, 177, 523, 137,     177]),
    row("rt_sigtimedwait_time64", [ NO, 421,  NO,  NO,     421]),
    row("rt_tgsigqueueinfo", [297, 335, 536, 240,     363]),
    row("rtas", [ NO,  NO,  NO,  NO,      NO]),
    row("s390_guarded_storage", [ NO,  NO,  NO,  NO,      NO]),
    row("s390_pci_mmio_read", [ NO,  NO,  NO,  NO,      NO]),
    row("s390_pci_mmio_write", [ NO,  NO,  NO,  NO,      NO]),
    row("s390_runtime_instr", [ NO,  NO,  NO,  NO,      NO]),
    row("s390_sthyi", [ NO,  NO,  NO,  NO,      NO]),
    row("sched_get_priority_max", [146, 159, 146, 125,     159]),
    row("sched_get_priority_min", [147, 160, 147, 126,     160]),
    row("sched_getaffinity", [204, 242, 204, 123,     242]),
    row("sched_getattr", [315, 352, 315, 275,     381]),
    row("sched_getparam", [143, 155, 143, 121,     155]),
    row("sched_getscheduler", [145, 157, 145, 120,     157]),
    row("sched_rr_get_interval", [148, 161, 148, 127,     161]),
    row("sched_rr_get_interval_time64", [ NO, 423,  NO,  NO,     423]),
    row("sched_setaffinity", [203, 241, 203, 122,     241]),
    row("sched_setattr", [314, 351, 314, 274,     380]),
    row("sched_setparam", [142, 154, 142, 118,     154]),
    row("sched_setscheduler", [144, 156, 144, 119,     156]),
    row("sched_yield", [ 24, 158,  24, 124,     158]),
    row("seccomp", [317, 354, 317, 277,     383]),
    row("security", [185,  NO, 185,  NO,      NO]),
    row("select", [ 23,  82,  23,  NO,      NO]),
    row("semctl", [ 66, 394,  66, 191,     300]),
    row("semget", [ 64, 393,  64, 190,     299]),
    row("semop", [ 65,  NO,  65, 193,     298]),
    row("semtimedop", [220,  NO, 220, 192,     312]),
    row("semtimedop_time64", [ NO, 420,  NO,  NO,     420]),
    row("send", [ NO,  NO,  NO,  NO,     289]),
    row("sendfile", [ 40, 187,  40,  71,     187]),
    row("sendfile64", [ NO, 239,  NO,  NO,     239]),
    row("sendmmsg", [307, 345, 538, 269,     374]),
    row("sendmsg", [ 46, 370, 518, 211,     296]),
    row("sendto", [ 44, 369,  44, 206,     290]),
    row("set_mempolicy", [238, 276, 238, 237,     321]),
    row("set_mempolicy_home_node", [450, 450, 450, 450,     450]),
    row("set_robust_list", [273, 311, 530,  99,     338]),
    row("set_thread_area", [205, 243,  NO,  NO,      NO]),
    row("set_tid_address", [218, 258, 218,  96,     256]),
    row("set_tls", [ NO,  NO,  NO,  NO, 0xf0005]),
    row("setdomainname", [171, 121, 171, 162,     121]),
    row("setfsgid", [123, 139, 123, 152,     139]),
    row("setfsgid32", [ NO, 216,  NO,  NO,     216]),
    row("setfsuid", [122, 138, 122, 151,     138]),
    row("setfsuid32", [ NO, 215,  NO,  NO,     215]),
    row("setgid", [106,  46, 106, 144,      46]),
    row("setgid32", [ NO, 214,  NO,  NO,     214]),
    row("setgroups", [116,  81, 116, 159,      81]),
    row("setgroups32", [ NO, 206,  NO,  NO,     206]),
    row("sethostname", [170,  74, 170, 161,      74]),
    row("setitimer", [ 38, 104,  38, 103,     104]),
    row("setns", [308, 346, 308, 268,     375]),
    row("setpgid", [109,  57, 109, 154,      57]),
    row("setpriority", [141,  97, 141, 140,      97]),
    row("setregid", [114,  71, 114, 143,      71]),
    row("setregid32", [ NO, 204,  NO,  NO,     204]),
    row("setresgid", [119, 170, 119, 149,     170]),
    row("setresgid32", [ NO, 210,  NO,  NO,     210]),
    row("setresuid", [117, 164, 117, 147,     164]),
    row("setresuid32", [ NO, 208,  NO,  NO,     208]),
    row("setreuid", [113,  70, 113, 145,      70]),
    row("setreuid32", [ NO, 203,  NO,  NO,     203]),
    row("setrlimit", [160,  75, 160, 164,      75]),
    row("setsid", [112,  66, 112, 157,      66]),
    row("setsockopt", [ 54, 366, 541, 208,     294]),
    row("settimeofday", [164,  79, 164, 170,      79]),
    row("setuid", [105,  23, 105, 146,      23]),
    row("setuid32", [ NO, 213,  NO,  NO,     213]),
    row("setxattr", [188, 226, 188,   5,     226]),
    row("setxattrat", [463, 463, 463, 463,     463]),
    row("sgetmask", [ NO,  68,  NO,  NO,      NO]),
    row("shmat", [ 30, 397,  30, 196,     305]),
    row("shmctl", [ 31, 396,  31, 195,     308]),
    row("shmdt", [ 67, 398,  67, 197,     306]),
    row("shmget", [ 29, 395,  29, 194,     307]),
    row("shutdown", [ 48, 373,  48, 210,     293]),
    row("sigaction", [ NO,  67,  NO,  NO,      67]),
    row("sigaltstack", [131, 186, 525, 132,     186]),
    row("signal", [ NO,  48,  NO,  NO,      NO]),
    row("signalfd", [282, 321, 282,  NO,     349]),
    row("signalfd4", [289, 327, 289,  74,     355]),
    row("sigpending", [ NO,  73,  NO,  NO,      73]),
    row("sigprocmask", [ NO, 126,  NO,  NO,     126]),
    row("sigreturn", [ NO, 119,  NO,  NO,     119]),
    row("sigsuspend", [ NO,  72,  NO,  NO,      72]),
    row("socket", [ 41, 359,  41, 198,     281]),
    row("socketcall", [ NO, 102,  NO,  NO,      NO]),
    row("socketpair", [ 53, 360,  53, 199,     288]),
    row("splice", [275, 313, 275,  76,     340]),
    row("spu_create", [ NO,  NO,  NO,  NO,      NO]),
    row("spu_run", [ NO,  NO,  NO,  NO,      NO]),
    row("ssetmask", [ NO,  69,  NO,  NO,      NO]),
    row("stat", [  4, 106,   4,  NO,     106]),
    row("stat64", [ NO, 195,  NO,  NO,     195]),
    row("statfs", [137,  99, 137,  43,      99]),
    row("statfs64", [ NO, 268,  NO,  NO,     266]),
    row("statmount", [457, 457, 457, 457,     457]),
    row("statx", [332, 383, 332, 291,     397]),
    row("stime", [ NO,  25,  NO,  NO,      NO]),
    row("stty", [ NO,  31,  NO,  NO,      NO]),
    row("subpage_prot", [ NO,  NO,  NO,  NO,      NO]),
    row("swapcontext", [ NO,  NO,  NO,  NO,      NO]),
    row("swapoff", [168, 115, 168, 225,     115]),
    row("swapon", [167,  87, 167, 224,      87]),
    row("switch_endian", [ NO,  NO,  NO,  NO,      NO]),
    row("symlink", [ 88,  83,  88,  NO,      83]),
    row("symlinkat", [266, 304, 266,  36,     331]),
    row("sync", [162,  36, 162,  81,      36]),
    row("sync_file_range", [277, 314, 277,  84,      NO]),
    row("sync_file_range2", [ NO,  NO,  NO,  NO,      NO]),
    row("syncfs", [306, 344, 306, 267,     373]),
    row("sys_debug_setcontext", [ NO,  NO,  NO,  NO,      NO]),
    row("syscall", [ NO,  NO,  NO,  NO,      NO]),
    row("sysfs", [139, 135, 139,  NO,     135]),
    row("sysinfo", [ 99, 116,  99, 179,     116]),
    row("syslog", [103, 103, 103, 116,     103]),
    row("sysmips", [ NO,  NO,  NO,  NO,      NO]),
    row("tee", [276, 315, 276,  77,     342]),
    row("tgkill", [234, 270, 234, 131,     268]),
    row("time", [201,  13, 201,  NO,      NO]),
    row("timer_create", [222, 259, 526, 107,     257]),
    row("timer_delete", [226, 263, 226, 111,     261]),
    row("timer_getoverrun", [225, 262, 225, 109,     260]),
    row("timer_gettime", [224, 261, 224, 108,     259]),
    row("timer_gettime64", [ NO, 408,  NO,  NO,     408]),
    row("timer_settime", [223, 260, 223, 110,     258]),
    row("timer_settime64", [ NO, 409,  NO,  NO,     409]),
    row("timerfd", [ NO,  NO,  NO,  NO,      NO]),
    row("timerfd_create", [283, 322, 283,  85,     350]),
    row("timerfd_gettime", [287, 326, 287,  87,     354]),
    row("timerfd_gettime64", [ NO, 410,  NO,  NO,     410]),
    row("timerfd_settime", [286, 325, 286,  86,     353]),
    row("timerfd_settime64", [ NO, 411,  NO,  NO,     411]),
    row("times", [100,  43, 100, 153,      43]),
    row("tkill", [200, 238, 200, 130,     238]),
    row("truncate", [ 76,  92,  76,  45,      92]),
    row("truncate64", [ NO, 193,  NO,  NO,     193]),
    row("tuxcall", [184,  NO, 184,  NO,      NO]),
    row("ugetrlimit", [ NO, 191,  NO,  NO,     191]),
    row("ulimit", [ NO,  58,  NO,  NO,      NO]),
    row("umask", [ 95,  60,  95, 166,      60]),
    row("umount", [ NO,  22,  NO,  NO,      NO]),
    row("umount2", [166,  52, 166,  39,      52]),
    row("uname", [ 63, 122,  63, 160,     122]),
    row("unlink", [ 87,  10,  87,  NO,      10]),
    row("unlinkat", [263, 301, 263,  35,     328]),
    row("unshare", [272, 310, 272,  97,     337]),
    row("uprobe", [336,  NO, 336,  NO,      NO]),
    row("uretprobe", [335,  NO, 335,  NO,      NO]),
    row("uselib", [134,  86,  NO,  NO,      86]),
    row("userfaultfd", [323, 374, 323, 282,     388]),
    row("usr26", [ NO,  NO,  NO,  NO, 0xf0003]),
    row("usr32", [ NO,  NO,  NO,  NO, 0xf0004]),
    row("ustat", [136,  62, 136,  NO,      62]),
    row("utime", [132,  30, 132,  NO,      NO]),
    row("utimensat", [280, 320, 280,  88,     348]),
    row("utimensat_time64", [ NO, 412,  NO,  NO,     412]),
    row("utimes", [235, 271, 235,  NO,     269]),
    row("vfork", [ 58, 190,  58,  NO,     190]),
    row("vhangup", [153, 111, 153,  58,     111]),
    row("vm86", [ NO, 166,  NO,  NO,      NO]),
    row("vm86old", [ NO, 113,  NO,  NO,      NO]),
    row("vmsplice", [278, 316, 532,  75,     343]),
    row("vserver", [236, 273,  NO,  NO,     313]),
    row("wait4", [ 61, 114,  61, 260,     114]),
    row("waitid", [247, 284, 529,  95,     280]),
    row("waitpid", [ NO,   7,  NO,  NO,      NO]),
    row("write", [  1,   4,   1,  64,       4]),
    row("writev", [ 20, 146, 516,  66,     146]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_without_duplicates() {
        assert!(TABLE.is_sorted_by(|a, b| a.name() < b.name()));
    }

    #[test]
    fn every_name_is_found() {
        assert!(
            TABLE.iter().all(|row| Syscall::find(row.name()).is_some_and(|found| found.name() == row.name()))
        );
    }

    #[test]
    fn numbers_differ_by_abi() {
        let ioctl = Syscall::find("ioctl").expect("ioctl");
        let numbers = [Abi::X86_64, Abi::X86, Abi::X32, Abi::Aarch64, Abi::Arm].map(|abi| ioctl.number(abi));
        assert_eq!(numbers, [Some(16), Some(54), Some(X32_BIT | 514), Some(29), Some(54)]);
        assert!(Syscall::find("s390_runtime_instr").expect("known").number(Abi::X86_64).is_none());
        assert!(Syscall::find("no_such_call").is_none());
    }
}
