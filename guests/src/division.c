/* Division as RISC-V defines it, by zero and past the largest number included, and the high halves of products. */
#include "tiny.h"

#ifdef __riscv
#define OPERATION(name, type, otherwise)                               \
    static type name(type a, type b) {                                 \
        type result;                                                   \
        asm volatile(#name " %0, %1, %2" : "=r"(result) : "r"(a), "r"(b)); \
        return result;                                                 \
    }
#else /* the manual's table, volume I, 13.2 */
#define OPERATION(name, type, meaning) static type name(type a, type b) { return meaning; }
#endif
#define LEAST INT64_MIN
#define LEAST_WORD INT32_MIN

OPERATION(div, int64_t, b == 0 ? -1 : a == LEAST && b == -1 ? LEAST : a / b)
OPERATION(rem, int64_t, b == 0 ? a : a == LEAST && b == -1 ? 0 : a % b)
OPERATION(divu, uint64_t, b == 0 ? ~0ul : a / b)
OPERATION(remu, uint64_t, b == 0 ? a : a % b)
OPERATION(divw, int32_t, b == 0 ? -1 : a == LEAST_WORD && b == -1 ? LEAST_WORD : a / b)
OPERATION(remw, int32_t, b == 0 ? a : a == LEAST_WORD && b == -1 ? 0 : a % b)
OPERATION(divuw, uint32_t, b == 0 ? ~0u : a / b)
OPERATION(remuw, uint32_t, b == 0 ? a : a % b)
OPERATION(mulh, int64_t, (__int128)a * b >> 64)
OPERATION(mulhu, uint64_t, (unsigned __int128)a * b >> 64)
OPERATION(mulhsu, int64_t, (__int128)a * (unsigned __int128)(uint64_t)b >> 64)

int main(void) {
    static const int64_t values[] = {0,  1,          -1,           2,          -2,         7,         -7,
                                     10, 0x7fffffff, -0x80000000l, 0x80000000, 0xffffffff, INT64_MAX, LEAST};
    for (unsigned i = 0; i < LENGTH(values); i++)
        for (unsigned j = 0; j < LENGTH(values); j++) {
            int64_t a = values[i], b = values[j];
            say("%x %x: %x %x %x %x", a, b, div(a, b), rem(a, b), divu(a, b), remu(a, b));
            say(" %d %d %d %d", (long)divw(a, b), (long)remw(a, b), (long)divuw(a, b), (long)remuw(a, b));
            say(" %x %x %x\n", mulh(a, b), mulhu(a, b), mulhsu(a, b));
        }
    return 0;
}
