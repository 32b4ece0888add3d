/* Signals, a case by argv[1], or all: prints what a native Linux prints.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <poll.h>
#include <setjmp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static atomic_int count;
static siginfo_t last;
static sigjmp_buf back;
static int order[16];
static void on_order(int number, siginfo_t *info, void *context) {
    (void)context;
    if (count < 16) order[count++] = (number - SIGRTMIN) * 100 + info->si_value.sival_int;
}
static void on_any(int number, siginfo_t *info, void *context) { (void)number, (void)context, last = *info, count++; }
static void on_jump(int number, siginfo_t *info, void *context) { on_any(number, info, context), siglongjmp(back, 1); }
static void queue(int number, int value) { must(sigqueue(getpid(), number, (union sigval){.sival_int = value}) == 0); }

static void real_time(void) {                   /* all are queued; the lowest number first, the same number in order */
    for (int n = 0; n < 3; n++) install(SIGRTMIN + n, on_order, 0), mask(SIG_BLOCK, SIGRTMIN + n);
    for (int n = 0; n < 3; n++) queue(SIGRTMIN + 2, n), queue(SIGRTMIN, n), queue(SIGRTMIN + 1, n);
    sigset_t none;
    sigemptyset(&none), sigprocmask(SIG_SETMASK, &none, NULL);
    for (int n = 0; n < count; n++) printf("%d ", order[n]);
    printf("\n");
    mask(SIG_BLOCK, SIGUSR1), install(SIGUSR1, on_any, 0), count = 0;
    for (int n = 0; n < 3; n++) raise(SIGUSR1);
    mask(SIG_UNBLOCK, SIGUSR1), show("a standard signal comes", count);
    struct rlimit few = {3, 3};
    must(setrlimit(RLIMIT_SIGPENDING, &few) == 0), mask(SIG_BLOCK, SIGRTMIN);
    int sent = 0;
    if (getuid() == 0) must(setuid(12345) == 0);
    while (sent < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 0}) == 0) sent++;
    printf("the queue is full: %d %s\n", sent, strerrorname_np(errno));
}
static void tell(const char *what) {
    printf("%s: %d code %d errno %d", what, last.si_signo, last.si_code, last.si_errno);
    if (last.si_signo == SIGCHLD) printf(" status %d pid %s uid %d", last.si_status, last.si_pid > 1 ? "right" : "wrong", last.si_uid == getuid());
    else if (last.si_code == SI_TIMER) printf(" value %d overrun %d", last.si_value.sival_int, last.si_overrun);
    else if (last.si_code <= 0) printf(" sender %d %d value %d", last.si_pid == getpid(), last.si_uid == getuid(), last.si_code == SI_QUEUE ? last.si_value.sival_int : 0);
    else if (last.si_code != SI_KERNEL) printf(" band %ld fd %s", last.si_band & POLLIN, last.si_fd > 2 ? "right" : "wrong");
    puts("");
}
static void wait_for(int number) { while (count < number) nap(1); }
static void infos(void) {
    for (int number = 1; number <= 64; number++)
        if (number != SIGKILL && number != SIGSTOP && number != 32 && number != 33) install(number, on_any, SA_RESTART);
    kill(getpid(), SIGUSR1), tell("kill"), raise(SIGUSR2), tell("raise"), queue(SIGUSR1, -5), tell("queue"), queue(SIGRTMAX, 7), tell("queue");
    siginfo_t own = {.si_code = -60, .si_errno = 9};
    own.si_pid = getpid(), own.si_uid = getuid();
    show("own code", syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &own)), tell("own code");
    own.si_code = 5;
    show("the kernel's code, to oneself", syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &own));
    show("the kernel's code, to another", syscall(SYS_rt_sigqueueinfo, getppid(), SIGUSR1, &own));
    alarm(0), count = 0;
    struct itimerval once = {{0, 0}, {0, 1000}};
    setitimer(ITIMER_REAL, &once, NULL), wait_for(1), tell("itimer");
    int ends[2];
    must(pipe(ends) == 0), close(ends[0]);
    show("write", write(ends[1], "x", 1)), tell("no reader");
    for (int n = 0; n < 2; n++) {
        count = 0;
        pid_t child = born();
        if (child == 0) n ? raise(SIGKILL) : 0, _exit(3);
        wait_for(1), tell("child"), reap(child);
    }
    count = 0;
    pid_t child = born();
    if (child == 0) for (;;) pause();
    kill(child, SIGSTOP), wait_for(1), tell("stopped"), kill(child, SIGCONT), wait_for(2), tell("continued");
    kill(child, SIGKILL), wait_for(3), tell("killed"), reap(child);
    must(pipe(ends) == 0), fcntl(ends[0], F_SETOWN, getpid()), fcntl(ends[0], F_SETSIG, SIGRTMIN + 3), fcntl(ends[0], F_SETFL, O_ASYNC);
    count = 0, write(ends[1], "x", 1), wait_for(1), tell("input");
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 4, .sigev_value.sival_int = 42};
    must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0), mask(SIG_BLOCK, SIGRTMIN + 4);
    count = 0, timer_settime(timer, 0, &(struct itimerspec){{0, 0}, {0, 1000}}, NULL), nap(5), mask(SIG_UNBLOCK, SIGRTMIN + 4);
    wait_for(1), tell("timer");
    show("limits", syscall(SYS_tgkill, getpid(), gettid(), 65)), show("limits", syscall(SYS_tgkill, getpid(), gettid(), 64));
    show("none", kill(getpid(), 0)), show("nobody", kill(0x3fffffff, 0)), show("another process's thread", syscall(SYS_tgkill, getppid(), gettid(), 0));
}
static void on_again(int number, siginfo_t *info, void *context) {
    (void)info, (void)context;
    int depth = ++count;
    printf("in %d ", depth);
    if (depth < 3) raise(number);
    printf("out %d ", depth);
}
static void on_other(int number, siginfo_t *info, void *context) { (void)number, (void)info, (void)context, printf("other "); }
static void on_masked(int number, siginfo_t *info, void *context) {
    (void)number, (void)info, (void)context;
    raise(SIGUSR2), printf("held ");
}
static void flags(void) {
    install(SIGUSR1, on_again, 0), raise(SIGUSR1), puts("deferred");
    count = 0, install(SIGUSR1, on_again, SA_NODEFER), raise(SIGUSR1), puts("at once");
    struct sigaction old, action = {.sa_sigaction = on_masked, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGUSR2), sigaddset(&action.sa_mask, SIGKILL);
    sigaction(SIGUSR1, &action, NULL), install(SIGUSR2, on_other, 0), raise(SIGUSR1), puts("masked");
    sigaction(SIGUSR1, NULL, &old);
    printf("kept: %d %d %d\n", old.sa_sigaction == on_masked, sigismember(&old.sa_mask, SIGUSR2), sigismember(&old.sa_mask, SIGKILL));
    count = 0, install(SIGURG, on_any, SA_RESETHAND), raise(SIGURG), raise(SIGURG), sigaction(SIGURG, NULL, &old);
    printf("once: %d, default then: %d\n", count, old.sa_handler == SIG_DFL);
    action.sa_handler = SIG_DFL, action.sa_flags = SA_NOCLDWAIT, sigaction(SIGCHLD, &action, NULL);
    if (born() == 0) _exit(1);
    show("no zombie", waitpid(-1, NULL, 0));
    install(SIGCHLD, on_any, SA_NOCLDSTOP), count = 0;
    pid_t child = born();
    if (child == 0) for (;;) pause();
    int status;
    kill(child, SIGSTOP), waitpid(child, &status, WUNTRACED);
    printf("stopped: %d %d, told: %d\n", WIFSTOPPED(status), WSTOPSIG(status), count);
    kill(child, SIGCONT), waitpid(child, &status, WCONTINUED), printf("continued: %d\n", WIFCONTINUED(status));
    kill(child, SIGTERM), show("ended by", reap(child)), printf("told: %d\n", count);
    mask(SIG_BLOCK, SIGUSR1), raise(SIGUSR1), signal(SIGUSR1, SIG_IGN), install(SIGUSR1, on_any, 0);
    count = 0, mask(SIG_UNBLOCK, SIGUSR1), show("ignored while it waited", count);
    mask(SIG_BLOCK, SIGSEGV), raise(SIGSEGV), signal(SIGSEGV, SIG_IGN), install(SIGSEGV, on_any, 0);
    count = 0, mask(SIG_UNBLOCK, SIGSEGV), show("so with SIGSEGV", count);
    show("SIGKILL", sigaction(SIGKILL, &action, NULL)), show("signal 65", syscall(SYS_rt_sigaction, 65, NULL, &old, 8));
    show("a set of 4 bytes", syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 4));
}
static void *interrupts(void *thread) {
    for (int n = 0; n < 200 && !count; n++) nap(5), pthread_kill(*(pthread_t *)thread, SIGUSR1);
    return NULL;
}
static void calls(void) {                        /* signal(7): those that are restarted never, or not with a timeout */
    pthread_t self = pthread_self(), other;
    int sockets[2], key = msgget(IPC_PRIVATE, 0600), epoll = epoll_create1(0);
    char c[64];
    sigset_t set;
    struct timespec left = {0, 0}, ten = {10, 0};
    sigemptyset(&set), sigaddset(&set, SIGUSR2);
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0 && key >= 0);
    setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){10, 0}, sizeof(struct timeval));
    install(SIGUSR1, on_any, SA_RESTART);
