/* A byte-code interpreter, a switch in a loop as script languages have: it counts primes by trial division. */
#include "tiny.h"

enum { PUSH, LOAD, STORE, ADD, MUL, MOD, LESS, EQUAL, JUMP, JUMP_IF, JUMP_UNLESS, CALL, RETURN, HALT };
enum { N, CANDIDATE, COUNT, DIVISOR };

static long run(const short *code, long n) {
    long stack[64], globals[8] = {n}, *top = stack, steps = 0;
    const short *pc = code;
    for (;; steps++) {
        switch (*pc++) {
        case PUSH: *top++ = *pc++; break;
        case LOAD: *top++ = globals[*pc++]; break;
        case STORE: globals[*pc++] = *--top; break;
        case ADD: top--, top[-1] += *top; break;
        case MUL: top--, top[-1] *= *top; break;
        case MOD: top--, top[-1] %= *top; break;
        case LESS: top--, top[-1] = top[-1] < *top; break;
        case EQUAL: top--, top[-1] = top[-1] == *top; break;
        case JUMP: pc = code + *pc; break;
        case JUMP_IF: pc = *--top ? code + *pc : pc + 1; break;
        case JUMP_UNLESS: pc = *--top ? pc + 1 : code + *pc; break;
        case CALL: *top++ = pc + 1 - code, pc = code + *pc; break;
        case RETURN: top--, pc = code + top[-1], top[-1] = *top; break;
        case HALT: say("%d primes below %d, %d steps\n", top[-1], n, steps); return steps;
        }
    }
}

static const short program[] = {
    /*  0 */ PUSH, 2, STORE, CANDIDATE, PUSH, 0, STORE, COUNT,
    /*  8 */ LOAD, CANDIDATE, LOAD, N, LESS, JUMP_IF, 18, LOAD, COUNT, HALT,
    /* 18 */ CALL, 34, LOAD, COUNT, ADD, STORE, COUNT,
    /* 25 */ LOAD, CANDIDATE, PUSH, 1, ADD, STORE, CANDIDATE, JUMP, 8,
    /* 34: is CANDIDATE a prime? */
    /* 34 */ PUSH, 2, STORE, DIVISOR,
    /* 38 */ LOAD, CANDIDATE, LOAD, DIVISOR, LOAD, DIVISOR, MUL, LESS, JUMP_UNLESS, 51, PUSH, 1, RETURN,
    /* 51 */ LOAD, CANDIDATE, LOAD, DIVISOR, MOD, PUSH, 0, EQUAL, JUMP_UNLESS, 64, PUSH, 0, RETURN,
    /* 64 */ LOAD, DIVISOR, PUSH, 1, ADD, STORE, DIVISOR, JUMP, 38,
};

int main(int argc, char **argv) {
    run(program, argument(argc, argv, 1000));
    return 0;
}
