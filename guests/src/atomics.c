/* Atomic operations of all widths, alone in one thread: what each returns and what it leaves. */
#include "tiny.h"

#define TRY(type, start, operand)                                                                             \
    do {                                                                                                      \
        type cell = (type)(start), value = (type)(operand), expected;                                         \
        long sum = 0;                                                                                         \
        sum = sum * 31 + __atomic_fetch_add(&cell, value, __ATOMIC_SEQ_CST), sum = sum * 31 + cell;           \
        sum = sum * 31 + __atomic_fetch_sub(&cell, 7, __ATOMIC_RELAXED), sum = sum * 31 + cell;               \
        sum = sum * 31 + __atomic_fetch_and(&cell, ~value, __ATOMIC_ACQUIRE), sum = sum * 31 + cell;          \
        sum = sum * 31 + __atomic_fetch_or(&cell, value, __ATOMIC_RELEASE), sum = sum * 31 + cell;            \
        sum = sum * 31 + __atomic_fetch_xor(&cell, -1, __ATOMIC_ACQ_REL), sum = sum * 31 + cell;              \
        sum = sum * 31 + __atomic_exchange_n(&cell, value, __ATOMIC_SEQ_CST), sum = sum * 31 + cell;          \
        expected = value;                                                                                     \
        sum = sum * 31 + __atomic_compare_exchange_n(&cell, &expected, 9, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
        sum = sum * 31 + __atomic_compare_exchange_n(&cell, &expected, 5, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
        say("%s: %d, expected %d, sum %x\n", #type, (long)cell, (long)expected, sum);                         \
    } while (0)

#ifdef __riscv
#define AMO(name, type, order)                                                                                \
    static type name(type *cell, type value) {                                                                \
        type old;                                                                                             \
        asm volatile(order " %0, %2, (%1)" : "=r"(old) : "r"(cell), "r"(value) : "memory");                   \
        return old;                                                                                           \
    }
#else
#define AMO(name, type, order)                                                                                \
    static type name(type *cell, type value) {                                                                \
        type old = *cell;                                                                                     \
        if (order[4] == 'a' ? old < value : old > value) *cell = value;                                       \
        return old;                                                                                           \
    }
#endif
AMO(min_word, int32_t, "amomin.w")
AMO(max_word, int32_t, "amomax.w.aq")
AMO(min_unsigned, uint32_t, "amominu.w.rl")
AMO(max_unsigned, uint32_t, "amomaxu.w")
AMO(min_long, int64_t, "amomin.d")
AMO(max_long, int64_t, "amomax.d")
AMO(min_unsigned_long, uint64_t, "amominu.d")
AMO(max_unsigned_long, uint64_t, "amomaxu.d.aqrl")

#define EXTREMES(type, least, most)                                                                           \
    do {                                                                                                      \
        type cell = 5;                                                                                        \
        long a = least(&cell, (type)-3), b = cell, c = most(&cell, (type)4), d = cell;                        \
        say("%s: %d %d %d %d\n", #type, a, b, c, d);                                                          \
    } while (0)

int main(void) {
    TRY(int8_t, 100, 77);
    TRY(uint8_t, 200, 99);
    TRY(int16_t, -30000, 12345);
    TRY(int32_t, 0x7ffffff0, 0x12345678);
    TRY(uint32_t, 0xfffffff0, 0x87654321);
    TRY(int64_t, 0x7ffffffffffffff0, 0x123456789abcdef0);
    EXTREMES(int32_t, min_word, max_word);
    EXTREMES(uint32_t, min_unsigned, max_unsigned);
    EXTREMES(int64_t, min_long, max_long);
    EXTREMES(uint64_t, min_unsigned_long, max_unsigned_long);
    return 0;
}
