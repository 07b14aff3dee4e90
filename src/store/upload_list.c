/* SPDX-License-Identifier: Apache-2.0
 *
 * One page of a bucket's open uploads: rows in order of key and id, parts skipped, groups that share a common prefix given once
 * and then skipped. */
#include "base/log.h"
#include "store/upload_rows.h"

struct lister {
    const struct bucket *bucket;
    const struct uploads_query *q;
    struct arena *arena;
    struct uploads_page *page;
    struct kv_scan *scan;
    struct buf at; /* first row to look at, then scratch for seeks */
    struct str key, value;
};

static void row_of(struct lister *l, struct str key)
{
    buf_reset(&l->at);
    buf_char(&l->at, 'u');
    buf_be64(&l->at, l->bucket->id);
    buf_str(&l->at, key);
}

/* The first row behind the markers. */
static void first_row(struct lister *l)
{
    const struct uploads_query *q = l->q;
    struct str group = list_group(q->prefix, q->delimiter, q->key_marker);
    struct str key = q->key_marker, beyond = key;

    if (group.p) {
        row_of(l, group);
        row_successor(&l->at);
        return;
    }
    if (!key.n || str_cmp(key, q->prefix) < 0) {
        row_of(l, q->prefix);
        return;
    }
    str_cut(&beyond, 0, &key); /* no key has a NUL: what is behind "k NUL ..." is what is behind all of "k" */
    row_of(l, key);
    if (!q->id_marker.n || beyond.p) {
        buf_char(&l->at, 1); /* behind key, NUL, ... */
        return;
    }
    buf_char(&l->at, 0);
    buf_str(&l->at, q->id_marker);
    row_successor(&l->at); /* its parts, too */
}

/* To the first row that does not begin with `prefix` (in the arena), a whole key's beginning. */
static bool skip(struct lister *l, struct str prefix)
{
    for (int i = 0; i < LIST_STEPS; i++) {
        if (!kv_scan_next(l->scan, &l->key, &l->value))
            return false;
        if (!str_starts(l->key, prefix))
            return true;
    }
    buf_reset(&l->at);
    buf_str(&l->at, prefix);
    row_successor(&l->at);
    kv_scan_seek(l->scan, buf_view(&l->at));
    return kv_scan_next(l->scan, &l->key, &l->value);
}

static bool damaged(struct lister *l, struct err *e)
{
    log_error("store", "the row of an upload to %.*s is damaged", STR_FMT(l->bucket->name));
    return err_set(e, "the row of an upload to %.*s is damaged", STR_FMT(l->bucket->name));
}

/* Takes the upload or the group at hand into the page, and goes behind it; *more: there is another row. */
static bool take(struct lister *l, bool *more, struct err *e)
{
    struct uploads_page *page = l->page;
    struct str row = arena_dup(l->arena, l->key), key, id;
    uint64_t bucket;
    uint32_t part;

    if (!row_upload(row, &bucket, &key, &id, &part))
        return damaged(l, e);
    if (part) { /* of an upload that is over, or its row would have come first */
        *more = skip(l, str_head(row, row.n - 4));
        return true;
    }
    struct str group = list_group(l->q->prefix, l->q->delimiter, key);
    struct uploads_entry *x = &page->entries[page->n++];
    *x = (struct uploads_entry){.key = group.p ? group : key, .is_prefix = group.p != NULL};
    if (!group.p) {
        if (!upload_row_decode(arena_dup(l->arena, l->value), l->arena, &x->upload))
            return damaged(l, e);
        x->upload.id = id;
    }
    /* The group's bytes are the beginning of the row's key. */
    *more = skip(l, group.p ? str_head(row, 9 + group.n) : row);
    return true;
}

/* Is there an upload at or behind the row at hand? Rows of parts whose upload is over are none. */
static bool really_more(struct lister *l, bool more)
{
    struct str key, id;
    uint64_t bucket;
    uint32_t part;

    while (more && row_upload(l->key, &bucket, &key, &id, &part) && part) {
        struct str row = arena_dup(l->arena, l->key);
        more = skip(l, str_head(row, row.n - 4));
    }
    return more;
}

static bool fill(struct lister *l, struct err *e)
{
    bool more = kv_scan_next(l->scan, &l->key, &l->value);

    while (more && l->page->n < l->q->max)
        if (!take(l, &more, e))
            return false;
    more = really_more(l, more);
    if (kv_scan_failed(l->scan, e))
        return false;
    l->page->truncated = more;
    return true;
}

enum store_result store_uploads(struct store *s, const struct bucket *b, const struct uploads_query *q,
                                struct arena *a, struct uploads_page *out, struct err *e)
{
    struct lister l = {.bucket = b, .q = q, .arena = a, .page = out};
    struct buf end;

    *out = (struct uploads_page){0};
    if (q->max == 0 ||
        (q->prefix.n && memchr(q->prefix.p, 0, q->prefix.n))) /* keys have no NUL, their rows do */
        return STORE_OK;
    buf_init(&l.at, 64 + q->prefix.n + q->key_marker.n + q->id_marker.n + sizeof(struct row_key));
    row_of(&l, q->prefix);
    buf_init(&end, l.at.len);
    buf_str(&end, buf_view(&l.at));
    row_successor(&end); /* there is one: rows begin with 'u' */
    first_row(&l);
    BUG_ON(l.at.failed || end.failed);

    bool ok = true;
    if (str_cmp(buf_view(&l.at), buf_view(&end)) < 0) {
        out->entries = ARENA_ARRAY(a, struct uploads_entry, q->max);
        l.scan = kv_scan_open(s->kv, KV_META, buf_view(&l.at), buf_view(&end));
        ok = fill(&l, e);
        kv_scan_close(l.scan);
    }
    buf_release(&end);
    buf_release(&l.at);
    return ok ? STORE_OK : STORE_DAMAGED;
}
