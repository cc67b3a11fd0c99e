/* Counts the calls of a process that change files below one folder, and lets one of them fail.
 *
 * Loaded by LD_PRELOAD, so that it meets what Python, Rust (safetensors), C (SQLite) and C++ (Arrow) write alike.
 * fault_arm(root, at, how, error) arms it; call `at`, counted from 1, and with REFUSE all after it that the fault
 * covers, do not happen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, TEAR, REFUSE };
enum { WRITES = 1, MAKES = 2, NAMES = 4, DELETES = 8, SYNCS = 16 };

static char root[PATH_MAX];
static long at, seen;
static int how, error, covered;

void fault_arm(const char *folder, long place, int kind, int number)
{
    snprintf(root, sizeof root, "%s/", folder);
    at = place, seen = 0, how = kind, error = number;
    /* A full disk refuses what takes room, a folder that may not be changed refuses names, a disk that was taken
     * away or went read-only refuses all. */
    covered = number == ENOSPC ? WRITES | MAKES : number == EACCES ? MAKES | NAMES | DELETES : 31;
}

long fault_seen(void) { return seen; }

/* Returns 0 to go on, 1 to refuse, 2 to do half and die. */
static int fault(int kind, const char *path)
{
    if (!root[0] || !path || strncmp(path, root, strlen(root)))
        return 0;
    seen++;
    if (!at || seen < at)
        return 0;
    if (how == KILL || (how == TEAR && kind != WRITES))
        kill(getpid(), SIGKILL);
    if (how == TEAR)
        return 2;
    if (how == REFUSE && (kind & covered)) {
        errno = error;
        return 1;
    }
    return 0;
}

static int of_handle(int kind, int handle)
{
    char link[64], path[PATH_MAX];
    if (!root[0])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return fault(kind, path);
}

static int of_name(int kind, int folder, const char *name)
{
    char link[64], path[PATH_MAX * 2];
    if (!root[0] || !name)
        return 0;
    if (name[0] == '/')
        return fault(kind, name);
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return 0;
    snprintf(path + length, sizeof path - length, "/%s", name);
    return fault(kind, path);
}

#define REAL(result, name, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) \
        real = (result (*)(__VA_ARGS__)) dlsym(RTLD_NEXT, name)

#define OPEN(name, folder, test, real_call, ...) \
    { \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        REAL(int, name, __VA_ARGS__); \
        if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) && of_name(test, folder, path)) \
            return -1; \
        return real_call; \
    }
#define KIND (flags & O_CREAT ? MAKES : SYNCS)

int open(const char *path, int flags, ...)
OPEN("open", AT_FDCWD, KIND, real(path, flags, mode), const char *, int, ...)
int open64(const char *path, int flags, ...)
OPEN("open64", AT_FDCWD, KIND, real(path, flags, mode), const char *, int, ...)
int openat(int folder, const char *path, int flags, ...)
OPEN("openat", folder, KIND, real(folder, path, flags, mode), int, const char *, int, ...)
int openat64(int folder, const char *path, int flags, ...)
OPEN("openat64", folder, KIND, real(folder, path, flags, mode), int, const char *, int, ...)

#define WRITE(half, whole) \
    switch (of_handle(WRITES, handle)) { \
    case 1: \
        return -1; \
    case 2: \
        half; \
        kill(getpid(), SIGKILL); \
    } \
    return whole

ssize_t write(int handle, const void *data, size_t size)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    WRITE(real(handle, data, size / 2), real(handle, data, size));
}

ssize_t pwrite(int handle, const void *data, size_t size, off_t place)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
    WRITE(real(handle, data, size / 2, place), real(handle, data, size, place));
}

ssize_t pwrite64(int handle, const void *data, size_t size, off64_t place)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    WRITE(real(handle, data, size / 2, place), real(handle, data, size, place));
}

ssize_t writev(int handle, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    WRITE(real(handle, parts, count / 2), real(handle, parts, count));
}

#define HANDLE(kind, name, ...) \
    if (of_handle(kind, handle)) \
        return -1; \
    return real(__VA_ARGS__)

int ftruncate(int handle, off_t size) { REAL(int, "ftruncate", int, off_t); HANDLE(SYNCS, , handle, size); }
int ftruncate64(int handle, off64_t size) { REAL(int, "ftruncate64", int, off64_t); HANDLE(SYNCS, , handle, size); }
int fsync(int handle) { REAL(int, "fsync", int); HANDLE(SYNCS, , handle); }
int fdatasync(int handle) { REAL(int, "fdatasync", int); HANDLE(SYNCS, , handle); }

/* posix_fallocate returns its error. */
int posix_fallocate64(int handle, off64_t from, off64_t size)
{
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    return of_handle(WRITES, handle) ? error : real(handle, from, size);
}

#define NAME(kind, folder, path, ...) \
    if (of_name(kind, folder, path)) \
        return -1; \
    return real(__VA_ARGS__)

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    NAME(NAMES, AT_FDCWD, to, from, to);
}

int renameat(int one, const char *from, int other, const char *to)
{
    REAL(int, "renameat", int, const char *, int, const char *);
    NAME(NAMES, other, to, one, from, other, to);
}

int unlink(const char *path) { REAL(int, "unlink", const char *); NAME(DELETES, AT_FDCWD, path, path); }
int rmdir(const char *path) { REAL(int, "rmdir", const char *); NAME(DELETES, AT_FDCWD, path, path); }
int mkdir(const char *path, mode_t mode) { REAL(int, "mkdir", const char *, mode_t); NAME(MAKES, AT_FDCWD, path, path, mode); }

int unlinkat(int folder, const char *path, int flags)
{
    REAL(int, "unlinkat", int, const char *, int);
    NAME(DELETES, folder, path, folder, path, flags);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(int, "mkdirat", int, const char *, mode_t);
    NAME(MAKES, folder, path, folder, path, mode);
}
