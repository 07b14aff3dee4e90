/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets: all of them in memory, as immutable counted structs in order of name; the rows b and r follow by
 * closures, and the table follows the rows once a batch is durable. */
#include <stdlib.h>

#include "base/log.h"
#include "store/store_internal.h"

enum bucket_field { F_ID = 1, F_CREATED = 2, F_REGION = 3, F_RULES_VERSION = 4 };

void bucket_row_encode(const struct bucket_row *r, struct buf *out)
{
    row_begin(out);
    row_u64(out, F_ID, r->id);
    row_u64(out, F_CREATED, row_zigzag(r->created_ns));
    row_bytes(out, F_REGION, r->region);
    row_u64(out, F_RULES_VERSION, r->rules_version);
}

bool bucket_row_decode(struct str row, struct bucket_row *out)
{
    struct row_field f;
    enum row_next r;

    *out = (struct bucket_row){0};
    if (!row_open(&row))
        return false;
    while ((r = row_next(&row, &f)) == ROW_FIELD) {
        if (f.is_bytes && f.field == F_REGION)
            out->region = f.s;
        else if (!f.is_bytes && f.field == F_ID)
            out->id = f.v;
        else if (!f.is_bytes && f.field == F_CREATED)
            out->created_ns = row_unzigzag(f.v);
        else if (!f.is_bytes && f.field == F_RULES_VERSION)
            out->rules_version = f.v;
    }
    return r == ROW_END && out->id != 0;
}

/* --- one bucket --- */

static struct bucket_impl *impl(const struct bucket *b)
{
    return CONTAINER_OF(b, struct bucket_impl, b);
}

static struct str copy(struct str s, char **at)
{
    struct str out = {*at, s.n};

    if (s.n)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return out;
}

static struct bucket *bucket_new(struct store *s, struct str name, const struct bucket_row *row,
                                 struct str rules)
{
    struct bucket_impl *i = x_calloc(1, sizeof *i + name.n + row->region.n + rules.n);
    char *at = (char *)(i + 1);

    i->b = (struct bucket){.id = row->id, .created_ns = row->created_ns, .rules_version = row->rules_version};
    i->b.name = copy(name, &at);
    i->b.region = copy(row->region, &at);
    i->b.rules = copy(rules, &at);
    i->rules_free = s->options.rules_free;
    if (rules.n && s->options.rules_compile)
        i->b.compiled = s->options.rules_compile(i->b.rules);
    atomic_init(&i->refs, 1);
    return &i->b;
}

struct bucket *bucket_ref(struct bucket *b)
{
    atomic_fetch_add_explicit(&impl(b)->refs, 1, memory_order_relaxed);
    return b;
}

void bucket_unref(struct bucket *b)
{
    if (!b || atomic_fetch_sub_explicit(&impl(b)->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (b->compiled && impl(b)->rules_free)
        impl(b)->rules_free(b->compiled);
    free(impl(b));
}

/* --- the table --- */

/* Where name is, or would go. Under the mutex. */
static size_t table_find(const struct bucket_table *t, struct str name, bool *found)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(t->v[mid]->name, name);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    *found = false;
    return lo;
}

static void table_insert(struct bucket_table *t, size_t at, struct bucket *b)
{
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->v = x_realloc(t->v, t->cap * sizeof *t->v);
    }
    memmove(t->v + at + 1, t->v + at, (t->n - at) * sizeof *t->v);
    t->v[at] = b;
    t->n++;
}

struct bucket *store_bucket(struct store *s, struct str name)
{
    struct bucket_table *t = &s->buckets;
    bool found;

    mutex_lock(&t->mutex);
    size_t at = table_find(t, name, &found);
    struct bucket *b = found ? bucket_ref(t->v[at]) : NULL;
    mutex_unlock(&t->mutex);
    return b;
}

size_t store_buckets(struct store *s, struct bucket ***out)
{
    struct bucket_table *t = &s->buckets;

    mutex_lock(&t->mutex);
    size_t n = t->n;
    *out = x_malloc((n ? n : 1) * sizeof **out);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = bucket_ref(t->v[i]);
    mutex_unlock(&t->mutex);
    return n;
}

void bucket_table_init(struct bucket_table *t)
{
    *t = (struct bucket_table){0};
    mutex_init(&t->mutex, RANK_BUCKETS);
}

