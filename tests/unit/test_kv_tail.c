/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the log after a power cut: what was not synced is cut off, what was is not. A cut is a copy of the store's
 * folder while it is open, with the bytes changed that a disk may have lost. */
#include "kv_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "kv/tail.h"
#include "kv/wal_record.h"

struct cut {
    char dir[64];
    struct kv *kv;
};

static void copy_file(const char *from, const char *to)
{
    static char bytes[1 << 16];
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static void copy_dir(const char *from, struct cut *c)
{
    *c = (struct cut){.dir = "/tmp/belfry-tail-XXXXXX"};
    assert_non_null(mkdtemp(c->dir));
    DIR *d = opendir(from);
    for (struct dirent *e; (e = readdir(d));) {
        char a[400], b[400];
        if (e->d_name[0] == '.' || strcmp(e->d_name, "LOCK") == 0)
            continue;
        snprintf(a, sizeof a, "%s/%.200s", from, e->d_name);
        snprintf(b, sizeof b, "%s/%.200s", c->dir, e->d_name);
        copy_file(a, b);
    }
    closedir(d);
}

static void end(struct cut *c)
{
    if (c->kv)
        kv_close(c->kv);
    remove_dir(c->dir);
}

/* The one log of a folder. */
static void log_of(const char *dir, char out[400])
{
    DIR *d = opendir(dir);
    out[0] = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(str_c(e->d_name), STR(".log")) && strcmp(e->d_name, out) > 0)
            snprintf(out, 400, "%s/%.200s", dir, e->d_name);
    closedir(d);
    assert_true(out[0] != 0);
}

static off_t log_size(const char *dir)
{
    char log[400];
    struct stat st;
    log_of(dir, log);
    assert_int_equal(stat(log, &st), 0);
    return st.st_size;
}

/* One row whose value fills about so many bytes of the log. */
static void put(struct kv *kv, const char *key, size_t n, unsigned flags)
{
    char *value = x_malloc(n + 1);
    memset(value, 'v', n);
    value[n] = 0;
    assert_int_equal(run(kv, SCRIPT({PUT, KV_META, key, value}), flags), KV_COMMITTED);
    free(value);
}

static bool has(struct kv *kv, const char *key)
{
    struct kv_value v = {0};
    struct err e;
    enum kv_result r = kv_get(kv, KV_META, str_c(key), 0, &v, &e);
    kv_value_release(&v);
    return r == KV_FOUND;
}

static void overwrite(const char *dir, off_t from, off_t to, int with)
{
    char log[400];
    log_of(dir, log);
    int fd = open(log, O_WRONLY | O_CLOEXEC);
    for (off_t at = from; at < to; at++) {
        char c = (char)(with < 0 ? (at * 7919) >> 3 : with);
        assert_int_equal(pwrite(fd, &c, 1, at), 1);
    }
    close(fd);
}

static bool open_cut(struct cut *c, bool read_only, struct err *e)
{
    c->kv = kv_open(c->dir, &(struct kv_options){.read_only = read_only}, e);
    return c->kv != NULL;
}

/* Four batches, the first two synced; where each ends. */
static void four(struct fixture *f, size_t n, off_t at[5])
{
    const char *const keys[] = {"a", "b", "c", "d"};
    at[0] = log_size(f->dir);
    for (int i = 0; i < 4; i++) {
        put(f->kv, keys[i], n, i < 2 ? 0 : KV_NOSYNC);
        at[i + 1] = log_size(f->dir);
    }
}

struct loss {
    const char *what;
    size_t n;         /* bytes of each row */
    int from, to;     /* of the batches' ends: what is overwritten */
    int with;         /* -1: garbage */
    const char *left; /* keys that must be there after */
};
static const struct loss losses[] = {
    {"garbage behind the last sync", 500, 2, 4, -1, "ab"},
    {"zeros behind the last sync", 500, 2, 4, 0, "ab"},
    {"a hole before a batch that is there", 500, 2, 3, 0, "ab"},
    {"garbage before a batch that is there", 500, 2, 3, -1, "ab"},
    {"the last batch", 500, 3, 4, -1, "abc"},
    {"a hole of blocks before a batch that is there", 100000, 2, 3, 0, "ab"},
    {"garbage of blocks", 100000, 2, 4, -1, "ab"},
};

