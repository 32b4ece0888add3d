/* Address space: map, protect, move, split, share, discard; and the break. */
#include "must.h"
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS, BOTH = PROT_READ | PROT_WRITE };

/* Whether the kernel can read the page: no fault needed to find out. */
static int readable(const void *at) {
    int ends[2];
    must(pipe(ends) == 0);
    int yes = write(ends[1], at, 1) == 1;
    must(yes || errno == EFAULT);
    close(ends[0]), close(ends[1]);
    return yes;
}

int main(void) {
    char *a = mmap(NULL, 8 * PAGE, BOTH, ANONYMOUS, -1, 0);
    must(a != MAP_FAILED && (uintptr_t)a % PAGE == 0);
    for (int i = 0; i < 8; i++) must(a[i * PAGE] == 0), a[i * PAGE] = 'a' + i;
    must(munmap(a + 2 * PAGE, 2 * PAGE) == 0 && mprotect(a + 5 * PAGE, PAGE, PROT_NONE) == 0);
    for (int i = 0; i < 8; i++) putchar(readable(a + i * PAGE) ? a[i * PAGE] : '-');
    printf("  holes\n");
    must(mprotect(a + 5 * PAGE, PAGE, BOTH) == 0 && a[5 * PAGE] == 'f');
    must(mmap(a + 2 * PAGE, PAGE, BOTH, ANONYMOUS | MAP_FIXED, -1, 0) == a + 2 * PAGE && a[2 * PAGE] == 0);
    printf("placed\n");

    char *b = mmap(NULL, 2 * PAGE, BOTH, ANONYMOUS, -1, 0);
    memset(b, 7, 2 * PAGE);
    b = mremap(b, 2 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);
    must(b != MAP_FAILED && b[0] == 7 && b[2 * PAGE - 1] == 7 && b[2 * PAGE] == 0);
    memset(b, 9, 300 * PAGE);
    must(mremap(b, 300 * PAGE, PAGE, 0) == b && readable(b) && !readable(b + PAGE));
    printf("grown and shrunk\n");

    FILE *file = tmpfile();
    must(ftruncate(fileno(file), 3 * PAGE) == 0);
    char *shared = mmap(NULL, 3 * PAGE, BOTH, MAP_SHARED, fileno(file), 0);
    char *private = mmap(NULL, PAGE, BOTH, MAP_PRIVATE, fileno(file), 2 * PAGE), byte;
    strcpy(shared + 2 * PAGE, "shared");
    must(strcmp(private, "shared") == 0);
    strcpy(private, "PRIVATE");
    must(strcmp(shared + 2 * PAGE, "shared") == 0);
    must(pread(fileno(file), &byte, 1, 2 * PAGE) == 1 && byte == 's');
    must(pwrite(fileno(file), "w", 1, PAGE) == 1 && shared[PAGE] == 'w' && msync(shared, 3 * PAGE, MS_SYNC) == 0);
    printf("file: shared and private\n");

    volatile int *between = mmap(NULL, PAGE, BOTH, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int own = 1;
    if (fork() == 0) between[0] = 42, own = 2, _exit(0);
    wait(NULL);
    printf("child: shared %d, own %d\n", between[0], own);

    memset(a, 5, 2 * PAGE);
    must(madvise(a, PAGE, MADV_DONTNEED) == 0 && a[0] == 0 && a[PAGE] == 5);
    char *end = sbrk(0);
    must(sbrk(10 * PAGE) == end && end[10 * PAGE - 1] == 0);
    end[5] = 1;
    must(sbrk(-10 * PAGE) == end + 10 * PAGE && sbrk(0) == end);
    char *large = mmap(NULL, 1L << 32, PROT_NONE, ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(large != MAP_FAILED && mprotect(large + (3L << 30), PAGE, BOTH) == 0);
    large[3L << 30] = 1;
    must(munmap(large, 1L << 32) == 0);
    must(mmap(NULL, 0, BOTH, ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    must(munmap(a + 1, PAGE) == -1 && errno == EINVAL);
    printf("discarded, break moved, four gigabytes reserved\n");
    return 0;
}
