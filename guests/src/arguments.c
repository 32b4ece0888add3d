/* What the kernel hands a new program: arguments, environment, auxiliary vector. */
#include "must.h"
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>
#include <unistd.h>

extern char **environ;
extern char _start;

int main(int argc, char **argv) {
    printf("%d arguments\n", argc - 1);
    for (int i = 1; i < argc; i++) printf("%d: '%s'\n", i, argv[i]);
    must(argv[argc] == NULL && environ == argv + argc + 1);
    char **end = environ;
    while (*end) must(strchr(*end++, '='));
    const ElfW(auxv_t) *first = (void *)(end + 1);
    int entries = 0;
    while (first[entries].a_type != AT_NULL) entries++;
    must(entries >= 10);
    must(getauxval(AT_PAGESZ) == (unsigned long)sysconf(_SC_PAGESIZE));
    must(getauxval(AT_ENTRY) == (unsigned long)&_start);
    must(getauxval(AT_PHENT) == sizeof(ElfW(Phdr)));
    const ElfW(Phdr) *headers = (void *)getauxval(AT_PHDR);
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++) loads += headers[i].p_type == PT_LOAD;
    must(loads > 0);
    must(getauxval(AT_UID) == getuid() && getauxval(AT_EGID) == getegid());
    const unsigned char *random = (void *)getauxval(AT_RANDOM);
    int bits = 0;
    for (int i = 0; i < 16; i++) bits |= random[i];
    must(bits);
    must(strlen((char *)getauxval(AT_EXECFN)) > 0);
    must(strlen((char *)getauxval(AT_PLATFORM) ?: "none") > 0);
    must(setenv("GUEST", "here", 1) == 0 && strcmp(getenv("GUEST"), "here") == 0);
    must(unsetenv("GUEST") == 0 && getenv("GUEST") == NULL);
    printf("environment and auxiliary vector are in order\n");
    return 0;
}
