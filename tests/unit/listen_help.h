/* SPDX-License-Identifier: Apache-2.0
 *
 * A history of events over rows in memory, written by hand, and its readers. */
#ifndef BELFRY_TESTS_LISTEN_HELP_H
#define BELFRY_TESTS_LISTEN_HELP_H

#include "unit.h"

#include <sched.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/listen_impl.h"
#include "s3/emit.h"

#define PUTS    (UINT64_C(1) << EVENT_CREATED_PUT)
#define DELETES (UINT64_C(1) << EVENT_REMOVED_DELETE)

#define WAIT_FOR(cond) \
    do { \
        int64_t until_ = clock_mono_ms() + 20000; \
        while (!(cond)) { \
            if (clock_mono_ms() > until_) \
                fail_msg("never came: %s", #cond); \
            (void)sched_yield(); \
        } \
    } while (0)

struct bench {
    struct kv *kv;
    struct listen *l;
    struct loop loop; /* never run */
    struct listen_station station;
    int next; /* number of the next event */
};

static inline void woken(struct task *t)
{
    (void)t;
}

static inline void open_bench(struct bench *b, int64_t history, int64_t linger_ms)
{
    struct err e;
    memset(b, 0, sizeof *b);
    b->kv = kv_open_memory();
    loop_init(&b->loop);
    b->station = (struct listen_station){.loop = &b->loop, .task.fn = woken};
    b->l = listen_new(b->kv, &(struct listen_options){history, linger_ms}, &e);
    assert_non_null(b->l);
    listen_station_add(b->l, &b->station);
}

static inline void reopen(struct bench *b, int64_t history)
{
    struct err e;
    listen_free(b->l);
    b->l = listen_new(b->kv, &(struct listen_options){history, 0}, &e);
    assert_non_null(b->l);
    b->station.next = NULL;
    b->station.readers = 0;
    listen_station_add(b->l, &b->station);
}

static inline void close_bench(struct bench *b)
{
    listen_free(b->l);
    kv_close(b->kv);
    loop_release(&b->loop);
}

static inline size_t rows(struct bench *b, enum kv_space space, const char *first, const char *end)
{
    struct kv_scan *s = kv_scan_open(b->kv, space, str_c(first), str_c(end));
    struct str key, value;
    size_t n = 0;
    while (kv_scan_next(s, &key, &value))
        n++;
    kv_scan_close(s);
    return n;
}

static inline size_t history(struct bench *b)
{
    return rows(b, KV_QUEUE, "h", "i");
}

struct change {
    struct bench *b;
    enum event_name name;
    const char *bucket;
    size_t n;
    size_t pad; /* bytes of each record */
};

static inline bool change_txn(struct kv_txn *t, void *ctx)
{
    struct change *c = ctx;
    for (size_t i = 0; i < c->n; i++) {
        char key[32], *record = malloc(c->pad + 64);
        int n = snprintf(key, sizeof key, "k%06d", c->b->next++);
        int m = snprintf(record, c->pad + 64, "%.*s 0123456789ABCDEF", n, key);
        memset(record + m, '.', c->pad);
        listen_txn_put(t, c->b->l,
                       &(struct listen_put){c->name, str_c(c->bucket), str_n(key, (size_t)n),
                                            str_n(record, (size_t)m + c->pad), (size_t)n + 1},
                       0xfeedull);
        free(record);
    }
    return true;
}

static inline void change(struct bench *b, enum event_name name, const char *bucket, size_t n, size_t pad)
{
    while (n > 0) {
        struct change c = {b, name, bucket, n < 50 ? n : 50, pad};
        assert_int_equal(kv_commit_wait(b->kv, change_txn, &c, 0), KV_COMMITTED);
        n -= c.n;
    }
}

static inline void put(struct bench *b, size_t n)
{
    change(b, EVENT_CREATED_PUT, "bkt", n, 0);
}

static inline bool interest_txn(struct kv_txn *t, void *ctx)
{
    struct bench *b = ((void **)ctx)[0];
    listen_txn_interest(t, b->l, *(uint64_t *)((void **)ctx)[1]);
    return true;
}

static inline void join(struct bench *b, struct listen_reader *r, uint64_t mask,
                        const struct listen_position *at)
{
    void *ctx[] = {b, &mask};
    memset(r, 0, sizeof *r);
    r->filter = (struct listen_filter){mask, STR("bkt"), STR("*")};
    r->station = &b->station;
    listen_enter(b->l);
    if (!listen_covers(b->l, mask))
        assert_int_equal(kv_commit_wait(b->kv, interest_txn, ctx, 0), KV_COMMITTED);
    assert_true(listen_covers(b->l, mask));
    listen_join(b->l, r, at);
}

static inline void part(struct bench *b, struct listen_reader *r)
{
    listen_part(b->l, r);
    listen_leave(b->l);
}

static inline bool forget_txn(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    kv_txn_del(t, KV_META, LISTEN_STATE_KEY);
    return true;
}

static inline void forget_state(struct bench *b)
{
    assert_int_equal(kv_commit_wait(b->kv, forget_txn, NULL, 0), KV_COMMITTED);
}

static inline int number(struct str text)
{
    uint64_t n;
    size_t digits = 0;
    assert_true(text.n >= 7 && text.p[0] == 'k');
    while (digits + 1 < text.n && text.p[digits + 1] >= '0' && text.p[digits + 1] <= '9')
        digits++;
    assert_true(str_to_u64(str_n(text.p + 1, digits), &n)); /* the text ends without a NUL */
    return (int)n;
}

/* Reads what there is, as a loop does: out of the tail, or the rows where it must. Numbers have to be first, first + 1, ...
 * of those in the reader's bucket; returns how many came. */
static inline int drain(struct bench *b, struct listen_reader *r, int first)
{
    int got = 0;
    for (;;) {
        struct listen_event *ev[7];
        bool behind;
        size_t n = listen_take(b->l, r, ev, 7, &behind);
        for (size_t i = 0; i < n; i++) {
            if (listen_filter_matches(&r->filter, ev[i]->name, ev[i]->row.bucket, ev[i]->row.key))
                assert_int_equal(number(ev[i]->row.record), first + got++);
            listen_advance(b->l, r, ev[i]->at);
            listen_event_unref(ev[i]);
        }
        if (behind) {
            struct listen_read read = {.enough = 300};
            buf_init(&read.lines, 1 << 20);
            listen_read(b->l, r, &read);
            assert_true(listen_settle(b->l, r, &read) && !read.failed);
            struct str rest = buf_view(&read.lines), line;
            while (rest.n > 0 && str_cut(&rest, '\n', &line))
                if (line.n > 0)
                    assert_int_equal(number(str_from(line, strlen("{\"Records\":["))), first + got++);
            buf_release(&read.lines);
        } else if (n == 0) {
            return got;
        }
    }
}

static inline uint64_t missed(struct bench *b, struct listen_reader *r, struct listen_position *at)
{
    uint64_t n;
    struct listen_position p = listen_at(b->l, r, &n);
    if (at)
        *at = p;
    return n;
}

#endif
