/* SPDX-License-Identifier: Apache-2.0
 *
 * Fills a store that a server has made, much faster than requests could: objects with small bodies, an event of each queued
 * for one target, written by the code of the server.
 *
 *     fill DIR BUCKET TYPE ID FIRST COUNT [leave]
 *
 * The server must not run; BUCKET and the target must be known to it. FIRST numbers the first object, so that several calls
 * make different ones. leave: the process ends as if it were killed, so that the next start has a log to replay. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "event/event.h"
#include "event/outbox_row.h"
#include "store/store.h"

enum { OBJECTS = 24, BODY = 100 }; /* a closure; bytes of a body */

struct one {
    char key[64];
    struct object object;
    struct store_stage *stage;
};

struct fill {
    struct store *store;
    struct bucket *bucket;
    uint32_t target;
    uint64_t next, end;
    size_t n; /* of this closure */
    struct one v[OBJECTS];
    struct buf record, row;
};

static int fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "fill: %s: %s\n", what, why);
    return 1;
}

static bool find_target(struct fill *f, struct str type, struct str id)
{
    struct buf key;
    struct kv_value v;
    struct err e = {0};
    buf_init(&key, 512);
    target_number_key(&key, type, id);
    bool found = kv_get(store_kv(f->store), KV_META, buf_view(&key), 0, &v, &e) == KV_FOUND;
    buf_release(&key);
    if (!found)
        return false;
    struct str in = v.data;
    bool ok = take_be32(&in, &f->target);
    kv_value_release(&v);
    return ok;
}

/* The outbox row of an object that is written now: what outbox_txn_put would write. */
static void queue(struct fill *f, struct kv_txn *t, const struct one *x)
{
    struct event_source src = {.access_key = STR("fill"),
                               .region = STR(""),
                               .source_ip = STR("127.0.0.1"),
                               .user_agent = STR("fill"),
                               .request_id = STR("18B25D5CAE1C8B2A"),
                               .host_id = STR("fill"),
                               .deployment_id = str_c(store_deployment_id(f->store)),
                               .origin = STR("http://127.0.0.1:9000")};
    char etag[ETAG_MAX];
    struct event_info info = {.name = EVENT_CREATED_PUT,
                              .bucket = f->bucket->name,
                              .key = str_c(x->key),
                              .size = x->object.size,
                              .etag = str_n(etag, object_etag(&x->object, etag)),
                              .meta = &x->object.meta,
                              .content_length = -1,
                              .sequencer = x->object.seq,
                              .time_ns = x->object.mtime_ns};
    size_t seq_at;
    buf_reset(&f->record);
    event_record_write(&f->record, &src, &info, &seq_at);
    struct outbox_row row = {.name = event_name_text(info.name),
                             .bucket = info.bucket,
                             .key = info.key,
                             .record = buf_view(&f->record)};
    buf_reset(&f->row);
    outbox_row_encode(&row, &f->row);
    BUG_ON(f->record.failed || f->row.failed);
    struct row_key k = outbox_key(f->target, x->object.seq), n = outbox_counter_key(f->target);
    kv_txn_put(t, KV_QUEUE, row_key_str(&k), buf_view(&f->row));
    kv_txn_add(t, row_key_str(&n), (int64_t[KV_COUNTERS]){1, (int64_t)f->row.len});
}

static bool write_objects(struct kv_txn *t, void *ctx)
{
    struct fill *f = ctx;
    for (size_t i = 0; i < f->n; i++) {
        struct one *x = &f->v[i];
        x->object.seq = kv_txn_sequence(t);
        store_txn_object_put(t, f->store, f->bucket, str_c(x->key), &x->object, x->stage, NULL);
        queue(f, t, x);
    }
    return true;
}

static bool prepare(struct fill *f, struct one *x, struct err *e)
{
    char body[BODY];
    enum store_result res;
    uint64_t number = f->next++;
    /* In no order, as the keys of many clients are. */
    (void)snprintf(x->key, sizeof(x->key), "k/%016llx", (unsigned long long)(number * 0x9e3779b97f4a7c15u));
    memset(body, (int)number, sizeof(body));
    x->object = (struct object){.size = BODY, .mtime_ns = clock_real_ns()};
    hash_md5(str_n(body, sizeof(body)), x->object.md5);
    x->stage = stage_begin(f->store, BODY, &res, e);
    return x->stage && stage_append(x->stage, body, sizeof(body), e) == STORE_OK &&
           stage_finish(x->stage, e) == STORE_OK;
}

static bool fill(struct fill *f, struct err *e)
{
    while (f->next < f->end) {
        for (f->n = 0; f->n < OBJECTS && f->next < f->end; f->n++)
            if (!prepare(f, &f->v[f->n], e))
                return false;
        if (kv_commit_wait(store_kv(f->store), write_objects, f, KV_NOSYNC) != KV_COMMITTED)
            return err_set(e, "the commit failed");
        for (size_t i = 0; i < f->n; i++)
            stage_committed(f->v[i].stage);
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct fill f;
    uint64_t count;
    struct err e = {0};
    if (argc < 7 || !str_to_u64(str_c(argv[5]), &f.next) || !str_to_u64(str_c(argv[6]), &count))
        return fail("usage", "fill DIR BUCKET TYPE ID FIRST COUNT [leave]");
    f.end = f.next + count;
    log_init(false, false);
    f.store = store_open(argv[1], &(struct store_options){.disk_reserve = -1}, &e);
    if (!f.store)
        return fail(argv[1], e.text);
    f.bucket = store_bucket(f.store, str_c(argv[2]));
    if (!f.bucket || !find_target(&f, str_c(argv[3]), str_c(argv[4])))
        return fail(argv[1], "the server does not know that bucket and target");
    buf_init(&f.record, 1u << 16);
    buf_init(&f.row, 1u << 17);
    if (!fill(&f, &e))
        return fail(argv[1], e.text);
    if (argc > 7) /* to the kernel it went: a killed process loses nothing more than that */
        _exit(0);
    buf_release(&f.record);
    buf_release(&f.row);
    bucket_unref(f.bucket);
    store_close(f.store);
    return 0;
}
