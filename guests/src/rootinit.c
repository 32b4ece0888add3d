/* The first process of a machine whose root is a shared folder of the host: loads modules, mounts it, starts its init. */
#include "tiny.h"
#include <asm/unistd.h>

#ifndef __riscv
#define system_call(number, ...) syscall(number, __VA_ARGS__)
#endif

enum { SIGCHLD = 17, TIOCSCTTY = 0x540E };
enum { O_RDONLY = 0, MS_NOATIME = 1024, MS_MOVE = 8192, EBUSY = 16, EEXIST = 17, AT_FDCWD = -100 };
enum { REBOOT_MAGIC = 0xfee1dead, REBOOT_MAGIC2 = 672274793, REBOOT_POWER_OFF = 0x4321fedc };

static const char *const environment[] = {"HOME=/", "TERM=linux", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", 0};

static long call(long number, long a, long b, long c, long d, long e) { return system_call(number, a, b, c, d, e, 0L); }

static void power_off(void) {
    call(__NR_sync, 0, 0, 0, 0, 0);
    call(__NR_reboot, REBOOT_MAGIC, REBOOT_MAGIC2, REBOOT_POWER_OFF, 0, 0);
    call(__NR_exit_group, 1, 0, 0, 0, 0); /* not switched off: the kernel says that its first process has ended */
}

/* Nothing can go on: say why, and switch the machine off. */
static void fail(const char *what, const char *name, long error) {
    say("rootinit: %s%s: error %d\n", what, name, -error);
    power_off();
}

static long mount(const char *from, const char *at, const char *type, long flags, const char *options) {
    return call(__NR_mount, (long)from, (long)at, (long)type, flags, (long)options);
}

/* What a file begins with, as text; empty if there is none. */
static char *contents(const char *path, char *text, long size) {
    long file = call(__NR_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0), used = 0, got;
    while (file >= 0 && used < size - 1 && (got = call(__NR_read, file, (long)(text + used), size - 1 - used, 0, 0)) > 0)
        used += got;
    text[used] = 0;
    call(__NR_close, file, 0, 0, 0, 0);
    return text;
}

/* Cuts off and returns the next part of the text, up to a separator; 0 at its end. */
static char *next_part(char **text, char separator) {
    char *start = *text, *end = start;
    if (!*start) return 0;
    while (*end && *end != separator) end++;
    *text = *end ? end + 1 : end;
    *end = 0;
    return start;
}

static void load(const char *path) {
    long file = call(__NR_openat, AT_FDCWD, (long)path, O_RDONLY, 0, 0);
    long error = file < 0 ? file : call(__NR_finit_module, file, (long)"", 0, 0, 0);
    if (error < 0 && error != -EEXIST) fail("cannot load module ", path, error);
    call(__NR_close, file, 0, 0, 0, 0);
    call(__NR_unlinkat, AT_FDCWD, (long)path, 0, 0, 0); /* its memory is not needed any more */
}

/* The value of init=PATH on the kernel's command line, or 0. */
static char *chosen_init(char *line) {
    char *word, *found = 0;
    while ((word = next_part(&line, ' '))) {
        const char *key = "init=";
        char *at = word;
        while (*key && *at == *key) at++, key++;
        if (!*key) found = at;
    }
    if (found)
        for (char *at = found; *at; at++)
            if (*at == '\n') *at = 0;
    return found;
}

static long start(const char *path, char **arguments) {
    arguments[0] = (char *)path;
    return call(__NR_execve, (long)path, (long)arguments, (long)environment, 0, 0);
}

/* A root without an init: a shell on the console, whose end is the machine's. */
static void run_shell(char **arguments) {
    mount("proc", "/proc", "proc", 0, "");
    mount("sysfs", "/sys", "sysfs", 0, "");
    long shell = call(__NR_clone, SIGCHLD, 0, 0, 0, 0), ended;
    if (!shell) {
        call(__NR_setsid, 0, 0, 0, 0, 0);
        call(__NR_ioctl, 0, TIOCSCTTY, 1, 0, 0); /* so that Ctrl-C works */
        long error = start("/bin/sh", arguments);
        say("rootinit: cannot start /sbin/init, nor /bin/sh: error %d\n", -error);
        call(__NR_exit_group, 1, 0, 0, 0, 0);
    }
    do ended = call(__NR_wait4, -1, 0, 0, 0, 0); /* also others, which have lost their parents */
    while (ended != shell && ended > 0);
    power_off();
}

int main(int argc, char **argv) {
    static char modules[8192], line[4097];
    if (call(__NR_getpid, 0, 0, 0, 0, 0) != 1) {
        say("rootinit is the first process of a machine with a shared root; it does nothing else\n");
        return argc > 0 ? 2 : 1;
    }
    mount("proc", "/proc", "proc", 0, "");
    char *init = chosen_init(contents("/proc/cmdline", line, sizeof line)), *rest = contents("/modules/list", modules, sizeof modules);
    for (char *path; (path = next_part(&rest, '\n'));) load(path);
    long error = mount("root", "/root", "9p", MS_NOATIME, "trans=virtio,version=9p2000.L,cache=mmap,msize=131072");
    if (error < 0) fail("cannot mount the shared folder ", "root", error);
    error = mount("devtmpfs", "/root/dev", "devtmpfs", 0, "mode=0755"); /* most kernels do it by themselves only for other roots */
    if (error < 0 && error != -EBUSY) say("rootinit: no devices in /dev: error %d\n", -error);
    call(__NR_chdir, (long)"/root", 0, 0, 0, 0);
    error = mount(".", "/", "", MS_MOVE, "");
    if (error < 0) fail("cannot make it the root", "", error);
    call(__NR_chroot, (long)".", 0, 0, 0, 0);
    call(__NR_chdir, (long)"/", 0, 0, 0, 0);
    if (init) {
        error = start(init, argv);
        say("rootinit: cannot start %s: error %d\n", init, -error);
    }
    start("/sbin/init", argv);
    run_shell(argv);
}
