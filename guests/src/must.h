/* For feature guests: a claim that must hold, or the guest says which one and ends. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(claim) ((claim) ? (void)0 : failed(__FILE__, __LINE__, #claim))

static inline void failed(const char *file, int line, const char *claim) {
    printf("%s:%d: not so: %s (%s)\n", file, line, claim, strerror(errno));
    fflush(stdout);
    _Exit(99);
}
