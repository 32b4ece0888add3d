/* Processes and what they know of each other, a family named by argv[1]: prints what a native Linux prints; 77: not here.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define must(claim) ((claim) ? (void)0 : (printf("line %d: not so: %s (%s)\n", __LINE__, #claim, strerror(errno)), exit(1)))
#define needed(claim) ((claim) ? (void)0 : exit(77))
extern char **environ;
static char self[4096];

static void show(const char *what, long value) {
    if (value == -1) printf("%s: %s\n", what, strerror(errno));
    else printf("%s: %ld\n", what, value);
}
static int status_of(pid_t child) {
    int status = -1;
    must(waitpid(child, &status, 0) == child);
    return status;
}
static int holds(const char *path, const char *text) {
    static char data[1 << 16];
    int file = open(path, O_RDONLY);
    must(file >= 0);
    ssize_t size = 0, part;
    while ((part = read(file, data + size, sizeof data - size - 1)) > 0) size += part;
    close(file);
    return memmem(data, size, text, strlen(text)) != NULL;
}
/* Whether a line of /proc/self/status has the signal. */
static int has_signal(const char *name, int number) {
    char line[256];
    FILE *file = fopen("/proc/self/status", "r");
    must(file != NULL);
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) return fclose(file), strtoul(line + strlen(name), NULL, 16) >> (number - 1) & 1;
    return -1;
}

static void groups(void) {
    int go[2];
    must(pipe(go) == 0);
    pid_t first = fork();
    if (!first) { char c; read(go[0], &c, 1); _exit(getpgrp() == getpid() ? 1 : 2); }
    must(setpgid(first, first) == 0 && getpgid(first) == first);
    pid_t second = fork();
    if (!second) { char c; read(go[0], &c, 1); _exit(3); }
    show("joins the group", setpgid(second, first));
    show("wait for a group of nobody", waitpid(-getpgrp() - 100000, NULL, WNOHANG));
    show("nothing yet of that group", waitpid(-first, NULL, WNOHANG));
    must(killpg(first, SIGTERM) == 0);
    int ends = 0;
    for (int i = 0, status; i < 2; i++) {
        must(waitpid(-first, &status, 0) > 0);
        ends += WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM;
    }
    show("ended by the signal to the group", ends);
    pid_t leader = fork();
    if (!leader) _exit(setsid() == getpid() && getsid(0) == getpid() && setsid() == -1 && errno == EPERM ? 4 : 5);
    show("a session's leader", WEXITSTATUS(status_of(leader)));
}

