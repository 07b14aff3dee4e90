/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's batch=on, against the receiver that behaves as the keys in a request ask: which events ride together, and what
 * becomes of those beside one that is refused, breaks the receiver, or is never answered. */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/webhook.h"

#define MOST 512

struct rig {
    struct receiver r;
    struct arena arena;
    void *conf, *self;
    struct event_ref ev[MOST];
    char key[MOST][32], record[MOST][2048], why[MOST][SEND_WHY];
    enum send_result out[MOST];
    unsigned posts; /* of the last send_all */
};

static bool load(struct rig *rig, struct err *e)
{
    arena_init(&rig->arena);
    rig->conf = arena_zalloc(&rig->arena, target_webhook.conf_size);
    return config_load(target_webhook.subsys, target_webhook.keys, STR("t"), rig->conf, &rig->arena, e) &&
           target_webhook.check(rig->conf, e);
}

static struct rig *rig_open(const char *batch)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    struct err e = {0};
    char url[64];
    assert_non_null(rig);
    receiver_start(&rig->r);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hook", rig->r.port);
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_t", url, 1);
    setenv("MINIO_NOTIFY_WEBHOOK_BATCH_t", batch, 1);
    if (!load(rig, &e))
        fail_msg("%s", e.text);
    rig->self = target_webhook.open(rig->conf, "t", &e);
    assert_non_null(rig->self);
    assert_true(target_webhook.connect(rig->self, clock_mono_ms() + 5000, &e));
    return rig;
}

static void rig_close(struct rig *rig)
{
    target_webhook.disconnect(rig->self);
    target_webhook.close(rig->self);
    arena_release(&rig->arena);
    receiver_stop(&rig->r);
    free(rig);
}

/* Event i, whose record is `size` bytes or a little more. */
static void event_at(struct rig *rig, size_t i, const char *key, size_t size)
{
    int pad = size > 60 ? (int)size - 60 : 0;
    (void)snprintf(rig->key[i], sizeof(rig->key[i]), "%s", key);
    (void)snprintf(rig->record[i], sizeof(rig->record[i]),
                   "{\"number\":%zu,\"of\":\"b/%s\",\"pad\":\"%0*d\"}", i, key, pad, 0);
    rig->why[i][0] = 0;
    rig->out[i] = SEND_RETRY;
    rig->ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                    .bucket = STR("b"),
                                    .key = str_c(rig->key[i]),
                                    .record = str_c(rig->record[i]),
                                    .sequencer = i + 1,
                                    .why = rig->why[i]};
}

/* n events, of which those at `at` have that key. */
static void events(struct rig *rig, size_t n, const char *const *key, const size_t *at, size_t n_at)
{
    char fine[32];
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(fine, sizeof(fine), "fine-%zu", i);
        event_at(rig, i, fine, 0);
    }
    for (size_t i = 0; i < n_at; i++)
        event_at(rig, at[i], key[i], 0);
}

static void send_all(struct rig *rig, size_t n, int64_t within_ms)
{
    struct send_done done[MOST];
    unsigned before = receiver_requests(&rig->r);
    int64_t deadline = clock_mono_ms() + within_ms;
    for (size_t i = 0; i < n; i++)
        target_webhook.begin(rig->self, (unsigned)i, &rig->ev[i], deadline);
    for (size_t open = n; open > 0;) {
        size_t got = target_webhook.poll(rig->self, done, deadline);
        assert_true(clock_mono_ms() < deadline + 3000);
        assert_true(got <= open);
        for (size_t i = 0; i < got; i++)
            rig->out[done[i].place] = done[i].result;
        open -= got;
    }
    rig->posts = receiver_requests(&rig->r) - before;
}

static size_t count(const struct rig *rig, size_t n, enum send_result r)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += rig->out[i] == r;
    return found;
}

static unsigned records_in(const char *request)
{
    unsigned n = 0;
    for (const char *p = request; (p = strstr(p, "{\"number\":")); p++)
        n++;
    return n;
}

