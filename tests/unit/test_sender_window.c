/* SPDX-License-Identifier: Apache-2.0
 *
 * A sender over a kind of the window form: what is out, what each answer means, and what goes out next. */
#include "sender_help.h"

#define PLACES 4

/* The target: events wait in places until the test answers them. */
struct window {
    struct fake fake; /* first: connect and disconnect are its */
    struct event_ref ev[PLACES];
    bool out[PLACES];
    struct send_done done[PLACES];
    size_t n_done, n_begun;
};
static struct window *the_window;

static void window_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    (void)self;
    (void)deadline_ms;
    struct window *w = the_window;
    assert_true(place < PLACES && !w->out[place]);
    for (unsigned i = 0; i < PLACES; i++) /* never two of a key */
        assert_false(w->out[i] && str_eq(w->ev[i].key, ev->key));
    w->ev[place] = *ev;
    w->out[place] = true;
    w->n_begun++;
}

static size_t window_poll(void *self, struct send_done *done, int64_t until_ms)
{
    (void)self;
    struct window *w = the_window;
    size_t n = w->n_done;
    memcpy(done, w->done, n * sizeof(*done));
    w->n_done = 0;
    if (n == 0 && until_ms > now_ms()) /* nobody answers meanwhile */
        atomic_store(&fake_now_ns, until_ms * 1000000);
    return n;
}

static void window_wake(void *self)
{
    (void)self;
}

static const struct target_type window_type = {.name = "fake",
                                               .subsys = "notify_fake",
                                               .max_batch = PLACES,
                                               .one_per_key = true,
                                               .connect = fake_connect,
                                               .begin = window_begin,
                                               .poll = window_poll,
                                               .wake = window_wake,
                                               .disconnect = fake_disconnect,
                                               .close = fake_close};

static int setup(void **state)
{
    assert_int_equal(bench_setup(state), 0);
    struct bench *b = *state;
    bench_stop(b);
    b->type = &window_type;
    the_window = calloc(1, sizeof(*the_window));
    bench_start(b);
    return 0;
}

static int teardown(void **state)
{
    int rc = bench_teardown(state);
    free(the_window);
    return rc;
}

/* The number of the key's event that is out; -1: none is. */
static int out_of(unsigned key)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (the_window->out[i] && number_in(the_window->ev[i].key, STR("k")) == key)
            return (int)number_in(the_window->ev[i].record, STR("{\"n\":"));
    return -1;
}

static void answer(unsigned key, enum send_result r, int64_t retry_after_ms)
{
    struct window *w = the_window;
    for (unsigned i = 0; i < PLACES; i++) {
        if (!w->out[i] || number_in(w->ev[i].key, STR("k")) != key)
            continue;
        w->done[w->n_done++] = (struct send_done){i, r, retry_after_ms};
        w->out[i] = false;
        if (r != SEND_OK)
            (void)snprintf(w->ev[i].why, SEND_WHY, "answer %d", (int)r);
        return;
    }
    fail_msg("nothing of k%u is out", key);
}

static void step(struct bench *b)
{
    (void)sender_step(b->s, now_ms());
}

/* one key's answer does not come: its place is all that it takes, and its later events wait for it */
static void test_a_hanging_key(void **state)
{
    struct bench *b = *state;
    put(b, 0);
    put(b, 0);
    for (unsigned i = 0; i < 40; i++)
        put(b, 1 + i % 5);
    step(b);
    for (unsigned i = 0; i < 40; i++) {
        unsigned key = 1;
        while (key < 6 && out_of(key) < 0)
            key++;
        if (key == 6)
            break;
        answer(key, SEND_OK, 0);
        step(b);
        step(b);
        assert_int_equal(out_of(0), 0);
    }
    step(b);
    assert_int_equal(queued(b), 2);
    answer(0, SEND_OK, 0);
    step(b);
    step(b);
    assert_int_equal(out_of(0), 1);
}

/* a failure waits for the others: one goes through, and only its key waits, as long as it was told */
static void test_a_failure_among_others(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 3; i++)
        put(b, i);
    step(b);
    answer(0, SEND_RETRY, 60000);
    int64_t before = now_ms();
    step(b);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    answer(1, SEND_OK, 0);
    step(b);
    assert_int_equal(b->s->n_lanes, 1);
    assert_true(b->s->lanes[0].next_try_ms >= before + 60000);
    assert_true(b->s->retry_at_ms <= now_ms());
    assert_int_equal(out_of(2), 2);
    put(b, 3); /* others do not wait with it */
    step(b);
    assert_int_equal(out_of(3), 3);
    assert_int_equal(b->fake.disconnects, 0);
}

