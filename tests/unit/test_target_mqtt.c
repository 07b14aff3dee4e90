/* SPDX-License-Identifier: Apache-2.0
 *
 * What is mqtt's own: URLs, packets, WebSocket frames, the QoS that are not 1. (The contract: test_target.c; against a real
 * broker: tests/integration/test_mqtt.py.) */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/mqtt.h"

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown, *user, *pass, *path;
        bool tls, ws;
    } good[] = {
        {"tcp://localhost:1883", "localhost:1883", "", "", "/", false, false},
        {"TCP://localhost", "localhost:1883", "", "", "/", false, false},
        {"ssl://[::1]", "[::1]:8883", "", "", "/", true, false},
        {"tls://h:1/", "h:1", "", "", "/", true, false},
        {"tcps://h", "h:8883", "", "", "/", true, false},
        {"ws://h/mqtt?x=1#y", "h:80", "", "", "/mqtt?x=1", false, true},
        {"wss://u%40:p%2F:@h", "h:443", "u@", "p/:", "/", true, true},
        {"wss://u@h?q", "h:443", "u", "", "/?q", true, true},
        {"tcp://a@b:c@h", "h:1883", "a@b", "c", "/", false, false},
    };
    static const char *const bad[] = {"",         "localhost",   "http://h",     "tcp://",
                                      "tcp://:1", "tcp://h:0",   "tcp:h",        "tcp://h x",
                                      "ws://h/ü", "tcp://%zz@h", "tcp://a%00@h", "ws://h/a b"};
    struct mqtt_address a;
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (!mqtt_parse_url(str_c(good[i].url), &a, &e))
            fail_msg("%s: %s", good[i].url, e.text);
        assert_string_equal(a.to.shown, good[i].shown);
        assert_string_equal(a.user, good[i].user);
        assert_string_equal(a.pass, good[i].pass);
        assert_string_equal(a.path, good[i].path);
        assert_int_equal(a.tls, good[i].tls);
        assert_int_equal(a.ws, good[i].ws);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e = (struct err){0};
        if (mqtt_parse_url(str_c(bad[i]), &a, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_non_null(strstr(e.text, "broker"));
    }
}

