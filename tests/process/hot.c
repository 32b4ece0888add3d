/* Code that is hot while something happens to it, each case named by argv[1]: prints what a CPU would.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, BOTH = PROT_READ | PROT_WRITE, ALL = BOTH | PROT_EXEC };
enum { T0 = 5, T1 = 6 };
#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
#define noinline __attribute__((noinline, noclone))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
static char *self;

static void *raise_flag(void *word) {
    usleep(20000);
    atomic_store((atomic_int *)word, 1);
    return NULL;
}
/* A loop whose every read would be of one value for ever, entered again when somebody else writes there. */
static noinline void hot_wait(int *word, long times) {
    asm volatile("1: lw t0, 0(%0)\n bnez t0, 2f\n addi %1, %1, -1\n bnez %1, 1b\n 2:" : "+r"(word), "+r"(times) : : "t0", "memory");
}
static void thread_flag(void) {
    static int word;
    pthread_t thread;
    hot_wait(&word, 5000000);
    must(word == 0 && pthread_create(&thread, NULL, raise_flag, &word) == 0);
    hot_wait(&word, 1L << 62);
    must(pthread_join(thread, NULL) == 0);
    printf("seen %d\n", word);
}
static void process_flag(void) {
    static int own;
    hot_wait(&own, 5000000);
    int *word = mmap(NULL, PAGE, BOTH, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(word != MAP_FAILED);
    pid_t child = fork();
    must(child >= 0);
    if (!child) hot_wait(&own, 5000000), raise_flag(word), _exit(0);
    hot_wait(word, 1L << 62);
    must(waitpid(child, NULL, 0) == child);
    printf("seen %d\n", *word);
}

/* t0 counts the words at t1 that were written: what a handler finds must agree with the address. */
static noinline void fill(long *from, long *end) {
    asm volatile("li t0, 0\n mv t1, %0\n 1: sd t0, 0(t1)\n addi t0, t0, 1\n addi t1, t1, 8\n bltu t1, %1, 1b" : : "r"(from), "r"(end)
                 : "t0", "t1", "memory");
}
static sigjmp_buf back;
static long *buffer;
static int wrong;
static void on_fault(int number, siginfo_t *info, void *context) {
    unsigned long *x = ((ucontext_t *)context)->uc_mcontext.__gregs;
    (void)number;
    wrong += x[T1] != (unsigned long)info->si_addr || (long *)x[T1] != buffer + x[T0];
    siglongjmp(back, 1);
}
static void late_handler(void) {
    enum { SIZE = 256 * PAGE };
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    buffer = mmap(NULL, SIZE + PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(buffer != MAP_FAILED && mprotect(buffer, SIZE, BOTH) == 0);
    for (int n = 0; n < 60; n++) fill(buffer, buffer + SIZE / 8);
    must(sigaction(SIGSEGV, &action, NULL) == 0);
    volatile int faults = 0;
    for (volatile int n = 0; n < 60; n++)
        if (!sigsetjmp(back, 1)) fill(buffer, buffer + SIZE); else faults++;
    printf("%d faults, %d wrong\n", faults, wrong);
}

/* Code made by the program: f(n) adds `value` n times, in a loop. */
static uint32_t add(int value) { return 0x00050513u | (uint32_t)value << 20; } /* addi a0, a0, value */
static void put_loop(uint32_t *at, int value) {
    uint32_t code[] = {0x00050593 /* mv a1, a0 */, 0x00000513 /* li a0, 0 */, add(value), 0xfff58593 /* addi a1, a1, -1 */,
                       0xfe059ce3 /* bnez a1, -8 */, 0x00008067};
    memcpy(at, code, sizeof code);
    __builtin___clear_cache((char *)at, (char *)at + sizeof code);
}
typedef long Function(long);
static uint32_t *code_page(void) {
    uint32_t *at = mmap(NULL, PAGE, ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    return at;
}
static void changes(void) {
    uint32_t *at = code_page();
    long sum = 0;
    for (int n = 0; n < 400; n++) put_loop(at, n), sum += ((Function *)at)(20000);
    printf("sum %ld\n", sum);
}
/* The loop writes its own instruction, and says so, each 64th time. */
static void patches(void) {
    uint32_t *at = code_page();
    long sum = 0;
    put_loop(at, 1);
    for (int n = 0; n < 40000; n++) {
        if (n % 64 == 0) at[2] = add(n % 1000), __builtin___clear_cache((char *)at, (char *)(at + 6));
        sum += ((Function *)at)(50);
    }
    printf("sum %ld\n", sum);
}
static atomic_int stop;

/* A thousand loops, none of which has more than a thousandth of the time. */
static volatile long total;
#define LOOP(n) static noinline void loop##n(long times) { long sum = n; for (long k = 0; k < times; k++) { sum = sum * 3 + k; asm volatile("" : "+r"(sum)); } total += sum; }
#define TEN(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7) m(n##8) m(n##9)
#define HUNDRED(m, n) TEN(m, n##0) TEN(m, n##1) TEN(m, n##2) TEN(m, n##3) TEN(m, n##4) TEN(m, n##5) TEN(m, n##6) TEN(m, n##7) TEN(m, n##8) TEN(m, n##9)
#define THOUSAND(m) HUNDRED(m, 1) HUNDRED(m, 2) HUNDRED(m, 3) HUNDRED(m, 4) HUNDRED(m, 5) HUNDRED(m, 6) HUNDRED(m, 7) HUNDRED(m, 8) HUNDRED(m, 9) HUNDRED(m, 10)
THOUSAND(LOOP)
#define NAME(n) loop##n,
static void (*const loops[])(long) = {THOUSAND(NAME)};
static void side_by_side(void) {
    for (int round = 0; round < 100; round++)
        for (int n = 0; n < 1000; n++) loops[n](2000);
    printf("%lx\n", total);
}
static void one_after_another(void) {
    for (int n = 0; n < 1000; n++) loops[n](250000);
    printf("%lx\n", total);
}

/* Hot code of one program, then, in its place, of the same one again and again. */
static noinline long work(long times) {
    long sum = 0;
    for (long n = 0; n < times; n++) { sum = sum * 5 + n; asm volatile("" : "+r"(sum)); }
    return sum;
}
static int relay(int left) {
    char text[12];
    printf("%lx\n", work(3000000)), fflush(stdout);
    sprintf(text, "%d", left - 1);
    if (left) execl(self, self, "relay", text, NULL);
    return left;
}
/* As xz does before it reads what it was given: no file can be opened any more, and a filter that lets all calls through (which may be
 * refused). Hot code comes behind that. */
static void locked_in(void) {
    uint64_t every = (1 << 13) - 1;                         /* all rights on files of the first version */
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {1, &allow};
    long rules = syscall(SYS_landlock_create_ruleset, &every, sizeof every, 0);
    if (rules < 0) _exit(97);                               /* not in this kernel, or turned off */
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, rules, 0) == 0);
    must(open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
    (void)!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    char byte;
    long first = work(3000000);
    for (int n = 0; n < 20; n++) must(work(3000000) == first);
    must(write(1, "+", 1) == 1 && read(0, &byte, 1) >= 0);
    for (int n = 0; n < 20; n++) must(work(3000000) == first);
    printf("%lx\n", first);
}
/* A timer's signals while loops are hot, and forks. */
static volatile sig_atomic_t ticks;
static void on_tick(int number) { (void)number, ticks++; }
static void interrupted(void) {
    struct itimerval often = {{0, 500}, {0, 500}};
    signal(SIGALRM, on_tick);
    must(setitimer(ITIMER_REAL, &often, NULL) == 0);
    int rounds = 0, bad = 0;
    for (; ticks < 200 || rounds < 50; rounds++) bad += work(100000) != work(100000);
    printf("%d\n", bad);
}
static void *forks(void *unused) {
    for (int n = 0; n < 15; n++) {
        int status;
        pid_t child = fork();
        must(child >= 0);
        if (!child) _exit(work(2000000) == work(2000000) ? 7 : 8);
        must(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
    }
    stop = 1;
    return unused;
}
static void forked(void) {
    pthread_t thread;
    long n = 0;
    must(pthread_create(&thread, NULL, forks, NULL) == 0);
    for (; !stop; n++) loops[n % 1000](20000);
    must(pthread_join(thread, NULL) == 0);
    puts("forked");
}
/* Runs until it is told to end by a byte, or by the end of the file; then on for a while. */
static void until_told(void) {
    char byte;
    long sum = 0;
    must(write(1, "+", 1) == 1);
    for (int n = 0; n < 300; n++) sum += work(100000), loops[n](100000);
    must(read(0, &byte, 1) >= 0);
    for (int n = 0; n < 300; n++) sum += work(100000), loops[500 + n](100000);
    printf("%lx %lx\n", sum, total);
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*function)(void); } cases[] = {
        {"thread_flag", thread_flag}, {"process_flag", process_flag}, {"late_handler", late_handler}, {"changes", changes},
        {"patches", patches}, {"side_by_side", side_by_side}, {"one_after_another", one_after_another}, {"interrupted", interrupted},
        {"forked", forked}, {"until_told", until_told}, {"locked_in", locked_in}};
    self = argv[0];
    if (argc == 3 && !strcmp(argv[1], "relay")) return relay(atoi(argv[2]));
    for (unsigned n = 0; argc == 2 && n < sizeof cases / sizeof *cases; n++)
        if (!strcmp(argv[1], cases[n].name)) return cases[n].function(), 0;
    return 98;
}
