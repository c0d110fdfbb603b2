// A payload with CAP_SYS_PTRACE. It looks at every process that appears in its pid namespace, and seizes it at once.
// Until the file /tmp/stop is there. Then it prints what it has found, a line for each kind of thing:
//   seen N             how many times a process was looked at
//   seized N           how many processes were caught
//   host PATH          the file of the host was read through a process's root or working directory
//   root, cwd          a process had a root or a working directory that is none of the containers': theirs are own ones,
//                      those that the arguments from the third on name, as DEVICE:INODE, and empty ones
//   rights HEX         the capabilities of a caught process, all of its sets together
//   open LINK          what a caught process had open
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
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
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "Cap", 3)) all |= strtoull(strchr(line, ':') + 1, NULL, 16);
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

static int seize(int pid) {
    int status;
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0) return 0;
    ptrace(PTRACE_INTERRUPT, pid, 0, 0);
    if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status)) return 0;
    look_at_rights(pid);
    look_at_descriptors(pid);
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
