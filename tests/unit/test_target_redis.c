/* SPDX-License-Identifier: Apache-2.0
 *
 * What is redis' own: what it sends in either format, what it makes of errors, its login. (The contract: test_target.c;
 * against a real Redis: tests/integration/test_redis*.py.) */
#include "unit.h"

#include <hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/event.h"
#include "receiver.h"
#include "target/dial.h"
#include "target/redis.h"

/* --- events ------------------------------------------------------------------------------------------------------- */

#define EVENTS 300
static struct event_ref events[EVENTS];
static char keys[EVENTS][40], why[EVENTS][SEND_WHY];
static enum send_result out[EVENTS];

/* "+key" was put, "-key" removed, "?key" read of an object that is gone by now. */
static size_t make_events(const char *const *what, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%s", what[i] + 1);
        why[i][0] = 0;
        events[i] = (struct event_ref){.event_name = STR("s3:Any"),
                                       .bucket = STR("b"),
                                       .key = str_c(keys[i]),
                                       .record = STR("{\"n\":1}"),
                                       .event_time = STR("2026-02-01T10:20:30.123Z"),
                                       .sequencer = i + 1,
                                       .removed = what[i][0] == '-',
                                       .stale = what[i][0] == '?',
                                       .why = why[i]};
    }
    return n;
}

/* --- pure --------------------------------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port, *shown;
    } good[] = {{"localhost", "localhost", "6379", "localhost:6379"},
                {"127.0.0.1:6380", "127.0.0.1", "6380", "127.0.0.1:6380"},
                {"[::1]", "::1", "6379", "[::1]:6379"},
                {"[fe80::1%eth0]:1", "fe80::1%eth0", "1", "[fe80::1%eth0]:1"},
                {"redis.example.com:65535", "redis.example.com", "65535", "redis.example.com:65535"}};
    static const char *const bad[] = {
        "",          ":6379",   "h:",   "h:0",    "h:65536", "h:x",    "::1",
        "a:b:c",     "[::1",    "[]:1", "[::1]x", "[::1]:",  "h h",    "h:1 ",
        "redis://h", "u:p@h:1", "h/0",  "h\n",    "h:-1",    "h:0x10", "tcp(h:1)"};
    struct target_address a;
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(redis_parse_address(str_c(good[i].text), &a, &e));
        assert_string_equal(a.host, good[i].host);
        assert_string_equal(a.port, good[i].port);
        assert_string_equal(a.shown, good[i].shown);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e = (struct err){0};
        if (redis_parse_address(str_c(bad[i]), &a, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_true(strncmp(e.text, "address must ", 13) == 0);
    }
    char longest[300];
    memset(longest, 'a', sizeof(longest));
    assert_true(redis_parse_address(str_n(longest, 255), &a, &e));
    assert_false(redis_parse_address(str_n(longest, 256), &a, &e));
}

static void test_plan(void **state)
{
    (void)state;
    static const char *const what[] = {"+a", "+b", "-a", "?c", "+d", "?d", "+a", "-e", "-b", "+e"};
    static const struct plan_step want[] = {
        {PLAN_BEHIND, 6}, {PLAN_BEHIND, 8}, {PLAN_BEHIND, 6}, {PLAN_SKIP, 0},   {PLAN_SET, 0},
        {PLAN_SKIP, 0},   {PLAN_SET, 0},    {PLAN_BEHIND, 9}, {PLAN_DELETE, 0}, {PLAN_SET, 0}};
    struct plan_step steps[PLAN_MAX_BATCH];
    size_t n = make_events(what, COUNT_OF(what));
    plan_batch(events, n, FORMAT_NAMESPACE, steps);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(steps[i].part, want[i].part);
        if (want[i].part == PLAN_BEHIND)
            assert_int_equal(steps[i].last, want[i].last);
    }
    plan_batch(events, n, FORMAT_ACCESS, steps);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(steps[i].part, PLAN_SET);
    /* the same key in another bucket is another field */
    n = make_events((const char *const[]){"+a", "-a"}, 2);
    events[1].bucket = STR("c");
    plan_batch(events, n, FORMAT_NAMESPACE, steps);
    assert_int_equal(steps[0].part, PLAN_SET);
    assert_int_equal(steps[1].part, PLAN_DELETE);
    /* what is too large hides nothing */
    char *big = x_calloc(1, PLAN_EVENT_MAX + 1);
    n = make_events((const char *const[]){"+a", "+a"}, 2);
    events[1].record = str_n(big, PLAN_EVENT_MAX + 1);
    plan_batch(events, n, FORMAT_NAMESPACE, steps);
    assert_int_equal(steps[0].part, PLAN_SET);
    assert_int_equal(steps[1].part, PLAN_TOO_BIG);
    free(big);
}

