/* Loads and stores: streams in order, words anywhere in 8 MiB, words that are not aligned, whole or as compilers take them apart. */
#include "tiny.h"

#define COUNT (1 << 19)
static uint64_t first[COUNT], second[COUNT], third[COUNT];
typedef struct { uint64_t value; } __attribute__((packed)) Loose;

static NOINLINE void stream(long n) {
    for (long i = 0; i < COUNT; i++) third[i] = first[i] + n * second[i];
    for (long i = 0; i < COUNT; i++) first[i] = third[i];
}

static NOINLINE uint64_t anywhere(uint64_t at) {
    for (long i = 0; i < COUNT; i++) {
        at = at * 6364136223846793005u + 1442695040888963407u;
        first[at >> 45] ^= at;
        at += second[(at >> 20) % COUNT];
    }
    return at;
}

static NOINLINE uint64_t pieces(uint64_t sum) { /* eight loads and stores of a byte each, on riscv64 */
    for (long i = 1; i < 8 * (COUNT - 2); i += 13) {
        Loose *from = (Loose *)((char *)first + i), *to = (Loose *)((char *)second + i);
        sum += from->value;
        to->value = sum ^ i;
    }
    return sum;
}

#ifdef __riscv
static uint64_t load(const char *from) {
    uint64_t value;
    asm volatile("ld %0, 0(%1)" : "=r"(value) : "r"(from) : "memory");
    return value;
}
static void store(char *to, uint64_t value) { asm volatile("sd %0, 0(%1)" ::"r"(value), "r"(to) : "memory"); }
#else
static uint64_t load(const char *from) { return ((const Loose *)from)->value; }
static void store(char *to, uint64_t value) { ((Loose *)to)->value = value; }
#endif

static NOINLINE uint64_t loose(uint64_t sum) {
    for (long i = 1; i < 8 * (COUNT - 2); i += 13) {
        sum += load((char *)first + i);
        store((char *)second + i, sum ^ i);
    }
    return sum;
}

int main(int argc, char **argv) {
    char what = argc > 1 ? argv[1][0] : 's'; /* stream, anywhere, loose or pieces */
    long rounds = argument(argc - 1, argv + 1, 1);
    uint64_t sum = 0;
    for (long i = 0; i < COUNT; i++) first[i] = i * 3, second[i] = i ^ 5;
    for (long n = 0; n < rounds; n++) {
        if (what == 's') stream(n);
        else sum = what == 'a' ? anywhere(sum) : what == 'l' ? loose(sum) : pieces(sum);
    }
    for (long i = 0; i < COUNT; i++) sum = sum * 31 + first[i] + second[i];
    say("%x\n", sum);
    return 0;
}
