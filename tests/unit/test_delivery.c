/* SPDX-License-Identifier: Apache-2.0
 *
 * Delivery as a whole over rows in memory: targets out of the environment, senders with their threads, a receiver that is
 * there or not. */
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "event/delivery_impl.h"
#include "receiver.h"

struct house {
    struct kv *kv;
    struct delivery *d;
    struct receiver r;
};

static void clear_env(void)
{
    extern char **environ;
    for (size_t i = 0; environ[i];) {
        struct str var = str_c(environ[i]);
        if (str_find(var, STR("_NOTIFY_WEBHOOK_")) > 0) {
            char *name = str_dupz(str_head(var, (size_t)str_chr(var, '=')));
            unsetenv(name);
            free(name);
        } else {
            i++;
        }
    }
}

static void set_target(const char *id, const char *key, const char *value)
{
    char name[128];
    (void)snprintf(name, sizeof(name), "MINIO_NOTIFY_WEBHOOK_%s%s%s", key, *id ? "_" : "", id);
    setenv(name, value, 1);
}

static void enable(struct house *h, const char *id)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s", h->r.port, id);
    set_target(id, "ENABLE", "on");
    set_target(id, "ENDPOINT", url);
}

static void open_delivery(struct house *h)
{
    struct err e = {0};
    struct delivery_options o = {.region = STR("eu")};
    h->d = delivery_open(h->kv, &o, &e);
    if (!h->d)
        fail_msg("%s", e.text);
}

static void close_delivery(struct house *h)
{
    delivery_stop(h->d, clock_mono_ms() + 2000);
    delivery_free(h->d);
    h->d = NULL;
}

static int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    clear_env();
    h->kv = kv_open_memory();
    receiver_start(&h->r);
    *state = h;
    return 0;
}

static int teardown(void **state)
{
    struct house *h = *state;
    if (h->d)
        close_delivery(h);
    kv_close(h->kv);
    receiver_stop(&h->r);
    clear_env();
    free(h);
    return 0;
}

struct putting {
    struct house *h;
    const struct target_set *set;
    const char *key;
};

static bool put_txn(struct kv_txn *t, void *ctx)
{
    struct putting *p = ctx;
    char record[64] = "{\"sequencer\":\"0000000000000000\"}";
    struct outbox_event ev = {.name = EVENT_CREATED_PUT,
                              .bucket = STR("b"),
                              .key = str_c(p->key),
                              .record = str_c(record),
                              .seq_at = 14,
                              .targets = p->set};
    uint64_t seq = kv_txn_sequence(t);
    outbox_txn_put(t, p->h->d, &ev, seq, 0x18EAC8FD489CBB8C);
    return true;
}

static void put(struct house *h, uint32_t number, const char *key)
{
    struct target_set set = {.n = 1, .number = {number}};
    struct putting p = {h, &set, key};
    assert_int_equal(kv_commit_wait(h->kv, put_txn, &p, 0), KV_COMMITTED);
}

static struct target_info info(struct house *h, const char *id)
{
    struct target_info all[8];
    size_t n = delivery_info(h->d, all, 8);
    for (size_t i = 0; i < n; i++)
        if (strcmp(all[i].id, id) == 0)
            return all[i];
    fail_msg("no target %s", id);
    return all[0];
}

/* Until the queue of a target is empty and its removal written. */
static void await_empty(struct house *h, const char *id)
{
    int64_t until = clock_mono_ms() + 20000;
    while (info(h, id).queued > 0)
        if (clock_mono_ms() > until)
            fail_msg("%s is never empty: %s", id, info(h, id).reason);
}

static void test_numbers_are_for_ever(void **state)
{
    struct house *h = *state;
    uint32_t one, two, again;
    enable(h, "");
    enable(h, "two");
    open_delivery(h);
    assert_true(delivery_resolve(h->d, STR("_"), STR("webhook"), &one));
    assert_true(delivery_resolve(h->d, STR("two"), STR("webhook"), &two));
    assert_int_not_equal(one, two);
    assert_false(delivery_resolve(h->d, STR("three"), STR("webhook"), &again));
    assert_false(delivery_resolve(h->d, STR("two"), STR("amqp"), &again));
    struct arena a;
    struct str *arns;
    arena_init(&a);
    assert_int_equal(delivery_arns(h->d, &a, &arns), 2);
    assert_true(str_eq(arns[0], STR("arn:minio:sqs:eu:_:webhook")));
    assert_true(str_eq(arns[1], STR("arn:minio:sqs:eu:two:webhook")));
    arena_release(&a);
    close_delivery(h);
    clear_env();
    enable(h, "first-by-name");
    enable(h, "two");
    open_delivery(h);
    assert_true(delivery_resolve(h->d, STR("two"), STR("webhook"), &again));
    assert_int_equal(again, two);
    assert_true(delivery_resolve(h->d, STR("first-by-name"), STR("webhook"), &again));
    assert_true(again != one && again != two);
}

static void test_delivers(void **state)
{
    struct house *h = *state;
    uint32_t n;
    char key[16];
    enable(h, "a");
    open_delivery(h);
    delivery_start(h->d);
    assert_true(delivery_resolve(h->d, STR("a"), STR("webhook"), &n));
    for (int i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof(key), "k-%d.", i);
        put(h, n, key);
    }
    assert_true(receiver_await(&h->r, 300));
    await_empty(h, "a");
    for (int i = 0; i < 300; i++) {
        (void)snprintf(key, sizeof(key), "b/k-%d.", i);
        assert_non_null(receiver_find(&h->r, key));
    }
    assert_non_null(receiver_find(&h->r, "\"sequencer\":\"18EAC8FD489CBB8C\""));
    assert_int_equal(receiver_requests(&h->r), 300);
    struct target_info i = info(h, "a");
    assert_int_equal(i.status, TARGET_ONLINE);
    assert_int_equal(i.sent, 300);
    assert_int_equal(i.queued_bytes, 0);
    assert_string_equal(i.arn, "arn:minio:sqs:eu:a:webhook");
}

