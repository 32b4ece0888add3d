/* Code written at run time: made, run, changed, run again; in writable pages, in sealed ones, in replaced ones. */
#include "must.h"
#include <sys/mman.h>

enum { PAGE = 4096 };
typedef int Function(void);

/* Writes a function that returns a number below 2048; returns its size. */
static int emit(void *at, int value) {
#ifdef __riscv
    uint32_t code[] = {0x00000513u | (uint32_t)value << 20 /* li a0, value */, 0x00008067 /* ret */};
#else
    uint8_t code[] = {0xb8, value & 255, value >> 8, 0, 0 /* mov eax, value */, 0xc3 /* ret */};
#endif
    memcpy(at, code, sizeof code);
    __builtin___clear_cache(at, (char *)at + sizeof code);
    return sizeof code;
}

static int call(void *code) { return ((Function *)code)(); }

int main(void) {
    int both = PROT_READ | PROT_WRITE | PROT_EXEC, sum = 0;
    char *page = mmap(NULL, PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(page != MAP_FAILED);
    for (int i = 0; i < 2000; i++) emit(page, i), sum += call(page);
    printf("changed in place: %d\n", sum);

    int at = 0, count = 0;
    for (; at + 16 < PAGE; count++) at += emit(page + at, count % 2000);
    int size = at / count;
    for (sum = 0; count--;) sum += call(page + count * size) == count % 2000;
    printf("many in a page: %s\n", sum == at / size ? "all right" : "wrong");

    for (int i = sum = 0; i < 50; i++) {
        must(mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0);
        emit(page, i);
        must(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0);
        sum += call(page);
    }
    printf("sealed by mprotect: %d\n", sum);

    for (int i = sum = 0; i < 50; i++) {
        must(mmap(page, PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page);
        emit(page, 2 * i);
        sum += call(page);
    }
    printf("page replaced: %d\n", sum);

    char *next = mmap(NULL, PAGE, both, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *moved = next;
    for (int i = sum = 0; i < 50; i++) {
        emit(page, 3 * i);
        sum += call(page);
        must(mremap(page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved) == moved);
        sum += call(moved);
        char *old = page;
        page = moved, moved = old;
    }
    printf("page moved: %d\n", sum);
    return 0;
}