#define INTERRUPTED(call) count = 0, other = start(interrupts, &self), show(#call, call), pthread_join(other, NULL)
    INTERRUPTED(nanosleep(&ten, &left)), printf("left %d\n", left.tv_sec > 0 || left.tv_nsec > 0);
    INTERRUPTED(clock_nanosleep(CLOCK_MONOTONIC, 0, &ten, NULL) == EINTR);
    INTERRUPTED(poll(NULL, 0, 10000));
    INTERRUPTED(ppoll(NULL, 0, &ten, NULL));
    INTERRUPTED(select(0, NULL, NULL, NULL, &(struct timeval){10, 0}));
    INTERRUPTED(epoll_wait(epoll, (struct epoll_event *)c, 1, 10000));
    INTERRUPTED(pause());
    INTERRUPTED(sigtimedwait(&set, NULL, &ten));
    INTERRUPTED(recv(sockets[0], c, 1, 0));
    INTERRUPTED(msgrcv(key, c, 1, 0, 0));
    INTERRUPTED(usleep(9000000));
    msgctl(key, IPC_RMID, NULL);
}
static char room[65536], second[65536];
static void on_stack(int number, siginfo_t *info, void *context) {
    stack_t there, saved = ((ucontext_t *)context)->uc_stack, other = {.ss_sp = second, .ss_size = sizeof second};
    (void)number, (void)info, sigaltstack(NULL, &there);
    printf("there %d, flags %x, saved %x, set", (char *)&there > room && (char *)&there < room + sizeof room, there.ss_flags, saved.ss_flags);
    show("", sigaltstack(&other, NULL));
    if (++count == 2) raise(SIGUSR2);
}
static void *shows_stack(void *unused) {
    stack_t now;
    sigaltstack(NULL, &now), printf("a thread has none: %d\n", now.ss_flags);
    return unused;
}
static void alternate(void) {
    stack_t now, new = {.ss_sp = room, .ss_size = sizeof room};
    show("small", sigaltstack(&(stack_t){.ss_sp = room, .ss_size = 100}, NULL)), show("flags", sigaltstack(&(stack_t){.ss_flags = 64}, NULL));
    show("set", sigaltstack(&new, NULL)), sigaltstack(NULL, &now), printf("%d %d\n", now.ss_flags, now.ss_sp == room);
    install(SIGUSR1, on_stack, SA_ONSTACK), install(SIGUSR2, on_stack, SA_ONSTACK);
    raise(SIGUSR1), raise(SIGUSR1), sigaltstack(NULL, &now), printf("after: %d %d\n", now.ss_flags, now.ss_sp == room);
    new.ss_flags = SS_AUTODISARM, show("autodisarm", sigaltstack(&new, NULL)), raise(SIGUSR1), count = 1, raise(SIGUSR1);
    sigaltstack(NULL, &now), printf("after: %x %d\n", now.ss_flags, now.ss_sp == room);
    pid_t child = born();
    if (child == 0) sigaltstack(NULL, &now), printf("a child has it: %d\n", now.ss_sp == room), fflush(stdout), _exit(0);
    reap(child);
    pthread_join(start(shows_stack, NULL), NULL);
    show("disable", sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL)), raise(SIGUSR1);
}
static void waits(void) {
    sigset_t set;
    siginfo_t info;
    struct timespec none = {0, 0}, some = {0, 20 * MS};
    sigemptyset(&set), sigaddset(&set, SIGUSR1), sigaddset(&set, SIGRTMIN), sigprocmask(SIG_BLOCK, &set, NULL);
    queue(SIGRTMIN, 1), queue(SIGRTMIN, 2), raise(SIGUSR1);
    for (int n = 0; n < 4; n++) {
        int number = sigtimedwait(&set, &info, &none);
        show("signal", number == SIGRTMIN ? 100 : number);
        if (number > 0) printf("code %d value %d\n", info.si_code, number == SIGRTMIN ? info.si_value.sival_int : 0);
    }
    show("later", sigtimedwait(&set, NULL, &some)), some.tv_nsec = -1, show("bad time", sigtimedwait(&set, NULL, &some));
    pid_t child = born(), parent = getppid();
    if (child == 0) nap(20), sigqueue(getppid(), SIGRTMIN, (union sigval){.sival_int = 9}), _exit(parent == getppid());
    show("waited", sigwaitinfo(&set, &info) == SIGRTMIN), printf("from the child: %d value %d\n", info.si_pid == child, info.si_value.sival_int), reap(child);
    sigaddset(&set, SIGSEGV), mask(SIG_BLOCK, SIGSEGV), kill(getpid(), SIGSEGV);
    show("SIGSEGV", sigtimedwait(&set, &info, &none)), printf("code %d\n", info.si_code);
}
static void descriptors(void) {
    sigset_t set;
    struct signalfd_siginfo got[3];
    sigemptyset(&set), sigaddset(&set, SIGRTMIN), sigaddset(&set, SIGCHLD), sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    show("nothing", read(fd, got, sizeof got)), queue(SIGRTMIN, 5), queue(SIGRTMIN, 6);
    struct pollfd polled = {fd, POLLIN, 0};
    show("poll", poll(&polled, 1, 1000)), show("short", read(fd, got, 100));
    long size = read(fd, got, sizeof got);
    printf("%ld of them: %d %d, sender %d, code %d\n", size / (long)sizeof *got, got[0].ssi_int, got[1].ssi_int, got[0].ssi_pid == (unsigned)getpid(), got[0].ssi_code);
    pid_t child = born();
    if (child == 0) _exit(4);
    poll(&polled, 1, 5000), read(fd, got, sizeof got), printf("child: %d status %d code %d\n", got[0].ssi_pid == (unsigned)child, got[0].ssi_status, got[0].ssi_code);
    reap(child), sigemptyset(&set), sigaddset(&set, SIGUSR1), mask(SIG_BLOCK, SIGUSR1);
    show("change", signalfd(fd, &set, 0) == fd), queue(SIGRTMIN, 1), raise(SIGUSR1), size = read(fd, got, sizeof got), printf("%ld: %d\n", size, got[0].ssi_signo);
}
static void *tells_tid(void *word) { *(atomic_int *)word = gettid(); for (;;) pause(); return NULL; }
static atomic_int where, in_thread;
static void on_where(int number, siginfo_t *info, void *context) { where = gettid(), on_any(number, info, context); }
static void on_thread(union sigval value) { in_thread = value.sival_int; }
static void timers(void) {
    struct itimerval old, often = {{0, 2000}, {0, 2000}};
    install(SIGALRM, on_any, 0), install(SIGVTALRM, on_any, 0), install(SIGPROF, on_any, 0), install(SIGUSR1, on_where, 0), alarm(0);
    for (int kind = ITIMER_REAL; kind <= ITIMER_PROF; kind++) {
        count = 0, setitimer(kind, &often, NULL);
        for (volatile unsigned n = 0; count < 3; n++);
        getitimer(kind, &old), printf("kind %d: interval %ld\n", kind, (long)old.it_interval.tv_usec / 1000);
        setitimer(kind, &(struct itimerval){0}, &old);
    }
    show("kind 3", setitimer(3, &often, NULL)), often.it_value.tv_usec = 1000000, show("bad", setitimer(0, &often, NULL));
    alarm(100), show("alarm", alarm(0));
    atomic_int tid = 0;
    pthread_t thread = start(tells_tid, &tid);
    (void)thread;
    while (!tid) nap(1);
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 7};
    struct itimerspec soon = {{0, 0}, {0, 2 * MS}}, then;
    event._sigev_un._tid = tid, count = 0;
    show("to a thread", timer_create(CLOCK_MONOTONIC, &event, &timer)), timer_settime(timer, 0, &soon, NULL), wait_for(1);
    printf("there: %d, value %d, code %d\n", where == tid, last.si_value.sival_int, last.si_code);
    show("delete", timer_delete(timer));
    event._sigev_un._tid = 1, show("to another process", timer_create(CLOCK_MONOTONIC, &event, &timer));
    event.sigev_notify = SIGEV_NONE, timer_create(CLOCK_REALTIME, &event, &timer);
    soon.it_value.tv_sec = 1000, timer_settime(timer, 0, &soon, NULL), timer_gettime(timer, &then), printf("left %ld\n", (long)then.it_value.tv_sec / 100);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread, .sigev_value.sival_int = 33};
    soon.it_value = (struct timespec){0, MS}, timer_create(CLOCK_MONOTONIC, &event, &timer), timer_settime(timer, 0, &soon, NULL);
    while (!in_thread) nap(1);
    printf("by a thread: %d\n", in_thread), timer_delete(timer);
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2}, mask(SIG_BLOCK, SIGUSR2), install(SIGUSR2, on_any, 0);
    soon = (struct itimerspec){{0, MS}, {0, MS}}, timer_create(CLOCK_MONOTONIC, &event, &timer), timer_settime(timer, 0, &soon, NULL), nap(30);
    count = 0, mask(SIG_UNBLOCK, SIGUSR2), printf("overrun: %d %d\n", last.si_overrun >= 10, timer_getoverrun(timer) >= 0), timer_delete(timer);
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    uint64_t times;
    show("timerfd, nothing", read(fd, &times, 8)), soon = (struct itimerspec){{0, MS}, {0, MS}}, timerfd_settime(fd, 0, &soon, NULL), nap(20);
    show("read", read(fd, &times, 8)), printf("often: %d\n", times >= 10), show("short", read(fd, &times, 4));
    soon = (struct itimerspec){{0, 0}, {1, 0}}, timerfd_settime(fd, TFD_TIMER_ABSTIME, &soon, NULL), show("in the past", read(fd, &times, 8)), printf("%d\n", (int)times);
}
static void threads(void) {
    atomic_int tid = 0;
    pthread_t thread = start(tells_tid, &tid);
    while (!tid) nap(1);
    install(SIGUSR1, on_where, 0), install(SIGUSR2, on_where, 0);
    show("tgkill", tgkill(getpid(), tid, SIGUSR1)), wait_for(1), printf("there: %d, code %d\n", where == tid, last.si_code);
    show("pthread_sigqueue", pthread_sigqueue(thread, SIGUSR1, (union sigval){.sival_int = 3})), wait_for(2), printf("there: %d, value %d\n", where == tid, last.si_value.sival_int);
    mask(SIG_BLOCK, SIGUSR2), kill(getpid(), SIGUSR2), wait_for(3), printf("to who does not block it: %d\n", where == tid);
    pid_t child = born();
    if (child == 0) {
        sigset_t pending;
        raise(SIGUSR2);
        pid_t grandchild = born();
        if (grandchild == 0) {
            sigpending(&pending), printf("a child has no pending: %d, ", sigismember(&pending, SIGUSR2));
            sigprocmask(0, NULL, &pending), printf("the mask: %d\n", sigismember(&pending, SIGUSR2)), fflush(stdout), _exit(0);
        }
        reap(grandchild), sigpending(&pending), printf("pending: %d\n", sigismember(&pending, SIGUSR2)), fflush(stdout), _exit(0);
    }
    reap(child);
}
/* --- contexts */
static void on_context(int number, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    (void)number, (void)info, count++;
    sigaddset(&u->uc_sigmask, SIGUSR2);
#ifdef __riscv
    u->uc_mcontext.__fpregs.__d.__fcsr = 3 << 5;
    for (int n = 0; n < 32; n++) if (u->uc_mcontext.__fpregs.__d.__f[n] == 0x3ff8000000000000) u->uc_mcontext.__fpregs.__d.__f[n] = 0x4004000000000000;
#else
    u->uc_mcontext.fpregs->mxcsr = (u->uc_mcontext.fpregs->mxcsr & ~0x6000) | 0x4000, u->uc_mcontext.fpregs->cwd = (u->uc_mcontext.fpregs->cwd & ~0xc00) | 0x800;
    for (int n = 0; n < 16; n++) if (*(uint64_t *)&u->uc_mcontext.fpregs->_xmm[n] == 0x3ff8000000000000) *(uint64_t *)&u->uc_mcontext.fpregs->_xmm[n] = 0x4004000000000000;
#endif
}
static void on_skip(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
#ifdef __riscv
    ((ucontext_t *)context)->uc_mcontext.__gregs[0] += 4;
#endif
}
static void contexts(void) {
    sigset_t set;
    double value = 1.5;
    install(SIGUSR1, on_context, 0);
    pid_t me = getpid();
#ifdef __riscv
    register long a0 asm("a0") = me, a1 asm("a1") = SIGUSR1, a7 asm("a7") = SYS_kill;
    asm volatile("ecall" : "+f"(value), "+r"(a0) : "r"(a1), "r"(a7) : "memory");
#else
    long number = SYS_kill;
    asm volatile("syscall" : "+x"(value), "+a"(number) : "D"((long)me), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
#endif
    printf("double %.1f, rounding up", value);
    volatile double one = 1, three = 3;
    printf(" %d", one / three * three > 1);
    sigprocmask(0, NULL, &set), printf(", mask %d\n", sigismember(&set, SIGUSR2));
    long failed = 1;                             /* a store-conditional behind a handler that has put the old value back */
#ifdef __riscv
    static int word;
    install(SIGSEGV, on_skip, 0);
    asm volatile("lr.w t0, (%1)\n .option push\n .option norvc\n lw t1, 8(zero)\n .option pop\n sc.w %0, zero, (%1)" : "=&r"(failed) : "r"(&word) : "t0", "t1", "memory");
#endif
    show("the reservation is gone", failed != 0);
    install(SIGUSR1, on_jump, 0);
    volatile int jumps = 0;
    for (count = 0; jumps < 500; jumps++) if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    sigprocmask(0, NULL, &set), printf("jumped out %d times, mask %d\n", count, sigismember(&set, SIGUSR1));
}
static char *lazy;
static void on_lazy(int number, siginfo_t *info, void *context) {   /* faults itself while it is handling a fault */
    char *page = (char *)((uintptr_t)info->si_addr & -PAGE);
    (void)number, (void)context, count++;
    must(page >= lazy && page < lazy + 64 * PAGE);
    if (((page - lazy) / PAGE) % 4 != 3) page[PAGE] = 1;
    must(mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
}
static void on_bad(int number, siginfo_t *info, void *context) { (void)number, (void)info, (void)context, *(volatile int *)16 = 1; }
static void faults(void) {
    lazy = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    install(SIGSEGV, on_lazy, SA_NODEFER);
    for (int n = 0; n < 64; n++) lazy[n * PAGE + n] += n;
    int sum = 0;
    for (int n = 0; n < 64; n++) sum += lazy[n * PAGE + n];
    printf("faults %d, sum %d\n", count, sum);
    munmap(lazy, 64 * PAGE), must(mmap(lazy, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == lazy);
    show("a system call does not raise it", write(1, lazy, 1)), show("nor that", syscall(SYS_rt_sigaction, SIGUSR1, NULL, lazy, 8));
    install(SIGUSR1, on_bad, 0), install(SIGSEGV, on_jump, SA_NODEFER), count = 0;
    if (!sigsetjmp(back, 1)) raise(SIGUSR1);
    printf("in another's handler: %d\n", last.si_signo);
    for (int nested = 0; nested < 2; nested++) {
        pid_t child = born();
        if (child == 0) install(SIGSEGV, on_bad, nested ? SA_NODEFER | SA_RESETHAND : 0), on_bad(0, 0, 0), _exit(0);
        show("in its own", reap(child));
    }
}
/* --- no race between a signal and a call that has the mask for it */
static void races(void) {
    sigset_t none;
    struct timespec ten = {10, 0};
    struct epoll_event event;
    int epoll = epoll_create1(0);
    sigemptyset(&none), mask(SIG_BLOCK, SIGUSR1), install(SIGUSR1, on_any, SA_RESTART);
    pid_t child = born(), parent = getppid();
    for (int n = 0; n < 300; n++) {
        pid_t other = child ? child : getppid();
        if (child == 0) kill(other, SIGUSR1);
        int result = n % 3 == 0 ? ppoll(NULL, 0, &ten, &none) : n % 3 == 1 ? pselect(0, NULL, NULL, NULL, &ten, &none) : epoll_pwait(epoll, &event, 1, 10000, &none);
        must(result == -1 && errno == EINTR && count == n + 1);
        if (child) kill(other, SIGUSR1);
    }
    if (child == 0) _exit(parent == getppid());
    show("child", reap(child)), show("each came to its call", count);
}
/* --- a terminal */
static int told[2];
static void tell_parent(int byte) { write(told[1], &byte, 1); }
static void on_size(int number, siginfo_t *info, void *context) {
    struct winsize size;
    (void)number, (void)info, (void)context, ioctl(0, TIOCGWINSZ, &size), tell_parent(size.ws_row);
}
static int change(pid_t child) {
    int status;
    must(waitpid(child, &status, WUNTRACED | WCONTINUED) == child);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : WIFCONTINUED(status) ? 0 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : 64 + WEXITSTATUS(status);
}
static pid_t job(int in_front, void (*body)(void)) {
    pid_t child = fork();
    setpgid(child, child);
    if (child == 0) {
        setpgid(0, 0);
        if (in_front) signal(SIGTTOU, SIG_IGN), tcsetpgrp(0, getpid()), signal(SIGTTOU, SIG_DFL);
        body(), _exit(5);
    }
    return child;
}
static void sits(void) { for (tell_parent('+');;) pause(); }
static void reads(void) { char c; read(0, &c, 1); }
static void takes_over(void) { tcsetpgrp(0, getpid()); }
static void leads(const char *name) {
    setsid();
    int slave = open(name, O_RDWR);
    must(slave >= 0 && ioctl(slave, TIOCSCTTY, 0) >= 0 && dup2(slave, 0) == 0);
    pid_t child = job(1, sits);
    for (int n = 0; n < 3; n++) tell_parent(change(child));
    signal(SIGTTOU, SIG_IGN), tcsetpgrp(0, getpid()), signal(SIGTTOU, SIG_DFL);
    for (int n = 0; n < 2; n++) child = job(0, n ? takes_over : reads), tell_parent(change(child)), kill(child, SIGKILL), tell_parent(change(child));
    install(SIGWINCH, on_size, SA_RESTART), sits();
}
static int byte(int fd) { unsigned char c; return read(fd, &c, 1) == 1 ? c : -1; }
static void terminal(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), group;
    must(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 && pipe(told) == 0);
    pid_t child = born();
    if (child == 0) close(told[0]), close(master == 0 ? -1 : dup(master)), leads(ptsname(master));
    show("ready", byte(told[0])), must(ioctl(master, TIOCGPGRP, &group) == 0 && group > 1 && group != child);
    write(master, "\x1a", 1), show("^Z", byte(told[0])), kill(group, SIGCONT), show("continued", byte(told[0]));
    write(master, "\x03", 1), show("^C", byte(told[0]));
    show("reads in the background", byte(told[0])), show("killed", byte(told[0])), show("takes over", byte(told[0])), show("killed", byte(told[0]));
    show("ready", byte(told[0])), ioctl(master, TIOCSWINSZ, &(struct winsize){50, 100, 0, 0}), show("rows", byte(told[0]));
    write(master, "\x1c", 1), show("^\\", reap(child));
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    show("not mine", ioctl(slave, TIOCGPGRP, &group));
}
static const Case cases[] = {
    CASE(real_time), CASE(infos), CASE(flags), CASE(calls), CASE(alternate), CASE(waits), CASE(descriptors), CASE(timers), CASE(threads),
    CASE(contexts), CASE(faults), CASE(races), CASE(terminal), {0}};
int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
