/* Loaded into a process by LD_PRELOAD: before the process changes a file below TILLPROOF_DISK, what the change
 * destroys is appended to TILLPROOF_DISK_LOG, and every sync is noted there. chaos/power/restore.py reads the log
 * after the process was killed, and takes back what was not synced by then.
 *
 * One record is one writev on an O_APPEND descriptor: it is whole or absent after a kill, and those of several
 * processes don't mix. A record comes before its change, so a kill in between costs nothing: taking back what
 * never happened changes nothing. A sync counts for what was recorded before it began, and only once it returned.
 * With TILLPROOF_DISK_SINGLE (one process only) the log is emptied whenever everything in it is synced.
 *
 * Not seen: writes through a shared mapping, holes punched and copies inside the kernel. These are noted as '?',
 * and the power cut then says that it can't tell. SQLite's -shm is no power cut's survivor and is not watched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096
#define PENDING 256
#define CHUNK (1 << 20)
#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* restore.py reads it as "<4sc3xQqqII": L loaded, W write, T truncate, C created, U unlink, R rename,
 * B a sync begins, S it returned, ? something that can't be followed */
struct record {
    char magic[4];
    char kind;
    char pad[3];
    uint64_t ino;  /* of the file; B and S: of the file or directory */
    int64_t at;    /* W: offset; T: the new size; B and S: which sync; L: the process id */
    int64_t size;  /* W and T: the size before; C, U and R: the directory's ino */
    uint32_t path; /* bytes of the path that follows */
    uint32_t more; /* bytes that follow the path: the contents before, or R: new path, NUL, kept; U: kept */
};

static char root[PATH_MAX], kept_dir[PATH_MAX - 64], scratch[CHUNK];
static size_t root_len;
static int log_fd = -1, single, pendings, overflow, syncs, kept_files;
static uint64_t pending[PENDING];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct { dev_t dev; ino_t ino; char known, watched; } seen[FDS];

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open", const char *, int, ...);
    return real(path, flags, mode);
}

static int real_ftruncate(int fd, off_t size) {
    REAL(int, "ftruncate", int, off_t);
    return real(fd, size);
}

static void note(char kind, uint64_t ino, int64_t at, int64_t size, const char *path, const void *more, size_t len) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    struct record head = {{'T', 'P', 'D', '1'}, kind, {0}, ino, at, size, path ? strlen(path) : 0, len};
    struct iovec parts[3] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)more, len}};
    if (real(log_fd, parts, 3) != (ssize_t)(sizeof head + head.path + len)) {
        static const char text[] = "tillproof: the log of unsynced writes can't be written\n";
        ssize_t ignored = write(2, text, sizeof text - 1);
        (void)ignored;
        _exit(70); /* without its log the lab would call lost bytes durable */
    }
}

static void is_pending(uint64_t ino) {
    if (!single) return;
    for (int n = 0; n < pendings; n++)
        if (pending[n] == ino) return;
    if (pendings < PENDING) pending[pendings++] = ino;
    else overflow = 1;
}

static void is_synced(uint64_t ino) {
    if (!single) return;
    for (int n = 0; n < pendings; n++)
        if (pending[n] == ino) pending[n--] = pending[--pendings];
    if (!pendings && !overflow && real_ftruncate(log_fd, 0) == 0) note('L', 0, getpid(), 0, root, NULL, 0);
}

__attribute__((constructor)) static void loaded(void) {
    const char *disk = getenv("TILLPROOF_DISK"), *name = getenv("TILLPROOF_DISK_LOG");
    if (log_fd >= 0 || !disk || !name || !realpath(disk, root)) return;
    root_len = strlen(root);
    single = getenv("TILLPROOF_DISK_SINGLE") != NULL;
    if (snprintf(kept_dir, sizeof kept_dir, "%s.kept", name) >= (int)sizeof kept_dir) return;
    mkdir(kept_dir, 0777);
    int fd = real_open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 512);
    log_fd = high < 0 ? fd : high;
    if (high >= 0) close(fd);
    note('L', 0, getpid(), 0, root, NULL, 0);
}

/* Paths and descriptors */

