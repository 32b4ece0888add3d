/* Two threads and two variables: message passing with fences, and a spin lock, must hold on every machine. */
#include "must.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { ROUNDS = 20000 };
static _Atomic long data, flag, spin;
static long guarded;

static void *sender(void *unused) {
    for (long i = 1; i <= ROUNDS; i++) {
        atomic_store_explicit(&data, i, memory_order_relaxed);
        atomic_thread_fence(memory_order_release);
        atomic_store_explicit(&flag, i, memory_order_relaxed);
        if (i % 64 == 0) sched_yield();
    }
    return unused;
}

static void *locker(void *unused) {
    for (int i = 0; i < ROUNDS; i++) {
        while (atomic_exchange_explicit(&spin, 1, memory_order_acquire)) sched_yield();
        guarded++;
        atomic_store_explicit(&spin, 0, memory_order_release);
    }
    return unused;
}

int main(void) {
    pthread_t other;
    must(pthread_create(&other, NULL, sender, NULL) == 0);
    long seen = 0;
    while (seen < ROUNDS) {
        seen = atomic_load_explicit(&flag, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        must(atomic_load_explicit(&data, memory_order_relaxed) >= seen);
        sched_yield();
    }
    pthread_join(other, NULL);
    printf("%d messages in order\n", ROUNDS);
    must(pthread_create(&other, NULL, locker, NULL) == 0);
    locker(NULL);
    pthread_join(other, NULL);
    printf("%ld under a spin lock\n", guarded);
    return 0;
}