static void waits(void) {
    siginfo_t info;
    int go[2];
    char byte;
    must(pipe(go) == 0);
    pid_t child = fork();
    if (!child) raise(SIGSTOP), read(go[0], &byte, 1), _exit(300 & 0xFF);
    must(waitid(P_PID, child, &info, WSTOPPED) == 0);
    printf("stopped: code %d, status %d, of the child %d\n", info.si_code, info.si_status, info.si_pid == child);
    must(waitid(P_PID, child, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0);
    must(kill(child, SIGCONT) == 0 && waitid(P_PID, child, &info, WCONTINUED) == 0);
    printf("continued: code %d, status %d\n", info.si_code, info.si_status);
    must(write(go[1], "x", 1) == 1);
    must(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0);
    printf("looked at: code %d, status %d\n", info.si_code, info.si_status);
    struct rusage used;
    int status;
    must(wait4(child, &status, 0, &used) == child);
    printf("taken: %d, memory known %d\n", WEXITSTATUS(status), used.ru_maxrss > 0);
    show("none left", waitid(P_ALL, 0, &info, WEXITED));
    int file = -1;
    struct clone_args wish = {.flags = CLONE_PIDFD, .pidfd = (uintptr_t)&file, .exit_signal = SIGCHLD};
    child = syscall(SYS_clone3, &wish, sizeof wish);
    if (!child) _exit(9);
    must(child > 0 && file >= 0);
    struct pollfd ready = {file, POLLIN, 0};
    show("its descriptor tells of the end", poll(&ready, 1, 10000));
    must(waitid(P_PIDFD, file, &info, WEXITED) == 0);
    printf("by descriptor: code %d, status %d\n", info.si_code, info.si_status);
    show("signal by descriptor", syscall(SYS_pidfd_send_signal, file, 0, NULL, 0));
    signal(SIGCHLD, SIG_IGN);
    if (!(child = fork())) _exit(0);
    show("children that nobody wants", waitpid(child, NULL, 0));
    signal(SIGCHLD, SIG_DFL);
    show("wrong flags", waitpid(-1, NULL, 0x40));
}

/* In the new program: what came of the arguments. */
static int arguments_kept(int argc, char **argv) {
    long size = 0, count = 0;
    for (int i = 1; i < argc; i++) size += strlen(argv[i]);
    for (char **at = environ; *at; at++, count++) size += strlen(*at);
    printf("%d arguments, %ld variables, %ld bytes, in order %d\n", argc, count, size, argv[argc - 1] + strlen(argv[argc - 1]) + 1 == environ[0]);
    return 0;
}
static void arguments(void) {
    enum { MANY = 20000, LONG = 131071 };
    static char *many[MANY + 3], *few[] = {"A=1", "B=2", NULL}, *large[20];
    many[0] = self, many[1] = "arguments_kept";
    for (int i = 2; i < MANY; i++) many[i] = i % 2 ? "" : "some text of it";
    fflush(stdout);
    pid_t child = fork();
    if (!child) execve(self, many, few), _exit(1);
    must(status_of(child) == 0);
    char *longest = malloc(LONG + 2);
    memset(longest, 'x', LONG), longest[LONG] = 0;
    for (int i = 0; i < 10; i++) large[i] = longest;
    char *three[] = {self, "arguments_kept", longest, NULL};
    if (!(child = fork())) execve(self, three, large), _exit(1);
    must(status_of(child) == 0);
    strcat(longest, "y");
    if (!(child = fork())) execve(self, three, few), _exit(errno);
    printf("a string too long: %s\n", strerror(WEXITSTATUS(status_of(child))));
    longest[LONG] = 0;
    static char *too_many[200];
    for (int i = 0; i < 199; i++) too_many[i] = longest;
    too_many[0] = self, too_many[1] = "arguments_kept";
    if (!(child = fork())) execve(self, too_many, few), _exit(errno);
    printf("all too long: %s\n", strerror(WEXITSTATUS(status_of(child))));
    if (!(child = fork())) execve(self, NULL, NULL), _exit(errno);
    printf("without any: %d\n", WEXITSTATUS(status_of(child)));
}

static int second_life(char **argv) {
    char path[64];
    sprintf(path, "/proc/%s/cmdline", argv[2]);
    printf("a child sees its parent's arguments: %d\n", holds(path, "titles"));
    return 0;
}
static void titles(char **argv) {
    char path[64], number[16];
    sprintf(number, "%d", getpid());
    fflush(stdout);
    pid_t child = fork();
    if (!child) execl(self, self, "second_life", number, NULL), _exit(1);
    must(status_of(child) == 0);
    int go[2];
    must(pipe2(go, O_CLOEXEC) == 0);
    char byte;
    if (!(child = vfork())) dup2(go[1], 9), execl(self, "another name", "some words", NULL), _exit(1);
    must(read(go[0], &byte, 1) == 1);
    sprintf(path, "/proc/%d/cmdline", child);
    printf("a parent sees its child's arguments: %d\n", holds(path, "another name") && holds(path, "some words"));
    kill(child, SIGKILL), status_of(child);
    memset(argv[1], 'T', strlen(argv[1]));
    printf("a title that is written shows: %d\n", holds("/proc/self/cmdline", "TTTTTT"));
    must(prctl(PR_SET_NAME, "a name", 0, 0, 0) == 0);
    printf("a name: %d %d\n", holds("/proc/self/comm", "a name"), holds("/proc/self/stat", "(a name)"));
    signal(SIGUSR1, SIG_IGN), signal(SIGUSR2, (void (*)(int))titles);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGALRM), sigprocmask(SIG_BLOCK, &set, NULL);
    printf("its signals: %d %d %d\n", has_signal("SigBlk:", SIGALRM), has_signal("SigIgn:", SIGUSR1), has_signal("SigCgt:", SIGUSR2));
    printf("and no others: %d %d %d\n", has_signal("SigBlk:", SIGUSR1), has_signal("SigIgn:", SIGUSR2), has_signal("SigCgt:", SIGALRM));
    char *place = mmap((void *)0x7000000000 /* within a Sv39 guest and natively */, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char text[32];
    sprintf(text, "%lx-", (long)place);
    printf("its memory: %d %d\n", holds("/proc/self/maps", text), holds("/proc/self/smaps", text));
}

static int in_new_spaces(void *unused) {
    (void)unused;
    struct utsname name;
    return sethostname("elsewhere", 9) == 0 && uname(&name) == 0 && !strcmp(name.nodename, "elsewhere") ? 6 : 7;
}
static void spaces(void) {
    static char stack[1 << 16] __attribute__((aligned(16)));
    struct utsname before, after;
    must(uname(&before) == 0);
    pid_t child = clone(in_new_spaces, stack + sizeof stack, CLONE_NEWUSER | CLONE_NEWUTS | SIGCHLD, NULL);
    needed(child > 0);
    printf("in spaces of its own: %d\n", WEXITSTATUS(status_of(child)));
    must(uname(&after) == 0);
    printf("here the name is as before: %d\n", !strcmp(before.nodename, after.nodename));
    show("a file system shared and not", clone(in_new_spaces, stack + sizeof stack, CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL));
    if (!(child = fork())) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWPID)) _exit(77);
        pid_t first = fork();
        if (!first) _exit(getpid());
        _exit(WEXITSTATUS(status_of(first)) + 10);
    }
    printf("a first process: %d\n", WEXITSTATUS(status_of(child)) - 10);
}

