/* SPDX-License-Identifier: Apache-2.0
 *
 * A sender driven by hand: rows in memory, a clock that only the test moves, a target that answers as it is told and
 * remembers what it was sent. */
#ifndef BELFRY_TESTS_SENDER_HELP_H
#define BELFRY_TESTS_SENDER_HELP_H

#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "event/delivery_impl.h"

#define MAX_SENT  200000
#define FAKE_KEYS 64

struct delivered { /* one event of one send */
    unsigned key, number, batch;
    enum send_result result;
};
struct fake {
    bool down; /* connect and every send fail */
    enum send_result (*answer)(struct fake *f, unsigned key, unsigned number);
    enum send_result key_answer[FAKE_KEYS]; /* used by answer_by_key */
    int64_t retry_after_ms;
    unsigned connects, disconnects, batches;
    struct delivered *sent;
    size_t n_sent;
};

static _Atomic int64_t fake_now_ns;
/* Called when this thread looks at the clock. */
static _Thread_local void (*on_look)(void);
static inline int64_t fake_mono_ns(void)
{
    if (on_look)
        on_look();
    return atomic_load(&fake_now_ns);
}
static inline int64_t now_ms(void)
{
    return atomic_load(&fake_now_ns) / 1000000;
}

static inline bool fake_connect(void *self, int64_t deadline_ms, struct err *e)
{
    struct fake *f = self;
    (void)deadline_ms;
    f->connects++;
    return !f->down || err_set(e, "nobody there");
}

/* The number behind that beginning; the texts of an event end without a NUL. */
static inline unsigned number_in(struct str text, struct str beginning)
{
    char digits[12];
    assert_true(str_starts(text, beginning));
    text = str_from(text, beginning.n);
    (void)snprintf(digits, sizeof(digits), "%.*s", text.n < 11 ? (int)text.n : 11, text.p);
    return (unsigned)strtoul(digits, NULL, 10);
}

static inline void fake_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                             int64_t deadline_ms, struct err *e)
{
    struct fake *f = self;
    (void)deadline_ms;
    f->batches++;
    for (size_t i = 0; i < n; i++) {
        unsigned key = number_in(ev[i].key, STR("k")), number = number_in(ev[i].record, STR("{\"n\":"));
        out[i] = f->down ? SEND_RETRY : f->answer ? f->answer(f, key, number) : SEND_OK;
        if (out[i] != SEND_OK) {
            (void)snprintf(ev[i].why, SEND_WHY, "answer %d to k%u", (int)out[i], key);
            (void)err_set(e, "%s", ev[i].why);
            e->retry_after_ms = f->retry_after_ms;
        }
        assert_true(f->n_sent < MAX_SENT);
        f->sent[f->n_sent++] = (struct delivered){key, number, f->batches, out[i]};
    }
}

static inline void fake_disconnect(void *self)
{
    ((struct fake *)self)->disconnects++;
}
static inline void fake_close(void *self)
{
    (void)self;
}

static inline enum send_result answer_by_key(struct fake *f, unsigned key, unsigned number)
{
    (void)number;
    return f->key_answer[key];
}

static const struct target_type fake_type = {.name = "fake",
                                             .subsys = "notify_fake",
                                             .max_batch = 16,
                                             .one_per_key = true,
                                             .connect = fake_connect,
                                             .send = fake_send,
                                             .disconnect = fake_disconnect,
                                             .close = fake_close};
static const struct target_type fake_ordered_type = {.name = "fake",
                                                     .subsys = "notify_fake",
                                                     .max_batch = 32,
                                                     .connect = fake_connect,
                                                     .send = fake_send,
                                                     .disconnect = fake_disconnect,
                                                     .close = fake_close};

struct bench {
    struct kv *kv;
    struct delivery delivery;
    struct sender *by_number[2];
    struct sender *s;
    struct target_common conf;
    struct fake fake;
    const struct target_type *type;
    unsigned places; /* as its settings say; 0: the type's max_batch */
    unsigned put;    /* events queued so far: the number in each record */
    int64_t dead_limit;
    int padding; /* bytes that each record is longer */
};

/* The sender of a process that starts now. */
static inline void bench_start(struct bench *b)
{
    struct err e = {0};
    b->s = sender_new(&b->delivery, b->kv, b->type, STR("t"), 1);
    sender_set_batch(b->s, b->places ? b->places : b->type->max_batch);
    b->s->conf = &b->conf;
    b->s->self = &b->fake;
    b->s->dead_limit = b->dead_limit ? b->dead_limit : 1000;
    b->s->rng = 42;
    assert_true(sender_load(b->s, &e));
    b->by_number[1] = b->s;
}