/* none goes through: the target is down, and every event keeps its place */
static void test_all_fail(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 3; i++)
        put(b, i);
    step(b);
    for (unsigned i = 0; i < 3; i++)
        answer(i, SEND_RETRY, i == 1 ? 5000 : 0);
    step(b);
    assert_int_equal(b->s->status, TARGET_OFFLINE);
    assert_int_equal(b->s->n_lanes, 0);
    assert_int_equal(b->fake.disconnects, 1);
    assert_true(b->s->retry_at_ms >= now_ms() + 5000);
    advance(5000 + BACKOFF_MAX_MS);
    step(b);
    assert_int_equal(the_window->n_begun, 6);
    for (unsigned i = 0; i < 3; i++)
        answer(i, SEND_OK, 0);
    step(b);
    step(b);
    assert_int_equal(queued(b), 0);
}

/* others that answer nothing: the key that failed is tried again without them */
static void test_a_failure_beside_silence(void **state)
{
    struct bench *b = *state;
    put(b, 0);
    put(b, 1);
    step(b);
    answer(0, SEND_RETRY, 0);
    for (unsigned i = 0; i < 20 && out_of(0) < 0; i++)
        step(b);
    assert_int_equal(out_of(0), 0);
    assert_int_equal(out_of(1), 1);
    assert_int_equal(b->s->lanes[0].failures,
                     0); /* nothing went through meanwhile: it is not this event's fault */
}

/* keys that have failed leave half of the places to the others */
static void test_failed_keys_and_others(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < PLACES; i++)
        put(b, i);
    put(b, 9);
    step(b);
    for (unsigned i = 1; i < PLACES; i++)
        answer(i, SEND_RETRY, 0);
    answer(0, SEND_OK, 0);
    step(b);
    assert_int_equal(b->s->n_lanes, 3);
    for (unsigned i = 10; i < 20; i++)
        put(b, i);
    advance(1000);
    step(b);
    unsigned failed = 0, others = 0;
    for (unsigned key = 0; key < 20; key++) {
        failed += out_of(key) >= 0 && key < PLACES;
        others += out_of(key) >= 0 && key >= PLACES;
    }
    assert_int_equal(others, PLACES / 2);
    assert_int_equal(failed, PLACES / 2);
}

/* with settings that leave the kind fewer places, no more than those are out */
static void test_fewer_places(void **state)
{
    struct bench *b = *state;
    bench_stop(b);
    b->places = 2;
    bench_start(b);
    for (unsigned i = 0; i < 6; i++)
        put(b, i);
    for (unsigned i = 0; i < 6; i++) {
        step(b);
        assert_true(out_of(i) >= 0);
        assert_int_equal(b->s->n_used, i < 5 ? 2 : 1);
        assert_true(!the_window->out[2] && !the_window->out[3]);
        answer(i, SEND_OK, 0);
        step(b);
    }
    step(b);
    assert_int_equal(the_window->n_begun, 6);
    assert_int_equal(queued(b), 0);
}

/* every lane is taken: what fails then stays in the window, and goes out before what is behind it */
static void test_a_failure_without_a_lane(void **state)
{
    struct bench *b = *state;
    for (unsigned key = 0; b->s->n_lanes < PLACES; key += 2) {
        put(b, key);
        put(b, key + 1);
        step(b);
        answer(key, SEND_RETRY, 60000);
        answer(key + 1, SEND_OK, 0);
        step(b);
    }
    for (unsigned key = 10; key < 13; key++)
        put(b, key);
    step(b);
    int first = out_of(10);
    assert_true(first >= 0);
    answer(10, SEND_RETRY, 0);
    answer(11, SEND_OK, 0);
    step(b);
    assert_int_equal(b->s->n_lanes, PLACES);
    put(b, 10);
    advance(1000);
    step(b);
    assert_int_equal(out_of(10), first);
}

/* more than the window holds, answered in any order, some of it only the second time: each event once, in order per key */
static void test_a_long_backlog(void **state)
{
    enum { KEYS = 37, EVENTS = 2 * WINDOW_EVENTS + 500 };
    struct bench *b = *state;
    int last[KEYS];
    unsigned failed = 0, done = 0, dice = 1;
    for (unsigned i = 0; i < KEYS; i++)
        last[i] = -1;
    for (unsigned i = 0; i < EVENTS; i++)
        put(b, i % KEYS);
    for (unsigned round = 0; done < EVENTS && round < 100 * EVENTS; round++) {
        step(b);
        dice = dice * 1103515245 + 12345;
        unsigned key = dice >> 16;
        for (unsigned i = 0; i < KEYS && out_of(key % KEYS) < 0; i++)
            key++;
        int number = out_of(key % KEYS);
        if (number < 0) { /* all that is left has to wait */
            advance(1000);
            continue;
        }
        assert_int_equal(number, last[key % KEYS] < 0 ? (int)(key % KEYS) : last[key % KEYS] + KEYS);
        bool fails = (dice >> 8) % 16 == 0;
        answer(key % KEYS, fails ? SEND_RETRY : SEND_OK, 0);
        failed += fails;
        done += !fails;
        last[key % KEYS] = fails ? last[key % KEYS] : number;
    }
    for (int i = 0; i < 10 && queued(b) > 0; i++)
        step(b);
    assert_int_equal(done, EVENTS);
    assert_true(failed > 0);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'q'), 0);
}

