/* Files and folders: made, written, mapped to names, listed, moved, taken away. */
#include "must.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void list(const char *what) {
    struct dirent **entries;
    int count = scandir(".", &entries, NULL, by_name);
    must(count >= 2);
    printf("%s:", what);
    for (int i = 2; i < count; i++)
        printf(" %s%s", entries[i]->d_name,
               entries[i]->d_type == DT_DIR   ? "/"
               : entries[i]->d_type == DT_LNK ? "@"
                                              : "");
    printf("\n");
}

int main(void) {
    char folder[] = "/tmp/guest.XXXXXX", text[64], where[256];
    struct stat status;
    must(mkdtemp(folder) && chdir(folder) == 0 && getcwd(where, sizeof where) && strcmp(where, folder) == 0);
    umask(022);
    int file = open("one", O_RDWR | O_CREAT | O_EXCL, 0666);
    must(file >= 0 && open("one", O_CREAT | O_EXCL, 0666) == -1 && errno == EEXIST);
    must(write(file, "0123456789", 10) == 10 && lseek(file, 3, SEEK_SET) == 3 && read(file, text, 4) == 4);
    must(pwrite(file, "ab", 2, 100) == 2 && lseek(file, 0, SEEK_CUR) == 7 && pread(file, text + 4, 2, 100) == 2);
    must(fstat(file, &status) == 0 && S_ISREG(status.st_mode));
    printf("%.6s, %ld bytes, mode %o, links %ld\n", text, (long)status.st_size, status.st_mode & 07777,
           (long)status.st_nlink);
    struct iovec parts[] = {{"gather", 6}, {"ed", 2}}, into[] = {{text, 3}, {text + 10, 5}};
    must(lseek(file, 0, SEEK_SET) == 0 && writev(file, parts, 2) == 8 && lseek(file, 0, SEEK_SET) == 0 &&
         readv(file, into, 2) == 8);
    printf("%.3s-%.5s\n", text, text + 10);
    must(ftruncate(file, 5) == 0 && fstat(file, &status) == 0 && status.st_size == 5);
    must(fchmod(file, 0600) == 0 && stat("one", &status) == 0 && (status.st_mode & 0777) == 0600);
    must(flock(file, LOCK_EX) == 0 && fcntl(file, F_GETFL) == (O_RDWR | (fcntl(file, F_GETFL) & ~O_ACCMODE)));
    struct timespec times[2] = {{1000000000, 0}, {1000000001, 5}};
    must(futimens(file, times) == 0 && fstat(file, &status) == 0 && status.st_mtim.tv_sec == 1000000001 &&
         status.st_mtim.tv_nsec == 5);

    must(mkdir("inner", 0755) == 0 && symlink("one", "pointer") == 0 && link("one", "second") == 0);
    must(readlink("pointer", text, sizeof text) == 3 && lstat("pointer", &status) == 0 && S_ISLNK(status.st_mode));
    must(stat("pointer", &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 2);
    list("made");
    must(rename("second", "inner/moved") == 0 && access("second", F_OK) == -1 && errno == ENOENT);
    int inner = open("inner", O_DIRECTORY | O_RDONLY);
    must(inner >= 0 && faccessat(inner, "moved", R_OK, 0) == 0 && rmdir("inner") == -1 && errno == ENOTEMPTY);
    int copy = openat(inner, "copy", O_WRONLY | O_CREAT, 0644);
    off_t start = 1;
    must(sendfile(copy, file, &start, 4) == 4 && start == 5 && fstat(copy, &status) == 0 && status.st_size == 4);
    must(unlinkat(inner, "copy", 0) == 0 && unlinkat(inner, "moved", 0) == 0 && rmdir("inner") == 0);
    list("moved");

    int twin = dup(file);
    must(lseek(twin, 2, SEEK_SET) == 2 && lseek(file, 0, SEEK_CUR) == 2 && close(file) == 0 &&
         read(twin, text, 9) == 3);
    must(unlink("one") == 0 && fstat(twin, &status) == 0 && status.st_nlink == 0);
    must(read(99, text, 1) == -1 && errno == EBADF && open("one", O_RDONLY) == -1 && errno == ENOENT);
    must(lseek(twin, 0, SEEK_SET) == 0 && read(twin, (void *)8, 1) == -1 && errno == EFAULT);
    must(unlink("pointer") == 0);

    for (int i = 0; i < 500; i++) sprintf(text, "many-%03d", i), close(creat(text, 0600));
    int seen = 0;
    DIR *dir = opendir(".");
    for (struct dirent *entry; (entry = readdir(dir));) seen += entry->d_name[0] != '.';
    closedir(dir);
    for (int i = 0; i < 500; i++) sprintf(text, "many-%03d", i), must(unlink(text) == 0);
    list("at the end");
    must(chdir("/") == 0 && rmdir(folder) == 0);
    printf("%d files seen\n", seen);
    return 0;
}
