/* SPDX-License-Identifier: Apache-2.0
 *
 * Senders of every form under a receiver that does what chance says: takes, fails, refuses, is away, hangs, for all or for some
 * keys; with pauses, restarts, full dead letters and segments between. Whatever happens: no event goes out behind a later one
 * of its key that was confirmed, each is confirmed once or becomes a dead letter once, and nothing is left. BELFRY_CHANCE=n begins
 * with another seed and tries as many as BELFRY_CHANCES. */
#include "sender_help.h"

#include <dirent.h>
#include <unistd.h>

#define KEYS   24
#define EVENTS 20000
#define PLACES 6

enum mood { UP, DOWN, FLAKY, REFUSES, PICKY, MOODS };

static struct model {
    struct fake fake; /* first: its connect and disconnect are used */
    enum mood mood;
    uint64_t dice;
    unsigned floor[KEYS];  /* numbers below are confirmed, or were given up before one that is; number + 1 */
    unsigned handed[KEYS]; /* the highest that went out; number + 1 */
    bool ok[EVENTS];
    unsigned oks;
    bool one_per_key;
    struct bench *b;
    /* window form */
    struct event_ref ev[PLACES];
    int64_t until[PLACES];
    bool out[PLACES];
} * m;

static unsigned roll(unsigned n)
{
    m->dice = m->dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(m->dice >> 33) % n;
}

static unsigned key_of(const struct event_ref *ev)
{
    return number_in(ev->key, STR("k"));
}

static unsigned number_of(const struct event_ref *ev)
{
    return number_in(ev->record, STR("{\"n\":"));
}

static void handed_out(const struct event_ref *ev)
{
    unsigned key = key_of(ev), n = number_of(ev) + 1;
    if (n <= m->floor[key])
        fail_msg("event %u of k%u goes out behind %u, which is confirmed", n - 1, key, m->floor[key] - 1);
    if (m->one_per_key && n < m->handed[key])
        fail_msg("event %u of k%u goes out behind %u", n - 1, key, m->handed[key] - 1);
    if (n > m->handed[key])
        m->handed[key] = n;
}

static enum send_result result_of(const struct event_ref *ev)
{
    unsigned key = key_of(ev), d = roll(100);
    switch (m->mood) {
    case UP:
        return d < 95 ? SEND_OK : d < 98 ? SEND_RETRY : SEND_REJECT;
    case FLAKY:
        return d < 40 ? SEND_OK : d < 97 ? SEND_RETRY : SEND_REJECT;
    case REFUSES:
        return SEND_REJECT;
    case PICKY:
        return key % 5 == 0 ? SEND_RETRY : key % 5 == 1 ? SEND_REJECT : SEND_OK;
    default:
        return SEND_RETRY;
    }
}

static void answered(const struct event_ref *ev, enum send_result r)
{
    unsigned key = key_of(ev), number = number_of(ev);
    if (r != SEND_OK) {
        (void)snprintf(ev->why, SEND_WHY, "answer %d", (int)r);
        return;
    }
    if (m->ok[number])
        fail_msg("event %u is confirmed twice", number);
    m->ok[number] = true;
    m->oks++;
    if (number + 1 > m->floor[key])
        m->floor[key] = number + 1;
}

static int64_t names_a_time(void)
{
    return m->mood != UP && roll(50) == 0 ? (int64_t)roll(90000) : 0;
}

/* --- batch form --- */

static void chance_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                        int64_t deadline_ms, struct err *e)
{
    (void)self;
    (void)deadline_ms;
    size_t cut = !m->one_per_key && roll(4) == 0 ? roll((unsigned)n + 1) : n;
    for (size_t i = 0; i < n; i++)
        handed_out(&ev[i]);
    int64_t room = m->b->s->dead_limit - m->b->s->dead;
    bool stays[32] = {false};
    for (size_t i = 0; i < n; i++) {
        out[i] = i >= cut ? SEND_RETRY : result_of(&ev[i]);
        stays[i] = out[i] == SEND_RETRY || (out[i] == SEND_REJECT && room-- <= 0);
        /* behind one of its key that stays it has to come again, whatever becomes of it now */
        for (size_t k = 0; k < i && !m->one_per_key; k++)
            stays[i] = stays[i] || (stays[k] && key_of(&ev[k]) == key_of(&ev[i]));
        if (out[i] != SEND_OK)
            (void)err_set(e, "answer %d", (int)out[i]);
    }
    e->retry_after_ms = names_a_time();
    if (roll(2) == 0)
        queue_read_ahead(m->b->s);
    for (size_t i = 0; i < n; i++)
        if (out[i] != SEND_OK || !stays[i])
            answered(&ev[i], out[i]);
}

/* --- window form --- */

static void chance_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    (void)self;
    assert_true(place < PLACES && !m->out[place]);
    for (unsigned i = 0; i < PLACES; i++)
        assert_false(m->out[i] && str_eq(m->ev[i].key, ev->key));
    handed_out(ev);
    m->ev[place] = *ev;
    m->out[place] = true;
    m->until[place] = deadline_ms;
}

