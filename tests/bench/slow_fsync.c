/* A disk that takes its time: fsync and fdatasync return SLOW_FSYNC_US microseconds
 * after the real ones did.
 *
 *     cc -shared -fPIC -O2 -o target/slow_fsync.so tests/bench/slow_fsync.c
 *     LD_PRELOAD=$PWD/target/slow_fsync.so SLOW_FSYNC_US=1000 holdpoint bench submits
 *
 * What a benchmark starts inherits both, so daemon and baselines are slowed alike.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd), error = errno;
    const char *micros = getenv("SLOW_FSYNC_US");
    long wait = micros ? atol(micros) : 0;
    struct timespec left = {wait / 1000000, wait % 1000000 * 1000};

    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
    errno = error;
    return result;
}

int fsync(int fd)
{
    return slowly("fsync", fd);
}

int fdatasync(int fd)
{
    return slowly("fdatasync", fd);
}
