/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check: walking over rows, past those that are damaged, and what their keys mean. */
#include <inttypes.h>
#include <string.h>

#include "kv/rescue.h"
#include "store/check.h"

#define WORDS_KEY 2048 /* bytes; keys have at most 1024, unless a row is no row of ours */

static const struct check_bucket *bucket_by_id(const struct check *c, uint64_t id)
{
    for (size_t i = 0; i < c->n_buckets; i++)
        if (c->buckets[i].id == id)
            return &c->buckets[i];
    return NULL;
}

/* Of an object's, or an upload's: its bucket, then the key. */
static void object_words(const struct check *c, struct str key, struct buf *out)
{
    struct str rest = str_from(key, 1);
    uint64_t id;
    if (!take_be64(&rest, &id)) {
        buf_puts(out, "(nothing)");
        return;
    }
    const struct check_bucket *b = bucket_by_id(c, id);
    if (b && b->name)
        buf_puts(out, b->name);
    else
        buf_printf(out, "(bucket %016" PRIx64 ")", id);
    buf_char(out, '/');
    ptrdiff_t end = str_chr(rest, 0);
    buf_str(out, str_head(end < 0 ? rest : str_head(rest, (size_t)end), WORDS_KEY));
}

static bool queue_words(const struct check *c, struct str key, struct buf *out)
{
    struct str rest = str_from(key, 1);
    uint32_t number;
    uint64_t seq;
    if (!take_be32(&rest, &number) || !take_be64(&rest, &seq) || rest.n)
        return false;
    buf_printf(out, "%s %" PRIu64 " of ", key.p[0] == 'q' ? "event" : "dead letter", seq);
    for (size_t i = 0; i < c->n_queues; i++)
        if (c->queues[i].number == number && c->queues[i].name) {
            buf_puts(out, c->queues[i].name);
            return true;
        }
    buf_printf(out, "target number %" PRIu32, number);
    return true;
}

void check_key_words(const struct check *c, enum kv_space space, struct str key, struct buf *out)
{
    char kind = key.n ? key.p[0] : 0;
    if (space == KV_META && (kind == 'o' || kind == 'u'))
        object_words(c, key, out);
    else if (space == KV_META && kind == 'b')
        buf_str(out, str_head(str_from(key, 1), WORDS_KEY));
    else if (space != KV_QUEUE || (kind != 'q' && kind != 'd') || !queue_words(c, key, out))
        for (size_t i = 0; i < key.n && i < 64; i++)
            buf_printf(out, "%02x", (unsigned char)key.p[i]);
}

static const char *kind_words(enum kv_space space, struct str key)
{
    static const struct {
        enum kv_space space;
        char kind;
        const char *words;
    } kinds[] = {
        {KV_META, 'o', "objects"},           {KV_META, 'b', "buckets"},
        {KV_META, 'u', "uploads and parts"}, {KV_META, 'r', "rules"},
        {KV_META, 'k', "settings"},          {KV_QUEUE, 'q', "queued events"},
        {KV_QUEUE, 'd', "dead letters"},     {KV_QUEUE, 'h', "the listeners' history"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].space == space && key.n && kinds[i].kind == key.p[0])
            return kinds[i].words;
    return space == KV_DATA ? "bodies" : "rows";
}

/* Rows between two keys that cannot be read. */
static void tell_gap(struct check *c, enum kv_space space, struct str behind, struct str next,
                     const char *why)
{
    struct buf words;
    buf_init(&words, 8192);
    check_key_words(c, space, behind, &words);
    buf_puts(&words, next.p ? " and before " : ", to the end");
    if (next.p)
        check_key_words(c, space, next, &words);
    check_rows_finding(c, "%s behind %.*s cannot be read: %s", kind_words(space, behind),
                       STR_FMT(buf_view(&words)), why);
    buf_release(&words);
}

/* Moves *at behind the damage; false: nothing follows. */
static bool step_over(struct check *c, enum kv_space space, struct str end, struct buf *at, const char *why)
{
    struct buf next;
    buf_init(&next, 1u << 16);
    bool more = kv_scan_skip(c->kv, space, buf_view(at), end, &next);
    tell_gap(c, space, buf_view(at), more ? buf_view(&next) : (struct str){0}, why);
    if (more) {
        buf_reset(at);
        buf_str(at, buf_view(&next));
    }
    buf_release(&next);
    return more;
}

/* Reads rows from *at on; false with *at at the last one that was read when damage ends it. */
static bool read_from(struct check *c, enum kv_space space, struct buf *at, struct str end,
                      check_row_fn *each, struct err *e)
{
    struct str key, value;
    struct kv_scan *scan = kv_scan_open(c->kv, space, buf_view(at), end);
    while (kv_scan_next(scan, &key, &value)) {
        buf_reset(at);
        buf_str(at, key);
        each(c, key, value);
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

void check_each_row(struct check *c, enum kv_space space, const char *prefix, check_row_fn *each)
{
    struct buf end, at;
    struct err e = {0};

    buf_init(&end, 16);
    buf_init(&at, 1u << 16);
    buf_puts(&end, prefix);
    if (!row_successor(&end))
        buf_put(&end, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    buf_puts(&at, prefix);
    while (!read_from(c, space, &at, buf_view(&end), each, &e) &&
           step_over(c, space, buf_view(&end), &at, e.text))
        ;
    buf_release(&end);
    buf_release(&at);
}
