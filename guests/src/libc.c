/* A libc at work: formats, numbers from text, sorting, the heap. Static-pie, so it relocates itself first. */
#include "must.h"
#include <ctype.h>
#include <time.h>

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(void) {
    printf("%d %5.2f %-6s| %+ld %#x %e %a\n", -42, 3.14159, "left", 1234567890123L, 0xbeef, 6.02214076e23, 0.1);
    printf("%.17g %.3Lf %s\n", strtod("0.1", NULL), strtold("1e3", NULL),
           strtol("zz", NULL, 36) == 1295 ? "yes" : "no");
    char *words[] = {"quick", "brown", "fox", "jumps", "over", "lazy", "dogs"};
    qsort(words, 7, sizeof *words, by_text);
    for (int i = 0; i < 7; i++) printf("%s%c", words[i], i < 6 ? ' ' : '\n');
    char *blocks[1000], *text = NULL;
    for (int i = 0; i < 1000; i++) memset(blocks[i] = malloc(i * 97 % 5000 + 1), i, i * 97 % 5000 + 1);
    for (int i = 0; i < 1000; i += 2) free(blocks[i]);
    for (int i = 1; i < 1000; i += 2) blocks[i] = realloc(blocks[i], 9000), must(blocks[i][0] == (char)i);
    for (int i = 1; i < 1000; i += 2) free(blocks[i]);
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    for (int i = 0; i < 10; i++) fprintf(stream, "%c%d", toupper('a' + i), i * i);
    fclose(stream);
    printf("%s: %zu bytes\n", text, size);
    free(text);
    time_t day = 86400L * 20000;
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", gmtime(&day));
    printf("%s\n", date);
    fprintf(stderr, "This line goes to standard error.\n");
    return 0;
}
