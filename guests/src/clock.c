/* Time: clocks run forward, sleeps last as long as asked, the clocks agree. */
#include "must.h"
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t now(clockid_t clock) {
    struct timespec t;
    must(clock_gettime(clock, &t) == 0 && t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

int main(void) {
    int64_t last = now(CLOCK_MONOTONIC);
    for (int i = 0; i < 10000; i++) {
        int64_t next = now(CLOCK_MONOTONIC);
        must(next >= last);
        last = next;
    }
    printf("forward\n");
    must(nanosleep(&(struct timespec){0, 20000000}, NULL) == 0);
    must(now(CLOCK_MONOTONIC) - last >= 20000000);
    struct timespec until = {.tv_sec = (last = now(CLOCK_MONOTONIC) + 10000000) / 1000000000,
                             .tv_nsec = last % 1000000000};
    must(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0 && now(CLOCK_MONOTONIC) >= last);
    printf("slept\n");
    struct timeval day;
    must(gettimeofday(&day, NULL) == 0);
    must(now(CLOCK_REALTIME) / 1000000000 - day.tv_sec <= 1 && time(NULL) - day.tv_sec <= 1 && day.tv_sec > 1600000000);
    struct rusage usage;
    for (volatile int i = 0; i < 20000000; i++) {}
    must(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_utime.tv_sec * 1000000L + usage.ru_utime.tv_usec > 0);
    must(now(CLOCK_PROCESS_CPUTIME_ID) > 0 && clock() > 0);
    printf("agreed\n");
    return 0;
}
