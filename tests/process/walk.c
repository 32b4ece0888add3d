/* A random walk over the calls on memory: argv[1] a seed, argv[2] how many steps. Prints each result, and at the end which pages
 * can be read and written, what they hold, and what the kernel says is mapped.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <sys/syscall.h>

enum { PAGES = 48, RW = PROT_READ | PROT_WRITE };
static char *area;
static unsigned long state;
static unsigned draw(unsigned below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (state >> 16) % below;
}
static void told(const char *what, int at, int count, long result) {
    printf("%s %d %d: ", what, at, count);
    if (result < 0) printf("%s\n", strerror(errno));
    else if (result == 0) printf("done\n");
    else printf("at %ld\n", (result - (long)area) / PAGE);
}
static void step(void) {
    static const int protections[] = {RW, RW, RW, PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC};
    int at = draw(PAGES), count = 1 + draw(6), prot = protections[draw(6)];
    if (at + count > PAGES) count = PAGES - at;
    char *here = area + at * PAGE;
    long size = count * PAGE - (draw(4) == 0 ? 100 : 0);
    switch (draw(6)) {
    case 0: told("map", at, count, (long)mmap(here, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)); break;
    case 1: told("map what is free", at, count, (long)mmap(here, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | 0x100000, -1, 0)); break;
    case 2: told("share", at, count, (long)mmap(here, size, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0)); break;
    case 3: told("unmap", at, count, munmap(here, size)); break;
    case 4: told("protect", at, count, mprotect(here, size, prot)); break;
    default: told("empty", at, count, madvise(here, size, MADV_DONTNEED)); break;
    }
    for (int page = 0; page < PAGES; page++) {      /* a mark where it can be written: read() says EFAULT, no signal comes */
        int ends[2];
        if (draw(8)) continue;
        must(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
        printf("%s", read(ends[0], area + page * PAGE, 1) == 1 ? "w" : "-");
        close(ends[0]), close(ends[1]);
    }
    printf("\n");
}
static void look(void) {
    int ends[2];
    char byte, line[256];
    must(pipe(ends) == 0);
    for (int page = 0; page < PAGES; page++)
        if (write(ends[1], area + page * PAGE, 1) == 1) must(read(ends[0], &byte, 1) == 1), printf("%c", byte ? byte : '0');
        else printf("-");
    printf("\n");
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long start, end, last = 0;
    char flags[8], before[8] = "";
    while (fgets(line, sizeof line, maps))          /* neighbours that are alike may be one line or two */
        if (sscanf(line, "%lx-%lx %7s", &start, &end, flags) == 3 && start >= (unsigned long)area && end <= (unsigned long)area + PAGES * PAGE) {
            if (start != last || strcmp(flags, before)) printf("%s%ld %s", last ? "\n" : "", (long)(start - (unsigned long)area) / PAGE, flags);
            printf(" to %ld", (long)(end - (unsigned long)area) / PAGE), last = end, strcpy(before, flags);
        }
    printf("\n");
}
static void heap(void) {
    char *start = sbrk(0), *now = start;
    for (int n = 0; n < 40; n++) {
        long by = (long)draw(5 * PAGE) - 2 * PAGE;
        if (now + by < start) by = start - now;
        now = (char *)syscall(SYS_brk, now + by);
        printf("%ld ", now - start);
    }
    printf("\nback to %ld\n", (char *)syscall(SYS_brk, start) - start);
}
int main(int count, char **words) {
    state = strtoul(words[1], NULL, 0) * 2654435761u + 88172645463325252u;
    setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16);
    area = mmap(NULL, (PAGES + 16) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(area != MAP_FAILED), area += 8 * PAGE;
    for (int n = atoi(words[2]); n > 0; n--) step();
    look(), heap();
    return 0;
}
