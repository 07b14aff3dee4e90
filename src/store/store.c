/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening and closing a store, and the numbers it hands out. */
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/store_internal.h"

struct kv *store_kv(struct store *s)
{
    return s->kv;
}

const char *store_deployment_id(const struct store *s)
{
    return s->deployment;
}

size_t store_inline_max(const struct store *s)
{
    return s->inline_max;
}

/* --- ids --- */

uint64_t store_new_id(struct store *s)
{
    uint64_t id = atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);
    BUG_ON(id >= s->id_end);
    return id;
}

struct t_rows {
    uint64_t first;
    uint64_t time;
};

#ifdef BELFRY_MUTATE_NO_T_ROW
#define T_ROWS 0
#else
#define T_ROWS STORE_T_BLOCK
#endif
#ifdef BELFRY_MUTATE_NO_SYNC_T_ROW
#define T_FLAGS (KV_PLAIN | KV_NOSYNC)
#else
#define T_FLAGS KV_PLAIN
#endif

static bool write_t_rows(struct kv_txn *t, void *ctx)
{
    const struct t_rows *r = ctx;
    struct row_key k;
    struct buf value;

    buf_init(&value, 8);
    buf_be64(&value, r->time);
    for (int i = 0; i < T_ROWS; i++)
        kv_txn_put(t, KV_META, row_key_id(&k, 't', r->first + (uint64_t)i), buf_view(&value));
    buf_release(&value);
    return true;
}

/* The t rows of many blobs are written ahead by one synced commit: each is durable before its file exists,
 * and one upload in STORE_T_BLOCK waits for it. Rows left over when the process dies name files that do not
 * exist, which does no harm. */
bool store_take_blob_id(struct store *s, uint64_t *id, struct err *e)
{
    bool ok = true;

    mutex_lock(&s->t_mutex);
    if (s->t_next == s->t_end) {
        struct t_rows r = {.first = atomic_fetch_add(&s->next_id, STORE_T_BLOCK),
                           .time = (uint64_t)clock_real_ns()};
        BUG_ON(r.first + STORE_T_BLOCK > s->id_end);
        ok = kv_commit_wait(s->kv, write_t_rows, &r, T_FLAGS) == KV_COMMITTED;
        crash_point(CRASH_T_ROWS_WRITTEN);
        if (ok) {
            s->t_next = r.first;
            s->t_end = r.first + STORE_T_BLOCK;
        } else if (!kv_failed(s->kv, e)) {
            err_set(e, "the store is closing");
        }
    }
    if (ok)
        *id = s->t_next++;
    mutex_unlock(&s->t_mutex);
    return ok;
}

static void drop_unused_t_rows(struct store *s)
{
    uint64_t unused[STORE_T_BLOCK];
    size_t n = 0;

    while (s->t_next < s->t_end)
        unused[n++] = s->t_next++;
    if (n && !kv_failed(s->kv, NULL))
        janitor_drop_ids(s, 't', unused, n);
}

void store_blobs_failed(struct store *s)
{
    struct err why = {0};

    if (blobs_failed(s->blobs, &why))
        kv_refuse(s->kv, &why);
}

/* --- opening --- */

struct birth {
    uint64_t next_id;
    const char *deployment; /* NULL: already there */
};

static bool write_birth(struct kv_txn *t, void *ctx)
{
    const struct birth *b = ctx;
    struct buf value;

    buf_init(&value, 8);
    buf_be64(&value, b->next_id);
    kv_txn_put(t, KV_META, ROW_KEY_IDS, buf_view(&value));
    buf_release(&value);
    if (b->deployment)
        kv_txn_put(t, KV_META, ROW_KEY_DEPLOYMENT, str_c(b->deployment));
    return true;
}

/* A random UUID, RFC 9562 version 4. */
static void make_deployment(char out[37])
{
    uint8_t r[16];

    hash_random(r, sizeof r);
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40);
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1],
             r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[15]);
}

