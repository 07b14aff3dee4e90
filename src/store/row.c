/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and tagged values of rows. */
#include "store/row.h"

static void key_add(struct row_key *k, const void *p, size_t n)
{
    BUG_ON(n > sizeof k->p - k->n);
    if (n)
        memcpy(k->p + k->n, p, n);
    k->n += n;
}

static void key_id(struct row_key *k, uint64_t id)
{
    unsigned char be[8];

    for (int i = 0; i < 8; i++)
        be[i] = (unsigned char)(id >> (56 - 8 * i));
    key_add(k, be, sizeof be);
}

static struct str key_view(const struct row_key *k)
{
    return (struct str){k->p, k->n};
}

struct str row_key_bucket(struct row_key *k, struct str name)
{
    k->n = 0;
    key_add(k, "b", 1);
    key_add(k, name.p, name.n);
    return key_view(k);
}

struct str row_key_object(struct row_key *k, uint64_t bucket, struct str key)
{
    k->n = 0;
    key_add(k, "o", 1);
    key_id(k, bucket);
    key_add(k, key.p, key.n);
    return key_view(k);
}

struct str row_key_upload(struct row_key *k, uint64_t bucket, struct str key, struct str upload)
{
    BUG_ON(upload.n != UPLOAD_ID_LEN);
    k->n = 0;
    key_add(k, "u", 1);
    key_id(k, bucket);
    key_add(k, key.p, key.n);
    key_add(k, "", 1);
    key_add(k, upload.p, upload.n);
    return key_view(k);
}

struct str row_key_part(struct row_key *k, uint64_t bucket, struct str key, struct str upload, uint32_t part)
{
    unsigned char be[4] = {(unsigned char)(part >> 24), (unsigned char)(part >> 16),
                           (unsigned char)(part >> 8), (unsigned char)part};

    row_key_upload(k, bucket, key, upload);
    key_add(k, be, sizeof be);
    return key_view(k);
}

struct str row_key_id(struct row_key *k, char kind, uint64_t id)
{
    k->n = 0;
    key_add(k, &kind, 1);
    key_id(k, id);
    return key_view(k);
}

struct str row_key_garbage(struct row_key *k, char what, uint64_t seq, uint64_t id)
{
    k->n = 0;
    key_add(k, "g", 1);
    key_add(k, &what, 1);
    key_id(k, seq);
    key_id(k, id);
    return key_view(k);
}

struct str row_key_data(struct row_key *k, uint64_t id)
{
    k->n = 0;
    key_id(k, id);
    return key_view(k);
}

bool row_id(struct str key, size_t skip, uint64_t *id)
{
    struct str rest = str_from(key, skip);
    return key.n == skip + 8 && take_be64(&rest, id);
}

bool row_garbage(struct str key, char *what, uint64_t *seq, uint64_t *id)
{
    if (key.n != 18 || key.p[0] != 'g')
        return false;
    *what = key.p[1];
    struct str rest = str_from(key, 2);
    return take_be64(&rest, seq) && take_be64(&rest, id);
}

bool row_upload(struct str key, uint64_t *bucket, struct str *object_key, struct str *upload, uint32_t *part)
{
    struct str rest = str_from(key, 1), tail;

    *part = 0;
    if (!key.n || key.p[0] != 'u' || !take_be64(&rest, bucket))
        return false;
    ptrdiff_t end = str_chr(rest, 0);
    if (end <= 0)
        return false;
    *object_key = str_head(rest, (size_t)end);
    tail = str_from(rest, (size_t)end + 1);
    return take_bytes(&tail, UPLOAD_ID_LEN, upload) && (!tail.n || (take_be32(&tail, part) && !tail.n));
}

bool row_successor(struct buf *b)
{
    while (b->len && (unsigned char)b->p[b->len - 1] == 0xff)
        b->len--;
    if (!b->len)
        return false;
    b->p[b->len - 1]++;
    return true;
}

void row_begin(struct buf *b)
{
    buf_char(b, ROW_VERSION);
}

void row_u64(struct buf *b, unsigned field, uint64_t v)
{
    buf_varint(b, (uint64_t)field << 1);
    buf_varint(b, v);
}

void row_bytes(struct buf *b, unsigned field, struct str s)
{
    buf_varint(b, (uint64_t)field << 1 | 1);
    buf_lstr(b, s);
}

bool row_open(struct str *row)
{
    if (!row->n || row->p[0] != ROW_VERSION)
        return false;
    *row = str_from(*row, 1);
    return true;
}

enum row_next row_next(struct str *row, struct row_field *out)
{
    uint64_t tag;

    if (!row->n)
        return ROW_END;
    if (!take_varint(row, &tag))
        return ROW_BAD;
    *out = (struct row_field){.field = tag >> 1, .is_bytes = tag & 1};
    bool ok = out->is_bytes ? take_lstr(row, &out->s) : take_varint(row, &out->v);
    return ok ? ROW_FIELD : ROW_BAD;
}
