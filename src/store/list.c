/* SPDX-License-Identifier: Apache-2.0
 *
 * One page of a listing: keys in order, groups that share a common prefix given once and then skipped by a
 * seek. */
#include "base/log.h"
#include "store/store_internal.h"

struct lister {
    const struct bucket *bucket;
    const struct list_query *q;
    struct arena *arena;
    struct list_page *page;
    struct kv_scan *scan;
    struct buf at; /* first row to look at, then scratch for seeks */
    size_t head;   /* bytes of a row's key before the object's key */
};

struct str list_group(struct str prefix, struct str delimiter, struct str key)
{
    if (!delimiter.n || !str_starts(key, prefix))
        return (struct str){0};
    ptrdiff_t i = str_find(str_from(key, prefix.n), delimiter);
    return i < 0 ? (struct str){0} : str_head(key, prefix.n + (size_t)i + delimiter.n);
}

static struct str group_of(const struct list_query *q, struct str key)
{
    return list_group(q->prefix, q->delimiter, key);
}

static void row_of(struct lister *l, struct str key)
{
    buf_reset(&l->at);
    buf_char(&l->at, 'o');
    buf_be64(&l->at, l->bucket->id);
    buf_str(&l->at, key);
}

/* The first row behind the marker; a marker at or inside a group: the first one behind that group. */
static void first_row(struct lister *l)
{
    const struct list_query *q = l->q;
    struct str group = group_of(q, q->after);

    if (group.p) {
        row_of(l, group);
        row_successor(&l->at);
        return;
    }
    if (q->after.n && str_cmp(q->after, q->prefix) >= 0) {
        row_of(l, q->after);
        buf_char(&l->at, 0);
        return;
    }
    row_of(l, q->prefix);
}

/* Goes to the first row behind a group. `key` is in the arena. */
static bool skip_group(struct lister *l, struct str group, struct str *key, struct str *value)
{
    for (int i = 0; i < LIST_STEPS; i++) {
        if (!kv_scan_next(l->scan, key, value))
            return false;
        if (!str_starts(str_from(*key, l->head), group))
            return true;
    }
    row_of(l, group);
    row_successor(&l->at);
    kv_scan_seek(l->scan, buf_view(&l->at));
    return kv_scan_next(l->scan, key, value);
}

static bool add_object(struct lister *l, struct str key, struct str row, struct err *e)
{
    struct list_entry *x = &l->page->entries[l->page->n++];

    *x = (struct list_entry){.key = arena_dup(l->arena, key)};
    if (object_decode(arena_dup(l->arena, row), l->arena, &x->object))
        return true;
    log_error("store", "the row of object %.*s/%.*s is damaged", STR_FMT(l->bucket->name), STR_FMT(key));
    return err_set(e, "the row of object %.*s/%.*s is damaged", STR_FMT(l->bucket->name), STR_FMT(key));
}

/* Fills the page; false when a row is damaged. */
static bool fill(struct lister *l, struct err *e)
{
    struct list_page *page = l->page;
    struct str key, value;
    bool more = kv_scan_next(l->scan, &key, &value);

    while (more && page->n < l->q->max) {
        struct str name = str_from(key, l->head);
        struct str group = group_of(l->q, name);
        if (group.p) {
            group = arena_dup(l->arena, group);
            page->entries[page->n++] = (struct list_entry){.key = group, .is_prefix = true};
            more = skip_group(l, group, &key, &value);
            continue;
        }
        if (!add_object(l, name, value, e))
            return false;
        more = kv_scan_next(l->scan, &key, &value);
    }
    if (kv_scan_failed(l->scan, e))
        return false;
    page->truncated = more;
    if (more)
        page->next = page->entries[page->n - 1].key;
    return true;
}

enum store_result store_list(struct store *s, const struct bucket *b, const struct list_query *q,
                             struct arena *a, struct list_page *out, struct err *e)
{
    struct lister l = {.bucket = b, .q = q, .arena = a, .page = out, .head = 9};
    struct buf end;

    *out = (struct list_page){0};
    if (q->max == 0)
        return STORE_OK;
    buf_init(&l.at, 32 + q->prefix.n + q->after.n + STORE_KEY_MAX);
    row_of(&l, q->prefix);
    buf_init(&end, l.at.len);
    buf_str(&end, buf_view(&l.at));
    row_successor(&end); /* there is one: rows begin with 'o' */
    first_row(&l);
    BUG_ON(l.at.failed || end.failed);

    bool ok = true;
    if (str_cmp(buf_view(&l.at), buf_view(&end)) < 0) {
        out->entries = ARENA_ARRAY(a, struct list_entry, q->max);
        l.scan = kv_scan_open(s->kv, KV_META, buf_view(&l.at), buf_view(&end));
        ok = fill(&l, e);
        kv_scan_close(l.scan);
    }
    buf_release(&end);
    buf_release(&l.at);
    return ok ? STORE_OK : STORE_DAMAGED;
}
