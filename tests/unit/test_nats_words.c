/* SPDX-License-Identifier: Apache-2.0
 *
 * What is nats' own, as bytes and values: addresses, subjects, ids, the protocol, what errors mean. (Keys and NATS
 * Streaming's messages: test_nats_forms.c.) */
#include "unit.h"

#include <stdlib.h>

#include "target/nats.h"

/* --- pure --------------------------------------------------------------------------------------------------------- */

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *port, *shown;
    } good[] = {{"localhost", "localhost", "4222", "localhost:4222"},
                {"0.0.0.0:4222", "0.0.0.0", "4222", "0.0.0.0:4222"},
                {"[::1]", "::1", "4222", "[::1]:4222"},
                {"[::1]:1", "::1", "1", "[::1]:1"}};
    static const char *const bad[] = {"",    ":4222", "h:",      "h:0", "h:65536",  "h:x",
                                      "::1", "[::1",  "[]:1",    "h h", "nats://h", "u:p@h:1",
                                      "h/0", "h\n",   "a:1,b:2", "a,b", "[::1]x"};
    struct target_address a;
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(nats_parse_address(str_c(good[i].text), &a, &e));
        assert_string_equal(a.host, good[i].host);
        assert_string_equal(a.port, good[i].port);
        assert_string_equal(a.shown, good[i].shown);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e = (struct err){0};
        if (nats_parse_address(str_c(bad[i]), &a, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_true(strncmp(e.text, "address must ", 13) == 0);
    }
}

static void test_subjects(void **state)
{
    (void)state;
    static const char *const good[] = {"bucketevents", "a.b.c", "a*b", "x.>y", "\xc3\xbc.a", "$X.y"};
    static const char *const bad[] = {"",     ".", "a.",  ".a",  "a..b", "a b",
                                      "a\tb", "*", "a.*", "a.>", "*.a",  "a\r\nPUB b 1"};
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!nats_subject_ok(str_c(good[i]), &e))
            fail_msg("'%s': %s", good[i], e.text);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (nats_subject_ok(str_c(bad[i]), &e))
            fail_msg("'%s' was taken", bad[i]);
    char longest[257];
    memset(longest, 'a', sizeof(longest));
    assert_true(nats_subject_ok(str_n(longest, 255), &e));
    assert_false(nats_subject_ok(str_n(longest, 256), &e));
}

static void id_of(const struct event_ref *ev, const char *target, const char *subject, char out[160])
{
    struct buf b;
    buf_init(&b, 160);
    nats_message_id(&b, ev, target, subject);
    assert_false(b.failed);
    memcpy(out, b.p, b.len);
    out[b.len] = 0;
    buf_release(&b);
}

static void test_ids(void **state)
{
    (void)state;
    const struct event_ref a = {
        .event_name = STR("s3:ObjectCreated:Put"), .bucket = STR("b"), .key = STR("k"), .sequencer = 1};
    struct event_ref others[] = {a, a, a, a};
    char id[160], other[160];
    id_of(&a, "1", "events", id);
    assert_true(strncmp(id, "belfry-1-0000000000000001-", 26) == 0);
    id_of(&a, "1", "events", other);
    assert_string_equal(id, other);
    others[0].event_name = STR("s3:ObjectRemoved:Delete");
    others[1].bucket = STR("bk");
    others[1].key = STR("");
    others[2].key = STR("l");
    others[3].sequencer = 2;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        id_of(&others[i], "1", "events", other);
        assert_string_not_equal(id, other);
    }
    id_of(&a, "2", "events", other);
    assert_string_not_equal(id, other);
    id_of(&a, "1", "event", other);
    assert_string_not_equal(id, other);
}

/* --- the protocol --------------------------------------------------------------------------------------------------- */

