/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sender holds in memory while its backlog is in segments: as much as there are events that wait, not as there are
 * events in the segments that these are in. */
#include "sender_help.h"

#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#define ROWS      1000
#define SEGMENTS  40
#define FAILS     63   /* the key that does */
#define PER_EVENT 1000 /* bytes: its own, and those of its segment */

/* A kind of the window form: what it is asked about is answered at once, but for one key. */
#define PLACES 8
#define HANGS  62
static struct {
    struct event_ref ev[PLACES];
    bool out[PLACES];
} window;

static void window_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
    window.ev[place] = *ev;
    window.out[place] = true;
}

static size_t window_poll(void *self, struct send_done *done, int64_t until_ms)
{
    size_t n = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        struct err e = {0};
        if (!window.out[i] || number_in(window.ev[i].key, STR("k")) == HANGS)
            continue;
        done[n] = (struct send_done){.place = i};
        fake_send(self, &window.ev[i], 1, &done[n++].result, until_ms, &e);
        window.out[i] = false;
    }
    if (n == 0 && until_ms > now_ms())
        atomic_store(&fake_now_ns, until_ms * 1000000);
    return n;
}

static void window_wake(void *self)
{
    (void)self;
}

static void window_disconnect(void *self)
{
    fake_disconnect(self);
    memset(window.out, 0, sizeof(window.out));
}

static const struct target_type window_type = {.name = "fake",
                                               .subsys = "notify_fake",
                                               .max_batch = PLACES,
                                               .one_per_key = true,
                                               .connect = fake_connect,
                                               .begin = window_begin,
                                               .poll = window_poll,
                                               .wake = window_wake,
                                               .disconnect = window_disconnect,
                                               .close = fake_close};

struct files {
    struct bench *b;
    char dir[64], folder[128];
};

static void restart(struct files *f)
{
    struct err e = {0};
    bench_stop(f->b);
    bench_start(f->b);
    f->b->s->limits = (struct segment_limits){.rows = ROWS, .keep = 0, .after_ms = 1000};
    assert_true(segments_clean_start(f->b->s, &e));
}

static int setup(void **state)
{
    struct files *f = calloc(1, sizeof(*f));
    void *b;
    (void)bench_setup(&b);
    f->b = b;
    (void)snprintf(f->dir, sizeof(f->dir), "%.30s/belfry-segments-XXXXXX", temp_dir());
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->folder, sizeof(f->folder), "%s/belfry-fake-t", f->dir);
    f->b->conf.queue_dir = f->dir;
    f->b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < FAKE_KEYS; k++)
        f->b->fake.key_answer[k] = SEND_OK;
    restart(f);
    *state = f;
    return 0;
}

/* Their number. */
static size_t each_file(const struct files *f, bool remove)
{
    size_t n = 0;
    DIR *d = opendir(f->folder);
    for (struct dirent *x; d && (x = readdir(d));) {
        if (x->d_name[0] == '.')
            continue;
        n++;
        assert_true(!remove || unlinkat(dirfd(d), x->d_name, 0) == 0);
    }
    if (d)
        (void)closedir(d);
    return n;
}

static int teardown(void **state)
{
    struct files *f = *state;
    void *b = f->b;
    (void)bench_teardown(&b);
    (void)each_file(f, true);
    (void)rmdir(f->folder);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static int64_t counted(struct bench *b, struct row_key k)
{
    int64_t n[KV_COUNTERS];
    assert_true(sender_settled(b->s) && kv_counters(b->kv, row_key_str(&k), n, NULL));
    return n[0];
}

static void finding(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("%s", text);
}

/* A backlog in files, of which every `each`-th event is of the key that fails; all others have gone through when it ends. */
static void one_key_fails(struct files *f, unsigned each)
{
    struct bench *b = f->b;
    b->fake.down = true;
    for (unsigned i = 0; i < SEGMENTS * ROWS; i++)
        assert_true(put(b, i % each == each / 2 ? FAILS : i % 60));
    run_for(b, 120000);
    assert_int_equal(each_file(f, false), SEGMENTS);
    b->fake.down = false;
    b->fake.key_answer[FAILS] = SEND_RETRY;
    restart(f);
    run_for(b, 60000);
    assert_int_equal(queued(b), SEGMENTS * ROWS / each);
    assert_int_equal(each_file(f, false), SEGMENTS);
    segments_check(b->kv, finding, NULL);
}

/* What the program has allocated. Under a sanitizer, whose memory is its own, nothing. */
static int64_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return (int64_t)(m.uordblks + m.hblkhd);
}