static void test_values(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    make_events((const char *const[]){"+a b/%\"\xc3\xbc"}, 1);
    plan_key(&b, events);
    assert_true(str_eq_c(buf_view(&b), "b/a b/%\"\xc3\xbc"));
    buf_reset(&b);
    redis_value(&b, events, FORMAT_NAMESPACE);
    assert_true(str_eq_c(buf_view(&b), "{\"Records\":[{\"n\":1}]}"));
    buf_reset(&b);
    redis_value(&b, events, FORMAT_ACCESS);
    assert_true(
        str_eq_c(buf_view(&b), "[{\"Event\":[{\"n\":1}],\"EventTime\":\"2026-02-01T10:20:30.123Z\"}]"));
    buf_release(&b);
}

static void test_explanations(void **state)
{
    (void)state;
    static const struct {
        const char *error, *parts[2];
    } cases[] = {
        {"WRONGTYPE Operation against a key", {"another kind of value", "(MINIO_NOTIFY_REDIS_KEY_x)"}},
        {"NOAUTH Authentication required.", {"asks for a password", "(MINIO_NOTIFY_REDIS_PASSWORD_x)"}},
        {"WRONGPASS invalid username-password pair", {"is wrong", "(MINIO_NOTIFY_REDIS_PASSWORD_x)"}},
        {"ERR AUTH <password> called without any password configured", {"leave it out", "PASSWORD_x"}},
        {"NOPERM this user has no permissions", {"allow the user", "(MINIO_NOTIFY_REDIS_USER_x)"}},
        {"READONLY You can't write", {"name the primary", "(MINIO_NOTIFY_REDIS_ADDRESS_x)"}},
        {"MOVED 3999 127.0.0.1:6381", {"MOVED 3999 127.0.0.1:6381", "(MINIO_NOTIFY_REDIS_ADDRESS_x)"}},
        {"OOM command not allowed", {"maxmemory", ""}},
        {"ERR some news\r\n\x1b[2J", {"ERR some news   [2J", "see its log"}},
        {"", {"answered ''", ""}},
    };
    const struct redis_names names = {"h:1", "x", "k", FORMAT_NAMESPACE};
    char text[SEND_WHY];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        redis_explain(&names, str_c(cases[i].error), text, sizeof(text));
        for (int k = 0; k < 2; k++)
            if (!strstr(text, cases[i].parts[k]))
                fail_msg("%s: %s", cases[i].error, text);
        assert_true(strncmp(text, "h:1 answered '", 14) == 0);
    }
    /* what was sent is not shown: it may be the password */
    redis_explain(&names, STR("ERR unknown command 'AUTH', with args beginning with: 'secret' "), text,
                  sizeof(text));
    assert_null(strstr(text, "secret"));
    redis_explain_type(&names, STR("string"), text, sizeof(text));
    assert_string_equal(text, "the key 'k' at h:1 is a string, format namespace needs a hash: set "
                              "MINIO_NOTIFY_REDIS_KEY_x to another, or rename it there");
}