static bool load_birth(struct store *s, uint64_t *next, bool *born, struct err *e)
{
    struct kv_value v;
    enum kv_result r = kv_get(s->kv, KV_META, ROW_KEY_IDS, 0, &v, e);

    *next = STORE_ID_BLOCK;
    if (r == KV_FOUND) {
        struct str at = v.data;
        bool ok = take_be64(&at, next) && *next >= STORE_ID_BLOCK;
        kv_value_release(&v);
        if (!ok)
            return err_set(e, "%s: the row of the next id is damaged", s->folder.dir);
    } else if (r != KV_MISSING) {
        return false;
    }
    r = kv_get(s->kv, KV_META, ROW_KEY_DEPLOYMENT, 0, &v, e);
    *born = r == KV_FOUND;
    if (r == KV_FOUND) {
        snprintf(s->deployment, sizeof s->deployment, "%.*s", STR_FMT(v.data));
        kv_value_release(&v);
    }
    return r == KV_FOUND || r == KV_MISSING;
}

/* Reserves the ids of this run and makes sure of the deployment id: one synced commit. */
static bool reserve_ids(struct store *s, struct err *e)
{
    struct birth b = {0};
    uint64_t next;
    bool born = false;

    if (!load_birth(s, &next, &born, e))
        return false;
    if (!born) {
        make_deployment(s->deployment);
        b.deployment = s->deployment;
    }
    b.next_id = next + STORE_ID_BLOCK;
    if (kv_commit_wait(s->kv, write_birth, &b, 0) != KV_COMMITTED) {
        if (!kv_failed(s->kv, e))
            err_set(e, "cannot write to %s", s->folder.dir);
        return false;
    }
    if (!born)
        crash_point(CRASH_STORE_BORN);
    atomic_store(&s->next_id, next);
    s->id_end = b.next_id;
    return true;
}

static struct store *store_new(const struct store_options *o)
{
    struct store *s = x_calloc(1, sizeof *s);

    s->options = *o;
    s->inline_max = o->inline_max ? o->inline_max : STORE_INLINE_MAX;
    s->folder.lock = -1;
    mutex_init(&s->t_mutex, RANK_STORE);
    mutex_init(&s->space.mutex, RANK_STORE);
    bucket_table_init(&s->buckets);
    return s;
}

static bool start(struct store *s, struct err *e)
{
    if (!reserve_ids(s, e) || !janitor_sweep(s, e) || !bucket_table_load(s, e))
        return false;
    space_init(s);
    janitor_start(s);
    return true;
}

/* The folder of blobs is made after the rows, so where it is, rows were. RocksDB would make new, empty ones without a word. */
static bool rows_lost(const char *kv, const char *blobs, struct err *e)
{
    char *current = folder_path(kv, "CURRENT");
    bool lost = access(blobs, F_OK) == 0 && access(current, F_OK) != 0;

    if (lost)
        err_set(e,
                "%s is missing, but %s is there: the rows of this store are lost or were not restored with "
                "it; see "
                "docs/repair.md",
                current, blobs);
    free(current);
    return lost;
}

static bool open_parts(struct store *s, const char *dir, struct err *e)
{
    char *kv = folder_path(dir, "kv"), *blobs = folder_path(dir, "blobs");

    if (!rows_lost(kv, blobs, e))
        s->kv = kv_open(kv, &(struct kv_options){.memory = s->options.memory}, e);
    if (s->kv)
        s->blobs = blobs_open(blobs, false, e);
    free(kv);
    free(blobs);
    bool ok = s->kv && s->blobs && start(s, e);
    if (!ok)
        store_advise(dir, e);
    return ok;
}

struct store *store_open(const char *dir, const struct store_options *o, struct err *e)
{
    struct store *s = store_new(o);

    if (!folder_open(&s->folder, dir, true, e) || !open_parts(s, dir, e)) {
        store_close(s);
        return NULL;
    }
    return s;
}

struct store *store_open_memory(const char *blob_dir, const struct store_options *o, struct err *e)
{
    struct store *s = store_new(o);

    s->folder.dir = x_strdup(blob_dir);
    s->kv = kv_open_memory();
    s->blobs = blobs_open(blob_dir, false, e);
    if (!s->blobs || !start(s, e)) {
        store_close(s);
        return NULL;
    }
    return s;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    janitor_stop(s);
    if (s->kv) {
        drop_unused_t_rows(s);
        kv_close(s->kv);
    }
    bucket_table_release(&s->buckets);
    blobs_close(s->blobs);
    folder_close(&s->folder);
    mutex_release(&s->space.mutex);
    mutex_release(&s->t_mutex);
    free(s);
}
