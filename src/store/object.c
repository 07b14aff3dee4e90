/* SPDX-License-Identifier: Apache-2.0
 *
 * The row of an object as bytes. The numbers of the fields are for ever. */
#include "store/object.h"

#include <stdio.h>

#include "base/encode.h"
#include "store/row.h"

enum object_field {
    F_SIZE = 1,
    F_SEQ = 2,
    F_MTIME = 3, /* zigzag */
    F_MD5 = 4,
    F_PARTS = 5,
    F_META = 6, /* repeated: length of the name, name, value */
    F_CHECKSUM = 7,
    F_CHECKSUM_FULL = 8,
    F_CHECKSUM_VALUE = 9,
    F_UPLOAD_ID = 10,
    F_TAGS = 11,
    F_EXTENT = 12, /* repeated: kind, id, length */
    F_PART = 13,   /* repeated: size, and kind and value of its checksum if it has one */
    F_EXTENTS_ROW = 14,
};

size_t object_etag(const struct object *o, char out[ETAG_MAX])
{
    size_t n = 2 * sizeof o->md5;

    hex_lower(o->md5, sizeof o->md5, out);
    if (o->parts)
        n += (size_t)snprintf(out + n, ETAG_MAX - n, "-%u", o->parts > 99999 ? 99999 : o->parts);
    return n;
}

static void put_meta(struct buf *out, const struct header *h)
{
    struct buf one;

    buf_init(&one, out->max);
    buf_lstr(&one, h->name);
    buf_str(&one, h->value);
    row_bytes(out, F_META, buf_view(&one));
    buf_release(&one);
}

static void put_extent(struct buf *out, const struct extent *x)
{
    struct buf one;

    buf_init(&one, 64);
    buf_varint(&one, (uint64_t)x->kind);
    buf_varint(&one, x->id);
    buf_varint(&one, x->length);
    row_bytes(out, F_EXTENT, buf_view(&one));
    buf_release(&one);
}

static void put_part(struct buf *out, const struct object_part *p)
{
    struct buf one;

    buf_init(&one, 64);
    buf_varint(&one, p->size);
    if (p->checksum) {
        buf_char(&one, (char)p->checksum);
        buf_put(&one, p->checksum_value, checksum_len((enum checksum_kind)p->checksum));
    }
    row_bytes(out, F_PART, buf_view(&one));
    buf_release(&one);
}

static void put_extents(const struct object *o, struct buf *out)
{
    for (size_t i = 0; i < o->n_extents; i++)
        put_extent(out, &o->extents[i]);
    for (size_t i = 0; i < o->n_part_list; i++)
        put_part(out, &o->part_list[i]);
}

void object_extents_encode(const struct object *o, struct buf *out)
{
    BUG_ON(o->n_extents > OBJECT_PARTS || o->n_part_list > OBJECT_PARTS);
    row_begin(out);
    row_u64(out, F_SIZE, o->size);
    row_u64(out, F_PARTS, o->parts);
    put_extents(o, out);
}

void object_encode(const struct object *o, struct buf *out)
{
    BUG_ON(o->checksum_len > sizeof o->checksum_value);
    BUG_ON(!o->extents_row && (o->n_extents > OBJECT_EXTENTS || o->n_part_list > OBJECT_EXTENTS));
    row_begin(out);
    row_u64(out, F_SIZE, o->size);
    row_u64(out, F_SEQ, o->seq);
    row_u64(out, F_MTIME, row_zigzag(o->mtime_ns));
    row_bytes(out, F_MD5, str_n(o->md5, sizeof o->md5));
    if (o->parts)
        row_u64(out, F_PARTS, o->parts);
    for (size_t i = 0; i < o->meta.n; i++)
        put_meta(out, &o->meta.v[i]);
    if (o->checksum != CHECKSUM_NONE) {
        row_u64(out, F_CHECKSUM, (uint64_t)o->checksum);
        row_u64(out, F_CHECKSUM_FULL, o->checksum_full);
        row_bytes(out, F_CHECKSUM_VALUE, str_n(o->checksum_value, o->checksum_len));
    }
    if (o->upload_id.n)
        row_bytes(out, F_UPLOAD_ID, o->upload_id);
    if (o->tags.n)
        row_bytes(out, F_TAGS, o->tags);
    if (o->extents_row)
        row_u64(out, F_EXTENTS_ROW, o->extents_row);
    else
        put_extents(o, out);
}

/* Counts the headers, extents and parts that follow, so that each array is allocated once. */
static bool make_arrays(struct str row, struct arena *a, size_t max, struct object *o)
{
    struct row_field f;
    enum row_next r;
    size_t meta = 0, extents = 0, parts = 0;

    while ((r = row_next(&row, &f)) == ROW_FIELD) {
        meta += f.is_bytes && f.field == F_META;
        extents += f.is_bytes && f.field == F_EXTENT;
        parts += f.is_bytes && f.field == F_PART;
    }
    if (r != ROW_END || extents > max || parts > max)
        return false;
    if (meta)
        o->meta.v = ARENA_ARRAY(a, struct header, meta);
    if (extents)
        o->extents = ARENA_ARRAY(a, struct extent, extents);
    if (parts)
        o->part_list = ARENA_ARRAY(a, struct object_part, parts);
    return true;
}

