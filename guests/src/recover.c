/* A program that survives its faults: a handler checks address and pc, then jumps away. */
#include "must.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf home;
static volatile uintptr_t seen_address, seen_pc;
static volatile int seen_signal, seen_code;

static void on_fault(int number, siginfo_t *info, void *context) {
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
#ifdef __riscv
    seen_pc = machine->__gregs[REG_PC];
#else
    seen_pc = machine->gregs[REG_RIP];
#endif
    seen_address = (uintptr_t)info->si_addr, seen_signal = number, seen_code = info->si_code;
    siglongjmp(home, 1);
}

/* Each function is one instruction or two, so that its first bytes hold the pc. */
static __attribute__((noinline)) long load(const volatile long *at) { return *at; }
static __attribute__((noinline)) void store(volatile long *at) { *at = 1; }
static __attribute__((noinline)) void call(void (*at)(void)) { at(); asm volatile(""); }
static __attribute__((noinline)) void illegal(void) {
#ifdef __riscv
    asm volatile("unimp");
#else
    asm volatile("ud2");
#endif
}

static int within(uintptr_t pc, void *function) { return pc >= (uintptr_t)function && pc < (uintptr_t)function + 16; }

static void report(const char *what, const void *address, void *function) {
    static const char *segv[] = {"?", "not mapped", "not allowed"};
    printf("%s: %s", what, seen_signal == SIGSEGV ? "SIGSEGV" : seen_signal == SIGBUS ? "SIGBUS" : "SIGILL");
    if (seen_signal == SIGSEGV) printf(" (%s)", segv[seen_code <= 2 ? seen_code : 0]);
    printf(", address %s, pc %s\n", seen_address == (uintptr_t)address ? "right" : "wrong",
           within(seen_pc, function) ? "right" : "wrong");
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL), sigaction(SIGBUS, &action, NULL), sigaction(SIGILL, &action, NULL);
    char *page = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(munmap(page + 4096, 4096) == 0 && mprotect(page + 8192, 4096, PROT_READ) == 0);

    long *volatile at = NULL;
    if (!sigsetjmp(home, 1)) load(at);
    report("read a null pointer", at, load);
    at = (long *)(page + 4096 + 8);
    if (!sigsetjmp(home, 1)) load(at);
    report("read a hole", at, load);
    if (!sigsetjmp(home, 1)) store(at);
    report("write a hole", at, store);
    at = (long *)(page + 8192 + 16);
    must(load(at) == 0);
    if (!sigsetjmp(home, 1)) store(at);
    report("write a read-only page", at, store);
    must(mprotect(page + 8192, 4096, PROT_NONE) == 0);
    if (!sigsetjmp(home, 1)) load(at);
    report("read a page without rights", at, load);
    at = (long *)main;
    if (!sigsetjmp(home, 1)) store(at);
    report("write code", at, store);

    FILE *file = tmpfile();
    at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fileno(file), 0);
    must(at != MAP_FAILED);
    if (!sigsetjmp(home, 1)) load(at);
    report("read past the end of a file", at, load);

    if (!sigsetjmp(home, 1)) illegal();
    report("illegal instruction", (void *)seen_pc, illegal);
    if (!sigsetjmp(home, 1)) call((void (*)(void))page);
    report("call a page that is no code", page, page);
    if (!sigsetjmp(home, 1)) call((void (*)(void))(page + 4096));
    report("call a hole", page + 4096, page + 4096);

    int times = 0;
    for (volatile int i = 0; i < 1000; i++)
        if (!sigsetjmp(home, 1)) load(NULL);
        else times++;
    printf("%d times over\n", times);
    return 0;
}
