/* Signals at unexpected moments: in a loop without calls, in a read, in a sleep; restarted or not. */
#include "must.h"
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ticks;
static int ends[2], write_in_handler;

static void on_alarm(int number) {
    ticks++;
    if (write_in_handler) must(write(ends[1], "x", 1) == 1);
    (void)number;
}

static void install(int flags) {
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = flags};
    must(sigaction(SIGALRM, &action, NULL) == 0);
}

/* Ticks go on until stopped: one may come before the call that it is to interrupt. */
static void start(long each) {
    struct itimerval timer = {.it_value = {0, each}, .it_interval = {0, each}};
    must(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

int main(void) {
    char byte;
    must(pipe(ends) == 0);

    install(0);
    start(20000);
    while (!ticks) {}
    printf("left a loop\n");

    start(5000);
    for (volatile unsigned long i = 0; ticks < 6; i++) {}
    start(0);
    printf("five more ticks\n");

    start(20000);
    must(read(ends[0], &byte, 1) == -1 && errno == EINTR);
    printf("read: interrupted\n");

    write_in_handler = 1;
    install(SA_RESTART);
    start(20000);
    must(read(ends[0], &byte, 1) == 1 && byte == 'x');
    printf("read: restarted\n");
    start(0), write_in_handler = 0;

    start(20000);
    struct timespec sleep = {5, 0}, left;
    must(nanosleep(&sleep, &left) == -1 && errno == EINTR && left.tv_sec >= 3);
    start(0);
    printf("sleep: interrupted\n");

    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    int before = ticks;
    must(timer_settime(timer, 0, &(struct itimerspec){.it_value = {0, 10000000}}, NULL) == 0);
    while (ticks == before) {}
    must(timer_delete(timer) == 0);
    printf("timer: seen\n");

    before = ticks;
    alarm(1);
    must(pause() == -1 && errno == EINTR && ticks == before + 1);
    printf("alarm: seen\n");
    return 0;
}
