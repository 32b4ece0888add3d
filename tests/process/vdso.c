/* The vDSO as C libraries find and use it: by the auxiliary vector, its dynamic section, names and version. Says "so" of what is so.
 *
 * riscv64-linux-gnu-gcc -O2 -std=gnu17 -static -pthread -s -Wl,--build-id=none -march=rv64gc -mabi=lp64d -fno-pie -funwind-tables */
#include "cases.h"
#include <link.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <unwind.h>

#define so(x) printf("%s: %s\n", #x, (x) ? "so" : "not so")
static char *base;
static const Elf64_Dyn *entry(long tag) {
    const Elf64_Ehdr *head = (void *)base;
    const Elf64_Phdr *segment = (void *)(base + head->e_phoff);
    while (segment->p_type != PT_DYNAMIC) segment++;
    const Elf64_Dyn *dynamic = (void *)(base + segment->p_offset);
    while (dynamic->d_tag != tag) must(dynamic->d_tag != DT_NULL), dynamic++;
    return dynamic;
}
static void *at(long tag) { return base + entry(tag)->d_un.d_ptr; }
static unsigned hash(const char *name) {
    unsigned value = 0, top;
    for (; *name; name++) value = (value << 4) + (unsigned char)*name, top = value & 0xf0000000, value ^= top >> 24, value &= ~top;
    return value;
}
static void *function(const char *name, const char *version) {
    const Elf64_Sym *symbols = at(DT_SYMTAB);
    const char *strings = at(DT_STRTAB);
    const Elf64_Half *versions = at(DT_VERSYM);
    const Elf32_Word *table = at(DT_HASH);
    for (unsigned n = table[2 + hash(name) % table[0]]; n; n = table[2 + table[0] + n]) {
        if (strcmp(strings + symbols[n].st_name, name) || ELF64_ST_TYPE(symbols[n].st_info) != STT_FUNC) continue;
        for (const Elf64_Verdef *known = at(DT_VERDEF);; known = (void *)((char *)known + known->vd_next)) {
            const Elf64_Verdaux *text = (void *)((char *)known + known->vd_aux);
            if (known->vd_ndx == versions[n] && known->vd_hash == hash(version) && !strcmp(strings + text->vda_name, version)) return base + symbols[n].st_value;
            if (!known->vd_next) return NULL;
        }
    }
    return NULL;
}
#define FUNCTION(name) function("__vdso_" name, "LINUX_4.15")
static void *returned;
static int frames;
static _Unwind_Reason_Code each(struct _Unwind_Context *context, void *wanted) {
    if (_Unwind_FindEnclosingFunction((void *)_Unwind_GetIP(context)) == wanted) frames++;
    return _URC_NO_REASON;
}
int main(int count, char **words);
static void handler(int number) { returned = __builtin_return_address(0), _Unwind_Backtrace(each, main); }
struct bases { void *text, *data, *function; };
extern const void *_Unwind_Find_FDE(void *, struct bases *);
static int named(struct dl_phdr_info *library, size_t size, void *found) {
    if ((char *)library->dlpi_addr == base) *(int *)found += !strcmp(library->dlpi_name, "linux-vdso.so.1");
    return 0;
}
static void look(void) {
    base = (char *)getauxval(AT_SYSINFO_EHDR);
    must(base && !memcmp(base, ELFMAG, SELFMAG));
    int (*gettime)(clockid_t, struct timespec *) = FUNCTION("clock_gettime"), (*getres)(clockid_t, struct timespec *) = FUNCTION("clock_getres");
    int (*timeofday)(struct timeval *, void *) = FUNCTION("gettimeofday"), (*cpu)(unsigned *, unsigned *, void *) = FUNCTION("getcpu");
    int (*flush)(void *, void *, unsigned long) = FUNCTION("flush_icache"), (*probe)(long *, size_t, size_t, void *, unsigned) = FUNCTION("riscv_hwprobe");
    must(gettime && getres && timeofday && cpu && flush && probe);
    struct timespec before, now, after;
    struct timeval today;
    unsigned number, node;
    long pairs[] = {3, -1, 99, 5};
    must(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &before) == 0 && gettime(CLOCK_MONOTONIC, &now) == 0 && syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &after) == 0);
    #define NS(time) (time.tv_sec * 1000000000 + time.tv_nsec)
    so(NS(before) <= NS(now) && NS(now) <= NS(after));
    so(gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0 && NS(now) > 0);
    so(gettime(12345, &now) == -EINVAL);
    so(gettime(CLOCK_REALTIME, (void *)8) == -EFAULT);
    so(gettime(CLOCK_REALTIME, (void *)-8L) == -EFAULT);
    so(getres(CLOCK_REALTIME, &now) == 0 && now.tv_nsec > 0);
    so(timeofday(&today, NULL) == 0 && gettime(CLOCK_REALTIME, &now) == 0 && now.tv_sec - today.tv_sec < 10);
    so(cpu(&number, &node, NULL) == 0 && number < 4096);
    so(flush(NULL, NULL, 0) == 0 && flush(NULL, NULL, 2) == -EINVAL);
    so(probe(pairs, 2, 0, NULL, 0) == 0 && pairs[0] == 3 && pairs[1] == 1 && pairs[2] == -1 && pairs[3] == 0);
    so(probe((void *)16, 2, 0, NULL, 0) == -EFAULT);
    so(!function("__vdso_clock_gettime", "LINUX_2.6") && !FUNCTION("time"));
    signal(SIGUSR1, handler), frames = 0, raise(SIGUSR1);
    so(returned == FUNCTION("rt_sigreturn"));
    so(frames == 1);
    struct bases of;
    so(_Unwind_Find_FDE((char *)gettime + 4, &of) && of.function == (void *)timeofday && !_Unwind_Find_FDE((char *)returned - 1, &of) && !_Unwind_Find_FDE(returned, &of));
    int found = 0;
    so((dl_iterate_phdr(named, &found), found) == 1);
    so(mprotect(base, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) == 0 && mprotect(base, PAGE, PROT_READ | PROT_EXEC) == 0);
    char line[256], flags[8];
    unsigned long start, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx %7s", &start, &end, flags) == 3) printf("%s %d\n", flags, (char *)start == base && end > start);
}
int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    look();
    if (count > 1) return 0;
    pid_t child = born();
    if (child == 0) execl("/proc/self/exe", "again", "once", NULL), _exit(1);
    must(reap(child) == 0);
    return 0;
}
