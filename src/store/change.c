/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of objects, inside closures: the row, the body or the t row, the garbage of what was there, the
 * counters. */
#include "base/log.h"
#include "store/stage.h"

enum store_result store_txn_object_get(struct kv_txn *t, const struct bucket *b, struct str key,
                                       struct arena *a, struct object *out)
{
    struct row_key k;
    struct kv_value v;

    if (key.n > STORE_KEY_MAX)
        return STORE_MISSING;
    enum kv_result r = kv_txn_get(t, KV_META, row_key_object(&k, b->id, key), &v);
    if (r == KV_MISSING)
        return STORE_MISSING;
    bool ok = r == KV_FOUND && object_decode(arena_dup(a, v.data), a, out);
    if (r == KV_FOUND)
        kv_value_release(&v);
    if (ok)
        return STORE_OK;
    log_error("store", "the row of object %.*s/%.*s is damaged", STR_FMT(b->name), STR_FMT(key));
    return STORE_DAMAGED;
}

void store_txn_drop_extents(struct kv_txn *t, const struct extent *x, size_t n)
{
    struct row_key k;

    for (size_t i = 0; i < n; i++) {
        if (x[i].kind == EXTENT_INLINE)
            kv_txn_del(t, KV_DATA, row_key_data(&k, x[i].id));
        else
            kv_txn_put(t, KV_META, row_key_garbage(&k, GARBAGE_BLOB, kv_txn_sequence(t), x[i].id), STR(""));
    }
}

void store_txn_drop_body(struct kv_txn *t, const struct object *o)
{
    struct row_key k;

    if (o->extents_row)
        kv_txn_put(t, KV_META, row_key_garbage(&k, GARBAGE_EXTENTS, kv_txn_sequence(t), o->extents_row),
                   STR(""));
    else
        store_txn_drop_extents(t, o->extents, o->n_extents);
}

static void use_parts(struct object *o, const struct store_stage *st)
{
    BUG_ON(st->n_parts && o->parts != st->n_parts); /* who keeps the parts says how many */
    o->extents_row = st->row;
    if (st->assembled) {
        o->extents = st->extents;
        o->n_extents = st->n_extents;
    }
    o->part_list = st->parts;
    o->n_part_list = st->n_parts;
}

/* The extents of o are those of the stage from here on. */
void store_txn_use_stage(struct kv_txn *t, struct object *o, struct store_stage *st)
{
    struct row_key k;

    BUG_ON(!st->finished || st->used);
    st->used = true;
    o->size = st->size;
    o->n_extents = st->size ? 1 : 0;
    st->extent = (struct extent){st->is_file ? EXTENT_BLOB : EXTENT_INLINE, st->id, st->size};
    o->extents = &st->extent;
    use_parts(o, st);
    if (st->row)
        kv_txn_del(t, KV_META, row_key_id(&k, 't', st->row));
    if (st->is_file)
        kv_txn_del(t, KV_META, row_key_id(&k, 't', st->id));
    else if (st->size && !st->assembled)
        kv_txn_put(t, KV_DATA, row_key_data(&k, st->id), str_n(st->memory, (size_t)st->size));
}

static void count(struct kv_txn *t, const struct bucket *b, int64_t objects, uint64_t now, uint64_t before)
{
    struct row_key k;

    if (objects != 0 || now != before)
        kv_txn_add(t, row_key_id(&k, 'n', b->id), (int64_t[KV_COUNTERS]){objects, (int64_t)(now - before)});
}

void store_txn_object_put(struct kv_txn *t, struct store *s, const struct bucket *b, struct str key,
                          struct object *o, struct store_stage *stage, const struct object *old)
{
    struct row_key k;
    struct buf row;

    (void)s;
    BUG_ON(key.n > STORE_KEY_MAX || o->seq == 0 || (!stage && !old));
    if (stage) {
        store_txn_use_stage(t, o, stage);
        if (old)
            store_txn_drop_body(t, old);
    } else {
        o->size = old->size;
        o->extents = old->extents;
        o->n_extents = old->n_extents;
        o->extents_row = old->extents_row;
        o->part_list = old->part_list;
        o->n_part_list = old->n_part_list;
    }
    buf_init(&row, STORE_ROW_MAX);
    object_encode(o, &row);
    BUG_ON(row.failed);
    kv_txn_put(t, KV_META, row_key_object(&k, b->id, key), buf_view(&row));
    buf_release(&row);
    count(t, b, old ? 0 : 1, o->size, old ? old->size : 0);
}

void store_txn_object_delete(struct kv_txn *t, struct store *s, const struct bucket *b, struct str key,
                             const struct object *old)
{
    struct row_key k;

    (void)s;
    kv_txn_del(t, KV_META, row_key_object(&k, b->id, key));
    store_txn_drop_body(t, old);
    count(t, b, -1, 0, old->size);
}
