/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings changed while events are queued and sent, over rows in memory: what the change promises in delivery.h. */
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "config/store.h"
#include "event/delivery_impl.h"
#include "receiver.h"
#include "subsys.h"

#define WEBHOOK STR("webhook")
#define KEYS    4

struct house {
    struct kv *kv;
    struct config *c;
    struct delivery *d;
    struct receiver r;
};

static void apply(void *ctx, const struct config_stored *now)
{
    struct house *h = ctx;
    struct err e;
    if (!delivery_reconfigure(h->d, now, &e))
        fail_msg("%s", e.text);
}

static void open_house(struct house *h)
{
    struct err e;
    h->c = config_open(h->kv, subsys_table(), &e);
    assert_non_null(h->c);
    struct config_stored *now = config_snapshot(h->c);
    struct delivery_options o = {.region = STR("eu"), .settings = now};
    h->d = delivery_open(h->kv, &o, &e);
    config_stored_free(now);
    assert_non_null(h->d);
    config_on_change(h->c, apply, h);
    delivery_start(h->d);
}

static void close_house(struct house *h)
{
    delivery_stop(h->d, clock_mono_ms() + 2000);
    delivery_free(h->d);
    config_close(h->c);
}

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    h->kv = kv_open_memory();
    receiver_start(&h->r);
    open_house(h);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    close_house(h);
    kv_close(h->kv);
    receiver_stop(&h->r);
    free(h);
    return 0;
}

static void set(struct house *h, const char *id, const char *rest)
{
    char text[256];
    struct err e;
    (void)snprintf(text, sizeof(text), "notify_webhook:%s endpoint=http://127.0.0.1:%u/%s %s", id, h->r.port,
                   id, rest);
    if (config_set(h->c, str_c(text), &e) != CONFIG_OK)
        fail_msg("%s: %s", text, e.text);
}

static void reset(struct house *h, const char *target)
{
    struct err e;
    if (config_del(h->c, str_c(target), &e) != CONFIG_OK)
        fail_msg("%s: %s", target, e.text);
}

static bool find_info(struct house *h, const char *id, struct target_info *out)
{
    struct target_info all[8];
    size_t n = delivery_info(h->d, all, 8);
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].id, id) == 0) {
            *out = all[i];
            return true;
        }
    return false;
}

static struct target_info info(struct house *h, const char *id)
{
    struct target_info t = {0};
    if (!find_info(h, id, &t))
        fail_msg("no target %s", id);
    return t;
}

static void await_empty(struct house *h, const char *id)
{
    int64_t until = clock_mono_ms() + 30000;
    while (info(h, id).queued > 0)
        if (clock_mono_ms() > until)
            fail_msg("%s is never empty: %s", id, info(h, id).reason);
}

/* --- one event, as a request queues it ------------------------------------------------------------------------------- */

struct putting {
    struct house *h;
    struct target_set set;
    uint64_t generation;
    unsigned n;
    const char *key;
};

static bool put_txn(struct kv_txn *t, void *ctx)
{
    struct putting *p = ctx;
    char record[64];
    (void)snprintf(record, sizeof(record), "{\"sequencer\":\"0000000000000000\",\"n\":\"%06u\"}", p->n);
    struct outbox_event ev = {.name = EVENT_CREATED_PUT,
                              .bucket = STR("b"),
                              .key = str_c(p->key),
                              .record = str_c(record),
                              .seq_at = 14,
                              .targets = &p->set};
    if (delivery_generation(p->h->d) != p->generation || !outbox_txn_admits(t, p->h->d, &p->set))
        return false;
    uint64_t seq = kv_txn_sequence(t);
    outbox_txn_put(t, p->h->d, &ev, seq, seq);
    return true;
}

/* Queues the event for those of the targets that are enabled: a bit for each. */
static unsigned put(struct house *h, unsigned n, const char *key)
{
    static const struct str ids[] = {{"a", 1}, {"b", 1}};
    struct putting p = {.h = h, .n = n, .key = key};
    enum kv_outcome o;
    unsigned got;
    do {
        got = 0;
        p.set.n = 0;
        p.generation = delivery_generation(h->d);
        for (unsigned i = 0; i < 2; i++)
            if (delivery_resolve(h->d, ids[i], WEBHOOK, &p.set.number[p.set.n])) {
                p.set.n++;
                got |= 1u << i;
            }
        o = kv_commit_wait(h->kv, put_txn, &p, 0);
    } while (o == KV_ABORTED);
    assert_int_equal(o, KV_COMMITTED);
    return got;
}