/* --- changes --- */

/* From the closure that wrote it until its batch is durable. */
struct bucket_change {
    struct bucket_change *next;
    struct store *store;
    struct bucket *now; /* NULL: deleted */
    struct str name;    /* behind the struct */
};

static void change_free(struct bucket_change *c)
{
    bucket_unref(c->now);
    free(c);
}

/* The table takes over what the batch made durable. */
static void change_apply(void *arg)
{
    struct bucket_change *c = arg, **at = &c->store->buckets.changes;
    struct bucket_table *t = &c->store->buckets;
    struct bucket *old = NULL;
    bool found;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;

    mutex_lock(&t->mutex);
    size_t i = table_find(t, c->name, &found);
    if (found)
        old = t->v[i];
    if (c->now && found) {
        t->v[i] = bucket_ref(c->now);
    } else if (c->now) {
        table_insert(t, i, bucket_ref(c->now));
    } else if (found) {
        t->n--;
        memmove(t->v + i, t->v + i + 1, (t->n - i) * sizeof *t->v);
    }
    mutex_unlock(&t->mutex);
    if (old) {
        /* An `old` that came with this very batch was not marked by a closure: nobody could hold it then. */
        if (impl(old)->state != BUCKET_DELETED)
            impl(old)->state = c->now ? BUCKET_CHANGED : BUCKET_DELETED;
        bucket_unref(old);
    }
    change_free(c);
}

/* `now` is given away. */
static void change_add(struct kv_txn *t, struct store *s, struct str name, struct bucket *now)
{
    struct bucket_change *c = x_malloc(sizeof *c + name.n);
    char *at = (char *)(c + 1);

    *c = (struct bucket_change){.next = s->buckets.changes, .store = s, .now = now, .name = copy(name, &at)};
    s->buckets.changes = c;
    kv_txn_on_commit(t, change_apply, c);
}

static void put_bucket_row(struct kv_txn *t, struct str name, const struct bucket_row *row)
{
    struct row_key k;
    struct buf value;

    buf_init(&value, STORE_ROW_MAX);
    bucket_row_encode(row, &value);
    BUG_ON(value.failed);
    kv_txn_put(t, KV_META, row_key_bucket(&k, name), buf_view(&value));
    buf_release(&value);
}

enum store_result store_txn_bucket_create(struct kv_txn *t, struct store *s, struct str name,
                                          struct str region, int64_t now_ns)
{
    struct row_key k;
    struct kv_value v;

    switch (kv_txn_get(t, KV_META, row_key_bucket(&k, name), &v)) {
    case KV_FOUND:
        kv_value_release(&v);
        return STORE_EXISTS;
    case KV_MISSING:
        break;
    default:
        log_error("store", "the row of bucket %.*s cannot be read", STR_FMT(name));
        return STORE_DAMAGED;
    }
    struct bucket_row row = {.id = store_new_id(s), .created_ns = now_ns, .region = region};
    put_bucket_row(t, name, &row);
    change_add(t, s, name, bucket_new(s, name, &row, STR("")));
    return STORE_OK;
}

enum store_result store_txn_bucket_check(struct kv_txn *t, const struct bucket *b)
{
    (void)t; /* the proof that this is the committer thread */
    switch (impl(b)->state) {
    case BUCKET_CURRENT:
        return STORE_OK;
    case BUCKET_CHANGED:
        return STORE_AGAIN;
    default:
        return STORE_MISSING;
    }
}

/* Marks the struct that requests hold now, for the closures behind this one. */
static void mark(struct store *s, struct str name, enum bucket_state state)
{
    struct bucket *b = store_bucket(s, name);

    if (b)
        impl(b)->state = state;
    bucket_unref(b);
}

enum store_result store_txn_bucket_rules(struct kv_txn *t, struct store *s, const struct bucket *b,
                                         struct str rules)
{
    enum store_result r = store_txn_bucket_check(t, b);
    struct row_key k;

