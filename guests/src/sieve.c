/* The sieve of Eratosthenes: strided byte stores over a table. */
#include "tiny.h"

enum { LIMIT = 1 << 20 };
static uint8_t composite[LIMIT];

int main(int argc, char **argv) {
    long rounds = argument(argc, argv, 1), primes = 0, last = 0;
    for (long round = 0; round < rounds; round++) {
        for (long i = 0; i < LIMIT; i++) composite[i] = 0;
        primes = 0;
        for (long i = 2; i < LIMIT - round; i++) {
            if (composite[i]) continue;
            primes++, last = i;
            for (long j = i * i; j < LIMIT; j += i) composite[j] = 1;
        }
    }
    say("%d primes, the last %d\n", primes, last);
    return 0;
}
