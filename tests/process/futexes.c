/* Threads' locks and what they are made of, a case by argv[1], or all: prints what a native Linux prints.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <semaphore.h>
#include <sys/resource.h>

enum { LOCK_PI2 = 13 };
static long futex(void *word, int operation, unsigned value, const void *timeout, void *second, unsigned third) {
    return syscall(SYS_futex, word, operation, value, timeout, second, third);
}
static atomic_int words[4], woken, results[8];
static struct timespec in(int clock, long ms) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (struct timespec){now.tv_sec + ms / 1000 + (now.tv_nsec + ms % 1000 * MS) / 1000000000, (now.tv_nsec + ms % 1000 * MS) % 1000000000};
}
static void settled(pid_t tid) {                 /* until a thread sleeps in a system call */
    char name[64], state = 0;
    sprintf(name, "/proc/self/task/%d/stat", tid);
    while (state != 'S') {
        FILE *file = fopen(name, "r");
        must(file && fscanf(file, "%*d %*s %c", &state) == 1), fclose(file), sched_yield();
    }
}
typedef struct { void *word; int operation; unsigned value, third; void *second; atomic_int tid, result; } Wait;
static void *waits(void *argument) {
    Wait *wait = argument;
    wait->tid = gettid();
    long result = futex(wait->word, wait->operation, wait->value, NULL, wait->second, wait->third);
    wait->result = result < 0 ? -errno : result, woken++;
    return NULL;
}
static pthread_t begin(Wait *wait) {
    pthread_t thread = start(waits, wait);
    while (!wait->tid) sched_yield();
    settled(wait->tid);
    return thread;
}
static void basics(void) {
    struct timespec short_time = {0, 5 * MS}, bad = {0, -1}, past = {1, 0}, later = in(CLOCK_MONOTONIC, 5), on_the_wall = in(CLOCK_REALTIME, 5);
    show("another value", futex(words, FUTEX_WAIT, 1, NULL, NULL, 0)), show("a while", futex(words, FUTEX_WAIT_PRIVATE, 0, &short_time, NULL, 0));
    show("bad time", futex(words, FUTEX_WAIT, 0, &bad, NULL, 0)), show("past", futex(words, FUTEX_WAIT_BITSET, 0, &past, NULL, -1));
    show("until", futex(words, FUTEX_WAIT_BITSET_PRIVATE, 0, &later, NULL, 1)), show("until, real time", futex(words, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &on_the_wall, NULL, 1));
    show("no bits", futex(words, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0)), show("no bits", futex(words, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    show("crooked", futex((char *)words + 2, FUTEX_WAIT, 0, NULL, NULL, 0)), show("nowhere", futex((void *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
    show("nobody", futex(words, FUTEX_WAKE, 5, NULL, NULL, 0)), show("no such", futex(words, 77, 0, NULL, NULL, 0)), show("no such clock", futex(words, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
}
static void wakes(void) {
    Wait all[3] = {{words, FUTEX_WAIT_PRIVATE}, {words, FUTEX_WAIT_PRIVATE}, {words, FUTEX_WAIT_PRIVATE}};
    pthread_t threads[3];
    for (int n = 0; n < 3; n++) threads[n] = begin(all + n);
    show("two", futex(words, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0)), show("the rest", futex(words, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0));
    for (int n = 0; n < 3; n++) pthread_join(threads[n], NULL);
    for (int n = 0; n < 3; n++) all[n] = (Wait){words, FUTEX_WAIT_BITSET, 0, 1 << n}, threads[n] = begin(all + n);
    show("bit 1", futex(words, FUTEX_WAKE_BITSET, 9, NULL, NULL, 2)), pthread_join(threads[1], NULL), show("bits 0 and 2", futex(words, FUTEX_WAKE_BITSET, 9, NULL, NULL, 5));
    pthread_join(threads[0], NULL), pthread_join(threads[2], NULL);
    for (int n = 0; n < 3; n++) all[n] = (Wait){words, FUTEX_WAIT}, threads[n] = begin(all + n);
    show("another value", futex(words, FUTEX_CMP_REQUEUE, 1, (void *)2, words + 1, 9)), show("requeue", futex(words, FUTEX_CMP_REQUEUE, 1, (void *)1, words + 1, 0));
    show("there", futex(words + 1, FUTEX_WAKE, 9, NULL, NULL, 0)), show("here", futex(words, FUTEX_WAKE, 9, NULL, NULL, 0));
    for (int n = 0; n < 3; n++) pthread_join(threads[n], NULL);
    for (int n = 0; n < 2; n++) all[n] = (Wait){words + n, FUTEX_WAIT}, threads[n] = begin(all + n);
    show("operation", futex(words, FUTEX_WAKE_OP, 1, (void *)1, words + 1, FUTEX_OP(FUTEX_OP_ADD, 7, FUTEX_OP_CMP_EQ, 0))), show("word", words[1]);
    for (int n = 0; n < 2; n++) pthread_join(threads[n], NULL);
    show("all", woken);
}
/* --- priority inheritance */
static void *other_tries(void *word) {
    struct timespec soon = in(CLOCK_REALTIME, 10), soon2 = in(CLOCK_MONOTONIC, 10);
    show("try", futex(word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0)), show("unlock another's", futex(word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    show("until", futex(word, FUTEX_LOCK_PI, 0, &soon, NULL, 0)), show("until, monotonic", futex(word, LOCK_PI2, 0, &soon2, NULL, 0));
    return NULL;
}
static void *locks_and_dies(void *word) { show("lock", futex(word, FUTEX_LOCK_PI, 0, NULL, NULL, 0)); return NULL; }
static void inheritance(void) {
    pid_t me = gettid();
    show("lock", futex(words, FUTEX_LOCK_PI, 0, NULL, NULL, 0)), show("word", words[0] == me), show("again", futex(words, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    pthread_join(start(other_tries, words), NULL);
    Wait wait = {words, FUTEX_LOCK_PI};
    pthread_t thread = begin(&wait);
    printf("waiters: %d\n", (words[0] & FUTEX_WAITERS) != 0), show("unlock", futex(words, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0)), pthread_join(thread, NULL);
    printf("it got %d; it died: %d\n", wait.result, (words[0] & FUTEX_OWNER_DIED) != 0);
    words[0] = 0, show("try", futex(words, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0)), show("unlock", futex(words, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0)), show("word", words[0]);
    words[1] = 0x3ffffff0, show("an owner that is not there", futex(words + 1, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    Wait moved = {words + 2, FUTEX_WAIT_REQUEUE_PI, 0, -1, words + 3};
    futex(words + 3, FUTEX_LOCK_PI, 0, NULL, NULL, 0), thread = begin(&moved);
    show("requeue", futex(words + 2, FUTEX_CMP_REQUEUE_PI, 1, (void *)1, words + 3, 0)), printf("waiters: %d\n", (words[3] & FUTEX_WAITERS) != 0);
    show("unlock", futex(words + 3, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0)), pthread_join(thread, NULL), show("it got", moved.result);
}
/* --- mutexes of each kind, within a process and between two */
static long long total;
static pthread_mutex_t *mutex;
static void *adds(void *unused) {
    for (int n = 0; n < 500; n++) {
        must(pthread_mutex_lock(mutex) == 0);
        ++*(volatile long long *)&total, n % 64 || sched_yield();
        must(pthread_mutex_unlock(mutex) == 0);
    }
    return unused;
}
static pthread_mutex_t *make(int protocol, int robust, int shared, int type) {
    pthread_mutexattr_t kind;
    pthread_mutex_t *made = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&kind), pthread_mutexattr_setprotocol(&kind, protocol), pthread_mutexattr_setrobust(&kind, robust);
    pthread_mutexattr_setpshared(&kind, shared), pthread_mutexattr_settype(&kind, type);
    must(pthread_mutex_init(made, &kind) == 0);
    return made;
}
static void mutexes(void) {
    for (int kind = 0; kind < 16; kind++) {
        mutex = make(kind & 1 ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE, kind & 2 ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED, kind & 4 ? PTHREAD_PROCESS_SHARED : PTHREAD_PROCESS_PRIVATE,
                     kind & 8 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
        pthread_t threads[3];
        total = 0;
        for (int n = 0; n < 3; n++) threads[n] = start(adds, NULL);
        for (int n = 0; n < 3; n++) pthread_join(threads[n], NULL);
        printf("%lld%c", total, kind < 15 ? ' ' : '\n');
    }
}
static void dies(int how) {
    must(pthread_mutex_lock(mutex) == 0);
    if (how == 1) pthread_exit(NULL);
    if (how == 2) *(volatile int *)8 = 1;
    if (how == 3) abort();
    _exit(0);
}
static void *thread_dies(void *unused) { dies(1); return unused; }
static void robust(void) {
    for (int kind = 0; kind < 2; kind++)
        for (int how = 0; how < 4; how++) {
            mutex = make(kind ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED, PTHREAD_MUTEX_NORMAL);
            if (how == 1) pthread_join(start(thread_dies, NULL), NULL);
            else {
                pid_t child = born();
                if (child == 0) dies(how);
                printf("ended by %d, ", reap(child));
            }
            struct timespec soon = in(CLOCK_REALTIME, 2000);
            printf("%s ", strerrorname_np(pthread_mutex_timedlock(mutex, &soon))), printf("consistent %d ", pthread_mutex_consistent(mutex));
            printf("unlock %d ", pthread_mutex_unlock(mutex)), printf("again %d\n", pthread_mutex_lock(mutex));
        }
    mutex = make(0, PTHREAD_MUTEX_ROBUST, PTHREAD_PROCESS_SHARED, 0);
    pthread_join(start(thread_dies, NULL), NULL), pthread_mutex_lock(mutex), pthread_mutex_unlock(mutex);
    printf("not made consistent: %s\n", strerrorname_np(pthread_mutex_lock(mutex)));
}
/* --- between processes */
static struct { pthread_mutex_t lock; pthread_cond_t turn; pthread_barrier_t both; sem_t ping, pong; atomic_int word, whose, seen; } *common;
static void processes(void) {
    common = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t lock;
    pthread_condattr_t turn;
    pthread_barrierattr_t both;
    pthread_mutexattr_init(&lock), pthread_mutexattr_setpshared(&lock, 1), pthread_mutex_init(&common->lock, &lock), pthread_condattr_init(&turn), pthread_condattr_setpshared(&turn, 1), pthread_cond_init(&common->turn, &turn);
    pthread_barrierattr_init(&both), pthread_barrierattr_setpshared(&both, 1), pthread_barrier_init(&common->both, &both, 2), sem_init(&common->ping, 1, 0), sem_init(&common->pong, 1, 0);
    pid_t child = born();
    int me = child == 0;
    for (int n = 0; n < 200; n++) {
        pthread_mutex_lock(&common->lock);
        while (common->whose != me) pthread_cond_wait(&common->turn, &common->lock);
        common->whose = !me, common->seen++, pthread_cond_signal(&common->turn), pthread_mutex_unlock(&common->lock);
        n % 20 || pthread_barrier_wait(&common->both);
        if (me) sem_wait(&common->ping), sem_post(&common->pong);
        else sem_post(&common->ping), sem_wait(&common->pong);
    }
    if (me) {
        while (futex(&common->word, FUTEX_WAKE, 1, NULL, NULL, 0) != 1) sched_yield();
        _exit(0);
    }
    show("woken by the child", futex(&common->word, FUTEX_WAIT, 0, NULL, NULL, 0)), show("child", reap(child)), show("turns", common->seen);
    struct timespec soon = in(CLOCK_REALTIME, 5);
    sem_t *own = &common->ping;
    show("semaphore", sem_timedwait(own, &soon)), pthread_mutex_lock(&common->lock);
    printf("condition: %s\n", strerrorname_np(pthread_cond_timedwait(&common->turn, &common->lock, &soon)));
}
/* --- threads made by hand */
static atomic_int tid_word, parent_word;
static void clones(void) {
    struct clone_args wish = {.flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PIDFD, .exit_signal = SIGCHLD};
    int pidfd = -1, tid = gettid();
    wish.parent_tid = (uintptr_t)&parent_word, wish.child_tid = (uintptr_t)&tid_word, wish.pidfd = (uintptr_t)&pidfd;
    fflush(stdout);
    pid_t child = syscall(SYS_clone3, &wish, sizeof wish);
    if (child == 0) _exit(tid_word == gettid() ? 7 : 8);
    printf("child: %d, told %d, descriptor %d, set here %d\n", reap(child), parent_word == child, fcntl(pidfd, F_GETFD) == FD_CLOEXEC, tid_word != 0);
    show("too small", syscall(SYS_clone3, &wish, 63)), show("from nowhere", syscall(SYS_clone3, 8, 88));
    wish.flags = CLONE_THREAD, show("a thread without memory", syscall(SYS_clone3, &wish, 88)), wish.flags = CLONE_SIGHAND, show("handlers without memory", syscall(SYS_clone3, &wish, 88));
    wish.flags = 0, wish.exit_signal = 300, show("signal 300", syscall(SYS_clone3, &wish, 88)), wish.exit_signal = SIGCHLD, wish.stack_size = 4096, show("a stack without address", syscall(SYS_clone3, &wish, 88));
    show("set_tid_address", syscall(SYS_set_tid_address, &tid_word) == tid);
    show("flags of both", syscall(SYS_clone, CLONE_FS | CLONE_NEWNS, 0, 0, 0, 0));
    char page[2 * PAGE] = {0};
    memcpy(page, &wish, sizeof wish), page[200] = 1, show("from a newer time", syscall(SYS_clone3, page, 256)), show("too large", syscall(SYS_clone3, page, 5000));
}
static void *sleeps(void *word) { *(atomic_int *)word = gettid(); for (;;) pause(); return NULL; }
static void schedule(void) {
    cpu_set_t set;
    struct sched_param parameter = {0};
    struct timespec slice;
    unsigned cpu = 99, node = 99;
    atomic_int tid = 0;
    start(sleeps, &tid);
    while (!tid) sched_yield();
    CPU_ZERO(&set); show("affinity", sched_getaffinity(0, sizeof set, &set)), printf("some: %d\n", CPU_COUNT(&set) > 0);
    int first = 0;
    while (!CPU_ISSET(first, &set)) first++;
    CPU_ZERO(&set); CPU_SET(first, &set); show("set a thread's", sched_setaffinity(tid, sizeof set, &set)); CPU_ZERO(&set); sched_getaffinity(tid, sizeof set, &set), printf("it has %d\n", CPU_COUNT(&set));
    sched_getaffinity(0, sizeof set, &set); CPU_ZERO(&set); show("none", sched_setaffinity(0, sizeof set, &set)), show("nobody", sched_setaffinity(0x3fffffff, sizeof set, &set));
    show("small", syscall(SYS_sched_getaffinity, 0, 4, &set)), show("nowhere", syscall(SYS_sched_getaffinity, 0, 128, 8));
    show("policy", sched_getscheduler(0)), show("parameter", sched_getparam(0, &parameter)), show("it is", parameter.sched_priority), show("slice", sched_rr_get_interval(0, &slice));
    show("highest", sched_get_priority_max(SCHED_FIFO)), show("lowest", sched_get_priority_min(SCHED_RR)), show("no policy", sched_get_priority_max(77)), show("batch", sched_setscheduler(tid, SCHED_BATCH, &parameter)), show("it has", sched_getscheduler(tid)), show("mine", sched_getscheduler(0));
    show("getcpu", syscall(SYS_getcpu, &cpu, &node, NULL)), printf("told %d\n", cpu != 99 && node != 99), show("yield", sched_yield());
    errno = 0, show("nicer", setpriority(PRIO_PROCESS, tid, 5)), show("it is", getpriority(PRIO_PROCESS, tid)), show("mine", getpriority(PRIO_PROCESS, 0));
}
static void barriers(void) {
    long known = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    printf("private expedited is known: %d\n", (known & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0), show("not registered", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    show("register", syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0)), show("barrier", syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0)), show("no such", syscall(SYS_membarrier, 1 << 20, 0, 0));
}
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static int pair[2];
static void *reads_and_writes(void *which) {
    for (int n = 0; n < 1000; n++)
        if ((n + (intptr_t)which) % 8) {
            pthread_rwlock_rdlock(&rw);
            must(((volatile int *)pair)[0] == ((volatile int *)pair)[1]);
            pthread_rwlock_unlock(&rw);
        } else pthread_rwlock_wrlock(&rw), ((volatile int *)pair)[0]++, n % 32 || sched_yield(), ((volatile int *)pair)[1]++, pthread_rwlock_unlock(&rw);
    return NULL;
}
static void readers(void) {
    pthread_t threads[4];
    for (intptr_t n = 0; n < 4; n++) threads[n] = start(reads_and_writes, (void *)n);
    for (int n = 0; n < 4; n++) pthread_join(threads[n], NULL);
    show("writes", pair[1]);
}
static const Case cases[] = {
    CASE(basics), CASE(wakes), CASE(inheritance), CASE(mutexes), CASE(robust), CASE(processes), CASE(clones), CASE(schedule), CASE(barriers), CASE(readers), {0}};
int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
