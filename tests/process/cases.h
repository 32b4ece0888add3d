/* What programs of cases share: each case runs in a child of its own, so that none of them inherits another's signals. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, MS = 1000000 };
#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}
static void show(const char *what, long result) {
    if (result == -1) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, result);
}
static __attribute__((unused)) int reap(pid_t child) {          /* status as a shell sees it */
    int status;
    must(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
static __attribute__((unused)) pid_t born(void) {
    fflush(stdout);
    pid_t child = fork();
    must(child >= 0);
    return child;
}
static __attribute__((unused)) pthread_t start(void *(*body)(void *), void *argument) {
    pthread_t thread;
    must(pthread_create(&thread, NULL, body, argument) == 0);
    return thread;
}
static __attribute__((unused)) void nap(long milliseconds) {
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * MS}, NULL);
}
static __attribute__((unused)) void install(int number, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    must(sigaction(number, &action, NULL) == 0);
}
static __attribute__((unused)) void mask(int how, int number) {
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, number);
    must(sigprocmask(how, &set, NULL) == 0);
}
typedef struct { const char *name; void (*function)(void); } Case;
#define CASE(name) {#name, name}
static int run_cases(const Case *cases, int argc, char **argv) {
    for (; cases->name; cases++) {
        if (argc > 1 && strcmp(argv[1], cases->name)) continue;
        printf("--- %s\n", cases->name);
        pid_t child = born();
        if (child == 0) {
            alarm(200), cases->function(), fflush(stdout);
            _exit(0);
        }
        int status = reap(child);
        if (status) printf("status %d\n", status);
    }
    return 0;
}