/* Its end, after which only the rows are left. */
static inline void bench_stop(struct bench *b)
{
    b->by_number[1] = NULL;
    sender_free(b->s);
    b->s = NULL;
}

static inline int bench_setup(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    atomic_store(&fake_now_ns, INT64_C(5000000000000));
    clock_mono_ns = fake_mono_ns;
    b->kv = kv_open_memory();
    b->delivery.kv = b->kv;
    b->delivery.now.by_number = b->by_number;
    b->delivery.now.max_number = 1;
    b->type = &fake_type;
    b->fake.sent = calloc(MAX_SENT, sizeof(*b->fake.sent));
    bench_start(b);
    *state = b;
    return 0;
}

static inline int bench_teardown(void **state)
{
    struct bench *b = *state;
    if (b->s)
        bench_stop(b);
    kv_close(b->kv);
    free(b->fake.sent);
    free(b);
    return 0;
}

struct putting {
    struct bench *b;
    unsigned key, number;
    bool admitted, read;
};

static inline bool put_txn(struct kv_txn *t, void *ctx)
{
    struct putting *p = ctx;
    struct target_set set = {.n = 1, .number = {1}};
    static char record[16384];
    char key[16];
    (void)snprintf(key, sizeof(key), "k%u", p->key);
    int n = snprintf(record, sizeof(record), "{\"n\":%u,%*s\"s\":\"0000000000000000\"}", p->number,
                     p->b->padding, "");
    struct outbox_event ev = {.name = EVENT_CREATED_PUT,
                              .bucket = STR("b"),
                              .key = str_c(key),
                              .record = str_n(record, (size_t)n),
                              .seq_at = (size_t)n - 18,
                              .read = p->read,
                              .targets = &set};
    p->admitted = p->read || outbox_txn_admits(t, &p->b->delivery, &set);
    if (!p->admitted)
        return false;
    uint64_t seq = kv_txn_sequence(t);
    outbox_txn_put(t, &p->b->delivery, &ev, seq, seq);
    return true;
}

/* Queues the next event, of that key; false when it was refused. */
static inline bool put(struct bench *b, unsigned key)
{
    struct putting p = {.b = b, .key = key, .number = b->put};
    if (kv_commit_wait(b->kv, put_txn, &p, 0) != KV_COMMITTED)
        return false;
    b->put++;
    return true;
}

/* The event of a read: nobody is there to be refused. */
static inline void put_read(struct bench *b, unsigned key)
{
    struct putting p = {.b = b, .key = key, .number = b->put, .read = true};
    assert_int_equal(kv_commit_wait(b->kv, put_txn, &p, KV_NOSYNC), KV_COMMITTED);
    b->put++;
}

static inline int64_t queued(struct bench *b)
{
    assert_true(sender_settled(b->s));
    return sender_queued(b->s);
}

static inline size_t rows_with(struct bench *b, char prefix)
{
    char end = (char)(prefix + 1);
    assert_true(sender_settled(b->s));
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, str_n(&prefix, 1), str_n(&end, 1));
    struct str key, value;
    size_t n = 0;
    while (kv_scan_next(scan, &key, &value))
        n++;
    kv_scan_close(scan);
    return n;
}

static inline void advance(int64_t ms)
{
    atomic_fetch_add(&fake_now_ns, ms * 1000000);
}

/* Steps until the sender wants to wait; returns until when. */
static inline int64_t run_steps(struct bench *b)
{
    for (int i = 0; i < 100000; i++) {
        int64_t next = sender_step(b->s, now_ms());
        if (next > now_ms() && !(atomic_load(&b->s->news) && next > b->s->retry_at_ms))
            return next;
    }
    fail_msg("the sender never rests");
    return 0;
}

/* Steps and moves the clock from wait to wait, for that long. */
static inline void run_for(struct bench *b, int64_t ms)
{
    int64_t end = now_ms() + ms;
    for (;;) {
        int64_t next = run_steps(b);
        if (next > end)
            break;
        advance(next - now_ms());
    }
    advance(end - now_ms());
}

/* The OK deliveries of every key in order of their numbers, first deliveries too; returns how many were OK. */
static inline size_t check_order(const struct fake *f)
{
    unsigned first[FAKE_KEYS] = {0}, ok[FAKE_KEYS] = {0};
    size_t oks = 0;
    for (size_t i = 0; i < f->n_sent; i++) {
        const struct delivered *d = &f->sent[i];
        if (d->number + 1 > first[d->key])
            first[d->key] = d->number + 1;
        else
            assert_true(d->number + 1 >= ok[d->key]); /* a repeat never goes behind what was confirmed */
        if (d->result == SEND_OK) {
            assert_true(d->number + 1 >= ok[d->key]);
            ok[d->key] = d->number + 1;
            oks++;
        }
    }
    return oks;
}

#endif
