/* A disk, a clock and threads that can be told to fail, put before the C library's by LD_PRELOAD.

   FAULT_DIRECTORY  what is watched: files whose real path begins with it
   FAULT_LOG        every operation on them is appended here, in the order in which it took effect
   FAULT            "kill:K" ends the process with SIGKILL in place of its K-th operation,
                    "full:K:N" lets N operations that need space fail from the K-th on (N = 0: all of them),
                    "read-only:K:N" lets all changes fail that way, as on a disk that was mounted again,
                    "eio:K" lets the K-th sync fail
   FAULT_CLOCK      a file of 8 bytes: microseconds that the clock of the day is wrong by
   FAULT_THREADS    a file: while it is there, no thread can be started
   FAULT_THREAD     N: nor can the N-th of the process or any later one

   A record of the log: struct record below, then `size` bytes of data or of paths that end in a zero. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The C library's own function of that name. */
#define REAL(name)                                                                       \
  (*({                                                                                   \
    static __typeof__(&name) found;                                                      \
    found ? found : (found = (__typeof__(&name))dlsym(RTLD_NEXT, #name));                \
  }))
#define FILES 4096

struct __attribute__((packed)) record { char kind; uint64_t inode, offset; uint32_t size; };
enum { SPACE = 1, SYNC = 2 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char directory[PATH_MAX];
static int is_read, log_file = -1;
static uint64_t watched[FILES]; /* inode by descriptor, 0 where it is none of ours */
static long count, first, length;
static char fault;

static void read_settings(void) {
  const char *dir = getenv("FAULT_DIRECTORY"), *log = getenv("FAULT_LOG"), *what = getenv("FAULT");
  if (is_read || !dir) return;
  is_read = 1;
  snprintf(directory, sizeof directory, "%s", dir);
  if (log) log_file = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (what && sscanf(what, "%*[a-z-]:%ld:%ld", &first, &length) >= 1) fault = what[0];
}

static int is_ours(const char *path) {
  size_t size = strlen(directory);
  return size && !strncmp(path, directory, size) && (!path[size] || path[size] == '/');
}

static void put(char kind, uint64_t inode, uint64_t offset, const void *data, size_t size) {
  if (log_file < 0) return;
  struct record head = {kind, inode, offset, size};
  struct iovec parts[] = {{&head, sizeof head}, {(void *)data, size}};
  if (REAL(writev)(log_file, parts, 2) != (ssize_t)(sizeof head + size)) abort();
}

static void put_paths(char kind, uint64_t inode, const char *one, const char *other) {
  char both[2 * PATH_MAX];
  size_t size = strlen(one) + 1;
  memcpy(both, one, size);
  if (other) memcpy(both + size, other, strlen(other) + 1), size += strlen(other) + 1;
  put(kind, inode, 0, both, size);
}

/* What happens in place of the next operation: 0, or the errno it fails with. The lock is held. */
static int next(int needs) {
  count++;
  int is_on = count >= first && (!length || count < first + length);
  if (fault == 'k' && count >= first) kill(getpid(), SIGKILL);
  if (fault == 'f' && is_on && needs & SPACE) return ENOSPC;
  if (fault == 'r' && is_on && !(needs & SYNC)) return EROFS;
  if (fault == 'e' && needs & SYNC && count >= first) return fault = 0, EIO;
  return 0;
}

static int absolute(int at, const char *path, char *out) {
  if (*path == '/') return snprintf(out, PATH_MAX, "%s", path), is_ours(out);
  char link[64], base[PATH_MAX] = "";
  snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
  if (readlink(link, base, sizeof base - 1) < 0) return 0;
  if (snprintf(out, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
  return is_ours(out);
}

static int opened(int at, const char *path, int flags, mode_t mode) {
  char full[PATH_MAX];
  pthread_mutex_lock(&lock);
  read_settings();
  int ours = absolute(at, path, full), is_new = ours && flags & O_CREAT && REAL(faccessat)(at, path, F_OK, 0);
  int failure = is_new ? next(SPACE) : 0, fd = -1;
  if (failure) errno = failure;
  else fd = REAL(openat)(at, path, flags, mode);
  if (fd >= 0 && fd < FILES) {
    struct stat status;
    watched[fd] = 0;
    if (ours && !fstat(fd, &status)) {
      watched[fd] = status.st_ino;
      put_paths(S_ISDIR(status.st_mode) ? 'd' : is_new ? 'O' : 'E', status.st_ino, full, NULL);
      if (!is_new && flags & O_TRUNC) put('T', status.st_ino, 0, NULL, 0);
    }
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

#define OPEN(name, first_parameter, at)                               \
  int name(first_parameter const char *path, int flags, ...) {        \
    va_list rest;                                                     \
    va_start(rest, flags);                                            \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0; \
    va_end(rest);                                                     \
    return opened(at, path, flags, mode);                             \
  }
#define COMMA ,
OPEN(open, , AT_FDCWD)
OPEN(open64, , AT_FDCWD)
OPEN(openat, int at COMMA, at)
OPEN(openat64, int at COMMA, at)

static int is_watched(int fd) { return fd >= 0 && fd < FILES && watched[fd]; }

int close(int fd) {
  if (is_watched(fd)) watched[fd] = 0;
  return REAL(close)(fd);
}

/* offset: -1 where the file stands. A full disk takes half of the first write that fails. */
static ssize_t written(int fd, const void *data, size_t size, off_t offset) {
  pthread_mutex_lock(&lock);
  struct stat status;
  int failure = next(SPACE);
  ssize_t done = -1;
  if (failure == ENOSPC && count == first && size > 1) failure = 0, size /= 2;
  if (failure) errno = failure;
  else {
    off_t at = offset;
    if (at < 0) at = fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &status) ? status.st_size : lseek(fd, 0, SEEK_CUR);
    done = offset < 0 ? REAL(write)(fd, data, size) : REAL(pwrite)(fd, data, size, offset);
    if (done > 0) put('W', watched[fd], at, data, done);
  }
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t write(int fd, const void *data, size_t size) {
  return is_watched(fd) ? written(fd, data, size, -1) : REAL(write)(fd, data, size);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return is_watched(fd) ? written(fd, data, size, offset) : REAL(pwrite)(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }

#define CHANGE(needs, mine, operation, record)  \
  if (!(mine)) return operation;                \
  pthread_mutex_lock(&lock);                    \
  int failure = next(needs), result = -1;       \
  if (failure) errno = failure;                 \
  else if (!(result = operation)) record;       \
  pthread_mutex_unlock(&lock);                  \
  return result;

int ftruncate(int fd, off_t size) {
  CHANGE(0, is_watched(fd), REAL(ftruncate)(fd, size), put('T', watched[fd], size, NULL, 0))
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int fsync(int fd) { CHANGE(SYNC, is_watched(fd), REAL(fsync)(fd), put('S', watched[fd], 0, NULL, 0)) }
int fdatasync(int fd) { CHANGE(SYNC, is_watched(fd), REAL(fdatasync)(fd), put('S', watched[fd], 0, NULL, 0)) }

int unlinkat(int at, const char *path, int flags) {
  char full[PATH_MAX];
  read_settings();
  CHANGE(0, absolute(at, path, full), REAL(unlinkat)(at, path, flags), put_paths('U', 0, full, NULL))
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int at, const char *path, mode_t mode) {
  char full[PATH_MAX];
  read_settings();
  CHANGE(SPACE, absolute(at, path, full), REAL(mkdirat)(at, path, mode), put_paths('M', 0, full, NULL))
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int renameat(int at, const char *from, int at_too, const char *to) {
  char one[PATH_MAX], other[PATH_MAX];
  read_settings();
  CHANGE(SPACE, absolute(at, from, one) && absolute(at_too, to, other), REAL(renameat)(at, from, at_too, to),
         put_paths('R', 0, one, other))
}
int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }
int linkat(int at, const char *from, int at_too, const char *to, int flags) {
  char one[PATH_MAX], other[PATH_MAX];
  read_settings();
  CHANGE(SPACE, absolute(at, from, one) && absolute(at_too, to, other), REAL(linkat)(at, from, at_too, to, flags),
         put_paths('L', 0, one, other))
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  static long started; /* threads that start threads at once may be counted as one, which nobody minds */
  const char *path = getenv("FAULT_THREADS"), *most = getenv("FAULT_THREAD");
  started++;
  if (path && !REAL(faccessat)(AT_FDCWD, path, F_OK, 0)) return EAGAIN; /* as with RLIMIT_NPROC or TasksMax= */
  if (most && started >= atol(most)) return EAGAIN;
  return REAL(pthread_create)(thread, attributes, run, argument);
}

static int64_t clock_is_wrong_by(void) {
  static const int64_t *error;
  static int is_open;
  if (!is_open) {
    const char *path = getenv("FAULT_CLOCK");
    is_open = 1;
    int fd = path ? REAL(open)(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) error = map;
    if (fd >= 0) REAL(close)(fd);
  }
  return error ? *error : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = REAL(clock_gettime)(clock, now);
  if (clock == CLOCK_REALTIME) now->tv_sec += clock_is_wrong_by() / 1000000;
  return result;
}
int gettimeofday(struct timeval *now, void *zone) {
  int result = REAL(gettimeofday)(now, zone);
  now->tv_sec += clock_is_wrong_by() / 1000000;
  return result;
}
time_t time(time_t *out) {
  time_t now = REAL(time)(NULL) + clock_is_wrong_by() / 1000000;
  if (out) *out = now;
  return now;
}
