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

enum store_result store_extents_get(struct kv *kv, uint64_t id, struct arena *a, struct object *out,
                                    struct err *e)
{
    struct row_key k;
    struct kv_value v;

    switch (kv_get(kv, KV_META, row_key_id(&k, 'e', id), 0, &v, e)) {
    case KV_FOUND:
        break;
    case KV_MISSING:
        err_set(e, "its extents row %016llx is missing", (unsigned long long)id);
        return STORE_MISSING;
    default:
        return STORE_DAMAGED;
    }
    bool ok = object_extents_decode(v.data, a, out) ||
              err_set(e, "its extents row %016llx is damaged", (unsigned long long)id);
    kv_value_release(&v);
    return ok ? STORE_OK : STORE_DAMAGED;
}

/* STORE_MISSING: the extents row is gone. */
static enum store_result load_extents(struct store *s, struct arena *a, struct object *o, struct err *e)
{
    struct object x;

    if (!o->extents_row)
        return STORE_OK;
    enum store_result res = store_extents_get(s->kv, o->extents_row, a, &x, e);
    if (res != STORE_OK)
        return res;
    if (x.size != o->size || x.parts != o->parts) {
        err_set(e, "its extents row %016llx is another object's", (unsigned long long)o->extents_row);
        return STORE_DAMAGED;
    }
    o->extents = x.extents;
    o->n_extents = x.n_extents;
    o->part_list = x.part_list;
    o->n_part_list = x.n_part_list;
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

/* --- bodies of several pieces, or in files --- */

struct held_body {
    size_t extent;
    struct kv_value value;
};

static enum store_result open_extent(struct store_read *r, size_t i, struct err *e)
{
    const struct extent *x = &r->object.extents[i];

    if (r->reader && r->reading == i)
        return STORE_OK;
    blob_close(r->reader);
    r->reader = NULL;
    switch (blob_open(r->store->blobs, x->id, &r->reader, e)) {
    case BLOB_OK:
        break;
    case BLOB_MISSING: /* a later one is pinned: it should be there */
        if (i > 0)
            blobs_count_damage(r->store->blobs);
        return STORE_MISSING;
    default:
        return STORE_DAMAGED;
    }
    r->reading = i;
    if (blob_size(r->reader) == x->length)
        return STORE_OK;
    blobs_count_damage(r->store->blobs);
    err_set(e, "blob %016llx has %llu bytes instead of %llu", (unsigned long long)x->id,
            (unsigned long long)blob_size(r->reader), (unsigned long long)x->length);
    return STORE_DAMAGED;
}

static void close_pieces(struct store_read *r)
{
    const struct object *o = &r->object;

    blob_close(r->reader);
    r->reader = NULL;
    for (size_t i = 0; i < r->n_held; i++)
        kv_value_release(&r->held[i].value);
    for (size_t i = 0; i < o->n_extents; i++)
        if (o->extents[i].kind == EXTENT_BLOB)
            blob_unpin(r->store->blobs, o->extents[i].id);
}

/* Small parts are held in memory: nothing else would keep them. There is one at most, the last, unless parts are copied from a
 * time with other limits. */
static enum store_result hold_inline(struct store_read *r, struct arena *a, struct err *e)
{
    const struct object *o = &r->object;
    struct row_key k;
    size_t n = 0;

    for (size_t i = 0; i < o->n_extents; i++)
        n += o->extents[i].kind == EXTENT_INLINE;
    r->held = n ? ARENA_ARRAY(a, struct held_body, n) : NULL;
    for (size_t i = 0; i < o->n_extents; i++) {
        const struct extent *x = &o->extents[i];
        if (x->kind != EXTENT_INLINE)
            continue;
        struct held_body *h = &r->held[r->n_held];
        enum kv_result got = kv_get(r->store->kv, KV_DATA, row_key_data(&k, x->id), 0, &h->value, e);
        if (got != KV_FOUND)
            return got == KV_MISSING ? STORE_MISSING : STORE_DAMAGED;
        h->extent = i;
        r->n_held++;
        if (h->value.data.n != x->length) {
            err_set(e, "a part of its body has %zu bytes instead of %llu", h->value.data.n,
                    (unsigned long long)x->length);
            return STORE_DAMAGED;
        }
    }
    return STORE_OK;
}

/* Is the object still the one whose extents were pinned? Then nothing of it was garbage before the pins, and nothing of it is
 * removed while they are there. */
static enum store_result still_there(struct store_read *r, const struct bucket *b, struct str key,
                                     struct err *e)
{
    struct arena a;
    struct object now;

    arena_init(&a);
    enum store_result res = store_object_get(r->store, b, key, false, &a, &now, e);
    if (res == STORE_OK && now.seq != r->object.seq)
        res = STORE_MISSING;
    arena_release(&a);
    return res;
}

void (*store_before_pins)(void);

/* All blobs are pinned before the first is opened, so that those opened later are still there. One alone is opened at once,
 * which says whether it was; of several only the object's row can say it. */
static enum store_result open_pieces(struct store_read *r, const struct bucket *b, struct str key,
                                     struct arena *a, struct err *e)
{
    const struct object *o = &r->object;

