/* SPDX-License-Identifier: Apache-2.0
 *
 * Put- and GetBucketNotification. Rules are parsed and validated here and stored as their canonical document; a rule whose
 * ARN is gone may be repeated by a PUT, because the bucket already stores it. */
#include <stdlib.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/emit.h"
#include "s3/ops.h"

#define RULES_MAX (768u << 10) /* a closure takes 1 MiB */

void op_get_bucket_notification(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct buf b;
    buf_init(&b, 2 * RULES_MAX);
    rules_reply(r->bucket->rules, r->s3->region, &b);
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&b));
    buf_release(&b);
}

struct put_rules {
    struct buf canonical;
    bool again;
};

static void rules_release(struct s3_req *r)
{
    buf_release(&((struct put_rules *)r->op_state)->canonical);
}

static void put_rules_begin(struct s3_req *r);

static bool put_rules_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct put_rules *p = r->op_state;
    p->again = false;
    enum store_result res = store_txn_bucket_check(t, r->bucket);
    if (res == STORE_OK)
        res = store_txn_bucket_rules(t, r->s3->store, r->bucket, buf_view(&p->canonical));
    p->again = res == STORE_AGAIN;
    r->error = res == STORE_MISSING ? S3E_NO_SUCH_BUCKET : s3_store_error(res);
    return res == STORE_OK;
}

/* Names the ARNs of a bucket's rules that no enabled target answers to. */
static void warn_lost(struct s3 *s3, const struct bucket *b)
{
    size_t n = b->compiled ? rules_arns(b->compiled, NULL, 0) : 0;
    struct arn *arns = x_calloc(n + 1, sizeof *arns);
    if (n > 0)
        (void)rules_arns(b->compiled, arns, n);
    for (size_t i = 0; i < n; i++)
        if (!delivery_knows(s3->delivery, &arns[i]))
            log_warn("event",
                     "bucket %.*s has a rule for arn:minio:sqs:%.*s:%.*s:%.*s, which is no enabled target: "
                     "its events are not "
                     "queued; enable the target or remove the rule",
                     STR_FMT(b->name), STR_FMT(s3->region), STR_FMT(arns[i].id), STR_FMT(arns[i].type));
    free(arns);
}

static void put_rules_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct put_rules *p = r->op_state;
    if (outcome == KV_ABORTED && p->again) {
        buf_reset(&p->canonical);
        if (s3_renew_bucket(r))
            put_rules_begin(r);
        return;
    }
    if (outcome != KV_COMMITTED) {
        s3_fail(r, outcome == KV_FAILED ? S3E_SLOW_DOWN_WRITE : r->error);
        return;
    }
    crash_point(CRASH_RULES_WRITTEN);
    struct bucket *now = store_bucket(r->s3->store, r->bucket_name);
    if (now) {
        warn_lost(r->s3, now);
        bucket_unref(now);
    }
    s3_reply(r, 200, str_n(NULL, 0), str_n(NULL, 0));
}

static void put_rules_begin(struct s3_req *r)
{
    struct put_rules *p = r->op_state;
    const char *message = NULL;
    enum s3_error e = S3E_NONE;
    switch (rules_parse(buf_view(&r->xml), r->s3->region, r->bucket->rules, delivery_knows, r->s3->delivery,
                        &p->canonical, &message)) {
    case RULES_OK:
        e = p->canonical.failed ? S3E_ENTITY_TOO_LARGE : S3E_NONE;
        break;
    case RULES_MALFORMED_XML:
        e = S3E_MALFORMED_XML;
        break;
    case RULES_INVALID_ARGUMENT:
        e = S3E_INVALID_ARGUMENT;
        break;
    case RULES_UNSUPPORTED:
        e = S3E_UNSUPPORTED_NOTIFICATION;
        break;
    }
    if (e != S3E_NONE)
        s3_fail_msg(r, e, e == S3E_ENTITY_TOO_LARGE ? NULL : message);
    else
        s3_commit(r, put_rules_txn, put_rules_done, 1024 + p->canonical.len, 0);
}

void op_put_bucket_notification(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    if (!r->xml.len) {
        s3_fail(r, S3E_MISSING_CONTENT_LENGTH);
        return;
    }
    struct put_rules *p = ARENA_NEW(r->arena, struct put_rules);
    buf_init(&p->canonical, RULES_MAX);
    r->op_state = p;
    r->op_free = rules_release;
    put_rules_begin(r);
}

void s3_warn_lost_rules(struct s3 *s3)
{
    struct bucket **all;
    size_t n = store_buckets(s3->store, &all);
    for (size_t i = 0; i < n; i++) {
        warn_lost(s3, all[i]);
        bucket_unref(all[i]);
    }
    free(all);
}

void *s3_rules_compile(struct str rules)
{
    return rules_compile(rules);
}

void s3_rules_free(void *compiled)
{
    rules_free(compiled);
}
