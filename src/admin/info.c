/* SPDX-License-Identifier: Apache-2.0
 *
 * What mc admin info shows: the server, its disk, its targets. Names and nesting are those that madmin reads (the reference is
 * MinIO's InfoMessage); what clients do not know, they skip. Nothing is dialled: senders say what they know. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"

#include "admin/request.h"
#include "admin/targets.h"

size_t targets_now(struct delivery *d, struct target_info **out)
{
    *out = x_calloc(TARGETS_SHOWN, sizeof **out);
    return delivery_info(d, *out, TARGETS_SHOWN);
}

const char *target_status_text(enum target_status s)
{
    static const char *const texts[] = {[TARGET_ONLINE] = "online",
                                        [TARGET_OFFLINE] = "offline",
                                        [TARGET_BROKEN] = "offline",
                                        [TARGET_OFF] = "off"};
    return texts[s];
}

static void put_time(struct buf *b, const char *name, int64_t ns)
{
    char text[CLOCK_ISO_MS_LEN];
    clock_iso_ms(ns, text);
    buf_printf(b, ",\"%s\":\"%.*s\"", name, CLOCK_ISO_MS_LEN, text);
}

/* --- targets --- */

/* {"1":{"status":"online",...}}: behind the status comes what only this server says. */
static void put_target(struct buf *b, const struct target_info *t)
{
    const char *error = t->reason[0] ? t->reason : t->last_error;
    buf_char(b, '{');
    json_quote(b, str_c(t->id));
    buf_printf(
        b,
        ":{\"status\":\"%s\",\"queueLength\":%lld,\"queueBytes\":%lld,\"deadLetters\":%lld,\"dropped\":%llu",
        target_status_text(t->status), (long long)t->queued, (long long)t->queued_bytes,
        (long long)t->dead_letters, (unsigned long long)t->dropped);
    if (t->in_segments > 0)
        buf_printf(b, ",\"queuedInFiles\":%lld", (long long)t->in_segments);
    if (t->lost > 0)
        buf_printf(b, ",\"lostEvents\":%lld", (long long)t->lost);
    if (t->since_ns)
        put_time(b, "since", t->since_ns);
    if (t->oldest_ns)
        put_time(b, "oldestEvent", t->oldest_ns);
    if (error[0]) {
        buf_puts(b, ",\"lastError\":");
        json_quote(b, str_c(error));
        if (t->last_error_ns)
            put_time(b, "lastErrorTime", t->last_error_ns);
    }
    buf_puts(b, "}}");
}

static int by_type(const void *a, const void *b)
{
    const struct target_info *x = a, *y = b;
    int c = strcmp(x->type, y->type);
    return c ? c : strcmp(x->id, y->id);
}

/* [{"webhook":[...]},{"redis":[...]}] */
static void put_targets(struct buf *b, struct target_info *t, size_t n)
{
    qsort(t, n, sizeof *t, by_type);
    buf_puts(b, ",\"notifications\":[");
    for (size_t i = 0; i < n; i++) {
        bool first = i == 0 || strcmp(t[i].type, t[i - 1].type) != 0;
        bool last = i + 1 == n || strcmp(t[i].type, t[i + 1].type) != 0;
        if (i)
            buf_char(b, ',');
        if (first)
            buf_printf(b, "{\"%s\":[", t[i].type);
        put_target(b, &t[i]);
        if (last)
            buf_puts(b, "]}");
    }
    buf_char(b, ']');
}

/* --- the rest --- */

static void put_arns(struct buf *b, struct admin_req *r)
{
    struct str *arns;
    size_t n = delivery_arns(r->admin->o.s3->delivery, &r->http->arena, &arns);
    for (size_t i = 0; i < n; i++) {
        buf_puts(b, i ? "," : ",\"sqsARN\":[");
        json_quote(b, arns[i]);
    }
    if (n)
        buf_char(b, ']');
}

static void put_counts(struct buf *b, const struct store_stats *st)
{
    buf_printf(b,
               ",\"buckets\":{\"count\":%llu},\"objects\":{\"count\":%llu},\"versions\":{\"count\":0},"
               "\"deletemarkers\":{\"count\":0},\"usage\":{\"size\":%llu}",
               (unsigned long long)st->buckets, (unsigned long long)st->objects,
               (unsigned long long)st->bytes);
}