static int below_root(const char *path) {
    size_t len = strlen(path);
    if (strncmp(path, root, root_len) || path[root_len] != '/') return 0;
    return len < 4 || strcmp(path + len - 4, "-shm");
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, PATH_MAX - 1);
    if (len < 0) return 0;
    path[len] = 0;
    return 1;
}

static int watched(int fd, struct stat *st) {
    char path[PATH_MAX];
    int saved = errno;
    if (log_fd < 0 || fd < 0 || fstat(fd, st) || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) {
        errno = saved;
        return 0;
    }
    if (fd < FDS && seen[fd].known && seen[fd].ino == st->st_ino && seen[fd].dev == st->st_dev)
        return seen[fd].watched;
    int is = path_of(fd, path) && (below_root(path) || !strcmp(path, root));
    if (fd < FDS) {
        seen[fd].dev = st->st_dev, seen[fd].ino = st->st_ino, seen[fd].watched = is, seen[fd].known = 1;
    }
    errno = saved;
    return is;
}

static int watched_file(int fd, struct stat *st) { return watched(fd, st) && S_ISREG(st->st_mode); }

static uint64_t directory_of(const char *path) {
    char dir[PATH_MAX];
    struct stat st;
    snprintf(dir, sizeof dir, "%s", path);
    char *slash = strrchr(dir, '/');
    if (slash) *slash = 0;
    return stat(dir, &st) ? 0 : st.st_ino;
}

/* Fill `full` with the real path of a name, whether or not there is such a file; 0 when it can't be told. */
static int full_path(int dirfd, const char *name, char *full) {
    char way[PATH_MAX + 64], *slash;
    if (name[0] == '/' || dirfd == AT_FDCWD) snprintf(way, sizeof way, "%s", name);
    else snprintf(way, sizeof way, "/proc/self/fd/%d/%s", dirfd, name);
    slash = strrchr(way, '/');
    const char *base = slash ? slash + 1 : way;
    char last[NAME_MAX + 1];
    if (strlen(base) > NAME_MAX) return 0;
    strcpy(last, base);
    if (slash == way) strcpy(way, "/");
    else if (slash) *slash = 0;
    else strcpy(way, ".");
    if (!realpath(way, full)) return 0;
    size_t len = strlen(full);
    return snprintf(full + len, PATH_MAX - len, "/%s", last) < (int)(PATH_MAX - len);
}

/* Changes of contents */

static void before_write(int fd, const struct stat *st, off_t at, size_t len) {
    char path[PATH_MAX], link[64];
    REAL(ssize_t, "pread", int, void *, size_t, off_t);
    int saved = errno, reader = -1;
    if (!path_of(fd, path)) path[0] = 0;
    off_t end = at + (off_t)len < st->st_size ? at + (off_t)len : st->st_size;
    if (at >= end) note('W', st->st_ino, at, st->st_size, path, NULL, 0);
    while (at < end) {
        size_t want = end - at < CHUNK ? end - at : CHUNK;
        ssize_t got = real(reader < 0 ? fd : reader, scratch, want, at);
        if (got < 0 && errno == EBADF && reader < 0) { /* opened for writing only */
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            reader = real_open(link, O_RDONLY | O_CLOEXEC, 0);
            if (reader >= 0) continue;
        }
        if (got <= 0) {
            note('?', st->st_ino, at, st->st_size, path, NULL, 0);
            break;
        }
        note('W', st->st_ino, at, st->st_size, path, scratch, got);
        at += got;
    }
    if (reader >= 0) close(reader);
    is_pending(st->st_ino);
    errno = saved;
}

static void before_truncate(int fd, const struct stat *st, off_t size) {
    char path[PATH_MAX];
    if (size < st->st_size) before_write(fd, st, size, st->st_size - size);
    if (!path_of(fd, path)) path[0] = 0;
    note('T', st->st_ino, size, st->st_size, path, NULL, 0);
    is_pending(st->st_ino);
}

static int synchronous(int fd) { return (fcntl(fd, F_GETFL) & (O_DSYNC | O_SYNC)) != 0; }

static void synced(const struct stat *st, int which) {
    note('S', st->st_ino, which, 0, NULL, NULL, 0);
    is_synced(st->st_ino);
}

