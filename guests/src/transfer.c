/* For who measures machines: moves data through disk and network, where a word in each 4 KiB says whether it is the right data; holds memory. */
#include "tiny.h"
#include <asm/unistd.h>

#ifndef __riscv
#define system_call(number, ...) syscall(number, __VA_ARGS__)
#endif

enum { O_RDONLY = 0, O_WRONLY = 1, O_DIRECT = 040000, AT_FDCWD = -100, EEXIST = 17, PAGE = 4096, LARGEST = 1 << 20 };
enum { PROT_READ = 1, PROT_WRITE = 2, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20 };
enum { AF_INET = 2, SOCK_STREAM = 1, SOCK_DGRAM = 2, SIOCSIFFLAGS = 0x8914, SIOCSIFADDR = 0x8916, SIOCSIFNETMASK = 0x891C, IFF_UP = 1 };
/* The user-mode network of QEMU, and of others that follow its plan: 10.0.2.0/24, the host at 2. */
enum { GUEST = 0x0F02000A, HOST = 0x0202000A, NETMASK = 0x00FFFFFF };

struct address { uint16_t family, port; uint32_t host; char rest[8]; };
struct interface { char name[16]; union { struct address address; int16_t flags; char all[24]; }; };

static char buffer[LARGEST] __attribute__((aligned(PAGE)));

static long call(long number, long a, long b, long c, long d, long e) { return system_call(number, a, b, c, d, e, 0L); }
static long must(long result, const char *what) {
    if (result >= 0) return result;
    say("%s: error %d\n", what, -result);
    for (;;) call(__NR_exit_group, 1, 0, 0, 0, 0);
}
static long number(char *word) {
    char *words[] = {0, word};
    return argument(2, words, 0);
}
static uint64_t *word(long at) { return (uint64_t *)(buffer + at); }

/* Data that is written has at each multiple of 4 KiB its place, plus one: what is read, its place. */
static void fill(long place, long size) {
    for (long at = -place & (PAGE - 1); at + 8 <= size; at += PAGE) *word(at) = place + at + 1;
}
static void check(long place, long size) {
    for (long at = 0; at < size; at += PAGE)
        if (*word(at) != (uint64_t)(place + at)) {
            say("at %d is %d\n", place + at, *word(at));
            must(-1, "wrong data");
        }
}

/* Modules, by the paths in /modules/list; then files for the devices. */
static long load(char **words) {
    long list = must(call(__NR_openat, AT_FDCWD, (long)words[0], O_RDONLY, 0, 0), words[0]), loaded = 0;
    must(call(__NR_read, list, (long)buffer, LARGEST - 1, 0, 0), words[0]);
    for (char *path = buffer, *end; *path; path = end + 1, loaded++) {
        for (end = path; *end != '\n'; end++) {}
        *end = 0;
        long file = must(call(__NR_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0), path);
        long error = call(__NR_finit_module, file, (long)"", 0, 0, 0);
        if (error != -EEXIST) must(error, path);
        call(__NR_close, file, 0, 0, 0, 0);
    }
    must(call(__NR_mount, (long)"devtmpfs", (long)"/dev", (long)"devtmpfs", 0, (long)""), "/dev");
    return loaded;
}

/* Device, bytes, bytes of each request: one after the other from the device's begin on. */
static long in_order(char **words, int flags) {
    long size = number(words[1]), block = number(words[2]), done = 0, one;
    long file = must(call(__NR_openat, AT_FDCWD, (long)words[0], flags, 0, 0), words[0]);
    for (; done < size; done += one) {
        if (flags & O_WRONLY) fill(done, block);
        one = must(call(flags & O_WRONLY ? __NR_pwrite64 : __NR_pread64, file, (long)buffer, block, done, 0), words[0]);
        if (one != block) break;
        if (!(flags & O_WRONLY)) check(done, one);
    }
    return done;
}
static long read_direct(char **words) { return in_order(words, O_RDONLY | O_DIRECT); }
static long read_ahead(char **words) { return in_order(words, O_RDONLY); }
static long write_direct(char **words) { return in_order(words, O_WRONLY | O_DIRECT); }
/* As many requests as that, anywhere on the device. */
static long read_random(char **words) {
    long size = number(words[1]), block = number(words[2]), done = 0;
    long file = must(call(__NR_openat, AT_FDCWD, (long)words[0], O_RDONLY | O_DIRECT, 0, 0), words[0]);
    for (; done < size; done += block) {
        long place = random_bits() % (size / block) * block;
        if (must(call(__NR_pread64, file, (long)buffer, block, place, 0), words[0]) != block) break;
        check(place, block);
    }
    return done;
}

