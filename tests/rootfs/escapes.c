/* Attempts to leave a root, each named by argv[1]; argv[2] is an absolute path on the host of a file `secret` that holds "outside".
 * Prints a line for each attempt that came through, beginning with "out:", and what the attempt must see if it did not.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OPEN_TREE = 428, FSOPEN = 430, PIDFD_GETFD = 438, OWN_LIMIT = 6000 };
static const char *secret, UP[] = "../../../../../../../../../../../../../../../..";

static char *text(const char *format, ...) {
    char *made;
    va_list more;
    va_start(more, format);
    if (vasprintf(&made, format, more) < 0) abort();
    va_end(more);
    return made;
}

/* What a file says, where `at` may be any descriptor; "" if it cannot be opened. */
static const char *content(int at, const char *path) {
    static char data[64];
    int fd = openat(at, path, O_RDONLY);
    ssize_t count = fd < 0 ? 0 : read(fd, data, sizeof data - 1);
    if (fd >= 0) close(fd);
    data[count < 0 ? 0 : count] = 0;
    return data;
}

static int attempt(int at, const char *path) {
    if (strncmp(content(at, path), "outside", 7)) return 0;
    printf("out: %s\n", path);
    return 1;
}

static int dot_dot(void) {
    attempt(AT_FDCWD, text("%s%s", UP, secret));
    attempt(AT_FDCWD, text("/%s%s", UP, secret));
    mkdir("/deep", 0755);
    for (int depth = 0; depth < 20; depth++) mkdir("deep", 0755), chdir("deep");
    for (int depth = 0; depth < 40; depth++) chdir("..");
    attempt(AT_FDCWD, secret + 1);
    chdir("/deep");
    attempt(AT_FDCWD, text("%s%s", UP, secret));
    struct stat here, up;
    stat("/", &here), stat("/..", &up);
    printf("/.. is /: %d\n", here.st_ino == up.st_ino && here.st_dev == up.st_dev);
    return 0;
}

static int links(void) {
    const char *targets[] = { secret, text("%s%s", UP, secret), text("/..%s", secret) };
    for (int which = 0; which < 3; which++) {
        unlink("/link");
        if (symlink(targets[which], "/link")) return 1;
        attempt(AT_FDCWD, "/link");
        struct stat status;
        if (!stat("/link", &status)) printf("out: stat by %s\n", targets[which]);
        if (!access("/link", F_OK)) printf("out: access by %s\n", targets[which]);
        if (!truncate("/link", 7)) printf("out: truncate by %s\n", targets[which]);
        if (!chmod("/link", 0644)) printf("out: chmod by %s\n", targets[which]);
        if (open("/link", O_WRONLY | O_CREAT, 0600) >= 0) printf("made where the link leads\n");
        char folder[512];
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(targets[which], '/') - targets[which]), targets[which]);
        unlink("/folder");
        symlink(folder, "/folder");
        attempt(AT_FDCWD, "/folder/secret");
        if (!mkdir("/folder/made", 0755)) printf("out: mkdir by %s\n", folder);
        if (!rename("/folder/secret", "/stolen")) printf("out: rename by %s\n", folder);
        if (!link("/folder/secret", "/linked")) printf("out: link by %s\n", folder);
        if (!unlink("/folder/victim")) printf("out: unlink by %s\n", folder);
        if (!chdir("/folder") && attempt(AT_FDCWD, "secret")) printf("out: chdir by %s\n", folder);
        chdir("/");
    }
    return 0;
}

static int proc_links(void) {
    static const char *who[] = { "self", "thread-self", "1", "2", "self/task/1", "3" }, *what[] = { "root", "cwd" };
    for (int one = 0; one < 7; one++)
        for (int way = 0; way < 2; way++) {
            const char *name = one < 6 ? who[one] : text("%d", getppid());
            attempt(AT_FDCWD, text("/proc/%s/%s%s", name, what[way], secret));
            attempt(AT_FDCWD, text("/proc/%s/%s/%s%s", name, what[way], UP, secret));
            symlink(text("/proc/%s/%s", name, what[way]), "/to");
            attempt(AT_FDCWD, text("/to%s", secret));
            unlink("/to");
        }
    char name[256];
    ssize_t count = readlink("/proc/self/exe", name, sizeof name - 1);
    name[count < 0 ? 0 : count] = 0;
    printf("exe: %s\n", name);
    count = readlink("/proc/self/root", name, sizeof name - 1);
    name[count < 0 ? 0 : count] = 0;
    printf("root: %s\n", name);
    return 0;
}

