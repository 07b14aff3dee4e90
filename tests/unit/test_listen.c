/* SPDX-License-Identifier: Apache-2.0
 *
 * The history and its readers, over rows in memory: nothing is written without interest; a reader gets every event behind
 * its place once and in order, or its exact number; the history is as long as it is set to be; interest ends. */
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

static void woken(struct task *t)
{
    (void)t;
}

static void open_bench(struct bench *b, int64_t history, int64_t linger_ms)
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

static void reopen(struct bench *b, int64_t history)
{
    struct err e;
    listen_free(b->l);
    b->l = listen_new(b->kv, &(struct listen_options){history, 0}, &e);
    assert_non_null(b->l);
    b->station.next = NULL;
    b->station.readers = 0;
    listen_station_add(b->l, &b->station);
}

static void close_bench(struct bench *b)
{
    listen_free(b->l);
    kv_close(b->kv);
    loop_release(&b->loop);
}

static size_t rows(struct bench *b, enum kv_space space, const char *first, const char *end)
{
    struct kv_scan *s = kv_scan_open(b->kv, space, str_c(first), str_c(end));
    struct str key, value;
    size_t n = 0;
    while (kv_scan_next(s, &key, &value))
        n++;
    kv_scan_close(s);
    return n;
}

static size_t history(struct bench *b)
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

static bool change_txn(struct kv_txn *t, void *ctx)
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

static void change(struct bench *b, enum event_name name, const char *bucket, size_t n, size_t pad)
{
    while (n > 0) {
        struct change c = {b, name, bucket, n < 50 ? n : 50, pad};
        assert_int_equal(kv_commit_wait(b->kv, change_txn, &c, 0), KV_COMMITTED);
        n -= c.n;
    }
}

static void put(struct bench *b, size_t n)
{
    change(b, EVENT_CREATED_PUT, "bkt", n, 0);
}

static bool interest_txn(struct kv_txn *t, void *ctx)
{
    struct bench *b = ((void **)ctx)[0];
    listen_txn_interest(t, b->l, *(uint64_t *)((void **)ctx)[1]);
    return true;
}

static void join(struct bench *b, struct listen_reader *r, uint64_t mask, const struct listen_position *at)
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

static void part(struct bench *b, struct listen_reader *r)
{
    listen_part(b->l, r);
    listen_leave(b->l);
}

static bool forget_txn(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    kv_txn_del(t, KV_META, LISTEN_STATE_KEY);
    return true;
}

static void forget_state(struct bench *b)
{
    assert_int_equal(kv_commit_wait(b->kv, forget_txn, NULL, 0), KV_COMMITTED);
}

static int number(struct str text)
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
static int drain(struct bench *b, struct listen_reader *r, int first)
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

static uint64_t missed(struct bench *b, struct listen_reader *r, struct listen_position *at)
{
    uint64_t n;
    struct listen_position p = listen_at(b->l, r, &n);
    if (at)
        *at = p;
    return n;
}

static void test_nothing_without_interest(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 1000, 0);
    assert_false(listen_wants(b.l, EVENT_CREATED_PUT));
    assert_false(listen_wants(NULL, EVENT_CREATED_PUT));
    put(&b, 10);
    assert_int_equal(history(&b) + rows(&b, KV_META, "m.listen", "m.listeo"), 0);
    uint64_t generation = listen_generation(b.l);
    join(&b, &r, DELETES, NULL);
    assert_true(listen_generation(b.l) > generation);
    put(&b, 10); /* of no kind that anybody listens for */
    assert_int_equal(history(&b), 0);
    change(&b, EVENT_REMOVED_DELETE, "bkt", 3, 0);
    assert_int_equal(history(&b), 3);
    assert_int_equal(drain(&b, &r, 20), 3);
    part(&b, &r);
    close_bench(&b);
}

