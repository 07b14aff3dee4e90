/* SPDX-License-Identifier: Apache-2.0
 *
 * What is nats' own: addresses, subjects, ids, keys, what errors mean, JetStream's answers, and servers that do not answer
 * while a connection is made. (The contract: test_target.c; against real servers: tests/integration/test_nats*.py.) */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
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

/* The seed is that of an example of the NATS documentation; the key as NATS' own library (nkeys) makes it of that. */
#define SEED "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"
#define KEY  "UAT6BWCSCWLUKJT6K6MBJJOEOTXZ5AJDOYKNEVRFC7VNO6OA43N4TRNO"

static void test_keys(void **state)
{
    (void)state;
    static const char *const good[] = {SEED, SEED "\n", "# mine\r\n  " SEED "\r\nmore"};
    static const char *const bad[] = {"",
                                      KEY,
                                      SEED "A",
                                      "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GA",
                                      "SAAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY",
                                      "SU1MK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"};
    char key[NATS_KEY_MAX];
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(nats_public_key(str_c(good[i]), key, "nkey_seed", &e));
        assert_string_equal(key, KEY);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e = (struct err){0};
        assert_false(nats_public_key(str_c(bad[i]), key, "nkey_seed", &e));
        assert_null(strstr(e.text, "MK2FG4"));
        e = (struct err){0};
        char sig[NATS_SIG_MAX];
        assert_false(nats_sign(str_c(bad[i]), STR("nonce"), sig, "user_credentials", &e));
        assert_non_null(strstr(e.text, "user_credentials names a file without the seed"));
        assert_null(strstr(e.text, "MK2FG4"));
    }
}

/* As openssl signs it by the same seed (pkeyutl -rawin), in the alphabet for URLs. */
static void test_signatures(void **state)
{
    (void)state;
    char sig[NATS_SIG_MAX];
    struct err e;
    assert_true(nats_sign(STR(SEED), STR("PXoWU7zWAMt75FY"), sig, "nkey_seed", &e));
    assert_string_equal(
        sig, "W9Q3AUeNqiKcqNdN07ZVd-tL_0IpkfAQfGXwYomWhkWl_gg0uUSWADZlvnHUb7QemDC4JtxciGodAYand34uCw");
}