static void test_confirmed(void **state)
{
    (void)state;
    static const struct {
        enum plan_format format;
        int type;
        long long integer;
        bool want;
    } cases[] = {
        {FORMAT_NAMESPACE, REDIS_REPLY_INTEGER, 0, true},  {FORMAT_NAMESPACE, REDIS_REPLY_INTEGER, 5, true},
        {FORMAT_NAMESPACE, REDIS_REPLY_INTEGER, 6, false}, {FORMAT_NAMESPACE, REDIS_REPLY_INTEGER, -1, false},
        {FORMAT_ACCESS, REDIS_REPLY_INTEGER, 5, true},     {FORMAT_ACCESS, REDIS_REPLY_INTEGER, 99999, true},
        {FORMAT_ACCESS, REDIS_REPLY_INTEGER, 4, false},    {FORMAT_ACCESS, REDIS_REPLY_STATUS, 5, false},
        {FORMAT_NAMESPACE, REDIS_REPLY_NIL, 1, false},     {FORMAT_NAMESPACE, REDIS_REPLY_DOUBLE, 1, false},
        {FORMAT_NAMESPACE, REDIS_REPLY_PUSH, 1, false},
    };
    char text[SEND_WHY];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct redis_names names = {"h:1", "x", "k", cases[i].format};
        redisReply reply = {.type = cases[i].type, .integer = cases[i].integer};
        assert_int_equal(redis_confirmed(&names, &reply, 5, text, sizeof(text)), cases[i].want);
        assert_int_equal(text[0] == 0, cases[i].want);
        assert_false(redis_confirmed(&names, NULL, 5, text, sizeof(text)));
    }
}

static void test_removals(void **state)
{
    (void)state;
    static const char *const gone[] = {"s3:ObjectRemoved:Delete", "s3:ObjectRemoved:DeleteMarkerCreated",
                                       "s3:ObjectRemoved:NoOP", "s3:ObjectRemoved:DeleteAllVersions",
                                       "s3:LifecycleDelMarkerExpiration:Delete"};
    unsigned n = 0;
    for (int i = 0; i < EVENT_COUNT; i++)
        n += event_removes((enum event_name)i);
    assert_int_equal(n, COUNT_OF(gone));
    for (size_t i = 0; i < COUNT_OF(gone); i++) {
        enum event_name name;
        assert_true(event_name_parse(str_c(gone[i]), &name) && event_removes(name));
    }
}

static void test_check(void **state)
{
    (void)state;
    struct redis_conf c = {
        .address = (char[]){"h"}, .client_cert = (char[]){"/c"}, .client_key = (char[]){""}};
    struct err e = {0};
    assert_false(target_redis.check(&c, &e));
    assert_non_null(strstr(e.text, "set together"));
    c.client_key = (char[]){"/k"};
    assert_false(target_redis.check(&c, &e));
    assert_non_null(strstr(e.text, "MINIO_NOTIFY_REDIS_TLS"));
    c.tls = true;
    assert_true(target_redis.check(&c, &e));
    c.address = (char[]){"redis://h"};
    assert_false(target_redis.check(&c, &e));
}

/* --- against a receiver ------------------------------------------------------------------------------------------- */

struct rig {
    struct receiver r;
    struct redis_conf conf;
    char address[32];
    void *self;
    struct err e;
};

static void rig_open(struct rig *g, enum plan_format format)
{
    static char empty[] = "", key[] = "events";
    memset(g, 0, sizeof(*g));
    receiver_start_redis(&g->r);
    (void)snprintf(g->address, sizeof(g->address), "127.0.0.1:%u", g->r.port);
    g->conf = (struct redis_conf){.format = (int)format,
                                  .address = g->address,
                                  .key = key,
                                  .password = empty,
                                  .user = empty,
                                  .client_cert = empty,
                                  .client_key = empty};
    g->self = target_redis.open(&g->conf, "t", &g->e);
    assert_non_null(g->self);
}

static void rig_close(struct rig *g)
{
    target_redis.disconnect(g->self);
    target_redis.close(g->self);
    receiver_stop(&g->r);
}

static bool rig_connect(struct rig *g)
{
    g->e = (struct err){0};
    return target_redis.connect(g->self, clock_mono_ms() + 5000, &g->e);
}

static void rig_send(struct rig *g, const char *const *what, size_t n)
{
    make_events(what, n);
    g->e = (struct err){0};
    target_redis.send(g->self, events, n, out, clock_mono_ms() + 5000, &g->e);
}