    for (size_t i = 0; i < o->n_extents; i++) {
        if (o->extents[i].length == 0) {
            err_set(e, "its row has an empty extent");
            return STORE_DAMAGED;
        }
    }
    r->is_inline = false;
    if (store_before_pins)
        store_before_pins();
    for (size_t i = 0; i < o->n_extents; i++)
        if (o->extents[i].kind == EXTENT_BLOB)
            blob_pin(r->store->blobs, o->extents[i].id);
    enum store_result res = hold_inline(r, a, e);
    if (res == STORE_OK && o->n_extents > 1)
        res = still_there(r, b, key, e);
    if (res == STORE_OK && o->extents[0].kind == EXTENT_BLOB)
        res = open_extent(r, 0, e);
    if (res != STORE_OK)
        close_pieces(r);
    return res;
}

static bool in_one_row(const struct object *o)
{
    return o->size == 0 || (!o->extents_row && o->n_extents == 1 && o->extents[0].kind == EXTENT_INLINE);
}

static enum store_result open_body(struct store_read *r, const struct bucket *b, struct str key,
                                   bool cached_only, struct arena *a, struct err *e)
{
    if (in_one_row(&r->object))
        return open_inline(r, cached_only, e);
    if (cached_only)
        return STORE_WOULD_BLOCK;
    enum store_result res = load_extents(r->store, a, &r->object, e);
    if (res != STORE_OK)
        return res;
    return in_one_row(&r->object) ? open_inline(r, cached_only, e) : open_pieces(r, b, key, a, e);
}

/* --- the row, and what it names --- */

/* What the row names may be gone because the object was replaced meanwhile: then the row is another one by now, and is read
 * again. `open` NULL: extents and parts alone. */
static enum store_result open_as_it_is(struct store *s, const struct bucket *b, struct str key,
                                       bool cached_only, struct arena *a, struct store_read *out, bool body,
                                       struct err *e)
{
    uint64_t last = 0;

    for (unsigned i = 0; i < READ_TRIES; i++) {
        struct err why = {0};
        *out = (struct store_read){.store = s};
        enum store_result res = store_object_get(s, b, key, cached_only, a, &out->object, e);
        if (res != STORE_OK)
            return res;
        if (i > 0 && out->object.seq == last) {
            blobs_count_damage(s->blobs);
            return damaged(b, key, e, "its body is missing");
        }
        last = out->object.seq;
        if (body)
            res = open_body(out, b, key, cached_only, a, &why);
        else if (out->object.extents_row && cached_only)
            res = STORE_WOULD_BLOCK;
        else
            res = load_extents(s, a, &out->object, &why);
        if (res == STORE_DAMAGED)
            return damaged(b, key, e, why.text);
        if (res != STORE_MISSING)
            return res;
    }
    return damaged(b, key, e, "its body was gone each time the row was read");
}

enum store_result store_read_open(struct store *s, const struct bucket *b, struct str key, bool cached_only,
                                  struct arena *a, struct store_read *out, struct err *e)
{
    return open_as_it_is(s, b, key, cached_only, a, out, true, e);
}

enum store_result store_object_get_parts(struct store *s, const struct bucket *b, struct str key,
                                         bool cached_only, struct arena *a, struct object *out, struct err *e)
{
    struct store_read r;
    enum store_result res = open_as_it_is(s, b, key, cached_only, a, &r, false, e);

    *out = r.object;
    return res;
}

/* --- bytes --- */

/* Moves to the extent that holds the byte at `off`. Reads are in order, mostly. */
static const struct extent *seek(struct store_read *r, uint64_t off)
{
    const struct object *o = &r->object;

    if (off < r->at_begin)
        r->at = r->at_begin = 0;
    while (off - r->at_begin >= o->extents[r->at].length)
        r->at_begin += o->extents[r->at++].length;
    return &o->extents[r->at];
}

static const char *held_bytes(const struct store_read *r, size_t extent)
{
    for (size_t i = 0; i < r->n_held; i++)
        if (r->held[i].extent == extent)
            return r->held[i].value.data.p;
    BUG("an inline extent is not held");
}

bool store_read_piece(struct store_read *r, uint64_t off, uint64_t max, struct store_piece *out,
                      struct err *e)
{
    BUG_ON(r->is_inline || off >= r->object.size || max == 0);
    const struct extent *x = seek(r, off);
    uint64_t in = off - r->at_begin, left = x->length - in;

    *out = (struct store_piece){.fd = -1, .n = left < max ? left : max};
    if (x->kind == EXTENT_INLINE) {
        out->p = held_bytes(r, r->at) + in;
        return true;
    }
    if (open_extent(r, r->at, e) != STORE_OK)
        return false;
    out->fd = blob_fd(r->reader);
    out->fd_off = in;
    return blob_verify(r->reader, in, out->n, e);
}

bool store_read_bytes(struct store_read *r, uint64_t off, void *out, size_t n, struct err *e)
{
    char *to = out;

    BUG_ON(off > r->object.size || n > r->object.size - off);
    if (r->is_inline) {
        if (n)
            memcpy(to, r->body.data.p + off, n);
        return true;
    }
    while (n) {
        const struct extent *x = seek(r, off);
        uint64_t in = off - r->at_begin, left = x->length - in;
        size_t step = left < n ? (size_t)left : n;
        if (x->kind == EXTENT_INLINE)
            memcpy(to, held_bytes(r, r->at) + in, step);
        else if (open_extent(r, r->at, e) != STORE_OK || !blob_read(r->reader, in, to, step, e))
            return false;
        off += step;
        to += step;
        n -= step;
    }
    return true;
}

void store_read_close(struct store_read *r)
{
    if (!r->is_inline)
        close_pieces(r);
    else if (r->object.size)
        kv_value_release(&r->body);
}
