/* Faults of single instructions: signal, code, address, pc and all registers as the handler finds them.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -s -Wl,--build-id=none -Wl,--no-relax -march=rv64gc -mabi=lp64d -fno-pie
 *
 * What is right: the unprivileged manual for pc and registers, Linux for the rest (arch/riscv/kernel/traps.c: the address
 * of an undefined instruction and of a misaligned atomic is their pc; arch/riscv/mm/fault.c: else it is the one that
 * cannot be accessed, which in an access across a boundary is the first byte behind it). */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, WARM = 1000 };
#define must(x) ((x) ? (void)0 : failed(__LINE__, #x))
static void failed(int line, const char *text) {
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, text, strerror(errno));
    _exit(99);
}

/* --- one instruction, with a known value in every register but tp; it is at at_NAME */
uint64_t x_start[32], f_start[32], saved[32];
asm(".option push\n .option norelax\n"
    ".altmacro\n"
    ".macro load_f n\n fld f\\n, 8*\\n(x31)\n .endm\n"
    ".macro load_x n\n ld x\\n, 8*\\n(x31)\n .endm\n"
    ".macro all_f\n .set i, 0\n .rept 32\n load_f %i\n .set i, i+1\n .endr\n .endm\n"
    ".macro all_x\n .set i, 5\n .rept 27\n load_x %i\n .set i, i+1\n .endr\n .endm\n"
    ".macro known\n la x31, f_start\n all_f\n la x31, x_start\n ld x1, 8(x31)\n ld x2, 16(x31)\n ld x3, 24(x31)\n all_x\n .endm\n"
    ".macro saves insn, finsn\n"
    " \\insn x1, 8(x31)\n \\insn x2, 16(x31)\n \\insn x3, 24(x31)\n \\insn x8, 32(x31)\n \\insn x9, 40(x31)\n"
    " .irp n,18,19,20,21,22,23,24,25,26,27\n \\insn x\\n, 8*\\n-96(x31)\n \\finsn f\\n, 8*\\n-16(x31)\n .endr\n"
    " \\finsn f8, 208(x31)\n \\finsn f9, 216(x31)\n .endm\n"
    ".text\n .globl run, leave\n"
    "run:\n la x31, saved\n saves sd, fsd\n jr a0\n"
    "leave:\n la x31, saved\n saves ld, fld\n ret\n");
extern void run(const void *code), leave(void);

