#define _GNU_SOURCE
#include "CSuanpanSupport.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
uint64_t suanpan_monotonic_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t suanpan_realtime_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  // A clock that is set to before 1970, or beyond 64 bits of nanoseconds (2554), must not wrap.
  if (t.tv_sec < 0) return 0;
  if (t.tv_sec >= (time_t)(UINT64_MAX / 1000000000u)) return UINT64_MAX;
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
uint64_t suanpan_thread_cpu_ns(void) { return clock_ns(CLOCK_THREAD_CPUTIME_ID); }

int suanpan_pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}
int suanpan_allowed_cpus(int *cpus, int capacity) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set)) return 0;
  int n = 0;
  for (int i = 0; i < CPU_SETSIZE; i++)
    if (CPU_ISSET(i, &set)) {
      if (n < capacity) cpus[n] = i;
      n++;
    }
  return n;
}
void suanpan_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
void suanpan_set_timer_slack(unsigned long ns) { prctl(PR_SET_TIMERSLACK, ns); }

int suanpan_open(const char *path, int writable, int direct, int dsync, int create, int exclusive) {
  // Not blocking, so that a pipe that somebody has put there is refused and not waited for.
  int flags = O_CLOEXEC | O_NONBLOCK | (writable ? O_RDWR : O_RDONLY);
  if (direct) flags |= O_DIRECT;
  if (dsync) flags |= O_DSYNC;
  if (create) flags |= O_CREAT;
  if (exclusive) flags |= O_EXCL;
  int fd;
  do fd = open(path, flags, 0640);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno == ENXIO ? -ENODEV : -errno;
  struct stat s;
  int r = fstat(fd, &s) ? -errno : S_ISREG(s.st_mode) || S_ISDIR(s.st_mode) ? 0 : -ENODEV;
  // The kernel's rings would not wait for a slow disk.
  if (!r && fcntl(fd, F_SETFL, flags & (O_DIRECT | O_DSYNC))) r = -errno;
  if (!r) return fd;
  close(fd);
  return r;
}

// Where a file may not grow (RLIMIT_FSIZE) the kernel sends the thread a SIGXFSZ, which ends the process, beside its EFBIG.
// A library must not change what its host does at a signal, so the one of this call is kept from the thread and taken away.
typedef struct {
  sigset_t signal, before;
} size_signal;
static size_signal hold_size_signal(void) {
  size_signal s;
  sigemptyset(&s.signal);
  sigaddset(&s.signal, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &s.signal, &s.before);
  return s;
}
static int64_t release_size_signal(const size_signal *s, int64_t result) {
  const int64_t answer = result < 0 ? -errno : result;
  if (sigismember(&s->before, SIGXFSZ)) return answer;
  const struct timespec now = {0};
  if (answer == -EFBIG)
    while (sigtimedwait(&s->signal, NULL, &now) < 0 && errno == EINTR) {}
  pthread_sigmask(SIG_SETMASK, &s->before, NULL);
  return answer;
}
int64_t suanpan_write_at(int fd, const void *bytes, size_t length, int64_t offset) {
  const size_signal s = hold_size_signal();
  int64_t n;
  do n = pwrite(fd, bytes, length, offset);
  while (n < 0 && errno == EINTR);
  return release_size_signal(&s, n);
}
int suanpan_truncate(int fd, int64_t length) {
  const size_signal s = hold_size_signal();
  int r;
  do r = ftruncate(fd, length);
  while (r && errno == EINTR);
  return (int)release_size_signal(&s, r);
}
int suanpan_fallocate(int fd, int64_t offset, int64_t length) {
  const size_signal s = hold_size_signal();
  int r;
  do r = fallocate(fd, 0, offset, length);
  while (r && errno == EINTR);
  return (int)release_size_signal(&s, r);
}
int suanpan_eventfd(void) {
  int fd = eventfd(0, EFD_CLOEXEC);
  return fd < 0 ? -errno : fd;
}
int suanpan_fsync_directory(const char *path) {
  const int fd = suanpan_open_directory(path);
  if (fd < 0) return fd;
  int r;
  do r = fsync(fd) ? -errno : 0;
  while (r == -EINTR);
  close(fd);
  return r;
}
int suanpan_lock_file(int fd, int shared) {
  struct flock l = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_SETLK, &l) ? -errno : 0;
}
void suanpan_unlock_file(int fd) {
  struct flock l = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
  fcntl(fd, F_OFD_SETLK, &l);
}
int suanpan_is_lock_shared(int fd) {
  struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return !fcntl(fd, F_OFD_GETLK, &l) && l.l_type == F_RDLCK;
}
int suanpan_open_directory(const char *path) {
  int fd;
  do fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}