static void test_lost(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        const struct loss *l = &losses[i];
        off_t at[5];
        four(f, l->n, at);
        for (int read_only = 1; read_only >= 0; read_only--) {
            struct cut c;
            struct err e = {0};
            copy_dir(f->dir, &c);
            overwrite(c.dir, at[l->from], at[l->to], l->with);
            if (!open_cut(&c, read_only, &e))
                fail_msg("%s: %s", l->what, e.text);
            for (const char *k = "abcd"; *k; k++)
                if (has(c.kv, (char[]){*k, 0}) != (strchr(l->left, *k) != NULL))
                    fail_msg("%s: row %c", l->what, *k);
            end(&c);
        }
        teardown(state);
        setup_rocks(state);
        f = *state;
    }
}

/* Cutting is done once: the store goes on, and is cut again later, without taking the first cut for damage. */
static void test_goes_on(void **state)
{
    struct fixture *f = *state;
    struct cut c, again;
    struct err e = {0};
    off_t at[5];
    four(f, 500, at);
    copy_dir(f->dir, &c);
    overwrite(c.dir, at[2], at[3], -1);
    assert_true(open_cut(&c, false, &e));
    put(c.kv, "e", 500, 0);
    put(c.kv, "f", 500, KV_NOSYNC);
    off_t size = log_size(c.dir);
    copy_dir(c.dir, &again);
    overwrite(again.dir, size - 200, size, -1);
    if (!open_cut(&again, false, &e))
        fail_msg("%s", e.text);
    assert_true(has(again.kv, "b") && has(again.kv, "e") && !has(again.kv, "c") && !has(again.kv, "f"));
    end(&again);
    end(&c);
}

/* One bit in what was synced: the start is refused, with file and offset, and nothing is cut. */
static void test_damaged(void **state)
{
    struct fixture *f = *state;
    char log[400], place[40];
    off_t at[5];
    four(f, 500, at);
    for (int batch = 0; batch < 2; batch++) {
        for (off_t byte = at[batch]; byte < at[batch + 1]; byte += 23) {
            struct cut c;
            struct err e = {0};
            copy_dir(f->dir, &c);
            log_of(c.dir, log);
            int fd = open(log, O_RDWR | O_CLOEXEC);
            char b;
            assert_int_equal(pread(fd, &b, 1, byte), 1);
            b ^= 1;
            assert_int_equal(pwrite(fd, &b, 1, byte), 1);
            close(fd);
            if (open_cut(&c, false, &e))
                fail_msg("byte %ld was not noticed", (long)byte);
            snprintf(place, sizeof place, "at byte %ld", (long)at[batch]);
            assert_non_null(strstr(e.text, log));
            assert_non_null(strstr(e.text, place));
            assert_int_equal(log_size(c.dir), at[4]);
            end(&c);
        }
    }
}

/* After a clean stop all of the log is known to be synced, also what was written without one. */
static void test_damaged_after_a_stop(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    off_t at[5];
    four(f, 500, at);
    shut(f);
    copy_dir(f->dir, &c);
    overwrite(c.dir, at[3] + 50, at[3] + 51, 0x55);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, "damaged"));
    end(&c);
}

/* --- the MANIFEST --- */

static void manifest_of(const char *dir, char out[400])
{
    char path[400], name[64] = "";
    snprintf(path, sizeof path, "%.300s/CURRENT", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, name, sizeof name - 1) > 0);
    close(fd);
    name[strcspn(name, "\n")] = 0;
    snprintf(out, 400, "%.300s/%s", dir, name);
}

static off_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    char c;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)~c;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

/* Opened twice: the log of the first time is a table, and gone. */
static void reopened(struct fixture *f)
{
    off_t at[5];
    four(f, 500, at);
    reopen(f);
    put(f->kv, "e", 500, 0);
}

/* Garbage behind what was synced: cut, or not shown. */
static void test_manifest_torn(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    for (int read_only = 1; read_only >= 0; read_only--) {
        struct cut c;
        struct err e = {0};
        char path[400];
        copy_dir(f->dir, &c);
        manifest_of(c.dir, path);
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_int_equal(write(fd, "garbage, or an old block of another file", 40), 40);
        close(fd);
        off_t size = size_of(path);
        if (!open_cut(&c, read_only, &e))
            fail_msg("%s", e.text);
        assert_true(has(c.kv, "a") && has(c.kv, "d") && has(c.kv, "e"));
        if (read_only)
            assert_int_equal(size_of(path), size);
        end(&c);
    }
}