static int sync_begins(const struct stat *st) {
    int which = (int)((unsigned)getpid() << 12 ^ (unsigned)__sync_add_and_fetch(&syncs, 1));
    note('B', st->st_ino, which, 0, NULL, NULL, 0);
    return which;
}

#define WRITING(fd, at, len, call) \
    struct stat st; \
    if (!watched_file(fd, &st)) return call; \
    pthread_mutex_lock(&lock); \
    fstat(fd, &st); \
    before_write(fd, &st, at, len); \
    ssize_t done = call; \
    int failed = errno; \
    if (done > 0 && synchronous(fd)) synced(&st, sync_begins(&st)); \
    pthread_mutex_unlock(&lock); \
    errno = failed; \
    return done

static off_t position(int fd, const struct stat *st) {
    return fcntl(fd, F_GETFL) & O_APPEND ? st->st_size : lseek(fd, 0, SEEK_CUR);
}

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int n = 0; n < count; n++) sum += parts[n].iov_len;
    return sum;
}

ssize_t write(int fd, const void *data, size_t len) {
    REAL(ssize_t, "write", int, const void *, size_t);
    WRITING(fd, position(fd, &st), len, real(fd, data, len));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    WRITING(fd, position(fd, &st), total(parts, count), real(fd, parts, count));
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    WRITING(fd, at, len, real(fd, data, len, at));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
    WRITING(fd, at, total(parts, count), real(fd, parts, count, at));
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at) { return pwrite64(fd, data, len, at); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

int ftruncate64(int fd, off64_t size) {
    struct stat st;
    if (!watched_file(fd, &st)) return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    fstat(fd, &st);
    before_truncate(fd, &st, size);
    int done = real_ftruncate(fd, size), failed = errno;
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int truncate64(const char *path, off64_t size) {
    int fd = real_open(path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int done = ftruncate64(fd, size), failed = errno;
    close(fd);
    errno = failed;
    return done;
}

int truncate(const char *path, off_t size) { return truncate64(path, size); }

static void before_allocation(int fd, int mode) {
    struct stat st;
    if (!watched_file(fd, &st)) return;
    pthread_mutex_lock(&lock);
    fstat(fd, &st);
    note(mode & ~FALLOC_FL_KEEP_SIZE ? '?' : 'W', st.st_ino, st.st_size, st.st_size, "", NULL, 0);
    is_pending(st.st_ino);
    pthread_mutex_unlock(&lock);
}

int posix_fallocate64(int fd, off64_t at, off64_t len) {
    REAL(int, "posix_fallocate64", int, off64_t, off64_t);
    before_allocation(fd, 0);
    return real(fd, at, len);
}

int posix_fallocate(int fd, off_t at, off_t len) { return posix_fallocate64(fd, at, len); }

int fallocate64(int fd, int mode, off64_t at, off64_t len) {
    REAL(int, "fallocate64", int, int, off64_t, off64_t);
    before_allocation(fd, mode);
    return real(fd, mode, at, len);
}

int fallocate(int fd, int mode, off_t at, off_t len) { return fallocate64(fd, mode, at, len); }

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t len, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    struct stat st;
    if (watched_file(out, &st)) {
        errno = ENOSYS; /* every caller then copies by hand, which is seen */
        return -1;
    }
    return real(in, from, out, to, len, flags);
}

void *mmap64(void *where, size_t len, int protection, int flags, int fd, off64_t at) {
    REAL(void *, "mmap64", void *, size_t, int, int, int, off64_t);
    struct stat st;
    if (fd >= 0 && (protection & PROT_WRITE) && (flags & 0x0f) == MAP_SHARED && watched_file(fd, &st))
        note('?', st.st_ino, at, st.st_size, "a shared mapping", NULL, 0);
    return real(where, len, protection, flags, fd, at);
}

void *mmap(void *where, size_t len, int protection, int flags, int fd, off_t at) {
    return mmap64(where, len, protection, flags, fd, at);
}

/* Syncs */

static int synchronise(int fd, int (*real)(int)) {
    struct stat st;
    if (!watched(fd, &st)) return real(fd);
    if (single) pthread_mutex_lock(&lock);
    int which = sync_begins(&st), done = real(fd), failed = errno;
    if (done == 0) synced(&st, which);
    if (single) pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int fsync(int fd) {
    REAL(int, "fsync", int);
    return synchronise(fd, real);
}

int fdatasync(int fd) {
    REAL(int, "fdatasync", int);
    return synchronise(fd, real);
}

/* Changes of names */

static int opened(int dirfd, const char *name, int flags, mode_t mode) {
    REAL(int, "openat", int, const char *, int, ...);
    struct stat st;
    char path[PATH_MAX];
    if (log_fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE)
        return real(dirfd, name, flags, mode);
    int saved = errno, fresh = fstatat(dirfd, name, &st, 0) != 0;
    errno = saved;
    int fd = real(dirfd, name, flags & ~O_TRUNC, mode);
    if (fd < 0) return fd;
    if (watched_file(fd, &st) && fresh && path_of(fd, path)) {
        pthread_mutex_lock(&lock);
        note('C', st.st_ino, 0, directory_of(path), path, NULL, 0);
        is_pending(st.st_ino);
        pthread_mutex_unlock(&lock);
    } else if (!fresh && (flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY && S_ISREG(st.st_mode)) {
        if (ftruncate64(fd, 0)) return fd;
    }
    errno = saved;
    return fd;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags) return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags) return opened(dir, path, flags | O_LARGEFILE, mode); }
int __open_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(AT_FDCWD, path, flags | O_LARGEFILE, 0); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return creat(path, mode); }

/* Keep a file that is about to lose its name, under a name of ours; empty when there is none to keep. */
static void keep(const char *full, char *kept) {
    struct stat st;
    kept[0] = 0;
    if (lstat(full, &st) || !S_ISREG(st.st_mode)) return;
    snprintf(kept, PATH_MAX, "%s/%d-%d", kept_dir, (int)getpid(), __sync_add_and_fetch(&kept_files, 1));
    if (linkat(AT_FDCWD, full, AT_FDCWD, kept, 0)) {
        note('?', st.st_ino, 0, st.st_size, full, NULL, 0);
        kept[0] = 0;
    }
}

int unlinkat(int dirfd, const char *name, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    char full[PATH_MAX], kept[PATH_MAX];
    struct stat st;
    int saved = errno;
    if (log_fd < 0 || flags & AT_REMOVEDIR || !full_path(dirfd, name, full) || !below_root(full) || lstat(full, &st)) {
        errno = saved;
        return real(dirfd, name, flags);
    }
    pthread_mutex_lock(&lock);
    keep(full, kept);
    uint64_t dir = directory_of(full);
    if (kept[0]) note('U', st.st_ino, 0, dir, full, kept, strlen(kept));
    is_pending(dir);
    errno = saved;
    int done = real(dirfd, name, flags), failed = errno;
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

static int renamed(int from, const char *old, int to, const char *fresh, unsigned flags) {
    REAL(int, "renameat2", int, const char *, int, const char *, unsigned);
    char was[PATH_MAX], is[2 * PATH_MAX + 2], kept[PATH_MAX];
    struct stat st;
    int saved = errno;
    if (log_fd < 0 || !full_path(from, old, was) || !full_path(to, fresh, is)
        || !(below_root(was) || below_root(is)) || lstat(was, &st)) {
        errno = saved;
        return real(from, old, to, fresh, flags);
    }
    pthread_mutex_lock(&lock);
    keep(is, kept);
    uint64_t dir = directory_of(is);
    size_t len = strlen(is);
    strcpy(is + len + 1, kept);
    note('R', st.st_ino, 0, dir, was, is, len + 1 + strlen(kept));
    is_pending(dir);
    errno = saved;
    int done = real(from, old, to, fresh, flags), failed = errno;
    pthread_mutex_unlock(&lock);
    errno = failed;
    return done;
}

int rename(const char *old, const char *fresh) { return renamed(AT_FDCWD, old, AT_FDCWD, fresh, 0); }
int renameat(int from, const char *old, int to, const char *fresh) { return renamed(from, old, to, fresh, 0); }
int renameat2(int from, const char *old, int to, const char *fresh, unsigned flags) {
    return renamed(from, old, to, fresh, flags);
}