static void test_topics(void **state)
{
    (void)state;
    static const char *const good[] = {"minio", "a/b", "/", "ü x", "$share"};
    static const char *const bad[] = {"", "a/#", "+", "\xff"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(mqtt_topic_ok(str_c(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(mqtt_topic_ok(str_c(bad[i])));
}

static void test_packets_out(void **state)
{
    (void)state;
    struct buf b;
    struct mqtt_login l = {.client_id = STR("id"), .keep_alive_s = 20};
    buf_init(&b, 4096);
    mqtt_put_connect(&b, &l);
    assert_true(str_eq(buf_view(&b), STR("\x10\x0e\0\4MQTT\4\2\0\x14\0\2id")));
    buf_reset(&b);
    l.user = STR("u");
    mqtt_put_connect(&b, &l);
    assert_true(str_eq(buf_view(&b), STR("\x10\x11\0\4MQTT\4\x82\0\x14\0\2id\0\1u")));
    buf_reset(&b);
    l.pass = STR("pw");
    mqtt_put_connect(&b, &l);
    assert_true(str_eq(buf_view(&b), STR("\x10\x15\0\4MQTT\4\xc2\0\x14\0\2id\0\1u\0\2pw")));
    buf_reset(&b);
    mqtt_put_publish(&b, "t", 0, 7, STR("body"));
    assert_true(str_eq(buf_view(&b), STR("\x30\7\0\1tbody")));
    buf_reset(&b);
    mqtt_put_publish(&b, "t", 2, 258, STR("body"));
    assert_true(str_eq(buf_view(&b), STR("\x34\x09\0\1t\1\2body")));
    buf_reset(&b);
    mqtt_put_publish(
        &b, "t", 1, 1,
        str_n("" /* 200 bytes */ "0123456789012345678901234567890123456789012345678901234567890123456789"
              "01234567890123456789012345678901234567890123456789012345678901234567890123456789"
              "01234567890123456789012345678901234567890123456789",
              200));
    assert_true(str_starts(buf_view(&b), STR("\x32\xcd\1\0\1t\0\1"
                                             "0123")));
    buf_reset(&b);
    mqtt_put_pubrel(&b, 258);
    mqtt_put_empty(&b, MQTT_PINGREQ);
    mqtt_put_empty(&b, MQTT_DISCONNECT);
    assert_true(str_eq(buf_view(&b), STR("\x62\2\1\2\xc0\0\xe0\0")));
    buf_release(&b);
}

static void test_packets_in(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        enum mqtt_found found;
        struct mqtt_packet packet;
        size_t left;
    } cases[] = {
        {STR("\x20\2\0\0"), MQTT_WHOLE, {MQTT_CONNACK, 0, 0}, 0},
        {STR("\x20\2\1\5"), MQTT_WHOLE, {MQTT_CONNACK, 0, 5}, 0},
        {STR("\x40\2\1\2\x40"), MQTT_WHOLE, {MQTT_PUBACK, 258, 0}, 1},
        {STR("\x50\2\xff\xff"), MQTT_WHOLE, {MQTT_PUBREC, 65535, 0}, 0},
        {STR("\x70\2\0\1"), MQTT_WHOLE, {MQTT_PUBCOMP, 1, 0}, 0},
        {STR("\xd0\0"), MQTT_WHOLE, {MQTT_PINGRESP, 0, 0}, 0},
        {STR(""), MQTT_PARTIAL, {0}, 0},
        {STR("\x40"), MQTT_PARTIAL, {0}, 1},
        {STR("\x40\2\0"), MQTT_PARTIAL, {0}, 3},
        {STR("\x40\3\0\1\0"), MQTT_GARBAGE, {0}, 5},
        {STR("\x41\2\0\1"), MQTT_GARBAGE, {0}, 4},
        {STR("\x40\x82\0"), MQTT_GARBAGE, {0}, 3},
        {STR("\x30\2\0\0"), MQTT_GARBAGE, {0}, 4},
        {STR("HTTP"), MQTT_GARBAGE, {0}, 4},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str in = cases[i].bytes;
        struct mqtt_packet p = {0};
        assert_int_equal(mqtt_take_packet(&in, &p), cases[i].found);
        assert_int_equal(in.n, cases[i].left);
        if (cases[i].found == MQTT_WHOLE) {
            assert_int_equal(p.type, cases[i].packet.type);
            assert_int_equal(p.id, cases[i].packet.id);
            assert_int_equal(p.code, cases[i].packet.code);
        }
    }
}

#define KEY    "dGhlIHNhbXBsZSBub25jZQ==" /* RFC 6455 1.3, and what it has to become */
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static void test_upgrade(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum mqtt_found found;
        const char *why;
    } cases[] = {
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSEC-websocket-accept: " ACCEPT "\r\n\r\n",
         MQTT_WHOLE, ""},
        {"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " ACCEPT "\r\n", MQTT_PARTIAL, ""},
        {"", MQTT_PARTIAL, ""},
        {"HTT", MQTT_PARTIAL, ""},
        {"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pP\r\n\r\n", MQTT_GARBAGE,
         "WebSocket server"},
        {"HTTP/1.1 101 Switching Protocols\r\n\r\n", MQTT_GARBAGE, "WebSocket server"},
        {"HTTP/1.1 404 Not Found\r\n\r\n", MQTT_GARBAGE, "404"},
        {"HTTP/1.1\r\n\r\n", MQTT_GARBAGE, "answers 0"},
        {"\x20\2", MQTT_GARBAGE, "WebSocket server"},
    };
    char accept[29];
    struct mqtt_address a;
    struct err e = {0};
    struct buf b;
    ws_accept(KEY, accept);
    assert_string_equal(accept, ACCEPT);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str in = str_c(cases[i].text);
        e = (struct err){0};
        assert_int_equal(ws_take_reply(&in, KEY, "h:80", &e), cases[i].found);
        if (!strstr(e.text, cases[i].why))
            fail_msg("%s", e.text);
    }
    buf_init(&b, 4096);
    assert_true(mqtt_parse_url(STR("ws://h:81/mqtt"), &a, &e));
    ws_put_request(&b, &a, KEY);
    assert_true(str_starts(buf_view(&b), STR("GET /mqtt HTTP/1.1\r\nHost: h:81\r\n")));
    assert_true(str_find(buf_view(&b), STR("\r\nSec-WebSocket-Protocol: mqtt\r\n")) > 0);
    buf_release(&b);
}