static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *text, *jwt;
    } cases[] = {
        {"-----BEGIN NATS USER JWT-----\neyJ0.eyJq.sig\n------END NATS USER JWT------\n", "eyJ0.eyJq.sig"},
        {"x\r\n-----BEGIN NATS USER JWT-----\r\n a.b.c \r\n", "a.b.c"},
        {"-----BEGIN NATS USER JWT-----", ""},
        {"BEGIN NATS USER JWT\na.b.c\n", ""},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_true(str_eq_c(nats_find_jwt(str_c(cases[i].text)), cases[i].jwt));
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

/* NATS Streaming's messages, byte by byte as protoc encodes and decodes them. */
static void test_streaming_messages(void **state)
{
    (void)state;
    struct stan_session s = {.client = "me", .conn = "c"};
    struct str guid, error;
    struct buf b;
    buf_init(&b, 256);
    stan_put_connect(&b, &s, "hb");
    assert_true(str_eq(buf_view(&b), STR("\x0a\2me\x12\2hb\x18\1\"\1c\x28\5\x30\3")));
    buf_reset(&b);
    stan_put_message(&b, &s, STR("g"), STR("s"), STR("data"));
    assert_true(str_eq(buf_view(&b), STR("\x0a\2me\x12\1g\x1a\1s\x2a\4data\x32\1c")));
    buf_release(&b);
    assert_true(stan_read_connect(STR("\x0a\1p\x22\2cl\x3a\2pi\x40\5\xa2\6\1k"), &s, &error));
    assert_int_equal(error.n, 0);
    assert_string_equal(s.publish, "p");
    assert_string_equal(s.close, "cl");
    assert_string_equal(s.ping, "pi");
    assert_true(stan_read_connect(STR("\x2a\2no"), &s, &error));
    assert_true(str_eq_c(error, "no"));
    assert_false(stan_read_connect(STR(""), &s, &error)); /* it names no subject to publish to */
    assert_false(stan_read_connect(STR("\x0a\3p\r\n"), &s, &error));
    assert_false(stan_read_connect(STR("\x0a\5p"), &s, &error));
    assert_true(stan_read_ack(STR("\x0a\1g"), &guid, &error));
    assert_true(str_eq_c(guid, "g") && error.n == 0);
    assert_true(stan_read_ack(STR("\x0a\1g\x12\1e"), &guid, &error));
    assert_true(str_eq_c(error, "e"));
    assert_false(stan_read_ack(STR("\x12\1e"), &guid, &error));
    assert_false(stan_read_ack(STR("\x0b"), &guid, &error));
    assert_true(stan_read_pong(STR(""), &error));
    assert_int_equal(error.n, 0);
    assert_true(stan_read_pong(STR("\x0a\4gone"), &error));
    assert_true(str_eq_c(error, "gone"));
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

/* --- an instance -------------------------------------------------------------------------------------------------- */

struct rig {
    struct receiver r;
    struct arena arena;
    struct nats_conf *conf;
    void *self;
};

static void rig_open(struct rig *g, const char *info)
{
    struct err e = {0};
    char address[32];
    receiver_start_nats(&g->r);
    g->r.info = info;
    arena_init(&g->arena);
    g->conf = arena_zalloc(&g->arena, sizeof(*g->conf));
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", g->r.port);
    setenv("MINIO_NOTIFY_NATS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_NATS_SUBJECT_t", "events", 1);
    setenv("MINIO_NOTIFY_NATS_JETSTREAM_t", "on", 1);
    if (!config_load(target_nats.subsys, target_nats.keys, STR("t"), g->conf, &g->arena, &e))
        fail_msg("%s", e.text);
    g->self = target_nats.open(g->conf, "t", &e);
    assert_non_null(g->self);
}

static void rig_close(struct rig *g)
{
    target_nats.disconnect(g->self);
    target_nats.close(g->self);
    arena_release(&g->arena);
    receiver_stop(&g->r);
}

struct expected {
    const char *key;
    enum send_result result;
    const char *why;
};

/* JetStream: every event has its own outcome. */
static void test_jetstream_answers(void **state)
{
    (void)state;
    static const struct expected cases[] = {
        {"ok-1", SEND_OK, ""},
        {"nostream", SEND_RETRY, "no stream takes this subject"},
        {"again", SEND_OK, ""},
        {"full", SEND_RETRY, "maximum messages exceeded"},
        {"empty", SEND_RETRY, ""},
        {"toobig", SEND_REJECT, "max_msg_size"},
        {"text", SEND_RETRY, ""},
        {"nothing", SEND_RETRY, ""},
        {"silence", SEND_RETRY, "in time"},
        {"ok-2", SEND_OK, ""},
    };
    struct rig g;
    struct err e = {0};
    struct event_ref ev[COUNT_OF(cases)];
    struct send_done done[NATS_MAX_BATCH];
    char why[COUNT_OF(cases)][SEND_WHY] = {{0}};
    bool resolved[COUNT_OF(cases)] = {false};
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    int64_t deadline = clock_mono_ms() + 1000;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                   .bucket = STR("b"),
                                   .key = str_c(cases[i].key),
                                   .record = STR("{\"n\":1}"),
                                   .sequencer = i + 1,
                                   .why = why[i]};
        target_nats.begin(g.self, (unsigned)(i + 100), &ev[i], deadline);
    }
    for (size_t open = COUNT_OF(cases); open > 0;) {
        size_t n = target_nats.poll(g.self, done, deadline);
        for (size_t k = 0; k < n; k++, open--) {
            size_t i = done[k].place - 100;
            assert_true(i < COUNT_OF(cases) && !resolved[i]);
            resolved[i] = true;
            if (done[k].result != cases[i].result || !strstr(why[i], cases[i].why))
                fail_msg("%s: result %d, why '%s'", cases[i].key, (int)done[k].result, why[i]);
        }
    }
    assert_non_null(receiver_find(&g.r, "Nats-Msg-Id: belfry-t-0000000000000001-"));
    rig_close(&g);
}

