/* Between a program and its files: preloaded, it notes every change below a folder, or lets some of them fail.

   TAP_BELOW   only what lies below this folder is meant
   TAP_ROLES   who takes part: words of the command line, separated by ';'; the first that fits is the process's role
   TAP_TABLE   a file that holds `struct table`, shared by all these processes: which calls fail, how many there were
   TAP_NOTES   optional: every change that was made is appended to this file, with its bytes, in one global order
   TAP_BOOT    optional: a file that is read instead of the kernel's boot id, by whoever takes part

   A note is a line `kind inode number length path`, then `length` bytes: what was written, or the second path. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define ROLES 4
#define SHORT 10000 /* instead of an errno: only half of the bytes are written */
#define ECHO 20000  /* instead of an errno: it is done, its answer is lost, and asked again it is told "that is so already" */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct table {
    long lock;
    long role, first, last, error; /* calls first..last of this role fail so; first 0: none does */
    long failed;
    long counts[ROLES];
    char story[ROLES][1 << 16]; /* what each call was: a letter each */
    char what[512];             /* the first that failed */
};

static struct table *table;
static int role = -1;
static char below[PATH_MAX], boot[PATH_MAX], notes[PATH_MAX];
static size_t below_length;

/* ------------------------------------------------------------------------------------------ who and where */

static void become(const char *roles)
{
    char line[4096], word[256];
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC, 0);
    ssize_t length = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
    if (fd >= 0)
        close(fd);
    for (ssize_t i = 0; i < length - 1; i++)
        if (!line[i])
            line[i] = ' ';
    line[length > 0 ? length : 0] = 0;
    for (int number = 0; number < ROLES && *roles; number++) {
        size_t size = strcspn(roles, ";");
        if (size < sizeof word) {
            memcpy(word, roles, size);
            word[size] = 0;
            if (strstr(line, word)) {
                role = number;
                return;
            }
        }
        roles += size + (roles[size] == ';');
    }
}

/* At the start of each program; again in a fork that has changed its environment. */
__attribute__((constructor)) void tap_begin(void)
{
    table = NULL;
    role = -1;
    const char *folder = getenv("TAP_BELOW"), *roles = getenv("TAP_ROLES"), *shared = getenv("TAP_TABLE");
    const char *log = getenv("TAP_NOTES"), *other = getenv("TAP_BOOT");
    if (!folder || !roles || !shared)
        return;
    become(roles);
    if (role < 0)
        return;
    int fd = syscall(SYS_openat, AT_FDCWD, shared, O_RDWR | O_CLOEXEC, 0);
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *table, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED)
        abort();
    below_length = (size_t)snprintf(below, sizeof below, "%s", folder);
    snprintf(boot, sizeof boot, "%s", other ? other : "");
    snprintf(notes, sizeof notes, "%s", log ? log : "");
    table = map;
}

static int is_below(const char *path)
{
    return table && !strncmp(path, below, below_length) && (path[below_length] == '/' || !path[below_length]);
}

static int path_of(int fd, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return length > 0 && is_below(path);
}

