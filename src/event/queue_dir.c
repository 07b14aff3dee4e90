/* SPDX-License-Identifier: Apache-2.0
 *
 * What a MinIO left in its queue_dir: one file per event. Each is taken in by one commit, which writes the outbox row, moves
 * the cursor back to it and remembers the file's name; then the file is removed, then the memory of it. A crash in between
 * finds the name and takes nothing in twice. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "event/delivery_impl.h"

#define WAVE      64          /* files committed together */
#define SEQ_TRIES 100         /* numbers tried per closure */
#define SEQ_BYTES (64u << 10) /* of rows that have them, read in one closure */

struct taken_file {
    struct sender *s;
    struct kv_commit commit;
    char *name;
    uint64_t seq; /* mtime in ns, raised until free */
    struct arena arena;
    struct outbox_row row;
    bool known, again, damaged; /* taken in before; try higher numbers; a row cannot be read */
    struct intake *intake;
};
struct intake {
    struct sender *s;
    int dir; /* the target's folder */
    struct taken_file *files;
    size_t n, cap, bad, taken;
    struct buf skipped;        /* names of files that are left */
    struct segment_id *ranges; /* numbers that segments hold, in order */
    size_t n_ranges;
    /* the closures' own, which run in the order of the files */
    uint64_t next; /* the least number of the next file: files keep their order, also those of one time */
    bool held;     /* a file has to try once more; those behind it wait for it */
    struct mutex mutex;
    struct cond cond;
    size_t waiting;
    bool failed;
};

enum seq_search { SEQ_FOUND, SEQ_NONE, SEQ_DAMAGED };

/* Has the target a row of that number, or a dead letter, which an event with its number would replace one day? */
static enum kv_result look_up(struct kv_txn *t, uint32_t target, uint64_t seq, size_t *bytes)
{
    struct row_key k[] = {outbox_key(target, seq), dead_letter_key(target, seq)};
    enum kv_result r = KV_MISSING;
    for (size_t i = 0; i < 2 && r == KV_MISSING; i++) {
        struct kv_value v = {0};
        r = kv_txn_get(t, KV_QUEUE, row_key_str(&k[i]), &v);
        *bytes += r == KV_FOUND ? v.data.n : 0;
        kv_value_release(&v);
    }
    return r;
}

/* Numbers within a segment are its own, whether its events have them or not: there one event stands for all. */
static void pass_segments(const struct intake *in, uint64_t *seq)
{
    for (size_t i = 0; i < in->n_ranges && in->ranges[i].first <= *seq; i++)
        if (*seq <= in->ranges[i].last)
            *seq = in->ranges[i].last + 1;
}

/* The first number from f->seq on that is free. A number of the future would hide what is queued from now on, so the
 * sequencer's own takes its place. */
static enum seq_search free_number(struct kv_txn *t, struct taken_file *f)
{
    uint64_t now = kv_txn_sequence(t);
    size_t bytes = 0;
    if (f->seq < f->intake->next)
        f->seq = f->intake->next;
    for (int i = 0; i < SEQ_TRIES && bytes <= SEQ_BYTES; i++, f->seq++) {
        pass_segments(f->intake, &f->seq);
        if (f->seq >= now) {
            f->seq = now;
            return SEQ_FOUND;
        }
        enum kv_result r = look_up(t, f->s->number, f->seq, &bytes);
        if (r != KV_FOUND)
            return r == KV_MISSING ? SEQ_FOUND : SEQ_DAMAGED;
    }
    return SEQ_NONE;
}

static void put_u64(struct kv_txn *t, struct str key, uint64_t v)
{
    struct buf b;
    buf_init(&b, 8);
    buf_be64(&b, v);
    kv_txn_put(t, KV_META, key, buf_view(&b));
    buf_release(&b);
}

static bool take_txn(struct kv_txn *t, void *ctx)
{
    struct taken_file *f = ctx;
    struct kv_value v = {0};
    struct buf key, value;
    struct row_key cursor = cursor_key(f->s->number), count = outbox_counter_key(f->s->number);
    uint64_t at = 0;
    bool write = false;
    f->again = f->intake->held;
    if (f->again)
        return false;
    buf_init(&key, 4096);
    buf_init(&value, QUEUE_DIR_FILE_MAX * 2 + 4096);
    taken_file_key(&key, f->s->number, str_c(f->name));
    enum kv_result r = kv_txn_get(t, KV_META, buf_view(&key), &v);
    if (r == KV_FOUND) {
        f->known = true;
        kv_value_release(&v);
        goto out;
    }
    enum seq_search found = r == KV_MISSING ? free_number(t, f) : SEQ_DAMAGED;
    f->again = f->intake->held = found == SEQ_NONE;
    f->damaged = found == SEQ_DAMAGED;
    if (found != SEQ_FOUND)
        goto out;
    r = kv_txn_get(t, KV_META, row_key_str(&cursor), &v);
    if (r == KV_FOUND) {
        struct str in = v.data;
        (void)take_be64(&in, &at);
        kv_value_release(&v);
    }
    struct row_key row = outbox_key(f->s->number, f->seq);
    outbox_row_encode(&f->row, &value);
    BUG_ON(value.failed);
    kv_txn_put(t, KV_QUEUE, row_key_str(&row), buf_view(&value));
    kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){1, (int64_t)value.len});
    put_u64(t, buf_view(&key), f->seq);
    if (f->seq < at)
        put_u64(t, row_key_str(&cursor), f->seq);
    f->intake->next = f->seq + 1;
    write = true;