    if (r != STORE_OK)
        return r;
    struct bucket_row row = {
        .id = b->id, .created_ns = b->created_ns, .region = b->region, .rules_version = b->rules_version + 1};
    put_bucket_row(t, b->name, &row);
    if (rules.n)
        kv_txn_put(t, KV_META, row_key_id(&k, 'r', b->id), rules);
    else
        kv_txn_del(t, KV_META, row_key_id(&k, 'r', b->id));
    change_add(t, s, b->name, bucket_new(s, b->name, &row, rules));
    mark(s, b->name, BUCKET_CHANGED);
    return STORE_OK;
}

enum store_result store_txn_bucket_delete(struct kv_txn *t, struct store *s, struct str name, bool force)
{
    int64_t count[KV_COUNTERS];
    struct bucket_row row;
    struct row_key k;
    struct kv_value v;
    enum kv_result r = kv_txn_get(t, KV_META, row_key_bucket(&k, name), &v);

    if (r == KV_MISSING)
        return STORE_MISSING;
    bool ok = r == KV_FOUND && bucket_row_decode(v.data, &row);
    if (r == KV_FOUND)
        kv_value_release(&v);
    if (!ok) {
        log_error("store", "the row of bucket %.*s cannot be read", STR_FMT(name));
        return STORE_DAMAGED;
    }
    kv_txn_counters(t, row_key_id(&k, 'n', row.id), count);
    if (count[0] != 0 && !force)
        return STORE_NOT_EMPTY;
    uint64_t seq = kv_txn_sequence(t);
    kv_txn_del(t, KV_META, row_key_bucket(&k, name));
    kv_txn_del(t, KV_META, row_key_id(&k, 'r', row.id));
    kv_txn_put(t, KV_META, row_key_garbage(&k, GARBAGE_BUCKET, seq, row.id), STR(""));
    change_add(t, s, name, NULL);
    mark(s, name, BUCKET_DELETED);
    return STORE_OK;
}

/* --- at start --- */

static bool load_one(struct store *s, struct str name, struct str value, struct err *e)
{
    struct row_key k;
    struct bucket_row row;
    struct kv_value rules = {.data = STR("")};
    bool found;

    if (!bucket_row_decode(value, &row))
        return err_set(e, "the row of bucket %.*s is damaged", STR_FMT(name));
    enum kv_result r = kv_get(s->kv, KV_META, row_key_id(&k, 'r', row.id), 0, &rules, e);
    if (r != KV_FOUND && r != KV_MISSING)
        return false;
    struct bucket *b = bucket_new(s, name, &row, r == KV_FOUND ? rules.data : STR(""));
    if (r == KV_FOUND)
        kv_value_release(&rules);
    mutex_lock(&s->buckets.mutex);
    size_t at = table_find(&s->buckets, name, &found);
    table_insert(&s->buckets, at, b);
    mutex_unlock(&s->buckets.mutex);
    return true;
}

bool bucket_table_load(struct store *s, struct err *e)
{
    struct kv_scan *scan = kv_scan_open(s->kv, KV_META, STR("b"), STR("c"));
    struct str key, value;
    bool ok = true;

    while (ok && kv_scan_next(scan, &key, &value))
        ok = load_one(s, str_from(key, 1), value, e);
    if (ok && kv_scan_failed(scan, e))
        ok = false;
    kv_scan_close(scan);
    return ok;
}

void bucket_table_release(struct bucket_table *t)
{
    while (t->changes) { /* of a batch that failed */
        struct bucket_change *c = t->changes;
        t->changes = c->next;
        change_free(c);
    }
    for (size_t i = 0; i < t->n; i++)
        bucket_unref(t->v[i]);
    free(t->v);
    mutex_release(&t->mutex);
}

enum store_result store_txn_bucket_find(struct kv_txn *t, struct str name, struct bucket *out)
{
    struct row_key k;
    struct kv_value v = {0};
    struct bucket_row row;
    *out = (struct bucket){.name = name};
    if (name.n > STORE_KEY_MAX)
        return STORE_MISSING;
    enum kv_result r = kv_txn_get(t, KV_META, row_key_bucket(&k, name), &v);
    if (r == KV_MISSING)
        return STORE_MISSING;
    bool ok = r == KV_FOUND && bucket_row_decode(v.data, &row);
    if (ok)
        out->id = row.id;
    if (r == KV_FOUND)
        kv_value_release(&v);
    if (!ok)
        log_error("store", "the row of bucket %.*s is damaged", STR_FMT(name));
    return ok ? STORE_OK : STORE_DAMAGED;
}