static bool take_meta(struct object *o, struct str s)
{
    struct header *h = &o->meta.v[o->meta.n++];

    if (!take_lstr(&s, &h->name))
        return false;
    h->value = s;
    return true;
}

static bool take_extent(struct object *o, struct str s)
{
    struct extent *x = &o->extents[o->n_extents++];
    uint64_t kind;

    if (!take_varint(&s, &kind) || !take_varint(&s, &x->id) || !take_varint(&s, &x->length))
        return false;
    x->kind = (enum extent_kind)kind;
    return kind <= EXTENT_BLOB;
}

static bool take_part(struct object *o, struct str s)
{
    struct object_part *p = &o->part_list[o->n_part_list++];

    if (!take_varint(&s, &p->size))
        return false;
    if (!s.n)
        return true;
    p->checksum = (uint8_t)s.p[0];
    size_t n = p->checksum < CHECKSUM_KINDS ? checksum_len((enum checksum_kind)p->checksum) : 0;
    if (n == 0 || s.n != n + 1)
        return false;
    memcpy(p->checksum_value, s.p + 1, n);
    return true;
}

static void take_number(struct object *o, const struct row_field *f)
{
    switch (f->field) {
    case F_SIZE:
        o->size = f->v;
        break;
    case F_SEQ:
        o->seq = f->v;
        break;
    case F_MTIME:
        o->mtime_ns = row_unzigzag(f->v);
        break;
    case F_PARTS:
        o->parts = (uint32_t)f->v;
        break;
    case F_CHECKSUM:
        o->checksum = f->v <= CHECKSUM_SHA256 ? (enum checksum_kind)f->v : CHECKSUM_NONE;
        break;
    case F_CHECKSUM_FULL:
        o->checksum_full = f->v != 0;
        break;
    case F_EXTENTS_ROW:
        o->extents_row = f->v;
        break;
    default: /* a later version's */
        break;
    }
}

static bool take_string(struct object *o, const struct row_field *f)
{
    switch (f->field) {
    case F_MD5:
        if (f->s.n != sizeof o->md5)
            return false;
        memcpy(o->md5, f->s.p, f->s.n);
        return true;
    case F_META:
        return take_meta(o, f->s);
    case F_CHECKSUM_VALUE:
        if (f->s.n > sizeof o->checksum_value)
            return false;
        memcpy(o->checksum_value, f->s.p, f->s.n);
        o->checksum_len = (uint8_t)f->s.n;
        return true;
    case F_UPLOAD_ID:
        o->upload_id = f->s;
        return true;
    case F_TAGS:
        o->tags = f->s;
        return true;
    case F_EXTENT:
        return take_extent(o, f->s);
    case F_PART:
        return take_part(o, f->s);
    default: /* a later version's */
        return true;
    }
}

/* The parts are the object, if they are known. */
static bool parts_add_up(const struct object *o)
{
    uint64_t left = o->size;

    for (size_t i = 0; i < o->n_part_list; i++) {
        if (o->part_list[i].size > left)
            return false;
        left -= o->part_list[i].size;
    }
    return o->n_part_list == 0 || (o->n_part_list == o->parts && left == 0);
}

/* The extents are the object: no more, no less. */
static bool extents_add_up(const struct object *o)
{
    uint64_t left = o->size;

    for (size_t i = 0; i < o->n_extents; i++) {
        if (o->extents[i].length > left)
            return false;
        left -= o->extents[i].length;
    }
    return left == 0;
}

bool object_extents_decode(struct str row, struct arena *a, struct object *out)
{
    struct row_field f;
    enum row_next r;

    *out = (struct object){0};
    if (!row_open(&row) || !make_arrays(row, a, OBJECT_PARTS, out))
        return false;
    while ((r = row_next(&row, &f)) == ROW_FIELD) {
        if (!f.is_bytes)
            take_number(out, &f);
        else if (!take_string(out, &f))
            return false;
    }
    return r == ROW_END && extents_add_up(out) && parts_add_up(out);
}

bool object_decode(struct str row, struct arena *a, struct object *out)
{
    struct row_field f;
    enum row_next r;

    *out = (struct object){0};
    if (!row_open(&row) || !make_arrays(row, a, OBJECT_EXTENTS, out))
        return false;
    while ((r = row_next(&row, &f)) == ROW_FIELD) {
        if (!f.is_bytes)
            take_number(out, &f);
        else if (!take_string(out, &f))
            return false;
    }
    if (out->checksum == CHECKSUM_NONE)
        out->checksum_full = false, out->checksum_len = 0;
    if (r != ROW_END || out->seq == 0 || !parts_add_up(out))
        return false;
    return out->extents_row ? out->n_extents == 0 && out->n_part_list == 0 : extents_add_up(out);
}
