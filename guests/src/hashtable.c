/* A hash table with open addressing, filled, searched and emptied: scattered loads and short probes. */
#include "tiny.h"

enum { BITS = 16, SIZE = 1 << BITS };
static struct { uint64_t key, value; } table[SIZE];
static uint64_t probes;

static uint64_t *find(uint64_t key, int insert) {
    uint64_t at = key * 0x9e3779b97f4a7c15 >> (64 - BITS);
    for (; table[at].key != 0; at = (at + 1) % SIZE, probes++)
        if (table[at].key == key) return &table[at].value;
    if (!insert) return NULL;
    table[at].key = key;
    return &table[at].value;
}

int main(int argc, char **argv) {
    long rounds = argument(argc, argv, 1), hits = 0;
    uint64_t sum = 0;
    for (long round = 0; round < rounds; round++) {
        uint64_t first = random_state;
        for (int i = 0; i < SIZE / 2; i++) *find(random_bits() | 1, 1) += i;
        random_state = first;
        for (int i = 0; i < SIZE; i++) {
            uint64_t *value = find(random_bits() | 1, 0);
            if (value) hits++, sum = sum * 31 + *value;
        }
        for (int i = 0; i < SIZE; i++) table[i].key = 0, table[i].value = 0;
    }
    say("%d hits, %d probes, sum %x\n", hits, probes, sum);
    return 0;
}
