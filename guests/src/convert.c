/* Numbers between all integer and floating types and back: conversions, truncation and rounding. */
#include "tiny.h"

int main(int argc, char **argv) {
    uint64_t sum = 0;
    double total = 0;
    for (long i = argument(argc, argv, 1000); i; i--) {
        uint64_t bits = random_bits() >> (i & 31);
        int64_t whole = (int64_t)(bits * 3) >> 1;
        float single = (float)whole, from_word = (float)(int32_t)bits, from_unsigned = (float)(uint32_t)bits;
        double wide = (double)whole, from_long = (double)bits, from_int = (double)(int32_t)whole;
        sum += (uint64_t)(int64_t)single + (uint64_t)(int64_t)(wide / 3);
        sum = sum * 31 + (uint64_t)(from_long * 0.999) + (uint64_t)(from_unsigned / 5);
        sum = sum * 31 + (uint32_t)(int32_t)(from_word * 0.9f) + (uint32_t)(from_unsigned * 0.9f);
        sum ^= (uint64_t)(int64_t)(int32_t)(from_int * 0.7) + (uint8_t)(from_unsigned / 0x1p25f);
        total += wide - (double)single + (double)(float)(from_long / 7) - from_long / 7;
        total = (double)(int64_t)total;
    }
    say("sum %x\n", sum);
    show("lost", total);
    return 0;
}
