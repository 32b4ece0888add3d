/* The board "virt": where devices are, the console, power-off, and what the checks of a guest say. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

#include "csr.h"

#define NOINLINE __attribute__((noinline))
#define HELPER __attribute__((unused)) static
#define LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define REGISTER(type, address) (*(volatile type *)(address))

enum { FINISHER = 0x100000, RTC = 0x101000, CLINT = 0x2000000, PLIC = 0xc000000, UART = 0x10000000, VIRTIO = 0x10001000 };
#define RAM 0x80000000ul
#define NOWHERE 0x700000000000ul /* a physical address with nothing behind it */
#define MSIP(hart) REGISTER(uint32_t, CLINT + 4 * (hart))
#define MTIMECMP(hart) REGISTER(uint64_t, CLINT + 0x4000 + 8 * (hart))
#define MTIME REGISTER(uint64_t, CLINT + 0xbff8)
#define TICKS 10000000ul /* of mtime in a second */

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

HELPER void put(char byte) {
    while (!(REGISTER(uint8_t, UART + 5) & 0x20)) {} /* LSR: the transmitter's register is empty */
    REGISTER(uint8_t, UART) = byte;
}

HELPER void put_unsigned(uint64_t value, unsigned base) {
    char digits[20];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[value % base];
    while (value /= base);
    while (n) put(digits[--n]);
}

/* Prints: %d a long, %x in hexadecimal, %s a string. */
HELPER void say(const char *format, ...) {
    va_list values;
    va_start(values, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
        } else if (*++format == 'd') {
            long value = va_arg(values, long);
            if (value < 0) put('-');
            put_unsigned(value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
        } else if (*format == 'x') {
            put_unsigned(va_arg(values, uint64_t), 16);
        } else {
            for (const char *s = va_arg(values, const char *); *s; s++) put(*s);
        }
    }
    va_end(values);
}

/* Powers off; the machine's exit status is this. */
HELPER _Noreturn void power_off(int status) {
    REGISTER(uint32_t, FINISHER) = status ? status << 16 | 0x3333 : 0x5555;
    for (;;) asm volatile("wfi");
}

static const char *group_name;
static long group_failures, all_failures;

/* Ends a group of checks: one line says that all of it held. */
HELPER void end_group(void) {
    if (group_name && !group_failures) say("ok %s\n", group_name);
    all_failures += group_failures;
    group_failures = 0;
    group_name = 0;
}

HELPER void group(const char *name) {
    end_group();
    group_name = name;
}

/* One check. Only the first four that fail in a group are told. */
HELPER void expect(const char *what, uint64_t got, uint64_t expected) {
    if (got != expected && ++group_failures <= 4)
        say("FAIL %s: %s is 0x%x, not 0x%x\n", group_name, what, got, expected);
}

/* main() has returned: status 1 where a check failed. */
void finish(void) {
    end_group();
    power_off(all_failures != 0);
}

void unexpected_trap(uint64_t cause, uint64_t pc, uint64_t value) {
    say("FAIL %s: unexpected trap, cause 0x%x at 0x%x, value 0x%x\n", group_name ? group_name : "-", cause, pc, value);
    power_off(1);
}

/* The others start at function(hart number), each on its own stack. */
extern volatile uint32_t harts_run;
extern void (*volatile harts_function)(long hart);
HELPER void start_harts(void (*function)(long hart)) {
    harts_function = function;
    asm volatile("fence rw, w" ::: "memory");
    harts_run = 1;
}

/* How many harts the machine has: nodes called cpu@N of the device tree that it starts with (Devicetree specification, 5). */
extern uint8_t *device_tree;
HELPER uint32_t tree_word(const uint8_t *at) { return at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }
HELPER long count_harts(void) {
    enum { MAGIC = 0xd00dfeed, BEGIN_NODE = 1, PROPERTY = 3, END = 9 };
    if (!device_tree || tree_word(device_tree) != MAGIC) return 1;
    const uint8_t *at = device_tree + tree_word(device_tree + 8), *end = device_tree + tree_word(device_tree + 4);
    long count = 0;
    while (at < end) {
        uint32_t token = tree_word(at), length = 0;
        at += 4;
        if (token == END) break;
        if (token == BEGIN_NODE) {
            count += at[0] == 'c' && at[1] == 'p' && at[2] == 'u' && at[3] == '@';
            while (at[length++]) {}
        } else if (token == PROPERTY) {
            length = tree_word(at) + 8;
        }
        at += (length + 3) & ~3u;
    }
    return count;
}