/* Other bits anywhere: refused with file and offset, or everything is there without what is behind them. */
static void test_manifest_damaged(void **state)
{
    struct fixture *f = *state;
    char path[400];
    int refused = 0;
    reopened(f);
    manifest_of(f->dir, path);
    for (off_t at = 0, size = size_of(path); at < size; at += 5) {
        struct cut c;
        struct err e = {0};
        copy_dir(f->dir, &c);
        manifest_of(c.dir, path);
        flip(path, at);
        if (open_cut(&c, false, &e)) {
            if (!has(c.kv, "a") || !has(c.kv, "d") || !has(c.kv, "e"))
                fail_msg("byte %ld: rows are lost", (long)at);
        } else {
            refused++;
            assert_int_equal(size_of(path), size); /* for who saves what is left */
        }
        end(&c);
    }
    assert_true(refused > 0);
}

/* A flush, and what it made superfluous is gone; then a row, or none. */
static void flushed(struct fixture *f, const char *key)
{
    struct err e = {0};
    put(f->kv, key, 500, 0);
    assert_true(kv_reclaim(f->kv, &e));
}

/* Zeros in the last bytes of what was synced, where a batch behind it says so. */
static void test_manifest_marks(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    flushed(f, "f");
    put(f->kv, "g", 500, 0);
    struct cut c;
    struct err e = {0};
    char path[400];
    copy_dir(f->dir, &c);
    manifest_of(c.dir, path);
    off_t size = size_of(path);
    flip(path, size - 1);
    flip(path, size - 2);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, path));
    assert_int_equal(size_of(path), size);
    end(&c);
}

/* Where what is named up to the bad place is not all there, it is not cut: more of it had been synced. */
static void test_manifest_tables(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char path[400], command[500];
    reopened(f);
    copy_dir(f->dir, &c);
    manifest_of(c.dir, path);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "garbage, or a damaged record", 28), 28);
    close(fd);
    off_t size = size_of(path);
    snprintf(command, sizeof command, "rm $(ls %s/*.sst | head -1)", c.dir);
    assert_int_equal(system(command), 0);
    for (int read_only = 1; read_only >= 0; read_only--) {
        e.text[0] = 0;
        assert_false(open_cut(&c, read_only, &e));
        assert_non_null(strstr(e.text, path));
    }
    assert_int_equal(size_of(path), size);
    end(&c);
}

/* Nor where the log is gone that was in use up to there, though nothing was written to the one after it. */
static void test_manifest_log(void **state)
{
    struct fixture *f = *state;
    char path[400];
    int refused = 0;
    reopened(f);
    manifest_of(f->dir, path);
    off_t opening = size_of(path);
    flushed(f, "f");
    for (off_t size = size_of(path), at = opening; at < size; at += 3) {
        struct cut c;
        struct err e = {0};
        copy_dir(f->dir, &c);
        manifest_of(c.dir, path);
        flip(path, at);
        if (!open_cut(&c, true, &e))
            refused++;
        else if (!has(c.kv, "a") || !has(c.kv, "e") || !has(c.kv, "f"))
            fail_msg("byte %ld: rows are lost", (long)at);
        end(&c);
    }
    assert_true(refused > 0);
}

static bool has_in(struct kv *kv, enum kv_space space)
{
    struct kv_value v = {0};
    struct err e;
    enum kv_result r = kv_get(kv, space, STR("each"), 0, &v, &e);
    kv_value_release(&v);
    return r == KV_FOUND;
}

static void flip_each(const char *dir, bool e_too)
{
    char path[400];
    int opened = 0;
    manifest_of(dir, path);
    for (off_t at = 0, size = size_of(path); at < size; at += 3) {
        struct cut c;
        struct err e = {0};
        copy_dir(dir, &c);
        manifest_of(c.dir, path);
        flip(path, at);
        opened += open_cut(&c, true, &e);
        if (c.kv && ((e_too && !has(c.kv, "e")) || !has_in(c.kv, KV_META) || !has_in(c.kv, KV_QUEUE) ||
                     !has_in(c.kv, KV_DATA)))
            fail_msg("byte %ld: rows are lost", (long)at);
        end(&c);
    }
    assert_int_equal(opened, 0);
}

/* An open makes a table for each family, and the log that they came from is gone: all of them must be named, also when nothing
 * was written since, and when the first of them is as young as the last. */
static void test_manifest_families(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(
        run(f->kv,
            SCRIPT({PUT, KV_DATA, "each", "3"}, {PUT, KV_QUEUE, "each", "2"}, {PUT, KV_META, "each", "1"}),
            0),
        KV_COMMITTED);
    reopen(f);
    flip_each(f->dir, false);
    put(f->kv, "e", 500, 0);
    flip_each(f->dir, true);
}

