/* Instructions across a page boundary, instructions inside others, and jumps to odd addresses. */
#include "tiny.h"

#ifdef __riscv
asm(".text\n"
    ".option push\n"
    ".option norelax\n"
    ".balign 4096\n"
    "  .zero 4090\n"
    "across:\n"                 /* a0 * 3 + 100, its middle instruction on two pages */
    "  .option norvc\n"
    "  slli t0, a0, 1\n"        /* at 4090 */
    "  add a0, a0, t0\n"        /* at 4094 */
    "  addi a0, a0, 100\n"
    "  .option rvc\n"
    "  ret\n"
    "outer:\n"                  /* a0 + 80; and two bytes further: a0 + 2 */
    "  mv t1, s2\n"
    "  mv s2, a0\n"
    "  .2byte 0x0513\n"         /* addi a0, s2, 80 ... */
    "inner:\n"
    "  .2byte 0x0509\n"         /* ... whose second half is c.addi a0, 2 */
    "  mv s2, t1\n"
    "  ret\n"
    "odd:\n"                    /* jalr clears the lowest bit of its target */
    "  la t0, across + 1\n"
    "  jr t0\n"
    ".option pop\n");
extern long across(long), outer(long), odd(long);
static long inside(long a) {
    register long a0 asm("a0") = a;
    asm volatile("mv t1, s2\n lla t0, inner\n jalr t0" : "+r"(a0) : : "ra", "t0", "t1", "memory");
    return a0;
}
#else
static NOINLINE long across(long a) { return a * 3 + 100; }
static NOINLINE long outer(long a) { return a + 80; }
static NOINLINE long inside(long a) { return a + 2; }
static NOINLINE long odd(long a) { return across(a); }
#endif

int main(void) {
    long sum = 0;
    for (long i = 0; i < 1000; i++) sum = (across(sum) + outer(i) + inside(i) + odd(sum)) % 1000003;
    say("across %d, outer %d, inside %d, odd %d\n", across(7), outer(7), inside(7), odd(7));
    say("sum %d\n", sum);
    return 0;
}