static void test_live_and_resume(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r, other;
    struct listen_position at;
    open_bench(&b, 100000, 0);
    put(&b, 5);
    join(&b, &r, PUTS, NULL);
    assert_int_equal(drain(&b, &r, 0), 0);
    put(&b, 3);
    change(&b, EVENT_CREATED_PUT, "other", 2, 0);
    assert_int_equal(drain(&b, &r, 5), 3);
    (void)missed(&b, &r, &at);
    b.next = 100;
    put(&b, 5000); /* the tail has fewer */
    join(&b, &other, PUTS, &at);
    assert_int_equal(drain(&b, &other, 100), 5000);
    assert_int_equal(drain(&b, &r, 100), 5000);
    assert_int_equal(missed(&b, &r, NULL) + missed(&b, &other, NULL), 0);
    part(&b, &other);
    part(&b, &r);
    reopen(&b, 100000);
    assert_true(listen_wants(b.l, EVENT_CREATED_PUT)); /* interest outlives the process */
    put(&b, 10);
    join(&b, &r, PUTS, &at);
    assert_int_equal(drain(&b, &r, 100), 5010);
    assert_int_equal(missed(&b, &r, NULL), 0);
    part(&b, &r);
    close_bench(&b);
}

/* Has the thread cut all that is to be cut? */
static bool is_trimmed(struct bench *b)
{
    mutex_lock(&b->l->mutex);
    bool done = !listen_trim_due(b->l) && b->l->deleted == b->l->mark[0].seq;
    mutex_unlock(&b->l->mutex);
    return done;
}

/* Whatever is read, all that was put is read or counted. */
static void test_trimming(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 10, 100, 1000, 5000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct bench b;
        struct listen_reader slow, late;
        struct listen_position start;
        int64_t keep = lengths[i], slack = keep / SEGMENTS + 1 + SEGMENT_MAX * (keep > 60000);
        open_bench(&b, keep, 0);
        join(&b, &slow, PUTS, NULL);
        (void)missed(&b, &slow, &start);
        put(&b, (size_t)keep + 700);
        change(&b, EVENT_CREATED_PUT, "other", 300, 0); /* slow has asked for none of these */
        int last = b.next - 300;
        WAIT_FOR(is_trimmed(&b));
        WAIT_FOR((int64_t)history(&b) <=
                 keep + slack); /* the closure has run, its batch may still be on its way */
        assert_true((int64_t)history(&b) >= keep);
        uint64_t lost = missed(&b, &slow, NULL);
        bool behind;
        (void)listen_take(b.l, &slow, NULL, 0, &behind);
        int got = drain(&b, &slow, (int)lost);
        assert_int_equal((int)lost + got, last);
        join(&b, &late, PUTS, &start);
        lost = missed(&b, &late, NULL); /* of all buckets: what they were is no longer known */
        assert_true((int64_t)lost <= 1000 && (int64_t)lost >= 1000 - slack);
        assert_true(drain(&b, &late, (int)lost < last ? (int)lost : last) >= 0);
        part(&b, &late);
        part(&b, &slow);
        reopen(&b, keep);
        put(&b, 10);
        join(&b, &late, PUTS, &start);
        lost = missed(&b, &late, NULL);
        assert_true((int64_t)lost <= 1010 && (int64_t)lost >= 1000 - slack);
        part(&b, &late);
        close_bench(&b);
    }
}

static void test_wide_events_leave_the_tail(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 100000, 0);
    join(&b, &r, PUTS, NULL);
    for (int i = 0; i < 100; i++)
        change(&b, EVENT_CREATED_PUT, "bkt", 5, 40000); /* 20 MB */
    mutex_lock(&b.l->mutex);
    assert_true(b.l->tail_bytes <= TAIL_BYTES && b.l->tail_n < 500);
    mutex_unlock(&b.l->mutex);
    assert_int_equal(drain(&b, &r, 0), 500);
    part(&b, &r);
    close_bench(&b);
}

static void test_no_history(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    struct listen_position start;
    open_bench(&b, 0, 0);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 10);
    assert_int_equal(history(&b), 0);
    assert_int_equal(drain(&b, &r, 0), 10);
    put(&b, TAIL_EVENTS + 5);
    bool behind;
    (void)listen_take(b.l, &r, NULL, 0, &behind);
    assert_int_equal(missed(&b, &r, NULL), 5);
    assert_int_equal(drain(&b, &r, 15), TAIL_EVENTS);
    part(&b, &r);
    reopen(&b, 0);
    join(&b, &r, PUTS, &start);
    assert_true(missed(&b, &r, NULL) >= 1); /* how many is nowhere to be read */
    part(&b, &r);
    close_bench(&b);
}