/* --- tests ------------------------------------------------------------------------------------------------------------ */

static void test_add_and_remove(void **state)
{
    struct house *h = *state;
    uint32_t n, again;
    struct target_info i;
    uint64_t g = delivery_generation(h->d);
    assert_false(delivery_resolve(h->d, STR("a"), WEBHOOK, &n));
    set(h, "a", "");
    assert_int_equal(delivery_generation(h->d), g + 1);
    assert_true(delivery_resolve(h->d, STR("a"), WEBHOOK, &n));
    assert_int_equal(put(h, 1, "k0"), 1);
    assert_true(receiver_await(&h->r, 1));
    await_empty(h, "a");
    assert_int_equal(info(h, "a").sent, 1);
    /* the same once more changes nothing */
    set(h, "a", "");
    assert_int_equal(delivery_generation(h->d), g + 1);
    /* other settings: the same number, and what was counted stays counted */
    set(h, "a", "comment=new");
    assert_int_equal(delivery_generation(h->d), g + 2);
    assert_true(delivery_resolve(h->d, STR("a"), WEBHOOK, &again) && again == n);
    assert_int_equal(info(h, "a").sent, 1);
    assert_int_equal(info(h, "a").accepted, 1);
    reset(h, "notify_webhook:a");
    assert_false(delivery_resolve(h->d, STR("a"), WEBHOOK, &again));
    assert_false(find_info(h, "a", &i));
    assert_int_equal(put(h, 2, "k0"), 0);
}

/* Wrong and right again, off and on again: what was queued waits, is shown, and goes out in the end. */
static void test_nothing_is_lost(void **state)
{
    struct house *h = *state;
    struct err e;
    set(h, "a", "");
    receiver_stop(&h->r); /* unreachable: not a reason to refuse anything */
    set(h, "a", "comment=1");
    assert_int_equal(put(h, 1, "k0"), 1);
    set(h, "a", "comment=2");
    assert_int_equal(put(h, 2, "k0"), 1);
    assert_int_equal(info(h, "a").queued, 2);
    set(h, "a", "enable=off");
    assert_int_equal(info(h, "a").status, TARGET_OFF);
    assert_int_equal(info(h, "a").queued, 2);
    assert_true(info(h, "a").oldest_ns > 0);
    assert_int_equal(put(h, 3, "k0"), 0);
    reset(h, "notify_webhook:a");
    assert_int_equal(info(h, "a").queued, 2);
    close_house(h);
    receiver_start(&h->r);
    open_house(h);
    assert_int_equal(info(h, "a").status, TARGET_OFF);
    set(h, "a", "");
    assert_true(receiver_await(&h->r, 2));
    await_empty(h, "a");
    assert_int_equal(config_set(h->c, STR("notify_webhook:a queue_limit=x"), &e), CONFIG_REFUSED);
    assert_int_equal(put(h, 4, "k0"), 1);
    assert_true(receiver_await(&h->r, 3));
}

/* Settings of another release that are not understood: only that target suffers, its events wait. */
static void test_bad_at_start(void **state)
{
    struct house *h = *state;
    setenv("MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT_a", "many", 1);
    close_house(h);
    open_house(h);
    set(h, "b", "");
    struct err e;
    assert_int_equal(config_set(h->c, STR("notify_webhook:a endpoint=http://h"), &e), CONFIG_REFUSED);
    setenv("MINIO_NOTIFY_WEBHOOK_ENABLE_a", "on", 1);
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_a", "http://h", 1);
    set(h, "b", "comment=1");
    assert_int_equal(info(h, "a").status, TARGET_BROKEN);
    assert_non_null(strstr(info(h, "a").reason, "MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT_a is 'many'"));
    assert_int_equal(put(h, 1, "k0"), 3);
    assert_true(receiver_await(&h->r, 1));
    assert_int_equal(info(h, "a").queued, 1);
    unsetenv("MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT_a");
    unsetenv("MINIO_NOTIFY_WEBHOOK_ENABLE_a");
    unsetenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_a");
    set(h, "a", "");
    assert_true(receiver_await(&h->r, 2));
    await_empty(h, "a");
}

