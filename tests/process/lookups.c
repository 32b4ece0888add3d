/* A random walk over the calls on files: argv[1] a seed, argv[2] how many steps, argv[3] what absolute paths begin with. The working
 * folder has the tree that test_walk.py makes. Prints each result: descriptors by number, so that one too many shows.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>

enum { HIGHEST = 12, LONG = 5000 };
static char *page, *prefix, text[2 * LONG], answer[512];
static unsigned long state;
static unsigned draw(unsigned below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (state >> 16) % below;
}
#define OF(array) array[draw(sizeof(array) / sizeof(array[0]))]
static void *wild(void) {
    void *const places[] = {(void *)8, (void *)-1, (void *)(1L << 38), (void *)((1L << 38) - 4), (void *)(1L << 45), page + PAGE};
    return OF(places);
}
static const char *path(void) {
    static const char *const names[] = {"", ".", "..", "f", "a", "a/g", "a/b", "relative", "absolute", "loop", "dangling", "gone", "f/x",
        "a/", "relative/", "folder", "folder/g", "out", "./a/./g", "a/../f", "dev", "tmp/none", "tmp", "pipe", "proc/self/none"};
    static const char *const starts[] = {"", "", "/", "/./", "//"};
    switch (draw(16)) {
    case 0: return wild();
    case 1: memset(text, 'x', LONG), text[4094 + draw(4)] = 0; return text;        /* around PATH_MAX */
    case 2: memset(text, '/', LONG), strcpy(text + 4092 + draw(6), "f"); return text;
    case 3: return memcpy(page + PAGE - 3, "a/g", 3);                               /* no end, and no page behind it */
    }
    const char *start = OF(starts);
    int length = snprintf(text, sizeof text, "%s%s%s", *start ? prefix : "", start, OF(names));
    return draw(2) ? text : memcpy(page + PAGE - length - 1, text, length + 1);
}
static void told(const char *what, long result) {
    if (result < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, result);
}
static int descriptor(void) { return draw(12) ? 3 + (int)draw(HIGHEST - 3) : draw(2) ? -1 : 100000; }
static int folder(void) { return draw(3) ? AT_FDCWD : descriptor(); }
static void *room(void) { return draw(8) ? answer : draw(2) ? wild() : page + PAGE - 16; }
static void shown(const char *what, long result, struct stat *found) {
    told(what, result);
    if (result != 0) return;
    long whole = !S_ISDIR(found->st_mode);          /* others work in the host's folders meanwhile */
    printf("%o %ld %ld %d %ld\n", found->st_mode, whole * (long)found->st_nlink, whole * (long)found->st_size,
           found->st_mtim.tv_nsec != 0, (long)found->st_blksize);
}
static void vectors(int fd) {                       /* of what can be done: else which error comes first is another matter */
    struct iovec parts[4];
    struct stat kind;
    int way = fcntl(fd, F_GETFL), writes = draw(2);
    long count = draw(12) ? draw(5) : (long)draw(2) * 2000 - 1;
    if (way < 0 || way & O_PATH || (way & O_ACCMODE) == (writes ? O_RDONLY : O_WRONLY) || fstat(fd, &kind) || !S_ISREG(kind.st_mode)) return;
    for (int n = 0; n < 4; n++) {
        parts[n].iov_base = draw(12) ? answer + 50 * n : draw(2) ? page + PAGE : NULL;
        parts[n].iov_len = draw(12) ? draw(9) : draw(2) ? 0 : -1L;
    }
    void *of = draw(12) ? parts : wild();
    told(writes ? "writev" : "readv", syscall(writes ? SYS_writev : SYS_readv, fd, of, count));
    printf("%.9s %.9s %.9s\n", answer, answer + 50, answer + 100);
}
static void events(int fd) {                        /* epoll: the host's structure of an event is packed, the guest's is not */
    static int epoll = -1;
    struct epoll_event one = {draw(2) ? EPOLLIN : EPOLLIN | EPOLLOUT | EPOLLET, {.u64 = 0x123456789abcdef0 + fd}}, found[4];
    int what = draw(5), result;
    void *of = draw(12) ? &one : wild(), *to = draw(12) ? (void *)found : page + PAGE;
    int most = draw(12) ? 1 + (int)draw(4) : -(int)draw(2);
    sigset_t none, *mask = draw(2) ? &none : NULL;
    sigemptyset(&none);
    if (epoll < 0) must((epoll = fcntl(epoll_create1(0), F_DUPFD, 2 * HIGHEST)) >= 0);
    if (what < 4) told("epoll_ctl", syscall(SYS_epoll_ctl, draw(12) ? epoll : fd, what, fd, of));
    result = syscall(SYS_epoll_pwait, epoll, to, most, 0, mask, 8);
    told("epoll_pwait", result);
    for (int n = 0; n < result; n++) printf("%x %llx\n", found[n].events, (long long)found[n].data.u64);
}
static void step(void) {
    static const int ways[] = {O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY, O_DIRECTORY, O_NOFOLLOW, O_PATH, O_PATH | O_NOFOLLOW, O_CLOEXEC,
        O_RDONLY | 0x40000000, O_RDWR | O_APPEND, O_DIRECTORY | O_PATH};
    static const int looks[] = {0, 0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW};
    static const int commands[] = {F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD, F_GETLK, 99};
    static const long requests[] = {TCGETS, TIOCGWINSZ, TIOCGPGRP, FIONREAD, FIONBIO, FIOCLEX, 0x1234};
    memset(answer, 0, sizeof answer);
    int fd = descriptor();                          /* in an order that is C's: that of arguments is not */
    int at = folder(), other;
    int way = OF(ways), look = OF(looks), command = OF(commands), request = OF(requests), chance = draw(24);
    void *to = room();
    int what = draw(18);
    const char *where = what < 10 ? path() : NULL;
    switch (what) {
    case 0: case 1: case 2: case 3: told("open", syscall(SYS_openat, at, where, way | O_NONBLOCK, 0600)); break;
    case 4: told("make", syscall(SYS_openat, AT_FDCWD, chance & 1 ? "made" : "f", O_CREAT | O_RDWR | (chance & 2 ? O_EXCL : 0), 0640));
        if (chance & 4) told("remove", unlink("made"));
        break;
    case 5: case 6: shown("stat", syscall(SYS_newfstatat, at, where, to, look), to); break;
    case 7: shown("fstat", syscall(SYS_fstat, fd, to), to); break;
    case 8: told("access", syscall(SYS_faccessat, at, where, chance % 8)); break;
    case 9: told("link", syscall(SYS_readlinkat, at, where, to, 1 + 2 * chance)), printf("%.40s\n", answer); break;
    case 10: told("close", syscall(SYS_close, fd)); break;
    case 11: other = chance < 20 ? 3 + chance % (HIGHEST - 3) : 100000;
        told("dup3", syscall(SYS_dup3, fd, other, draw(3) ? 0 : O_CLOEXEC)); break;
    case 12: other = command == F_SETFD ? chance & 1 : command == F_DUPFD ? 3 : command == F_GETLK ? 0 : O_NONBLOCK;
        told("fcntl", syscall(SYS_fcntl, fd, command, other)); break;
    case 13: case 14: vectors(fd); break;
    case 15: case 16: events(fd); break;
    default: if (chance & 1) told("entries", syscall(SYS_getdents64, fd, to, 300));
        else told("ioctl", syscall(SYS_ioctl, fd, request, to));
    }
    if (draw(4) == 0) {
        struct pollfd files[2] = {{0, POLLIN, 0}, {0, POLLIN | POLLOUT, 0}};
        struct timespec now = {0, 0};
        files[0].fd = descriptor(), files[1].fd = descriptor();
        void *of = draw(9) ? files : wild(), *until = draw(9) ? &now : wild();
        sigset_t none;
        sigemptyset(&none);
        told("poll", syscall(SYS_ppoll, of, 2, until, draw(2) ? &none : NULL, 8));
        printf("%x %x\n", files[0].revents, files[1].revents);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(draw(3), &set);
        told("select", syscall(SYS_pselect6, 3, of == files ? (void *)&set : of, NULL, NULL, &now, NULL));
    }
    for (int n = 3; n < 2 * HIGHEST; n++)           /* few are left open, and none from HIGHEST on */
        if ((n >= HIGHEST || draw(6) == 0) && fcntl(n, F_GETFD) >= 0) close(n);
}
static void threads_lowest(void) {                  /* a path that was looked up takes no number, whoever opens meanwhile */
    int fd = open("f", O_RDONLY);
    printf("lowest %d\n", fd), close(fd);
}
static void *nothing(void *argument) { return argument; }
int main(int count, char **words) {
    state = strtoul(words[1], NULL, 0) * 2654435761u + 88172645463325252u, prefix = words[3];
    setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED && mprotect(page + PAGE, PAGE, PROT_NONE) == 0);
    for (int n = atoi(words[2]); n > 0; n--) step();
    for (int n = 3; n < 6000; n++) if (n != 2 * HIGHEST) must(close(n) == 0 || errno == EBADF);      /* what is not the program's own stays */
    threads_lowest();
    pthread_join(start(nothing, NULL), NULL);
    for (int n = atoi(words[2]) / 4; n > 0; n--) step();
    return 0;
}
