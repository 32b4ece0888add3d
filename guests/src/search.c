/* Searching a text for words, by Horspool's method and by a state machine: byte loads and table look-ups. */
#include "tiny.h"

enum { SIZE = 1 << 20, STATES = 16 };
static uint8_t text[SIZE];

static long horspool(const char *word, long length) {
    long skip[256], found = 0;
    for (int i = 0; i < 256; i++) skip[i] = length;
    for (long i = 0; i < length - 1; i++) skip[(uint8_t)word[i]] = length - 1 - i;
    for (long at = 0; at <= SIZE - length; at += skip[text[at + length - 1]]) {
        long i = length;
        while (i && text[at + i - 1] == (uint8_t)word[i - 1]) i--;
        found += i == 0;
    }
    return found;
}

/* Knuth, Morris and Pratt, with the failure function made into a table of all steps. */
static long automaton(const char *word, long length) {
    static uint8_t next[STATES][256];
    long found = 0, state = 0, back = 0;
    for (int i = 0; i < 256; i++) next[0][i] = i == (uint8_t)word[0];
    for (long i = 1; i <= length; i++) {
        for (int c = 0; c < 256; c++) next[i][c] = next[back][c];
        if (i < length) next[i][(uint8_t)word[i]] = i + 1, back = next[back][(uint8_t)word[i]];
    }
    for (long i = 0; i < SIZE; i++) {
        state = next[state][text[i]];
        found += state == length;
    }
    return found;
}

int main(int argc, char **argv) {
    static const char *words[] = {"abba", "dragoman", "aaaaaa", "mandragora", "drag"};
    long rounds = argument(argc, argv, 1);
    static const char letters[] = "aadgmnor";
    for (int i = 0; i < SIZE; i++) text[i] = letters[random_bits() >> 61];
    for (int i = 0; i + 16 < SIZE; i += 1 + (random_bits() >> 52))
        for (const char *s = words[i % 3 == 0 ? 1 : 3]; *s; s++) text[i++] = *s;
    for (unsigned w = 0; w < LENGTH(words); w++) {
        long length = 0, skipped = 0, stepped = 0;
        while (words[w][length]) length++;
        for (long round = 0; round < rounds; round++) {
            text[round * 37 % SIZE] ^= 1;
            skipped += horspool(words[w], length);
            stepped += automaton(words[w], length);
        }
        say("%s: %d, %d\n", words[w], skipped, stepped);
    }
    return 0;
}
