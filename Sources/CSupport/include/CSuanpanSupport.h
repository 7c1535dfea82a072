// The few C lines that Swift cannot import: intrinsics, macros, and GNU symbols that Glibc's module hides.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// CRC-32C (Castagnoli) of `length` bytes, continuing from `crc` (0 to begin). Uses SSE4.2 where present.
uint32_t suanpan_crc32c(uint32_t crc, const void *bytes, size_t length);

/// Asks for the cache line at `address` ahead of a read or a write.
static inline void suanpan_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
static inline void suanpan_prefetch_write(const void *address) { __builtin_prefetch(address, 1, 3); }

/// CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds; the latter 0 before 1970, UINT64_MAX from 2554 on.
uint64_t suanpan_monotonic_ns(void);
uint64_t suanpan_realtime_ns(void);

/// Pins the calling thread to one CPU. Returns 0 or an errno.
int suanpan_pin_to_cpu(int cpu);
/// CPUs this process may run on, written to `cpus` (at most `capacity`); returns how many there are.
int suanpan_allowed_cpus(int *cpus, int capacity);
void suanpan_name_thread(const char *name);
/// How late the kernel may fire this thread's timers, to save wake-ups (50 µs by default).
void suanpan_set_timer_slack(unsigned long ns);
/// CPU time of the calling thread, nanoseconds.
uint64_t suanpan_thread_cpu_ns(void);

/// open(2) with O_CLOEXEC; `direct` adds O_DIRECT, `dsync` adds O_DSYNC, `create` adds O_CREAT, `exclusive` O_EXCL.
/// Opens regular files, and directories for reading. Returns the descriptor or -errno; of anything else (a pipe, a device, a
/// socket) -ENODEV.
int suanpan_open(const char *path, int writable, int direct, int dsync, int create, int exclusive);
/// pwrite(2), ftruncate(2) and fallocate(2): what they return, or -errno. A limit of the size of files is -EFBIG and no
/// SIGXFSZ, whatever the program does at one.
int64_t suanpan_write_at(int fd, const void *bytes, size_t length, int64_t offset);
int suanpan_truncate(int fd, int64_t length);
int suanpan_fallocate(int fd, int64_t offset, int64_t length);
int suanpan_eventfd(void);
int suanpan_fsync_directory(const char *path);
/// Takes an open-file-description lock on the whole file, exclusive or shared; 0, or -errno (-EAGAIN or -EACCES: held).
int suanpan_lock_file(int fd, int shared);
/// Gives the lock up, whoever else has the same open file: a child between its fork and its exec.
void suanpan_unlock_file(int fd);
/// 1 when another holds a shared lock on the file.
int suanpan_is_lock_shared(int fd);
/// Opens a directory and nothing else. Returns the descriptor or -errno.
int suanpan_open_directory(const char *path);
/// flock(2) on a directory, exclusive or shared; 0, or -errno (-EWOULDBLOCK: held).
int suanpan_lock_directory(int fd, int shared);
/// As `suanpan_unlock_file`.
void suanpan_unlock_directory(int fd);
/// Writes how /proc/locks names an open file, `fe:00:9181234`; 0, or -errno.
int suanpan_place_in_locks(int fd, char *text, size_t length);
/// Filesystem type magic (statfs f_type) of the path, or -errno.
int64_t suanpan_filesystem_type(const char *path);
/// Bytes free to this user on the path's filesystem, or -errno.
int64_t suanpan_filesystem_free(const char *path);
/// Address space of `length` bytes, zero-filled on first touch, advised to use huge pages when `huge`. NULL on failure.
void *suanpan_map(size_t length, int huge);
void suanpan_unmap(void *address, size_t length);
/// The same, while the machine could give some more beside it: see `MemoryReserve`, also for those below.
void *suanpan_map_ahead(size_t length, int huge);
/// The same, from the calling thread's reserve where the machine gives none. NULL when that is used up, or there is none.
void *suanpan_map_needed(size_t length, int huge);
/// Takes a reserve of a multiple of 4096 bytes for the calling thread. 0: the machine does not give it.
int suanpan_reserve_begin(size_t length);
/// Gives back all but so many bytes of it.
void suanpan_reserve_keep(size_t length);
/// The first bytes that were asked of the machine and came from the reserve; 0: none did.
size_t suanpan_reserve_refused(void);
/// For tests, in debug builds only: after so many mappings more all are refused, in the whole process; below 0: none is.
void suanpan_refuse_mappings(int64_t after);

/// Lets the signals of crashes (SIGABRT, SIGQUIT, SIGSEGV …) end this process whatever handler stands before them: Swift's
/// backtracer prints its report and returns, which leaves a process alive that was told to end. Once, at its start.
void suanpan_die_of_fatal_signals(void);

/// The first process of a container: the kernel drops what would end it by default (SIGTERM, SIGINT …), so that it could only
/// be killed. Here they end it with exit code 128 + signal. Elsewhere, and of signals that are ignored or handled, nothing
/// is changed. Once, at its start.
void suanpan_end_as_first_process(void);

/// Loads and stores of an index shared with the kernel.
static inline uint32_t suanpan_load_acquire(const uint32_t *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
static inline void suanpan_store_release(uint32_t *p, uint32_t v) { __atomic_store_n(p, v, __ATOMIC_RELEASE); }
/// Waits while the engine starts or stops; never on the hot path.
void suanpan_sleep_microseconds(uint64_t microseconds);
/// Takes one count of a sem_t, sleeping until `deadline_ns` of CLOCK_MONOTONIC at the longest. 0, or -ETIMEDOUT.
int suanpan_semaphore_wait(void *semaphore, uint64_t deadline_ns);