/* How many 2xx each event got, by the receiver's side: every one exactly one. (What was refused is told by its key.) */
static unsigned times(struct rig *rig, size_t event)
{
    char part[32];
    unsigned n = 0;
    (void)snprintf(part, sizeof(part), "{\"number\":%zu,", event);
    for (unsigned i = 0; i < rig->r.n_requests; i++)
        n += strstr(rig->r.request[i], part) != NULL;
    return n;
}

/* --- what rides together ------------------------------------------------------------------------------------------- */

static void test_body(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    events(rig, 3, NULL, NULL, 0);
    send_all(rig, 3, 5000);
    assert_int_equal(count(rig, 3, SEND_OK), 3);
    assert_int_equal(rig->posts, 1);
    char want[8192];
    (void)snprintf(
        want, sizeof(want),
        "\r\n\r\n{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"b/fine-0\",\"Records\":[%s,%s,%s]}",
        rig->record[0], rig->record[1], rig->record[2]);
    const char *post = receiver_find(&rig->r, "POST /hook");
    assert_non_null(post);
    assert_string_equal(strstr(post, "\r\n\r\n"), want);
    send_all(rig, 1, 5000); /* one alone is what it is without batch */
    post = rig->r.request[rig->r.n_requests - 1];
    (void)snprintf(want, sizeof(want),
                   "\r\n\r\n{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"b/fine-0\",\"Records\":[%s]}",
                   rig->record[0]);
    assert_string_equal(strstr(post, "\r\n\r\n"), want);
    rig_close(rig);
}

static void test_bounds(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    events(rig, MOST, NULL, NULL, 0);
    send_all(rig, MOST, 10000);
    assert_int_equal(count(rig, MOST, SEND_OK), MOST);
    assert_int_equal(rig->posts, MOST / 64);
    for (unsigned i = 0; i < rig->r.n_requests; i++)
        assert_int_equal(records_in(rig->r.request[i]), 64);
    unsigned before = rig->r.n_requests;
    for (size_t i = 0; i < 200; i++) { /* large ones: by their bytes */
        char key[32];
        (void)snprintf(key, sizeof(key), "large-%zu", i);
        event_at(rig, i, key, 2000);
    }
    send_all(rig, 200, 10000);
    assert_int_equal(count(rig, 200, SEND_OK), 200);
    assert_in_range(rig->posts, 4, 6);
    for (unsigned i = before; i < rig->r.n_requests; i++)
        assert_true(strlen(rig->r.request[i]) < 100000);
    rig_close(rig);
}

static void test_off(void **state)
{
    (void)state;
    struct rig *rig = rig_open("off");
    assert_int_equal(target_webhook.places(rig->conf), 32);
    events(rig, 16, NULL, NULL, 0);
    send_all(rig, 16, 5000);
    assert_int_equal(rig->posts, 16);
    for (unsigned i = 0; i < rig->r.n_requests; i++)
        assert_int_equal(records_in(rig->r.request[i]), 1);
    rig_close(rig);
    rig = rig_open("on");
    assert_int_equal(target_webhook.places(rig->conf), target_webhook.max_batch);
    rig_close(rig);
}

/* An event that has failed rides with few, later alone. */
static void test_second_tries(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    events(rig, 48, NULL, NULL, 0);
    for (size_t i = 0; i < 48; i++)
        rig->ev[i].attempts = i < 32 ? 1 : 2;
    send_all(rig, 48, 5000);
    assert_int_equal(count(rig, 48, SEND_OK), 48);
    assert_int_equal(rig->posts, 32 / 8 + 16);
    rig_close(rig);
}

