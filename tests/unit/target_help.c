/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the tests of targets. */
#include "target_help.h"

#include "base/err.h"
#include "target/webhook.h"

struct instance instance_of(const struct target_type *type)
{
    struct instance in = {.type = type};
    struct err e = {0};
    arena_init(&in.arena);
    in.conf = arena_zalloc(&in.arena, type->conf_size);
    if (!config_load(type->subsys, type->keys, STR("t"), in.conf, &in.arena, &e) || !type->check(in.conf, &e))
        fail_msg("%s", e.text);
    in.self = type->open(in.conf, "t", &e);
    assert_non_null(in.self);
    return in;
}

void instance_close(struct instance *in)
{
    in->type->disconnect(in->self);
    in->type->close(in->self);
    arena_release(&in->arena);
}

bool connect_within(struct instance *in, int64_t ms, struct err *e)
{
    *e = (struct err){0};
    return in->type->connect(in->self, clock_mono_ms() + ms, e);
}

void send_batch(struct instance *in, struct batch *b, size_t n, int64_t deadline_ms)
{
    struct send_done done[BATCH];
    size_t open = n;
    if (in->type->send) {
        in->type->send(in->self, b->ev, n, b->out, deadline_ms, &b->e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        in->type->begin(in->self, (unsigned)i, &b->ev[i], deadline_ms);
    while (open > 0) {
        size_t got = in->type->poll(in->self, done, deadline_ms);
        for (size_t i = 0; i < got; i++, open--) {
            assert_true(done[i].place < n);
            b->out[done[i].place] = done[i].result;
            if (done[i].result != SEND_OK && !b->e.text[0])
                (void)err_set(&b->e, "%s", b->why[done[i].place]);
            if (done[i].retry_after_ms > b->e.retry_after_ms)
                b->e.retry_after_ms = done[i].retry_after_ms;
        }
    }
}

void send_keys(struct instance *in, struct batch *b, const char *const *keys, size_t n, int64_t within_ms)
{
    memset(b, 0, sizeof(*b));
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(b->key[i], sizeof(b->key[i]), "%s", keys[i]);
        b->ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                      .bucket = STR("b"),
                                      .key = str_c(b->key[i]),
                                      .record = STR("{\"eventName\":\"s3:ObjectCreated:Put\"}"),
                                      .event_time = STR("2026-02-01T10:20:30.123Z"),
                                      .sequencer = i + 1,
                                      .why = b->why[i]};
        b->out[i] = SEND_OK;
    }
    int64_t begin = clock_mono_ms();
    send_batch(in, b, n, begin + within_ms);
    b->took_ms = clock_mono_ms() - begin;
}

void expect(struct instance *in, const struct expected *x, size_t n, int64_t within_ms)
{
    const char *keys[BATCH];
    struct batch b;
    struct err e;
    for (size_t i = 0; i < n; i++)
        keys[i] = x[i].key;
    if (!connect_within(in, 5000, &e))
        fail_msg("%s", e.text);
    send_keys(in, &b, keys, n, within_ms);
    assert_true(b.took_ms < within_ms + 1500);
    for (size_t i = 0; i < n; i++) {
        if (b.out[i] != x[i].result || !strstr(b.why[i], x[i].why))
            fail_msg("%s: result %d, why '%s'", x[i].key, (int)b.out[i], b.why[i]);
        if (b.out[i] == SEND_OK)
            assert_string_equal(b.why[i], "");
    }
}

struct instance webhook_of(const char *url, const char *token)
{
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_t", url, 1);
    setenv("MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_t", token, 1);
    return instance_of(&target_webhook);
}

struct instance webhook_with(const struct receiver *r, const char *token)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", r->port);
    return webhook_of(url, token);
}
