/* strlen, memcpy and strcmp in C, byte by byte or eight bytes at a time, over strings of 0 to 255 characters. */
#include "tiny.h"

typedef uint64_t __attribute__((may_alias)) Word;
#define ONES 0x0101010101010101u
#define HIGHS 0x8080808080808080u
static int has_zero(uint64_t w) { return ((w - ONES) & ~w & HIGHS) != 0; }

static NOINLINE size_t length_bytes(const char *s) {
    const char *p = s;
    while (*p) p++;
    return p - s;
}
static NOINLINE size_t length_words(const char *s) {
    const char *p = s;
    while (!has_zero(*(const Word *)p)) p += 8;
    while (*p) p++;
    return p - s;
}
static NOINLINE void copy_bytes(char *to, const char *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i] = from[i];
        asm volatile("" ::: "memory"); /* no call of memcpy, no vectors */
    }
}
static NOINLINE void copy_words(char *to, const char *from, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) *(Word *)(to + i) = *(const Word *)(from + i);
    for (; i < n; i++) to[i] = from[i];
}
static NOINLINE int compare_bytes(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (uint8_t)*a - (uint8_t)*b;
}
static NOINLINE int compare_words(const char *a, const char *b) {
    while (*(const Word *)a == *(const Word *)b && !has_zero(*(const Word *)a)) a += 8, b += 8;
    return compare_bytes(a, b);
}

#define STRINGS 64
static char strings[STRINGS][272] __attribute__((aligned(8)));
static char copies[STRINGS][272] __attribute__((aligned(8)));

int main(int argc, char **argv) {
    int words = argc > 1 && argv[1][0] == 'w'; /* "words", not "bytes" */
    long rounds = argument(argc - 1, argv + 1, 10), sum = 0;
    for (int i = 0; i < STRINGS; i++)
        for (int k = 0, n = random_bits() >> 56; k < n; k++) strings[i][k] = 'a' + (k * 7 + i / 8) % 26;
    for (long n = 0; n < rounds; n++)
        for (int i = 0; i < STRINGS; i++) {
            char *copy = copies[(i + n) % STRINGS];
            size_t size = words ? length_words(strings[i]) : length_bytes(strings[i]);
            (words ? copy_words : copy_bytes)(copy, strings[i], size + 1);
            sum += size + (words ? compare_words : compare_bytes)(copy, strings[(i + 1) % STRINGS]);
        }
    say("%d\n", sum);
    return 0;
}