static void test_frames(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        enum mqtt_found found;
        enum ws_op op;
        const char *payload;
    } cases[] = {
        {STR("\x82\2ab"), MQTT_WHOLE, WS_BINARY, "ab"},
        {STR("\2\1a"), MQTT_WHOLE, WS_BINARY, "a"},
        {STR("\x80\0"), MQTT_WHOLE, WS_CONTINUED, ""},
        {STR("\x89\1p"), MQTT_WHOLE, WS_PING, "p"},
        {STR("\x82\x7e\0\2ab"), MQTT_WHOLE, WS_BINARY, "ab"},
        {STR("\x82"), MQTT_PARTIAL, 0, NULL},
        {STR("\x82\2a"), MQTT_PARTIAL, 0, NULL},
        {STR("\x82\x7e\0"), MQTT_PARTIAL, 0, NULL},
        {STR("\x82\x82mask"), MQTT_GARBAGE, 0, NULL},
        {STR("\x82\x7f\0\0"), MQTT_GARBAGE, 0, NULL},
        {STR("\xc2\0"), MQTT_GARBAGE, 0, NULL},
        {STR("\x83\0"), MQTT_GARBAGE, 0, NULL},
        {STR("\x82\x7e\xff\xff"), MQTT_GARBAGE, 0, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str in = cases[i].bytes;
        struct ws_frame f;
        assert_int_equal(ws_take_frame(&in, &f), cases[i].found);
        if (cases[i].found == MQTT_WHOLE) {
            assert_int_equal(f.op, cases[i].op);
            assert_true(str_eq_c(f.payload, cases[i].payload) && in.n == 0);
        }
    }
    struct buf b;
    static char large[70000];
    buf_init(&b, 200000);
    ws_put_frame(&b, WS_BINARY, (const uint8_t *)"\1\2\3\4", STR("ababa"));
    assert_true(str_eq(buf_view(&b), STR("\x82\x85\1\2\3\4\x60\x60\x62\x66\x60")));
    buf_reset(&b);
    ws_put_frame(&b, WS_BINARY, (const uint8_t *)"\0\0\0\0", str_n(large, 126));
    assert_true(str_starts(buf_view(&b), STR("\x82\xfe\0\x7e\0\0\0\0")) && b.len == 8 + 126);
    buf_reset(&b);
    ws_put_frame(&b, WS_BINARY, (const uint8_t *)"\0\0\0\0", str_n(large, sizeof(large)));
    assert_true(str_starts(buf_view(&b), STR("\x82\xff\0\0\0\0\0\1\x11\x70")) && b.len == 14 + sizeof(large));
    buf_release(&b);
}

/* QoS 0: an event is delivered when a ping that went behind it is answered. */
static void test_qos_0(void **state)
{
    (void)state;
    struct receiver r;
    struct err e = {0};
    char url[64], topic[] = "t", none[] = "", why[3][SEND_WHY] = {{0}};
    receiver_start_mqtt(&r);
    (void)snprintf(url, sizeof(url), "tcp://127.0.0.1:%u", r.port);
    struct mqtt_conf c = {.broker = url,
                          .topic = topic,
                          .username = none,
                          .password = none,
                          .client_cert = none,
                          .client_key = none};
    void *self = target_mqtt.open(&c, "x", &e);
    assert_true(target_mqtt.connect(self, clock_mono_ms() + 5000, &e));
    struct event_ref ev[3];
    for (unsigned i = 0; i < 3; i++) {
        ev[i] = (struct event_ref){
            .event_name = STR("e"), .bucket = STR("b"), .key = STR("ok"), .record = STR("{}"), .why = why[i]};
        target_mqtt.begin(self, i, &ev[i], clock_mono_ms() + 5000);
    }
    struct send_done done[MQTT_MAX_BATCH];
    size_t n = 0;
    while (n < 3) {
        size_t got = target_mqtt.poll(self, done, clock_mono_ms() + 5000);
        for (size_t i = 0; i < got; i++)
            assert_int_equal(done[i].result, SEND_OK);
        n += got;
    }
    assert_true(receiver_requests(&r) >= 5); /* CONNECT, three events, PINGREQ */
    target_mqtt.close(self);
    receiver_stop(&r);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        const char *id, *why;
    } cases[] = {{1, "x", "3.1.1"},
                 {3, "x", "not available"},
                 {4, "x", "(MINIO_NOTIFY_MQTT_USERNAME_x and _PASSWORD)"},
                 {5, "_", "(MINIO_NOTIFY_MQTT_USERNAME and _PASSWORD)"},
                 {200, "x", "none of MQTT's"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct mqtt_names names = {"h:1883", cases[i].id};
        char why[SEND_WHY];
        mqtt_explain(&names, cases[i].code, why, sizeof(why));
        if (!strstr(why, cases[i].why))
            fail_msg("%s", why);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),       cmocka_unit_test(test_topics),  cmocka_unit_test(test_packets_out),
        cmocka_unit_test(test_packets_in), cmocka_unit_test(test_upgrade), cmocka_unit_test(test_frames),
        cmocka_unit_test(test_qos_0),      cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
