/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of uploads and parts. A part's row has the form of an object's. */
#include "store/upload.h"

#include "base/encode.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/stage.h"
#include "store/upload_rows.h"

enum upload_field {
    F_GENERATION = 1,
    F_TOUCHED = 2, /* zigzag */
    F_OBJECT = 3,  /* as an object's row */
};

void store_upload_id(struct store *s, char out[UPLOAD_ID_LEN])
{
    uint8_t r[8];

    hash_random(r, sizeof r);
    uint64_t id = store_new_id(s);
    for (int i = 15; i >= 0; i--, id >>= 4)
        out[i] = "0123456789abcdef"[id & 15];
    hex_lower(r, sizeof r, out + 16);
}

/* --- rows --- */

void upload_row_encode(const struct store_upload *u, struct buf *out)
{
    struct buf o;

    buf_init(&o, STORE_ROW_MAX);
    object_encode(&u->object, &o);
    row_begin(out);
    row_u64(out, F_GENERATION, u->generation);
    row_u64(out, F_TOUCHED, row_zigzag((int64_t)u->touched));
    row_bytes(out, F_OBJECT, buf_view(&o));
    BUG_ON(o.failed);
    buf_release(&o);
}

bool upload_row_decode(struct str row, struct arena *a, struct store_upload *out)
{
    struct row_field f;
    enum row_next r;
    bool has_object = false;

    *out = (struct store_upload){0};
    if (!row_open(&row))
        return false;
    while ((r = row_next(&row, &f)) == ROW_FIELD) {
        if (!f.is_bytes && f.field == F_GENERATION)
            out->generation = f.v;
        else if (!f.is_bytes && f.field == F_TOUCHED)
            out->touched = (uint64_t)row_unzigzag(f.v);
        else if (f.is_bytes && f.field == F_OBJECT)
            has_object = object_decode(f.s, a, &out->object);
    }
    return r == ROW_END && has_object;
}

void upload_garbage_encode(const struct upload_garbage *g, struct buf *out)
{
    size_t n = g->used ? sizeof g->used->bits : 0;

    while (n && g->used->bits[n - 1] == 0)
        n--;
    row_begin(out);
    buf_be64(out, g->bucket);
    buf_lstr(out, g->key);
    buf_lstr(out, g->id);
    if (n)
        buf_put(out, g->used->bits, n);
}

bool upload_garbage_decode(struct str row, struct upload_garbage *out, struct part_set *used)
{
    memset(used, 0, sizeof *used);
    if (!row_open(&row) || !take_be64(&row, &out->bucket) || !take_lstr(&row, &out->key) ||
        !take_lstr(&row, &out->id) || row.n > sizeof used->bits)
        return false;
    if (row.n)
        memcpy(used->bits, row.p, row.n);
    out->used = used;
    return out->id.n == UPLOAD_ID_LEN && out->key.n <= STORE_KEY_MAX;
}

/* --- reading --- */

static bool is_id(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (!((id.p[i] >= '0' && id.p[i] <= '9') || (id.p[i] >= 'a' && id.p[i] <= 'f')))
            return false;
    return id.n == UPLOAD_ID_LEN;
}

static enum store_result damaged(const struct bucket *b, struct str key, struct err *e, const char *what)
{
    log_error("store", "upload of %.*s/%.*s: %s", STR_FMT(b->name), STR_FMT(key), what);
    if (e)
        err_set(e, "upload of %.*s/%.*s: %s", STR_FMT(b->name), STR_FMT(key), what);
    return STORE_DAMAGED;
}

