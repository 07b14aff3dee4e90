/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies on their way in: in memory up to the inline limit, a blob beyond; and the changes of objects that
 * use them, inside closures. */
#include <stdlib.h>

#include "base/crash.h"
#include "base/log.h"
#include "store/stage.h"

#define ADMIT_STEP ((uint64_t)1 << 20) /* bytes of a long body between two questions whether there is room */

static struct store_stage *stage_new(struct store *s)
{
    struct store_stage *st = x_calloc(1, sizeof *st);
    st->store = s;
    return st;
}

static enum store_result blob_failure(struct store *s)
{
    store_blobs_failed(s);
    return blob_err_is_full() ? STORE_FULL : blob_err_is_damage() ? STORE_DAMAGED : STORE_FAILED;
}

/* From memory to a file; what was taken so far goes first. */
static enum store_result become_file(struct store_stage *st, struct err *e)
{
    if (!store_take_blob_id(st->store, &st->id, e))
        return STORE_FAILED;
    st->is_file = true;
    st->writer = blob_create(st->store->blobs, st->id, e);
    if (!st->writer || !blob_append(st->writer, st->memory, (size_t)st->size, e))
        return blob_failure(st->store);
    free(st->memory);
    st->memory = NULL;
    return STORE_OK;
}

struct store_stage *stage_begin(struct store *s, int64_t size, enum store_result *res, struct err *e)
{
    struct store_stage *st = stage_new(s);

    *res = STORE_OK;
    if (size > (int64_t)s->inline_max) {
        *res = become_file(st, e);
    } else if (size > 0) {
        st->cap = (size_t)size;
        st->memory = x_malloc(st->cap);
    }
    if (*res != STORE_OK) {
        stage_discard(st);
        return NULL;
    }
    return st;
}

bool stage_is_inline(const struct store_stage *st)
{
    return !st->is_file && !st->assembled;
}

uint64_t stage_size(const struct store_stage *st)
{
    return st->size;
}

static void append_memory(struct store_stage *st, const void *p, size_t n)
{
    size_t need = (size_t)st->size + n;

    if (need > st->cap) {
        st->cap = 2 * st->cap > need ? 2 * st->cap : need;
        st->memory = x_realloc(st->memory, st->cap);
    }
    memcpy(st->memory + st->size, p, n);
    st->size = need;
}

/* Long bodies, or those of unknown length, may come to the reserve on their way, and others that were admitted beside them:
 * the file system itself is asked, so that the reserve is passed by one step of each at most. */
static enum store_result still_room(struct store_stage *st, size_t n)
{
    st->since_admit += n;
    if (st->since_admit < ADMIT_STEP)
        return STORE_OK;
    st->since_admit = 0;
    return space_left(st->store);
}

enum store_result stage_append(struct store_stage *st, const void *p, size_t n, struct err *e)
{
    enum store_result r = STORE_OK;

    BUG_ON(st->finished);
    if (n == 0)
        return STORE_OK;
    if (!st->is_file && n <= st->store->inline_max - (size_t)st->size) {
        append_memory(st, p, n);
        return STORE_OK;
    }
    if (!st->is_file)
        r = become_file(st, e);
    if (r == STORE_OK)
        r = still_room(st, n);
    if (r != STORE_OK)
        return r;
    st->size += n;
    return blob_append(st->writer, p, n, e) ? STORE_OK : blob_failure(st->store);
}

enum store_result stage_finish(struct store_stage *st, struct err *e)
{
    BUG_ON(st->finished);
    if (st->is_file) {
        if (!blob_finish(st->writer, e))
            return blob_failure(st->store);
        st->writer = NULL;
    } else if (st->size) {
        st->id = store_new_id(st->store);
    }
    st->finished = true;
    return STORE_OK;
}

static void stage_free(struct store_stage *st)
{
    free(st->extents);
    free(st->parts);
    free(st->memory);
    free(st);
}

void stage_discard(struct store_stage *st)
{
    struct err e = {0};

    if (!st)
        return;
    if (st->is_file && !st->used) {
        bool gone = true;
        if (st->writer)
            blob_discard(st->writer);
        else
            gone = blob_remove(st->store->blobs, st->id, &e) == BLOB_REMOVED;
        if (gone)
            janitor_discarded(st->store, st->id);
        else
            log_warn("store", "%s: left to the next start", e.text);
    }
    if (st->row && !st->used && janitor_drop_ids(st->store, 'e', &st->row, 1))
        janitor_drop_ids(st->store, 't', &st->row, 1);
    stage_free(st);
}

void stage_committed(struct store_stage *st)
{
    BUG_ON(st && !st->used);
    if (st)
        stage_free(st);
}

/* --- parts --- */

struct extents_row {
    uint64_t id;
    struct str value;
};

static bool write_extents_row(struct kv_txn *t, void *ctx)
{
    const struct extents_row *x = ctx;
    struct row_key k;

    kv_txn_put(t, KV_META, row_key_id(&k, 'e', x->id), x->value);
    return true;
}

/* More extents or parts than an object's row holds: a row of their own, written before the commit that needs it. Like a file
 * it has a t row until then. It needs no sync: that commit's sync takes it along. */
static enum store_result make_extents_row(struct store_stage *st, struct err *e)
{
    struct object o = {.size = st->size,
                       .parts = (uint32_t)st->n_parts,
                       .extents = st->extents ? st->extents : &st->extent,
                       .n_extents = st->n_extents,
                       .part_list = st->parts,
                       .n_part_list = st->n_parts};
    struct extents_row x;
    struct buf value;

