/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of blobs: its sub-folders, pins, removal, space, and the state after a failed sync. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "blob/blob_internal.h"

static __thread enum blob_why last_why;

bool blob_err_is_full(void)
{
    return last_why == BLOB_WHY_FULL;
}

bool blob_err_is_damage(void)
{
    return last_why == BLOB_WHY_DAMAGE;
}

void blob_set_why(enum blob_why why)
{
    last_why = why;
}

void blob_name(uint64_t id, char out[BLOB_NAME])
{
    snprintf(out, BLOB_NAME, "%02x/%016llx", (unsigned)(id & 0xff), (unsigned long long)id);
}

bool blob_error(struct blobs *b, uint64_t id, const char *what, struct err *e)
{
    char name[BLOB_NAME];

    last_why = errno == ENOSPC || errno == EDQUOT ? BLOB_WHY_FULL : BLOB_WHY_OTHER;
    blob_name(id, name);
    return err_errno(e, "%s %s/%s", what, b->dir, name);
}

bool blob_sync_error(struct blobs *b, uint64_t id, const char *what, struct err *e)
{
    struct err mine = {0};

    blob_error(b, id, what, &mine);
    err_set(e, "%s", mine.text);
    mutex_lock(&b->mutex);
    if (!atomic_load(&b->failed)) {
        snprintf(b->why, sizeof b->why, "%.250s", mine.text);
        atomic_store(&b->failed, true);
    }
    mutex_unlock(&b->mutex);
    return false;
}

bool blobs_failed(struct blobs *b, struct err *why)
{
    if (!atomic_load_explicit(&b->failed, memory_order_acquire))
        return false;
    err_set(why, "%s", b->why);
    return true;
}

static void folder_name(unsigned folder, char out[3])
{
    uint8_t byte = (uint8_t)folder;
    hex_lower(&byte, 1, out);
    out[2] = 0;
}

