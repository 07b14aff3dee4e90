/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check: reads everything, changes nothing, and says what does not fit. After a crash there may be t
 * and g rows: they are no finding, the next start and the janitor deal with them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "store/check.h"

#define PROGRESS_MS 2000
#define VERIFY_STEP ((uint64_t)8 << 20)

#define LINE_MAX_BYTES 16384 /* keys have at most 1024 */

__attribute__((format(printf, 1, 0))) static void print(const char *fmt, va_list ap)
{
    char *line = x_malloc(LINE_MAX_BYTES);
    int n = vsnprintf(line, LINE_MAX_BYTES, fmt, ap);

    for (int i = 0; i < n && i < LINE_MAX_BYTES - 1; i++) {
        unsigned char ch = (unsigned char)line[i];
        if (ch < ' ' || ch == 0x7f)
            printf("\\x%02x", ch);
        else
            putchar(ch);
    }
    putchar('\n');
    free(line);
}

void check_print(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    print(fmt, ap);
    va_end(ap);
}

__attribute__((format(printf, 2, 0))) static void say(struct check *c, const char *fmt, va_list ap)
{
    if (c->quiet)
        return;
    c->findings++;
    print(fmt, ap);
}

void check_finding(struct check *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(c, fmt, ap);
    va_end(ap);
}

void check_rows_finding(struct check *c, const char *fmt, ...)
{
    va_list ap;

    c->rows_findings++;
    va_start(ap, fmt);
    say(c, fmt, ap);
    va_end(ap);
}

void check_progress(struct check *c)
{
    int64_t now = clock_mono_ms();

    if (now < c->next_progress)
        return;
    if (c->next_progress)
        fprintf(stderr, "checked %" PRIu64 " objects, %" PRIu64 " MiB\n", c->objects, c->bytes >> 20);
    c->next_progress = now + PROGRESS_MS;
}

static void rows_bad(void *ctx, const char *what)
{
    check_rows_finding(ctx, "rows: %s", what);
}

/* --- buckets --- */

void check_add_bucket(struct check *c, uint64_t id, char *name)
{
    c->buckets = x_realloc(c->buckets, (c->n_buckets + 1) * sizeof *c->buckets);
    c->buckets[c->n_buckets++] = (struct check_bucket){.id = id, .name = name};
}

static void see_bucket(struct check *c, struct str key, struct str value)
{
    struct bucket_row row;
    struct str name = str_from(key, 1);

    if (bucket_row_decode(value, &row))
        check_add_bucket(c, row.id, str_dupz(name));
    else
        check_rows_finding(c, "bucket %.*s: its row is damaged", STR_FMT(name));
}

static void see_garbage(struct check *c, struct str key, struct str value)
{
    uint64_t seq, id;
    char what;

    if (!row_garbage(key, &what, &seq, &id))
        check_finding(c, "a row of garbage has a key that means nothing");
    else if (what == GARBAGE_BUCKET)
        check_add_bucket(c, id, NULL);
    else if (what == GARBAGE_BLOB)
        id_list_add(&c->pending, id);
    else if (what == GARBAGE_UPLOAD)
        check_see_garbage_upload(c, value);
    else if (what == GARBAGE_EXTENTS)
        check_see_garbage_extents(c, id);
}

static void see_writing(struct check *c, struct str key, struct str value)
{
    uint64_t id;

    (void)value;
    if (row_id(key, 1, &id))
        id_list_add(&c->writing, id);
}

