/*
 * Loaded into a process by LD_PRELOAD: while the file SLOW_DISK_SINCE is there, each write to and each sync of a file below
 * SLOW_DISK takes 200 ms longer, in the thread that asked for it, as on a disk that is slow. What SQLite writes goes to
 * the page cache, so that only its syncs are slow.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define DELAY_US 200000

static void lag(int fd, int is_sync) {
  const char *folder = getenv("SLOW_DISK"), *since = getenv("SLOW_DISK_SINCE");
  char link[64], path[4096];
  if (folder == NULL || since == NULL || access(since, F_OK) != 0) return;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  if (size <= 0) return;
  path[size] = 0;
  if (strncmp(path, folder, strlen(folder)) != 0) return;
  if (is_sync || strstr(path, ".sqlite") == NULL) usleep(DELAY_US);
}

#define AROUND(result, name, is_sync, declared, given) \
  result name declared { \
    static result (*real) declared; \
    if (real == NULL) real = (result (*) declared) dlsym(RTLD_NEXT, #name); \
    lag(fd, is_sync); \
    return real given; \
  }

AROUND(ssize_t, write, 0, (int fd, const void *bytes, size_t size), (fd, bytes, size))
AROUND(ssize_t, writev, 0, (int fd, const struct iovec *parts, int count), (fd, parts, count))
AROUND(ssize_t, pwrite, 0, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
AROUND(ssize_t, pwrite64, 0, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))
AROUND(ssize_t, pwritev, 0, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
AROUND(ssize_t, pwritev64, 0, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
AROUND(int, fsync, 1, (int fd), (fd))
AROUND(int, fdatasync, 1, (int fd), (fd))