int suanpan_lock_directory(int fd, int shared) { return flock(fd, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) ? -errno : 0; }
void suanpan_unlock_directory(int fd) { flock(fd, LOCK_UN); }
int suanpan_place_in_locks(int fd, char *text, size_t length) {
  struct stat s;
  if (fstat(fd, &s)) return -errno;
  snprintf(text, length, "%02x:%02x:%llu", major(s.st_dev), minor(s.st_dev), (unsigned long long)s.st_ino);
  return 0;
}
int64_t suanpan_filesystem_type(const char *path) {
  struct statfs s;
  return statfs(path, &s) ? -errno : (int64_t)s.f_type;
}
int64_t suanpan_filesystem_free(const char *path) {
  struct statfs s;
  return statfs(path, &s) ? -errno : (int64_t)s.f_bavail * (int64_t)s.f_bsize;
}
#ifdef DEBUG
static _Atomic int64_t mappings_left = -1;
void suanpan_refuse_mappings(int64_t after) { atomic_store(&mappings_left, after); }
static int is_refused(void) {
  int64_t left = atomic_load(&mappings_left);
  while (left > 0)
    if (atomic_compare_exchange_weak(&mappings_left, &left, left - 1)) return 0;
  return left == 0;
}
#else
static int is_refused(void) { return 0; }
#endif

static const size_t huge_page = (size_t)2 << 20;

static void *map(size_t length, int huge, size_t headroom) {
  const int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  length = (length + 4095) & ~(size_t)4095;
  // Huge pages need an aligned begin: map more, give back what sticks out.
  const size_t more = (huge ? huge_page : 0) + headroom, align = huge ? huge_page : 4096;
  if (is_refused()) return NULL;
  char *p = mmap(NULL, length + more, protection, flags, -1, 0);
  if (p == MAP_FAILED) return NULL;
  char *begin = (char *)(((uintptr_t)p + align - 1) & ~(uintptr_t)(align - 1));
  if (begin > p) munmap(p, (size_t)(begin - p));
  size_t behind = (size_t)(p + more - begin);
  if (behind) munmap(begin + length, behind);
  if (huge) madvise(begin, length, MADV_HUGEPAGE);
  return begin;
}
void *suanpan_map(size_t length, int huge) { return map(length, huge, 0); }
void *suanpan_map_ahead(size_t length, int huge) { return map(length, huge, (size_t)16 << 20); }

static _Thread_local struct {
  char *next, *end;
  size_t refused;
} reserve;
int suanpan_reserve_begin(size_t length) {
  reserve.refused = 0;
  reserve.next = suanpan_map(length, 0);
  reserve.end = reserve.next ? reserve.next + length : NULL;
  return reserve.next != NULL;
}
void suanpan_reserve_keep(size_t length) {
  if ((size_t)(reserve.end - reserve.next) <= length) return;
  munmap(reserve.next + length, (size_t)(reserve.end - reserve.next) - length);
  reserve.end = reserve.next + length;
}
size_t suanpan_reserve_refused(void) { return reserve.refused; }
void *suanpan_map_needed(size_t length, int huge) {
  void *p = suanpan_map(length, huge);
  if (p) return p;
  const uintptr_t align = huge ? huge_page : 4096;
  length = (length + 4095) & ~(size_t)4095;
  char *begin = (char *)(((uintptr_t)reserve.next + align - 1) & ~(align - 1));
  if (!reserve.next || begin > reserve.end || (size_t)(reserve.end - begin) < length) return NULL;
  if (!reserve.refused) reserve.refused = length;
  // What is passed over is given back: nobody else knows of it.
  if (begin > reserve.next) munmap(reserve.next, (size_t)(begin - reserve.next));
  reserve.next = begin + length;
  return begin;
}
void suanpan_unmap(void *address, size_t length) { munmap(address, length); }
void suanpan_sleep_microseconds(uint64_t microseconds) {
  struct timespec t = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};
  nanosleep(&t, NULL);
}
int suanpan_semaphore_wait(void *semaphore, uint64_t deadline_ns) {
  struct timespec t = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
  int r;
  do r = sem_clockwait(semaphore, CLOCK_MONOTONIC, &t);
  while (r && errno == EINTR);
  return r ? -errno : 0;
}