static void test_no_manifest(void **state)
{
    struct tail_manifest m;
    (void)state;
    tail_read_manifest((struct str){0}, &m);
    assert_true(m.whole && !m.begun && m.oldest_log == 0);
    tail_read_manifest(STR("not a manifest, by far"), &m);
    assert_true(!m.whole && !m.begun && m.end == 0);
}

/* --- logs made by hand --------------------------------------------------------------------------------------------- */

enum { ME = 7, OTHER = 9, ROOM = 100000 };

/* What a log holds, in order. Sequence numbers are relative to the MANIFEST's last one. */
struct piece {
    enum { NOTHING, BATCH, UNMARKED, GARBAGE, FAKE, NEXT_LOG } kind;
    int first, rows; /* of a batch */
    int synced;      /* its mark */
    size_t n;        /* bytes of it */
    uint64_t writer; /* 0: ME */
};
#define BATCH_(first, rows, synced) \
    { \
        BATCH, first, rows, synced, 300, 0 \
    }
#define UNMARKED_(first, rows) \
    { \
        UNMARKED, first, rows, 0, 300, 0 \
    }
#define GARBAGE_(n) \
    { \
        GARBAGE, 0, 0, 0, n, 0 \
    }
#define NEXT_ \
    { \
        NEXT_LOG, 0, 0, 0, 0, 0 \
    }
/* Of RocksDB, when it opens a store. */
#define OPENING_(first) \
    { \
        UNMARKED, first, 0, 0, 12, 0 \
    }
#define FAKE_(kind, first, synced, by) \
    { \
        kind, first, 1, synced, 300, by \
    }

