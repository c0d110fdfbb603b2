// A payload with CAP_SYS_PTRACE. It looks at every process that appears in its pid namespace, and seizes it at once.
// Until the file /tmp/stop is there. Then it prints what it has found, a line for each kind of thing:
//   seen N             how many times a process was looked at
//   seized N           how many processes were caught
//   host PATH          the file of the host was read through a process's root or working directory
//   root, cwd          a process had a root or a working directory that is none of the containers': theirs are own ones,
//                      those that the arguments from the third on name, as DEVICE:INODE, and empty ones
//   rights HEX         the capabilities of a caught process, all of its sets together
//   open LINK          what a caught process had open
//   filters MODE       whether a caught process had a seccomp filter: 2 if it had
//   device ERRNO       what a caught process gets that is made to open /device, where its root has that
//   words TEXT         a process had arguments or an environment of the runtime's caller, or what it shows of the runtime
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static char found[4096][512];
static int found_count;

static void note(const char *kind, const char *what) {
    char line[512];
    snprintf(line, sizeof line, "%s %s", kind, what);
    for (int i = 0; i < found_count; i++)
        if (!strcmp(found[i], line)) return;
    if (found_count < 4096) strcpy(found[found_count++], line);
}

static int reads(const char *dir, int pid, const char *secret) {
    char path[1024], text[64];
    snprintf(path, sizeof path, "/proc/%d/%s/%s", pid, dir, secret);
    int fd = open(path, O_RDONLY);
    if (fd < 0) return 0;
    int n = read(fd, text, sizeof text);
    close(fd);
    return n > 0;
}

static char own[64];

static void name_of(const struct stat *dir, char *name, int size) {
    snprintf(name, size, "%llu:%llu", (unsigned long long)dir->st_dev, (unsigned long long)dir->st_ino);
}

static int is_empty(const char *path) {
    int names = 0;
    DIR *dir = opendir(path);
    if (!dir) return 1;
    while (readdir(dir)) names++;
    closedir(dir);
    return names <= 2;
}

// Whether a directory of the process is a container's root: everything here has that as root and working directory.
static int is_ours(const char *dir, int pid, char **others) {
    char path[64], name[64];
    struct stat its;
    snprintf(path, sizeof path, "/proc/%d/%s", pid, dir);
    if (stat(path, &its) != 0) return 1;
    name_of(&its, name, sizeof name);
    if (!strcmp(name, own)) return 1;
    while (*others)
        if (!strcmp(name, *others++)) return 1;
    return is_empty(path);
}

static void look_at_rights(int pid) {
    char path[64], line[256];
    unsigned long long all = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "r");
    while (status && fgets(line, sizeof line, status)) {
        if (!strncmp(line, "Cap", 3)) all |= strtoull(strchr(line, ':') + 1, NULL, 16);
        if (!strncmp(line, "Seccomp:", 8)) note("filters", strtok(line + 8, " \t\n"));
    }
    if (status) fclose(status);
    snprintf(line, sizeof line, "%llx", all);
    note("rights", line);
}

static void look_at_descriptors(int pid) {
    char path[320], link[256];
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
        int n = readlink(path, link, sizeof link - 1);
        if (n > 0) link[n] = 0, note("open", link);
    }
    if (dir) closedir(dir);
}

// What others may read of the words that a process was executed with.
static void look_at_words(int pid) {
    static char text[1 << 16];
    const char *files[] = {"cmdline", "environ"};
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
        int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        int n = read(fd, text, sizeof text - 1);
        close(fd);
        for (int at = 0; at < n; at++)
            if (text[at] < ' ') text[at] = ' ';
        text[n < 0 ? 0 : n] = 0;
        const char *marks[] = {"CALLERS_SECRET", "--root", "corten"};
        for (int mark = 0; mark < 3; mark++) {
            char *found = strstr(text, marks[mark]);
            if (!found) continue;
            found[strlen(found) > 200 ? 200 : strlen(found)] = 0;
            while (*found && found[strlen(found) - 1] == ' ') found[strlen(found) - 1] = 0;
            note("words", found);
            break;
        }
    }
}

#ifdef __x86_64__
// Has a stopped process make the call that it last made once more, as open("/device", O_RDONLY).
static void open_device(int pid) {
    struct user_regs_struct saved, regs;
    char path[64];
    long name;
    int status;
    snprintf(path, sizeof path, "/proc/%d/root/device", pid);
    if (access(path, F_OK) != 0 || ptrace(PTRACE_GETREGS, pid, 0, &saved) != 0) return;
    if ((ptrace(PTRACE_PEEKTEXT, pid, saved.rip - 2, 0) & 0xffff) != 0x050f) return;
    regs = saved;
    memcpy(&name, "/device", 8);
    regs.rdi = (saved.rsp - 4096) & ~15UL;
    if (ptrace(PTRACE_POKEDATA, pid, regs.rdi, name) != 0) return;
    regs.rip = saved.rip - 2;
    regs.rax = SYS_open;
    regs.orig_rax = -1;
    regs.rsi = O_RDONLY;
    ptrace(PTRACE_SETREGS, pid, 0, &regs);
    for (int steps = 0; steps < 50; steps++) {
        if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) != 0) return;
        if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return;
        ptrace(PTRACE_GETREGS, pid, 0, &regs);
        if (regs.rip != saved.rip) continue;
        snprintf(path, sizeof path, "%d", (long)regs.rax < 0 ? -(int)regs.rax : 0);
        note("device", path);
        break;
    }
    ptrace(PTRACE_SETREGS, pid, 0, &saved);
}
#else
static void open_device(int pid) { (void)pid; }
#endif

static int seize(int pid) {
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) return 0;
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return 0;
    look_at_rights(pid);
    look_at_descriptors(pid);
    open_device(pid);
    ptrace(PTRACE_DETACH, pid, 0, 0);
    return 1;
}

int main(int argc, char **argv) {
    const char *root_secret = argv[1], *secret = argv[2];
    struct stat root;
    long seen = 0, seized = 0;
    int done[65536] = {0};
    stat("/", &root);
    name_of(&root, own, sizeof own);
    done[getpid()] = done[getppid()] = done[1] = 1;
    close(open("/tmp/ready", O_CREAT | O_WRONLY, 0600));
    while (access("/tmp/stop", F_OK) != 0) {
        DIR *proc = opendir("/proc");
        for (struct dirent *entry; (entry = readdir(proc));) {
            int pid = atoi(entry->d_name);
            if (pid <= 1 || pid >= 65536 || pid == getpid()) continue;
            seen++;
            look_at_words(pid);
            if (reads("root", pid, root_secret)) note("host", root_secret);
            if (reads("cwd", pid, secret)) note("host", secret);
            if (!is_ours("root", pid, argv + 3)) note("root", "");
            if (!is_ours("cwd", pid, argv + 3)) note("cwd", "");
            if (!done[pid] && seize(pid)) done[pid] = 1, seized++;
        }
        closedir(proc);
    }
    printf("seen %ld\nseized %ld\n", seen, seized);
    for (int i = 0; i < found_count; i++) puts(found[i]);
    return 0;
}
