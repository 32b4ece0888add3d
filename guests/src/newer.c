/* Calls that came to Linux after 2012, which C libraries and languages use where they find them. */
#include "must.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

int main(void) {
    unsigned char bytes[64] = {0};
    int any = 0;
    must(getrandom(bytes, sizeof bytes, 0) == sizeof bytes);
    for (unsigned i = 0; i < sizeof bytes; i++) any |= bytes[i];
    must(any);
    printf("random bytes\n");

    int file = memfd_create("guest", MFD_ALLOW_SEALING);
    must(file >= 0 && ftruncate(file, 4096) == 0 && pwrite(file, "some bytes", 10, 0) == 10);
    must(fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0 && ftruncate(file, 8192) == -1 && errno == EPERM);
    printf("sealed memory\n");

    struct statx status;
    must(statx(file, "", AT_EMPTY_PATH, STATX_SIZE, &status) == 0 && status.stx_size == 4096);
    int copy = memfd_create("copy", 0);
    off64_t from = 5, to = 0;
    must(copy_file_range(file, &from, copy, &to, 5, 0) == 5 && pread(copy, bytes, 9, 0) == 5 &&
         memcmp(bytes, "bytes", 5) == 0);
    struct iovec part = {bytes, 4};
    must(preadv2(file, &part, 1, 0, 0) == 4 && memcmp(bytes, "some", 4) == 0);
    printf("statx, copy_file_range, preadv2\n");

    char a[] = "/tmp/guest.XXXXXX", b[] = "/tmp/guest.XXXXXX";
    int one = mkstemp(a), two = mkstemp(b);
    must(write(one, "1", 1) == 1 && renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE) == -1 && errno == EEXIST);
    must(fstat(one, &(struct stat){0}) == 0 && unlink(a) == 0 && unlink(b) == 0 && close(one) == 0 && close(two) == 0);
    printf("renameat2\n");

    must(close_range(50, 60, 0) == 0);
    printf("close_range\n");

    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED &&
         errno == EEXIST);
    must(munmap(page, 4096) == 0);
    must(mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == page);
    printf("not placed over another mapping\n");
    return 0;
}
