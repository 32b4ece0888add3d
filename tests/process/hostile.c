/* A guest that means harm: system calls with arguments from a list of bad ones, frames of signals that it overwrites, what runs out.
 * Prints how many of its children died of SIGSEGV or SIGBUS; of each of them the emulator is to have said so. `calls` does real harm with
 * what it reaches: it is to be run where nothing of anybody else's is in reach (test_hostile.py), and refuses elsewhere.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <ucontext.h>

enum { NOBODY = 65534 };
static uint64_t seed = 88172645463325252;
static unsigned random_below(unsigned limit) {   /* xorshift64 */
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (seed >> 11) % limit;
}
/* Calls that would change the machine, end or stop others, or wait for the disk: number by number (asm-generic table). */
static const short left_out[] = {
    39, 40, 41 /* umount2 mount pivot_root */, 51 /* chroot */, 58 /* vhangup */, 57, 24, 436 /* close dup3 close_range: of the standard streams */,
    81, 267 /* sync syncfs */, 89 /* acct */, 93, 94 /* exit exit_group */, 104, 105, 106, 112, 117 /* kexec_load *_module clock_settime ptrace */,
    118, 119, 120, 122, 140, 274 /* sched_set*, setpriority */, 129, 130, 131, 138, 240, 424 /* kill and its like */, 142 /* reboot */, 157 /* setsid */,
    161, 162, 170, 171, 266 /* names and time of the machine */, 224, 225 /* swap */, 116 /* syslog */, 268, 97 /* setns unshare */, 294, 273, 280 /* kexec_file_load finit_module bpf */,
    428, 429, 430, 431, 432, 433, 442 /* mounts */, 446 /* landlock_restrict_self */, 217, 218, 219 /* keys */, 139 /* rt_sigreturn: see frames */, -1};