static void test_commands(void **state)
{
    (void)state;
    static const char *const what[] = {"+a", "+b", "-a", "?c", "+d"};
    struct rig g;
    rig_open(&g, FORMAT_NAMESPACE);
    assert_true(rig_connect(&g));
    rig_send(&g, what, COUNT_OF(what));
    for (size_t i = 0; i < COUNT_OF(what); i++)
        assert_int_equal(out[i], SEND_OK);
    assert_string_equal(
        receiver_find(&g.r, "HSET"),
        "*6\r\n$4\r\nHSET\r\n$6\r\nevents\r\n$3\r\nb/b\r\n$21\r\n{\"Records\":[{\"n\":1}]}\r\n"
        "$3\r\nb/d\r\n$21\r\n{\"Records\":[{\"n\":1}]}\r\n");
    assert_string_equal(receiver_find(&g.r, "HDEL"), "*3\r\n$4\r\nHDEL\r\n$6\r\nevents\r\n$3\r\nb/a\r\n");
    assert_string_equal(receiver_find(&g.r, "SETNAME"),
                        "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$6\r\nBelfry\r\n");
    /* nothing to be sent: nothing is */
    unsigned before = receiver_requests(&g.r);
    rig_send(&g, (const char *const[]){"?c", "?d"}, 2);
    assert_int_equal(out[0], SEND_OK);
    assert_int_equal(out[1], SEND_OK);
    assert_int_equal(receiver_requests(&g.r), before);
    rig_close(&g);
}

/* A server that takes no new data refuses removals neither; yet they wait for what was refused before them, or the target
 * would count as working while its creations fail. */
static void test_what_is_refused_holds_the_rest(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, FORMAT_NAMESPACE);
    assert_true(rig_connect(&g));
    rig_send(&g, (const char *const[]){"-x", "+oom", "?y", "+oom"}, 4);
    assert_int_equal(out[0], SEND_RETRY);
    assert_int_equal(out[1], SEND_RETRY);
    assert_int_equal(out[2], SEND_OK);
    assert_int_equal(out[3], SEND_RETRY);
    assert_non_null(strstr(why[0], "maxmemory"));
    assert_null(receiver_find(&g.r, "HDEL"));
    rig_close(&g);
}

/* A batch is one command, so that a list takes it whole or not at all. After an answer that did not come it may be several,
 * one after the other: behind one that fails nothing is sent. */
static void test_a_list_keeps_its_order(void **state)
{
    (void)state;
    char *record = x_malloc(300000), *refused = record + 100000, *cut = record + 200000;
    struct rig g;
    memset(record, ' ', 300000);
    memcpy(refused, "b/oom", 5);
    memcpy(cut, "b/close", 7);
    rig_open(&g, FORMAT_ACCESS);
    assert_true(rig_connect(&g));
    static const char *const what[] = {"+1", "+2", "+3", "+4", "+5", "+6", "+7", "+8"};
    make_events(what, COUNT_OF(what));
    for (int round = 0; round < 3; round++) {
        unsigned before = receiver_requests(&g.r);
        for (size_t i = 0; i < COUNT_OF(what); i++)
            events[i].record = str_n(i != 3 ? record : round == 1 ? cut : refused, 100000);
        target_redis.send(g.self, events, COUNT_OF(what), out, clock_mono_ms() + 5000, &g.e);
        for (size_t i = 0; i < COUNT_OF(what); i++)
            assert_int_equal(out[i], round == 2 && i < 3 ? SEND_OK : SEND_RETRY);
        assert_int_equal(receiver_requests(&g.r) - before, round == 2 ? 2 + 2 : 1);
    }
    free(record);
    rig_close(&g);
}

/* An answer too many would be taken for the next command's. */
static void test_answers_that_nobody_asked_for(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, FORMAT_NAMESPACE);
    assert_true(rig_connect(&g));
    rig_send(&g, (const char *const[]){"+twice"}, 1);
    assert_int_equal(out[0], SEND_OK);
    rig_send(&g, (const char *const[]){"+next"}, 1);
    assert_int_equal(out[0], SEND_RETRY);
    assert_non_null(strstr(why[0], "nobody asked for"));
    assert_null(receiver_find(&g.r, "b/next"));
    rig_send(&g, (const char *const[]){"+next"}, 1); /* over a new connection */
    assert_int_equal(out[0], SEND_OK);
    rig_close(&g);
}

