/* Loads and stores at every offset, across cache lines and pages. */
#include "tiny.h"

static uint8_t room[3 * 4096] __attribute__((aligned(4096)));

#define AT(type, offset) (*(volatile type *)(room + (offset)))

int main(void) {
    long places[] = {0, 56, 4096 - 8, 8192 - 8};
    for (unsigned i = 0; i < sizeof room; i++) room[i] = (uint8_t)(i * 167 + (i >> 8));
    for (unsigned p = 0; p < LENGTH(places); p++)
        for (long at = places[p]; at < places[p] + 8; at++) {
            uint64_t sum = AT(uint64_t, at);
            sum = sum * 31 + AT(int32_t, at), sum = sum * 31 + AT(uint32_t, at);
            sum = sum * 31 + AT(int16_t, at), sum = sum * 31 + AT(uint16_t, at);
            AT(uint64_t, at) += 0x0102030405060708, AT(uint32_t, at + 2) ^= 0x5a5a5a5a, AT(uint16_t, at + 1) -= 3;
            AT(double, at + 16) = AT(uint32_t, at) * 0.25, AT(float, at + 24) = AT(uint16_t, at) * 0.5f;
            sum = sum * 31 + AT(uint64_t, at + 16), sum = sum * 31 + AT(uint32_t, at + 24);
            say("at %d: %x\n", at, sum);
        }
    uint64_t sum = 0;
    for (unsigned i = 0; i < sizeof room; i++) sum = sum * 31 + room[i];
    say("all: %x\n", sum);
    return 0;
}
