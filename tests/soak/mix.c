/* Threads, signals, forks, mappings, code that is written, and exec, all at once: `mix SEED ROUNDS`. Each round chooses by the seed what
 * its threads do, checks what they have computed, and adds it to a sum that is the same on every Linux; the sum is printed.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "../process/cases.h"
#include <sys/time.h>

enum { THREADS = 4, RISCV_ADDI = 0x13, RISCV_RET = 0x8067 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static atomic_long handled, sent, caught;
static long shared_count;
static char *self;
typedef struct { uint64_t seed, sum; int deed; } Task;
static uint64_t next(uint64_t *seed) {           /* xorshift64 */
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed;
}
static uint64_t mixed(uint64_t seed, int rounds) {
    while (rounds--) seed = seed * 6364136223846793005 + 1442695040888963407, seed ^= seed >> 29;
    return seed;
}
static void on_signal(int number, siginfo_t *info, void *context) { (void)number, (void)context, handled += info->si_value.sival_int; }
static __thread char *lazy;
static void on_fault(int number, siginfo_t *info, void *context) {
    char *page = (char *)((uintptr_t)info->si_addr & -PAGE);
    (void)number, (void)context;
    must(lazy && page >= lazy && page < lazy + 8 * PAGE);
    must(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page), caught++;
}
/* --- deeds: each returns what the seed alone decides */
static uint64_t computes(uint64_t seed) { return mixed(seed, 20000 + seed % 20000); }
static uint64_t counts(uint64_t seed) {
    int n = 20 + seed % 50;
    for (int k = 0; k < n; k++) {
        pthread_mutex_lock(&lock);
        ++*(volatile long *)&shared_count, pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return n;
}
static uint64_t maps(uint64_t seed) {
    uint64_t sum = 0;
    for (int k = 0; k < 6; k++) {
        size_t size = (1 + next(&seed) % 8) * PAGE;
        char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *more;
        must(at != MAP_FAILED && at[size - 1] == 0), at[size - 1] = seed, more = mremap(at, size, 2 * size, MREMAP_MAYMOVE);
        must(more != MAP_FAILED && more[2 * size - 1] == 0), sum += (unsigned char)more[size - 1];
        must(madvise(more, size, MADV_DONTNEED) == 0 && more[0] == 0 && mprotect(more, size, PROT_READ) == 0 && munmap(more, 2 * size) == 0);
    }
    return sum;
}
static uint64_t touches(uint64_t seed) {         /* memory that the handler of SIGSEGV makes */
    uint64_t sum = 0;
    lazy = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(lazy != MAP_FAILED);
    for (int k = 0; k < 20; k++) {
        volatile uint64_t *place = (uint64_t *)(lazy + next(&seed) % (8 * PAGE) / 8 * 8);
        *place += k, sum += *place;
    }
    must(munmap(lazy, 8 * PAGE) == 0), lazy = NULL;
    return sum;
}
static uint64_t writes_code(uint64_t seed) {     /* a0 += steps; ret; written anew where it has run */
    uint64_t sum = 0;
    uint32_t *code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | (seed & 1 ? PROT_EXEC : 0), MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(code != MAP_FAILED);
    for (int k = 0; k < 4; k++) {
        uint64_t expected = 0;
        int n = 1 + next(&seed) % 200;
        for (int i = 0; i < n; i++) {
            uint32_t step = next(&seed) % 1000;
            code[i] = step << 20 | 10 << 15 | 10 << 7 | RISCV_ADDI, expected += step;
        }
        code[n] = RISCV_RET;
        if (~seed & 1 || k == 0) must(mprotect(code, PAGE, PROT_READ | PROT_EXEC | (seed & 1 ? PROT_WRITE : 0)) == 0);
        __builtin___clear_cache((char *)code, (char *)code + PAGE);
#ifdef __riscv
        for (int times = 0; times < 50; times++) must(((uint64_t (*)(uint64_t))code)(0) == expected);
#endif
        sum += expected, must(mprotect(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    }
    must(munmap(code, PAGE) == 0);
    return sum;
}
static uint64_t forks(uint64_t seed) {
    pid_t child = fork();
    must(child >= 0);
    if (child == 0) {
        char text[24];
        if (seed & 4) sprintf(text, "%d", (int)(seed % 200)), execl(self, self, "leave", text, NULL), _exit(98);
        free(malloc(seed % 100000)), must(mixed(seed, 1000) == mixed(seed, 1000)), _exit(seed % 200);
    }
    int status = reap(child);
    if (status != (int)(seed % 200)) fprintf(stderr, "child of %lx: status %d\n", seed, status), _exit(99);
    return status;
}
static void *returns(void *value) { return value; }
static uint64_t begins(uint64_t seed) {
    uint64_t sum = 0;
    for (int k = 0; k < 5; k++) {
        void *value;
        must(pthread_join(start(returns, (void *)(uintptr_t)(next(&seed) % 1000)), &value) == 0), sum += (uintptr_t)value;
    }
    return sum;
}
static uint64_t sends(uint64_t seed) {           /* queued signals to the process: any thread may get them, in any call */
    int n = 5 + seed % 20;
    for (int k = 0; k < n; k++)
        if (sigqueue(getpid(), SIGRTMIN + seed % 3, (union sigval){.sival_int = 1}) == 0) sent++;
        else must(errno == EAGAIN), sched_yield(), k--;
    return n;
}
static uint64_t pipes(uint64_t seed) {
    int ends[2];
    uint64_t value = 0;
    must(pipe(ends) == 0);
    for (int k = 0; k < 10; k++) must(write(ends[1], &seed, 8) == 8 && read(ends[0], &value, 8) == 8 && value == seed), next(&seed);
    close(ends[0]), close(ends[1]);
    return value % 1000;
}
static uint64_t (*const deeds[])(uint64_t) = {computes, counts, maps, touches, writes_code, forks, begins, sends, pipes};
static void *works(void *argument) {
    Task *task = argument;
    for (int k = 0; k < 3; k++) task->sum = task->sum * 31 + deeds[(task->deed + k) % 9](task->seed + k);
    return NULL;
}
int main(int argc, char **argv) {
    must(argc == 3);
    if (!strcmp(argv[1], "leave")) return atoi(argv[2]);
    self = argv[0];
    uint64_t seed = atoll(argv[1]) * 0x9e3779b97f4a7c15 + 1, sum = 0;
    alarm(600);
    for (int n = 0; n < 3; n++) install(SIGRTMIN + n, on_signal, SA_RESTART);
    install(SIGSEGV, on_fault, SA_NODEFER);
    for (int round = atoi(argv[2]); round--;) {
        Task tasks[THREADS];
        pthread_t threads[THREADS];
        for (int n = 0; n < THREADS; n++) {
            tasks[n] = (Task){.seed = next(&seed) >> 8};
            tasks[n].deed = next(&seed) % 9, threads[n] = start(works, tasks + n);
        }
        for (int n = 0; n < THREADS; n++) must(pthread_join(threads[n], NULL) == 0), sum = sum * 1000003 + tasks[n].sum;
        while (handled < sent) sched_yield();
    }
    must(handled == sent);
    if (atoi(argv[1]) & 1) {                     /* ends as another program, from whichever thread */
        fflush(stdout), printf("%016lx\n", sum), fflush(stdout), execl(self, self, "leave", "0", NULL), _exit(97);
    }
    printf("%016lx\n", sum);
    return 0;
}
