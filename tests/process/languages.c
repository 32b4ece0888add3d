/* What the runtimes of languages do, each case named by argv[1]: prints what a native riscv64 Linux prints.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, THREADS = 4, PAGES = 64, BOTH = PROT_READ | PROT_WRITE, ALL = BOTH | PROT_EXEC };
#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
static char *map(size_t size, int prot, int flags, int file) {
    char *at = mmap(NULL, size, prot, flags, file, 0);
    must(at != MAP_FAILED);
    return at;
}
static void install(int number, void (*handler)(int, siginfo_t *, void *)) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART};
    must(sigaction(number, &action, NULL) == 0);
}
static pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    must(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}
static atomic_int ready, done;

/* Go: the stack of who calls vfork is a part of the heap, and other threads write right above it while the child is on its way to exec. */
static int there[2], go[2];
static char *area;
static void *vforks(void *unused) {
    volatile int seen = 1;
    char c;
    pid_t child = vfork();
    if (child == 0) {
        must(write(there[1], "+", 1) == 1 && read(go[0], &c, 1) == 1);
        seen = 42;
        _exit(4);
    }
    int status;
    must(waitpid(child, &status, 0) == child);
    printf("status %d, the child wrote %d\n", WEXITSTATUS(status), seen);
    return unused;
}
static void vfork_beside_threads(void) {
    enum { STACK = 8 * PAGE };
    must(pipe(there) == 0 && pipe(go) == 0);
    area = map(STACK + PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    pthread_attr_t attributes;
    pthread_t thread;
    char c;
    must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, area, STACK) == 0);
    must(pthread_create(&thread, &attributes, vforks, NULL) == 0);
    must(read(there[0], &c, 1) == 1);
    memset(area + STACK, 'x', PAGE);
    must(write(go[1], "+", 1) == 1);
    pthread_join(thread, NULL);
    printf("above it: %c%c\n", area[STACK], area[STACK + PAGE - 1]);
}

