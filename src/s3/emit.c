/* SPDX-License-Identifier: Apache-2.0
 *
 * Matching events and writing them with the change. */
#include "s3/emit.h"

#include "base/clock.h"

#define RECORD_MAX (256u << 10)

/* First of X-Forwarded-For, X-Real-IP, Forwarded's for=, the peer; IPv6 in brackets (notifications.md 2.1). */
static struct str source_ip(struct s3_req *r)
{
    struct str ip = s3_header(r, "x-forwarded-for");
    if (ip.n) {
        ptrdiff_t comma = str_chr(ip, ',');
        ip = str_trim(comma >= 0 ? str_head(ip, (size_t)comma) : ip);
    }
    if (!ip.n)
        ip = s3_header(r, "x-real-ip");
    if (!ip.n) {
        struct str rest = s3_header(r, "forwarded"), part;
        ptrdiff_t comma = str_chr(rest, ',');
        if (comma >= 0)
            rest = str_head(rest, (size_t)comma);
        while (rest.p && str_cut(&rest, ';', &part)) {
            part = str_trim(part);
            if (!str_istarts(part, STR("for=")))
                continue;
            ip = str_from(part, 4);
            if (ip.n >= 2 && ip.p[0] == '"' && ip.p[ip.n - 1] == '"')
                ip = str_n(ip.p + 1, ip.n - 2);
            break;
        }
    }
    if (!ip.n)
        ip = str_c(r->http->peer_ip);
    if (str_chr(ip, ':') >= 0 && ip.p[0] != '[')
        return arena_printf(r->arena, "[%.*s]", STR_FMT(ip));
    return ip;
}

struct event_out *emit_match(struct s3_req *r, enum event_name name, struct str key)
{
    /* The oldest one counts, when a request matches more than once. */
    if (r->listen_generation == 0)
        r->listen_generation = listen_generation(r->s3->listen);
    bool listen = listen_wants(r->s3->listen, name);
    const void *rules = r->bucket ? r->bucket->compiled : NULL;
    if ((!rules && !listen) || header_count(&r->http->headers, STR("x-minio-source-replication-request")))
        return NULL;
    uint64_t generation = delivery_generation(r->s3->delivery);
    struct target_set set;
    set.n = 0;
    if (!rules_match(rules, r->s3->delivery, name, key, &set) && !listen)
        return NULL;
    struct event_out *ev = ARENA_NEW(r->arena, struct event_out);
    ev->targets.n = set.n;
    memcpy(ev->targets.number, set.number, set.n * sizeof set.number[0]);
    ev->generation = generation;
    ev->listen = listen;
    ev->ob =
        (struct outbox_event){.name = name, .bucket = r->bucket_name, .key = key, .targets = &ev->targets};
    return ev;
}

/* The record for listeners, out of that for targets. */
static void heard_record(struct s3_req *r, struct event_out *ev)
{
    struct buf b;
    ev->heard = (struct listen_put){
        .name = ev->ob.name, .bucket = ev->ob.bucket, .key = ev->ob.key, .seq_at = ev->ob.seq_at};
    buf_init(&b, 2 * RECORD_MAX);
    listen_record(&b, ev->ob.record, ev->ob.key, &ev->heard.seq_at);
    BUG_ON(b.failed);
    ev->heard.record = arena_dup(r->arena, buf_view(&b));
    buf_release(&b);
}

void emit_record(struct s3_req *r, struct event_out *ev, const struct object *object, int64_t content_length)
{
    struct s3 *s3 = r->s3;
    struct event_source src = {
        .access_key = r->id.access_key,
        .region = s3->region,
        .source_ip = source_ip(r),
        .user_agent = s3_header(r, "user-agent"),
        .range = s3_header(r, "range"),
        .request_id = str_n(r->request_id, sizeof r->request_id),
        .host_id = str_n(s3->host_id, sizeof s3->host_id),
        .deployment_id = s3->deployment_id,
        .origin = s3->origin,
    };
    char etag[ETAG_MAX];
    struct event_info info = {
        .name = ev->ob.name,
        .bucket = ev->ob.bucket,
        .key = ev->ob.key,
        .version_id = ev->version_id,
        .content_length = content_length,
        .time_ns = clock_real_ns(),
    };
    if (object) {
        info.size = object->size;
        info.etag = str_n(etag, object_etag(object, etag));
        info.meta = &object->meta;
    }
    struct buf b;
    buf_init(&b, RECORD_MAX);
    event_record_write(&b, &src, &info, &ev->ob.seq_at);
    BUG_ON(b.failed); /* heads are bounded far below RECORD_MAX */
    ev->ob.record = arena_dup(r->arena, buf_view(&b));
    buf_release(&b);
    if (ev->listen)
        heard_record(r, ev);
}