/* --- one of them is refused ----------------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        const char *key[3];
        size_t at[3], n_at;
        unsigned most_posts;
    } cases[] = {
        {2, {"s400"}, {0}, 1, 3},
        {64, {"s400"}, {0}, 1, 13},
        {64, {"s422"}, {63}, 1, 13},
        {64, {"s413"}, {31}, 1, 13},
        {63, {"s415"}, {40}, 1, 14},
        {64, {"s400-a", "s400-b", "s413"}, {3, 33, 34}, 3, 30},
        {200, {"s400-a", "s400-b", "s400-c"}, {1, 100, 199}, 3, 45},
    };
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        struct rig *rig = rig_open("on");
        events(rig, cases[c].n, cases[c].key, cases[c].at, cases[c].n_at);
        send_all(rig, cases[c].n, 10000);
        assert_int_equal(count(rig, cases[c].n, SEND_REJECT), cases[c].n_at);
        assert_int_equal(count(rig, cases[c].n, SEND_RETRY), 0);
        for (size_t i = 0; i < cases[c].n_at; i++) {
            assert_int_equal(rig->out[cases[c].at[i]], SEND_REJECT);
            assert_non_null(strstr(rig->why[cases[c].at[i]], "refuses this event"));
        }
        if (rig->posts > cases[c].most_posts)
            fail_msg("case %zu: %u requests", c, rig->posts);
        for (size_t i = 0; i < cases[c].n; i++)
            assert_in_range(times(rig, i), 1, 8);
        rig_close(rig);
    }
}

static void test_all_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    for (size_t i = 0; i < 64; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "s400-%zu", i);
        event_at(rig, i, key, 0);
    }
    send_all(rig, 64, 10000);
    assert_int_equal(count(rig, 64, SEND_REJECT), 64);
    assert_int_equal(rig->posts, 127);
    rig_close(rig);
}

/* A receiver that takes only small bodies: it is not asked with large ones again. */
static void test_too_large(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    events(rig, 64, (const char *const[]){"s413"}, (const size_t[]){0}, 1);
    send_all(rig, 64, 10000);
    assert_int_equal(count(rig, 64, SEND_REJECT), 1);
    for (size_t i = 0; i < 200; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "large-%zu", i);
        event_at(rig, i, key, 2000);
    }
    unsigned before = rig->r.n_requests;
    send_all(rig, 200, 10000);
    assert_int_equal(count(rig, 200, SEND_OK), 200);
    for (unsigned i = before; i < rig->r.n_requests; i++)
        assert_true(strlen(rig->r.request[i]) < 4500);
    rig_close(rig);
}

/* --- one of them breaks the receiver ------------------------------------------------------------------------------- */

/* As the core does: what failed comes again, alone in the end. */
static void test_broken(void **state)
{
    (void)state;
    static const char *const keys[] = {"close", "half", "garbage", "cuthead", "s500", "s503", "s404", "hang"};
    for (size_t c = 0; c < COUNT_OF(keys); c++) {
        struct rig *rig = rig_open("on");
        int64_t within_ms = strcmp(keys[c], "hang") == 0 ? 400 : 10000;
        events(rig, 200, (const char *const[]){keys[c]}, (const size_t[]){70}, 1);
        send_all(rig, 200, within_ms);
        assert_int_equal(rig->out[70], SEND_RETRY);
        assert_int_equal(count(rig, 200, SEND_REJECT), 0);
        assert_true(count(rig, 200, SEND_RETRY) <= 64); /* those beside it */
        size_t again[200], n = 0;
        for (unsigned round = 1; round <= 2; round++) {
            for (size_t i = n = 0; i < 200; i++)
                if (rig->out[i] == SEND_RETRY)
                    again[n++] = i;
            for (size_t i = 0; i < n; i++) {
                char key[32];
                (void)snprintf(key, sizeof(key), "%s", rig->key[again[i]]);
                rig->out[again[i]] = SEND_OK;
                event_at(rig, i, key, 0);
                rig->ev[i].attempts = round;
            }
            for (size_t i = n; i < 200; i++)
                rig->out[i] = SEND_OK;
            send_all(rig, n, within_ms);
        }
        assert_int_equal(count(rig, n, SEND_RETRY), 1);
        for (size_t i = 0; i < n; i++)
            if (rig->out[i] == SEND_RETRY)
                assert_string_equal(rig->key[i], keys[c]);
        rig_close(rig);
    }
}

