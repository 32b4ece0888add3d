/* Signals a program sends itself: information, masks, alternate stack, queues, flags of sigaction. */
#include "must.h"
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t count, depth, deepest, last_value;
static char *stack;
enum { STACK = 65536 };

static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags, int also_blocked) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigemptyset(&action.sa_mask);
    if (also_blocked) sigaddset(&action.sa_mask, also_blocked);
    must(sigaction(number, &action, NULL) == 0);
}

static void on_usr1(int number, siginfo_t *info, void *context) {
    must(number == SIGUSR1 && info->si_signo == SIGUSR1 && info->si_pid == getpid() && info->si_uid == getuid() &&
         context);
    count++;
}

static void on_alternate(int number, siginfo_t *info, void *context) {
    char here;
    (void)number, (void)info, (void)context;
    must(&here > stack && &here < stack + STACK);
    stack_t now;
    must(sigaltstack(NULL, &now) == 0 && now.ss_flags & SS_ONSTACK);
    count++;
}

static void on_value(int number, siginfo_t *info, void *context) {
    (void)number, (void)context;
    must(info->si_code == SI_QUEUE);
    last_value = last_value * 10 + info->si_value.sival_int;
}

static void on_nested(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    if (++depth > deepest) deepest = depth;
    if (depth < 3) raise(number);
    depth--, count++;
}

static void on_blocking(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    int before = last_value;
    raise(SIGUSR2);
    must(last_value == before); /* held back until this handler returns */
}

static void on_usr2(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    last_value++;
}

int main(void) {
    sigset_t set, pending;
    install(SIGUSR1, on_usr1, 0, 0);
    for (int i = 0; i < 1000; i++) raise(SIGUSR1);
    must(kill(getpid(), SIGUSR1) == 0);
    printf("raised: %d\n", count);

    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    must(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    count = 0;
    raise(SIGUSR1), raise(SIGUSR1);
    must(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) && count == 0);
    must(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
    printf("blocked twice, delivered: %d\n", count);

    stack = malloc(STACK);
    must(sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = STACK}, NULL) == 0);
    install(SIGUSR1, on_alternate, SA_ONSTACK, 0);
    raise(SIGUSR1);
    printf("on the alternate stack: %d\n", count - 1);

    install(SIGRTMIN, on_value, 0, 0);
    sigemptyset(&set), sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    for (int i = 1; i <= 5; i++) must(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}) == 0);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    printf("queued values: %d\n", last_value);

    count = 0;
    install(SIGUSR1, on_nested, SA_NODEFER, 0);
    raise(SIGUSR1);
    printf("nested: %d deep, %d handled\n", deepest, count);
    deepest = depth = count = 0;
    install(SIGUSR1, on_nested, 0, 0);
    depth = 2, raise(SIGUSR1), depth = 0;
    printf("not nested: %d handled\n", count);

    install(SIGUSR2, on_usr2, 0, 0);
    install(SIGUSR1, on_alternate, SA_ONSTACK | SA_RESETHAND, 0);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR1, NULL, &now);
    printf("reset: %s\n", now.sa_handler == SIG_DFL ? "yes" : "no");

    sigemptyset(&set), sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR2);
    siginfo_t info;
    struct timespec second = {1, 0};
    must(sigtimedwait(&set, &info, &second) == SIGUSR2 && info.si_pid == getpid());
    raise(SIGUSR2);
    last_value = 0;
    sigemptyset(&set);
    must(sigsuspend(&set) == -1 && errno == EINTR && last_value == 1);
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    printf("waited for, suspended for, ignored\n");

    last_value = 0;
    sigaddset(&set, SIGUSR2), sigprocmask(SIG_UNBLOCK, &set, NULL);
    install(SIGUSR2, on_usr2, 0, 0);
    install(SIGUSR1, on_blocking, 0, SIGUSR2);
    raise(SIGUSR1);
    printf("held back by a handler's mask, then: %d\n", last_value);
    return 0;
}