enum s3_error emit_txn_check(struct kv_txn *t, struct s3_req *r, bool *again)
{
    switch (store_txn_bucket_check(t, r->bucket)) {
    case STORE_OK:
        return S3E_NONE;
    case STORE_AGAIN:
        *again = true;
        return S3E_NONE;
    case STORE_MISSING:
        return S3E_NO_SUCH_BUCKET;
    default:
        return S3E_INTERNAL;
    }
}

enum s3_error emit_txn_old(struct kv_txn *t, struct s3_req *r, struct str key, struct object *room,
                           struct object **old)
{
    enum store_result res = store_txn_object_get(t, r->bucket, key, r->arena, room);
    *old = res == STORE_OK ? room : NULL;
    return res == STORE_OK || res == STORE_MISSING ? S3E_NONE : s3_store_error(res);
}

enum s3_error emit_txn_admit(struct kv_txn *t, struct s3_req *r, const struct event_out *ev, bool *again)
{
    if (r->listen_generation && listen_generation(r->s3->listen) != r->listen_generation) {
        *again = true;
        return S3E_NONE;
    }
    if (!ev)
        return S3E_NONE;
    if (delivery_generation(r->s3->delivery) != ev->generation) {
        *again = true;
        return S3E_NONE;
    }
    return outbox_txn_admits(t, r->s3->delivery, &ev->targets) ? S3E_NONE : S3E_SLOW_DOWN;
}

void emit_txn_put(struct kv_txn *t, struct s3_req *r, struct event_out *ev, uint64_t row_seq,
                  uint64_t record_seq)
{
    if (ev && ev->targets.n > 0)
        outbox_txn_put(t, r->s3->delivery, &ev->ob, row_seq, record_seq);
    if (ev && ev->listen)
        listen_txn_put(t, r->s3->listen, &ev->heard, record_seq);
}

/* What a row has beside its texts: key, version, flags, lengths, the counter of its target. */
#define ROW_OVERHEAD 160

static size_t bytes_per_target(const struct event_out *ev)
{
    const struct outbox_event *o = &ev->ob;
    return o->record.n + o->key.n + o->bucket.n + event_name_text(o->name).n + ROW_OVERHEAD;
}

size_t emit_bytes(const struct event_out *ev)
{
    return ev ? ev->targets.n * bytes_per_target(ev) + (ev->listen ? listen_bytes(&ev->heard) : 0) : 0;
}

size_t emit_rows(const struct event_out *ev)
{
    return ev ? OUTBOX_ROWS(ev->targets.n) + (ev->listen ? LISTEN_ROWS : 0) : 0;
}

bool emit_fits(const struct event_out *ev)
{
    return emit_bytes(ev) <= EMIT_MAX;
}

/* --- events of reads ------------------------------------------------------------------------------------------------- */

/* The next targets, as many as fit beside what listeners get with the first. A single record always does. */
static struct target_set next_targets(const struct event_out *ev)
{
    size_t fit = (EMIT_MAX - (ev->listen ? listen_bytes(&ev->heard) : 0)) / bytes_per_target(ev);
    struct target_set set = {0};
    for (size_t i = ev->targets_done; i < ev->targets.n && set.n < fit; i++)
        set.number[set.n++] = ev->targets.number[i];
    return set;
}

/* The object may be gone or replaced by now: then the event is stale, and namespace formats skip it. */
static bool read_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct event_out *ev = r->read_event;
    struct target_set set = next_targets(ev);
    struct object now;
    bool here = store_txn_object_get(t, r->bucket, r->key, r->arena, &now) == STORE_OK;
    uint64_t record_seq = r->read_seq;
    ev->ob.read = true;
    ev->ob.stale = !here || now.seq != record_seq;
    if (set.n > 0) {
        ev->ob.targets = &set;
        outbox_txn_put(t, r->s3->delivery, &ev->ob, kv_txn_sequence(t), record_seq);
    }
    if (ev->listen && ev->targets_done == 0)
        listen_txn_put(t, r->s3->listen, &ev->heard, record_seq);
    return true;
}

static void read_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct event_out *ev = r->read_event;
    ev->targets_done += next_targets(ev).n;
    /* The reply was sent long ago; a store that failed says so itself. */
    if (outcome != KV_FAILED && ev->targets_done < ev->targets.n)
        emit_read(r);
}

void emit_read(struct s3_req *r)
{
    size_t bytes = emit_bytes(r->read_event);
    s3_commit(r, read_txn, read_done, bytes < EMIT_MAX ? bytes : EMIT_MAX, KV_NOSYNC);
}
