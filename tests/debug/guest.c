/* What the tests of core files, reports and --strace run: `guest PART`. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

int data = 42;
char *heap, *hidden;
pthread_barrier_t barrier;

static void *waits(void *unused) { pthread_barrier_wait(&barrier); for (;;) pause(); }
static void *counts(void *unused) { pthread_barrier_wait(&barrier); for (volatile long n = 0;; n++) ; }

__attribute__((noinline)) int deep(int n)
{
    if (n)
        return deep(n - 1) + 1;
    register double value asm("fs0") = 2.5;
    asm volatile("li s2, 0x1234\n .pushsection .data\n .globl culprit\n culprit: .dword 1f\n .popsection\n 1: sd s2, 16(zero)"
                 :: "f"(value) : "s2", "memory");
    return 0;
}

static int crash(void)
{
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 3);
    pthread_create(&thread, NULL, waits, NULL);
    pthread_create(&thread, NULL, counts, NULL);
    pthread_barrier_wait(&barrier);
    heap = malloc(1 << 20);
    heap[5000] = 'x';
    hidden = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    hidden[0] = 'y';
    madvise(hidden, 4096, MADV_DONTDUMP);
    return deep(3);
}

static int child_that_dumps(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_CORE, &limit);
    if (!fork())
        abort();
    int status;
    wait(&status);
    return WTERMSIG(status) + (WCOREDUMP(status) ? 100 : 0);
}

static void handler(int number, siginfo_t *info, void *context) { }

static int structures(void)
{
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_RESTART };
    sigaction(SIGUSR1, &action, NULL);
    kill(getpid(), SIGUSR1);
    int tube[2];
    pipe2(tube, O_CLOEXEC);
    struct iovec parts[2] = { { "ab", 2 }, { "cde", 3 } };
    writev(tube[1], parts, 2);
    struct pollfd polled = { tube[0], POLLIN | POLLOUT };
    poll(&polled, 1, 0);
    char room[8];
    read(tube[0], room, 4);
    struct sockaddr_in address = { AF_INET, htons(80), { htonl(0x7f000001) } };
    connect(-1, (void *)&address, sizeof address);
    struct epoll_event event = { EPOLLIN | EPOLLET, { .u64 = 7 } };
    int set = epoll_create1(0);
    epoll_ctl(set, EPOLL_CTL_ADD, tube[0], &event);
    epoll_pwait(set, &event, 1, 0, NULL);
    struct timespec time = { 0, 1000 };
    nanosleep(&time, NULL);
    struct rusage usage;
    pid_t child = fork();
    if (!child)
        _exit(3);
    int status;
    wait4(child, &status, 0, &usage);
    struct msghdr message = { &address, sizeof address, parts, 2 };
    sendmsg(-1, &message, MSG_NOSIGNAL);
    access("/nowhere", R_OK | W_OK);
    return 0;
}

static void *sleeps(void *unused) { usleep(300000); return NULL; }

static int interleaved(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, sleeps, NULL);
    usleep(100000);
    getppid();
    pthread_join(thread, NULL);
    return 0;
}

__attribute__((noinline)) long hot(long n)
{
    long sum = 0;
    for (long i = 0; i < n; i++) {
        sum += i * i ^ sum;
        sum += sum >> 3;
    }
    return sum;
}

int main(int count, char **words)
{
    const char *part = count > 1 ? words[1] : "";
    if (!strcmp(part, "crash")) return crash();
    if (!strcmp(part, "child")) return child_that_dumps();
    if (!strcmp(part, "abort")) abort();
    if (!strcmp(part, "structures")) return structures();
    if (!strcmp(part, "interleaved")) return interleaved();
    if (!strcmp(part, "hot")) return hot(300000000) == 0;
    return 0;
}
