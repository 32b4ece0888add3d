/* The edit distance of two long strings: dynamic programming, minimum of three, one row of a table. */
#include "tiny.h"

enum { LONGEST = 30000 };
static uint8_t a[LONGEST], b[LONGEST];

static int least(int x, int y) { return x < y ? x : y; }

int main(int argc, char **argv) {
    static int row[LONGEST + 1];
    long length = argument(argc, argv, 100);
    if (length > LONGEST) length = LONGEST;
    for (long i = 0; i < length; i++) a[i] = "acgt"[random_bits() >> 62];
    for (long i = 0; i < length; i++) b[i] = random_bits() >> 61 ? a[(i + i / 100) % length] : 'x';
    for (long j = 0; j <= length; j++) row[j] = j;
    for (long i = 0; i < length; i++) {
        int diagonal = row[0];
        row[0] = i + 1;
        for (long j = 0; j < length; j++) {
            int change = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            row[j + 1] = least(change, least(row[j], diagonal) + 1);
        }
    }
    say("length %d, distance %d\n", length, (long)row[length]);
    return 0;
}
