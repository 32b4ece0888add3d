/* Code written through one mapping and run through another: so work compilers that never map writable code. */
#include "must.h"
#include <sys/mman.h>
#include <unistd.h>

int main(void) {
    int file = memfd_create("code", 0);
    must(file >= 0 && ftruncate(file, 4096) == 0);
    char *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    char *runnable = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
    must(writable != MAP_FAILED && runnable != MAP_FAILED);
    long sum = 0;
    for (int value = 0; value < 1000; value++) {
#ifdef __riscv
        uint32_t code[] = {0x00000513u | (uint32_t)value << 20 /* li a0, value */, 0x00008067 /* ret */};
#else
        uint8_t code[] = {0xb8, value & 255, value >> 8, 0, 0 /* mov eax, value */, 0xc3 /* ret */};
#endif
        memcpy(writable, code, sizeof code);
        __builtin___clear_cache(runnable, runnable + sizeof code);
        sum += ((int (*)(void))runnable)();
    }
    printf("sum %ld\n", sum);
    return 0;
}