bool blob_sync_folder(struct blobs *b, unsigned folder, struct err *e)
{
    char name[3];

    folder_name(folder, name);
    int fd = openat(b->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return blob_error(b, folder, "cannot open the folder of", e);
    bool ok = fsync(fd) == 0;
    if (!ok)
        blob_sync_error(b, folder, "cannot sync the folder of", e);
    close(fd);
    return ok;
}

/* Makes the names of the folder durable, and its own in the folder above. */
static bool sync_names(struct blobs *b, struct err *e)
{
    int up = openat(b->root, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = up >= 0;

#ifndef BELFRY_MUTATE_NO_SYNC_BLOB_FOLDERS
    ok = ok && fsync(b->root) == 0;
#endif
#ifndef BELFRY_MUTATE_NO_SYNC_BLOBS
    ok = ok && fsync(up) == 0;
#endif
    if (!ok)
        err_errno(e, "cannot sync %s and the folder above it", b->dir);
    if (up >= 0)
        close(up);
    return ok;
}

/* The sub-folders are empty, or synced by their writers. Their names are synced at every start: a start before may have made
 * them and died before its sync. */
static bool make_folders(struct blobs *b, struct err *e)
{
    for (unsigned i = 0; i < BLOB_FOLDERS; i++) {
        char name[3];
        folder_name(i, name);
        if (mkdirat(b->root, name, 0777) != 0 && errno != EEXIST)
            return err_errno(e, "cannot create %s/%s", b->dir, name);
    }
    return sync_names(b, e);
}

struct blobs *blobs_open(const char *dir, bool read_only, struct err *e)
{
    if (!read_only && mkdir(dir, 0777) != 0 && errno != EEXIST) {
        err_errno(e, "cannot create %s", dir);
        return NULL;
    }
    int root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) {
        err_errno(e, "cannot open %s", dir);
        return NULL;
    }
    struct blobs *b = x_calloc(1, sizeof *b);
    b->root = root;
    b->dir = x_strdup(dir);
    mutex_init(&b->mutex, RANK_PINS);
    cond_init(&b->removed);
    if (!read_only && !make_folders(b, e)) {
        blobs_close(b);
        return NULL;
    }
    return b;
}

void blobs_close(struct blobs *b)
{
    if (!b)
        return;
    for (unsigned i = 0; i < PIN_HEADS; i++)
        BUG_ON(b->pins[i]);
    close(b->root);
    cond_release(&b->removed);
    mutex_release(&b->mutex);
    free(b->dir);
    free(b);
}

/* Where the pin of id is, or would be added: a place in its chain. Under the mutex. */
static struct pin **pin_find(struct blobs *b, uint64_t id)
{
    struct pin **at = &b->pins[(id ^ (id >> 8)) % PIN_HEADS];

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static struct pin *pin_add(struct pin **at, uint64_t id)
{
    struct pin *p = x_calloc(1, sizeof *p);
    p->id = id;
    *at = p;
    return p;
}

static void pin_drop(struct pin **at)
{
    struct pin *p = *at;
    BUG_ON(!p);
    *at = p->next;
    free(p);
}

void blob_pin(struct blobs *b, uint64_t id)
{
#ifdef BELFRY_MUTATE_NO_PIN
    (void)b, (void)id;
    return;
#endif
    mutex_lock(&b->mutex);
    struct pin **at = pin_find(b, id);
    while (*at && (*at)->removing) {
        cond_wait(&b->removed, &b->mutex);
        at = pin_find(b, id);
    }
    struct pin *p = *at ? *at : pin_add(at, id);
    p->count++;
    mutex_unlock(&b->mutex);
}

void blob_unpin(struct blobs *b, uint64_t id)
{
#ifdef BELFRY_MUTATE_NO_PIN
    (void)b, (void)id;
    return;
#endif
    mutex_lock(&b->mutex);
    struct pin **at = pin_find(b, id);
    BUG_ON(!*at || (*at)->count == 0);
    if (--(*at)->count == 0)
        pin_drop(at);
    mutex_unlock(&b->mutex);
}

/* The unlink itself runs outside of the mutex: a file of gigabytes takes a while, and blob_unpin is called on
 * threads that must not wait. Who wants to pin this very blob waits for it. */
enum blob_remove blob_remove(struct blobs *b, uint64_t id, struct err *e)
{
    char name[BLOB_NAME];

    mutex_lock(&b->mutex);
    struct pin **at = pin_find(b, id);
    if (*at) {
        mutex_unlock(&b->mutex);
        return BLOB_BUSY;
    }
    pin_add(at, id)->removing = true;
    mutex_unlock(&b->mutex);

    blob_name(id, name);
    bool gone = unlinkat(b->root, name, 0) == 0 || errno == ENOENT;
    if (!gone)
        blob_error(b, id, "cannot remove", e);

    mutex_lock(&b->mutex);
    pin_drop(pin_find(b, id));
    b->touched[id & 0xff] |= gone;
    cond_broadcast(&b->removed);
    mutex_unlock(&b->mutex);
    return gone ? BLOB_REMOVED : BLOB_REMOVE_FAILED;
}

bool blobs_sync_removed(struct blobs *b, struct err *e)
{
    bool touched[BLOB_FOLDERS];

#ifdef BELFRY_MUTATE_NO_SYNC_REMOVED
    return true;
#endif
    mutex_lock(&b->mutex);
    memcpy(touched, b->touched, sizeof touched);
    memset(b->touched, 0, sizeof b->touched);
    mutex_unlock(&b->mutex);
    for (unsigned i = 0; i < BLOB_FOLDERS; i++)
        if (touched[i] && !blob_sync_folder(b, i, e))
            return false;
    return true;
}

/* The id that a file name stands for. */
static bool name_to_id(const char *name, uint64_t *id)
{
    uint8_t raw[8];

    if (strlen(name) != 16 || !hex_decode(str_c(name), raw, sizeof raw))
        return false;
    *id = 0;
    for (int i = 0; i < 8; i++)
        *id = *id << 8 | raw[i];
    return true;
}

static bool each_in_folder(DIR *d, bool (*each)(void *ctx, uint64_t id, uint64_t file_size), void *ctx)
{
    struct dirent *ent;

    while ((ent = readdir(d))) {
        struct stat st;
        uint64_t id;
        if (!name_to_id(ent->d_name, &id) || fstatat(dirfd(d), ent->d_name, &st, 0) != 0)
            continue;
        if (!each(ctx, id, (uint64_t)st.st_size))
            return false;
    }
    return true;
}

bool blobs_each(struct blobs *b, bool (*each)(void *ctx, uint64_t id, uint64_t file_size), void *ctx,
                struct err *e)
{
    for (unsigned i = 0; i < BLOB_FOLDERS; i++) {
        char name[3];
        folder_name(i, name);
        int fd = openat(b->root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue;
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        if (!d) {
            err_errno(e, "cannot list %s/%s", b->dir, name);
            if (fd >= 0)
                close(fd);
            return false;
        }
        bool go_on = each_in_folder(d, each, ctx);
        closedir(d);
        if (!go_on)
            break;
    }
    return true;
}

bool blobs_space(struct blobs *b, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e)
{
    struct statvfs v;

    if (fstatvfs(b->root, &v) != 0)
        return err_errno(e, "cannot ask %s for its free space", b->dir);
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    return true;
}

bool blob_write_all(int fd, const void *p, size_t n)
{
    const char *at = p;

    while (n) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool blob_read_all(int fd, void *p, size_t n, uint64_t off)
{
    char *at = p;

    while (n) {
        ssize_t done = pread(fd, at, n, (off_t)off);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = EIO;
        if (done <= 0)
            return false;
        at += done;
        off += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}