out:
    buf_release(&key);
    buf_release(&value);
    return write;
}

static void take_done(void *ctx, enum kv_outcome outcome)
{
    struct taken_file *f = ctx;
    struct intake *in = f->intake;
    mutex_lock(&in->mutex);
    if (outcome == KV_FAILED || f->damaged)
        in->failed = true;
    in->waiting--;
    cond_broadcast(&in->cond);
    mutex_unlock(&in->mutex);
}

static void await(struct intake *in)
{
    mutex_lock(&in->mutex);
    while (in->waiting > 0)
        cond_wait(&in->cond, &in->mutex);
    mutex_unlock(&in->mutex);
}

static void submit(struct intake *in, struct taken_file *f)
{
    f->commit =
        (struct kv_commit){.fn = take_txn, .done = take_done, .ctx = f, .bytes = f->row.record.n + 512};
    mutex_lock(&in->mutex);
    in->waiting++;
    mutex_unlock(&in->mutex);
    kv_commit(in->s->kv, &f->commit);
}

/* Left where it is; its name goes into the warning. */
static void skip_file(struct intake *in, const char *name)
{
    in->bad++;
    if (in->skipped.len < 400)
        buf_printf(&in->skipped, "%s%s", in->skipped.len ? ", " : "", name);
}

/* Reads a file of the wave; false when it holds no event. */
static bool load(struct intake *in, struct taken_file *f)
{
    struct buf text;
    buf_init(&text, QUEUE_DIR_FILE_MAX + 16384);
    arena_init(&f->arena);
    bool ok = queue_dir_read(in->dir, f->name, &text) &&
              queue_dir_parse(&f->arena, arena_dup(&f->arena, buf_view(&text)), &f->row);
    buf_release(&text);
    if (!ok) {
        arena_release(&f->arena);
        skip_file(in, f->name);
    }
    return ok;
}

/* The server stops, which may not wait for all files that there are: what is not taken in stays for the next start. */
static bool is_over(const struct intake *in)
{
    return atomic_load(&in->s->stop_ms) != INT64_MAX;
}

/* Up to WAVE files: committed together, each by a commit of its own, then removed. */
static void take_wave(struct intake *in, struct taken_file *files, size_t n)
{
    bool loaded[WAVE] = {false};
    for (size_t i = 0; i < n; i++) {
        sender_on_disk(in->s, true); /* anew with each file */
        if (is_over(in))
            break;
        files[i].intake = in;
        files[i].s = in->s;
        loaded[i] = load(in, &files[i]);
        if (loaded[i])
            submit(in, &files[i]);
    }
    await(in);
    for (size_t i = 0; i < n; i++) {
        while (loaded[i] && files[i].again && !in->failed) {
            in->held = false;
            submit(in, &files[i]);
            await(in);
        }
    }
    if (!in->failed)
        crash_point(CRASH_QUEUE_DIR_TAKEN);
    for (size_t i = 0; i < n; i++) {
        if (loaded[i] && !in->failed && unlinkat(in->dir, files[i].name, 0) != 0)
            log_warn(in->s->label,
                     "the event of %s/%s is queued, but the file cannot be removed: %m; remove it by hand",
                     in->s->conf->queue_dir, files[i].name);
        in->taken += loaded[i] && !in->failed && !files[i].known;
        if (loaded[i])
            arena_release(&files[i].arena);
    }
}

static int by_time(const void *a, const void *b)
{
    const struct taken_file *x = a, *y = b;
    return x->seq != y->seq ? (x->seq > y->seq) - (x->seq < y->seq) : strcmp(x->name, y->name);
}