struct made {
    const char *what;
    struct piece pieces[8];
    enum tail_state state;
    int log; /* of the bad place */
    int at;  /* piece in front of which it is; -1: at the beginning of the log */
};
static const struct made mades[] = {
    {"whole", {BATCH_(1, 2, 0), BATCH_(3, 1, 2), NEXT_, BATCH_(4, 0, 3), BATCH_(4, 1, 3)}, TAIL_WHOLE, 0, 0},
    {"no marks", {UNMARKED_(1, 2), UNMARKED_(3, 1), NEXT_, UNMARKED_(4, 1)}, TAIL_WHOLE, 0, 0},
    {"no marks, torn", {UNMARKED_(1, 2), GARBAGE_(500)}, TAIL_TORN, 0, 1},
    {"no marks, damaged", {UNMARKED_(1, 2), GARBAGE_(500), UNMARKED_(4, 1)}, TAIL_DAMAGED, 0, 1},
    {"torn", {BATCH_(1, 2, 0), GARBAGE_(500)}, TAIL_TORN, 0, 1},
    {"torn before a batch", {BATCH_(1, 2, 0), GARBAGE_(500), BATCH_(5, 1, 2)}, TAIL_TORN, 0, 1},
    {"damaged", {BATCH_(1, 2, 0), GARBAGE_(500), BATCH_(5, 1, 3)}, TAIL_DAMAGED, 0, 1},
    {"damaged, as the batch after that says",
     {BATCH_(1, 2, 0), GARBAGE_(500), BATCH_(5, 1, 2), BATCH_(6, 1, 5)},
     TAIL_DAMAGED,
     0,
     1},
    {"a batch is missing", {BATCH_(1, 2, 0), BATCH_(4, 1, 2)}, TAIL_TORN, 0, 1},
    {"a batch is missing that was synced", {BATCH_(1, 2, 0), BATCH_(4, 1, 3)}, TAIL_DAMAGED, 0, 1},
    {"the next log goes on", {BATCH_(1, 2, 0), GARBAGE_(500), NEXT_, BATCH_(5, 1, 2)}, TAIL_TORN, 0, 1},
    {"the next log proves", {BATCH_(1, 2, 0), GARBAGE_(500), NEXT_, BATCH_(5, 1, 3)}, TAIL_DAMAGED, 0, 1},
    {"the next log is short, the bad place long",
     {BATCH_(1, 2, 0), GARBAGE_(60000), NEXT_, BATCH_(3000, 1, 3)},
     TAIL_DAMAGED,
     0,
     1},
    {"the next log has a gap before it", {BATCH_(1, 2, 0), NEXT_, BATCH_(4, 1, 2)}, TAIL_TORN, 1, -1},
    {"that had been synced", {BATCH_(1, 2, 0), NEXT_, BATCH_(4, 1, 3)}, TAIL_DAMAGED, 1, -1},
    {"the first log is empty", {NEXT_, BATCH_(1, 1, -1)}, TAIL_TORN, 0, -1},
    {"and had been synced", {NEXT_, BATCH_(1, 1, 0)}, TAIL_DAMAGED, 0, -1},
    {"the last log is empty", {BATCH_(1, 1, 0), NEXT_, NEXT_}, TAIL_WHOLE, 0, 0},
    {"a log is missing", {BATCH_(3, 1, 0)}, TAIL_TORN, 0, -1},
    {"and had been synced", {BATCH_(3, 1, 2)}, TAIL_DAMAGED, 0, -1},
    {"several are bad at the front", {GARBAGE_(500), BATCH_(5, 1, 0), BATCH_(6, 1, 0)}, TAIL_TORN, 0, -1},
    {"and the first of them had been synced", {GARBAGE_(500), BATCH_(5, 1, 2)}, TAIL_DAMAGED, 0, -1},
    {"it overlaps with the tables", {BATCH_(-2, 3, -3), BATCH_(1, 1, 0)}, TAIL_WHOLE, 0, 0},
    {"a client's batch without a mark",
     {BATCH_(1, 2, 0), GARBAGE_(50), FAKE_(UNMARKED, 4, 0, 0), GARBAGE_(50)},
     TAIL_TORN,
     0,
     1},
    {"a client's batch with a mark",
     {BATCH_(1, 2, 0), GARBAGE_(50), FAKE_(BATCH, 4, 100, OTHER), GARBAGE_(50)},
     TAIL_TORN,
     0,
     1},
    {"the next log's first batch is bad, and a client's behind it",
     {BATCH_(1, 2, 0), NEXT_, GARBAGE_(50), FAKE_(UNMARKED, 4, 0, 0), FAKE_(BATCH, 4, 100, OTHER)},
     TAIL_TORN,
     1,
     -1},
    {"and the server's own", {BATCH_(1, 2, 0), NEXT_, GARBAGE_(50), BATCH_(4, 1, 3)}, TAIL_DAMAGED, 1, -1},
    {"an opening goes before it",
     {BATCH_(1, 2, 0), NEXT_, OPENING_(3), GARBAGE_(50), FAKE_(UNMARKED, 4, 0, 0)},
     TAIL_TORN,
     1,
     3},
    {"an opening behind it proves nothing",
     {BATCH_(1, 2, 0), GARBAGE_(50), NEXT_, OPENING_(3)},
     TAIL_TORN,
     0,
     1},
    {"nor behind an empty log", {NEXT_, OPENING_(1)}, TAIL_TORN, 0, -1},
    {"a log is cut short, the next one holds little, but proves", /* many rows are missing */
     {BATCH_(1, 2, 0), NEXT_, BATCH_(70000, 1, 69999)},
     TAIL_DAMAGED,
     1,
     -1},
    {"the same, in mid-batch",
     {BATCH_(1, 2, 0), GARBAGE_(50), NEXT_, BATCH_(70000, 1, 69999)},
     TAIL_DAMAGED,
     0,
     1},
    {"another server's log behind it",
     {BATCH_(1, 2, 0), GARBAGE_(50), NEXT_, FAKE_(BATCH, 9, 8, OTHER)},
     TAIL_DAMAGED,
     0,
     1},
    {"a batch within what is none", /* what seems to be a batch of 700 bytes holds one that proves */
     {BATCH_(1, 2, 0), GARBAGE_(50), {FAKE, 4, 1, 3, 700, 0}},
     TAIL_DAMAGED,
     0,
     1},
};

static size_t add_bytes(char *log, size_t at, unsigned type, const char *data, size_t n)
{
    uint8_t *p = (uint8_t *)log + at;
    p[4] = (uint8_t)n;
    p[5] = (uint8_t)(n >> 8);
    p[6] = (uint8_t)type;
    memcpy(p + WAL_HEADER, data, n);
    uint32_t crc = hash_crc32c(0, p + 6, n + 1);
    crc = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(crc >> (8 * i));
    return at + WAL_HEADER + n;
}

static size_t batch_bytes(const struct piece *p, uint64_t last, char *out)
{
    uint64_t first = last + (uint64_t)p->first;
    memset(out, 'x', p->n);
    for (int i = 0; i < 8; i++)
        out[i] = (char)(first >> (8 * i));
    for (int i = 0; i < 4; i++)
        out[8 + i] = (char)(p->rows >> (8 * i));
    struct tail_mark m = {last + (uint64_t)p->synced, 0, p->writer ? p->writer : ME};
    if (p->kind == BATCH) {
        out[12] = 3;
        out[13] = TAIL_MARK;
        tail_mark(&m, out + 14);
    }
    return p->n;
}