/* A receiver that hangs holds the change for seconds at most, and no queueing at all. */
static void test_hanging_receiver(void **state)
{
    struct house *h = *state;
    set(h, "a", "");
    (void)put(h, 1, "hang");
    assert_true(receiver_await(&h->r, 1));
    int64_t begin = clock_mono_ms();
    set(h, "a", "comment=1");
    assert_true(clock_mono_ms() - begin < 8000);
    assert_true(receiver_await(&h->r, 2)); /* what was unclear is sent again */
    assert_int_equal(put(h, 2, "k0"), 1);
    assert_int_equal(info(h, "a").queued, 2);
}

/* --- under load ------------------------------------------------------------------------------------------------------- */

struct load {
    struct house *h;
    _Atomic unsigned limit, done;
    unsigned char got[4096]; /* targets that event n was queued for */
};

static void *load_run(void *arg)
{
    struct load *l = arg;
    for (unsigned n = 0; n < sizeof(l->got); n++) {
        char key[8];
        while (n >= atomic_load(&l->limit))
            sched_yield();
        if (atomic_load(&l->limit) == UINT32_MAX)
            break;
        (void)snprintf(key, sizeof(key), "k%u", n % KEYS);
        l->got[n] = (unsigned char)put(l->h, n, key);
        atomic_store(&l->done, n + 1);
    }
    return NULL;
}

static void more(struct load *l, unsigned n)
{
    unsigned limit = atomic_load(&l->limit) + n;
    atomic_store(&l->limit, limit);
    while (atomic_load(&l->done) + n / 2 < limit)
        sched_yield();
}

/* All of the target's events came, once, and those of each key in the order of their commits: the receiver answers in time, so
 * that no sender is stopped before it knows. */
static void check_order(struct house *h, const struct load *l, const char *path, unsigned bit)
{
    unsigned char seen[4096] = {0};
    unsigned next[KEYS] = {0}, all = atomic_load(&l->done);
    mutex_lock(&h->r.mutex);
    for (unsigned i = 0; i < h->r.n_requests; i++) {
        const char *at = strstr(h->r.request[i], "\"n\":\"");
        if (!at || strncmp(h->r.request[i], path, strlen(path)) != 0)
            continue;
        unsigned n = (unsigned)strtoul(at + 5, NULL, 10), *expect = &next[n % KEYS];
        if (seen[n]++)
            continue;
        while (*expect < n && (*expect % KEYS != n % KEYS || !(l->got[*expect] & bit)))
            ++*expect;
        assert_int_equal(*expect, n);
        ++*expect;
    }
    mutex_unlock(&h->r.mutex);
    for (unsigned n = 0; n < all; n++)
        assert_int_equal(seen[n], (l->got[n] & bit) != 0);
}

static void test_under_load(void **state)
{
    struct house *h = *state;
    struct load *l = calloc(1, sizeof(*l));
    struct arena a;
    l->h = h;
    set(h, "a", "");
    pthread_t t = thread_start("load", load_run, l);
    for (unsigned i = 0; i < 6; i++) {
        char rest[64];
        struct target_info all[8];
        struct str *arns;
        more(l, 60);
        (void)snprintf(rest, sizeof(rest), "queue_limit=%u", 100000 + i);
        set(h, "a", rest);
        more(l, 30);
        set(h, "b", i % 2 ? "enable=off" : "");
        more(l, 30);
        arena_init(&a);
        assert_int_equal(delivery_arns(h->d, &a, &arns), 2 - i % 2);
        assert_true(delivery_info(h->d, all, 8) >= 1);
        arena_release(&a);
    }
    set(h, "b", "");
    more(l, 60);
    while (atomic_load(&l->done) < atomic_load(&l->limit))
        sched_yield();
    atomic_store(&l->limit, UINT32_MAX);
    thread_join(t);
    await_empty(h, "a");
    await_empty(h, "b");
    check_order(h, l, "POST /a", 1);
    check_order(h, l, "POST /b", 2);
    free(l);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_add_and_remove), CASE(test_nothing_is_lost),  CASE(test_bad_at_start),
        CASE(test_under_load),     CASE(test_hanging_receiver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
