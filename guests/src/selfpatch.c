/* A program that patches its own next instructions: the change must be seen right after fence.i. */
#include "must.h"
#include <sys/mman.h>

#ifdef __riscv
/* long patched(long n): n times adds a number that the loop itself rewrites: 1, 2, 3, ... */
asm(".option push\n"
    ".option norvc\n"
    ".balign 4096\n"
    ".globl patched\n"
    "patched:\n"
    "  li t0, 0\n"
    "  lla t1, 2f\n"
    "1:\n"
    "  lw t2, 0(t1)\n"
    "  li t3, 1 << 20\n"
    "  add t2, t2, t3\n"
    "  sw t2, 0(t1)\n"
    "  fence.i\n"
    "2:\n"
    "  addi t0, t0, 0\n"
    "  addi a0, a0, -1\n"
    "  bnez a0, 1b\n"
    "  mv a0, t0\n"
    "  ret\n"
    ".balign 4096\n"
    ".option pop\n");
#else
asm(".balign 4096\n"
    ".globl patched\n"
    "patched:\n"
    "  xor %eax, %eax\n"
    "1:\n"
    "  incl 2f+1(%rip)\n"
    "2:\n"
    "  .byte 5; .long 0\n" /* add eax, 0 */
    "  dec %rdi\n"
    "  jnz 1b\n"
    "  ret\n"
    ".balign 4096\n");
#endif
extern long patched(long n);

int main(void) {
    must(mprotect((void *)patched, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
    printf("1 + ... + 1000 = %ld\n", patched(1000));
    printf("and the next 500: %ld\n", patched(500));
    return 0;
}
