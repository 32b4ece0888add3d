/* What the tests of the gdb stub of processes debug: `guest PART`. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

volatile long counter, watched, other, handled, stop;
double half = 0.5;

__attribute__((noinline)) long bump(long amount) { counter += amount; return counter; }
__attribute__((noinline)) double scale(double value) { half = value * half; return half; }
__attribute__((noinline)) void reached(void) { asm volatile(""); }

static void handler(int number) { handled = number; }

static int calls(void)
{
    for (long n = 0; n < 10; n++)
        bump(n);
    scale(3.0);
    reached();
    return (int)counter;
}

static int watching(void)
{
    watched = 5;
    other = 7;
    reached();
    watched = 6;
    other = watched;
    __atomic_fetch_add(&watched, 10, __ATOMIC_SEQ_CST);
    int tube[2];
    if (pipe(tube) || write(tube[1], (void *)&watched, 8) != 8 || read(tube[0], (void *)&other, 8) != 8)
        return 1;
    return (int)other;
}

static int signals(void)
{
    signal(SIGUSR1, handler);
    signal(SIGUSR2, handler);
    raise(SIGUSR1);
    reached();
    raise(SIGCHLD);
    reached();
    return (int)handled;
}

static void *worker(void *name)
{
    prctl(PR_SET_NAME, name);
    while (!stop)
        counter++;
    bump(1000);
    return NULL;
}

static int threads(void)
{
    pthread_t made;
    pthread_create(&made, NULL, worker, "worker");
    while (counter < 100)
        ;
    reached();
    stop = 1;
    pthread_join(made, NULL);
    return 3;
}

static int forks(int by_vfork)
{
    pid_t child = by_vfork ? vfork() : fork();
    if (!child) {
        if (by_vfork)
            _exit(5);
        bump(1000);
        _exit(5);
    }
    int status;
    waitpid(child, &status, 0);
    bump(1);
    return WEXITSTATUS(status);
}

static int endless(void)
{
    for (;;)
        counter++;
}

static int asleep(void)
{
    sleep(1000);
    return 0;
}

static int faults(void)
{
    *(volatile int *)0x123450 = 1;
    return 0;
}

int main(int count, char **words)
{
    const char *part = count > 1 ? words[1] : "";
    if (!strcmp(part, "calls")) return calls();
    if (!strcmp(part, "watching")) return watching();
    if (!strcmp(part, "signals")) return signals();
    if (!strcmp(part, "threads")) return threads();
    if (!strcmp(part, "fork")) return forks(0);
    if (!strcmp(part, "vfork")) return forks(1);
    if (!strcmp(part, "endless")) return endless();
    if (!strcmp(part, "asleep")) return asleep();
    if (!strcmp(part, "faults")) return faults();
    if (!strcmp(part, "exec")) { execl(words[0], words[0], "calls", NULL); return 1; }
    return 0;
}