/* Where nothing went through before, the same events come again as first tries: so batches are smaller then. */
static void test_smaller_after_a_failure(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    events(rig, 10, (const char *const[]){"s500"}, (const size_t[]){4}, 1);
    unsigned rounds = 0;
    do {
        send_all(rig, 10, 5000);
        rounds++;
    } while (rig->posts == 1 && rounds < 5);
    assert_int_equal(rounds, 2);
    assert_int_equal(rig->posts, 2);
    assert_int_equal(count(rig, 10, SEND_OK), 5);
    events(rig, 128, NULL, NULL, 0);
    for (rounds = 0; rounds < 8; rounds++) /* and larger again as they go through */
        send_all(rig, 128, 5000);
    assert_int_equal(rig->posts, 2);
    rig_close(rig);
}

/* A receiver that is down is not asked for each of the hundreds that wait. */
static void test_down(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    events(rig, MOST, NULL, NULL, 0);
    for (size_t i = 0; i < MOST; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "s503-%zu", i);
        event_at(rig, i, key, 0);
        rig->ev[i].attempts = 5;
    }
    send_all(rig, MOST, 10000);
    assert_int_equal(count(rig, MOST, SEND_RETRY), MOST);
    assert_in_range(rig->posts, 1, 32);
    assert_non_null(strstr(rig->why[MOST - 1], "503"));
    rig_close(rig);
}

static void *hasten(void *arg)
{
    struct rig *rig = arg;
    if (receiver_await(&rig->r, 8))
        target_webhook.hasten(rig->self, clock_mono_ms() + 50);
    return NULL;
}

static void test_stop(void **state)
{
    (void)state;
    struct rig *rig = rig_open("on");
    for (size_t i = 0; i < MOST; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "hang-%zu", i);
        event_at(rig, i, key, 0);
    }
    pthread_t t = thread_start("hasten", hasten, rig);
    int64_t begin = clock_mono_ms();
    send_all(rig, MOST, 60000);
    thread_join(t);
    assert_true(clock_mono_ms() - begin < 10000);
    assert_int_equal(count(rig, MOST, SEND_RETRY), MOST);
    rig_close(rig);
}

/* --- with other keys ------------------------------------------------------------------------------------------------ */

static void test_check(void **state)
{
    (void)state;
    static const struct {
        const char *batch, *payload, *why; /* why: NULL: it is fine */
    } cases[] = {{"on", "minio", NULL},
                 {"off", "cloudevents", NULL},
                 {"on", "cloudevents", "batch=on and payload=cloudevents exclude each other"},
                 {"much", "minio", "BATCH_t"}};
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_t", "http://127.0.0.1:1/", 1);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig rig;
        struct err e = {0};
        setenv("MINIO_NOTIFY_WEBHOOK_BATCH_t", cases[i].batch, 1);
        setenv("MINIO_NOTIFY_WEBHOOK_PAYLOAD_t", cases[i].payload, 1);
        assert_int_equal(load(&rig, &e), cases[i].why == NULL);
        if (cases[i].why && !strstr(e.text, cases[i].why))
            fail_msg("'%s'", e.text);
        arena_release(&rig.arena);
    }
    unsetenv("MINIO_NOTIFY_WEBHOOK_PAYLOAD_t");
}

static void test_signed(void **state)
{
    (void)state;
    setenv("MINIO_NOTIFY_WEBHOOK_SIGNATURE_SECRET_t", "s3cret", 1);
    struct rig *rig = rig_open("on");
    unsetenv("MINIO_NOTIFY_WEBHOOK_SIGNATURE_SECRET_t");
    events(rig, 20, NULL, NULL, 0);
    send_all(rig, 20, 5000);
    assert_int_equal(rig->posts, 1);
    const char *post = receiver_find(&rig->r, "POST /hook"), *line;
    assert_non_null(line = strstr(post, "X-Belfry-Signature: "));
    struct buf want;
    buf_init(&want, 1000);
    buf_puts(&want, "X-Belfry-Signature: ");
    payload_sign(&want, STR("s3cret"), strtoll(line + strlen("X-Belfry-Signature: t="), NULL, 10),
                 str_c(strstr(post, "\r\n\r\n") + 4));
    assert_memory_equal(line, want.p, want.len);
    buf_release(&want);
    rig_close(rig);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_body),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_off),
        cmocka_unit_test(test_second_tries),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_all_refused),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_smaller_after_a_failure),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