static void test_ops(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        enum nats_found found;
        enum nats_op_kind kind;
        const char *text, *subject, *reply, *status, *body;
        size_t left;
    } cases[] = {
        {"PING\r\nPO", NATS_WHOLE, NATS_PING, "", "", "", "", "", 2},
        {"pong\r\n", NATS_WHOLE, NATS_PONG, "", "", "", "", "", 0},
        {"+OK\n", NATS_WHOLE, NATS_OK, "", "", "", "", "", 0},
        {"-ERR 'Stale Connection'\r\n", NATS_WHOLE, NATS_ERR, "Stale Connection", "", "", "", "", 0},
        {"-ERR\r\n", NATS_WHOLE, NATS_ERR, "", "", "", "", "", 0},
        {"INFO {\"a\": 1} \r\n", NATS_WHOLE, NATS_INFO, "{\"a\": 1}", "", "", "", "", 0},
        {"MSG a.b 1 2\r\nhi\r\n", NATS_WHOLE, NATS_MSG, "MSG", "a.b", "", "", "hi", 0},
        {"MSG a.b 1 r 0\r\n\r\n+", NATS_WHOLE, NATS_MSG, "MSG", "a.b", "r", "", "", 1},
        {"HMSG a 1 14 16\r\nNATS/1.0 503\r\nhi\r\n", NATS_WHOLE, NATS_MSG, "MSG", "a", "", "503", "hi", 0},
        {"HMSG a 1 r 12 12\r\nNATS/1.0\r\n\r\n\r\n", NATS_WHOLE, NATS_MSG, "MSG", "a", "r", "", "", 0},
        {"HMSG a 1 0 0\r\n\r\n", NATS_WHOLE, NATS_MSG, "MSG", "a", "", "", "", 0},
        {"", NATS_PARTIAL, 0, NULL, NULL, NULL, NULL, NULL, 0},
        {"PIN", NATS_PARTIAL, 0, NULL, NULL, NULL, NULL, NULL, 3},
        {"MSG a 1 2\r\nhi\r", NATS_PARTIAL, 0, NULL, NULL, NULL, NULL, NULL, 14},
        {"MSG a 1 2\r\nhi!\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 16},
        {"MSG a 1\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 9},
        {"MSG a 1 -2\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 12},
        {"MSG a 1 99999999\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 18},
        {"MSG a 1 r s 2\r\nhi\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 19},
        {"HMSG a 1 5 2\r\nhi\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 18},
        {"HTTP/1.1 400\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 14},
        {"\r\n", NATS_GARBAGE, 0, NULL, NULL, NULL, NULL, NULL, 2},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str in = str_c(cases[i].bytes);
        struct nats_op op;
        if (nats_take_op(&in, &op) != cases[i].found || in.n != cases[i].left)
            fail_msg("'%s': %zu bytes left", cases[i].bytes, in.n);
        if (cases[i].found != NATS_WHOLE)
            continue;
        assert_int_equal(op.kind, cases[i].kind);
        if (op.kind != NATS_MSG)
            assert_true(str_eq_c(op.text, cases[i].text));
        assert_true(str_eq_c(op.subject, cases[i].subject) && str_eq_c(op.reply, cases[i].reply));
        assert_true(str_eq_c(op.status, cases[i].status) && str_eq_c(op.body, cases[i].body));
    }
    static char longest[NATS_LINE_MAX];
    memset(longest, 'x', sizeof(longest));
    struct str in = str_n(longest, sizeof(longest));
    struct nats_op op;
    assert_int_equal(nats_take_op(&in, &op), NATS_GARBAGE);
}

static void test_acks(void **state)
{
    (void)state;
    static const struct {
        const char *status, *body;
        enum send_result result;
        const char *why;
    } cases[] = {
        {"", "{\"stream\":\"S\",\"seq\":7}", SEND_OK, ""},
        {"", "{\"stream\":\"S\", \"seq\":7}", SEND_OK, ""},
        {"", "{\"stream\":\"S\",\"seq\":7,\"duplicate\":true}", SEND_OK, ""},
        {"", "{\"seq\":7,\"domain\":\"d\",\"stream\":\"a\\\"b\"}", SEND_OK, ""},
        {"", "{\"stream\":\"S\",\"seq\":0}", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"\",\"seq\":7}", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"S\",\"seq\":7", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"S\",\"seq\":7}}", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"S\\\",\"seq\":7}", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"S\"\"seq\":7}", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"S\",\"seq\":-7}", SEND_RETRY, "without a reason"},
        {"", "{\"stream\":\"S\",\"seq\":7,\"error\":{\"code\":503}}", SEND_RETRY, "without a reason"},
        {"", "{\"error\":{\"err_code\":10077,\"description\":\"maximum messages exceeded\"}}", SEND_RETRY,
         "maximum messages exceeded"},
        {"", "{\"error\":{\"err_code\":10054,\"description\":\"x\"}}", SEND_REJECT, "max_msg_size"},
        {"", "[]", SEND_RETRY, "without a reason"},
        {"", "", SEND_RETRY, "without a reason"},
        {"503", "", SEND_RETRY, "no stream takes this subject"},
        {"503", "{\"stream\":\"S\",\"seq\":7}", SEND_RETRY, "no stream takes this subject"},
    };
    const struct nats_names names = {"h:1", "x", "events"};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char why[SEND_WHY] = "";
        if (nats_judge_ack(&names, str_c(cases[i].status), str_c(cases[i].body), why, sizeof(why)) !=
                cases[i].result ||
            !strstr(why, cases[i].why))
            fail_msg("%s: '%s'", cases[i].body, why);
    }
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *id, *text, *want;
    } cases[] = {
        {"_", "Authorization Violation",
         "h:1: Authorization Violation: the login is refused (MINIO_NOTIFY_NATS_USERNAME, _PASSWORD, _TOKEN, "
         "_NKEY_SEED or _USER_CREDENTIALS)"},
        {"x", "Secure Connection not available",
         "h:1: Secure Connection not available: the server speaks no TLS (MINIO_NOTIFY_NATS_TLS_x)"},
        {"x", "Permissions Violation for Publish to \"events\"",
         "h:1: Permissions Violation for Publish to \"events\": allow the user to publish to the subject "
         "(MINIO_NOTIFY_NATS_SUBJECT_x)"},
        {"x", "client has been replaced or is no longer registered",
         "h:1: client has been replaced or is no longer registered: it has forgotten this client, which "
         "joins again"},
        {"x", "no news\r\nhere", "h:1: no news  here"},
        {"x", "(", "h:1: ("},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct nats_names names = {"h:1", cases[i].id, "events"};
        char why[SEND_WHY];
        nats_explain(&names, str_c(cases[i].text), why, sizeof(why));
        assert_string_equal(why, cases[i].want);
    }
}

static void test_check(void **state)
{
    (void)state;
    const struct nats_conf good = {.address = (char[]){"h"},
                                   .subject = (char[]){"s"},
                                   .username = (char[]){""},
                                   .password = (char[]){""},
                                   .token = (char[]){""},
                                   .cert_authority = (char[]){""},
                                   .client_cert = (char[]){""},
                                   .client_key = (char[]){""},
                                   .user_credentials = (char[]){""},
                                   .nkey_seed = (char[]){""},
                                   .streaming_cluster_id = (char[]){""}};
    struct err e;
    struct nats_conf c = good;
    assert_true(target_nats.check(&c, &e));
    c.username = (char[]){"u"};
    assert_false(target_nats.check(&c, &e));
    assert_non_null(strstr(e.text, "must be specified as a pair"));
    c.password = (char[]){"p"};
    assert_true(target_nats.check(&c, &e));
    c = good;
    c.client_key = (char[]){"/k"};
    assert_false(target_nats.check(&c, &e));
    c = good;
    c.tls_handshake_first = true;
    assert_false(target_nats.check(&c, &e));
    assert_non_null(strstr(e.text, "needs tls=on"));
    c.tls = true;
    assert_true(target_nats.check(&c, &e));
    c = good;
    c.nkey_seed = c.user_credentials = (char[]){"/f"};
    assert_false(target_nats.check(&c, &e));
    assert_non_null(strstr(e.text, "cannot both be set"));
    c = good;
    c.streaming = true;
    assert_false(target_nats.check(&c, &e));
    assert_non_null(strstr(e.text, "empty cluster id"));
    c.streaming_cluster_id = (char[]){"test-cluster"};
    assert_true(target_nats.check(&c, &e));
    c.jetstream = true;
    assert_false(target_nats.check(&c, &e));
}

/* Acks of NATS Streaming are awaited as the settings say; every other mode has its own number of places. */
static void test_places(void **state)
{
    (void)state;
    static const struct {
        bool jetstream, streaming, async;
        int64_t acks;
        unsigned places;
    } cases[] = {
        {false, false, false, 0, NATS_BATCH},
        {true, false, false, 0, NATS_BATCH},
        {false, true, false, 0, NATS_BATCH}, /* one ack at a time; the others are at hand */
        {false, true, false, 3000, NATS_BATCH},
        {false, true, true, 0, NATS_MAX_BATCH},
        {false, true, true, 1, NATS_BATCH},
        {false, true, true, 3000, 3000},
        {false, true, true, NATS_MAX_BATCH + 1, NATS_MAX_BATCH},
        {false, true, true, INT64_MAX, NATS_MAX_BATCH},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct nats_conf c = {.jetstream = cases[i].jetstream,
                                    .streaming = cases[i].streaming,
                                    .streaming_async = cases[i].async,
                                    .streaming_max_pub_acks_in_flight = cases[i].acks};
        if (nats_places(&c) != cases[i].places)
            fail_msg("case %zu: %u places", i, nats_places(&c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_subjects), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_ops),       cmocka_unit_test(test_acks),     cmocka_unit_test(test_errors),
        cmocka_unit_test(test_check),     cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