/* A target with a wrong setting sends nothing and says why; its events wait, and go out once it is right. */
static void test_broken_settings(void **state)
{
    struct house *h = *state;
    uint32_t bad, good;
    enable(h, "good");
    set_target("bad", "ENABLE", "on");
    set_target("bad", "ENDPOINT", "nonsense");
    open_delivery(h);
    delivery_start(h->d);
    assert_true(delivery_resolve(h->d, STR("bad"), STR("webhook"), &bad));
    assert_true(delivery_resolve(h->d, STR("good"), STR("webhook"), &good));
    struct target_set set = {.n = 2, .number = {bad, good}};
    struct putting p = {h, &set, "k1"};
    assert_int_equal(kv_commit_wait(h->kv, put_txn, &p, 0), KV_COMMITTED);
    assert_true(receiver_await(&h->r, 1));
    await_empty(h, "good");
    struct target_info i = info(h, "bad");
    assert_int_equal(i.status, TARGET_BROKEN);
    assert_int_equal(i.queued, 1);
    assert_true(i.oldest_ns > 0);
    assert_non_null(strstr(i.reason, "MINIO_NOTIFY_WEBHOOK_ENDPOINT_bad is 'nonsense'"));
    close_delivery(h);
    /* switched off: nothing is lost, and it is shown */
    set_target("bad", "ENABLE", "off");
    open_delivery(h);
    assert_false(delivery_resolve(h->d, STR("bad"), STR("webhook"), &bad));
    assert_int_equal(info(h, "bad").status, TARGET_OFF);
    assert_int_equal(info(h, "bad").queued, 1);
    close_delivery(h);
    enable(h, "bad");
    open_delivery(h);
    delivery_start(h->d);
    assert_true(receiver_await(&h->r, 2));
    await_empty(h, "bad");
}

static void test_wrong_enable_and_names(void **state)
{
    struct house *h = *state;
    uint32_t n;
    enable(h, "x");
    set_target("x", "ENABLE", "perhaps");
    enable(h, "no:good");
    enable(h, "../up");
    open_delivery(h);
    delivery_start(h->d);
    assert_true(delivery_resolve(h->d, STR("x"), STR("webhook"), &n));
    assert_int_equal(info(h, "x").status, TARGET_BROKEN);
    assert_false(delivery_resolve(h->d, STR("no:good"), STR("webhook"), &n));
    assert_false(delivery_resolve(h->d, STR("../up"), STR("webhook"), &n));
}

static void test_stop_in_a_hanging_send(void **state)
{
    struct house *h = *state;
    uint32_t n;
    enable(h, "a");
    open_delivery(h);
    delivery_start(h->d);
    assert_true(delivery_resolve(h->d, STR("a"), STR("webhook"), &n));
    put(h, n, "hang");
    assert_true(receiver_await(&h->r, 1));
    int64_t begin = clock_mono_ms();
    delivery_stop(h->d, begin + 300);
    assert_true(clock_mono_ms() - begin < 5000);
    assert_int_equal(info(h, "a").queued, 1);
}

static void test_rules_to_targets(void **state)
{
    struct house *h = *state;
    uint32_t a, b;
    struct target_set set;
    enable(h, "a");
    enable(h, "b");
    open_delivery(h);
    assert_true(delivery_resolve(h->d, STR("a"), STR("webhook"), &a));
    assert_true(delivery_resolve(h->d, STR("b"), STR("webhook"), &b));
#define RULE(prefix, id) \
    "<QueueConfiguration><Filter><S3Key><FilterRule><Name>prefix</Name><Value>" prefix \
    "</Value></FilterRule></S3Key></Filter><Event>s3:ObjectCreated:*</Event><Queue>arn:minio:sqs::" id \
    ":webhook</Queue></QueueConfiguration>"
    struct rules *r = rules_compile(STR("<NotificationConfiguration>" RULE("x/", "a") RULE("x/y/", "a") RULE(
        "x/", "b") RULE("z", "gone") "</NotificationConfiguration>"));
    assert_true(rules_match(r, h->d, EVENT_CREATED_PUT, STR("x/y/1"), &set));
    assert_int_equal(set.n, 2);
    assert_true((set.number[0] == a && set.number[1] == b) || (set.number[0] == b && set.number[1] == a));
    assert_true(rules_match(r, h->d, EVENT_CREATED_PUT, STR("x/y/1"), &set)); /* remembered */
    assert_int_equal(set.n, 2);
    assert_false(rules_match(r, h->d, EVENT_REMOVED_DELETE, STR("x/y/1"), &set));
    assert_false(rules_match(r, h->d, EVENT_CREATED_PUT, STR("z"), &set)); /* its target is not enabled */
    assert_false(rules_match(NULL, h->d, EVENT_CREATED_PUT, STR("z"), &set));
    rules_free(r);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_numbers_are_for_ever),   CASE(test_delivers),
        CASE(test_broken_settings),        CASE(test_wrong_enable_and_names),
        CASE(test_stop_in_a_hanging_send), CASE(test_rules_to_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