static long values[64];
static int value_count, signal_deaths;
static void fill_values(void) {
    char *room = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(room != MAP_FAILED && mprotect(room + 2 * PAGE, PAGE, PROT_READ) == 0 && mprotect(room + 3 * PAGE, PAGE, PROT_NONE) == 0);
    memset(room + PAGE, 0xff, PAGE);
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0);
    long all[] = {0, 1, 3, 8, 4095, 4096, 65535, (long)room, (long)room + 1, (long)room + PAGE, (long)room + 2 * PAGE - 4, (long)room + 2 * PAGE, (long)room + 3 * PAGE, (long)room + 3 * PAGE - 8,
                  (1L << 38) - 8, (1L << 38) - 4096, 1L << 38, 1L << 47, 1L << 62, 1L << 63, -1, -4, -8, -100, -4096, 1L << 31, (1L << 32) - 1, 1L << 32, (1L << 31) - 1, 64, 99999,
                  open(".", O_RDONLY | O_CLOEXEC), open("here", O_RDWR | O_CREAT | O_CLOEXEC, 0600), memfd_create("m", MFD_CLOEXEC), pair[0], epoll_create1(EPOLL_CLOEXEC)};
    value_count = sizeof all / sizeof *all, memcpy(values, all, sizeof all);
}
static long raw(long number, const long *a) {    /* where it makes a thread or a process, that ends at once, without a stack */
    register long a0 asm("a0") = a[0], a1 asm("a1") = a[1], a2 asm("a2") = a[2], a3 asm("a3") = a[3], a4 asm("a4") = a[4], a5 asm("a5") = a[5], a7 asm("a7") = number;
    if (number != SYS_clone && number != SYS_clone3) asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    else asm volatile("ecall\n bnez a0, 1f\n li a7, 93\n ecall\n 1:" : "+r"(a0), "+r"(a7) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5) : "memory");
    return a0;
}
static void on_beat(int number, siginfo_t *info, void *context) { (void)number, (void)info, (void)context; }
static void count(pid_t child) {
    int status;
    must(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status)) must(WEXITSTATUS(status) != 125);      /* an error of the emulator itself */
    else signal_deaths += WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS;
}
static void attack(long number, int rounds) {
    struct itimerval often = {{0, 5000}, {0, 5000}};
    struct rlimit none = {0, 0};
    must(setgid(NOBODY) == 0 && setuid(NOBODY) == 0 && chmod("/", 0755) == -1 && errno == EPERM), setpgid(0, 0), setrlimit(RLIMIT_FSIZE, &(struct rlimit){1 << 20, 1 << 20}), setrlimit(RLIMIT_CORE, &none), install(SIGALRM, on_beat, 0), setitimer(ITIMER_REAL, &often, NULL);
    for (int n = 0; n < value_count + rounds; n++) {
        long arguments[6];
        for (int k = 0; k < 6; k++) arguments[k] = n < value_count ? values[n] : values[random_below(value_count)];
        raw(number, arguments);
    }
    _exit(0);
}
static void calls(int rounds) {
    must(getppid() == 0 || getpid() < 20);       /* a process namespace of its own: no number is another's process */
    fill_values(), must(setuid(getuid()) == 0);  /* what the emulator does about that once is done before there are children */
    for (long number = 0; number < 470; number++) {
        int n = 0;
        while (left_out[n] >= 0 && left_out[n] != number) n++;
        if (left_out[n] >= 0) continue;
        random_below(1);
        pid_t child = born();
        if (child == 0) attack(number, rounds);
        count(child);
    }
}
/* --- frames */
static int how;
static void on_frame(int number, siginfo_t *info, void *context) {
    uint64_t *frame = (uint64_t *)info, *registers = (uint64_t *)&((ucontext_t *)context)->uc_mcontext;
    (void)number;
    if (how < value_count) registers[how % 3 == 0 ? 0 : how % 3 == 1 ? 2 : 1 + random_below(31)] = values[how];
    else if (how < value_count + 2) memset(frame, how == value_count ? 0xff : 0, 1088);
    else for (unsigned n = random_below(20) + 1; n--;) frame[random_below(136)] = random_below(2) ? values[random_below(value_count)] : (long)seed;
    if (how % 7 == 6) asm volatile("mv sp, %0\n li a7, 139\n ecall" :: "r"(values[random_below(value_count)]) : "memory");
}
static void frames(int rounds) {
    fill_values();
    for (how = 0; how < value_count + 2 + rounds; how++) {
        random_below(1);
        pid_t child = born();
        if (child == 0) {
            install(SIGALRM, SIG_DFL, 0), alarm(1);              /* whatever it then runs */
            install(SIGUSR1, on_frame, how & 1 ? SA_RESETHAND : 0), raise(SIGUSR1), _exit(0);
        }
        count(child);
    }
}
/* --- what runs out */
static void *returns(void *value) { return value; }
static void runs_out(int rounds) {
    struct rlimit few = {40, 40};
    pid_t child = born();
    (void)rounds;
    if (child == 0) {                           /* descriptors: opened to the last, then whatever needs none */
        setrlimit(RLIMIT_NOFILE, &few);
        int fd, last = 0;
        while ((fd = open("/dev/null", O_RDONLY)) >= 0) last = fd;
        show("the last", last), show("one more", open("/dev/null", O_RDONLY)), show("a pipe", pipe((int[2]){0, 0})), show("a copy", dup(0)), show("epoll", epoll_create1(0)), show("maps", open("/proc/self/maps", O_RDONLY));
        pid_t other = born();
        if (other == 0) _exit(3);
        show("a child", reap(other)), other = vfork();
        if (other == 0) _exit(4);
        show("vfork", reap(other));
        pthread_t thread;
        show("a thread", pthread_create(&thread, NULL, returns, NULL)), pthread_join(thread, NULL);
        char *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memcpy(code, (uint32_t[]){0x00700513, 0x00008067}, 8), __builtin___clear_cache(code, code + 8), show("new code", ((int (*)(void))code)());
        show("zero allowed", setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0})), other = born();
        if (other == 0) _exit(5);
        show("a child", reap(other)), fflush(stdout), execl("/proc/self/exe", "hostile", "leave", NULL), show("exec", -1), fflush(stdout), _exit(0);
    }
    show("status", reap(child)), child = born();
    if (child == 0) {                           /* all closed, ours too if they were in reach */
        show("close all", syscall(SYS_close_range, 3, ~0U, 0)), show("share no more", syscall(SYS_close_range, 3, ~0U, 2));
        for (int fd = 3; fd < 70000; fd++) close(fd);
        pid_t other = born();
        if (other == 0) execl("/proc/self/exe", "hostile", "leave", NULL), _exit(6);
        show("a child goes on", reap(other)), fflush(stdout), close(0), close(1), close(2);
        *(volatile int *)8 = 1;
    }
    show("faults without streams", reap(child)), child = born();
    if (child == 0) {                           /* threads */
        pthread_attr_t small;
        pthread_t thread;
        int made = 0, result;
        pthread_attr_init(&small), pthread_attr_setstacksize(&small, 128 << 10), setrlimit(RLIMIT_AS, &(struct rlimit){64 << 20, 64 << 20});
        while (made < 6000 && (result = pthread_create(&thread, &small, (void *(*)(void *))pause, NULL)) == 0) made++;
        printf("many threads %d, then %s\n", made > 100, strerrorname_np(result)), fflush(stdout), _exit(0);
    }
    show("threads", reap(child)), fflush(stdout);
    int full = open("/dev/full", O_WRONLY);
    show("a full disk", write(full, "x", 1));
    char *end = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(end, '/', 64 * PAGE), show("a path without end", open(end, O_RDONLY)), munmap(end + PAGE, 63 * PAGE), show("to the end of memory", open(end, O_RDONLY));
    end[0] = '\xff', end[1] = '\xfe', end[2] = '\n', end[3] = 0, show("bytes", open(end, O_CREAT | O_RDWR | O_EXCL, 0600)), show("the same", access("\xff\xfe\n", F_OK)), show("gone", unlink(end));
    show("no name", open("", O_RDONLY)), show("long names", mkdir((char[300]){[0 ... 298] = 'y'}, 0700));
}
int main(int argc, char **argv) {
    must(argc > 1);
    if (!strcmp(argv[1], "leave")) return 9;
    int rounds = argc > 2 ? atoi(argv[2]) : 0;
    seed += argc > 3 ? atoi(argv[3]) : 0;
    !strcmp(argv[1], "calls") ? calls(rounds) : !strcmp(argv[1], "frames") ? frames(rounds) : runs_out(rounds);
    printf("deaths: %d\n", signal_deaths);
}
