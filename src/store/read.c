/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading objects: the row, then the body that it names. Between the two the object may be replaced and its
 * body removed; then the row has changed, and is read again. */
#include "base/log.h"
#include "store/store_internal.h"

#define READ_TRIES 64

static enum store_result damaged(const struct bucket *b, struct str key, struct err *e, const char *what)
{
    log_error("store", "object %.*s/%.*s: %s", STR_FMT(b->name), STR_FMT(key), what);
    err_set(e, "object %.*s/%.*s: %s", STR_FMT(b->name), STR_FMT(key), what);
    return STORE_DAMAGED;
}

enum store_result store_object_get(struct store *s, const struct bucket *b, struct str key, bool cached_only,
                                   struct arena *a, struct object *out, struct err *e)
{
    struct err why = {0};
    struct row_key k;
    struct kv_value v;

    if (key.n > STORE_KEY_MAX)
        return STORE_MISSING;
    switch (
        kv_get(s->kv, KV_META, row_key_object(&k, b->id, key), cached_only ? KV_CACHED_ONLY : 0, &v, &why)) {
    case KV_FOUND:
        break;
    case KV_MISSING:
        return STORE_MISSING;
    case KV_WOULD_BLOCK:
        return STORE_WOULD_BLOCK;
    default:
        return damaged(b, key, e, why.text);
    }
    struct str row = arena_dup(a, v.data);
    kv_value_release(&v);
    if (!object_decode(row, a, out))
        return damaged(b, key, e, "its row is damaged");
    return STORE_OK;
}

/* STORE_MISSING: the body is gone. */
static enum store_result open_inline(struct store_read *r, bool cached_only, struct err *e)
{
    const struct object *o = &r->object;
    struct row_key k;

    r->is_inline = true;
    r->body = (struct kv_value){.data = STR("")};
    if (o->size == 0)
        return STORE_OK;
    switch (kv_get(r->store->kv, KV_DATA, row_key_data(&k, o->extents[0].id),
                   cached_only ? KV_CACHED_ONLY : 0, &r->body, e)) {
    case KV_FOUND:
        break;
    case KV_MISSING:
        return STORE_MISSING;
    case KV_WOULD_BLOCK:
        return STORE_WOULD_BLOCK;
    default:
        return STORE_DAMAGED;
    }
    if (r->body.data.n == o->size)
        return STORE_OK;
    err_set(e, "its body has %zu bytes instead of %llu", r->body.data.n, (unsigned long long)o->size);
    kv_value_release(&r->body);
    return STORE_DAMAGED;
}

static enum store_result open_extent(struct store_read *r, size_t i, struct err *e)
{
    const struct extent *x = &r->object.extents[i];

    if (r->readers[i])
        return STORE_OK;
    switch (blob_open(r->store->blobs, x->id, &r->readers[i], e)) {
    case BLOB_OK:
        break;
    case BLOB_MISSING:
        return STORE_MISSING;
    default:
        return STORE_DAMAGED;
    }
    if (blob_size(r->readers[i]) == x->length)
        return STORE_OK;
    err_set(e, "blob %016llx has %llu bytes instead of %llu", (unsigned long long)x->id,
            (unsigned long long)blob_size(r->readers[i]), (unsigned long long)x->length);
    return STORE_DAMAGED;
}

static void close_blobs(struct store_read *r)
{
    for (size_t i = 0; i < r->object.n_extents; i++) {
        blob_close(r->readers[i]);
        blob_unpin(r->store->blobs, r->object.extents[i].id);
    }
}

/* All blobs are pinned before the first is opened, so that those opened later are still there. */
static enum store_result open_blobs(struct store_read *r, struct arena *a, struct err *e)
{
    const struct object *o = &r->object;

    for (size_t i = 0; i < o->n_extents; i++) {
        if (o->extents[i].kind != EXTENT_BLOB || o->extents[i].length == 0) {
            err_set(e, "its row has extents that this version cannot read");
            return STORE_DAMAGED;
        }
    }
    r->is_inline = false;
    r->readers = ARENA_ARRAY(a, struct blob_reader *, o->n_extents);
    for (size_t i = 0; i < o->n_extents; i++)
        blob_pin(r->store->blobs, o->extents[i].id);
    enum store_result res = open_extent(r, 0, e);
    if (res != STORE_OK)
        close_blobs(r);
    return res;
}

static enum store_result open_body(struct store_read *r, bool cached_only, struct arena *a, struct err *e)
{
    const struct object *o = &r->object;

    if (o->size == 0 || (o->n_extents == 1 && o->extents[0].kind == EXTENT_INLINE))
        return open_inline(r, cached_only, e);
    return cached_only ? STORE_WOULD_BLOCK : open_blobs(r, a, e);
}

enum store_result store_read_open(struct store *s, const struct bucket *b, struct str key, bool cached_only,
                                  struct arena *a, struct store_read *out, struct err *e)
{
    uint64_t last = 0;

    for (unsigned i = 0; i < READ_TRIES; i++) {
        struct err why = {0};
        *out = (struct store_read){.store = s};
        enum store_result res = store_object_get(s, b, key, cached_only, a, &out->object, e);
        if (res != STORE_OK)
            return res;
        if (i > 0 && out->object.seq == last)
            return damaged(b, key, e, "its body is missing");
        last = out->object.seq;
        res = open_body(out, cached_only, a, &why);
        if (res == STORE_DAMAGED)
            return damaged(b, key, e, why.text);
        if (res != STORE_MISSING)
            return res;
    }
    return damaged(b, key, e, "its body was gone each time the row was read");
}

bool store_read_piece(struct store_read *r, uint64_t off, uint64_t max, int *fd, uint64_t *fd_off,
                      uint64_t *n, struct err *e)
{
    const struct object *o = &r->object;
    uint64_t begin = 0;
    size_t i = 0;

    BUG_ON(r->is_inline || off >= o->size || max == 0);
    while (off - begin >= o->extents[i].length)
        begin += o->extents[i++].length;
    if (open_extent(r, i, e) != STORE_OK)
        return false;
    uint64_t left = o->extents[i].length - (off - begin);
    *fd = blob_fd(r->readers[i]);
    *fd_off = off - begin;
    *n = left < max ? left : max;
    r->last = i;
    return blob_verify(r->readers[i], *fd_off, *n, e);
}

void store_read_close(struct store_read *r)
{
    if (!r->is_inline)
        close_blobs(r);
    else if (r->object.size)
        kv_value_release(&r->body);
}
