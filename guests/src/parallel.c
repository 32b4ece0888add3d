/* Threads side by side: parallel [handover TIMES|one ROUNDS|two ROUNDS].
   handover: a word goes to and fro between two threads, who sleep until it is theirs. one, two: threads that compute, each the same. */
#include "must.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { THREADS = 2 };
static _Atomic int turn;
static long times;

/* The thread of this number waits for its turn and gives it to the other one. */
static void *hand_over(void *number) {
    int own = (long)number;
    for (long i = 0; i < times; i++) {
        while (atomic_load(&turn) != own) syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !own, NULL);
        atomic_store(&turn, !own);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
    }
    return NULL;
}

/* A sum over xorshift numbers. */
static void *compute(void *number) {
    unsigned long state = 88172645463325252 + (long)number, sum = 0;
    for (long i = 0; i < times; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        sum += state & 0xFF;
    }
    return (void *)sum;
}

static unsigned long side_by_side(void *(*function)(void *), int threads) {
    pthread_t thread[THREADS];
    unsigned long sum = 0;
    for (long i = 0; i < threads; i++) must(pthread_create(&thread[i], NULL, function, (void *)i) == 0);
    for (int i = 0; i < threads; i++) {
        void *part;
        must(pthread_join(thread[i], &part) == 0);
        sum += (unsigned long)part;
    }
    return sum;
}

static void work(const char *name, long count) {
    times = count;
    if (!strcmp(name, "handover")) {
        turn = 0;
        side_by_side(hand_over, 2);
        printf("handover %ld\n", 2 * times);
    } else {
        printf("%s %lu\n", name, side_by_side(compute, strcmp(name, "one") ? 2 : 1));
    }
}

int main(int argc, char **argv) {
    if (argc == 3) {
        work(argv[1], atol(argv[2]));
    } else {
        work("handover", 1000);
        work("one", 10000);
        work("two", 10000);
    }
    return 0;
}
