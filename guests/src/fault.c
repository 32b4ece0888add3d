/* A guest that dies of one fault, which the build chooses: -DDIE=null_read and the like. */
#include "tiny.h"

static long data[4] __attribute__((aligned(64), unused)) = {1, 2, 3, 4};

HELPER void null_read(void) { (void)*(volatile long *volatile)NULL; }
HELPER void wild_read(void) { (void)*(volatile long *)0xdeadbeef00000000; } /* no address of any machine */
HELPER void write_code(void);
HELPER void jump_null(void) { ((void (*volatile)(void))NULL)(); }
HELPER void jump_data(void) { ((void (*volatile)(void))(void *)data)(); }
HELPER NOINLINE int deeper(volatile char *above) {
    volatile char frame[1024] = {*above};
    return deeper(frame) + frame[1];
}
HELPER void stack_overflow(void) { deeper((volatile char *)data); }
#ifdef __riscv
HELPER void illegal(void) { asm volatile(".4byte 0xffffffff"); }
HELPER void breakpoint(void) { asm volatile("ebreak"); }
#else
HELPER void illegal(void) { asm volatile("ud2"); }
HELPER void breakpoint(void) { asm volatile("int3"); }
#endif

#define TEXT(name) #name
#define NAME(name) TEXT(name)

int main(void) {
    say("before %s\n", NAME(DIE));
    DIE();
    say("after\n");
    return 0;
}

HELPER void write_code(void) { *(volatile long *)main = 0; }
