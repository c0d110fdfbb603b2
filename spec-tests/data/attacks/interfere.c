// A payload with CAP_SYS_PTRACE. It interferes with each process that appears in its pid namespace, until the file
// /tmp/stop is there. Its first argument says how:
//   keep         traces the process, and never takes up how it has ended
//   copy         takes a copy of each of its sockets
//   say TEXT     stops it, and says TEXT on each of its sockets; after an empty text it stays stopped
//   write, read  opens the fifo that it waits at, and writes a byte to it
// The file /tmp/ready says that it looks, and /tmp/caught that it has interfered.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NEXT = 64, DESCRIPTORS = 64 };

static void note(const char *name) { close(open(name, O_CREAT | O_WRONLY, 0600)); }

static int sockets(int pid, const char *said) {
    int found = 0, process = syscall(SYS_pidfd_open, pid, 0);
    for (int fd = 3; process >= 0 && fd < DESCRIPTORS; fd++) {
        struct stat its;
        int copy = syscall(SYS_pidfd_getfd, process, fd, 0);
        if (copy < 0) continue;
        if (fstat(copy, &its) != 0 || !S_ISSOCK(its.st_mode)) {
            close(copy);
            continue;
        }
        found++;
        if (said) send(copy, said, strlen(said), MSG_NOSIGNAL | MSG_DONTWAIT), close(copy);
    }
    close(process);
    return found;
}

static int say(int pid, const char *text) {
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) return 0;
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return 1;
    int said = sockets(pid, text);
    if (said) note("/tmp/caught");
    // What has been said is heard before the process can say anything.
    if (said && *text) usleep(20000);
    if (!said || *text) ptrace(PTRACE_DETACH, pid, 0, 0);
    return 1;
}

static int open_fifo(int pid, int writes) {
    char path[64], link[256];
    for (int fd = 3; fd < DESCRIPTORS; fd++) {
        snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
        int n = readlink(path, link, sizeof link - 1);
        if (n <= 0) continue;
        link[n] = 0;
        if (!strstr(link, "exec.fifo")) continue;
        int fifo = open(path, (writes ? O_WRONLY : O_RDONLY) | O_NONBLOCK);
        if (fifo < 0) return 0;
        if (writes) {
            if (write(fifo, "0", 1) != 1) return 0;
            close(fifo);
        }
        return 1;
    }
    return 0;
}

static int interfere(int pid, char **how) {
    if (!strcmp(how[0], "keep")) return ptrace(PTRACE_SEIZE, pid, 0, 0) == 0;
    if (!strcmp(how[0], "copy")) return sockets(pid, NULL) > 0;
    return open_fifo(pid, !strcmp(how[0], "write"));
}

int main(int argc, char **argv) {
    static char done[65536];
    int last = getpid();
    signal(SIGCHLD, SIG_DFL);
    note("/tmp/ready");
    while (access("/tmp/stop", F_OK) != 0) {
        for (int pid = getpid() + 1, end = last + NEXT; pid < end && pid < 65536; pid++) {
            if (done[pid]) continue;
            if (!strcmp(argv[1], "say")) {
                done[pid] = say(pid, argv[2]);
            } else if (interfere(pid, argv + 1)) {
                done[pid] = 1;
                note("/tmp/caught");
            }
            if (done[pid] && pid > last) last = pid;
        }
    }
    return 0;
}