static int is_own_program(int fd) {
    struct stat own, this;
    return !stat("/bin/escapes", &own) && !fstat(fd, &this) && own.st_ino == this.st_ino && own.st_dev == this.st_dev;
}

/* Each process that /proc shows: the emulator's program must not be there to be written to, nor its memory. */
static int proc_files(void) {
    DIR *all = opendir("/proc");
    for (struct dirent *entry; all && (entry = readdir(all));) {
        if (*entry->d_name < '0' || *entry->d_name > '9') continue;
        static const char *names[] = { "mem", "exe", "maps", "environ", "clear_refs", "oom_score_adj" };
        for (int which = 0; which < 6; which++) {
            char *path = text("/proc/%s/%s", entry->d_name, names[which]);
            int fd = open(path, O_RDWR);
            if (fd >= 0 && !(is_own_program(fd))) printf("out: can write %s\n", path);
        }
    }
    int folder = open("/proc/self", O_RDONLY);
    symlink("/proc/self/mem", "/mem");
    if (open("/mem", O_RDWR) >= 0) printf("out: by a link\n");
    if (openat(folder, "mem", O_RDWR) >= 0) printf("out: by a folder\n");
    if (openat(folder, "exe", O_RDWR) >= 0) printf("out: exe by a folder\n");
    if (openat(folder, "../self/mem", O_WRONLY) >= 0) printf("out: by a folder and ..\n");
    if (open("/proc/self/task/../mem", O_RDWR) >= 0) printf("out: by ..\n");
    if (open("//proc//thread-self/./mem", O_RDWR) >= 0) printf("out: by a dot\n");
    if (open("/proc/sys/kernel/core_pattern", O_WRONLY) >= 0) printf("out: core_pattern\n");
    if (open("/proc/sysrq-trigger", O_WRONLY) >= 0) printf("out: sysrq\n");
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (strtoul(strchr(line, '-') + 1, 0, 16) > 1ul << 38 || strstr(line, "python")) printf("out: %s", line);
    return 0;
}

static int descriptors(void) {
    int folders = 0;
    for (int fd = 3; fd < OWN_LIMIT; fd++) {
        struct stat status;
        if (attempt(fd, text("%s%s", UP, secret)) | attempt(fd, "secret") | attempt(fd, "../secret")) printf("out: by %d\n", fd);
        if (!fchdir(fd)) folders++, attempt(AT_FDCWD, text("%s%s", UP, secret));
        if (!fstat(fd, &status) && S_ISDIR(status.st_mode)) folders++;
        attempt(AT_FDCWD, text("/proc/self/fd/%d/%s%s", fd, UP, secret));
        attempt(AT_FDCWD, text("/dev/fd/%d/secret", fd));
        if (!close(fd)) printf("out: closed %d\n", fd);
    }
    printf("folders: %d\n", folders);
    DIR *all = opendir("/proc/self/fd");        /* what is open but cannot be closed is the emulator's */
    for (struct dirent *entry; all && (entry = readdir(all));)
        if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(all) && atoi(entry->d_name) > 2)
            for (int way = 0; way < 2; way++)
                if (open(text(way ? "/dev/fd/%s" : "/proc/self/fd/%s", entry->d_name), O_RDONLY) >= 0)
                    printf("out: own %s\n", entry->d_name);
    return 0;
}

static int change_root(void) {
    mkdir("/other", 0755);
    int here = open("/", O_RDONLY);
    int made = chroot("/other");
    fchdir(here);
    for (int depth = 0; depth < 100; depth++) chdir("..");
    attempt(AT_FDCWD, secret + 1);
    printf("chroot of . : %d\n", made && errno != EPERM ? errno : 0);
    chroot(".");
    attempt(AT_FDCWD, secret);
    return 0;
}

static void refused(const char *name, long result) {
    if (result >= 0 || (errno != EPERM && errno != EACCES && errno != ENOSYS && errno != EINVAL && errno != ENOTTY))
        printf("out: %s: %ld, %s\n", name, result, strerror(errno));
}