/* False and errno when the folder cannot be read to its end. */
static bool list_files(struct intake *in)
{
    int fd = dup(in->dir);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int why = errno;
        if (fd >= 0)
            (void)close(fd);
        errno = why;
        return false;
    }
    for (struct dirent *d; errno = 0, !is_over(in) && (d = readdir(dir));) {
        struct stat st;
        struct str name = str_c(d->d_name);
        if (str_ends(name, STR(".event.snappy")))
            skip_file(in, d->d_name);
        if (!str_ends(name, STR(".event")) || fstatat(in->dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (in->n == in->cap) {
            in->cap = in->cap ? in->cap * 2 : 64;
            in->files = x_realloc(in->files, in->cap * sizeof(*in->files));
        }
        int64_t ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        in->files[in->n++] =
            (struct taken_file){.name = x_strdup(d->d_name), .seq = ns > 0 ? (uint64_t)ns : 1};
    }
    int why = errno;
    (void)closedir(dir);
    if (in->n > 0)
        qsort(in->files, in->n, sizeof(*in->files), by_time);
    errno = why;
    return why == 0;
}

/* Where segments are among the rows. */
static bool find_ranges(struct intake *in, struct err *e)
{
    struct row_key first = outbox_key(in->s->number, 0), end = outbox_key(in->s->number + 1, 0);
    struct kv_scan *scan = kv_scan_open(in->s->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    while (!is_over(in) && kv_scan_next(scan, &key, &value)) {
        uint64_t seq;
        struct segment_row row;
        if (!outbox_key_seq(key, &seq) || !segment_row_decode(value, seq, &row))
            continue;
        in->ranges = x_realloc(in->ranges, (in->n_ranges + 1) * sizeof(*in->ranges));
        in->ranges[in->n_ranges++] = row.is;
        struct row_key next = outbox_key(in->s->number, row.is.last + 1);
        kv_scan_seek(scan, row_key_str(&next));
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

struct forgetting {
    struct buf keys; /* each with its length */
};

static bool forget_txn(struct kv_txn *t, void *ctx)
{
    struct str rest = buf_view(&((struct forgetting *)ctx)->keys), key;
    while (take_lstr(&rest, &key))
        kv_txn_del(t, KV_META, key);
    return true;
}

/* Files that are gone need no memory of them any more. */
static bool forget_gone(struct intake *in, struct err *e)
{
    struct forgetting f;
    struct buf first, end;
    buf_init(&f.keys, 64u << 10);
    buf_init(&first, 8);
    buf_init(&end, 8);
    taken_file_key(&first, in->s->number, STR(""));
    taken_file_key(&end, in->s->number + 1, STR(""));
    struct kv_scan *scan = kv_scan_open(in->s->kv, KV_META, buf_view(&first), buf_view(&end));
    struct str key, value;
    bool ok = true, more = true;
    while (ok && more && !is_over(in)) {
        size_t n = 0;
        buf_reset(&f.keys);
        while (n < 100 && (more = kv_scan_next(scan, &key, &value))) {
            char name[300];
            struct stat st;
            if (key.n - 5 >= sizeof(name))
                continue;
            memcpy(name, key.p + 5, key.n - 5);
            name[key.n - 5] = 0;
            if (in->dir >= 0 && fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
                continue;
            buf_lstr(&f.keys, key);
            n++;
        }
        ok = n == 0 || kv_commit_wait(in->s->kv, forget_txn, &f, 0) == KV_COMMITTED ||
             err_set(e, "the store takes no changes");
    }
    ok = ok && !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    buf_release(&first);
    buf_release(&end);
    buf_release(&f.keys);
    return ok;
}

static void tell(const struct intake *in, const char *path)
{
    if (in->taken > 0)
        log_info(in->s->label, "%zu events taken in from %s", in->taken, path);
    if (in->bad > 0)
        log_warn(
            in->s->label,
            "%zu files in %s are left where they are, they hold no event that can be read (batches of Kafka, "
            ".event.snappy, cannot be read yet): %.*s%s",
            in->bad, path, STR_FMT(buf_view(&in->skipped)), in->skipped.len >= 400 ? ", ..." : "");
}

bool queue_dir_take(struct sender *s, struct err *e)
{
    if (!s->conf || !s->conf->queue_dir || !s->conf->queue_dir[0])
        return true;
    struct intake in = {.s = s};
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/minio-%s-%.*s", s->conf->queue_dir, s->type->name, STR_FMT(s->id));
    mutex_init(&in.mutex, RANK_SENDER);
    cond_init(&in.cond);
    buf_init(&in.skipped, 1024);
    in.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* What cannot be looked at may be there: its names are not forgotten, and the operator has to know. */
    bool seen = in.dir >= 0 ? list_files(&in) : errno == ENOENT;
    if (!seen)
        log_warn(s->label, "%s cannot be read, the events in it are not taken in: %m", path);
    bool ranges = in.n == 0 || find_ranges(&in, e);
    for (size_t i = 0; i < in.n && ranges && !in.failed && !is_over(&in); i += WAVE)
        take_wave(&in, in.files + i, in.n - i < WAVE ? in.n - i : WAVE);
#ifndef BELFRY_MUTATE_NO_SYNC_QUEUE_DIR
    if (in.dir >= 0 && fsync(in.dir) != 0 && errno != EINVAL) { /* then files may come back */
        log_warn(s->label, "%s cannot be synced: %m", path);
        seen = false;
    }
#endif
    bool ok =
        !in.failed || err_set(e, "the files in %s cannot be taken in: the store takes no changes", path);
    if (in.n > 0)
        crash_point(CRASH_QUEUE_DIR_UNLINKED);
    ok = ok && ranges && (!seen || forget_gone(&in, e));
    if (ok)
        tell(&in, path);
    for (size_t i = 0; i < in.n; i++)
        free(in.files[i].name);
    free(in.files);
    free(in.ranges);
    if (in.dir >= 0)
        (void)close(in.dir);
    buf_release(&in.skipped);
    cond_release(&in.cond);
    mutex_release(&in.mutex);
    return ok;
}
