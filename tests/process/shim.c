/* A file system that is slow, hangs or kills: for directories opened by the name it is told. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_named(const char *path, const char *variable)
{
    const char *wanted = getenv(variable);
    const char *slash = strrchr(path, '/');
    return wanted && strcmp(slash ? slash + 1 : path, wanted) == 0;
}

static void act(const char *path, int flags)
{
    if (!(flags & O_DIRECTORY) || (flags & O_PATH))
        return;
    if (is_named(path, "SHIM_CRASH"))
        raise(SIGSEGV);
    while (is_named(path, "SHIM_HANG"))
        pause();
    if (getenv("SHIM_SLOW") && (!getenv("SHIM_WHILE") || !access(getenv("SHIM_WHILE"), F_OK)))
        usleep(atoi(getenv("SHIM_SLOW")));
}

#define OPENAT(name)                                                    \
    int name(int folder, const char *path, int flags, ...)              \
    {                                                                   \
        static int (*real)(int, const char *, int, ...);                \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = va_arg(rest, mode_t);                             \
        va_end(rest);                                                   \
        if (!real)                                                      \
            real = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        act(path, flags);                                               \
        return real(folder, path, flags, mode);                         \
    }

#define OPEN(name)                                                      \
    int name(const char *path, int flags, ...)                          \
    {                                                                   \
        static int (*real)(const char *, int, ...);                     \
        va_list rest;                                                   \
        va_start(rest, flags);                                          \
        mode_t mode = va_arg(rest, mode_t);                             \
        va_end(rest);                                                   \
        if (!real)                                                      \
            real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name); \
        act(path, flags);                                               \
        return real(path, flags, mode);                                 \
    }

OPENAT(openat)
OPENAT(openat64)
OPEN(open)
OPEN(open64)