/* Places in any order go, as bits in a row say it, and what is there is at most twice what is left. */
static void test_left(void **state)
{
    (void)state;
    enum { COUNT = 997 };
    char done[(COUNT + 7) / 8] = {0}, says[sizeof(done)];
    struct segment_left l;
    for (uint32_t n = 0; n < COUNT; n += 3)
        done[n / 8] = (char)(done[n / 8] | 1 << n % 8);
    segment_left_init(&l, str_n(done, sizeof(done)), COUNT);
    for (uint32_t i = 0; i < l.n; i++)
        l.v[i].seq = 5000 + 2 * l.v[i].n, l.v[i].at = l.v[i].n % 5 == 1 ? LINE_MISSING : i;
    for (uint32_t i = 0, place = 0; i <= COUNT; i++, place = (place + 613) % COUNT) {
        uint32_t left = 0, next = COUNT;
        for (uint32_t n = COUNT; n-- > 0;) {
            bool is = !segment_is_done(str_n(done, sizeof(done)), n);
            next = is ? n : next;
            left += is;
            struct left_event *at = segment_left_at(&l, n), *from = segment_left_from(&l, n);
            struct left_event *seq = segment_left_seq(&l, 5000 + 2 * n);
            if (!at == is || (from ? from->n : COUNT) != next || !seq != (!is || n % 5 == 1))
                fail_msg("place %u after %u are gone", n, i);
        }
        assert_int_equal(l.left, left);
        assert_true(l.n <= 2 * left + 1);
        segment_left_done(&l, COUNT, says);
        assert_memory_equal(says, done, sizeof(done));
        if (!segment_left_at(&l, place))
            continue;
        segment_left_remove(&l, place);
        done[place / 8] = (char)(done[place / 8] | 1 << place % 8);
    }
    assert_int_equal(l.left, 0);
    segment_left_release(&l);
}

static void test_one_key_fails(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    one_key_fails(f, ROWS);
    for (int again = 0; again < 2; again++) { /* so it is when only one was left at the start */
        assert_int_equal(b->s->n_segments, SEGMENTS);
        int64_t full = in_use();
        restart(f);
        int64_t each = (full - in_use()) / SEGMENTS;
        print_message("%lld bytes for each segment with one event left\n", (long long)each);
        assert_true(each <= PER_EVENT);
        run_for(b, 60000);
        assert_int_equal(queued(b), SEGMENTS);
    }
    b->fake.key_answer[FAILS] = SEND_OK;
    run_for(b, 120000);
    assert_int_equal(check_order(&b->fake), SEGMENTS * ROWS);
    assert_int_equal(queued(b), 0);
    assert_int_equal(counted(b, segment_counter_key(1)), 0);
    assert_int_equal(counted(b, segment_lost_key(1)), 0);
    assert_int_equal(each_file(f, false), 0);
    assert_int_equal(b->s->n_segments, 0);
    segments_check(b->kv, finding, NULL);
}

/* Files are given up of which one key holds far more than is resolved at a time: taken out of the rows as they are found, and at
 * once. */
static void give_up(struct files *f, unsigned stay)
{
    struct bench *b = f->b;
    one_key_fails(f, 2);
    (void)each_file(f, true);
    if (stay > 0) {
        assert_true(put(b, HANGS));
        for (int i = 0; i < 100 && !window.out[0]; i++)
            (void)sender_step(b->s, now_ms());
        assert_int_equal(atomic_load(&b->s->sending), 1);
    }
    b->s->limits.after_ms = INT64_MAX / 4;
    b->fake.key_answer[FAILS] = SEND_OK;
    int64_t begin = now_ms();
    size_t most = 0;
    for (int i = 0; i < 1000 && queued(b) > stay; i++) {
        int64_t next = sender_step(b->s, now_ms());
        if (next > now_ms() && next < INT64_MAX)
            advance(next - now_ms());
        most = b->s->cap_out > most ? b->s->cap_out : most;
    }
    assert_int_equal(queued(b), stay);
    assert_in_range(now_ms() - begin, 0, BACKOFF_MAX_MS + 1000); /* its own wait, and nothing more */
    print_message("room for %zu resolved events\n", most);
    assert_true(most <= 2 * OUT_EVENTS + 96);
    int64_t lost = counted(b, segment_lost_key(1));
    assert_in_range(lost, SEGMENTS * ROWS / 2 - 1, SEGMENTS * ROWS / 2); /* its first event was in memory */
    assert_int_equal(check_order(&b->fake), SEGMENTS * ROWS - lost);
    assert_int_equal(counted(b, segment_counter_key(1)), 0);
    segments_check(b->kv, finding, NULL);
}

static void test_lane_given_up(void **state)
{
    give_up(*state, 0);
}

/* Nor does it wait for the answer to another. */
static void test_lane_given_up_window(void **state)
{
    struct files *f = *state;
    f->b->type = &window_type;
    restart(f);
    give_up(f, 1);
    f->b->type = &fake_type;
    restart(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_left),
        cmocka_unit_test_setup_teardown(test_one_key_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lane_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lane_given_up_window, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