static void test_changing_the_length(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    struct listen_position start;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 900);
    assert_int_equal(drain(&b, &r, 0), 900);
    part(&b, &r);
    listen_set_history(b.l, 100);
    put(&b, 1);
    WAIT_FOR(history(&b) <= 120);
    listen_set_history(b.l, 0);
    put(&b, 5);
    listen_set_history(b.l, 50);
    put(&b, 7);
    join(&b, &r, PUTS, &start); /* what was there while there was no history is gone, too */
    uint64_t lost = missed(&b, &r, NULL);
    assert_int_equal(lost, 906);
    assert_int_equal(drain(&b, &r, 906), 7);
    part(&b, &r);
    close_bench(&b);
}

static void let_trim(struct bench *b, bool may)
{
    mutex_lock(&b->l->mutex);
    b->l->broken = !may;
    cond_signal(&b->l->cond);
    mutex_unlock(&b->l->mutex);
}

/* Events come more quickly than the history is cut: all marks are used up, and it has to be as short as ever all the same. */
static void test_no_marks_left(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader slow;
    open_bench(&b, 10, 0);
    join(&b, &slow, PUTS, NULL);
    let_trim(&b, false);
    put(&b, 1000);
    let_trim(&b, true);
    WAIT_FOR(history(&b) <= 12);
    uint64_t lost = missed(&b, &slow, NULL);
    assert_int_equal(lost + (uint64_t)drain(&b, &slow, (int)lost), 1000);
    assert_true(history(&b) >= 10);
    part(&b, &slow);
    close_bench(&b);
}

/* Rows that nobody can read any more go: when the history is switched off, and when that, or a cut, was left half done. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 10000, 0);
    join(&b, &r, PUTS, NULL);
    put(&b, TAIL_EVENTS + 10); /* the reader is behind */
    listen_set_history(b.l, 0);
    assert_int_equal(missed(&b, &r, NULL), 10);
    WAIT_FOR(history(&b) == 0);
    assert_int_equal(drain(&b, &r, 10), TAIL_EVENTS);
    listen_set_history(b.l, 10000);
    put(&b, 100);
    part(&b, &r);
    reopen(&b, 0);
    WAIT_FOR(history(&b) == 0);
    listen_set_history(b.l, 10000);
    put(&b, 100);
    assert_int_equal(history(&b), 100);
    forget_state(&b); /* interest has ended, the rows are not removed yet */
    reopen(&b, 10000);
    WAIT_FOR(history(&b) == 0);
    close_bench(&b);
}

/* However little of it a reader wants, one job for a worker looks at so many rows only. */
static void test_reads_are_bounded(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 100000, 0);
    join(&b, &r, PUTS, NULL);
    change(&b, EVENT_CREATED_PUT, "other", LISTEN_READ_ROWS + 2 * TAIL_EVENTS, 0);
    struct listen_read read = {.enough = 1};
    buf_init(&read.lines, 1 << 20);
    listen_read(b.l, &r, &read);
    assert_int_equal(read.lines.len, 0);
    assert_int_equal(read.to.count - read.from.count, LISTEN_READ_ROWS);
    buf_release(&read.lines);
    put(&b, 3);
    assert_int_equal(drain(&b, &r, b.next - 3), 3);
    assert_int_equal(missed(&b, &r, NULL), 0);
    part(&b, &r);
    close_bench(&b);
}

static void test_kinds_that_came_later(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r, both;
    struct listen_position start, later;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 3);
    join(&b, &both, PUTS | DELETES, &start);
    assert_int_equal(missed(&b, &both, &later), 1); /* deletes may have been, before */
    assert_int_equal(drain(&b, &both, 0), 3);
    part(&b, &both);
    join(&b, &both, PUTS, &start);
    assert_int_equal(missed(&b, &both, NULL), 0);
    assert_int_equal(drain(&b, &both, 0), 3);
    (void)missed(&b, &both, &later);
    part(&b, &both);
    change(&b, EVENT_REMOVED_DELETE, "bkt", 2, 0);
    reopen(&b, 1000);
    join(&b, &both, PUTS | DELETES, &start);
    assert_int_equal(missed(&b, &both, NULL), 1);
    assert_int_equal(drain(&b, &both, 0), 5);
    part(&b, &both);
    close_bench(&b);
}