static int mounts(void) {
    mkdir("/a", 0755);
    refused("tmpfs", mount("none", "/a", "tmpfs", 0, 0));
    refused("bind", mount("/", "/a", 0, MS_BIND | MS_REC, 0));
    refused("writable", mount(0, "/proc", 0, MS_REMOUNT | MS_BIND, 0));
    refused("umount proc", umount2("/proc", MNT_DETACH));
    refused("umount /", umount2("/", MNT_DETACH));
    refused("pivot", syscall(SYS_pivot_root, "/a", "/a"));
    refused("new mounts", unshare(CLONE_NEWNS));
    refused("new user", unshare(CLONE_NEWUSER | CLONE_NEWNS));
    refused("setns", setns(0, 0));
    refused("tree", syscall(OPEN_TREE, AT_FDCWD, "/", 1));
    refused("fsopen", syscall(FSOPEN, "proc", 0));
    refused("disk", mknod("/disk", S_IFBLK | 0600, makedev(254, 0)) ? -1 : open("/disk", O_RDONLY));
    struct { struct file_handle head; char room[128]; } handle = { { 128, 1 }, "" };
    handle.head.handle_bytes = 128;
    refused("handle", open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY));
    puts("all refused");
    return 0;
}

/* argv[2] is the number of a process outside here. */
static int processes(void) {
    int outside = atoi(secret), targets[] = { 1, getppid(), outside };
    for (int which = 0; which < 3; which++) {
        int target = targets[which];
        if (target <= 0 || target == getpid()) continue;
        if (ptrace(PTRACE_ATTACH, target, 0, 0) >= 0) printf("out: ptrace %d\n", target);
        if (ptrace(PTRACE_SEIZE, target, 0, 0) >= 0) printf("out: seize %d\n", target);
        char byte = 0;
        struct iovec here = { &byte, 1 };
        for (uintptr_t at = 0x10000; at; at <<= 1) {
            struct iovec there = { (void *)at, 1 };
            if (process_vm_readv(target, &here, 1, &there, 1, 0) > 0) printf("out: memory of %d\n", target);
        }
        int pidfd = syscall(SYS_pidfd_open, target, 0);
        if (pidfd >= 0 && syscall(PIDFD_GETFD, pidfd, 0, 0) >= 0) printf("out: descriptor of %d\n", target);
    }
    char byte = 1;
    struct iovec here = { &byte, 1 };
    for (int bit = 38; bit < 64; bit++)
        for (int sign = 0; sign < 2; sign++) {
            uintptr_t at = sign ? -(1ul << bit) : 1ul << bit;
            struct iovec there = { (void *)at, 1 };
            if (process_vm_writev(getpid(), &here, 1, &there, 1, 0) > 0) printf("out: own emulator at %lx\n", at);
        }
    for (int which = 0; which < 3; which++)
        if (targets[which] != getpid() && targets[which] > 1) kill(targets[which], SIGKILL);
    signal(SIGTERM, SIG_IGN);
    kill(-1, SIGTERM);
    puts("tried");
    return 0;
}

static volatile int over;
static void *swap(void *unused) {
    while (!over) syscall(SYS_renameat2, AT_FDCWD, "/race/folder", AT_FDCWD, "/race/link", 2 /* RENAME_EXCHANGE */);
    return unused;
}

static int race(void) {
    mkdir("/race", 0755), mkdir("/race/folder", 0755);
    int fd = open("/race/folder/secret", O_WRONLY | O_CREAT, 0644);
    if (write(fd, "inside", 6) != 6) return 1;
    char folder[512];
    snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(secret, '/') - secret), secret);
    const char *targets[] = { folder, text("..%s/%s", "", text("%s%s", UP, folder)) };
    int inside = 0, out = 0, other = 0;
    for (int way = 0; way < 2; way++) {
        unlink("/race/link");
        symlink(targets[way], "/race/link");
        pthread_t thread;
        over = 0;
        pthread_create(&thread, 0, swap, 0);
        /* A call takes 2 us: on a busy host the other thread may have had no turn in the first 1500. */
        for (int round = 0; round < 1500 || (!(inside && other) && round < 1000000); round++) {
            const char *found = content(AT_FDCWD, round % 2 ? "/race/folder/secret" : "/race/folder/../folder/secret");
            if (!strncmp(found, "inside", 6)) inside++;
            else if (!strncmp(found, "outside", 7)) out++;
            else other++;
        }
        over = 1;
        pthread_join(thread, 0);
        struct stat status;
        if (!lstat("/race/link", &status) && S_ISDIR(status.st_mode))
            syscall(SYS_renameat2, AT_FDCWD, "/race/folder", AT_FDCWD, "/race/link", 2);
    }
    if (out) printf("out: %d times\n", out);
    printf("both were met: %d\n", inside > 0 && other > 0);
    return 0;
}