    if (!store_take_blob_id(st->store, &x.id, e))
        return STORE_FAILED;
    buf_init(&value, EXTENTS_ROW_MAX);
    object_extents_encode(&o, &value);
    BUG_ON(value.failed);
    x.value = buf_view(&value);
    enum kv_outcome done = kv_commit_wait(st->store->kv, write_extents_row, &x, KV_PLAIN | KV_NOSYNC);
    buf_release(&value);
    if (done != KV_COMMITTED)
        return STORE_FAILED;
    crash_point(CRASH_EXTENTS_WRITTEN);
    st->row = x.id;
    return STORE_OK;
}

/* What a finished body is made of; more than fits an object's row goes into one of its own. */
static enum store_result set_parts(struct store_stage *st, const struct object_part *parts, size_t n,
                                   struct err *e)
{
    if (n) {
        st->parts = x_malloc(n * sizeof *parts);
        memcpy(st->parts, parts, n * sizeof *parts);
        st->n_parts = n;
    }
    bool many = n > OBJECT_EXTENTS || st->n_extents > OBJECT_EXTENTS;
    return many ? make_extents_row(st, e) : STORE_OK;
}

struct store_stage *stage_parts(struct store *s, const struct extent *extents, size_t n_extents,
                                const struct object_part *parts, size_t n_parts, enum store_result *res,
                                struct err *e)
{
    struct store_stage *st = stage_new(s);

    st->assembled = st->finished = true;
    if (n_extents) {
        st->extents = x_malloc(n_extents * sizeof *extents);
        memcpy(st->extents, extents, n_extents * sizeof *extents);
        st->n_extents = n_extents;
    }
    for (size_t i = 0; i < n_extents; i++)
        st->size += extents[i].length;
    *res = set_parts(st, parts, n_parts, e);
    if (*res != STORE_OK) {
        stage_discard(st);
        return NULL;
    }
    return st;
}

/* --- copies --- */

static enum store_result copy_blob(struct store_stage *st, struct store_read *from, struct err *e)
{
    struct store *s = st->store;

    if (!store_take_blob_id(s, &st->id, e))
        return STORE_FAILED;
    st->is_file = true;
    st->size = from->object.size;
    if (!blob_copy(s->blobs, from->reader, st->id, e))
        return blob_failure(st->store);
    st->finished = true;
    return STORE_OK;
}

/* The parts of a copy are the source's, although its bytes lie in one piece: its ETag and a composite checksum say so. */
static enum store_result copy_parts(struct store_stage *st, const struct object *from, struct err *e)
{
    st->extent = (struct extent){st->is_file ? EXTENT_BLOB : EXTENT_INLINE, st->id, st->size};
    st->n_extents = st->size ? 1 : 0;
    return set_parts(st, from->part_list, from->n_part_list, e);
}

/* What lies in one piece; several are begun. */
static enum store_result copy_whole(struct store_stage *st, struct store_read *from, struct err *e)
{
    if (!from->is_inline)
        return from->reader && from->object.n_extents == 1 ? copy_blob(st, from, e) : become_file(st, e);
    enum store_result r = stage_append(st, from->body.data.p, from->body.data.n, e);
    return r == STORE_OK ? stage_finish(st, e) : r;
}

struct store_stage *stage_copy_begin(struct store *s, struct store_read *from, enum store_result *res,
                                     struct err *e)
{
    struct store_stage *st = from->is_inline ? stage_begin(s, (int64_t)from->object.size, res, e) : NULL;

    if (from->is_inline && !st)
        return NULL;
    if (!st)
        st = stage_new(s);
    *res = copy_whole(st, from, e);
    if (*res == STORE_OK && st->finished)
        *res = copy_parts(st, &from->object, e);
    if (*res != STORE_OK) {
        stage_discard(st);
        return NULL;
    }
    return st;
}

bool stage_copied(const struct store_stage *st)
{
    return st->finished;
}

enum store_result stage_copy_step(struct store_stage *st, struct store_read *from, struct err *e)
{
    uint64_t size = from->object.size, left = size - st->size;
    uint64_t end = left < STAGE_COPY_STEP ? size : st->size + STAGE_COPY_STEP;
    char *piece = x_malloc(BLOB_BLOCK);
    enum store_result r = STORE_OK;

    while (r == STORE_OK && st->size < end) {
        size_t n = end - st->size < BLOB_BLOCK ? (size_t)(end - st->size) : BLOB_BLOCK;
        r = store_read_bytes(from, st->size, piece, n, e) ? stage_append(st, piece, n, e) : STORE_DAMAGED;
    }
    free(piece);
    if (r == STORE_OK && st->size == size)
        r = stage_finish(st, e);
    return r == STORE_OK && st->finished ? copy_parts(st, &from->object, e) : r;
}

struct store_stage *stage_copy(struct store *s, struct store_read *from, enum store_result *res,
                               struct err *e)
{
    struct store_stage *st = stage_copy_begin(s, from, res, e);

    while (st && *res == STORE_OK && !stage_copied(st))
        *res = stage_copy_step(st, from, e);
    if (st && *res != STORE_OK) {
        stage_discard(st);
        return NULL;
    }
    return st;
}