static uint64_t used(const struct store_stats *st)
{
    return st->disk_total > st->disk_free ? st->disk_total - st->disk_free : 0;
}

/* One drive: the folder of the store. mc looks the drive's set up in totalDrivesPerSet, so the two have to agree. */
static void put_backend(struct buf *b, const struct store_stats *st)
{
    buf_printf(b,
               ",\"backend\":{\"backendType\":\"Erasure\",\"onlineDisks\":%d,\"offlineDisks\":%d,"
               "\"standardSCParity\":0,\"rrSCParity\":0,\"totalSets\":[1],\"totalDrivesPerSet\":[1]}",
               !st->failed, st->failed);
}

static void put_drive(struct buf *b, const struct admin *a, const struct store_stats *st)
{
    buf_puts(b, "{\"endpoint\":");
    json_quote(b, str_c(a->o.dir));
    buf_puts(b, ",\"path\":");
    json_quote(b, str_c(a->o.dir));
    buf_printf(b, ",\"state\":\"%s\",\"uuid\":", st->failed ? "faulty" : "ok");
    json_quote(b, a->o.s3->deployment_id);
    buf_printf(b,
               ",\"totalspace\":%llu,\"usedspace\":%llu,\"availspace\":%llu,\"local\":true,"
               "\"pool_index\":0,\"set_index\":0,\"disk_index\":0}",
               (unsigned long long)st->disk_total, (unsigned long long)used(st),
               (unsigned long long)st->disk_free);
}

static void put_server(struct buf *b, const struct admin *a, const struct store_stats *st)
{
    int64_t uptime = (clock_mono_ms() - a->o.started_ms) / 1000;
    struct str node = str_c(a->o.node);
    buf_puts(b, ",\"servers\":[{\"state\":\"online\",\"endpoint\":");
    json_quote(b, node);
    buf_printf(b, ",\"scheme\":\"%s\",\"uptime\":%lld,\"version\":\"" BELFRY_VERSION "\",\"commitID\":\"\"",
               http_is_tls(a->o.http) ? "https" : "http", (long long)(uptime > 0 ? uptime : 0));
    buf_puts(b, ",\"network\":{");
    json_quote(b, node);
    buf_puts(b, ":\"online\"},\"drives\":[");
    put_drive(b, a, st);
    buf_puts(b, "],\"poolNumber\":1,\"poolNumbers\":[1],\"mem_stats\":{},\"edition\":\"Belfry\"}]");
}

static void put_pools(struct buf *b, const struct store_stats *st)
{
    buf_printf(b,
               ",\"pools\":{\"0\":{\"0\":{\"id\":0,\"rawUsage\":%llu,\"rawCapacity\":%llu,\"usage\":%llu,"
               "\"objectsCount\":%llu,\"versionsCount\":0,\"deleteMarkersCount\":0,\"healDisks\":0}}}",
               (unsigned long long)used(st), (unsigned long long)st->disk_total,
               (unsigned long long)st->bytes, (unsigned long long)st->objects);
}

void call_info(struct admin_req *r)
{
    const struct admin *a = r->admin;
    struct store_stats st;
    struct target_info *targets;
    struct buf *b = &r->out;
    store_get_stats(a->o.s3->store, &st);
    size_t n = targets_now(a->o.s3->delivery, &targets);
    buf_puts(b, "{\"mode\":\"online\"");
    if (a->o.s3->region.n) {
        buf_puts(b, ",\"region\":");
        json_quote(b, a->o.s3->region);
    }
    put_arns(b, r);
    buf_puts(b, ",\"deploymentID\":");
    json_quote(b, a->o.s3->deployment_id);
    put_counts(b, &st);
    buf_puts(b, ",\"services\":{\"kms\":{},\"ldap\":{}");
    if (n)
        put_targets(b, targets, n);
    buf_char(b, '}');
    put_backend(b, &st);
    put_server(b, a, &st);
    put_pools(b, &st);
    buf_puts(b, "}\n");
    free(targets);
}