static int path_at(int dirfd, const char *name, char *path)
{
    if (!table || !name)
        return 0;
    if (*name == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return is_below(path);
    }
    char link[64] = "/proc/self/cwd", folder[PATH_MAX];
    if (dirfd != AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/fd/%d", dirfd);
    ssize_t length = readlink(link, folder, sizeof folder - 1);
    if (length <= 0)
        return 0;
    folder[length] = 0;
    if (snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX)
        return 0;
    return is_below(path);
}

/* ------------------------------------------------------------------------------------------ failing and noting */

static void hold(void)
{
    while (*notes && __atomic_exchange_n(&table->lock, 1, __ATOMIC_ACQUIRE))
        sched_yield();
}

static void let_go(void)
{
    if (*notes)
        __atomic_store_n(&table->lock, 0, __ATOMIC_RELEASE);
}

/* Counts the call; returns the errno with which it is to fail, 0 for none. */
static int fault(char kind, const char *path)
{
    long number = __atomic_add_fetch(&table->counts[role], 1, __ATOMIC_SEQ_CST);
    if (number < (long)sizeof table->story[role])
        table->story[role][number - 1] = kind;
    if (table->role != role || !table->first || number < table->first || number > table->last)
        return 0;
    int error = (int)table->error;
    if (kind != 'C' && error == EMFILE)
        error = EIO;
    if (kind != 'W' && error == SHORT)
        error = ENOSPC;
    if (error == ECHO && !strchr("CMFLRUD", kind))
        return 0;
    if ((kind == 'U' || kind == 'D') && error != ECHO && error != ESTALE)
        error = EIO;
    if (kind == 'K')
        error = ENOLCK;
    if (__atomic_add_fetch(&table->failed, 1, __ATOMIC_SEQ_CST) == 1)
        snprintf(table->what, sizeof table->what, "%c %d %s", kind, error, path);
    return error;
}

/* The file is opened each time: programs close the descriptors that they do not know. */
static void note(char kind, unsigned long long inode, long long number, const void *data, size_t length, const char *path)
{
    if (!*notes)
        return;
    int before = errno;
    char line[PATH_MAX + 128];
    int size = snprintf(line, sizeof line, "%c %llu %lld %zu %s\n", kind, inode, number, length, path);
    struct iovec parts[2] = {{line, (size_t)size}, {(void *)data, length}};
    int fd = syscall(SYS_openat, AT_FDCWD, notes, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
    if (fd < 0 || syscall(SYS_writev, fd, parts, length ? 2 : 1) != (long)(size + (long)length))
        abort();
    close(fd);
    errno = before;
}

static unsigned long long inode_of(int fd)
{
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static unsigned long long inode_at(const char *path)
{
    struct stat found;
    return lstat(path, &found) ? 0 : found.st_ino;
}

#define FAIL_OR(kind, path, ours)                                                                                      \
    int error = (ours) ? fault(kind, path) : 0;                                                                       \
    if (error && error != SHORT && error != ECHO) {                                                                    \
        errno = error;                                                                                                 \
        return -1;                                                                                                     \
    }

/* What is answered to who has done it already. */
#define ECHO_OF(kind, done)                                                                                            \
    if (error == ECHO && !(done)) {                                                                                    \
        errno = (kind) == 'R' || (kind) == 'U' || (kind) == 'D' ? ENOENT : EEXIST;                                     \
        return -1;                                                                                                     \
    }

/* ------------------------------------------------------------------------------------------ files */

static int open_it(int dirfd, const char *name, int flags, mode_t mode)
{
    char path[PATH_MAX];
    if (table && *boot && name && !strcmp(name, BOOT_ID))
        return syscall(SYS_openat, AT_FDCWD, boot, flags, mode);
    if (!(flags & (O_CREAT | O_TRUNC)) || !path_at(dirfd, name, path))
        return syscall(SYS_openat, dirfd, name, flags, mode);
    FAIL_OR('C', path, 1)
    hold();
    int existed = !faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW);
    int fd = syscall(SYS_openat, dirfd, name, flags, mode);
    if (fd >= 0 && !existed)
        note('C', inode_of(fd), 0, "", 0, path);
    else if (fd >= 0 && (flags & O_TRUNC))
        note('T', inode_of(fd), 0, "", 0, path);
    let_go();
    if (error == ECHO && fd >= 0 && (flags & O_EXCL)) {
        close(fd);
        ECHO_OF('C', 0)
    }
    return fd;
}

#define OPEN(name, dirfd_parameter, dirfd_argument)                                                                    \
    int name(dirfd_parameter const char *path, int flags, ...)                                                         \
    {                                                                                                                  \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
        va_end(rest);                                                                                                  \
        return open_it(dirfd_argument, path, flags, mode);                                                             \
    }
#define COMMA ,
OPEN(open, , AT_FDCWD)
OPEN(open64, , AT_FDCWD)
OPEN(openat, int dirfd COMMA, dirfd)
OPEN(openat64, int dirfd COMMA, dirfd)
int creat(const char *path, mode_t mode) { return open_it(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* at < 0: where the descriptor stands, or at the end of the file. */
static ssize_t write_it(int fd, const void *data, size_t length, off_t at)
{
    char path[PATH_MAX];
    int ours = table && path_of(fd, path);
    FAIL_OR('W', path, ours)
    if (error == SHORT && length > 1)
        length /= 2;
    if (ours)
        hold();
    off_t place = at;
    if (ours && at < 0) {
        struct stat found;
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        place = appends && !fstat(fd, &found) ? found.st_size : lseek(fd, 0, SEEK_CUR);
    }
    ssize_t done = at < 0 ? syscall(SYS_write, fd, data, length) : syscall(SYS_pwrite64, fd, data, length, at);
    if (ours) {
        if (done > 0)
            note('W', inode_of(fd), place, data, (size_t)done, path);
        let_go();
    }
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return write_it(fd, data, length, -1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t at) { return write_it(fd, data, length, at); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t at) { return write_it(fd, data, length, at); }

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[PATH_MAX];
    if (!table || !path_of(fd, path))
        return syscall(SYS_writev, fd, parts, count);
    return count ? write_it(fd, parts[0].iov_base, parts[0].iov_len, -1) : 0; /* a short write is allowed */
}

static int truncate_it(int fd, off_t length)
{
    char path[PATH_MAX];
    int ours = table && path_of(fd, path);
    FAIL_OR('T', path, ours)
    if (ours)
        hold();
    int done = syscall(SYS_ftruncate, fd, length);
    if (ours) {
        if (!done)
            note('T', inode_of(fd), length, "", 0, path);
        let_go();
    }
    return done;
}

int ftruncate(int fd, off_t length) { return truncate_it(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_it(fd, length); }

static int sync_it(int fd, long number)
{
    char path[PATH_MAX];
    int ours = table && path_of(fd, path);
    FAIL_OR('S', path, ours)
    if (ours)
        hold();
    int done = syscall(number, fd);
    if (ours) {
        if (!done)
            note('S', inode_of(fd), 0, "", 0, path);
        let_go();
    }
    return done;
}

int fsync(int fd) { return sync_it(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_it(fd, SYS_fdatasync); }

int flock(int fd, int operation)
{
    char path[PATH_MAX];
    FAIL_OR('K', path, table && path_of(fd, path))
    return syscall(SYS_flock, fd, operation);
}

/* ------------------------------------------------------------------------------------------ names */

#define NAMED(kind, dirfd, name, call, number)                                                                         \
    char path[PATH_MAX];                                                                                               \
    int ours = path_at(dirfd, name, path);                                                                             \
    FAIL_OR(kind, path, ours)                                                                                          \
    if (ours)                                                                                                          \
        hold();                                                                                                        \
    int done = call;                                                                                                   \
    if (ours) {                                                                                                        \
        if (!done)                                                                                                     \
            note(kind, inode_at(path), number, "", 0, path);                                                           \
        let_go();                                                                                                      \
    }                                                                                                                  \
    ECHO_OF(kind, done)                                                                                                \
    return done;

int mkdir(const char *name, mode_t mode)
{
    NAMED('M', AT_FDCWD, name, syscall(SYS_mkdirat, AT_FDCWD, name, mode), mode)
}
int mkdirat(int dirfd, const char *name, mode_t mode) { NAMED('M', dirfd, name, syscall(SYS_mkdirat, dirfd, name, mode), mode) }
int mkfifo(const char *name, mode_t mode)
{
    NAMED('F', AT_FDCWD, name, syscall(SYS_mknodat, AT_FDCWD, name, mode | S_IFIFO, 0), mode)
}
int unlink(const char *name) { NAMED('U', AT_FDCWD, name, syscall(SYS_unlinkat, AT_FDCWD, name, 0), 0) }
int rmdir(const char *name) { NAMED('D', AT_FDCWD, name, syscall(SYS_unlinkat, AT_FDCWD, name, AT_REMOVEDIR), 0) }
int unlinkat(int dirfd, const char *name, int flags)
{
    NAMED(flags & AT_REMOVEDIR ? 'D' : 'U', dirfd, name, syscall(SYS_unlinkat, dirfd, name, flags), 0)
}

#define PAIRED(kind, from_fd, from, to_fd, to, call)                                                                   \
    char path[PATH_MAX], other[PATH_MAX];                                                                              \
    int first = path_at(from_fd, from, path), ours = path_at(to_fd, to, other) || first;                               \
    FAIL_OR(kind, other, ours)                                                                                         \
    if (ours)                                                                                                          \
        hold();                                                                                                        \
    int done = call;                                                                                                   \
    if (ours) {                                                                                                        \
        if (!done)                                                                                                     \
            note(kind, inode_at(other), 0, other, strlen(other), path);                                                \
        let_go();                                                                                                      \
    }                                                                                                                  \
    ECHO_OF(kind, done)                                                                                                \
    return done;

int link(const char *from, const char *to)
{
    PAIRED('L', AT_FDCWD, from, AT_FDCWD, to, syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0))
}
int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    PAIRED('L', from_fd, from, to_fd, to, syscall(SYS_linkat, from_fd, from, to_fd, to, flags))
}
int rename(const char *from, const char *to)
{
    PAIRED('R', AT_FDCWD, from, AT_FDCWD, to, syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0))
}
int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    PAIRED('R', from_fd, from, to_fd, to, syscall(SYS_renameat2, from_fd, from, to_fd, to, 0))
}