/* argv[2] is a socket that a process of the host listens at; its abstract namesake likewise. */
static int sockets(void) {
    struct sockaddr_un name = { AF_UNIX, "" };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(name.sun_path, secret, sizeof name.sun_path - 1);
    if (!connect(fd, (void *)&name, sizeof name)) puts("out: by path");
    memset(name.sun_path, 0, sizeof name.sun_path);
    strncpy(name.sun_path + 1, secret, sizeof name.sun_path - 2);
    if (!connect(fd, (void *)&name, sizeof(sa_family_t) + 1 + strlen(secret))) puts("out: abstract");
    strcpy(name.sun_path, "/own");
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    printf("own: %d", bind(server, (void *)&name, sizeof name));
    printf(" %d", listen(server, 1));
    printf(" %d\n", connect(client, (void *)&name, sizeof name));
    return 0;
}

static int terminal(void) {
    char byte = 'x', two[2] = { 2, 0 };
    refused("TIOCSTI", ioctl(0, TIOCSTI, &byte));
    refused("TIOCLINUX", ioctl(0, TIOCLINUX, two));
    puts("refused");
    return 0;
}

static int host_program(void) {
    char *words[] = { "/native", 0 };
    execv("/native", words);
    printf("%s\n", strerror(errno));
    return 0;
}

/* --pids: how many processes that wait can be made, and with what error it ends. */
static int tasks(void) {
    int made = 0;
    for (; made < 100; made++) {
        pid_t child = fork();
        if (child < 0) break;
        if (!child) { pause(); _exit(0); }
    }
    printf("%d, %s\n", made, strerror(errno));
    pthread_t thread;
    printf("thread: %s\n", strerror(pthread_create(&thread, 0, swap, 0)));
    kill(0, 0);
    return 0;
}

/* --memory: MiB that can be had, by one process and by two, and with what error it ends. */
static int memory(void) {
    int had = 0;
    for (; had < 1000; had++)
        if (mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
    printf("%d: %s\n", had > 20 && had < 64, strerror(errno));
    printf("reserved: %d\n", mmap(0, 1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    printf("fork: %d, ", fork() < 0);
    printf("%s\n", strerror(errno));
    return 0;
}

/* A child and this process wait. */
static int wait_for_ever(void) {
    if (fork()) puts("waiting");
    for (;;) pause();
}

static int end_so(void) {
    int status = atoi(secret);
    if (status >= 0) return status;
    signal(-status, SIG_DFL);
    kill(getpid(), -status);
    return 97;
}

static void caught(int number) { dprintf(1, "caught %d\n", number); }

static int catch(void) {
    signal(SIGUSR1, caught);
    puts("waiting");
    for (;;) pause();
}

static int stop(void) {
    raise(SIGSTOP);
    puts("went on");
    return 0;
}

static int binds(void) {
    printf("%s\n", content(AT_FDCWD, "/etc/secret"));
    open("/etc/secret", O_WRONLY);
    puts(strerror(errno));
    chmod("/etc/secret", 0777);
    puts(strerror(errno));
    int fd = open("/mnt/a/file", O_WRONLY | O_CREAT, 0644);
    puts(write(fd, "written", 7) == 7 ? "written" : strerror(errno));
    return 0;
}

static int network(void) {
    struct sockaddr_in here = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof here;
    int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    bind(server, (void *)&here, sizeof here), listen(server, 1), getsockname(server, (void *)&here, &length);
    int connected = !connect(client, (void *)&here, sizeof here), count = 0;
    struct if_nameindex *all = if_nameindex();
    while (all && all[count].if_index) count++;
    printf("loopback: %d, interfaces: %d\n", connected, count);
    return 0;
}

static const struct { const char *name; int (*run)(void); } CASES[] = {
    { "dot_dot", dot_dot }, { "links", links }, { "proc_links", proc_links }, { "proc_files", proc_files },
    { "descriptors", descriptors }, { "change_root", change_root }, { "mounts", mounts }, { "processes", processes },
    { "race", race }, { "sockets", sockets }, { "terminal", terminal }, { "host_program", host_program }, { "tasks", tasks },
    { "memory", memory }, { "wait", wait_for_ever }, { "status", end_so }, { "catch", catch }, { "stop", stop }, { "binds", binds },
    { "network", network },
};

int main(int count, char **words) {
    setvbuf(stdout, 0, _IOLBF, 0);
    secret = count > 2 ? words[2] : "/";
    for (unsigned which = 0; count > 1 && which < sizeof CASES / sizeof *CASES; which++)
        if (!strcmp(CASES[which].name, words[1])) return CASES[which].run();
    return 98;
}
