/* System calls that few programs make, a family named by argv[1]: prints what a native Linux (6.12 or newer) prints; 77: not here.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Younger than the headers; the same numbers on every architecture. */
enum { CACHESTAT = 451, FUTEX_WAKE2 = 454, FUTEX_WAIT2, FUTEX_REQUEUE2, STATMOUNT, LISTMOUNT, LSM_LIST_MODULES = 461 };
enum { PAGE = 4096, NOT_HERE = 77, FUTEX2 = 2 };      /* 32 bits, perhaps shared with other processes */
#define NOWHERE ((void *)(1L << 46))
#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
/* The first call of a family: where the host has not got it, or forbids it, there is nothing to see. */
static long needed(long result) {
    if (result < 0 && (errno == ENOSYS || errno == EPERM || errno == EOPNOTSUPP)) _exit(NOT_HERE);
    return result;
}
static void show(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, result);
}
static char *pages(int count, int flags, int fd) {
    char *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
    must(at != MAP_FAILED);
    return at;
}
static char *unmapped(void) {
    char *at = pages(1, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    must(munmap(at, PAGE) == 0);
    return at;
}
static int file(const char *text) {
    int fd = memfd_create("rare", 0);
    must(fd >= 0 && write(fd, text, strlen(text)) == (long)strlen(text));
    return fd;
}

/* --- asynchronous input and output */
static void show_events(aio_context_t context, long least, struct iocb *first) {
    struct io_event events[8];
    struct timespec limit = {20, 0};
    long count = syscall(SYS_io_getevents, context, least, 8, events, &limit);
    must(count >= 0);
    for (long n = 0; n < count; n++)
        printf("event: data %llx, request %ld, result %lld %lld\n", events[n].data, (struct iocb *)(uintptr_t)events[n].obj - first,
               events[n].res, events[n].res2);
}
static int aio(void) {
    aio_context_t context = 0;
    int fd = file("0123456789"), event = eventfd(0, 0), ends[2];
    char read_to[8] = "", one[4] = "", two[4] = "";
    struct iovec parts[2] = {{one, 3}, {two, 3}};
    must(pipe(ends) == 0);
    show("setup", needed(syscall(SYS_io_setup, 8, &context)));
    show("setup again", syscall(SYS_io_setup, 8, &context));
    show("setup nowhere", syscall(SYS_io_setup, 8, NOWHERE));
    struct iocb requests[4] = {
        {.aio_data = 0x1111, .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)"abc", .aio_nbytes = 3, .aio_offset = 2,
         .aio_key = 99, .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = event},
        {.aio_data = 0x2222, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd, .aio_buf = (uintptr_t)read_to, .aio_nbytes = 7},
        {.aio_data = 0x3333, .aio_lio_opcode = IOCB_CMD_PREADV, .aio_fildes = fd, .aio_buf = (uintptr_t)parts, .aio_nbytes = 2, .aio_offset = 1},
        {.aio_data = 0x4444, .aio_lio_opcode = IOCB_CMD_POLL, .aio_fildes = ends[0], .aio_buf = POLLIN},
    };
    struct iocb *list[] = {requests, requests + 1, requests + 2, requests + 3}, *bad[] = {requests, NOWHERE};
    show("submit", syscall(SYS_io_submit, context, 3, list));
    show_events(context, 3, requests);
    uint64_t told = 0;
    must(read(event, &told, 8) == 8);
    printf("read %s, %s %s, told %ld, key %u\n", read_to, one, two, (long)told, requests[0].aio_key);
    show("submit nothing", syscall(SYS_io_submit, context, 0, NOWHERE));
    show("submit less than nothing", syscall(SYS_io_submit, context, -1L, list));
    show("submit up to a bad one", syscall(SYS_io_submit, context, 2, bad));
    show_events(context, 1, requests);
    show("submit a bad one", syscall(SYS_io_submit, context, 1, bad + 1));
    show("submit from nowhere", syscall(SYS_io_submit, context, 1, NOWHERE));
    requests[1].aio_buf = (uintptr_t)unmapped();
    show("read to nowhere", syscall(SYS_io_submit, context, 1, list + 1));
    show_events(context, 1, requests);
    requests[1].aio_lio_opcode = 77;
    show("an unknown operation", syscall(SYS_io_submit, context, 1, list + 1));
    show("poll", syscall(SYS_io_submit, context, 1, list + 3));
    struct timespec at_once = {0, 0};
    struct io_event events[2];
    show("nothing yet", syscall(SYS_io_getevents, context, 1, 2, events, &at_once));
    must(write(ends[1], "x", 1) == 1);
    show_events(context, 1, requests);
    must(read(ends[0], one, 1) == 1);
    show("poll again", syscall(SYS_io_submit, context, 1, list + 3));
    show("cancel", syscall(SYS_io_cancel, context, requests + 3, events));
    show("cancel another", syscall(SYS_io_cancel, context, requests + 2, events));
    show("fewer than none", syscall(SYS_io_getevents, context, -1L, 1, events, &at_once));
    show("more than all", syscall(SYS_io_getevents, context, 2, 1, events, &at_once));
    sigset_t set;
    sigemptyset(&set);
    struct { sigset_t *set; size_t size; } mask = {&set, 8}, wrong = {NOWHERE, 8};
    must(syscall(SYS_io_submit, context, 1, list) == 1);
    show("with a mask", syscall(SYS_io_pgetevents, context, 1, 1, events, NULL, &mask));
    show("with a bad mask", syscall(SYS_io_pgetevents, context, 1, 1, events, NULL, &wrong));
    fflush(stdout);
    if (fork() == 0) {
        show("in a child", syscall(SYS_io_destroy, context));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    show("destroy", syscall(SYS_io_destroy, context));
    show("destroy again", syscall(SYS_io_destroy, context));
    show("submit after the end", syscall(SYS_io_submit, context, 1, list));
    return 0;
}

/* --- futexes */
struct waiter { uint64_t value, address; uint32_t flags, reserved; };
static _Atomic uint32_t words[3];
static long wait_several(int count, struct waiter *waiters, int seconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    return syscall(SYS_futex_waitv, waiters, count, 0, &until, CLOCK_MONOTONIC);
}
static void *wait_for_two(void *unused) {
    struct waiter waiters[2] = {{0, (uintptr_t)&words[0], FUTEX2, 0}, {0, (uintptr_t)&words[1], FUTEX2, 0}};
    return unused ? NULL : (void *)wait_several(2, waiters, 20);
}
static void *wait_for_one(void *unused) {
    return unused ? NULL : (void *)syscall(FUTEX_WAIT2, &words[2], 0L, 0xFFFFFFFFL, FUTEX2, NULL, CLOCK_MONOTONIC);
}
static int futexes(void) {
    struct waiter waiters[2] = {{0, (uintptr_t)&words[0], FUTEX2, 0}, {7, (uintptr_t)&words[1], FUTEX2, 0}};
    struct waiter far = {0, (uintptr_t)NOWHERE, FUTEX2, 0}, pair[2] = {{0, (uintptr_t)&words[2], FUTEX2, 0}, {0, (uintptr_t)&words[0], FUTEX2, 0}};
    pthread_t thread;
    void *result;
    show("other values", needed(wait_several(2, waiters, 1)));
    show("no waiters", wait_several(0, waiters, 1));
    show("too many", wait_several(129, waiters, 1));
    show("waiters nowhere", wait_several(1, NOWHERE, 1));
    show("a word nowhere", wait_several(1, &far, 1));
    show("too late", wait_several(1, waiters, 0));
    waiters[0].reserved = 1;
    show("not reserved", wait_several(1, waiters, 1));
    must(pthread_create(&thread, NULL, wait_for_two, NULL) == 0);
    while (needed(syscall(FUTEX_WAKE2, &words[1], 0xFFFFFFFFL, 1, FUTEX2)) == 0) sched_yield();
    must(pthread_join(thread, &result) == 0);
    show("woken by word", (long)result);
    must(pthread_create(&thread, NULL, wait_for_one, NULL) == 0);
    long moved;
    while ((moved = syscall(FUTEX_REQUEUE2, pair, 0, 0, 1)) == 0) sched_yield();
    show("moved", moved);
    show("woken where it was", syscall(FUTEX_WAKE2, &words[2], 0xFFFFFFFFL, 1, FUTEX2));
    show("woken where it went", syscall(FUTEX_WAKE2, &words[0], 0xFFFFFFFFL, 1, FUTEX2));
    must(pthread_join(thread, &result) == 0);
    show("it waited", (long)result);
    show("another value", syscall(FUTEX_WAIT2, &words[0], 5L, 0xFFFFFFFFL, FUTEX2, NULL, CLOCK_MONOTONIC));
    show("wait nowhere", syscall(FUTEX_WAIT2, NOWHERE, 0L, 0xFFFFFFFFL, FUTEX2, NULL, CLOCK_MONOTONIC));
    show("requeue from nowhere", syscall(FUTEX_REQUEUE2, NOWHERE, 0, 0, 1));
    return 0;
}

/* --- keys */
static long keyctl(int operation, long a, long b, long c, long d) { return syscall(SYS_keyctl, operation, a, b, c, d); }
static int keys(void) {
    char text[200] = "";
    long mine = KEY_SPEC_PROCESS_KEYRING;
    long key = needed(syscall(SYS_add_key, "user", "rare:one", "first", 5, mine));
    must(key > 0);
    show("read", keyctl(KEYCTL_READ, key, (long)text, sizeof text, 0));
    printf("%.5s\n", text);
    show("update", keyctl(KEYCTL_UPDATE, key, (long)"second", 6, 0));
    show("read", keyctl(KEYCTL_READ, key, (long)text, sizeof text, 0));
    printf("%.6s\n", text);
    must(keyctl(KEYCTL_DESCRIBE, key, (long)text, sizeof text, 0) > 0);
    printf("%.5s %s\n", text, strrchr(text, ';') + 1);
    printf("found: %d\n", keyctl(KEYCTL_SEARCH, mine, (long)"user", (long)"rare:one", 0) == key);
    show("search for another", keyctl(KEYCTL_SEARCH, mine, (long)"user", (long)"rare:two", 0));
    show("search from nowhere", keyctl(KEYCTL_SEARCH, mine, (long)NOWHERE, (long)"rare:one", 0));
    show("read to nowhere", keyctl(KEYCTL_READ, key, (long)NOWHERE, 6, 0));
    show("update from nowhere", keyctl(KEYCTL_UPDATE, key, (long)NOWHERE, 6, 0));
    struct iovec parts = {"x", 1};
    show("instantiate", keyctl(KEYCTL_INSTANTIATE_IOV, key, (long)&parts, 1, 0));
    show("instantiate from nowhere", keyctl(KEYCTL_INSTANTIATE_IOV, key, (long)NOWHERE, 1, 0));
    show("capabilities", keyctl(KEYCTL_CAPABILITIES, (long)text, 1, 0, 0) > 0);
    show("restrict", keyctl(KEYCTL_RESTRICT_KEYRING, mine, (long)NOWHERE, 0, 0));
    show("unlink", keyctl(KEYCTL_UNLINK, key, mine, 0, 0));
    show("an unknown operation", keyctl(999, 0, 0, 0, 0));
    return 0;
}

/* --- mounts, in a namespace of its own */
struct attributes { uint64_t set, clear, propagation, user; };
struct request { uint32_t size, spare; uint64_t mount, parameter; };
static void map_id(const char *name, const char *format, int id) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/%s", name);
    FILE *map = fopen(path, "w");
    must(map && fprintf(map, format, id) > 0 && fclose(map) == 0);
}
static void enter(void) {
    if (unshare(CLONE_NEWNS) != 0) {
        int user = getuid(), group = getgid();
        needed(unshare(CLONE_NEWUSER | CLONE_NEWNS));
        map_id("setgroups", "deny", 0), map_id("uid_map", "0 %d 1", user), map_id("gid_map", "0 %d 1", group);
    }
}
static int mounts(void) {
    char folder[] = "/tmp/rareXXXXXX", name[64];
    enter();
    needed(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    must(mkdtemp(folder));
    long made = needed(syscall(SYS_fsopen, "tmpfs", 1));
    show("an unknown file system", syscall(SYS_fsopen, "rarefs", 0));
    show("one from nowhere", syscall(SYS_fsopen, NOWHERE, 0));
    show("configure", syscall(SYS_fsconfig, made, 1, "size", "65536", 0));
    show("configure from nowhere", syscall(SYS_fsconfig, made, 1, "size", NOWHERE, 0));
    show("create", syscall(SYS_fsconfig, made, 6, NULL, NULL, 0));
    long mounted = syscall(SYS_fsmount, made, 1, 0);
    must(mounted >= 0);
    show("move", syscall(SYS_move_mount, (int)mounted, "", AT_FDCWD, folder, 4));
    snprintf(name, sizeof name, "%s/file", folder);
    long fd = open(name, O_CREAT | O_WRONLY, 0600);
    must(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
    long copy = syscall(SYS_open_tree, AT_FDCWD, folder, 1);
    must(copy >= 0);
    show("in the copy", faccessat(copy, "file", F_OK, 0));
    show("a tree nowhere", syscall(SYS_open_tree, AT_FDCWD, NOWHERE, 1));
    struct attributes read_only = {1, 0, 0, 0};
    show("make read-only", syscall(SYS_mount_setattr, AT_FDCWD, folder, 0, &read_only, sizeof read_only));
    show("attributes nowhere", syscall(SYS_mount_setattr, AT_FDCWD, folder, 0, NOWHERE, sizeof read_only));
    show("write", open(name, O_WRONLY));
    show("pick", syscall(SYS_fspick, AT_FDCWD, folder, 0) >= 0);
    struct request all = {24, 0, -1UL, 0};
    uint64_t found[64];
    long count = syscall(LISTMOUNT, &all, found, 64, 0);
    if (count >= 0 || errno != ENOSYS) {
        struct request one = {24, 0, found[count - 1], 2};
        char about[512];
        show("listed", count > 0);
        show("listed from nowhere", syscall(LISTMOUNT, NOWHERE, found, 64, 0));
        show("asked", syscall(STATMOUNT, &one, about, sizeof about, 0));
        show("asked nowhere", syscall(STATMOUNT, &one, NOWHERE, sizeof about, 0));
    }
    show("unmount", umount2(folder, MNT_DETACH));
    show("remove", rmdir(folder));
    return 0;
}

/* --- another root, where no file of the emulator is to be seen */
static void *raise_count(void *count) {
    for (int i = 0; i < 30000000; i++) ++*(volatile int *)count;
    return NULL;
}
static void copy_self(const char *folder) {
    char name[64];
    struct stat about;
    snprintf(name, sizeof name, "%s/rare", folder);
    int from = open("/proc/self/exe", O_RDONLY), to = open(name, O_CREAT | O_WRONLY, 0700);
    must(from >= 0 && to >= 0 && fstat(from, &about) == 0);
    must(sendfile(to, from, NULL, about.st_size) == about.st_size && close(from) == 0 && close(to) == 0);
}
static int roots(void) {
    char folder[] = "/tmp/rareXXXXXX";
    int above = open("/tmp", O_PATH), count = 0, ends[2];
    pthread_t thread;
    enter();
    must(mkdtemp(folder) && pipe(ends) == 0);
    copy_self(folder);
    show("change", needed(chroot(folder)));
    show("change to nowhere", chroot(NOWHERE));
    must(chdir("/") == 0);
    show("a file", open("/etc/passwd", O_RDONLY));
    show("a terminal", isatty(ends[0]) ? 1 : -1);
    must(pthread_create(&thread, NULL, raise_count, &count) == 0 && pthread_join(thread, NULL) == 0);
    printf("counted: %d\n", count);
    volatile double half = 2.5;
    long rounded = 3;
#ifdef __riscv
    __asm__ volatile("fsrmi 4; fcvt.l.d %0, %1, dyn; fsrmi 0" : "=r"(rounded) : "f"(half));    /* to nearest, ties away */
#endif
    printf("%.1f is %ld\n", half, rounded);
    show("an unknown call", syscall(9999));
    show("no handle", syscall(SYS_io_destroy, 1L));
    fflush(stdout);
    int status;
    if (fork() == 0) {
        must(fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0);
        execl("/rare", "rare", "second", NULL);
        _exit(98);
    }
    must(close(ends[1]) == 0 && wait(&status) > 0);
    show("the program ended", WEXITSTATUS(status));
    show("kept open", read(ends[0], folder, 1));
    must(unlink("/rare") == 0);
    show("remove", unlinkat(above, folder + strlen("/tmp/"), AT_REMOVEDIR));
    return 0;
}
/* --- rules that leave nothing: the emulator is bound by them, too */
static int rules(void) {
    struct { uint64_t files; } wanted = {1 << 1 | 1 << 2 | 1 << 3};                 /* writing, reading, reading folders */
    struct { uint64_t allowed; int32_t parent; } __attribute__((packed)) beneath = {1 << 3, open("/tmp", O_PATH)};
    int count = 0, ends[2];
    pthread_t thread;
    must(pipe(ends) == 0);
    long set = needed(syscall(SYS_landlock_create_ruleset, &wanted, sizeof wanted, 0));
    show("rules from nowhere", syscall(SYS_landlock_create_ruleset, NOWHERE, sizeof wanted, 0));
    show("a version", syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0);
    show("a rule", syscall(SYS_landlock_add_rule, set, 1, &beneath, 0));
    show("a rule from nowhere", syscall(SYS_landlock_add_rule, set, 1, NOWHERE, 0));
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    show("restrict", syscall(SYS_landlock_restrict_self, set, 0));
    show("a file", open("/etc/passwd", O_RDONLY));
    show("a folder", open("/etc", O_RDONLY | O_DIRECTORY));
    show("the folder of the rule", open("/tmp", O_RDONLY | O_DIRECTORY) >= 0);
    show("maps", open("/proc/self/maps", O_RDONLY));
    show("a terminal", isatty(ends[0]) ? 1 : -1);
    must(pthread_create(&thread, NULL, raise_count, &count) == 0 && pthread_join(thread, NULL) == 0);
    printf("counted: %d\n", count);
    show("no context", syscall(SYS_io_destroy, 1L));
    fflush(stdout);
    int status;
    if (fork() == 0) {
        execl("/proc/self/exe", "rare", "second", NULL);
        _exit(98);
    }
    must(wait(&status) > 0);
    show("no other program", WEXITSTATUS(status));
    return 0;
}
static int second(void) {
    puts("and another program");
    return 5;
}

/* --- which node pages lie on */
static int policies(void) {
    char *at = pages(4, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    unsigned long nodes = 1;
    int mode = -1, status[3];
    show("bind", needed(syscall(SYS_mbind, at, 4 * PAGE, MPOL_BIND, &nodes, 8, 0)));
    show("bind what is not there", syscall(SYS_mbind, unmapped(), PAGE, MPOL_BIND, &nodes, 8, 0));
    show("bind by nowhere", syscall(SYS_mbind, at, PAGE, MPOL_BIND, NOWHERE, 8, 0));
    show("asked of a page", syscall(SYS_get_mempolicy, &mode, NULL, 0, at + PAGE, MPOL_F_ADDR));
    printf("bound: %d\n", mode == MPOL_BIND);
    show("asked of nowhere", syscall(SYS_get_mempolicy, &mode, NULL, 0, NOWHERE, MPOL_F_ADDR));
    show("asked of the thread", syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0));
    at[0] = 1;
    void *asked[3] = {at, at + 2 * PAGE, NOWHERE};
    show("where", syscall(SYS_move_pages, 0, 3, asked, NULL, status, 0));
    printf("%d %s %s\n", status[0], strerrorname_np(-status[1]), strerrorname_np(-status[2]));
    show("where, from nowhere", syscall(SYS_move_pages, 0, 3, NOWHERE, NULL, status, 0));
    show("where, to nowhere", syscall(SYS_move_pages, 0, 3, asked, NULL, NOWHERE, 0));
    show("home", syscall(SYS_set_mempolicy_home_node, at, PAGE, 0, 0));
    show("set", syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, 8));
    show("migrate", syscall(SYS_migrate_pages, 0, 8, &nodes, &nodes));
    return 0;
}

/* --- advice on pages */
static int in_maps(const char *text) {
    char line[512];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    must(maps);
    while (fgets(line, sizeof line, maps)) found |= strstr(line, text) != NULL;
    fclose(maps);
    return found;
}
static int advice(void) {
    char *at = pages(4, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memset(at, 1, 4 * PAGE);
    struct iovec parts[2] = {{at, PAGE}, {at + 2 * PAGE, PAGE}}, gone = {unmapped(), PAGE};
    long self = needed(syscall(SYS_pidfd_open, getpid(), 0));
    show("cold", needed(syscall(SYS_process_madvise, self, parts, 2, MADV_COLD, 0)));
    show("flags", syscall(SYS_process_madvise, self, parts, 2, MADV_COLD, 1));
    show("not there", syscall(SYS_process_madvise, self, &gone, 1, MADV_COLD, 0));
    show("from nowhere", syscall(SYS_process_madvise, self, NOWHERE, 1, MADV_COLD, 0));
    show("too many", syscall(SYS_process_madvise, self, parts, 2000, MADV_COLD, 0));
    show("no process", syscall(SYS_process_madvise, 0, parts, 2, MADV_COLD, 0));
    show("still alive", syscall(SYS_process_mrelease, self, 0));
    int fd = file("");
    must(ftruncate(fd, 3 * PAGE) == 0);
    char *shared = pages(3, MAP_SHARED, fd);
    shared[0] = 'a', shared[PAGE] = 'b', shared[2 * PAGE] = 'c';
    show("remap", syscall(SYS_remap_file_pages, shared, PAGE, 0, 2, 0));
    show("remap what is private", syscall(SYS_remap_file_pages, at, PAGE, 0, 2, 0));
    show("remap nowhere", syscall(SYS_remap_file_pages, NOWHERE, PAGE, 0, 2, 0));
    printf("%c%c%c\n", shared[0], shared[PAGE], shared[2 * PAGE]);
    int named = prctl(0x53564D41, 0, at, 4 * PAGE, "rare") == 0 ? in_maps("[anon:rare]") : errno == EINVAL;   /* or not configured */
    printf("named: %d\n", named);
    uint64_t range[2] = {0, 2 * PAGE}, cached[5];
    show("cached", needed(syscall(CACHESTAT, fd, range, cached, 0)));
    printf("%d of the pages\n", (int)cached[0]);
    show("cached from nowhere", syscall(CACHESTAT, fd, NOWHERE, cached, 0));
    show("cached to nowhere", syscall(CACHESTAT, fd, range, NOWHERE, 0));
    return 0;
}

/* --- memory of another process */
static int relatives(void) {
    static volatile int word = 1;
    int ready[2], go[2], seen = 0, given = 33, status;
    struct iovec here = {&seen, sizeof seen}, there = {(void *)&word, sizeof word}, gift = {&given, sizeof given}, far = {NOWHERE, 4};
    must(pipe(ready) == 0 && pipe(go) == 0);
    char *at = pages(2, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    pid_t child = fork();
    if (child == 0) {
        word = 22;
        must(write(ready[1], "x", 1) == 1 && read(go[0], &seen, 1) == 1);
        _exit(word);
    }
    must(read(ready[0], &status, 1) == 1);
    show("read", needed(process_vm_readv(child, &here, 1, &there, 1, 0)));
    printf("%d there, %d here\n", seen, word);
    show("write", process_vm_writev(child, &gift, 1, &there, 1, 0));
    show("nowhere there", process_vm_readv(child, &here, 1, &far, 1, 0));
    show("nowhere here", process_vm_readv(child, &far, 1, &there, 1, 0));
    void *asked[1] = {at};
    show("where its pages are", syscall(SYS_move_pages, child, 1, asked, NULL, &status, 0));
    long pidfd = syscall(SYS_pidfd_open, child, 0);
    struct iovec both = {at, 2 * PAGE};
    printf("cold: %d\n", syscall(SYS_process_madvise, pidfd, &both, 1, MADV_COLD, 0) == 2 * PAGE || errno == EPERM);    /* needs CAP_SYS_NICE */
    must(write(go[1], "x", 1) == 1 && waitpid(child, &status, 0) == child);
    printf("it got %d\n", WEXITSTATUS(status));
    show("gone", process_vm_readv(child, &here, 1, &there, 1, 0));
    return 0;
}

/* --- and the rest */
static int others(void) {
    struct { uint32_t epoll, fd, offset; } slot = {epoll_create1(0), eventfd(0, 0), 0};
    struct epoll_event event = {.events = EPOLLIN};
    must(epoll_ctl(slot.epoll, EPOLL_CTL_ADD, slot.fd, &event) == 0);
    show("compare", needed(syscall(SYS_kcmp, getpid(), getpid(), 7, slot.fd, &slot)));
    show("compare nowhere", syscall(SYS_kcmp, getpid(), getpid(), 7, slot.fd, NOWHERE));
    show("restart", syscall(SYS_restart_syscall));
    printf("no reboot: %d\n", syscall(SYS_reboot, 0, 0, 0, NULL) == -1 && (errno == EINVAL || errno == EPERM));
    printf("no swapping: %d\n", syscall(SYS_swapon, "/none/rare", 0) == -1 && (errno == ENOENT || errno == EPERM));
    printf("no quota: %d\n", syscall(SYS_quotactl, 0, "/none/rare", 0, NULL) == -1 && (errno == ENOENT || errno == EINVAL));
    unsigned long auxv[128];
    long size = prctl(0x41555856, auxv, sizeof auxv, 0, 0), at = 0;
    if (size > 0) {
        while (auxv[at] != AT_PAGESZ && auxv[at] != AT_NULL) at += 2;
        printf("page size: %lu\n", auxv[at + 1]);
        show("auxiliary vector nowhere", prctl(0x41555856, NOWHERE, sizeof auxv, 0, 0));
    }
    char folder[] = "/tmp/rareXXXXXX", name[64], found[512];
    must(mkdtemp(folder));
    snprintf(name, sizeof name, "%s/file", folder);
    int notify = needed(fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID | FAN_NONBLOCK, O_RDONLY));
    show("mark", fanotify_mark(notify, FAN_MARK_ADD, FAN_CREATE | FAN_ONDIR, AT_FDCWD, folder));
    show("mark nowhere", fanotify_mark(notify, FAN_MARK_ADD, FAN_CREATE, AT_FDCWD, NOWHERE));
    must(close(open(name, O_CREAT | O_WRONLY, 0600)) == 0);
    must(read(notify, found, sizeof found) > 0);
    struct fanotify_event_metadata *told = (void *)found;
    printf("told: version %d, mask %#llx, fd %d\n", told->vers, told->mask, told->fd);
    struct { struct file_handle handle; char room[128]; } handle = {.handle.handle_bytes = 128};
    int mount_id;
    show("handle", name_to_handle_at(AT_FDCWD, name, &handle.handle, &mount_id, 0));
    show("handle of nothing", name_to_handle_at(AT_FDCWD, NOWHERE, &handle.handle, &mount_id, 0));
    must(unlink(name) == 0 && rmdir(folder) == 0);
    uint64_t modules[16];
    uint32_t room = sizeof modules;
    long count = syscall(LSM_LIST_MODULES, modules, &room, 0);
    if (count >= 0 || errno != ENOSYS) {
        printf("security modules listed: %d\n", count > 0 && room == 8 * count);
        show("listed nowhere", syscall(LSM_LIST_MODULES, NOWHERE, &room, 0));
    }
    return 0;
}

static const struct { const char *name; int (*function)(void); } cases[] = {
    {"aio", aio}, {"futexes", futexes}, {"keys", keys}, {"mounts", mounts}, {"roots", roots}, {"rules", rules}, {"second", second}, {"policies", policies}, {"advice", advice},
    {"relatives", relatives}, {"others", others},
};

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (argc > 1 && strcmp(argv[1], cases[i].name) == 0) return cases[i].function();
    return 2;
}