static void usage(void) {
    struct rusage own, children;
    struct tms now;
    for (volatile long i = 0; i < 20000000; i++) {}
    fflush(stdout);
    pid_t child = fork();
    if (!child) { for (volatile long i = 0; i < 20000000; i++) {} _exit(0); }
    must(status_of(child) == 0 && getrusage(RUSAGE_SELF, &own) == 0 && getrusage(RUSAGE_CHILDREN, &children) == 0);
    must(times(&now) != -1);
    printf("time: own %d, children's %d\n", own.ru_utime.tv_sec || own.ru_utime.tv_usec, children.ru_utime.tv_sec || children.ru_utime.tv_usec);
    printf("ticks not behind: %d\n", now.tms_utime + 2 >= own.ru_utime.tv_sec * sysconf(_SC_CLK_TCK));
    printf("page faults: %d\n", own.ru_minflt > 0);
    show("usage of whom", getrusage(5, &own));
    show("personality", personality(0xFFFFFFFF) & 0xFFFF);
    must(personality(ADDR_NO_RANDOMIZE) != -1);
    printf("kept: %d\n", (personality(0xFFFFFFFF) & ADDR_NO_RANDOMIZE) != 0);
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    show("capabilities", syscall(SYS_capget, &head, data));
    head.version = 1;
    show("of no version", syscall(SYS_capget, &head, data));
    printf("the version is told: %d\n", head.version == _LINUX_CAPABILITY_VERSION_3);
    show("children that outlive", prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
    int is = 0;
    must(prctl(PR_GET_CHILD_SUBREAPER, &is, 0, 0, 0) == 0);
    show("reaper", is);
    int ends[2];
    must(pipe(ends) == 0);
    if (!(child = fork())) {
        if (!fork()) { while (getppid() == child) {} char c; read(ends[0], &c, 1); _exit(8); }
        _exit(0);
    }
    must(status_of(child) == 0 && write(ends[1], "x", 1) == 1);
    int status;
    must(wait(&status) > 0);
    show("a grandchild's status", WEXITSTATUS(status));
    show("signal at the parent's end", prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0));
    must(prctl(PR_GET_PDEATHSIG, &is, 0, 0, 0) == 0);
    show("it is", is);
}

/* What a folder of descriptors lists, read with a buffer of so many bytes. */
static void listed(const char *path, size_t room) {
    char found[4096];
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    must(folder >= 0 && room <= sizeof found);
    printf("%s:", path);
    for (long size; (size = syscall(SYS_getdents64, folder, found, room)) > 0;)
        for (long at = 0; at < size; at += *(unsigned short *)(found + at + 16))
            if (found[at + 19] != '.') printf(" %s", found + at + 19);
    printf("\n");
    must(close(folder) == 0);
}

static void descriptors(void) {
    char path[64];
    must(syscall(SYS_close_range, 3, ~0U, 0) == 0);
    must(dup2(1, 5) == 5 && dup2(1, 300) == 300);
    listed("/proc/self/fd", 4096);
    listed("/proc/self/fd", 48);                    /* two entries a time */
    listed("/proc/thread-self/fdinfo", 4096);
    listed("/dev/fd", 64);
    snprintf(path, sizeof path, "/proc/%d/task/%d/fd", getpid(), getpid());
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    char found[64];
    show("no room", syscall(SYS_getdents64, folder, found, 8));
    show("nowhere", syscall(SYS_getdents64, folder, (void *)(1L << 46), 64));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 4096);
    must(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    if (argc > 1 && !strcmp(argv[1], "arguments_kept")) return arguments_kept(argc, argv);
    if (argc == 1) return argv[0] && !*argv[0] ? 11 : 12;
    if (!strcmp(argv[1], "second_life")) return second_life(argv);
    if (!strcmp(argv[1], "some words")) write(9, "x", 1), pause();
    const struct { const char *name; void (*function)(); } families[] = {
        {"groups", groups}, {"waits", waits}, {"arguments", arguments}, {"spaces", spaces}, {"usage", usage},
        {"descriptors", descriptors}};
    if (!strcmp(argv[1], "titles")) return titles(argv), 0;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(argv[1], families[i].name)) return families[i].function(), 0;
    return 2;
}
