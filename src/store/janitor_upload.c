/* SPDX-License-Identifier: Apache-2.0
 *
 * The janitor's work on multipart: rows of uploads that are over, bodies of parts that were not used, extents rows of objects
 * that are gone, uploads that nobody goes on with. All in small closures that may be repeated after a crash: a g row goes with
 * the last of what it names. */
#include <stdlib.h>

#include "base/crash.h"
#include "base/log.h"
#include "store/upload_rows.h"

#define ROWS           (STORE_CLOSURE / 2) /* each with one row of its own and one extent */
#define ABANDONED_STEP 16                  /* rows of their metadata are read in one closure */

/* --- rows of uploads --- */

struct old_rows {
    struct arena arena;
    const struct part_set *used; /* parts whose bytes belong to an object now */
    struct {
        struct str key;
        struct object part; /* without extents: nothing to drop */
    } v[ROWS];
    size_t n;
    struct buf at; /* the next row to look at */
};

static bool drop_old_rows(struct kv_txn *t, void *ctx)
{
    struct old_rows *d = ctx;

    for (size_t i = 0; i < d->n; i++) {
        kv_txn_del(t, KV_META, d->v[i].key);
        store_txn_drop_body(t, &d->v[i].part);
    }
    return true;
}

static void add_old_row(struct old_rows *d, struct str key, struct str row)
{
    struct str object_key, upload;
    uint64_t bucket;
    uint32_t part;
    struct object *o = &d->v[d->n].part;

    key = d->v[d->n++].key = arena_dup(&d->arena, key);
    *o = (struct object){0};
    if (!row_upload(key, &bucket, &object_key, &upload, &part) || !part ||
        (d->used && part_set_has(d->used, part)))
        return;
    if (!object_decode(arena_dup(&d->arena, row), &d->arena, o)) {
        log_error("store", "a damaged row of a part is removed; what it named stays: see belfry check");
        *o = (struct object){0};
    }
}

/* A scan for each closure: one over all rows would keep what is deleted meanwhile on the disk. */
static bool load_old_rows(struct store *s, struct old_rows *d, struct str end)
{
    struct str key, value;
    struct err e = {0};

    d->n = 0;
    struct kv_scan *scan = kv_scan_open(s->kv, KV_META, buf_view(&d->at), end);
    while (d->n < ROWS && kv_scan_next(scan, &key, &value))
        add_old_row(d, key, value);
    bool ok = !kv_scan_failed(scan, &e);
    if (!ok)
        log_error("store", "removing the parts of an upload: %s", e.text);
    kv_scan_close(scan);
    if (d->n) {
        buf_reset(&d->at);
        buf_str(&d->at, d->v[d->n - 1].key);
        buf_char(&d->at, 0);
    }
    return ok;
}

/* Removes all rows of KV_META in [first, end), which nobody else changes any more. */
static bool drop_range(struct store *s, struct str first, struct str end, const struct part_set *used)
{
    struct old_rows *d = x_calloc(1, sizeof *d);
    bool ok, more;

    d->used = used;
    buf_init(&d->at, sizeof(struct row_key) + 1);
    buf_str(&d->at, first);
    do {
        ok = load_old_rows(s, d, end);
        more = d->n > 0;
        ok = ok && (!more || kv_commit_wait(s->kv, drop_old_rows, d, KV_NOSYNC) == KV_COMMITTED) &&
             !atomic_load(&s->janitor.stop);
        arena_release(&d->arena);
        crash_point(CRASH_JANITOR_PARTS);
    } while (ok && more);
    buf_release(&d->at);
    free(d);
    return ok;
}

static bool finish_upload(struct store *s, struct garbage g)
{
    struct row_key k, first, end;
    struct kv_value v;
    struct err e = {0};
    struct part_set used;
    struct upload_garbage u;

    switch (kv_get(s->kv, KV_META, row_key_garbage(&k, GARBAGE_UPLOAD, g.seq, g.id), 0, &v, &e)) {
    case KV_FOUND:
        break;
    case KV_MISSING:
        return true;
    default:
        log_error("store", "%s", e.text);
        return false;
    }
    bool ok = true;
    if (upload_garbage_decode(v.data, &u, &used))
        ok = drop_range(s, row_key_part(&first, u.bucket, u.key, u.id, 0),
                        row_key_part(&end, u.bucket, u.key, u.id, UINT32_MAX), &used);
    else
        log_error("store", "a damaged row of garbage is removed; what it named stays: see belfry check");
    kv_value_release(&v);
    return ok && janitor_drop_garbage(s, GARBAGE_UPLOAD, &g, 1);
}

bool janitor_finish_uploads(struct store *s)
{
    struct garbage g;

    while (!atomic_load(&s->janitor.stop) &&
           janitor_collect(s, GARBAGE_UPLOAD, s->janitor.uploads_done, &g, 1)) {
        if (!finish_upload(s, g))
            return false;
        s->janitor.uploads_done = g;
    }
    return !atomic_load(&s->janitor.stop);
}

/* Uploads that were finished are finished first: what is left then has parts that belong to no object. The bucket's own g row
 * was seen before, so the g rows of all its uploads were there. */
bool janitor_empty_uploads(struct store *s, uint64_t bucket)
{
    struct row_key first, end;

    return janitor_finish_uploads(s) &&
           drop_range(s, row_key_id(&first, 'u', bucket), row_key_id(&end, 'u', bucket + 1), NULL);
}

/* --- extents rows --- */

struct old_extents {
    struct object object;
    size_t from, to;
    struct garbage g;
};