/* Garbage collectors: pages are protected, and whoever touches one makes it accessible and goes on. */
static void unprotect(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    must(info->si_code == SEGV_ACCERR);
    must(mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, BOTH) == 0);
}
static void *touches(void *argument) {
    char *at = argument;
    for (int round = 0; round < 20; round++) {
        must(mprotect(at, PAGES * PAGE, PROT_NONE) == 0);
        for (int n = 0; n < PAGES; n++) at[n * PAGE + round]++;
    }
    return argument;
}
static void pages_on_demand(void) {
    pthread_t threads[THREADS];
    long sum = 0;
    install(SIGSEGV, unprotect);
    area = map(THREADS * PAGES * PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (int n = 0; n < THREADS; n++) threads[n] = start(touches, area + n * PAGES * PAGE);
    for (int n = 0; n < THREADS; n++) pthread_join(threads[n], NULL);
    for (int n = 0; n < THREADS * PAGES * PAGE; n++) sum += area[n];
    printf("%ld\n", sum);
}

/* Java: who is to stop at a safepoint meets a page without access in its loop, waits in the handler, and reads once more. */
static volatile char *poll_page;
static atomic_int arrived, released;
static void at_safepoint(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    must(info->si_addr == (void *)poll_page);
    int round = released;
    arrived++;
    while (released == round) sched_yield();
}
static void *polls(void *result) {
    long sum = 0, rounds = 0;
    ready++;
    for (; !done; rounds++) sum += 3 + *poll_page;
    *(long *)result = sum - 3 * rounds;
    return NULL;
}
static void safepoints(void) {
    pthread_t threads[THREADS];
    long wrong[THREADS], all = 0;
    install(SIGSEGV, at_safepoint);
    poll_page = map(PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    for (int n = 0; n < THREADS; n++) threads[n] = start(polls, &wrong[n]);
    while (ready < THREADS) sched_yield();
    for (int round = 0; round < 50; round++) {
        must(mprotect((void *)poll_page, PAGE, PROT_NONE) == 0);
        while (arrived < THREADS) sched_yield();
        arrived = 0;
        must(mprotect((void *)poll_page, PAGE, PROT_READ) == 0);
        released++;
    }
    done = 1;
    for (int n = 0; n < THREADS; n++) pthread_join(threads[n], NULL), all |= wrong[n];
    printf("50 safepoints, wrong: %ld\n", all);
}

/* Go: a signal's handler lets the interrupted code call a function as if it stood there, wherever that is in a loop.
 * crunch and preempted agree on that t6 is free for going on. */
long crunch(long rounds), preempted(void);
extern char crunch_end[];
asm("crunch:\n    li a1, 0\n    li a2, 0x5DEECE66D\n    li a3, 12345\n"
    "1:  mul a3, a3, a2\n    addi a3, a3, 11\n    srli a4, a3, 17\n    xor a1, a1, a4\n    slli a5, a1, 1\n    sltu a6, a5, a1\n"
    "    add a1, a5, a6\n    addi a0, a0, -1\n    bnez a0, 1b\n    mv a0, a1\n    ret\ncrunch_end:\n"
    "preempted:\n    addi sp, sp, -16\n    sd t0, 0(sp)\n    sd t1, 8(sp)\n    la t0, preemptions\n    li t1, 1\n"
    "    amoadd.d zero, t1, (t0)\n    ld t0, 0(sp)\n    ld t1, 8(sp)\n    ld t6, 16(sp)\n    addi sp, sp, 32\n    jr t6\n");
_Atomic long preemptions;
static void preempt(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.__gregs;
    if (registers[REG_PC] < (greg_t)crunch || registers[REG_PC] >= (greg_t)crunch_end) return;
    registers[REG_SP] -= 16;
    *(long *)registers[REG_SP] = registers[REG_PC];
    registers[REG_PC] = (greg_t)preempted;
}
static void *crunches(void *result) {
    long first = *(long *)result, rounds = 0;
    while (!done) *(long *)result |= crunch(100000) ^ first, rounds++;
    *(long *)result ^= first;
    return (void *)rounds;
}
static void preemption(void) {
    pthread_t threads[2];
    long wrong[2];
    wrong[0] = wrong[1] = crunch(100000);
    install(SIGURG, preempt);
    for (int n = 0; n < 2; n++) threads[n] = start(crunches, &wrong[n]);
    while (preemptions < 300)
        for (int n = 0; n < 2; n++) must(pthread_kill(threads[n], SIGURG) == 0), sched_yield();
    done = 1;
    for (int n = 0; n < 2; n++) pthread_join(threads[n], NULL);
    printf("300 preemptions, wrong: %ld\n", wrong[0] | wrong[1]);
}

/* JIT compilers: each thread writes functions where others are executed, and the next thread calls them. */
enum { SLOT = 16, ROUNDS = 300, RETURN = 0x00008067 };
static char *writable, *executable;
static _Atomic(char *) handed[THREADS];
static uint32_t add(int value) { return 0x00050513u | (uint32_t)value << 20; } /* addi a0, a0, value */
static void emit(char *at, char *run, int value) {
    uint32_t code[] = {add(value), RETURN};
    memcpy(at, code, sizeof code);
    __builtin___clear_cache(run, run + sizeof code);
}
static long call(char *code, long value) { return ((long (*)(long))code)(value); }
static void *hands_over(void *argument) {
    long self = (long)argument, next = (self + 1) % THREADS, sum = 0;
    for (int n = 0; n < ROUNDS; n++) {
        long at = (self * 8 + n % 8) * SLOT;
        emit(writable + at, executable + at, n);
        while (handed[next]) sched_yield();
        handed[next] = executable + at;
        char *mine;
        while (!(mine = handed[self])) sched_yield();
        sum += call(mine, 1);
        handed[self] = NULL;
    }
    return (void *)sum;
}
static void *flips(void *argument) {
    char *page = map(PAGE, BOTH, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    long sum = 0;
    for (int n = 0; n < ROUNDS; n++) {
        must(mprotect(page, PAGE, BOTH) == 0);
        emit(page, page, n);
        must(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0);
        sum += call(page, 1);
    }
    return argument ? (void *)sum : NULL;
}
static void in_threads(const char *what, void *(*body)(void *)) {
    pthread_t threads[THREADS];
    printf("%s:", what);
    for (long n = 0; n < THREADS; n++) threads[n] = start(body, body == flips ? threads : (void *)n);
    for (int n = 0; n < THREADS; n++) {
        void *sum;
        must(pthread_join(threads[n], &sum) == 0);
        printf(" %ld", (long)sum);
    }
    printf("\n");
}
static void compilers(void) {
    int file = memfd_create("code", 0);
    must(file >= 0 && ftruncate(file, PAGE) == 0);
    writable = executable = map(PAGE, ALL, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    in_threads("writable and executable", hands_over);
    writable = map(PAGE, BOTH, MAP_SHARED, file), executable = map(PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, file);
    in_threads("mapped twice", hands_over);
    in_threads("one or the other", flips);
}

#define CASE(name) {#name, name}
static const struct { const char *name; void (*function)(void); } cases[] = {
    CASE(vfork_beside_threads), CASE(pages_on_demand), CASE(safepoints), CASE(preemption), CASE(compilers)};

int main(int argc, char **argv) {
    for (unsigned n = 0; argc == 2 && n < sizeof cases / sizeof *cases; n++)
        if (!strcmp(argv[1], cases[n].name)) return cases[n].function(), 0;
    return 98;
}