/* The one event that goes out from this place, and what becomes of it. */
static enum send_result outcome_of(struct rig *g, unsigned place, const char *key, int64_t span_ms)
{
    struct send_done done[NATS_MAX_BATCH];
    char why[SEND_WHY] = "";
    const struct event_ref ev = {.event_name = STR("s3:ObjectCreated:Put"),
                                 .bucket = STR("b"),
                                 .key = str_c(key),
                                 .record = STR("{\"n\":1}"),
                                 .sequencer = 1,
                                 .why = why};
    int64_t until = clock_mono_ms() + span_ms;
    size_t n = 0;
    target_nats.begin(g->self, place, &ev, until);
    while (n == 0 && clock_mono_ms() < until + 5000)
        n = target_nats.poll(g->self, done, until + 1000);
    assert_int_equal(n, 1);
    assert_int_equal(done[0].place, place);
    return done[0].result;
}

/* An ack that comes when its event was given up is not taken for that of the next event from the same place. */
static void test_late_ack(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    assert_int_equal(outcome_of(&g, 5, "late", 100), SEND_RETRY);
    assert_int_equal(outcome_of(&g, 5, "reuse", 300), SEND_RETRY);
    assert_int_equal(outcome_of(&g, 5, "ok-1", 5000), SEND_OK);
    rig_close(&g);
}

/* Servers that do not answer while the connection is made: the deadline holds, whatever they wait in. */
static void test_silent_servers(void **state)
{
    (void)state;
    static const char *const greetings[] = {
        "", "INFO {\"server_id\":\"T\"",
        "INFO {\"server_id\":\"T\",\"tls_required\":true,\"max_payload\":1048576}\r\n"};
    for (size_t i = 0; i < COUNT_OF(greetings); i++) {
        struct rig g;
        struct err e = {0};
        rig_open(&g, greetings[i]);
        int64_t begin = clock_mono_ms();
        assert_false(target_nats.connect(g.self, begin + 300, &e));
        if (!strstr(e.text, "no answer in time"))
            fail_msg("%zu: %s", i, e.text);
        assert_in_range(clock_mono_ms() - begin, 200, 1500);
        rig_close(&g);
    }
}

static void test_wrong_greetings(void **state)
{
    (void)state;
    static const char *const greetings[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "INFO {\r\n", "\r\n",
                                            "INFO {}}}\r\n"};
    for (size_t i = 0; i < COUNT_OF(greetings); i++) {
        struct rig g;
        struct err e = {0};
        rig_open(&g, greetings[i]);
        int64_t begin = clock_mono_ms();
        assert_false(target_nats.connect(g.self, begin + 3000, &e));
        assert_true(clock_mono_ms() - begin < 4500 && e.text[0]);
        rig_close(&g);
    }
}

/* A dead peer is noticed without work. */
static void test_idle(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    assert_true(target_nats.idle(g.self, clock_mono_ms() + 5000, &e));
    receiver_stop(&g.r);
    assert_false(target_nats.idle(g.self, clock_mono_ms() + 5000, &e));
    assert_true(e.text[0]);
    receiver_start_nats(&g.r); /* for rig_close */
    rig_close(&g);
}

