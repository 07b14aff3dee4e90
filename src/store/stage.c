/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies on their way in: in memory up to the inline limit, a blob beyond; and the changes of objects that
 * use them, inside closures. */
#include <stdlib.h>

#include "base/log.h"
#include "store/stage.h"

#define ADMIT_STEP ((uint64_t)1 << 20) /* bytes of a long body between two questions whether there is room */

static struct store_stage *stage_new(struct store *s)
{
    struct store_stage *st = x_calloc(1, sizeof *st);
    st->store = s;
    return st;
}

static enum store_result blob_failure(void)
{
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
        return blob_failure();
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
    return !st->is_file;
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
    return blob_append(st->writer, p, n, e) ? STORE_OK : blob_failure();
}

enum store_result stage_finish(struct store_stage *st, struct err *e)
{
    BUG_ON(st->finished);
    if (st->is_file) {
        if (!blob_finish(st->writer, e))
            return blob_failure();
        st->writer = NULL;
    } else if (st->size) {
        st->id = store_new_id(st->store);
    }
    st->finished = true;
    return STORE_OK;
}

static void stage_free(struct store_stage *st)
{
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
    stage_free(st);
}

void stage_committed(struct store_stage *st)
{
    BUG_ON(st && !st->used);
    if (st)
        stage_free(st);
}

/* --- copies --- */

static enum store_result copy_blob(struct store_stage *st, struct store_read *from, struct err *e)
{
    struct store *s = st->store;

    if (!store_take_blob_id(s, &st->id, e))
        return STORE_FAILED;
    st->is_file = true;
    st->size = from->object.size;
    if (!blob_copy(s->blobs, from->readers[0], st->id, e))
        return blob_failure();
    st->finished = true;
    return STORE_OK;
}

static enum store_result copy_pieces(struct store_stage *st, struct store_read *from, struct err *e)
{
    const struct object *o = &from->object;
    enum store_result r = become_file(st, e);
    char *part = x_malloc(BLOB_BLOCK);

    for (uint64_t off = 0; r == STORE_OK && off < o->size;) {
        uint64_t at, n;
        int fd;
        if (!store_read_piece(from, off, BLOB_BLOCK, &fd, &at, &n, e)) {
            r = STORE_DAMAGED;
            break;
        }
        struct blob_reader *reader = from->readers[from->last];
        r = blob_read(reader, at, part, (size_t)n, e) ? stage_append(st, part, (size_t)n, e) : STORE_DAMAGED;
        off += n;
    }
    free(part);
    return r == STORE_OK ? stage_finish(st, e) : r;
}

struct store_stage *stage_copy(struct store *s, struct store_read *from, enum store_result *res,
                               struct err *e)
{
    struct store_stage *st;

    if (from->is_inline) {
        st = stage_begin(s, (int64_t)from->object.size, res, e);
        if (st)
            *res = stage_append(st, from->body.data.p, from->body.data.n, e);
        if (st && *res == STORE_OK)
            *res = stage_finish(st, e);
    } else {
        st = stage_new(s);
        *res = from->object.n_extents == 1 ? copy_blob(st, from, e) : copy_pieces(st, from, e);
    }
    if (*res != STORE_OK) {
        stage_discard(st);
        return NULL;
    }
    return st;
}
