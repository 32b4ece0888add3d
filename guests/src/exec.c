/* A program that runs itself again: arguments, environment and open files pass over, the rest is new. */
#include "must.h"
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    char kept[12], closed[12];
    if (argc > 3) { /* the second life */
        printf("%s: '%s', COLOUR=%s, %s\n", argv[0], argv[1], getenv("COLOUR"),
               getenv("HOME") ? "more" : "nothing else");
        printf("file kept: %s, file to close: %s\n", write(atoi(argv[2]), "!", 1) == 1 ? "open" : "shut",
               fcntl(atoi(argv[3]), F_GETFD) == -1 ? "shut" : "open");
        struct sigaction handled, ignored;
        sigaction(SIGUSR1, NULL, &handled), sigaction(SIGUSR2, NULL, &ignored);
        printf("handler: %s, ignored signal: %s\n", handled.sa_handler == SIG_DFL ? "gone" : "there",
               ignored.sa_handler == SIG_IGN ? "still ignored" : "not ignored");
        return 5;
    }
    int status, stays = open("/dev/null", O_WRONLY), goes = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t child;
    sprintf(kept, "%d", stays), sprintf(closed, "%d", goes);
    signal(SIGUSR1, (void (*)(int))main), signal(SIGUSR2, SIG_IGN);
    char *arguments[] = {"again", "an argument", kept, closed, NULL}, *environment[] = {"COLOUR=green", NULL};

    must(execve("/nowhere", arguments, environment) == -1 && errno == ENOENT);
    must(execve("/", arguments, environment) == -1 && errno == EACCES);
    if ((child = fork()) == 0) execve("/proc/self/exe", arguments, environment), _exit(1);
    must(waitpid(child, &status, 0) == child && WIFEXITED(status));
    printf("forked: status %d\n", WEXITSTATUS(status));
    fflush(stdout);

    arguments[0] = "spawned";
    must(posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environment) == 0);
    must(waitpid(child, &status, 0) == child && WIFEXITED(status));
    printf("spawned: status %d\n", WEXITSTATUS(status));
    fflush(stdout);

    arguments[0] = "in place";
    execve("/proc/self/exe", arguments, environment);
    must(!"reached");
}
