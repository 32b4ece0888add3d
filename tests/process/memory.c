/* Memory, a case by argv[1], or all: prints what a native Linux prints.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie */
#include "cases.h"
#include <setjmp.h>
#include <sys/resource.h>

enum { RW = PROT_READ | PROT_WRITE, PRIVATE = MAP_PRIVATE | MAP_ANONYMOUS, SHARED = MAP_SHARED | MAP_ANONYMOUS, MIB = 1 << 20 };
static char *const beyond = (char *)(1L << 56);
static sigjmp_buf back;
static void on_fault(int number, siginfo_t *info, void *context) { (void)info, (void)context, siglongjmp(back, number); }
static int touch(volatile char *at) {            /* the signal that writing there raises */
    int number = sigsetjmp(back, 1);
    if (!number) *at = *at + 1;
    return number;
}
static void handlers(void) {
    static char room[65536];
    sigaltstack(&(stack_t){.ss_sp = room, .ss_size = sizeof room}, NULL), install(SIGSEGV, on_fault, SA_ONSTACK), install(SIGBUS, on_fault, SA_ONSTACK);
}
static char *map(long pages, int prot, int flags) {
    char *at = mmap(NULL, pages * PAGE, prot, flags, -1, 0);
    must(at != MAP_FAILED);
    return at;
}
static void told(const char *what, void *at, void *expected) { at == MAP_FAILED ? show(what, -1) : show(what, at == expected); }
static int file_of(const char *text) {
    char name[] = "/tmp/dragoman-case-XXXXXX";
    int fd = mkstemp(name);
    must(fd >= 0 && unlink(name) == 0 && write(fd, text, strlen(text)) == (long)strlen(text) && ftruncate(fd, 4 * PAGE) == 0);
    return fd;
}
static void places(void) {
    char *at = map(8, RW, PRIVATE);
    at[0] = at[3 * PAGE] = 1;
    told("fixed", mmap(at + 3 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), at + 3 * PAGE), printf("new %d, beside %d\n", at[3 * PAGE], at[0]);
    told("there is one", mmap(at, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0), at), munmap(at + 5 * PAGE, PAGE), told("there is none", mmap(at + 5 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0), at + 5 * PAGE);
    munmap(at + 2 * PAGE, PAGE), told("hint", mmap(at + 2 * PAGE, PAGE, RW, PRIVATE, -1, 0), at + 2 * PAGE), told("taken hint", mmap(at, PAGE, RW, PRIVATE, -1, 0), at);
    told("crooked", mmap(at + 1, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), at), told("nothing", mmap(NULL, 0, RW, PRIVATE, -1, 0), at), told("no kind", mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), at);
    told("no file", mmap(NULL, PAGE, RW, MAP_PRIVATE, 99, 0), at), told("too much", mmap(NULL, -PAGE, RW, PRIVATE, -1, 0), at), told("beyond", mmap(beyond, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0), at);
    int fd = file_of("x"), only = open("/proc/self/exe", O_RDONLY);
    told("crooked offset", mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 100), at), told("not to be written", mmap(NULL, PAGE, RW, MAP_SHARED, only, 0), at), printf("privately %d\n", mmap(NULL, PAGE, RW, MAP_PRIVATE, only, 0) != MAP_FAILED);
    told("unknown flags", mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | 1 << 25, fd, 0), at), told("a folder", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("/", O_RDONLY), 0), at);
    char *large = mmap(NULL, 1L << 35, RW, PRIVATE | MAP_NORESERVE, -1, 0);
    must(large != MAP_FAILED), large[1L << 34] = 5, printf("much that is not used %d\n", large[1L << 34] + large[5]), show("unmap", munmap(large, 1L << 35));
    for (int n = 0; n < 3; n++) at = mmap(NULL, 3 * PAGE, RW, PRIVATE | (n == 0 ? MAP_POPULATE : n == 1 ? MAP_STACK : MAP_LOCKED), -1, 0), must(at != MAP_FAILED), at[PAGE] = 1;
    show("unmap nothing", munmap(at, 0)), show("crooked", munmap(at + 1, PAGE)), show("a hole", munmap(at, PAGE) | munmap(at, 3 * PAGE)), show("beyond", munmap(beyond, PAGE)), show("wraps", munmap(at, -PAGE));
}
static void grows(void) {
    handlers();
    char *room = map(1024, PROT_NONE, PRIVATE), *low = room + 1000 * PAGE;
    munmap(room + PAGE, 1023 * PAGE);
    told("map", mmap(low, 2 * PAGE, RW, PRIVATE | MAP_FIXED | MAP_GROWSDOWN, -1, 0), low);
    int sum = 0;
    for (int n = 1; n <= 300; n++) sum += touch(low - n * PAGE), low[-n * PAGE] += 2;
    printf("below: %d, %d\n", sum, low[-300 * PAGE]), show("far below", touch(low - 600 * PAGE)), show("so far", low[-600 * PAGE]);
    show("near another mapping", touch(room + 100 * PAGE)), show("above", touch(low + 2 * PAGE));
    char *other = map(4, RW, PRIVATE);
    munmap(other, 3 * PAGE), show("what does not grow", touch(other + 2 * PAGE));
    show("all of it", mprotect(low, PAGE, PROT_READ | PROT_GROWSDOWN)), show("below now", touch(low - 200 * PAGE));
    show("a call does it, too", mmap(low - 1000 * PAGE + 500 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) != MAP_FAILED);
}
static void protection(void) {
    handlers();
    char *at = map(6, RW, PRIVATE);
    munmap(at + 3 * PAGE, PAGE);
    show("over a hole", mprotect(at + 2 * PAGE, 3 * PAGE, PROT_READ)), printf("before it %d, behind it %d\n", touch(at + 2 * PAGE), touch(at + 4 * PAGE));
    show("crooked", mprotect(at + 1, PAGE, RW)), show("nothing", mprotect(at, 0, RW)), show("wraps", mprotect(at, -PAGE, RW)), show("beyond", mprotect(beyond, PAGE, RW)), show("both ways", mprotect(at, PAGE, RW | PROT_GROWSDOWN | PROT_GROWSUP));
    show("none", mprotect(at, PAGE, PROT_NONE)), show("touch", touch(at)), show("again", mprotect(at, PAGE, RW)), show("touch", touch(at));
    int fd = file_of("abc"), only = open("/proc/self/exe", O_RDONLY);
    char *file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, only, 0), *own = mmap(NULL, 6 * PAGE, RW, MAP_PRIVATE, fd, 0);
    show("a file not open for it", mprotect(file, PAGE, RW)), show("behind its end", touch(own + 5 * PAGE)), show("in it", touch(own)), printf("%c\n", *own);
}
static void moves(void) {
    char *at = map(8, RW, PRIVATE), *to = map(8, RW, PRIVATE);
    munmap(at + 4 * PAGE, 4 * PAGE), at[0] = 7, at[3 * PAGE] = 8;
    told("smaller", mremap(at, 4 * PAGE, 2 * PAGE, 0), at), told("in place", mremap(at, 2 * PAGE, 5 * PAGE, 0), at), printf("%d %d\n", at[0], at[3 * PAGE]);
    told("there", mremap(at, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to), printf("%d, gone here %d\n", to[0], mincore(at, PAGE, (unsigned char[]){0}) == -1 && errno == ENOMEM);
    mmap(to + 5 * PAGE, PAGE, PROT_READ, PRIVATE | MAP_FIXED, -1, 0), told("no room", mremap(to, 5 * PAGE, 6 * PAGE, 0), to);
    char *elsewhere = mremap(to, 5 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
    must(elsewhere != MAP_FAILED), printf("elsewhere %d %d\n", elsewhere != to, elsewhere[0]);
    char *kept = (char *)syscall(SYS_mremap, elsewhere, 9 * PAGE, 9 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    must(kept != MAP_FAILED), printf("emptied %d, there %d\n", elsewhere[0], kept[0]);
    char *shared = map(2, RW, SHARED), *twice = mremap(shared, 0, 2 * PAGE, MREMAP_MAYMOVE);
    must(twice != MAP_FAILED), shared[5] = 9, printf("twice %d\n", twice[5]);
    told("privately", mremap(at = map(1, RW, PRIVATE), 0, PAGE, MREMAP_MAYMOVE), at), told("crooked", mremap(at + 1, PAGE, PAGE, 0), at), told("to nothing", mremap(at, PAGE, 0, 0), at), told("flags", mremap(at, PAGE, PAGE, 8), at);
    told("fixed alone", mremap(at, PAGE, PAGE, MREMAP_FIXED, to), to), told("over itself", mremap(kept, 9 * PAGE, 9 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, kept + PAGE), at), told("nowhere", mremap((void *)PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), at), told("beyond", mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, beyond), at);
}
static void advice(void) {
    unsigned char there[8];
    char *at = map(8, RW, PRIVATE);
    memset(at, 3, 8 * PAGE), show("dontneed", madvise(at, 2 * PAGE, MADV_DONTNEED)), printf("%d %d\n", at[0], at[2 * PAGE]);
    int fd = file_of("file");
    char *file = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
    file[0] = 'F', madvise(file, PAGE, MADV_DONTNEED), printf("%c\n", file[0]);
    show("free", madvise(at + 2 * PAGE, PAGE, MADV_FREE)), at[2 * PAGE] = 4, printf("%d\n", at[2 * PAGE]);
    munmap(at + 4 * PAGE, PAGE), show("over a hole", madvise(at + 3 * PAGE, 3 * PAGE, MADV_DONTNEED)), printf("%d\n", at[5 * PAGE]), show("crooked", madvise(at + 1, PAGE, MADV_DONTNEED)), show("no such", madvise(at, PAGE, 999)), show("nothing", madvise(at, 0, MADV_NORMAL)), show("wraps", madvise(at, -PAGE, MADV_DONTNEED));
    char *wiped = map(1, RW, PRIVATE), *left_out = map(1, RW, PRIVATE), *shared = map(1, RW, SHARED);
    *wiped = *left_out = *shared = 5, show("wipe", madvise(wiped, PAGE, MADV_WIPEONFORK)), show("leave out", madvise(left_out, PAGE, MADV_DONTFORK));
    pid_t child = born();
    if (child == 0) handlers(), *shared = 6, printf("a child has %d, left out %d\n", *wiped, touch(left_out)), fflush(stdout), _exit(0);
    reap(child), printf("parent %d %d shared %d\n", *wiped, *left_out, *shared);
    at = map(4, RW, PRIVATE), show("populate", madvise(at, 2 * PAGE, 23)), show("mincore", mincore(at, 4 * PAGE, there)), printf("%d%d%d%d\n", there[0] & 1, there[1] & 1, there[2] & 1, there[3] & 1);
    show("crooked", mincore(at + 1, PAGE, there)), show("nowhere", mincore(at, PAGE, (void *)8)), show("wraps", mincore(at, -PAGE, there));
}
static void locks(void) {
    char *at = map(4, RW, PRIVATE);
    show("lock", mlock(at + 10, PAGE)), show("on fault", mlock2(at, PAGE, 1)), show("no such flag", mlock2(at, PAGE, 2)), show("unlock", munlock(at, 4 * PAGE)), show("all", mlockall(MCL_CURRENT)), show("no flags", mlockall(0)), show("bad flags", mlockall(64)), show("all", munlockall());
    munmap(at + PAGE, PAGE), show("a hole", mlock(at, 3 * PAGE)), show("wraps", mlock(at, -PAGE)), show("nowhere", munlock((void *)PAGE, PAGE));
    int fd = file_of("abc");
    char *file = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), text[4] = {0};
    file[1] = 'X', show("sync", msync(file, PAGE, MS_SYNC)), pread(fd, text, 3, 0), puts(text), pwrite(fd, "Y", 1, 2), printf("%c\n", file[2]);
    show("both", msync(file, PAGE, MS_SYNC | MS_ASYNC)), show("crooked", msync(file + 1, PAGE, MS_SYNC)), at = map(3, RW, PRIVATE), munmap(at + PAGE, PAGE), show("a hole", msync(at, 3 * PAGE, MS_SYNC)), show("no such", msync(file, PAGE, 64)), show("nothing", msync(file, 0, MS_SYNC));
}
static void files(void) {
    handlers();
    int fd = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    show("size", ftruncate(fd, 2 * PAGE));
    char *at = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), *again = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE), *own = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, PAGE);
    at[PAGE + 3] = 1, printf("seen %d %d\n", again[3], own[3]), own[3] = 2, printf("own %d\n", again[3]);
    show("seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), munmap(at, 2 * PAGE), munmap(again, PAGE), show("seal", fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)), told("sealed", mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), 0), show("write", write(fd, "x", 1));
    fd = memfd_create("other", 0), ftruncate(fd, 2 * PAGE), at = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0), at[PAGE] = 1, ftruncate(fd, PAGE), show("cut off", touch(at + PAGE)), ftruncate(fd, 2 * PAGE), printf("again %d\n", at[PAGE]);
    show("flags", memfd_create("x", 1 << 20)), show("long name", memfd_create((char[300]){[0 ... 298] = 'x'}, 0));
}
static int find(void *at, char *line) {          /* the line of /proc/self/maps with an address */
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long low, high;
    while (fgets(line, 300, maps))
        if (sscanf(line, "%lx-%lx", &low, &high) == 2 && low <= (uintptr_t)at && (uintptr_t)at < high) return fclose(maps), 1;
    return fclose(maps), 0;
}
static void maps(void) {
    char line[300], prot[5], name[200], local;
    unsigned long low, high, offset;
    int fd = memfd_create("mine", 0);
    ftruncate(fd, 9 * PAGE);
    char *at = map(9, PROT_NONE, PRIVATE);
    mmap(at + PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 3 * PAGE), mmap(at + 4 * PAGE, PAGE, PROT_READ | PROT_EXEC, PRIVATE | MAP_FIXED, -1, 0), munmap(at + 6 * PAGE, PAGE), mprotect(at + 7 * PAGE, PAGE, PROT_READ);
    for (int n = 0; n < 9; n++) {
        name[0] = 0;
        if (!find(at + n * PAGE, line)) puts("none");
        else must(sscanf(line, "%lx-%lx %4s %lx %*s %*s %199[^\n]", &low, &high, prot, &offset, name) >= 4), printf("%s offset %ld at %ld, %ld %s\n", prot, offset / PAGE, n == 0 || n == 8 ? -1 : (long)(low - (uintptr_t)at) / PAGE, n == 0 || n == 8 ? -1 : (long)(high - (uintptr_t)at) / PAGE, name);
    }
    printf("stack %d, heap %d, code %d\n", find(&local, line) && strstr(line, "[stack]"), find(sbrk(PAGE), line) && strstr(line, "[heap]"), find(maps, line) && strstr(line, " r-xp "));
}
static void heap(void) {
    handlers();
    char *start = sbrk(0), *page = (char *)((uintptr_t)(start + PAGE) & -PAGE);
    show("more", brk(page + 10 * PAGE)), page[9 * PAGE] = 3, show("less", brk(page + 2 * PAGE)), show("gone", touch(page + 9 * PAGE)), show("more", brk(page + 10 * PAGE)), printf("empty %d\n", page[9 * PAGE]);
    char *wall = mmap(page + 20 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0);
    must(wall == page + 20 * PAGE), *wall = 5, show("up to a mapping", brk(wall - 2 * PAGE)), show("over it", brk(wall + PAGE)), printf("it is as it was %d, the end too %d\n", *wall, (char *)sbrk(0) == wall - 2 * PAGE);
    show("below its start", brk((char *)PAGE)), show("beyond", brk(beyond)), show("wraps", brk((char *)-1L));
    munmap(page, PAGE), show("a hole in it", touch(page)), show("less", brk(page));
}
static void limits(void) {
    struct rlimit old, few = {256 * MIB, RLIM_INFINITY};
    getrlimit(RLIMIT_AS, &old), few.rlim_max = old.rlim_max;
    show("set", setrlimit(RLIMIT_AS, &few)), told("too much", mmap(NULL, 512 * MIB, RW, PRIVATE, -1, 0), 0), printf("malloc %d\n", malloc(512 * MIB) == NULL);
    char *at = mmap(NULL, 64 * MIB, RW, PRIVATE | MAP_NORESERVE, -1, 0);
    must(at != MAP_FAILED), told("too large", mremap(at, 64 * MIB, 512 * MIB, MREMAP_MAYMOVE), 0), show("heap", brk((char *)sbrk(0) + 256L * MIB)), show("the same place", mmap(at, 64 * MIB, RW, PRIVATE | MAP_FIXED, -1, 0) == at);
    int many = 0;
    while (mmap(NULL, 8 * MIB, PROT_NONE, PRIVATE, -1, 0) != MAP_FAILED) many++;
    printf("about 22: %d, %s\n", many >= 19 && many <= 24, strerrorname_np(errno));
    pid_t child = born();
    if (child == 0) printf("a child, too: %d\n", mmap(NULL, 64 * MIB, RW, PRIVATE, -1, 0) == MAP_FAILED), fflush(stdout), _exit(0);
    reap(child), setrlimit(RLIMIT_AS, &old), printf("no limit: %d\n", mmap(NULL, 512 * MIB, RW, PRIVATE | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    few = (struct rlimit){0, 0}, show("soft over hard", setrlimit(RLIMIT_AS, &(struct rlimit){2, 1})), show("no such", setrlimit(99, &few)), show("nowhere", syscall(SYS_prlimit64, 0, RLIMIT_AS, 8, 0));
    few = (struct rlimit){100, 100}, show("stack", setrlimit(RLIMIT_STACK, &(struct rlimit){4 * MIB, RLIM_INFINITY})), getrlimit(RLIMIT_STACK, &few), printf("%ld\n", (long)few.rlim_cur / MIB);
}
static void data(void) {
    struct rlimit few = {64 * MIB, RLIM_INFINITY};
    char *fixed = mmap(NULL, 32 * MIB, PROT_READ, PRIVATE, -1, 0), *shared, *grown;
    must(fixed != MAP_FAILED);
    show("set", setrlimit(RLIMIT_DATA, &few));
    told("too much", mmap(NULL, 128 * MIB, RW, PRIVATE, -1, 0), 0);
    shared = mmap(NULL, 128 * MIB, RW, SHARED, -1, 0), printf("shared %d, readable %d\n", shared != MAP_FAILED, mmap(NULL, 128 * MIB, PROT_READ, PRIVATE, -1, 0) != MAP_FAILED);
    show("heap", brk((char *)sbrk(0) + 128L * MIB));
    grown = mmap(NULL, 40 * MIB, RW, PRIVATE, -1, 0), must(grown != MAP_FAILED);
    show("made writable", mprotect(fixed, 32 * MIB, RW)), show("a part of it", mprotect(fixed, 4 * MIB, RW)), show("once more", mprotect(fixed, 4 * MIB, RW));
    told("larger", mremap(grown, 40 * MIB, 80 * MIB, MREMAP_MAYMOVE), 0), show("the same place", mmap(grown, 40 * MIB, RW, PRIVATE | MAP_FIXED, -1, 0) == grown);
    printf("a stack %d\n", mmap(NULL, 128 * MIB, RW, PRIVATE | MAP_GROWSDOWN | MAP_NORESERVE, -1, 0) != MAP_FAILED);
    munmap(grown, 40 * MIB), show("now", mprotect(fixed, 32 * MIB, RW));
}
static const Case cases[] = {
    CASE(places), CASE(grows), CASE(protection), CASE(moves), CASE(advice), CASE(locks), CASE(files), CASE(maps), CASE(heap), CASE(limits), CASE(data), {0}};
int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
