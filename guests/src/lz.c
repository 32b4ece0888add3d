/* Compression by back references (LZ77) and back again: hash chains, byte compares, overlapping copies. */
#include "tiny.h"

enum { SIZE = 1 << 17, HASHES = 1 << 13, SHORTEST = 4, LONGEST = 127 + SHORTEST, WINDOW = 65535, TRIES = 16 };
static uint8_t plain[SIZE], packed[SIZE * 2], again[SIZE];

static long pack(void) {
    static int heads[HASHES], before[SIZE]; /* positions plus one; zero ends a chain */
    long out = 0;
    for (int i = 0; i < HASHES; i++) heads[i] = 0;
    for (long at = 0; at < SIZE;) {
        long best = 0, from = 0, tries = TRIES;
        uint32_t hash = 0;
        if (at + SHORTEST <= SIZE) {
            hash =
                (plain[at] | plain[at + 1] << 8 | plain[at + 2] << 16 | (uint32_t)plain[at + 3] << 24) * 2654435761u >>
                19;
            for (long p = heads[hash]; p && at - (p - 1) <= WINDOW && tries--; p = before[p - 1]) {
                long length = 0;
                while (length < LONGEST && at + length < SIZE && plain[p - 1 + length] == plain[at + length]) length++;
                if (length > best) best = length, from = p - 1;
            }
            before[at] = heads[hash], heads[hash] = at + 1;
        }
        if (best >= SHORTEST) {
            packed[out++] = 128 + best - SHORTEST;
            packed[out++] = (at - from) & 255, packed[out++] = (at - from) >> 8;
            at += best;
        } else {
            packed[out++] = plain[at++]; /* below 128 */
        }
    }
    return out;
}

static long unpack(long size) {
    long out = 0;
    for (long in = 0; in < size;) {
        uint8_t token = packed[in++];
        if (token < 128) {
            again[out++] = token;
            continue;
        }
        long from = out - (packed[in] | packed[in + 1] << 8);
        in += 2;
        for (int i = token - 128 + SHORTEST; i; i--) again[out++] = again[from++];
    }
    return out;
}

int main(int argc, char **argv) {
    static const char *words[] = {"the ", "code ", "of ",    "a ",  "guest ", "is ",    "read ", "once ",
                                  "and ", "run ",  "often ", "by ", "its ",   "host. ", "so ",   "then "};
    long rounds = argument(argc, argv, 1), total = 0, wrong = 0;
    for (long round = 0; round < rounds; round++) {
        for (long at = 0; at < SIZE;)
            for (const char *s = words[random_bits() >> 60 & random_bits() >> 60]; *s && at < SIZE; s++)
                plain[at++] = *s;
        long size = pack(), length = unpack(size);
        total += size, wrong += length != SIZE;
        for (long i = 0; i < SIZE; i++) wrong += plain[i] != again[i];
    }
    say("%d bytes in %d, %d wrong\n", rounds * SIZE, total, wrong);
    return 0;
}
