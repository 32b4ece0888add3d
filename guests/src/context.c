/* A fault handler reads and changes registers: it mends the load that failed, and the program goes on. */
#include "must.h"
#include <signal.h>
#include <ucontext.h>

extern char fault_begin[], fault_end[];
static volatile int faults;
static volatile long held, also_held;
static volatile double float_held;

/* Puts known values in registers, then loads from null; the handler gives the result. */
static __attribute__((noinline)) long poke(long a, long b, double c) {
    long result;
#ifdef __riscv
    asm volatile(
        "mv t3, %1\n mv s5, %2\n fmv.d fs3, %3\n li t4, 0\n"
        "addi t3, t3, 1\n xor s5, s5, t3\n fadd.d fs3, fs3, fs3\n"
        ".globl fault_begin, fault_end\n"
        "fault_begin: ld t5, 8(t4)\n"
        "fault_end: add %0, t5, t3\n"
        : "=r"(result) : "r"(a), "r"(b), "f"(c) : "t3", "t4", "t5", "s5", "fs3", "memory");
#else
    asm volatile(
        "mov %1, %%r12\n mov %2, %%r13\n movapd %3, %%xmm5\n xor %%eax, %%eax\n"
        "inc %%r12\n xor %%r12, %%r13\n addsd %%xmm5, %%xmm5\n"
        ".globl fault_begin, fault_end\n"
        "fault_begin: mov 8(%%rax), %%r14\n"
        "fault_end: lea (%%r14, %%r12), %0\n"
        : "=r"(result) : "r"(a), "r"(b), "x"(c) : "rax", "r12", "r13", "r14", "xmm5", "memory");
#endif
    return result;
}

static void on_fault(int number, siginfo_t *info, void *context) {
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    must(number == SIGSEGV && info->si_addr == (void *)8);
    faults++;
#ifdef __riscv
    must(machine->__gregs[REG_PC] == (unsigned long)fault_begin);
    held = machine->__gregs[28], also_held = machine->__gregs[21];
    float_held = ((union { unsigned long bits; double value; }){machine->__fpregs.__d.__f[19]}).value;
    machine->__gregs[30] = 1000000;
    machine->__gregs[REG_PC] = (unsigned long)fault_end;
#else
    must(machine->gregs[REG_RIP] == (long)fault_begin);
    held = machine->gregs[REG_R12], also_held = machine->gregs[REG_R13];
    memcpy((void *)&float_held, &machine->fpregs->_xmm[5], 8);
    machine->gregs[REG_R14] = 1000000;
    machine->gregs[REG_RIP] = (long)fault_end;
#endif
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGSEGV, &action, NULL) == 0);
    printf("result %ld\n", poke(41, 85, 1.25));
    printf("the handler saw %ld, %ld, %.2f\n", held, also_held, float_held);
    long sum = 0;
    for (int i = 0; i < 1000; i++) sum += poke(i, 0, 0);
    printf("%d faults, sum %ld\n", faults, sum);
    return 0;
}
