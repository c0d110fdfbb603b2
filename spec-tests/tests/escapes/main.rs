//! Published escapes from container runtimes, each tried for real against a temporary victim.
//!
//! Everything here is aimed at files and directories of the test itself; nothing of the machine is at stake.
//! What runc 1.1.5 of Debian 12 (1.1.5+ds1-1+deb12u1) makes of each was seen by running it. Its failures are marked
//! `known_to_fail_on_runc_1_1_5` in the code: they are reported as expected there, and fail the test anywhere else.
//!
//! | file | attack | published as | runc 1.1.5 |
//! |---|---|---|---|
//! | executable | overwrite the binary of a joining process, through /proc/PID/exe | CVE-2019-5736 | resists |
//! | executable | the same by a payload of /proc/self/exe and by `#!/proc/self/exe` | CVE-2019-5736 | resists |
//! | executable | make a writable mount of the binary, with CAP_SYS_ADMIN and more | CVE-2019-5736 | resists |
//! | executable | open the host's files by handle through the binary, with CAP_DAC_READ_SEARCH | | **fails** |
//! | executable | have the binary load the container's libraries | CVE-2019-5736 | **fails** (dynamic) |
//! | born_final | look through, and seize with CAP_SYS_PTRACE, each process of an exec | | **fails** |
//! | born_final | the same, each init of a container that joins the pid namespace | | **fails** |
//! | born_final | have such an init open a device that its cgroup forbids | | **fails** |
//! | born_final | seize a process of a container with noNewPrivileges before it has its filter | | **fails** |
//! | born_final | read the environment or the command line of the runtime's caller | | resists |
//! | interference | keep the end of a process from the runtime, or its channel or fifo open, with CAP_SYS_PTRACE | | **fails** (in part) |
//! | interference | speak in the place of a process: an empty word, another descriptor than a listener | | **fails** (in part) |
//! | descriptors | cwd of /proc/self/fd/N, of create and exec, plain and by symlink | CVE-2024-21626 | resists (patched) |
//! | descriptors | payload of /proc/self/fd/N/…/tool, of create and exec | CVE-2024-21626 | resists |
//! | descriptors | a caller's descriptor in a hook that the container runs | CVE-2024-21626 | resists |
//! | descriptors | read the host through the descriptors of a joining process, with CAP_SYS_PTRACE too | CVE-2016-9962 | resists |
//! | symlinks | /proc or /sys of the image is a symlink | CVE-2019-19921, -2023-27561, -2025-54867 | resists (patched) |
//! | symlinks | mount point, bound file, cwd, masked path, tmpcopyup behind a symlink to the host | CVE-2019-18837 | resists |
//! | symlinks | mount destination swapped midway: is something mounted on the host | CVE-2021-30465 | resists |
//! | symlinks | mount destination swapped midway: is something made on the host | CVE-2024-45310 | **fails** (race) |
//! | symlinks | directory of a device node swapped midway | CVE-2026-47766 | **fails** (race) |
//! | symlinks | /dev of the image is a symlink to the host | CVE-2026-41579, -47766 | **fails** |
//! | symlinks | /dev/pts, or the place of a device, is a symlink to the host | CVE-2026-41579, -47766 | resists |
//! | bent_mounts | a link leads a volume to /dev, where devices, links and the console are made | CVE-2026-41579 | **fails** |
//! | bent_mounts | a link leads a mount to the root, which it covers for `exec` | | resists |
//! | bent_mounts | a link leads a remount to the root, and so to the host's filesystem | | **fails** |
//! | bent_mounts | a read-only path that is the root, or leads to it | | **fails** (`/..`) |
//! | bent_mounts | a masked path that is the root, or leads to it | | **fails** (no effect) |
//! | procfs | something else than procfs on /proc | CVE-2019-16884 | resists |
//! | procfs | a bind over a part of /proc, by dots and by symlink too | CVE-2019-16884 | resists |
//! | procfs | a tmpfs over a part of /proc | CVE-2019-16884, -2025-52881 | **fails** |
//! | procfs | /dev/null is a symlink, a file, or swapped midway | CVE-2025-31133 | **fails** (all three) |
//! | procfs | /dev/console is a symlink | CVE-2025-52565 | **fails** |
//! | procfs | ptmx and pts are the attacker's | CVE-2025-52565 | resists |
//! | procfs | sysctl written to a file of the image, or through its symlink | CVE-2025-52881 | **fails** (both) |
//! | procfs | oom_score_adj written to a file of the image | CVE-2025-52881 | resists |
//! | procfs | write to cgroups, to release_agent, to what /proc and /sys have of danger | CVE-2023-25809 | resists |
//! | capabilities | inheritable set of exec | CVE-2022-27650, -2022-29162, -2025-27612 | resists |
//! | capabilities | regain privileges by setuid, by exec, past seccomp | | resists |
//! | identity | name of digits in passwd | CVE-2016-3697 | resists |
//! | identity | `exec -u 1` | CVE-2026-30892 | resists |
//! | identity | uid beyond 32 bits, -1, or no number: create | CVE-2024-40635, -2026-46680 | resists |
//! | identity | the same: exec | CVE-2024-40635, -2026-46680 | **fails** (4294967296 is 0) |
//! | bent_mounts | a link leads a mount of cgroups to /proc or to /dev | | resists |
//! | streams | have a terminal, a file, a fifo or a device node of the caller given to the container's user | | **fails** (detached) |
//! | strangers | a /proc of another pid namespace: what is meant for init is done to a stranger | | resists |
//! | locks | in a user namespace, undo what a mount of the host forbids or hides | | resists (refuses) |
//! | state | a link in place of the unfinished pid file | | resists |
//! | state | state directory open to others, abstract sockets, ids with slashes | CVE-2024-25621, -2020-15257 | resists |
//! | notify | a link in place of the socket for sd_notify | | resists |
//! | notify | links, and directories without end, in the directory of that socket | | resists |
//! | denial | /etc/passwd is a fifo | | **fails** (hangs) |
//! | denial | /etc/passwd of 64 GiB, fork bombs, stopped payloads, 6000 mappings | CVE-2021-43784 | resists |

mod bent_mounts;
mod born_final;
mod capabilities;
mod denial;
mod descriptors;
mod executable;
mod identity;
mod interference;
mod locks;
mod notify;
mod procfs;
mod state;
mod strangers;
mod streams;
mod symlinks;