/* Interest ends some time after the last listener; what was kept goes, and who comes back is told. */
static void test_interest_ends(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    struct listen_position start;
    open_bench(&b, 1000, 50);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 20);
    int64_t since = clock_mono_ms();
    WAIT_FOR(clock_mono_ms() > since + 120);
    assert_true(listen_wants(b.l, EVENT_CREATED_PUT)); /* somebody still listens */
    part(&b, &r);
    WAIT_FOR(!listen_wants(b.l, EVENT_CREATED_PUT));
    WAIT_FOR(history(&b) == 0);
    put(&b, 20);
    assert_int_equal(history(&b) + rows(&b, KV_META, "m.listen", "m.listeo"), 0);
    join(&b, &r, PUTS, &start);
    assert_true(missed(&b, &r, NULL) >= 1);
    put(&b, 4);
    assert_int_equal(drain(&b, &r, 40), 4);
    part(&b, &r);
    close_bench(&b);
}

static bool admit_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    bool again = false;
    assert_int_equal(emit_txn_admit(t, r, NULL, &again), S3E_NONE);
    r->read_seq = again;
    return false;
}

/* A change that was matched when nobody listened, and is committed when somebody does, has to be matched again: once. */
static void test_matched_before_interest(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader reader;
    open_bench(&b, 1000, 0);
    struct arena arena;
    struct header replica = {STR("x-minio-source-replication-request"), STR("true")};
    struct http_req http = {.headers = {&replica, 1}};
    struct s3 s3 = {.listen = b.l};
    struct s3_req r = {.s3 = &s3, .http = &http, .arena = &arena};
    arena_init(&arena);
    assert_null(emit_match(&r, EVENT_CREATED_PUT, STR("k")));
    assert_int_equal(kv_commit_wait(b.kv, admit_txn, &r, 0), KV_ABORTED);
    assert_int_equal(r.read_seq, false);
    join(&b, &reader, PUTS, NULL);
    for (int i = 0; i < 2; i++) { /* also for the closures behind it */
        assert_int_equal(kv_commit_wait(b.kv, admit_txn, &r, 0), KV_ABORTED);
        assert_int_equal(r.read_seq, true);
    }
    r.listen_generation = 0; /* s3_renew_bucket */
    assert_null(emit_match(&r, EVENT_CREATED_PUT, STR("k")));
    assert_int_equal(kv_commit_wait(b.kv, admit_txn, &r, 0), KV_ABORTED);
    assert_int_equal(r.read_seq, false);
    part(&b, &reader);
    arena_release(&arena);
    close_bench(&b);
}

static void test_one_message_per_station(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    put(&b, 30);
    assert_true(b.station.posted && b.loop.first == &b.station.task && !b.loop.first->next);
    part(&b, &r);
    close_bench(&b);
}

static void test_damaged_state(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    put(&b, 3);
    part(&b, &r);
    struct kv_value v;
    assert_int_equal(kv_get(b.kv, KV_META, LISTEN_STATE_KEY, 0, &v, NULL), KV_FOUND);
    struct listen *copy = calloc(1, sizeof *copy);
    bool kept;
    for (size_t n = 0; n < v.data.n; n++)
        (void)listen_decode_state(str_head(v.data, n), copy, &kept);
    assert_true(listen_decode_state(v.data, copy, &kept) && kept && copy->n_marks >= 1);
    free(copy);
    kv_value_release(&v);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_without_interest),
        cmocka_unit_test(test_live_and_resume),
        cmocka_unit_test(test_trimming),
        cmocka_unit_test(test_wide_events_leave_the_tail),
        cmocka_unit_test(test_no_history),
        cmocka_unit_test(test_changing_the_length),
        cmocka_unit_test(test_no_marks_left),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_reads_are_bounded),
        cmocka_unit_test(test_kinds_that_came_later),
        cmocka_unit_test(test_interest_ends),
        cmocka_unit_test(test_matched_before_interest),
        cmocka_unit_test(test_one_message_per_station),
        cmocka_unit_test(test_damaged_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
