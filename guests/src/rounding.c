/* Floating-point control: rounding modes and exception flags, and special values where all machines agree. */
#include "must.h"
#include <fenv.h>
#include <math.h>

static volatile double one = 1, three = 3, tenth = 0.1, huge = 1e308, tiny = 5e-324, zero = 0, smallest = 0x1p-1022;
static volatile float single = 1e30f;
static volatile long big = 0x7fffffffffffff01;

static uint64_t bits(double x) {
    uint64_t u;
    memcpy(&u, &x, 8);
    return u;
}

static void flags(const char *what) {
    int raised = fetestexcept(FE_ALL_EXCEPT);
    printf("%-28s%s%s%s%s%s\n", what, raised & FE_INEXACT ? " inexact" : "", raised & FE_UNDERFLOW ? " underflow" : "",
           raised & FE_OVERFLOW ? " overflow" : "", raised & FE_DIVBYZERO ? " by-zero" : "",
           raised & FE_INVALID ? " invalid" : "");
    feclearexcept(FE_ALL_EXCEPT);
}

int main(void) {
    static const struct { int mode; const char *name; } modes[] = {
        {FE_TONEAREST, "nearest"}, {FE_TOWARDZERO, "zero"}, {FE_UPWARD, "up"}, {FE_DOWNWARD, "down"}};
    volatile double result;
    volatile float small;
    volatile long whole;
    for (int i = 0; i < 4; i++) {
        must(fesetround(modes[i].mode) == 0 && fegetround() == modes[i].mode);
        printf("to %s:\n", modes[i].name);
        printf("  %016lx %016lx\n", bits(one / three), bits(-one / three));
        printf("  %016lx %016lx\n", bits(tenth + three), bits(tenth * tenth));
        printf("  %016lx %016lx\n", bits(sqrt(three)), bits(fma(tenth, tenth, -three)));
        printf("  %016lx %016lx\n", bits((float)tenth), bits((float)-tenth));
        printf("  %016lx %016lx\n", bits((double)big), bits((float)-big));
        printf("  %016lx %016lx\n", bits(huge * 10), bits(-huge * 10));
        printf("  %016lx %016lx\n", bits(tiny / 2), bits(-tiny / 2));
        printf("  %016lx\n", bits(one - one));
        printf("  %ld %ld %ld %ld\n", lrint(2.5 * one), lrint(-2.5 * one), lrint(three + tenth),
               (long)(-three - tenth));
    }
    fesetround(FE_TONEAREST);
    feclearexcept(FE_ALL_EXCEPT);
    result = one + three, flags("exact");
    result = one / three, flags("1 / 3");
    result = one / zero, flags("1 / 0");
    result = zero / zero, flags("0 / 0");
    must(isnan(result));
    result = huge * huge, flags("overflow");
    result = smallest * tenth, flags("underflow");
    result = smallest / 2, flags("exact subnormal");
    result = sqrt(-one), flags("sqrt(-1)");
    result = INFINITY * one - INFINITY * one, flags("infinity - infinity");
    small = (float)huge, flags("narrowed too far");
    small = single * single, flags("float overflow");
    small = (float)tiny, flags("float underflow");
    whole = (long)(three / 2), flags("truncated");
    whole = (long)huge, flags("too large for a long");
    whole = (int)(1e10 * one), flags("too large for an int");
    whole = result < one, flags("less than NaN");
    whole = result == one, flags("equal to NaN");
    whole = isless(result, one), flags("quietly less than NaN");
    result = fma(huge, huge, -INFINITY), flags("fma, large, - infinity");
    result = fma(INFINITY, zero, one), flags("fma, infinity * 0");
    feraiseexcept(FE_UNDERFLOW | FE_INVALID), flags("raised by hand");
    fenv_t kept;
    result = one / zero, must(feholdexcept(&kept) == 0), result = one / three, flags("held");
    must(fesetenv(&kept) == 0), flags("restored");
    (void)result, (void)small, (void)whole;
    return 0;
}