static bool drop_old_extents(struct kv_txn *t, void *ctx)
{
    struct old_extents *x = ctx;
    struct row_key k;

    if (x->to > x->from)
        store_txn_drop_extents(t, x->object.extents + x->from, x->to - x->from);
    if (x->to == x->object.n_extents) {
        kv_txn_del(t, KV_META, row_key_id(&k, 'e', x->g.id));
        kv_txn_del(t, KV_META, row_key_garbage(&k, GARBAGE_EXTENTS, x->g.seq, x->g.id));
    }
    return true;
}

/* Makes garbage of each blob, as many at a time as fit, and removes the row with the last. */
static bool work_off_extents(struct store *s, struct garbage g)
{
    struct old_extents x = {.g = g};
    struct arena a;
    struct err e = {0};
    bool ok = true;

    arena_init(&a);
    enum store_result r = store_extents_get(s->kv, g.id, &a, &x.object, &e);
    if (r != STORE_OK && r != STORE_MISSING)
        log_error("store", "%s; it is removed, what it named stays: see belfry check", e.text);
    if (r != STORE_OK)
        x.object = (struct object){0};
    do {
        size_t left = x.object.n_extents - x.from;
        x.to = x.from + (left < STORE_CLOSURE ? left : STORE_CLOSURE);
        ok = kv_commit_wait(s->kv, drop_old_extents, &x, KV_NOSYNC) == KV_COMMITTED &&
             !atomic_load(&s->janitor.stop);
        crash_point(CRASH_JANITOR_EXTENTS);
        x.from = x.to;
    } while (ok && x.from < x.object.n_extents);
    arena_release(&a);
    return ok;
}

bool janitor_work_off_extents(struct store *s)
{
    struct garbage g;

    while (!atomic_load(&s->janitor.stop) &&
           janitor_collect(s, GARBAGE_EXTENTS, s->janitor.extents_done, &g, 1)) {
        if (!work_off_extents(s, g))
            return false;
        s->janitor.extents_done = g;
    }
    return true;
}

/* --- uploads that nobody goes on with --- */

struct abandoned {
    struct arena arena;
    struct {
        struct bucket bucket; /* its id alone */
        struct str key, id;
    } v[ABANDONED_STEP];
    size_t n;
    uint64_t before;
    struct buf at;
};

static bool abort_abandoned(struct kv_txn *t, void *ctx)
{
    struct abandoned *x = ctx;
    bool any = false;

    for (size_t i = 0; i < x->n; i++) {
        struct store_upload u;
        struct arena a;
        arena_init(&a);
        const struct bucket *b = &x->v[i].bucket;
        bool over =
            store_txn_upload_get(t, b, x->v[i].key, x->v[i].id, &a, &u) == STORE_OK && u.touched < x->before;
        arena_release(&a);
        x->v[i].id = over ? x->v[i].id : str_n(NULL, 0);
        any = any || over;
    }
    for (size_t i = 0; i < x->n; i++)
        if (x->v[i].id.n)
            store_txn_upload_end(t, &x->v[i].bucket, x->v[i].key, x->v[i].id, NULL);
    return any;
}

static void look_at(struct abandoned *x, struct str row_key, struct str value)
{
    struct str key, id;
    uint64_t bucket;
    uint32_t part;
    struct store_upload u;
    struct arena a;

    arena_init(&a);
    if (row_upload(row_key, &bucket, &key, &id, &part) && part == 0 && upload_row_decode(value, &a, &u) &&
        u.touched < x->before) {
        x->v[x->n].bucket = (struct bucket){.id = bucket};
        x->v[x->n].key = arena_dup(&x->arena, key);
        x->v[x->n++].id = arena_dup(&x->arena, id);
    }
    arena_release(&a);
}

/* Looks at uploads from x->at on until some are found or the end is reached; parts are passed over by seeks. */
static bool find_abandoned(struct store *s, struct abandoned *x)
{
    struct str key, value;
    struct err e = {0};
    struct buf next;
    bool more;

    buf_init(&next, sizeof(struct row_key));
    x->n = 0;
    struct kv_scan *scan = kv_scan_open(s->kv, KV_META, buf_view(&x->at), STR("v"));
    while ((more = kv_scan_next(scan, &key, &value)) && x->n < ABANDONED_STEP) {
        struct str object_key, id;
        uint64_t bucket;
        uint32_t part;
        look_at(x, key, value);
        buf_reset(&next);
        bool known = row_upload(key, &bucket, &object_key, &id, &part);
        buf_str(&next, known && part ? str_head(key, key.n - 4) : key);
        if (known)
            row_successor(&next);
        else
            buf_char(&next, 0);
        kv_scan_seek(scan, buf_view(&next));
    }
    if (more) {
        buf_reset(&x->at);
        buf_str(&x->at, key);
    }
    if (kv_scan_failed(scan, &e))
        log_error("store", "looking for abandoned uploads: %s", e.text);
    kv_scan_close(scan);
    buf_release(&next);
    return more;
}

bool janitor_abort_abandoned(struct store *s, uint64_t before)
{
    struct abandoned *x = x_calloc(1, sizeof *x);
    bool ok = true, more;

    x->before = before;
    buf_init(&x->at, sizeof(struct row_key) + 1);
    buf_char(&x->at, 'u');
    do {
        more = find_abandoned(s, x);
        if (x->n)
            ok = kv_commit_wait(s->kv, abort_abandoned, x, 0) != KV_FAILED;
        arena_release(&x->arena);
    } while (ok && more && !atomic_load(&s->janitor.stop));
    buf_release(&x->at);
    free(x);
    return ok;
}