static size_t add_piece(char *log, size_t at, const struct piece *p, uint64_t last)
{
    char batch[1024];
    if (p->kind == GARBAGE) {
        for (size_t i = 0; i < p->n; i++)
            log[at + i] = (char)(i * i * 31 + i * 7919 + 5);
        return at + p->n;
    }
    if (p->kind == FAKE) { /* of another writer, with a true one in it */
        struct piece outer = {BATCH, p->first, 1, 2, p->n, OTHER},
                     inner = {BATCH, p->first + 1, 1, p->synced, 300, 0};
        char in[300];
        batch_bytes(&outer, last, batch);
        add_bytes(batch, 100, WAL_FULL, in, batch_bytes(&inner, last, in));
        return add_bytes(log, at, WAL_FULL, batch, p->n);
    }
    return add_bytes(log, at, WAL_FULL, batch, batch_bytes(p, last, batch));
}

static void write_log(const char *dir, int number, const char *bytes, size_t n)
{
    char path[400];
    snprintf(path, sizeof path, "%.300s/%06d.log", dir, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

/* That is in use, by the MANIFEST. */
static uint64_t oldest_log;

/* Two logs, or one, in the place of the store's own. */
static void make_logs(const char *dir, const struct made *m, uint64_t last, struct tail_end *expected)
{
    static char log[ROOM];
    size_t n = 0, count = sizeof m->pieces / sizeof *m->pieces;
    int number = (int)oldest_log;
    *expected = (struct tail_end){.state = m->state};
    snprintf(expected->at.file, sizeof expected->at.file, "%06d.log", number + m->log);
    for (size_t i = 0; i < count && m->pieces[i].kind != NOTHING; i++) {
        if (m->at >= 0 && (size_t)m->at == i)
            expected->at.offset = n;
        if (m->pieces[i].kind != NEXT_LOG) {
            n = add_piece(log, n, &m->pieces[i], last);
            continue;
        }
        write_log(dir, number++, log, n);
        n = 0;
    }
    write_log(dir, number, log, n);
}

static void remove_logs(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(str_c(e->d_name), STR(".log")))
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    closedir(d);
}

static uint64_t last_of_manifest(const char *dir)
{
    static char bytes[ROOM];
    char path[400];
    struct tail_manifest m;
    manifest_of(dir, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    tail_read_manifest(str_n(bytes, (size_t)n), &m);
    assert_true(m.whole && m.last >= 4 && m.oldest_log > 0);
    oldest_log = m.oldest_log;
    return m.last;
}

static void test_made(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    shut(f);
    uint64_t last = last_of_manifest(f->dir);
    for (size_t i = 0; i < sizeof mades / sizeof *mades; i++) {
        struct tail_ends ends;
        struct tail_end expected;
        struct err e = {0};
        remove_logs(f->dir);
        make_logs(f->dir, &mades[i], last, &expected);
        assert_true(tail_look(f->dir, &ends, &e));
        if (ends.manifest.state != TAIL_WHOLE || ends.log.state != expected.state ||
            (expected.state != TAIL_WHOLE &&
             (strcmp(ends.log.at.file, expected.at.file) != 0 || ends.log.at.offset != expected.at.offset)))
            fail_msg("%s: it is said to be %d at %s:%llu", mades[i].what, ends.log.state, ends.log.at.file,
                     (unsigned long long)ends.log.at.offset);
    }
    remove_logs(f->dir);
}

/* A store whose birth ends within a MANIFEST that names no spaces yet: they are made. */
static void test_manifest_birth(void **state)
{
    struct fixture *f = *state;
    int opened = 0;
    char path[400];
    manifest_of(f->dir, path);
    for (off_t size = size_of(path); size > 100; size -= 3) {
        struct cut c;
        struct err e = {0};
        copy_dir(f->dir, &c);
        log_of(c.dir, path);
        assert_int_equal(truncate(path, 0), 0);
        manifest_of(c.dir, path);
        assert_int_equal(truncate(path, size), 0);
        if (open_cut(&c, false, &e))
            opened++;
        else if (!strstr(e.text, "damaged"))
            fail_msg("%ld: %s", (long)size, e.text);
        end(&c);
    }
    assert_true(opened > 20);
}

/* What is behind the bad place is cut off, in the logs behind it too. */
static void test_cut(void **state)
{
    static const struct made m = {
        "", {BATCH_(1, 2, 0), GARBAGE_(500), NEXT_, BATCH_(5, 1, 2)}, TAIL_TORN, 0, 1};
    struct fixture *f = *state;
    struct tail_ends ends;
    struct tail_end expected;
    struct err e = {0};
    char path[400];
    reopened(f);
    shut(f);
    remove_logs(f->dir);
    make_logs(f->dir, &m, last_of_manifest(f->dir), &expected);
    assert_true(tail_look(f->dir, &ends, &e) && tail_cut(f->dir, &ends, &e));
    snprintf(path, sizeof path, "%.300s/%06d.log", f->dir, (int)oldest_log);
    assert_int_equal(size_of(path), expected.at.offset);
    snprintf(path, sizeof path, "%.300s/%06d.log", f->dir, (int)oldest_log + 1);
    assert_int_equal(size_of(path), 0);
    assert_true(tail_look(f->dir, &ends, &e) && ends.log.state == TAIL_WHOLE);
    remove_logs(f->dir);
}

/* What is behind the last record of a block is not read, whatever it is. */
static void test_trailer(void **state)
{
    static char log[2 * WAL_BLOCK];
    static char body[WAL_BLOCK];
    struct tail_walk w = {.most = 1};
    struct piece p = {BATCH, 1, 1, 0, 300, 0}, second = {BATCH, 2, 1, 1, 300, 0};
    size_t at = 0, bad = 0;
    (void)state;
    batch_bytes(&p, 0, body);
    size_t n = add_bytes(log, 0, WAL_FULL, body, WAL_BLOCK - WAL_HEADER - 5);
    memcpy(log + n, "junk!", 5);
    n = add_piece(log, n + 5, &second, 0);
    assert_true(tail_follow(str_n(log, n), &w, &at, &bad));
    assert_int_equal(w.wanted, 3);
}

/* What proves may itself be cut by the end of a block, anywhere in its front. */
static void test_proof_over_blocks(void **state)
{
    static char log[3 * WAL_BLOCK];
    static const struct piece before = {BATCH, 1, 1, 0, 300, 0}, proof = {BATCH, 3, 1, 2, 300, 0};
    char batch[300];
    (void)state;
    for (size_t in_front = 0; in_front <= sizeof batch; in_front++) {
        struct tail_walk w = {.most = 1};
        size_t at = 0, bad = 0, end = WAL_BLOCK - WAL_HEADER - in_front;
        memset(log, 0xa5, sizeof log);
        size_t n = add_piece(log, 0, &before, 0);
        assert_true(n < end);
        batch_bytes(&proof, 0, batch);
        n = add_bytes(log, end, in_front == sizeof batch ? WAL_FULL : WAL_FIRST, batch, in_front);
        assert_int_equal(n, WAL_BLOCK);
        if (in_front < sizeof batch)
            n = add_bytes(log, n, WAL_LAST, batch + in_front, sizeof batch - in_front);
        assert_false(tail_follow(str_n(log, n), &w, &at, &bad));
        assert_int_equal(w.wanted, 2);
        if (!tail_proves(str_n(log, n), at, n - at, &w))
            fail_msg("%zu bytes of it before the end of the block", in_front);
    }
}

/* Born, and lost but for its names: the empty log that is left is not missed by the ones that come after it. */
static void test_born_again(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char log[400];
    copy_dir(f->dir, &c);
    log_of(c.dir, log);
    assert_int_equal(truncate(log, 0), 0);
    for (int i = 0; i < 3; i++) {
        if (!open_cut(&c, false, &e))
            fail_msg("%d: %s", i, e.text);
        put(c.kv, (char[]){(char)('a' + i), 0}, 100, 0);
        if (i > 0)
            assert_true(has(c.kv, "a"));
        kv_close(c.kv);
        c.kv = NULL;
    }
    end(&c);
}

/* A look at a torn log makes a folder of links, with a copy of that log in it. When that fails it is said, and nothing is left. */
static void test_no_room_to_look(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    struct rlimit was, small = {.rlim_cur = 100};
    char temp[80], command[100];
    off_t at[5];
    four(f, 500, at);
    copy_dir(f->dir, &c);
    overwrite(c.dir, at[2], at[4], -1);
    snprintf(temp, sizeof temp, "%.60s/temp", f->dir);
    assert_int_equal(mkdir(temp, 0700), 0);
    char *outer = getenv("TMPDIR") ? x_strdup(getenv("TMPDIR")) : NULL;
    assert_int_equal(setenv("TMPDIR", temp, 1), 0);
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && getrlimit(RLIMIT_FSIZE, &was) == 0);
    small.rlim_max = was.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool opened = open_cut(&c, true, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_false(opened);
    assert_non_null(strstr(e.text, "$TMPDIR"));
    snprintf(command, sizeof command, "rmdir %s", temp); /* nothing is in it */
    assert_int_equal(system(command), 0);
    assert_int_equal(outer ? setenv("TMPDIR", outer, 1) : unsetenv("TMPDIR"), 0);
    free(outer);
    end(&c);
}

/* A backup that left out *.log, or somebody who tidied up: the newest changes are gone, and that is said. While the MANIFEST
 * before is still there it may have been a crash of an opening. */
static void test_no_log(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    for (int more = 0; more < 2; more++) {
        struct cut c;
        struct err e = {0};
        char path[400];
        copy_dir(f->dir, &c);
        remove_logs(c.dir);
        if (more) {
            snprintf(path, sizeof path, "%s/MANIFEST-000001", c.dir);
            close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        }
        for (int read_only = 1; read_only >= 0; read_only--) {
            assert_int_equal(open_cut(&c, read_only, &e), more);
            kv_close(c.kv);
            c.kv = NULL;
            if (!more && !strstr(e.text, ".log, or a log after it, is missing"))
                fail_msg("%s", e.text);
        }
        end(&c);
    }
}

/* The oldest log that is in use, and how many there are. */
static unsigned count_logs(const char *dir, char oldest[32])
{
    unsigned n = 0;
    (void)last_of_manifest(dir);
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));) {
        uint64_t number = wal_number(e->d_name);
        if (number >= oldest_log && (n++ == 0 || number < wal_number(oldest)))
            snprintf(oldest, 32, "%.30s", e->d_name);
    }
    closedir(d);
    return n;
}

