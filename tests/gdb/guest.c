/* A guest to be debugged: calls, floating point, an AMO, two address spaces with other code at one address, a second hart, a trap. */
typedef unsigned long word;
#define VALID 1
#define EXECUTE 0xCB                    /* V R X A D */
#define ALL 0xCF                        /* V R W X A D */
#define CONTEXT ((word *)0x40000000)    /* what lies here depends on the address space */

volatile word counter, watched, traps, second, answers[2];
double half = 0.5;
word roots[2][512] __attribute__((aligned(4096))), middles[2][512] __attribute__((aligned(4096)));
word leaves[2][512] __attribute__((aligned(4096)));
word code[2][512] __attribute__((aligned(4096)));
char stack[2][4096] __attribute__((aligned(16)));

__asm__(".text\n.globl _start\n_start:\n"
        "la sp, stack\nslli t0, a0, 12\nadd sp, sp, t0\nli t0, 4096\nadd sp, sp, t0\nj begin\n"
        ".text\n.balign 4\ntrap:\naddi sp, sp, -16\nsd t0, 0(sp)\nsd t1, 8(sp)\n"
        "lla t0, traps\nld t1, 0(t0)\naddi t1, t1, 1\nsd t1, 0(t0)\n"
        "csrr t0, mepc\naddi t0, t0, 4\ncsrw mepc, t0\nld t0, 0(sp)\nld t1, 8(sp)\naddi sp, sp, 16\nmret\n");
void trap(void);

__attribute__((noinline)) void bump(word amount) { counter += amount; }
__attribute__((noinline)) void touch(word value) { watched = value; }
__attribute__((noinline)) word look(void) { return watched; }
__attribute__((noinline)) double scale(double value) { return value * half; }
__attribute__((noinline)) word in_space(int n) {
    word root = 8ul << 60 | (word)n << 44 | (word)roots[n] >> 12;
    __asm__ volatile("csrw satp, %0\nsfence.vma" :: "r"(root) : "memory");
    return ((word (*)(void))CONTEXT)();
}
__attribute__((noinline)) void done(void) { *(volatile unsigned *)0x100000 = 0x5555; }

static void supervisor(void) {
    for (int round = 0; round < 2; round++)
        for (int n = 0; n < 2; n++)
            answers[n] += in_space(n);
    done();
    for (;;) ;
}

static void map(int n) {
    code[n][0] = 0x00008067ul << 32 | 0x00000513 | (word)(n + 1) << 20;     /* li a0, n + 1; ret */
    leaves[n][0] = (word)code[n] >> 2 | EXECUTE;
    middles[n][0] = (word)leaves[n] >> 2 | VALID;
    roots[n][0] = 0 << 10 | ALL;                                            /* devices */
    roots[n][1] = (word)middles[n] >> 2 | VALID;
    roots[n][2] = 0x80000000ul >> 2 | ALL;
}

void begin(word hart) {
    if (hart)
        for (;;) second++;
    __asm__ volatile("csrw mtvec, %0\ncsrs mstatus, %1\ncsrw pmpaddr0, %2\ncsrw pmpcfg0, %3"
                     :: "r"(trap), "r"(1ul << 13), "r"(-1ul), "r"(0x1F));
    for (word n = 1; n <= 10; n++)
        bump(n);
    half = scale(3.0);
    for (word n = 0; n < 100; n++)
        touch(n < 90 ? 7 : n);
    look();
    __atomic_fetch_add(&watched, 1, __ATOMIC_SEQ_CST);
    __asm__ volatile("ecall");
    map(0);
    map(1);
    __asm__ volatile("csrc mstatus, %0\ncsrs mstatus, %1\ncsrw mepc, %2\nmret"
                     :: "r"(3ul << 11), "r"(1ul << 11), "r"(supervisor));
}