enum store_result store_upload_get(struct store *s, const struct bucket *b, struct str key, struct str id,
                                   bool cached_only, struct arena *a, struct store_upload *out, struct err *e)
{
    struct err why = {0};
    struct row_key k;
    struct kv_value v;

    if (key.n > STORE_KEY_MAX || !is_id(id))
        return STORE_MISSING;
    switch (kv_get(s->kv, KV_META, row_key_upload(&k, b->id, key, id), cached_only ? KV_CACHED_ONLY : 0, &v,
                   &why)) {
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
    if (!upload_row_decode(row, a, out))
        return damaged(b, key, e, "its row is damaged");
    out->id = arena_dup(a, id);
    return STORE_OK;
}

/* Room for one more part; uploads are mostly short, and may be long. */
static struct store_part *next_part(struct arena *a, struct store_part **v, size_t n, size_t *cap, size_t max)
{
    if (n == *cap) {
        *cap = n ? (2 * n < max ? 2 * n : max) : (max < 64 ? max : 64);
        struct store_part *larger = ARENA_ARRAY(a, struct store_part, *cap);
        if (n)
            memcpy(larger, *v, n * sizeof *larger);
        *v = larger;
    }
    return &(*v)[n];
}

enum store_result store_upload_parts(struct store *s, const struct bucket *b, struct str key, struct str id,
                                     uint32_t after, size_t max, struct arena *a, struct store_part **out,
                                     size_t *n, bool *truncated, struct err *e)
{
    struct row_key first, end;
    struct str k, value, object_key, upload;
    uint64_t bucket;
    size_t cap = 0;

    *n = 0;
    *truncated = false;
    *out = NULL;
    if (!max || key.n > STORE_KEY_MAX || !is_id(id) || after >= OBJECT_PARTS)
        return STORE_OK;
    struct kv_scan *scan = kv_scan_open(s->kv, KV_META, row_key_part(&first, b->id, key, id, after + 1),
                                        row_key_part(&end, b->id, key, id, UINT32_MAX));
    enum store_result res = STORE_OK;
    while (res == STORE_OK && !*truncated && kv_scan_next(scan, &k, &value)) {
        *truncated = *n == max;
        if (*truncated)
            break;
        struct store_part *p = next_part(a, out, *n, &cap, max);
        if (row_upload(k, &bucket, &object_key, &upload, &p->number) &&
            object_decode(arena_dup(a, value), a, &p->object))
            ++*n;
        else
            res = damaged(b, key, e, "the row of a part is damaged");
    }
    if (res == STORE_OK && kv_scan_failed(scan, e))
        res = STORE_DAMAGED;
    kv_scan_close(scan);
    return res;
}

/* --- closures --- */

static void put_row(struct kv_txn *t, struct str row_key, const struct store_upload *u)
{
    struct buf row;

    buf_init(&row, STORE_ROW_MAX);
    upload_row_encode(u, &row);
    BUG_ON(row.failed);
    kv_txn_put(t, KV_META, row_key, buf_view(&row));
    buf_release(&row);
}

void store_txn_upload_create(struct kv_txn *t, const struct bucket *b, struct str key,
                             const struct store_upload *u)
{
    struct row_key k;
    struct store_upload made = *u;

    BUG_ON(u->object.seq == 0);
    made.touched = u->object.seq;
    put_row(t, row_key_upload(&k, b->id, key, u->id), &made);
}

enum store_result store_txn_upload_get(struct kv_txn *t, const struct bucket *b, struct str key,
                                       struct str id, struct arena *a, struct store_upload *out)
{
    struct row_key k;
    struct kv_value v;

    if (key.n > STORE_KEY_MAX || !is_id(id))
        return STORE_MISSING;
    enum kv_result r = kv_txn_get(t, KV_META, row_key_upload(&k, b->id, key, id), &v);
    if (r == KV_MISSING)
        return STORE_MISSING;
    bool ok = r == KV_FOUND && upload_row_decode(arena_dup(a, v.data), a, out);
    if (r == KV_FOUND)
        kv_value_release(&v);
    out->id = arena_dup(a, id);
    return ok ? STORE_OK : damaged(b, key, NULL, "its row is damaged");
}

enum store_result store_txn_upload_check(struct kv_txn *t, const struct bucket *b, struct str key,
                                         struct str id, uint64_t generation)
{
    struct store_upload u;
    struct arena a;

    arena_init(&a);
    enum store_result r = store_txn_upload_get(t, b, key, id, &a, &u);
#ifndef BELFRY_MUTATE_NO_GENERATION_CHECK
    if (r == STORE_OK && u.generation != generation)
        r = STORE_AGAIN;
#else
    (void)generation;
#endif
    arena_release(&a);
    return r;
}

enum store_result store_txn_part_get(struct kv_txn *t, const struct bucket *b, struct str key, struct str id,
                                     uint32_t number, struct arena *a, struct object *out)
{
    struct row_key k;
    struct kv_value v;

    enum kv_result r = kv_txn_get(t, KV_META, row_key_part(&k, b->id, key, id, number), &v);
    if (r == KV_MISSING)
        return STORE_MISSING;
    bool ok = r == KV_FOUND && object_decode(arena_dup(a, v.data), a, out);
    if (r == KV_FOUND)
        kv_value_release(&v);
    return ok ? STORE_OK : damaged(b, key, NULL, "the row of a part is damaged");
}

void store_txn_part_put(struct kv_txn *t, const struct bucket *b, struct str key, struct store_upload *u,
                        uint32_t number, struct object *part, struct store_stage *stage,
                        const struct object *old)
{
    struct row_key k;
    struct buf row;

    BUG_ON(number == 0 || number > OBJECT_PARTS || part->seq == 0);
    store_txn_use_stage(t, part, stage);
    if (old)
        store_txn_drop_body(t, old);
    buf_init(&row, STORE_ROW_MAX);
    object_encode(part, &row);
    BUG_ON(row.failed);
    kv_txn_put(t, KV_META, row_key_part(&k, b->id, key, u->id, number), buf_view(&row));
    buf_release(&row);
    u->generation++;
    u->touched = part->seq;
    put_row(t, row_key_upload(&k, b->id, key, u->id), u);
}

static uint64_t id_number(struct str id)
{
    uint64_t n = 0;

    for (size_t i = 0; i < 16; i++)
        n = n << 4 | (uint64_t)(id.p[i] <= '9' ? id.p[i] - '0' : id.p[i] - 'a' + 10);
    return n;
}

void store_txn_upload_end(struct kv_txn *t, const struct bucket *b, struct str key, struct str id,
                          const struct part_set *used)
{
    struct upload_garbage g = {.bucket = b->id, .key = key, .id = id, .used = used};
    struct row_key k;
    struct buf value;

    kv_txn_del(t, KV_META, row_key_upload(&k, b->id, key, id));
    buf_init(&value, 4096);
    upload_garbage_encode(&g, &value);
    BUG_ON(value.failed);
    kv_txn_put(t, KV_META, row_key_garbage(&k, GARBAGE_UPLOAD, kv_txn_sequence(t), id_number(id)),
               buf_view(&value));
    buf_release(&value);
}