/* While events are out the server is asked as often as the settings say. */
static void test_ping_interval(void **state)
{
    (void)state;
    struct rig g;
    struct err e = {0};
    struct send_done done[NATS_MAX_BATCH];
    char why[SEND_WHY];
    const struct event_ref ev = {.event_name = STR("s3:ObjectCreated:Put"),
                                 .bucket = STR("b"),
                                 .key = STR("silence"),
                                 .record = STR("{\"n\":1}"),
                                 .sequencer = 1,
                                 .why = why};
    setenv("MINIO_NOTIFY_NATS_PING_INTERVAL_t", "50ms", 1);
    rig_open(&g, NULL);
    unsetenv("MINIO_NOTIFY_NATS_PING_INTERVAL_t");
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    unsigned before = receiver_requests(&g.r);
    int64_t deadline = clock_mono_ms() + 5000;
    target_nats.begin(g.self, 0, &ev, deadline + 60000);
    while (receiver_requests(&g.r) < before + 5 && clock_mono_ms() < deadline)
        assert_int_equal(target_nats.poll(g.self, done, clock_mono_ms() + 20), 0);
    assert_true(receiver_requests(&g.r) >= before + 5); /* the event, and four PINGs */
    rig_close(&g);
}

static void *hasten_when_stuck(void *arg)
{
    struct rig *g = arg;
    if (receiver_await(&g->r, 4)) /* CONNECT, PING, SUB, and the first event */
        target_nats.hasten(g->self, clock_mono_ms() + 200);
    return NULL;
}

/* A server that does not read any more: what cannot be written waits, and is given up when the time is over. */
static void test_stuck_write(void **state)
{
    (void)state;
    enum { N = 64, SIZE = 900000 };
    static struct event_ref ev[N];
    static struct send_done done[NATS_MAX_BATCH];
    static char why[N][SEND_WHY];
    struct rig g;
    struct err e = {0};
    char *record = x_malloc(SIZE);
    memset(record, '1', SIZE);
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    pthread_t t = thread_start("hasten", hasten_when_stuck, &g);
    int64_t begin = clock_mono_ms();
    for (size_t i = 0; i < N; i++) {
        ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                   .bucket = STR("b"),
                                   .key = STR("hang"),
                                   .record = str_n(record, SIZE),
                                   .sequencer = i + 1,
                                   .why = why[i]};
        target_nats.begin(g.self, (unsigned)i, &ev[i], begin + 60000);
    }
    size_t n = 0;
    while (n < N) {
        size_t got = target_nats.poll(g.self, done, begin + 60000);
        for (size_t i = 0; i < got; i++)
            assert_int_equal(done[i].result, SEND_RETRY);
        n += got;
    }
    assert_true(clock_mono_ms() - begin < 8000);
    thread_join(t);
    rig_close(&g);
    free(record);
}

/* Events that could never be published, as nothing can be written, are given up one after the other, and others wait in
 * their places. */
static void test_stuck_line(void **state)
{
    (void)state;
    enum { N = 64, ROUNDS = 20, SIZE = 900000 };
    static struct event_ref ev[N];
    static struct send_done done[NATS_MAX_BATCH];
    static char why[N][SEND_WHY];
    struct rig g;
    struct err e = {0};
    char *record = x_malloc(SIZE);
    memset(record, '1', SIZE);
    rig_open(&g, NULL);
    assert_true(target_nats.connect(g.self, clock_mono_ms() + 5000, &e));
    for (size_t round = 0; round < ROUNDS; round++) {
        int64_t begin = clock_mono_ms();
        for (size_t i = 0; i < N; i++) {
            ev[i] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                       .bucket = STR("b"),
                                       .key = STR("hang"),
                                       .record = str_n(record, SIZE),
                                       .sequencer = i + 1,
                                       .why = why[i]};
            target_nats.begin(g.self, (unsigned)i, &ev[i], begin + 20);
        }
        for (size_t n = 0; n < N && clock_mono_ms() < begin + 5000;) {
            size_t got = target_nats.poll(g.self, done, begin + 5000);
            for (size_t i = 0; i < got; i++)
                assert_int_equal(done[i].result, SEND_RETRY);
            n += got;
        }
    }
    rig_close(&g);
    free(record);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_ops),
        cmocka_unit_test(test_acks),
        cmocka_unit_test(test_streaming_messages),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_jetstream_answers),
        cmocka_unit_test(test_late_ack),
        cmocka_unit_test(test_silent_servers),
        cmocka_unit_test(test_wrong_greetings),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_ping_interval),
        cmocka_unit_test(test_stuck_write),
        cmocka_unit_test(test_stuck_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