/* The tables have come further than where the second log begins, but the rows of one space are in the first log only. */
static void test_old_log_gone(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char oldest[32], path[400];
    shut(f);
    f->kv = kv_open(f->dir, &(struct kv_options){.memory = 4 << 20}, &e);
    assert_int_equal(run(f->kv, SCRIPT({PUT, KV_QUEUE, "each", "in the first log"}), 0), KV_COMMITTED);
    manifest_of(f->dir, path);
    off_t size = size_of(path);
    for (int i = 0; i < 11; i++) /* a quarter of the memory for one space; of all together, less than half */
        put(f->kv, (char[]){(char)('a' + i), 0}, 100000, 0);
    for (int64_t deadline = clock_mono_ms() + WAIT_MS; size_of(path) == size && clock_mono_ms() < deadline;)
        put(f->kv, "z", 1, 0);
    put(f->kv, "y", 1, 0);
    for (int gone = 0; gone < 2; gone++) {
        copy_dir(f->dir, &c);
        assert_true(count_logs(c.dir, oldest) >= 2);
        snprintf(path, sizeof path, "%s/%s", c.dir, oldest);
        if (gone)
            assert_int_equal(unlink(path), 0);
        if (open_cut(&c, false, &e) == gone)
            fail_msg("without %s: %d %s", oldest, gone, e.text);
        if (!gone)
            assert_true(has_in(c.kv, KV_QUEUE));
        end(&c);
    }
    assert_non_null(strstr(e.text, "or a log after it, is missing"));
}

static void test_no_current(void **state)
{
    struct fixture *f = *state;
    struct cut c;
    struct err e = {0};
    char path[400];
    put(f->kv, "a", 100, 0);
    copy_dir(f->dir, &c);
    snprintf(path, sizeof path, "%s/CURRENT", c.dir);
    assert_int_equal(unlink(path), 0);
    assert_false(open_cut(&c, false, &e));
    assert_non_null(strstr(e.text, "CURRENT does not name a MANIFEST"));
    end(&c);
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_rocks, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_lost),
        TEST(test_goes_on),
        TEST(test_damaged),
        TEST(test_damaged_after_a_stop),
        TEST(test_manifest_torn),
        TEST(test_manifest_damaged),
        TEST(test_manifest_marks),
        TEST(test_manifest_tables),
        TEST(test_made),
        TEST(test_cut),
        TEST(test_no_current),
        TEST(test_no_room_to_look),
        TEST(test_no_log),
        TEST(test_old_log_gone),
        TEST(test_born_again),
        TEST(test_manifest_log),
        TEST(test_manifest_families),
        TEST(test_manifest_birth),
        cmocka_unit_test(test_no_manifest),
        cmocka_unit_test(test_trailer),
        cmocka_unit_test(test_proof_over_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