/* As if a removal of so many events were being written. */
static void removal_of(struct bench *b, size_t n)
{
    mutex_lock(&b->s->mutex);
    b->s->removing = n > 0;
    b->s->removal.n = n;
    mutex_unlock(&b->s->mutex);
}

/* What is out, resolved or on its way out of the rows comes again after a crash: three times the places, and no event more. */
static void test_a_slow_removal(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 20; i++)
        put(b, i);
    removal_of(b, 2 * PLACES);
    step(b);
    assert_int_equal(the_window->n_begun, PLACES);
    answer(0, SEND_OK, 0);
    step(b); /* its answer is taken */
    for (int i = 0; i < 3; i++)
        step(b);
    assert_int_equal(the_window->n_begun, PLACES);
    removal_of(b, 0);
    step(b);
    assert_true(the_window->n_begun > PLACES);
}

/* A kind with more places than a removal has events, which answers a few at a time, first come, first served. */
enum { MANY = 4096, FEW = 128 };
static unsigned line[MANY], line_at, n_line, most_out;
static void many_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    (void)self;
    (void)ev;
    (void)deadline_ms;
    assert_true(place < MANY && n_line < MANY);
    line[(line_at + n_line++) % MANY] = place;
    most_out = n_line > most_out ? n_line : most_out;
}

static size_t many_poll(void *self, struct send_done *done, int64_t until_ms)
{
    (void)self;
    (void)until_ms;
    size_t n = 0;
    for (; n < FEW && n_line > 0; n++, n_line--) {
        done[n] = (struct send_done){line[line_at], SEND_OK, 0};
        line_at = (line_at + 1) % MANY;
    }
    return n;
}

/* all places are used, as many events again are at hand, and what is resolved does not wait for as many to be removed */
static void test_many_places(void **state)
{
    struct bench *b = *state;
    enum { EVENTS = 3 * MANY };
    struct target_type type = window_type;
    type.max_batch = MANY;
    type.begin = many_begin;
    type.poll = many_poll;
    bench_stop(b);
    b->type = &type;
    bench_start(b);
    for (unsigned i = 0; i < EVENTS; i++)
        put(b, i);
    size_t most = 0, most_resolved = 0;
    for (unsigned i = 0; i < 4 * EVENTS / FEW && queued(b) > 0; i++) {
        step(b);
        assert_true(b->s->n_window <= 2 * MANY);
        most = b->s->n_window > most ? b->s->n_window : most;
        most_resolved = b->s->n_out > most_resolved ? b->s->n_out : most_resolved;
    }
    assert_int_equal(queued(b), 0);
    assert_int_equal(most_out, MANY);
    assert_int_equal(most, 2 * MANY);
    assert_true(most_resolved < REMOVE_EVENTS + FEW);
    bench_stop(b); /* before its type goes */
}

/* a key that floods the window is parked, also where its bytes fill the window before its events do */
static unsigned n_others, n_flood;
static void count_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    many_begin(self, place, ev, deadline_ms);
    if (number_in(ev->key, STR("k")) == 0)
        n_flood++;
    else
        n_others++;
}

static void test_flood_of_large_events(void **state)
{
    struct bench *b = *state;
    struct target_type type = window_type;
    type.max_batch = MANY;
    type.begin = count_begin;
    type.poll = many_poll;
    line_at = n_line = n_others = n_flood = 0;
    bench_stop(b);
    b->type = &type;
    bench_start(b);
    b->padding = 5000;
    for (unsigned i = 0; i < 3000; i++)
        put(b, 0);
    for (unsigned i = 1; i <= 60; i++)
        put(b, i);
    for (unsigned i = 0; i < 6000 && n_others < 60; i++)
        step(b);
    assert_int_equal(n_others, 60);
    assert_true(n_flood < 100);
    bench_stop(b); /* before its type goes */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_a_hanging_key),
        CASE(test_fewer_places),
        CASE(test_a_failure_among_others),
        CASE(test_all_fail),
        CASE(test_a_failure_beside_silence),
        CASE(test_failed_keys_and_others),
        CASE(test_a_failure_without_a_lane),
        CASE(test_a_long_backlog),
        CASE(test_a_slow_removal),
        CASE(test_many_places),
        CASE(test_flood_of_large_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
