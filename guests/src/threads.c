/* Threads: counters, a queue with conditions, thread-local values, barriers, cancellation. */
#include "must.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 20000, ITEMS = 1000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sem_t semaphore;
static long locked_count, once_count, queue[4];
static int queued;
static atomic_long atomic_count;
static _Atomic uint8_t byte_count;
static __thread long own = 5;

static void run_once(void) { once_count++; }

static void *count(void *argument) {
    long number = (long)argument;
    pthread_once(&once, run_once);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        locked_count++;
        pthread_mutex_unlock(&lock);
        atomic_fetch_add(&atomic_count, 1);
        atomic_fetch_add(&byte_count, 1);
        for (long old = atomic_load(&atomic_count); !atomic_compare_exchange_weak(&atomic_count, &old, old + 2);) {}
        own += number;
    }
    pthread_barrier_wait(&barrier);
    must(locked_count == THREADS * ROUNDS);
    return (void *)own;
}

static void *produce(void *unused) {
    for (long i = 1; i <= ITEMS; i++) {
        pthread_mutex_lock(&lock);
        while (queued == 4) pthread_cond_wait(&not_full, &lock);
        queue[queued++] = i;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

static void *consume(void *unused) {
    long sum = 0;
    (void)unused;
    for (long i = 1; i <= ITEMS; i++) {
        pthread_mutex_lock(&lock);
        while (queued == 0) pthread_cond_wait(&not_empty, &lock);
        sum += queue[--queued];
        pthread_cond_signal(&not_full);
        pthread_mutex_unlock(&lock);
    }
    return (void *)sum;
}

static void *ping(void *other) {
    for (int i = 0; i < 500; i++) sem_wait(&semaphore), sem_post(other);
    return NULL;
}

static void *nothing(void *unused) { return unused; }
static void cleaned(void *flag) { *(int *)flag = 1; }

static void *forever(void *flag) {
    pthread_cleanup_push(cleaned, flag);
    for (;;) sleep(100);
    pthread_cleanup_pop(0);
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    void *result;
    long sum = 0;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (long i = 0; i < THREADS; i++) must(pthread_create(&threads[i], NULL, count, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++) must(pthread_join(threads[i], &result) == 0), sum += (long)result;
    printf("counted %ld under a lock, %ld atomically, %u in a byte\n", locked_count, atomic_load(&atomic_count),
           atomic_load(&byte_count));
    printf("own values: %ld, here %ld; once: %ld\n", sum, own, once_count);

    must(pthread_create(&threads[0], NULL, produce, NULL) == 0 &&
         pthread_create(&threads[1], NULL, consume, NULL) == 0);
    pthread_join(threads[0], NULL), pthread_join(threads[1], &result);
    printf("consumed %ld\n", (long)result);

    sem_t answer;
    sem_init(&semaphore, 0, 0), sem_init(&answer, 0, 0);
    must(pthread_create(&threads[0], NULL, ping, &answer) == 0);
    for (int i = 0; i < 500; i++) sem_post(&semaphore), sem_wait(&answer);
    pthread_join(threads[0], NULL);
    printf("500 pings\n");

    int flag = 0;
    must(pthread_create(&threads[0], NULL, forever, &flag) == 0);
    usleep(1000);
    must(pthread_cancel(threads[0]) == 0 && pthread_join(threads[0], &result) == 0);
    printf("cancelled: %s, cleaned: %d\n", result == PTHREAD_CANCELED ? "yes" : "no", flag);

    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 5000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_nsec -= 1000000000, soon.tv_sec++;
    pthread_mutex_lock(&lock);
    printf("waited in vain: %s\n", pthread_cond_timedwait(&not_empty, &lock, &soon) == ETIMEDOUT ? "yes" : "no");
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 200; i++)
        must(pthread_create(&threads[0], NULL, nothing, NULL) == 0), pthread_join(threads[0], NULL);
    printf("200 threads came and went\n");
    return 0;
}
