/* Loaded into a libvirtd (see blocked.py): while MARKER is there, its file operations below FOLDER do not return.
 *
 * These are the calls that libvirtd and its drivers make on a pool's folder and on a disk's image, under the names
 * that its binaries import. Each waits before it does what it was asked, as for a file server that is away.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int __open64_2(const char *path, int flags);

static void wait_for_release(const char *path)
{
    const char *folder = getenv("VIRTWIRE_BLOCKED_FOLDER");
    const char *marker = getenv("VIRTWIRE_BLOCKED_MARKER");
    const struct timespec moment = {.tv_nsec = 10 * 1000 * 1000};

    if (!folder || !marker || strncmp(path, folder, strlen(folder)) != 0)
        return;
    while (REAL(access)(marker, F_OK) == 0)
        nanosleep(&moment, NULL);
}

#define BLOCKABLE(result, name, parameters, arguments) \
    result name parameters                             \
    {                                                  \
        wait_for_release(path);                        \
        return REAL(name) arguments;                   \
    }

BLOCKABLE(DIR *, opendir, (const char *path), (path))
BLOCKABLE(int, access, (const char *path, int mode), (path, mode))
BLOCKABLE(int, stat64, (const char *path, struct stat64 *found), (path, found))
BLOCKABLE(int, lstat64, (const char *path, struct stat64 *found), (path, found))
BLOCKABLE(int, statvfs64, (const char *path, struct statvfs64 *found), (path, found))
BLOCKABLE(int, __open64_2, (const char *path, int flags), (path, flags))

int open64(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    wait_for_release(path);
    return REAL(open64)(path, flags, mode);
}
