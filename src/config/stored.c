/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as they are stored, in memory and as the bytes of their row. */
#include "config/stored.h"

#include <stdlib.h>

#define VERSION 1

struct config_stored *stored_new(void)
{
    struct config_stored *st = x_calloc(1, sizeof(*st));
    arena_init(&st->arena);
    return st;
}

void config_stored_free(struct config_stored *st)
{
    if (!st)
        return;
    arena_release(&st->arena);
    free(st);
}

struct config_stored *stored_copy(const struct config_stored *st)
{
    struct config_stored *copy = stored_new();
    for (size_t i = 0; i < st->n; i++) {
        const struct stored_target *from = &st->v[i];
        struct stored_target *to = stored_add(copy, from->subsys, from->id);
        for (size_t k = 0; k < from->n; k++)
            stored_put(copy, to, from->pairs[k].key, from->pairs[k].value);
    }
    return copy;
}

/* Where a target is, or would be. */
static size_t place(const struct config_stored *st, struct str subsys, struct str id, bool *there)
{
    size_t low = 0, high = st->n;
    *there = false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = str_cmp(st->v[mid].subsys, subsys);
        if (c == 0)
            c = str_cmp(st->v[mid].id, id);
        if (c == 0) {
            *there = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct stored_target *stored_find(const struct config_stored *st, struct str subsys, struct str id)
{
    bool there;
    size_t at = place(st, subsys, id, &there);
    return there ? &st->v[at] : NULL;
}

struct stored_target *stored_add(struct config_stored *st, struct str subsys, struct str id)
{
    bool there;
    size_t at = place(st, subsys, id, &there);
    if (there)
        return &st->v[at];
    if (st->n == st->cap) {
        size_t cap = st->cap ? st->cap * 2 : 16;
        struct stored_target *v = ARENA_ARRAY(&st->arena, struct stored_target, cap);
        if (st->n > 0)
            memcpy(v, st->v, st->n * sizeof(*v));
        st->v = v;
        st->cap = cap;
    }
    memmove(st->v + at + 1, st->v + at, (st->n - at) * sizeof(*st->v));
    st->n++;
    st->v[at] =
        (struct stored_target){.subsys = arena_dup(&st->arena, subsys), .id = arena_dup(&st->arena, id)};
    return &st->v[at];
}

bool stored_remove(struct config_stored *st, struct str subsys, struct str id)
{
    bool there;
    size_t at = place(st, subsys, id, &there);
    if (!there)
        return false;
    st->n--;
    memmove(st->v + at, st->v + at + 1, (st->n - at) * sizeof(*st->v));
    return true;
}

static size_t pair_place(const struct stored_target *t, struct str key)
{
    size_t i = 0;
    while (i < t->n && !str_eq(t->pairs[i].key, key))
        i++;
    return i;
}

bool stored_get(const struct stored_target *t, struct str key, struct str *value)
{
    size_t i = pair_place(t, key);
    if (i == t->n)
        return false;
    *value = t->pairs[i].value;
    return true;
}

void stored_put(struct config_stored *st, struct stored_target *t, struct str key, struct str value)
{
    size_t i = pair_place(t, key);
    if (i == t->n && (!t->pairs || t->n == t->cap)) {
        size_t cap = t->cap ? t->cap * 2 : 8;
        struct stored_pair *pairs = ARENA_ARRAY(&st->arena, struct stored_pair, cap);
        if (t->pairs)
            memcpy(pairs, t->pairs, t->n * sizeof(*pairs));
        t->pairs = pairs;
        t->cap = cap;
    }
    if (i == t->n)
        t->pairs[t->n++].key = arena_dup(&st->arena, key);
    t->pairs[i].value = arena_dup(&st->arena, value);
}

void stored_unset(struct stored_target *t, struct str key)
{
    size_t i = pair_place(t, key);
    if (i == t->n)
        return;
    t->n--;
    memmove(t->pairs + i, t->pairs + i + 1, (t->n - i) * sizeof(*t->pairs));
}

/* --- the row ------------------------------------------------------------------------------------------------------ */

void stored_encode(const struct config_stored *st, struct buf *out)
{
    buf_char(out, VERSION);
    buf_varint(out, st->n);
    for (size_t i = 0; i < st->n; i++) {
        const struct stored_target *t = &st->v[i];
        buf_lstr(out, t->subsys);
        buf_lstr(out, t->id);
        buf_varint(out, t->n);
        for (size_t k = 0; k < t->n; k++) {
            buf_lstr(out, t->pairs[k].key);
            buf_lstr(out, t->pairs[k].value);
        }
    }
}

static bool decode_target(struct config_stored *st, struct str *row)
{
    struct str subsys, id, key, value;
    uint64_t n;
    if (!take_lstr(row, &subsys) || !take_lstr(row, &id) || !take_varint(row, &n))
        return false;
    struct stored_target *t = stored_add(st, subsys, id);
    for (; n > 0; n--) {
        if (!take_lstr(row, &key) || !take_lstr(row, &value))
            return false;
        stored_put(st, t, key, value);
    }
    return true;
}

struct config_stored *stored_decode(struct str row)
{
    struct str version;
    uint64_t n = 0;
    struct config_stored *st = stored_new();
    bool ok = take_bytes(&row, 1, &version) && version.p[0] == VERSION && take_varint(&row, &n);
    for (; ok && n > 0; n--)
        ok = decode_target(st, &row);
    if (ok && row.n == 0)
        return st;
    config_stored_free(st);
    return NULL;
}
