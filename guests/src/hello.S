# The smallest guest: two system calls, write and exit.
    .section .rodata
text:
    .ascii "Hello from a guest.\n"
    .equ length, . - text

    .text
    .globl _start
_start:
#ifdef __riscv
    li a7, 64
    li a0, 1
    lla a1, text
    li a2, length
    ecall
    li a7, 93
    li a0, 0
    ecall
#else
    mov $1, %eax
    mov $1, %edi
    lea text(%rip), %rsi
    mov $length, %edx
    syscall
    mov $60, %eax
    xor %edi, %edi
    syscall
#endif

    .section .note.GNU-stack, "", %progbits