static int by_bucket(const void *a, const void *b)
{
    const struct check_bucket *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_id(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void sort_ids(struct id_list *l)
{
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_id);
}

bool check_has_id(const struct id_list *l, uint64_t id)
{
    return l->n && bsearch(&id, l->v, l->n, sizeof *l->v, by_id);
}

/* --- objects --- */

static void check_inline(struct check *c, const struct check_bucket *b, const char *what, struct str key,
                         const struct extent *x)
{
    struct err e = {0};
    struct kv_value v;
    struct row_key k;

    switch (kv_get(c->kv, KV_DATA, row_key_data(&k, x->id), 0, &v, &e)) {
    case KV_FOUND:
        if (v.data.n != x->length)
            check_finding(c, "%s %s/%.*s: its body has %zu bytes instead of %" PRIu64, what, b->name,
                          STR_FMT(key), v.data.n, x->length);
        kv_value_release(&v);
        break;
    case KV_MISSING:
        check_finding(c, "%s %s/%.*s: its body is missing", what, b->name, STR_FMT(key));
        break;
    default: /* the rows have to be written anew: whoever moves them would stop here */
        check_rows_finding(c, "%s %s/%.*s: %s", what, b->name, STR_FMT(key), e.text);
        break;
    }
    c->bytes += x->length;
}

static void check_blob(struct check *c, const struct check_bucket *b, const char *what, struct str key,
                       const struct extent *x)
{
    struct blob_reader *r;
    struct err e = {0};

    if (blob_open(c->blobs, x->id, &r, &e) != BLOB_OK) {
        check_finding(c, "%s %s/%.*s: %s", what, b->name, STR_FMT(key), e.text);
        return;
    }
    if (blob_size(r) != x->length)
        check_finding(c, "%s %s/%.*s: blob %016" PRIx64 " has %" PRIu64 " bytes instead of %" PRIu64, what,
                      b->name, STR_FMT(key), x->id, blob_size(r), x->length);
    for (uint64_t off = 0; off < blob_size(r); off += VERIFY_STEP) {
        uint64_t left = blob_size(r) - off, n = left < VERIFY_STEP ? left : VERIFY_STEP;
        if (!blob_verify(r, off, n, &e))
            check_finding(c, "%s %s/%.*s: %s", what, b->name, STR_FMT(key), e.text);
        c->bytes += n;
        check_progress(c);
    }
    blob_close(r);
}

void check_body(struct check *c, const struct check_bucket *b, const char *what, struct str key,
                const struct object *o)
{
    for (size_t i = 0; i < o->n_extents; i++) {
        const struct extent *x = &o->extents[i];
        id_list_add(x->kind == EXTENT_INLINE ? &c->bodies : &c->files, x->id);
        if (!b->name)
            continue;
        if (x->kind == EXTENT_INLINE)
            check_inline(c, b, what, key, x);
        else
            check_blob(c, b, what, key, x);
    }
}

/* The row of its extents, if it has one, and all that is there. */
static void check_object(struct check *c, const struct check_bucket *b, struct str key,
                         const struct object *o)
{
    struct object x = *o;
    struct err e = {0};

    if (o->extents_row) {
        id_list_add(&c->extents_rows, o->extents_row);
        enum store_result r = store_extents_get(c->kv, o->extents_row, &c->arena, &x, &e);
        if (r != STORE_OK) {
            check_finding(c, "object %s/%.*s: %s", b->name ? b->name : "(deleted)", STR_FMT(key), e.text);
            return;
        }
        if (x.size != o->size || x.parts != o->parts)
            check_finding(c, "object %s/%.*s: its extents row is another object's",
                          b->name ? b->name : "(deleted)", STR_FMT(key));
    }
    check_body(c, b, "object", key, &x);
}

struct check_bucket *check_bucket_of(struct check *c, uint64_t id)
{
    return c->n_buckets ? bsearch(&(struct check_bucket){.id = id}, c->buckets, c->n_buckets,
                                  sizeof *c->buckets, by_bucket)
                        : NULL;
}

static bool has_bucket_named(const struct check *c, const char *name)
{
    for (size_t i = 0; i < c->n_buckets; i++)
        if (c->buckets[i].name && strcmp(c->buckets[i].name, name) == 0)
            return true;
    return false;
}

/* Of a bucket whose row is lost: a salvage gives it this name. */
struct check_bucket *check_add_orphan(struct check *c, uint64_t id)
{
    char name[48];

    snprintf(name, sizeof name, "salvaged-%016" PRIx64, id);
    for (unsigned i = 2; has_bucket_named(c, name); i++) /* it is a client's */
        snprintf(name, sizeof name, "salvaged-%016" PRIx64 "-%u", id, i);
    check_add_bucket(c, id, x_strdup(name));
    c->buckets[c->n_buckets - 1].orphan = true;
    qsort(c->buckets, c->n_buckets, sizeof *c->buckets, by_bucket);
    return check_bucket_of(c, id);
}

static void see_object(struct check *c, struct str key, struct str value)
{
    struct str rest = str_from(key, 1);
    uint64_t bucket = 0;
    struct object o;

    check_progress(c);
    if (!take_be64(&rest, &bucket) || !rest.n) {
        check_rows_finding(c, "a row of an object has a key that means nothing");
        return;
    }
    struct check_bucket *b = check_bucket_of(c, bucket);
    if (!b)
        b = check_add_orphan(c, bucket);
    if (b->orphan)
        check_rows_finding(c, "object %.*s belongs to bucket %016" PRIx64 ", which does not exist",
                           STR_FMT(rest), bucket);
    if (object_decode(value, &c->arena, &o)) {
        b->objects++;
        b->bytes += (int64_t)o.size;
        check_object(c, b, rest, &o);
    } else {
        check_rows_finding(c, "object %s/%.*s: its row is damaged", b->name ? b->name : "(deleted)",
                           STR_FMT(rest));
    }
    arena_release(&c->arena);
    c->objects++;
}

static void check_counters(struct check *c)
{
    struct row_key k;

    for (size_t i = 0; i < c->n_buckets; i++) {
        const struct check_bucket *b = &c->buckets[i];
        int64_t n[KV_COUNTERS];
        struct err e = {0};
        if (!b->name || b->orphan)
            continue;
        if (!kv_counters(c->kv, row_key_id(&k, 'n', b->id), n, &e))
            check_finding(c, "bucket %s: %s", b->name, e.text);
        else if (n[0] != b->objects || n[1] != b->bytes)
            check_rows_finding(c,
                               "bucket %s: its counters say %" PRId64 " objects, %" PRId64
                               " bytes; there are %" PRId64 ", %" PRId64,
                               b->name, n[0], n[1], b->objects, b->bytes);
    }
}

/* --- what nobody names --- */

static void check_unique(struct check *c)
{
    for (size_t i = 0; i < c->files.n; i++) {
        uint64_t id = c->files.v[i];
        if (i && id == c->files.v[i - 1])
            check_finding(c, "blob %016" PRIx64 " belongs to two rows", id);
        if (check_has_id(&c->pending, id) || check_has_id(&c->writing, id))
            check_finding(c, "blob %016" PRIx64 " is in use and marked for removal", id);
    }
    for (size_t i = 1; i < c->bodies.n; i++)
        if (c->bodies.v[i] == c->bodies.v[i - 1])
            check_finding(c, "inline body %016" PRIx64 " belongs to two rows", c->bodies.v[i]);
}

static bool see_file(void *ctx, uint64_t id, uint64_t file_size)
{
    struct check *c = ctx;

    if (!check_has_id(&c->files, id) && !check_has_id(&c->pending, id) && !check_has_id(&c->writing, id))
        check_rows_finding(c, "blob %016" PRIx64 " (%" PRIu64 " bytes) belongs to nothing: leaked", id,
                           file_size);
    return true;
}

static void see_body(struct check *c, struct str key, struct str value)
{
    uint64_t id;

    if (row_id(key, 0, &id) && id > c->max_id)
        c->max_id = id;
    if (!row_id(key, 0, &id))
        check_finding(c, "an inline body has a key that means nothing");
    else if (!check_has_id(&c->bodies, id) && !check_has_id(&c->pending_bodies, id))
        check_rows_finding(c, "inline body %016" PRIx64 " (%zu bytes) belongs to nothing: leaked", id,
                           value.n);
}

void check_all(struct check *c)
{
    struct err e = {0};

    arena_init(&c->arena);
    kv_verify(c->kv, rows_bad, c);
    check_each_row(c, KV_META, "b", see_bucket);
    check_each_row(c, KV_META, "g", see_garbage);
    check_each_row(c, KV_META, "t", see_writing);
    if (c->n_buckets)
        qsort(c->buckets, c->n_buckets, sizeof *c->buckets, by_bucket);
    sort_ids(&c->pending);
    sort_ids(&c->pending_bodies);
    sort_ids(&c->pending_rows);
    sort_ids(&c->writing);
    check_sort_over(c);
    check_each_row(c, KV_META, "o", see_object);
    check_each_row(c, KV_META, "u", check_see_upload);
    sort_ids(&c->extents_rows);
    check_each_row(c, KV_META, "e", check_see_extents_row);
    sort_ids(&c->files);
    sort_ids(&c->bodies);
    check_counters(c);
    check_unique(c);
    check_queues(c);
    check_each_row(c, KV_DATA, "", see_body);
    if (!blobs_each(c->blobs, see_file, c, &e))
        check_finding(c, "%s", e.text);
}

void check_release(struct check *c)
{
    for (size_t i = 0; i < c->n_buckets; i++)
        free(c->buckets[i].name);
    free(c->buckets);
    free(c->bodies.v);
    free(c->files.v);
    free(c->pending.v);
    check_release_uploads(c);
    check_release_queues(c);
    free(c->writing.v);
    blobs_close(c->blobs);
}

static void more_found(void *ctx, const char *text)
{
    check_finding(ctx, "%s", text);
}

bool store_check(const char *dir, bool *opened, struct err *e)
{
    return store_check_with(dir, NULL, opened, e);
}

bool store_check_with(const char *dir, store_check_more *more, bool *opened, struct err *e)
{
    struct check c = {0};
    struct folder folder;

    *opened = folder_open(&folder, dir, false, e);
    if (!*opened)
        return false;
    char *kv = folder_path(dir, "kv"), *blobs = folder_path(dir, "blobs");
    c.kv = kv_open(kv, &(struct kv_options){.read_only = true}, e);
    if (c.kv)
        c.blobs = blobs_open(blobs, true, e);
    else
        store_advise(dir, e);
    bool ok = c.kv && c.blobs;
    if (ok) {
        check_all(&c);
        if (more)
            more(c.kv, more_found, &c);
        printf("%" PRIu64 " objects, %" PRIu64 " MiB: %" PRIu64 " findings\n", c.objects, c.bytes >> 20,
               c.findings);
        ok = c.findings == 0 || err_set(e, "%s: %" PRIu64 " findings", dir, c.findings);
    }
    fflush(stdout);
    check_release(&c);
    if (c.kv)
        kv_close(c.kv);
    free(kv);
    free(blobs);
    folder_close(&folder);
    return ok;
}