static size_t chance_poll(void *self, struct send_done *done, int64_t until_ms)
{
    (void)self;
    size_t n = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        bool late = m->out[i] && now_ms() >= m->until[i];
        if (!m->out[i] || (!late && roll(3) > 0))
            continue;
        enum send_result r = late ? SEND_RETRY : result_of(&m->ev[i]);
        answered(&m->ev[i], r);
        done[n++] = (struct send_done){i, r, r == SEND_OK ? 0 : names_a_time()};
        m->out[i] = false;
    }
    if (n == 0 && until_ms > now_ms())
        advance(1 + roll((unsigned)(until_ms - now_ms())));
    return n;
}

static void chance_wake(void *self)
{
    (void)self;
}

static void chance_disconnect(void *self)
{
    ((struct fake *)self)->disconnects++;
    memset(m->out, 0, sizeof(m->out));
}

#define FORM \
    .name = "fake", .subsys = "notify_fake", .connect = fake_connect, .disconnect = chance_disconnect, \
    .close = fake_close
static const struct target_type forms[] = {
    {FORM, .max_batch = 16, .one_per_key = true, .send = chance_send},
    {FORM, .max_batch = 32, .whole_batch = true, .send = chance_send},
    {FORM, .max_batch = PLACES, .one_per_key = true, .begin = chance_begin, .poll = chance_poll,
     .wake = chance_wake},
};

/* --- what happens --- */

struct run {
    struct bench *b;
    char dir[64], folder[128];
};

static void start(struct run *r)
{
    struct err e = {0};
    bench_start(r->b);
    r->b->s->self = m;
    r->b->s->rng = m->dice;
    r->b->s->limits = (struct segment_limits){.rows = 10, .keep = 20, .after_ms = 1000};
    assert_true(segments_clean_start(r->b->s, &e));
}

static void end(struct run *r)
{
    struct sender *s = r->b->s;
    atomic_store(&s->stop_ms, now_ms() + roll(3000));
    if (s->places)
        window_drain(s);
    assert_int_equal(s->n_out, 0);
    bench_stop(r->b);
}

static void pause_or_resume(struct bench *b)
{
    atomic_store(&b->s->paused, roll(2));
    sender_look_again(b->s);
}

static void something(struct run *r)
{
    struct bench *b = r->b;
    m->mood = (enum mood)roll(MOODS);
    m->fake.down = m->mood == DOWN && roll(2);
    if (roll(4) == 0)
        pause_or_resume(b);
    if (roll(6) == 0) {
        end(r);
        start(r);
    }
    if (roll(3) == 0)
        b->s->dead_limit = 1 + roll(4) * roll(40);
    unsigned few = roll(2) ? KEYS : 1 + roll(KEYS);
    for (unsigned i = roll(8) ? roll(80) : roll(3000); i > 0 && b->put < EVENTS; i--)
        assert_true(put(b, roll(few)));
    run_for(b, roll(6) ? roll(20000) : roll(1800000));
    assert_true(sender_settled(b->s));
}

static size_t files(const struct run *r)
{
    size_t n = 0;
    DIR *d = opendir(r->folder);
    for (struct dirent *x; d && (x = readdir(d));)
        n += x->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}

static void say(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("%s", text);
}

static void all_well(struct run *r)
{
    struct bench *b = r->b;
    m->mood = UP;
    m->fake.down = false;
    atomic_store(&b->s->paused, false);
    sender_look_again(b->s);
    b->s->dead_limit = EVENTS;
    run_for(b, 4 * RETRY_AFTER_MAX);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'q'), 0);
    assert_int_equal(m->oks + rows_with(b, 'd'), b->put);
    end(r);
    start(r); /* removes what was left for that */
    assert_int_equal(files(r), 0);
    segments_check(b->kv, say, NULL);
}

static void one_run(const struct target_type *form, bool segments, unsigned seed)
{
    struct run r = {0};
    void *b;
    m = calloc(1, sizeof(*m));
    m->dice = seed;
    m->one_per_key = form->one_per_key;
    (void)bench_setup(&b);
    r.b = m->b = b;
    bench_stop(r.b);
    r.b->type = form;
    (void)snprintf(r.dir, sizeof(r.dir), "%.30s/belfry-chance-XXXXXX", temp_dir());
    assert_non_null(mkdtemp(r.dir));
    (void)snprintf(r.folder, sizeof(r.folder), "%s/belfry-fake-t", r.dir);
    if (segments)
        r.b->conf.queue_dir = r.dir;
    start(&r);
    for (int i = segments ? 8 : 40; i > 0; i--) /* files are synced, one after the other */
        something(&r);
    all_well(&r);
    (void)rmdir(r.folder);
    (void)rmdir(r.dir);
    (void)bench_teardown(&b);
    free(m);
}

static unsigned from_env(const char *name, unsigned otherwise)
{
    const char *z = getenv(name);
    return z ? (unsigned)strtoul(z, NULL, 10) : otherwise;
}

static void try_all(const struct target_type *form, bool segments)
{
    unsigned seed = from_env("BELFRY_CHANCE", 1), n = from_env("BELFRY_CHANCES", segments ? 1 : 6);
    for (unsigned i = 0; i < n; i++) {
        print_message("seed %u\n", seed + i);
        one_run(form, segments, seed + i);
    }
}

static void test_batches(void **state)
{
    (void)state;
    try_all(&forms[0], false);
}

static void test_whole_batches(void **state)
{
    (void)state;
    try_all(&forms[1], false);
}

static void test_windows(void **state)
{
    (void)state;
    try_all(&forms[2], false);
}

static void test_segments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
        try_all(&forms[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_whole_batches),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_segments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
