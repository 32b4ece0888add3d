/* Processes: fork, pipes, exit statuses, signals between them, groups. */
#include "must.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t children;
static void on_child(int number) { (void)number, children++; }

int main(void) {
    int up[2], down[2], status;
    must(pipe(up) == 0 && pipe(down) == 0);
    fflush(stdout);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        char text[20];
        must(getppid() == parent && getpid() != parent);
        close(up[0]), close(down[1]);
        ssize_t n = read(down[0], text, sizeof text);
        for (ssize_t i = 0; i < n; i++) text[i] ^= text[i] == ' ' ? 0 : 32;
        must(write(up[1], text, n) == n);
        _exit(7);
    }
    char text[20] = "";
    close(up[1]), close(down[0]);
    must(write(down[1], "Over And Back", 13) == 13 && read(up[0], text, sizeof text) == 13 &&
         read(up[0], text + 13, 1) == 0);
    must(waitpid(child, &status, 0) == child && WIFEXITED(status));
    printf("%s, status %d\n", text, WEXITSTATUS(status));

    fflush(stdout);
    if ((child = fork()) == 0) for (;;) pause();
    must(waitpid(child, &status, WNOHANG) == 0 && kill(child, SIGSTOP) == 0);
    must(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    must(kill(child, SIGCONT) == 0 && waitpid(child, &status, WCONTINUED) == child && WIFCONTINUED(status));
    must(kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    printf("stopped, continued, ended by signal %d\n", WTERMSIG(status));

    fflush(stdout);
    if ((child = fork()) == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        *(volatile int *)8 = 0;
    }
    must(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    printf("ended by signal %d\n", WTERMSIG(status));

    signal(SIGCHLD, on_child);
    long sum = 0;
    for (int i = 0; i < 20; i++)
        if (fork() == 0) _exit(i);
    for (int left = 20; left;) {
        siginfo_t info;
        if (waitid(P_ALL, 0, &info, WEXITED) == -1 && errno == EINTR) continue;
        must(info.si_code == CLD_EXITED);
        sum += info.si_status, left--;
    }
    must(children > 0 && wait(NULL) == -1 && errno == ECHILD);
    printf("twenty children, statuses add up to %ld\n", sum);

    signal(SIGCHLD, SIG_DFL);
    fflush(stdout);
    if ((child = vfork()) == 0) _exit(3);
    must(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
    if ((child = fork()) == 0) {
        must(setsid() == getpid() && getpgrp() == getpid());
        must(dup2(STDOUT_FILENO, 20) == 20 && write(20, "a session of its own\n", 21) == 21);
        _exit(0);
    }
    must(waitpid(child, &status, 0) == child && status == 0);
    signal(SIGPIPE, SIG_IGN);
    must(close(up[0]) == 0 && pipe(up) == 0 && close(up[0]) == 0 && write(up[1], "x", 1) == -1 && errno == EPIPE);
    printf("broken pipe: %s\n", strerror(errno));
    return 0;
}