static void test_logins(void **state)
{
    (void)state;
    static const struct {
        const char *login, *user, *password, *problem;
    } cases[] = {{NULL, "", "", NULL},
                 {"secret", "", "secret", NULL},
                 {"ann:secret", "ann", "secret", NULL},
                 {"secret", "", "wrong", "MINIO_NOTIFY_REDIS_PASSWORD_t"},
                 {"ann:secret", "bob", "secret", "MINIO_NOTIFY_REDIS_PASSWORD_t"},
                 {NULL, "", "secret", "leave it out here"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig g;
        char user[16], password[16];
        rig_open(&g, FORMAT_ACCESS);
        g.r.login = cases[i].login;
        (void)snprintf(user, sizeof(user), "%s", cases[i].user);
        (void)snprintf(password, sizeof(password), "%s", cases[i].password);
        g.conf.user = user;
        g.conf.password = password;
        assert_int_equal(rig_connect(&g), cases[i].problem == NULL);
        if (cases[i].problem)
            assert_non_null(strstr(g.e.text, cases[i].problem));
        assert_null(strstr(g.e.text, "secret"));
        rig_close(&g);
    }
}

static void test_key_types(void **state)
{
    (void)state;
    static const struct {
        enum plan_format format;
        const char *type;
        bool good;
    } cases[] = {{FORMAT_NAMESPACE, "none", true},  {FORMAT_NAMESPACE, "hash", true},
                 {FORMAT_NAMESPACE, "list", false}, {FORMAT_NAMESPACE, "string", false},
                 {FORMAT_ACCESS, "none", true},     {FORMAT_ACCESS, "list", true},
                 {FORMAT_ACCESS, "hash", false},    {FORMAT_ACCESS, "stream", false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig g;
        rig_open(&g, cases[i].format);
        g.r.key_type = cases[i].type;
        assert_int_equal(rig_connect(&g), cases[i].good);
        if (!cases[i].good)
            assert_non_null(strstr(g.e.text, "MINIO_NOTIFY_REDIS_KEY_t"));
        rig_close(&g);
    }
}

static void test_idle(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, FORMAT_NAMESPACE);
    assert_true(rig_connect(&g));
    assert_true(target_redis.idle(g.self, clock_mono_ms() + 5000, &g.e));
    assert_non_null(receiver_find(&g.r, "PING"));
    receiver_stop(&g.r);
    assert_false(target_redis.idle(g.self, clock_mono_ms() + 5000, &g.e));
    assert_true(g.e.text[0]);
    target_redis.close(g.self);
}

/* --- dialling ----------------------------------------------------------------------------------------------------- */

static void test_dial(void **state)
{
    (void)state;
    struct receiver r;
    struct dialer d = {0};
    struct err e = {0};
    char port[8];
    receiver_start_redis(&r);
    (void)snprintf(port, sizeof(port), "%u", r.port);
    struct patience p = {clock_mono_ms() + 5000, NULL};
    int fd = dial(&d, "127.0.0.1", port, &p, &e);
    assert_true(fd >= 0);
    (void)close(fd);
    fd = dial(&d, "localhost", port, &p, &e); /* by a thread that looks it up */
    assert_true(fd >= 0);
    (void)close(fd);
    receiver_stop(&r);
    assert_int_equal(dial(&d, "127.0.0.1", port, &p, &e), -1);
    assert_non_null(strstr(e.text, "cannot connect: "));
    assert_int_equal(dial(&d, "no-such-host.invalid", port, &p, &e), -1);
    assert_non_null(strstr(e.text, "resolved"));
    /* no time at all: a look-up that is under way is left to itself */
    p.deadline_ms = 0;
    assert_int_equal(dial(&d, "no-such-host.invalid", port, &p, &e), -1);
    dialer_release(&d);
    assert_null(d.pending);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_confirmed),
        cmocka_unit_test(test_removals),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_what_is_refused_holds_the_rest),
        cmocka_unit_test(test_a_list_keeps_its_order),
        cmocka_unit_test(test_answers_that_nobody_asked_for),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_key_types),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_dial),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
