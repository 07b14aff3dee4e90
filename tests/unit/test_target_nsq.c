/* SPDX-License-Identifier: Apache-2.0
 *
 * What is nsq's own: frames, commands, what errors mean, its login. (Events on their way: test_target_nsq_window.c; the
 * contract: test_target.c; against a real nsqd: tests/integration/test_nsq.py.) */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/nsq.h"

static void test_topics(void **state)
{
    (void)state;
    static const char *const good[] = {"minio", "a", "A.b_c-9", "t#ephemeral",
                                       "0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {
        "",           "a b",     "a/b",
        "#ephemeral", "t#other", "t#ephemeral#ephemeral",
        "ü",          "a\n",     "01234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!nsq_topic_ok(str_c(good[i])))
            fail_msg("'%s' was refused", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (nsq_topic_ok(str_c(bad[i])))
            fail_msg("'%s' was taken", bad[i]);
}

static void test_addresses(void **state)
{
    (void)state;
    struct target_address a;
    struct err e;
    assert_true(nsq_parse_address(STR("localhost"), &a, &e));
    assert_string_equal(a.shown, "localhost:4150");
    assert_false(nsq_parse_address(STR("tcp://localhost:4150"), &a, &e));
    assert_non_null(strstr(e.text, "nsqd_address must be host:port, nsqd's TCP port, without a scheme"));
}

static void test_frames(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        enum nsq_found found;
        enum nsq_kind kind;
        const char *data;
        size_t left;
    } cases[] = {
        {STR("\0\0\0\6\0\0\0\0OK"), NSQ_WHOLE, NSQ_RESPONSE, "OK", 0},
        {STR("\0\0\0\6\0\0\0\0OK\0"), NSQ_WHOLE, NSQ_RESPONSE, "OK", 1},
        {STR("\0\0\0\4\0\0\0\1"), NSQ_WHOLE, NSQ_ERROR, "", 0},
        {STR("\0\0\0\5\0\0\0\2x"), NSQ_WHOLE, NSQ_MESSAGE, "x", 0},
        {STR(""), NSQ_PARTIAL, 0, NULL, 0},
        {STR("\0\0\0"), NSQ_PARTIAL, 0, NULL, 3},
        {STR("\0\0\0\6\0\0\0\0O"), NSQ_PARTIAL, 0, NULL, 9},
        {STR("\0\1\0\0\0\0\0\0"), NSQ_PARTIAL, 0, NULL, 8},
        {STR("\0\1\0\1"), NSQ_GARBAGE, 0, NULL, 4},
        {STR("\0\0\0\3"), NSQ_GARBAGE, 0, NULL, 4},
        {STR("\0\0\0\6\0\0\0\3OK"), NSQ_GARBAGE, 0, NULL, 10},
        {STR("HTTP/1.1"), NSQ_GARBAGE, 0, NULL, 8},
        {STR("\xff\xff\xff\xff"), NSQ_GARBAGE, 0, NULL, 4},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str in = cases[i].bytes;
        struct nsq_frame f;
        assert_int_equal(nsq_take_frame(&in, &f), cases[i].found);
        assert_int_equal(in.n, cases[i].left);
        if (cases[i].found == NSQ_WHOLE) {
            assert_int_equal(f.kind, cases[i].kind);
            assert_true(str_eq_c(f.data, cases[i].data));
        }
    }
}

static void test_features(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok, tls, auth;
    } cases[] = {{"{\"tls_v1\":true,\"auth_required\":false,\"x\":[1]}", true, true, false},
                 {"{\"auth_required\":true}", true, false, true},
                 {"{\"tls_v1\":\"true\"}", true, false, false},
                 {"OK", false, false, false},
                 {"", false, false, false},
                 {"[]", false, false, false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct nsq_features f;
        assert_int_equal(nsq_read_features(str_c(cases[i].text), &f), cases[i].ok);
        assert_int_equal(f.tls, cases[i].tls);
        assert_int_equal(f.auth_required, cases[i].auth);
    }
}

static const struct event_ref event = {
    .event_name = STR("e"), .bucket = STR("b"), .key = STR("k"), .record = STR("{}")};
#define BODY "{\"EventName\":\"e\",\"Key\":\"b/k\",\"Records\":[{}]}"

static void test_commands(void **state)
{
    (void)state;
    struct buf b;
    struct nsq_publish p;
    buf_init(&b, 4096);
    nsq_put_identify(&b, "ho\"st", true);
    assert_true(str_starts(buf_view(&b), STR("IDENTIFY\n\0\0\0")));
    assert_true(str_find(buf_view(&b), STR("\"hostname\":\"ho\\\"st\"")) > 0);
    assert_true(str_ends(buf_view(&b),
                         STR("\"feature_negotiation\":true,\"heartbeat_interval\":10000,\"tls_v1\":true}")));
    assert_int_equal((unsigned char)b.p[12], b.len - 13);
    buf_reset(&b);
    nsq_put_auth(&b, "secret");
    assert_true(str_eq(buf_view(&b), STR("AUTH\n\0\0\0\6secret")));
    buf_reset(&b);
    buf_puts(&b, "NOP\n"); /* what waits before it stays */
    nsq_publish_begin(&p, &b);
    assert_int_equal(nsq_publish_add(&p, &b, &event), strlen(BODY));
    nsq_publish_end(&p, &b, "t");
    assert_true(str_eq(buf_view(&b), STR("NOP\nPUB t\n\0\0\0\x2c" BODY)));
    buf_reset(&b);
    nsq_publish_begin(&p, &b);
    (void)nsq_publish_add(&p, &b, &event);
    (void)nsq_publish_add(&p, &b, &event);
    nsq_publish_end(&p, &b, "t#ephemeral");
    assert_true(
        str_eq(buf_view(&b), STR("MPUB t#ephemeral\n\0\0\0\x64\0\0\0\2\0\0\0\x2c" BODY "\0\0\0\x2c" BODY)));
    buf_release(&b);
}

static void test_judge(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum nsq_verdict verdict;
        uint64_t limit;
    } cases[] = {{"E_BAD_BODY MPUB body too big 5242892 > 5242880", NSQ_BODY_LIMIT, 5242880},
                 {"E_BAD_MESSAGE MPUB message too big 9 > 8", NSQ_EVENT_LIMIT, 8},
                 {"E_BAD_MESSAGE PUB message too big 9 > 8", NSQ_EVENT_LIMIT, 8},
                 {"E_BAD_MESSAGE MPUB invalid message(0) body size", NSQ_RETRY, 0},
                 {"E_BAD_MESSAGE too big 9 > many", NSQ_RETRY, 0},
                 {"E_BAD_MESSAGE too big 9", NSQ_RETRY, 0},
                 {"E_MPUB_FAILED too big 9 > 8", NSQ_RETRY, 0},
                 {"", NSQ_RETRY, 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t limit;
        assert_int_equal(nsq_judge(str_c(cases[i].text), &limit), cases[i].verdict);
        if (cases[i].verdict != NSQ_RETRY)
            assert_int_equal(limit, cases[i].limit);
    }
}

static void test_explain(void **state)
{
    (void)state;
    static const struct {
        const char *text, *id, *why;
    } cases[] = {
        {"E_INVALID cannot MPUB in current state (TLS required)", "x", "(MINIO_NOTIFY_NSQ_TLS_x)"},
        {"E_AUTH_FAILED AUTH failed", "_", "(MINIO_NOTIFY_NSQ_AUTH_SECRET)"},
        {"E_UNAUTHORIZED AUTH no authorizations found", "x", "may do nothing"},
        {"E_BAD_PROTOCOL", "x", "not nsqlookupd's (MINIO_NOTIFY_NSQ_NSQD_ADDRESS_x)"},
        {"E_BAD_BODY IDENTIFY heartbeat interval (10000) is invalid", "x", "--max-heartbeat-interval"},
        {"E_\x01\n", "x", "'E_  ': see its log"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct nsq_names names = {"host:4150", cases[i].id, "t"};
        char why[SEND_WHY];
        nsq_explain(&names, str_c(cases[i].text), why, sizeof(why));
        if (!strstr(why, cases[i].why) || !strstr(why, "host:4150"))
            fail_msg("%s", why);
    }
}

static bool connect_with(const struct receiver *r, const char *secret, bool tls, struct err *e)
{
    char address[32], topic[] = "t", none[] = "", key[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    (void)snprintf(key, sizeof(key), "%s", secret);
    struct nsq_conf c = {.nsqd_address = address,
                         .topic = topic,
                         .auth_secret = key,
                         .client_cert = none,
                         .client_key = none,
                         .tls = tls};
    void *self = target_nsq.open(&c, "x", e);
    bool ok = target_nsq.connect(self, clock_mono_ms() + 5000, e);
    target_nsq.close(self);
    return ok;
}

static void test_login(void **state)
{
    (void)state;
    struct receiver r;
    struct err e = {0};
    receiver_start_nsq(&r);
    assert_true(connect_with(&r, "", false, &e));
    assert_true(connect_with(&r, "not asked for", false, &e));
    assert_false(connect_with(&r, "", true, &e));
    assert_non_null(strstr(e.text, "it has no TLS"));
    r.login = "right";
    assert_true(connect_with(&r, "right", false, &e));
    assert_false(connect_with(&r, "wrong", false, &e));
    assert_non_null(strstr(e.text, "MINIO_NOTIFY_NSQ_AUTH_SECRET_x"));
    assert_null(strstr(e.text, "wrong"));
    assert_false(connect_with(&r, "", false, &e));
    assert_non_null(strstr(e.text, "it asks for a secret"));
    receiver_stop(&r);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),   cmocka_unit_test(test_addresses), cmocka_unit_test(test_frames),
        cmocka_unit_test(test_features), cmocka_unit_test(test_commands),  cmocka_unit_test(test_judge),
        cmocka_unit_test(test_explain),  cmocka_unit_test(test_login),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