static void configure(long socket, long request, uint32_t address) {
    struct interface card = {"eth0", {{AF_INET, 0, address, {0}}}};
    if (request == SIOCSIFFLAGS) card.flags = IFF_UP;
    must(call(__NR_ioctl, socket, request, (long)&card, 0, 0), "eth0");
}
/* A connection to a port of the host. It is told what will be done: bytes that it is to send, and to take. */
static long connect_host(long port, long wanted, long offered) {
    struct address host = {AF_INET, (uint16_t)(port << 8 | port >> 8), HOST, {0}};
    long stream = must(call(__NR_socket, AF_INET, SOCK_STREAM, 0, 0, 0), "socket"), request[2] = {wanted, offered};
    must(call(__NR_connect, stream, (long)&host, sizeof host, 0, 0), "connect");
    if (must(call(__NR_write, stream, (long)request, sizeof request, 0, 0), "write") != sizeof request) must(-1, "write");
    return stream;
}
/* Takes so many bytes, in whole buffers, so that a place in the stream is one in the buffer. */
static long take(long stream, long size) {
    long done = 0;
    while (done < size) {
        long used = 0, room = size - done < LARGEST ? size - done : LARGEST;
        while (used < room) {
            long one = must(call(__NR_read, stream, (long)(buffer + used), room - used, 0, 0), "read");
            if (!one) return done + used;
            used += one;
        }
        check(done, used);
        done += used;
    }
    return done;
}
/* Ports. The card is made ready, and the host's hardware address is known afterwards. */
static long join(char **words) {
    long socket = must(call(__NR_socket, AF_INET, SOCK_DGRAM, 0, 0, 0), "socket");
    configure(socket, SIOCSIFADDR, GUEST);
    configure(socket, SIOCSIFNETMASK, NETMASK);
    configure(socket, SIOCSIFFLAGS, 0);
    return take(connect_host(number(words[0]), PAGE, 0), PAGE);
}
/* Port and bytes. */
static long receive(char **words) {
    long size = number(words[1]);
    return take(connect_host(number(words[0]), size, 0), size);
}
/* Port and bytes. The end is when the host has answered that it has all of them. */
static long send(char **words) {
    long size = number(words[1]), stream = connect_host(number(words[0]), PAGE, size), done = 0;
    while (done < size) {
        long room = size - done < LARGEST / 4 ? size - done : LARGEST / 4;
        fill(done, room);
        for (long used = 0; used < room;) used += must(call(__NR_write, stream, (long)(buffer + used), room - used, 0, 0), "write");
        done += room;
    }
    return take(stream, PAGE) == PAGE ? done : -1;
}

static void pause_for(long seconds, long nanoseconds) {
    long time[2] = {seconds, nanoseconds};
    call(__NR_nanosleep, (long)time, 0, 0, 0, 0);
}
/* Bytes and seconds: fills so much memory, sleeps, and then says each millisecond that it is there. */
static long hold(char **words) {
    long size = number(words[0]);
    long memory = call(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (memory < 0 && memory > -PAGE) must(memory, "mmap");
    for (uint64_t *at = (uint64_t *)memory; at < (uint64_t *)(memory + size); at++) *at = random_bits();
    say("filled\n");
    pause_for(number(words[1]), 0);
    say("rested\n");
    for (;; pause_for(0, 1000000)) say("tick\n");
}

static const struct { const char *name; int words; long (*function)(char **words); } works[] = {
    {"load", 1, load}, {"read", 3, read_direct}, {"readahead", 3, read_ahead}, {"write", 3, write_direct}, {"random", 3, read_random},
    {"join", 1, join}, {"receive", 2, receive}, {"send", 2, send}, {"hold", 2, hold},
};

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < LENGTH(works); i++)
        if (argc > 1 && same(argv[1], works[i].name) && argc == works[i].words + 2) {
            say("%s %d\n", works[i].name, works[i].function(argv + 2));
            return 0;
        }
    for (size_t i = 0; i < LENGTH(works); i++) say("transfer %s takes %d words\n", works[i].name, (long)works[i].words);
    return 2;
}
