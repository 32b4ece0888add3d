/* Zba, Zbb, Zbc and Zbs: each instruction on edge values, its result beside that of its definition in C. */
#include "tiny.h"

#ifdef __riscv
#define ASSEMBLE(text, ...) asm volatile(".option push\n.option arch, +zba, +zbb, +zbc, +zbs\n" text "\n.option pop" : __VA_ARGS__)
#else
#define ASSEMBLE(text, ...) ((void)0)
#endif
#define BINARY(name, mnemonic, meaning)                                                        \
    static uint64_t name(uint64_t a, uint64_t b) {                                             \
        uint64_t wanted = (meaning), result = wanted;                                          \
        ASSEMBLE(mnemonic " %0, %1, %2", "=r"(result) : "r"(a), "r"(b));                       \
        return result == wanted ? result : failed(mnemonic, a, b, result, wanted);             \
    }
#define UNARY(name, mnemonic, meaning)                                                         \
    static uint64_t name(uint64_t a) {                                                         \
        uint64_t wanted = (meaning), result = wanted;                                          \
        ASSEMBLE(mnemonic " %0, %1", "=r"(result) : "r"(a));                                   \
        return result == wanted ? result : failed(mnemonic, a, 0, result, wanted);             \
    }
#define IMMEDIATE(name, mnemonic, amount, meaning)                                             \
    static uint64_t name(uint64_t a) {                                                         \
        const uint64_t b = amount;                                                             \
        uint64_t wanted = (meaning), result = wanted;                                          \
        ASSEMBLE(mnemonic " %0, %1, " #amount, "=r"(result) : "r"(a));                         \
        return result == wanted ? result : failed(mnemonic, a, b, result, wanted);             \
    }
#define EACH_AMOUNT(name, mnemonic, meaning)         \
    IMMEDIATE(name##_0, mnemonic, 0, meaning)        \
    IMMEDIATE(name##_1, mnemonic, 1, meaning)        \
    IMMEDIATE(name##_31, mnemonic, 31, meaning)
#define EACH_LONG_AMOUNT(name, mnemonic, meaning)    \
    EACH_AMOUNT(name, mnemonic, meaning)             \
    IMMEDIATE(name##_32, mnemonic, 32, meaning)      \
    IMMEDIATE(name##_63, mnemonic, 63, meaning)

static int failures;

static uint64_t failed(const char *name, uint64_t a, uint64_t b, uint64_t result, uint64_t wanted) {
    say("%s of %x and %x is %x, not %x\n", name, a, b, result, wanted);
    failures++;
    return result;
}

/* --- the manual's definitions, a bit at a time where it has loops */
#define WORD(value) ((uint64_t)(int64_t)(int32_t)(value))

static uint64_t zeros(uint64_t a, int from, int step) {
    uint64_t count = 0;
    for (int n = from; n >= 0 && n <= 63 && !(a >> n & 1); n += step) count++;
    return count;
}
static uint64_t ones(uint64_t a) {
    uint64_t count = 0;
    for (int n = 0; n < 64; n++) count += a >> n & 1;
    return count;
}
static uint64_t rotated(uint64_t a, unsigned amount) {
    for (amount &= 63; amount--;) a = a >> 1 | a << 63;
    return a;
}
static uint32_t rotated_word(uint32_t a, unsigned amount) {
    for (amount &= 31; amount--;) a = a >> 1 | a << 31;
    return a;
}
static uint64_t bytes(uint64_t a, int reverse) {
    uint64_t result = 0;
    for (int n = 0; n < 64; n += 8) {
        uint64_t byte = a >> n & 0xff;
        result |= reverse ? byte << (56 - n) : (byte ? 0xfful : 0) << n;
    }
    return result;
}
/* Bits `from` to `from` + 63 of the carry-less product. */
static uint64_t product(uint64_t a, uint64_t b, int from) {
    uint64_t result = 0;
    for (int n = 0; n < 64; n++)
        if (b >> n & 1) result ^= n < from ? (from - n < 64 ? a >> (from - n) : 0) : a << (n - from);
    return result;
}

BINARY(add_uw, "add.uw", (uint32_t)a + b)
BINARY(sh1add, "sh1add", (a << 1) + b)
BINARY(sh2add, "sh2add", (a << 2) + b)
BINARY(sh3add, "sh3add", (a << 3) + b)
BINARY(sh1add_uw, "sh1add.uw", ((uint64_t)(uint32_t)a << 1) + b)
BINARY(sh2add_uw, "sh2add.uw", ((uint64_t)(uint32_t)a << 2) + b)
BINARY(sh3add_uw, "sh3add.uw", ((uint64_t)(uint32_t)a << 3) + b)
EACH_LONG_AMOUNT(slli_uw, "slli.uw", (uint64_t)(uint32_t)a << b)

BINARY(andn, "andn", a & ~b)
BINARY(orn, "orn", a | ~b)
BINARY(xnor, "xnor", ~(a ^ b))
UNARY(clz, "clz", zeros(a, 63, -1))
UNARY(ctz, "ctz", zeros(a, 0, 1))
UNARY(cpop, "cpop", ones(a))
UNARY(clzw, "clzw", zeros((uint32_t)a, 31, -1))
UNARY(cpopw, "cpopw", ones((uint32_t)a))
UNARY(sext_b, "sext.b", (uint64_t)(int64_t)(int8_t)a)
UNARY(sext_h, "sext.h", (uint64_t)(int64_t)(int16_t)a)
UNARY(zext_h, "zext.h", (uint16_t)a)
BINARY(min, "min", (int64_t)a < (int64_t)b ? a : b)
BINARY(minu, "minu", a < b ? a : b)
BINARY(max, "max", (int64_t)a < (int64_t)b ? b : a)
BINARY(maxu, "maxu", a < b ? b : a)
BINARY(rol, "rol", rotated(a, -b))
BINARY(rolw, "rolw", WORD(rotated_word(a, -b)))
BINARY(ror, "ror", rotated(a, b))
BINARY(rorw, "rorw", WORD(rotated_word(a, b)))
EACH_LONG_AMOUNT(rori, "rori", rotated(a, b))
EACH_AMOUNT(roriw, "roriw", WORD(rotated_word(a, b)))
UNARY(orc_b, "orc.b", bytes(a, 0))
UNARY(rev8, "rev8", bytes(a, 1))

BINARY(clmul, "clmul", product(a, b, 0))
BINARY(clmulr, "clmulr", product(a, b, 63))
BINARY(clmulh, "clmulh", product(a, b, 64))

BINARY(bclr, "bclr", a & ~(1ul << (b & 63)))
BINARY(bext, "bext", a >> (b & 63) & 1)
BINARY(binv, "binv", a ^ 1ul << (b & 63))
BINARY(bset, "bset", a | 1ul << (b & 63))
EACH_LONG_AMOUNT(bclri, "bclri", a & ~(1ul << b))
EACH_LONG_AMOUNT(bexti, "bexti", a >> b & 1)
EACH_LONG_AMOUNT(binvi, "binvi", a ^ 1ul << b)
EACH_LONG_AMOUNT(bseti, "bseti", a | 1ul << b)

/* Not called where the low word is 0: QEMU 7.2 counts into the high one there. */
UNARY(ctzw, "ctzw", zeros((uint32_t)a, 0, 1))

typedef uint64_t unary(uint64_t), binary(uint64_t, uint64_t);
#define AMOUNTS(name) name##_0, name##_1, name##_31
#define LONG_AMOUNTS(name) AMOUNTS(name), name##_32, name##_63
static binary *const of_two[] = {add_uw, sh1add, sh2add, sh3add, sh1add_uw, sh2add_uw, sh3add_uw, andn, orn, xnor, min, minu, max, maxu,
                                 rol, rolw, ror, rorw, clmul, clmulr, clmulh, bclr, bext, binv, bset};
static unary *const of_one[] = {LONG_AMOUNTS(slli_uw), clz, ctz, cpop, clzw, cpopw, sext_b, sext_h, zext_h, LONG_AMOUNTS(rori),
                                AMOUNTS(roriw), orc_b, rev8, LONG_AMOUNTS(bclri), LONG_AMOUNTS(bexti), LONG_AMOUNTS(binvi),
                                LONG_AMOUNTS(bseti)};

int main(void) {
    static const uint64_t values[] = {0, 1, -1ul, 2, -2ul, 31, 32, 63, 64, 65, 0x80, 0x8000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
                                      INT64_MAX, 1ul << 63, 0x0123456789abcdef, 0xfedcba9876543210, 0x5555555555555555, 0x00ff00ff00ff00ff};
    for (unsigned i = 0; i < LENGTH(values); i++) {
        uint64_t a = values[i], sum = (uint32_t)a ? ctzw(a) : 32;
        for (unsigned f = 0; f < LENGTH(of_one); f++) sum = sum * 31 + of_one[f](a);
        say("%x: %x", a, sum);
        for (unsigned j = 0; j < LENGTH(values); j++)
            for (unsigned f = 0; f < LENGTH(of_two); f++) sum = sum * 31 + of_two[f](a, values[j]);
        say(" %x\n", sum);
    }
    /* Round and round, for compiled regions: the output of one is the input of the next. */
    uint64_t state = 0x9e3779b97f4a7c15;
    for (long round = 0; round < 3000; round++) {
        for (unsigned f = 0; f < LENGTH(of_two); f++) state = of_two[f](state ^ round, rotated(state, 17) + f) + 0x9e3779b97f4a7c15;
        for (unsigned f = 0; f < LENGTH(of_one); f++) state ^= of_one[f](state + f) * 31;
    }
    say("rounds: %x\nfailures: %d\n", state, (long)failures);
    return failures != 0;
}