#define CASE(name, ...) \
    asm(".globl start_" #name ", at_" #name "\nstart_" #name ": known\nat_" #name ":\n" __VA_ARGS__ "\n j leave\n"); \
    extern char start_##name[], at_##name[];
#define LONG(name, ...) CASE(name, ".option push\n.option norvc\n" __VA_ARGS__ "\n.option pop\n")

#define LOADS(M) M(lb) M(lh) M(lw) M(ld) M(lbu) M(lhu) M(lwu)
#define ATOMICS(M) M(amoadd_w, amoadd.w) M(amoadd_d, amoadd.d) M(amoswap_d, amoswap.d) M(amomaxu_d, amomaxu.d) \
    M(amomin_w, amomin.w) M(amoand_d, amoand.d)
#define LOAD(name) LONG(name, #name " x11, 0(x10)") LONG(name##_mem, #name " x27, 0(x10)")
#define ATOMIC(name, text) LONG(name, #text " x11, x12, (x10)") LONG(name##_mem, #text " x27, x26, (x10)")
LOADS(LOAD)
ATOMICS(ATOMIC)
LONG(lr_w, "lr.w x11, (x10)") LONG(lr_d, "lr.d x11, (x10)")
LONG(ld_zero, "ld x0, 0(x10)") LONG(ld_self, "ld x10, 0(x10)") LONG(flw, "flw f10, 0(x10)") LONG(fld, "fld f10, 0(x10)")
LONG(sb, "sb x11, 0(x10)") LONG(sh, "sh x11, 0(x10)") LONG(sw, "sw x11, 0(x10)") LONG(sd, "sd x11, 0(x10)")
LONG(sd_mem, "sd x27, 0(x10)") LONG(fsw, "fsw f10, 0(x10)") LONG(fsd, "fsd f10, 0(x10)")
CASE(c_lw, "c.lw x11, 0(x10)") CASE(c_ld, "c.ld x11, 0(x10)") CASE(c_sd, "c.sd x11, 0(x10)") CASE(c_fld, "c.fld f11, 0(x10)")
/* A block is not undone: what came before the fault stays, what follows has not been. */
CASE(between, ".globl at_middle\n addi x11, x11, 1\n addi x27, x27, 2\nat_middle: ld x12, 0(x10)\n"
                         " addi x11, x11, 4\n addi x27, x27, 8");
extern char at_middle[];
LONG(jalr, "jalr x1, 0(x10)") LONG(jr, "jr x10") CASE(c_jalr, "c.jalr x10") CASE(c_jr, "c.jr x10")
LONG(jalr_self, "jalr x10, 0(x10)")
#define WORDS(M) M(ffffffff) M(00000000) M(c0001073) M(30200073) M(10200073) M(10500073) M(12000073) M(30002573) \
    M(c0101073) M(02b5d553) M(0000707f) M(0000800b) M(1010252f)
#define WORD(hex) LONG(word_##hex, ".4byte 0x" #hex)
WORDS(WORD)
LONG(ebreak, "ebreak") CASE(c_ebreak, "c.ebreak")
/* Loops: a walk to the end of memory, with all that changes on the way in registers. */
LONG(walk, "1: ld x12, 0(x10)\n add x11, x11, x12\n xor x27, x27, x11\n addi x10, x10, 8\n addi x13, x13, 1\n j 1b")
LONG(fill, "1: sd x11, 0(x10)\n addi x11, x11, 3\n mul x27, x27, x11\n fadd.d f10, f10, f11\n addi x10, x10, 8\n j 1b")
LONG(calls, "1: jal x1, 2f\n addi x13, x13, 1\n addi x10, x10, 16\n j 1b\n 2: lw x12, 0(x10)\n add x11, x11, x12\n jr x1")
asm(".option pop\n");

/* --- what is expected, and what the handler found */
static struct { int signal, code; uint64_t address, pc, x[32], f[32]; } want;
static int faults, warm;
static const char *title;
static char *page, *hole, *none, *sealed, *beyond, *code;

static void on_fault(int number, siginfo_t *info, void *context) {
    mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
    uint64_t pc = machine->__gregs[0];
    int wrong = 0;
    faults++;
    printf("%s:", title);
    if (number != want.signal || info->si_code != want.code) printf(" signal %d code %d,", number, info->si_code);
    if ((uint64_t)info->si_addr != want.address) printf(" address %#lx for %#lx,", (long)info->si_addr, want.address);
    if (pc != want.pc) printf(" pc %#lx for %#lx,", pc, want.pc);
    for (int n = 1; n < 32; n++)
        if (n != 4 && machine->__gregs[n] != want.x[n]) wrong++, printf(" x%d %#lx for %#lx,", n, machine->__gregs[n], want.x[n]);
    for (int n = 0; n < 32; n++)
        if (machine->__fpregs.__d.__f[n] != want.f[n]) wrong++, printf(" f%d %#lx,", n, (long)machine->__fpregs.__d.__f[n]);
    printf(" %d registers wrong\n", wrong);
    machine->__gregs[0] = (uint64_t)leave;
}

static void expect(int signal, int code, uint64_t address, const void *pc) {
    memcpy(want.x, x_start, sizeof x_start), memcpy(want.f, f_start, sizeof f_start);
    want.signal = signal, want.code = code, want.address = address, want.pc = (uint64_t)pc;
}
static void go(const char *start, const char *what, const char *where) {
    static char text[80];
    snprintf(text, sizeof text, "%s, %s", what, where), title = text;
    int before = faults;
    run(start);
    if (faults != before + 1) printf("%s: %d faults\n", title, faults - before);
}
static void fault(const char *start, const char *at, const char *what, const char *where, uint64_t address, int signal, int code) {
    x_start[10] = address;
    expect(signal, code, address, at);
    go(start, what, where);
}
static void warm_up(const char *start) {
    x_start[10] = (uint64_t)page;
    for (int n = 0; n < warm; n++) run(start);
}

/* --- groups of cases */
enum { SIZE = 7, STORES = 8, ALIGNED = 16 };
static void access_(const char *start, const char *at, const char *what, int kind) {
    int size = kind & SIZE ? kind & SIZE : 8;
    warm_up(start);
    fault(start, at, what, "null", 0, SIGSEGV, SEGV_MAPERR);
    fault(start, at, what, "hole", (uint64_t)hole + 16, SIGSEGV, SEGV_MAPERR);
    fault(start, at, what, "no access", (uint64_t)none + 16, SIGSEGV, SEGV_ACCERR);
    fault(start, at, what, "behind the end of a file", (uint64_t)beyond + PAGE, SIGBUS, BUS_ADRERR);
    fault(start, at, what, "top of memory", -8UL, SIGSEGV, SEGV_MAPERR);
    fault(start, at, what, "not canonical", 0x8000000000000000, SIGSEGV, SEGV_MAPERR);
    fault(start, at, what, "not canonical too", 0x7ffffffffffffff8, SIGSEGV, SEGV_MAPERR);
    if (kind & STORES) fault(start, at, what, "read-only", (uint64_t)sealed + 16, SIGSEGV, SEGV_ACCERR);
    if (kind & ALIGNED) {
        x_start[10] = (uint64_t)page + 2 + (size == 4);
        expect(SIGBUS, BUS_ADRALN, (uint64_t)at, at);
        go(start, what, "misaligned");
    } else if (size > 1) {
        x_start[10] = (uint64_t)hole - 1;
        expect(SIGSEGV, SEGV_MAPERR, (uint64_t)hole, at);
        go(start, what, "half in a hole");
    }
}
#define ACCESS(name, kind) access_(start_##name, at_##name, #name, kind)
static void loads(void) {
    ACCESS(lb, 1), ACCESS(lh, 2), ACCESS(lw, 4), ACCESS(ld, 0), ACCESS(lbu, 1), ACCESS(lhu, 2), ACCESS(lwu, 4);
    ACCESS(lb_mem, 1), ACCESS(lh_mem, 2), ACCESS(lw_mem, 4), ACCESS(ld_mem, 0), ACCESS(lbu_mem, 1), ACCESS(lhu_mem, 2);
    ACCESS(lwu_mem, 4), ACCESS(ld_zero, 0), ACCESS(ld_self, 0), ACCESS(flw, 4), ACCESS(fld, 0);
    ACCESS(c_lw, 4), ACCESS(c_ld, 0), ACCESS(c_fld, 0);
}
static void stores(void) {
    ACCESS(sb, STORES | 1), ACCESS(sh, STORES | 2), ACCESS(sw, STORES | 4), ACCESS(sd, STORES), ACCESS(sd_mem, STORES);
    ACCESS(fsw, STORES | 4), ACCESS(fsd, STORES), ACCESS(c_sd, STORES);
}
static void atomics(void) {
    int words = STORES | ALIGNED | 4, doubles = STORES | ALIGNED;
    ACCESS(amoadd_w, words), ACCESS(amoadd_d, doubles), ACCESS(amoswap_d, doubles), ACCESS(amomaxu_d, doubles);
    ACCESS(amomin_w, words), ACCESS(amoand_d, doubles), ACCESS(amoadd_w_mem, words), ACCESS(amoadd_d_mem, doubles);
    ACCESS(amoswap_d_mem, doubles), ACCESS(amomaxu_d_mem, doubles), ACCESS(amomin_w_mem, words), ACCESS(amoand_d_mem, doubles);
    ACCESS(lr_w, ALIGNED | 4), ACCESS(lr_d, ALIGNED);
}
static void middle(void) {
    warm_up(start_between);
    x_start[10] = (uint64_t)hole;
    expect(SIGSEGV, SEGV_MAPERR, (uint64_t)hole, at_middle);
    want.x[11] += 1, want.x[27] += 2;
    go(start_between, "middle", "hole");
}

static void jump(const char *start, const char *at, const char *what, int link, int size, const char *where, uint64_t target,
                 int signal, int code) {
    x_start[10] = target;
    expect(signal, code, target & ~1, (void *)(target & ~1));
    if (link) want.x[link] = (uint64_t)at + size;
    go(start, what, where);
}
static void jumps_of(const char *start, const char *at, const char *what, int link, int size) {
    jump(start, at, what, link, size, "null", 0, SIGSEGV, SEGV_MAPERR);
    jump(start, at, what, link, size, "one", 1, SIGSEGV, SEGV_MAPERR);
    jump(start, at, what, link, size, "hole", (uint64_t)hole, SIGSEGV, SEGV_MAPERR);
    jump(start, at, what, link, size, "data", (uint64_t)page, SIGSEGV, SEGV_ACCERR);
    jump(start, at, what, link, size, "data, odd", (uint64_t)page + 3, SIGSEGV, SEGV_ACCERR);
    jump(start, at, what, link, size, "no access", (uint64_t)none + 2, SIGSEGV, SEGV_ACCERR);
    jump(start, at, what, link, size, "behind the end of a file", (uint64_t)beyond + PAGE, SIGBUS, BUS_ADRERR);
    jump(start, at, what, link, size, "top of memory", -2UL, SIGSEGV, SEGV_MAPERR);
    jump(start, at, what, link, size, "not canonical", 0x8000000000000000, SIGSEGV, SEGV_MAPERR);
}
#define JUMPS(name, link, size) jumps_of(start_##name, at_##name, #name, link, size)
static void jumps(void) { JUMPS(jalr, 1, 4), JUMPS(jr, 0, 4), JUMPS(c_jalr, 1, 2), JUMPS(c_jr, 0, 2), JUMPS(jalr_self, 10, 4); }

static void undefined(void) {
#define UNDEFINED(hex) expect(SIGILL, ILL_ILLOPC, (uint64_t)at_word_##hex, at_word_##hex), go(start_word_##hex, #hex, "undefined");
    WORDS(UNDEFINED)
    expect(SIGTRAP, TRAP_BRKPT, (uint64_t)at_ebreak, at_ebreak), go(start_ebreak, "ebreak", "breakpoint");
    expect(SIGTRAP, TRAP_BRKPT, (uint64_t)at_c_ebreak, at_c_ebreak), go(start_c_ebreak, "c_ebreak", "breakpoint");
}

static void loops(void) {
    int steps = PAGE / 8;
    for (int times = 0; times < 20; times++) {
        for (int n = 0; n < steps; n++) ((uint64_t *)page)[n] = n * 0x9e3779b97f4a7c15 + times;
        x_start[10] = (uint64_t)page;
        expect(SIGSEGV, SEGV_MAPERR, (uint64_t)hole, at_walk);
        for (int n = 0; n < steps; n++) want.x[12] = ((uint64_t *)page)[n], want.x[11] += want.x[12], want.x[27] ^= want.x[11];
        want.x[10] = (uint64_t)hole, want.x[13] += steps;
        go(start_walk, "walk", "hole");
        expect(SIGSEGV, SEGV_MAPERR, (uint64_t)hole, at_calls + 16);
        for (int n = 0; n < steps; n += 2) want.x[12] = ((int32_t *)page)[2 * n], want.x[11] += want.x[12];
        want.x[10] = (uint64_t)hole, want.x[13] += steps / 2, want.x[1] = (uint64_t)at_calls + 4;
        go(start_calls, "calls", "hole");
        double sum, add;
        expect(SIGSEGV, SEGV_MAPERR, (uint64_t)hole, at_fill);
        memcpy(&sum, &f_start[10], 8), memcpy(&add, &f_start[11], 8);
        for (int n = 0; n < steps; n++) want.x[11] += 3, want.x[27] *= want.x[11], sum += add;
        memcpy(&want.f[10], &sum, 8), want.x[10] = (uint64_t)hole;
        go(start_fill, "fill", "hole");
        must(((uint64_t *)page)[steps - 1] == x_start[11] + 3 * (steps - 1));
    }
}

/* An instruction of four bytes at the end of a page: it is one only if the next page is executable too. */
static void edges(void) {
    uint16_t *end = (uint16_t *)(code + PAGE);
    int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    const struct { const char *where; int prot, code; } next[] = {
        {"then a hole", -1, SEGV_MAPERR}, {"then no access", PROT_NONE, SEGV_ACCERR}, {"then data", PROT_READ | PROT_WRITE, SEGV_ACCERR},
        {"then code", PROT_READ | PROT_EXEC, 0}, {"then writable code", all, 0}};
    for (unsigned n = 0; n < sizeof next / sizeof *next; n++) {
        must(mmap(code, 2 * PAGE, all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == code);
        end[-3] = 0x0585, end[-2] = 0x0585, end[-1] = 0x8593, end[0] = 0x0015, end[1] = 0x8082; /* c.addi a1,1 twice; addi a1,a1,1; ret */
        must(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
        must(next[n].prot < 0 ? munmap(code + PAGE, PAGE) == 0 : mprotect(code + PAGE, PAGE, next[n].prot) == 0);
        __builtin___clear_cache(code, code + 2 * PAGE);
        x_start[10] = (uint64_t)(end - 3);
        expect(SIGSEGV, next[n].code, (uint64_t)end, end - 1);
        want.x[1] = (uint64_t)at_jalr + 4, want.x[11] += 2;
        if (next[n].code) {
            go(start_jalr, "instruction at the end", next[n].where);
        } else {
            int before = faults;
            register long a1 asm("a1") = 5;
            asm volatile("jalr %1" : "+r"(a1) : "r"(end - 3) : "ra", "memory");
            printf("instruction at the end, %s: %ld, %d faults\n", next[n].where, a1, faults - before);
        }
    }
}

/* Code that goes on behind the end of its file: all before that is executed. */
static void file_end(void) {
    must(mmap(code, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == code);
    int file = memfd_create("code", 0);
    must(file >= 0 && ftruncate(file, PAGE) == 0);
    for (int n = 0; n < PAGE / 2; n++) ((uint16_t *)code)[n] = n % 50 == 0 ? 0xa011 : 0x0585; /* c.j .+4; c.addi a1,1 */
    for (int n = 1; n < 40; n++) ((uint16_t *)(code + PAGE))[-n] = 0x0585;
    must(pwrite(file, code, PAGE, 0) == PAGE);
    must(mmap(code, 2 * PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0) == code);
    __builtin___clear_cache(code, code + 2 * PAGE);
    x_start[10] = (uint64_t)code + PAGE - 60;
    expect(SIGBUS, BUS_ADRERR, (uint64_t)code + PAGE, code + PAGE);
    want.x[1] = (uint64_t)at_jalr + 4, want.x[11] += 30;
    go(start_jalr, "code", "behind the end of its file");
    x_start[10] = (uint64_t)code + PAGE - 200;
    expect(SIGBUS, BUS_ADRERR, (uint64_t)code + PAGE, code + PAGE);
    want.x[1] = (uint64_t)at_jalr + 4;
    for (int at = PAGE / 2 - 100; at < PAGE / 2;) if (((uint16_t *)code)[at] == 0xa011) at += 2; else want.x[11]++, at++;
    go(start_jalr, "code with jumps", "behind the end of its file");
    close(file);
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*function)(void); } groups[] = {
        {"loads", loads}, {"stores", stores}, {"atomics", atomics}, {"middle", middle}, {"jumps", jumps},
        {"undefined", undefined}, {"loops", loops}, {"edges", edges}, {"file_end", file_end}};
    warm = argc > 2 ? atoi(argv[2]) : WARM;
    for (int n = 0; n < 32; n++) {
        x_start[n] = 0x0101010101010101 * n + 0x8000000000000000;
        double value = n + 0.5;
        memcpy(&f_start[n], &value, 8);
    }
    page = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED && munmap(page + PAGE, PAGE) == 0 && mprotect(page + 2 * PAGE, PAGE, PROT_NONE) == 0);
    must(mprotect(page + 3 * PAGE, PAGE, PROT_READ) == 0);
    hole = page + PAGE, none = page + 2 * PAGE, sealed = page + 3 * PAGE;
    int file = memfd_create("file", 0), number[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
    must(file >= 0 && ftruncate(file, 100) == 0);
    beyond = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, file, 0);
    code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(beyond != MAP_FAILED && code != MAP_FAILED);
    stack_t other = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    must(sigaltstack(&other, NULL) == 0);
    for (int n = 0; n < 4; n++) {
        struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        must(sigaction(number[n], &action, NULL) == 0);
    }
    for (unsigned n = 0; n < sizeof groups / sizeof *groups; n++)
        if (argc < 2 || !strcmp(argv[1], groups[n].name)) groups[n].function();
    printf("%d faults\n", faults);
    return 0;
}
