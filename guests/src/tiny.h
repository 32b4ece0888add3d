/* A run-time of a few functions: start, print, exit. On riscv64 there is no libc beneath; elsewhere the host's. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define NOINLINE __attribute__((noinline))
#define HELPER __attribute__((unused)) static
#define LENGTH(array) (sizeof(array) / sizeof(array)[0])

#ifdef __riscv
/* The kernel enters with sp at argc; argv follows it. */
asm(".globl _start\n"
    "_start:\n"
    "  .option push\n"
    "  .option norelax\n"
    "  la gp, __global_pointer$\n"
    "  .option pop\n"
    "  lw a0, 0(sp)\n"
    "  addi a1, sp, 8\n"
    "  call main\n"
    "  li a7, 93\n" /* exit */
    "  ecall\n");

HELPER long system_call(long number, long a, long b, long c, long d, long e, long f) {
    register long a0 asm("a0") = a, a1 asm("a1") = b, a2 asm("a2") = c, a3 asm("a3") = d;
    register long a4 asm("a4") = e, a5 asm("a5") = f, a7 asm("a7") = number;
    asm volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5), "r"(a7) : "memory");
    return a0;
}
HELPER long write(int file, const void *from, size_t count) {
    return system_call(64, file, (long)from, count, 0, 0, 0);
}

/* GCC calls these by itself. */
void *memset(void *to, int byte, size_t count) {
    for (char *p = to; count--;) *p++ = byte;
    return to;
}
void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    const char *q = from;
    for (char *p = to; count--;) *p++ = *q++;
    return to;
}
#else
#include <string.h>
#include <unistd.h>
#endif

HELPER void say_unsigned(char **to, uint64_t value, unsigned base, int width) {
    char digits[20];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (width-- > n) *(*to)++ = '0';
    while (n) *(*to)++ = digits[--n];
}

/* Prints one piece of text of at most 500 bytes: %d a long, %x 16 hexadecimal digits, %s a string. */
HELPER void say(const char *format, ...) {
    char text[512], *to = text;
    va_list values;
    va_start(values, format);
    for (; *format; format++) {
        if (*format != '%') {
            *to++ = *format;
        } else if (*++format == 'd') {
            long value = va_arg(values, long);
            if (value < 0) *to++ = '-';
            say_unsigned(&to, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, 0);
        } else if (*format == 'x') {
            say_unsigned(&to, va_arg(values, uint64_t), 16, 16);
        } else {
            for (const char *s = va_arg(values, const char *); *s; s++) *to++ = *s;
        }
    }
    va_end(values);
    (void)!write(1, text, to - text);
}

/* Prints a number as people read it and then its exact bits. */
HELPER void show(const char *name, double value) {
    union { double value; uint64_t bits; } u = {value};
    char text[64], *to = text;
    double size = value < 0 ? -value : value;
    if (size < 1e9) {
        uint64_t billionths = (uint64_t)(size * 1e9);
        if (value < 0) *to++ = '-';
        say_unsigned(&to, billionths / 1000000000, 10, 0);
        *to++ = '.';
        say_unsigned(&to, billionths % 1000000000, 10, 9);
        *to++ = ' ';
    }
    *to = 0;
    say("%s %s%x\n", name, text, u.bits);
}

/* The first command-line argument as a number: the size of the work. */
HELPER long argument(int argc, char **argv, long otherwise) {
    long value = 0;
    if (argc < 2) return otherwise;
    for (const char *s = argv[1]; *s; s++) value = value * 10 + (*s - '0');
    return value;
}

/* xorshift64*: the same numbers on every machine. */
static uint64_t random_state = 88172645463325252;
HELPER uint64_t random_bits(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717;
}
HELPER double random_unit(void) { return (random_bits() >> 11) * 0x1p-53; }
