/* Code that comes, changes and goes while it is used, each case named by argv[1]: prints what a CPU would.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, READ_EXECUTE = PROT_READ | PROT_EXEC, BOTH = PROT_READ | PROT_WRITE, ALL = BOTH | PROT_EXEC };
enum { ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS, RETURN = 0x00008067 };
typedef long Function(long);
#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
static uint32_t add(int value) { return 0x00050513u | (uint32_t)value << 20; } /* addi a0, a0, value */
static long call(void *code, long value) { return ((Function *)code)(value); }
static void put(void *at, int value) {
    uint32_t code[] = {add(value), RETURN};
    memcpy(at, code, sizeof code);
    __builtin___clear_cache(at, (char *)at + sizeof code);
}
static char *map(size_t size, int prot) {
    char *at = mmap(NULL, size, prot, ANONYMOUS, -1, 0);
    must(at != MAP_FAILED);
    return at;
}

static sigjmp_buf back;
static int seen;
static void on_fault(int number) { seen = number, siglongjmp(back, 1); }
/* What calling this does: the value, or less than 0 for the signal it raises. */
static long attempt(void *code, long value) {
    if (sigsetjmp(back, 1)) return -seen;
    return call(code, value);
}

/* The file is cut under its code, which is looked at by fence.i: only who executes it then faults. */
static void cut_file(void) {
    uint32_t content[] = {add(5), RETURN};
    int file = memfd_create("code", 0);
    must(file >= 0 && ftruncate(file, PAGE) == 0 && pwrite(file, content, sizeof content, 0) == sizeof content);
    char *code = mmap(NULL, PAGE, READ_EXECUTE, MAP_SHARED, file, 0);
    must(code != MAP_FAILED);
    printf("%ld", attempt(code, 1));
    must(ftruncate(file, 0) == 0);
    asm volatile("fence.i" ::: "memory");
    __builtin___clear_cache(code, code + 8);
    printf(" %ld", attempt(code, 1));
    must(ftruncate(file, PAGE) == 0 && pwrite(file, content, sizeof content, 0) == sizeof content);
    asm volatile("fence.i" ::: "memory");
    printf(" %ld\n", attempt(code, 1));
}
/* Pages that lose what they hold without being unmapped: zeros are no instruction. */
static void emptied(void) {
    char *code = map(PAGE, ALL);
    put(code, 5);
    printf("moved away: %ld", attempt(code, 1));
    char *other = mremap(code, PAGE, PAGE, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */);
    must(other != MAP_FAILED);
    printf(" %ld", attempt(other, 1));
    printf(" %ld\n", attempt(code, 1));
    put(code, 6);
    printf("discarded: %ld", attempt(code, 1));
    must(madvise(code, PAGE, MADV_DONTNEED) == 0);
    printf(" %ld\n", attempt(code, 1));
}
/* Permission goes and comes, with and without new code meanwhile. */
static void permissions(void) {
    char *code = map(2 * PAGE, BOTH);
    long sum = 0;
    put(code, 1);
    printf("never executable: %ld\n", attempt(code, 1));
    for (int n = 0; n < 100; n++) {
        must(mprotect(code, PAGE, READ_EXECUTE) == 0), sum += attempt(code, 0);
        must(mprotect(code, PAGE, n % 2 ? PROT_READ : PROT_NONE) == 0), sum += attempt(code, 0) == -SIGSEGV ? 0 : 1000000;
        must(mprotect(code, PAGE, BOTH) == 0);
        if (n % 3 == 0) put(code, n);
    }
    printf("sum %ld\n", sum);
}
/* A page replaced in place, by mmap and by mremap onto it. */
static void replaced(void) {
    char *code = map(PAGE, ALL), *at = NULL;
    long sum = 0;
    put(code, 1);
    for (int n = 0; n < 100; n++) {
        sum += attempt(code, 0);
        must(mmap(code, PAGE, ALL, ANONYMOUS | MAP_FIXED, -1, 0) == code), put(code, n), sum += 1000 * attempt(code, 0);
        at = map(PAGE, ALL), put(at, n + 1);
        sum += attempt(at, 0) - (n + 1);
        must(mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, code) == code);
        sum += attempt(at, 0) == -SIGSEGV ? 0 : 1000000;
    }
    printf("sum %ld\n", sum);
}
/* More executable mappings than any table of a fixed small size holds; and pages one by one. */
static void mappings(void) {
    long count = 15000, sum = 0;
    char *code = map(2 * count * PAGE, BOTH);
    for (long n = 0; n < 2 * count; n += 2) put(code + n * PAGE, n % 1000), must(mprotect(code + n * PAGE, PAGE, READ_EXECUTE) == 0);
    for (long n = 0; n < 2 * count; n += 500) sum += call(code + n * PAGE, 0);
    printf("apart: %ld\n", sum);
    for (long n = 1; n < 2 * count; n += 2) put(code + n * PAGE, 1), must(mprotect(code + n * PAGE, PAGE, READ_EXECUTE) == 0);
    for (long n = 0, at = 1; n < 200; n++, at += 150) sum += call(code + at / 2 * 2 * PAGE + PAGE, 0);
    printf("together: %ld\n", sum);
    must(munmap(code, 2 * count * PAGE) == 0);
    printf("gone: %ld\n", attempt(code, 0));
}
/* Four threads make and run more code than a small cache holds; a fifth calls what never changes. */
enum { THREADS = 4, FUNCTIONS = 1500, LENGTH = 24, ROUNDS = 6 };
static atomic_int running;
static void *generate(void *number) {
    long seed = (long)number, wrong = 0;
    uint32_t *code = (uint32_t *)map(FUNCTIONS * LENGTH * 4, ALL);
    for (int round = 0; round < ROUNDS; round++) {
        for (int n = 0; n < FUNCTIONS; n++) {
            for (int k = 0; k < LENGTH - 1; k++) code[n * LENGTH + k] = add((seed + n + k + round) % 100);
            code[n * LENGTH + LENGTH - 1] = RETURN;
        }
        __builtin___clear_cache((char *)code, (char *)(code + FUNCTIONS * LENGTH));
        for (int n = 0; n < FUNCTIONS; n++) {
            long sum = 7;
            for (int k = 0; k < LENGTH - 1; k++) sum += (seed + n + k + round) % 100;
            for (int times = 0; times < 3; times++) wrong += call(code + n * LENGTH, 7) != sum;
        }
    }
    running--;
    return (void *)wrong;
}
static void *steady(void *code) {
    long calls = 0, wrong = 0;
    for (; running; calls++) wrong += call(code, calls) != calls + 9;
    return (void *)wrong;
}
static void full(void) {
    pthread_t threads[THREADS + 1];
    char *code = map(PAGE, ALL);
    void *result;
    long wrong = 0;
    put(code, 9);
    running = THREADS;
    for (long n = 0; n < THREADS; n++) must(pthread_create(&threads[n], NULL, generate, (void *)(n * 17)) == 0);
    must(pthread_create(&threads[THREADS], NULL, steady, code) == 0);
    for (int n = 0; n <= THREADS; n++) must(pthread_join(threads[n], &result) == 0), wrong += (long)result;
    printf("%d functions, %ld wrong\n", THREADS * FUNCTIONS * ROUNDS, wrong);
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*function)(void); } cases[] = {
        {"cut_file", cut_file}, {"emptied", emptied}, {"permissions", permissions}, {"replaced", replaced}, {"mappings", mappings},
        {"full", full}};
    signal(SIGSEGV, on_fault), signal(SIGBUS, on_fault), signal(SIGILL, on_fault);
    for (unsigned n = 0; argc == 2 && n < sizeof cases / sizeof *cases; n++)
        if (!strcmp(argv[1], cases[n].name)) return cases[n].function(), 0;
    return 98;
}
