/* SPDX-License-Identifier: Apache-2.0
 *
 * What is amqp's own: its session, byte for byte, and its connection. (Its URL and words: test_amqp_words.c; the contract:
 * test_target.c; against a real RabbitMQ: tests/integration/test_amqp*.py.) */
#include "unit.h"

#include <amqp.h>
#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/amqp_impl.h"

/* --- the session ---------------------------------------------------------------------------------------------------- */

static const struct rabbit_names names = {
    .shown = "h:1", .id = "x", .vhost = "/", .exchange = "events", .routing_key = "key"};
static char word_events[] = "events", word_fanout[] = "fanout", word_key[] = "key", none[] = "";
static struct rabbit_conf conf = {.exchange = word_events,
                                  .exchange_type = word_fanout,
                                  .routing_key = word_key,
                                  .client_cert = none,
                                  .client_key = none,
                                  .mandatory = true,
                                  .delivery_mode = 2};
static struct rabbit_address address;
static struct rabbit_session s;
static struct buf from; /* the broker's bytes */
static char why[RABBIT_IN_FLIGHT][SEND_WHY];
static struct event_ref events[RABBIT_IN_FLIGHT];

static void begin(void)
{
    struct err e;
    assert_true(rabbit_parse_url(STR("amqp://ann:secret@h:1/v"), &address, &e));
    memset(&s, 0, sizeof(s));
    s.conf = &conf;
    s.address = &address;
    s.names = names;
    rabbit_session_init(&s);
    rabbit_session_start(&s);
    buf_init(&from, 1u << 20);
}

static void end(void)
{
    rabbit_session_release(&s);
    buf_release(&from);
}

/* What stands in `from`, all of which has to be taken. */
static void take(void)
{
    size_t n = rabbit_session_take(&s, buf_view(&from));
    if (s.state != RABBIT_LOST)
        assert_int_equal(n, from.len);
    buf_reset(&from);
}

static void put(unsigned channel, uint32_t id, void *method)
{
    rabbit_method_put(&from, channel, id, method);
}

static void put_login(void)
{
    amqp_connection_start_t start = {.version_minor = 9, .mechanisms = amqp_cstring_bytes("AMQPLAIN PLAIN")};
    amqp_connection_tune_t tune = {.channel_max = 2047, .frame_max = 4096, .heartbeat = 7};
    amqp_connection_open_ok_t open = {0};
    amqp_channel_open_ok_t channel = {0};
    amqp_exchange_declare_ok_t declare = {0};
    amqp_confirm_select_ok_t select = {0};
    put(0, AMQP_CONNECTION_START_METHOD, &start);
    put(0, AMQP_CONNECTION_TUNE_METHOD, &tune);
    put(0, AMQP_CONNECTION_OPEN_OK_METHOD, &open);
    put(1, AMQP_CHANNEL_OPEN_OK_METHOD, &channel);
    put(1, AMQP_EXCHANGE_DECLARE_OK_METHOD, &declare);
    put(1, AMQP_CONFIRM_SELECT_OK_METHOD, &select);
}

static void log_in(void)
{
    begin();
    put_login();
    take();
    assert_int_equal(s.state, RABBIT_READY);
    assert_int_equal(s.frame_max, 4096);
    assert_int_equal(s.heartbeat_s, 7);
    buf_reset(&s.out);
}

static void publish(unsigned place, const char *record)
{
    events[place] = (struct event_ref){.event_name = STR("s3:ObjectCreated:Put"),
                                       .bucket = STR("b"),
                                       .key = STR("k"),
                                       .record = str_c(record),
                                       .sequencer = 100 + place,
                                       .why = why[place]};
    why[place][0] = 0;
    rabbit_session_publish(&s, place, &events[place], 1);
}

static void ack(uint64_t tag, bool multiple)
{
    amqp_basic_ack_t m = {tag, multiple};
    put(1, AMQP_BASIC_ACK_METHOD, &m);
    take();
}

/* Which places have an outcome, as text: "+" OK, "-" RETRY, "x" REJECT, "." none. */
static const char *outcomes(unsigned n)
{
    static char text[RABBIT_IN_FLIGHT + 1];
    for (unsigned i = 0; i < n; i++)
        text[i] = !s.flight[i].judged                 ? '.'
                  : s.flight[i].result == SEND_OK     ? '+'
                  : s.flight[i].result == SEND_REJECT ? 'x'
                                                      : '-';
    text[n] = 0;
    return text;
}

static bool holds(struct str bytes, struct str part)
{
    return str_find(bytes, part) >= 0;
}

/* The bytes of a login, cut at every place: nothing depends on how they come. */
static void test_login(void **state)
{
    (void)state;
    begin();
    put_login();
    struct str all = buf_view(&from);
    size_t at = 0;
    for (size_t i = 0; i <= all.n; i++)
        at += rabbit_session_take(&s, str_n(all.p + at, i - at));
    assert_int_equal(s.state, RABBIT_READY);
    struct str out = buf_view(&s.out);
    assert_true(str_starts(out, str_n("AMQP\0\0\x09\x01", 8)));
    static const struct str parts[] = {
        STR("PLAIN"),      STR("\0ann\0secret"), STR("connection.blocked"),
        STR("basic.nack"), STR("events"),        STR("authentication_failure_close"),
        STR("fanout")};
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        assert_true(holds(out, parts[i]));
    end();
}

static void test_no_such_login(void **state)
{
    (void)state;
    begin();
    amqp_connection_start_t start = {.version_minor = 9, .mechanisms = amqp_cstring_bytes("PLAINER GSSAPI")};
    put(0, AMQP_CONNECTION_START_METHOD, &start);
    take();
    assert_int_equal(s.state, RABBIT_LOST);
    assert_non_null(strstr(s.lost, "PLAINER GSSAPI"));
    end();
}

/* What begins in another way than a broker of AMQP 0-9-1. */
static void test_strangers(void **state)
{
    (void)state;
    static const struct {
        struct str bytes;
        const char *part;
    } cases[] = {{STR("AMQP\0\1\0\0"), "another version"},
                 {STR("\x15\x03\x01\x00\x02\x02\x46"), "amqps://"},
                 {STR("HTTP/1.1 400 Bad Request\r\n\r\n"), "does not answer as"},
                 {STR("-ERR"), "does not answer as"},
                 {STR("\x01\0\0\0\0\xff\xff"), "does not answer as"},
                 {STR("\x01\0\0\0\0\0\x04\0\x0a\0\x1f\xce"), "does not begin"},
                 {STR("\x01\0\0\0\0\0\x02\0\x0a\xce"), "does not answer as"},
                 {STR("\x01\0\0\0\0\0\x04\0\x0a\0\x0a\xcf"), "does not answer as"},
                 {STR("\x01\0\0\0\0\0\x04\0\x0a\0\x0a\xce"), "log in by PLAIN"},
                 {STR("\x02\0\1\0\0\0\0\xce"), "content that nobody"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin();
        buf_str(&from, cases[i].bytes);
        take();
        if (s.state != RABBIT_LOST || !strstr(s.lost, cases[i].part))
            fail_msg("%zu: %s", i, s.lost);
        end();
    }
}

static void test_publish(void **state)
{
    (void)state;
    log_in();
    publish(0, "{\"n\":1}");
    struct str out = buf_view(&s.out);
    struct rabbit_frame f;
    uint64_t size, sequencer;
    static const char body[] =
        "{\"EventName\":\"s3:ObjectCreated:Put\",\"Key\":\"b/k\",\"Records\":[{\"n\":1}]}";
    assert_int_equal(rabbit_frame_take(&out, 4096, &f), RABBIT_TAKEN);
    static const char method[] = "\0\x3c\0\x28\0\0\6events\3key\1"; /* mandatory, not immediate */
    assert_int_equal(f.type, RABBIT_METHOD);
    assert_int_equal(f.channel, 1);
    assert_memory_equal(f.payload.p, method, sizeof(method) - 1);
    assert_int_equal(rabbit_frame_take(&out, 4096, &f), RABBIT_TAKEN);
    assert_int_equal(f.type, RABBIT_HEADER);
    assert_true(rabbit_header_take(f.payload, &size, &sequencer));
    assert_int_equal(size, sizeof(body) - 1);
    assert_int_equal(sequencer, 100);
    assert_true(holds(f.payload, STR("application/json")) &&
                holds(f.payload, STR("minio-bucketS\0\0\0\1b")) &&
                holds(f.payload, STR("minio-eventS\0\0\0\x14s3:ObjectCreated:Put")) &&
                holds(f.payload, STR("\2\x10"
                                     "0000000000000064")));
    assert_int_equal(rabbit_frame_take(&out, 4096, &f), RABBIT_TAKEN);
    assert_int_equal(f.type, RABBIT_BODY);
    assert_true(str_eq_c(f.payload, body));
    assert_int_equal(out.n, 0);
    /* a body of several frames */
    char *record = x_calloc(1, 10001);
    memset(record, 'r', 10000);
    buf_reset(&s.out);
    publish(1, record);
    out = buf_view(&s.out);
    size_t bytes = 0, frames = 0;
    while (rabbit_frame_take(&out, 4096, &f) == RABBIT_TAKEN) {
        frames++;
        bytes += f.type == RABBIT_BODY ? f.payload.n : 0;
    }
    assert_int_equal(frames, 5);
    assert_int_equal(bytes, 10000 + sizeof(body) - 1 - 7);
    free(record);
    end();
}

static void test_confirms(void **state)
{
    (void)state;
    log_in();
    for (unsigned i = 0; i < 8; i++)
        publish(i, "{}");
    ack(2, false);
    assert_string_equal(outcomes(8), ".+......");
    ack(4, true);
    assert_string_equal(outcomes(8), "++++....");
    amqp_basic_nack_t nack = {6, 1, 0};
    put(1, AMQP_BASIC_NACK_METHOD, &nack);
    take();
    assert_string_equal(outcomes(8), "++++--..");
    assert_non_null(strstr(why[4], "basic.nack"));
    ack(4, true); /* known already */
    assert_int_equal(s.state, RABBIT_READY);
    /* one that is not waited for any more */
    rabbit_session_give_up(&s, 6, "late");
    assert_string_equal(why[6], "late");
    s.flight[6].judged = false;
    publish(6, "{}"); /* again, with another number: the late confirm is not its own */
    ack(7, false);
    assert_string_equal(outcomes(8), "++++--..");
    ack(9, true);
    assert_string_equal(outcomes(8), "++++--++");
    ack(10, false);
    assert_int_equal(s.state, RABBIT_LOST);
    assert_non_null(strstr(s.lost, "never sent"));
    end();
}

/* Nothing but a confirm of that very message makes a success. */
static void test_lost_in_flight(void **state)
{
    (void)state;
    log_in();
    for (unsigned i = 0; i < 3; i++)
        publish(i, "{}");
    amqp_channel_close_t m = {404, amqp_cstring_bytes("NOT_FOUND - no exchange 'events' in vhost '/'"), 60,
                              40};
    amqp_basic_ack_t a = {1, 0};
    put(1, AMQP_BASIC_ACK_METHOD, &a);
    put(1, AMQP_CHANNEL_CLOSE_METHOD, &m);
    a.delivery_tag = 3;
    a.multiple = 1;
    put(1, AMQP_BASIC_ACK_METHOD, &a); /* behind its end it has nothing to say */
    take();
    assert_string_equal(outcomes(3), "+--");
    assert_non_null(strstr(why[2], "no exchange"));
    publish(4, "{}");
    assert_int_equal(s.flight[4].result, SEND_RETRY);
    assert_non_null(strstr(why[4], "no exchange"));
    end();
}

static void test_too_large_for_the_broker(void **state)
{
    (void)state;
    log_in();
    publish(0, "{}");
    publish(1, "{\"long\":\"long\"}");
    publish(2, "{}");
    amqp_channel_close_t m = {
        406,
        amqp_cstring_bytes("PRECONDITION_FAILED - message size 77 is larger than configured max size 70"), 60,
        40};
    put(1, AMQP_CHANNEL_CLOSE_METHOD, &m);
    take();
    assert_string_equal(outcomes(3), "-x-");
    end();
}

static void test_blocked(void **state)
{
    (void)state;
    log_in();
    publish(0, "{}");
    amqp_connection_blocked_t m = {amqp_cstring_bytes("low on memory")};
    amqp_connection_unblocked_t over = {0};
    put(0, AMQP_CONNECTION_BLOCKED_METHOD, &m);
    take();
    assert_string_equal(outcomes(2), "..");
    publish(1, "{}");
    assert_string_equal(outcomes(2), ".-");
    assert_non_null(strstr(why[1], "takes nothing now: low on memory"));
    ack(1, false); /* what was under way may still go through */
    put(0, AMQP_CONNECTION_UNBLOCKED_METHOD, &over);
    take();
    s.flight[1].judged = false;
    publish(1, "{}");
    ack(2, false);
    assert_string_equal(outcomes(2), "++");
    end();
}

/* What no session of ours may be sent. */
static void test_unasked(void **state)
{
    (void)state;
    static const char *const reasons[] = {"nobody asked for",  "content that nobody", "no method",
                                          "no frame",          "second time",         "content that nobody",
                                          "does not answer as"};
    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        log_in();
        amqp_queue_declare_ok_t q = {0};
        amqp_basic_return_t r = {.reply_code = 312};
        amqp_connection_start_t start = {0};
        struct event_ref ev = {.sequencer = 1};
        if (i == 0)
            put(1, AMQP_QUEUE_DECLARE_OK_METHOD, &q);
        else if (i == 1)
            rabbit_frame_put(&from, RABBIT_BODY, 1, STR("x"));
        else if (i == 2)
            rabbit_frame_put(&from, RABBIT_METHOD, 1, STR("\0\x3c\0\xffxx"));
        else if (i == 3)
            buf_puts(&from, "\x07 no frame");
        else if (i == 4)
            put(0, AMQP_CONNECTION_START_METHOD, &start);
        if (i >= 5)
            put(1, AMQP_BASIC_RETURN_METHOD, &r);
        if (i == 5) { /* more body than was said */
            rabbit_header_put(&from, 1, &ev, 3, 0);
            rabbit_frame_put(&from, RABBIT_BODY, 1, STR("four"));
        } else if (i == 6) {
            put(1, AMQP_BASIC_RETURN_METHOD, &r);
        }
        take();
        if (s.state != RABBIT_LOST || !strstr(s.lost, reasons[i]))
            fail_msg("%zu: %s", i, s.lost);
        end();
    }
}

/* --- the connection ------------------------------------------------------------------------------------------------- */

/* A connection that an alarm has blocked is kept over disconnect and connect: so nothing overtakes what lies in it. */
static void test_a_blocked_connection_is_kept(void **state)
{
    (void)state;
    struct receiver r;
    char url[64], id[] = "t";
    struct send_done done[RABBIT_IN_FLIGHT] = {0};
    struct err e = {0};
    receiver_start_amqp(&r);
    (void)snprintf(url, sizeof(url), "amqp://127.0.0.1:%u", r.port);
    struct rabbit_conf c = conf;
    c.url = url;
    assert_true(rabbit_check(&c, &e));
    struct rabbit *t = rabbit_open(&c, id, &e);
    assert_true(rabbit_connect(t, clock_mono_ms() + 5000, &e));
    events[0] = (struct event_ref){
        .bucket = STR("b"), .key = STR("blocked"), .record = STR("{}"), .sequencer = 1, .why = why[0]};
    rabbit_begin(t, 0, &events[0], clock_mono_ms() + 60000);
    int64_t before = clock_mono_ms();
    size_t n = 0;
    while (n == 0 && clock_mono_ms() < before + 10000)
        n = rabbit_poll(t, done, clock_mono_ms() + 100);
    assert_int_equal(n, 1);
    assert_int_equal(done[0].result, SEND_RETRY);
    assert_non_null(strstr(why[0], "takes nothing now: low on memory"));
    assert_false(rabbit_idle(t, clock_mono_ms() + 1000, &e));
    for (int i = 0; i < 3; i++) {
        rabbit_disconnect(t);
        assert_false(rabbit_connect(t, clock_mono_ms() + 5000, &e));
        assert_non_null(strstr(e.text, "low on memory"));
    }
    assert_int_equal(r.n_connections, 1);
    rabbit_close(t);
    receiver_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_login),
        cmocka_unit_test(test_no_such_login),
        cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_publish),
        cmocka_unit_test(test_confirms),
        cmocka_unit_test(test_lost_in_flight),
        cmocka_unit_test(test_too_large_for_the_broker),
        cmocka_unit_test(test_blocked),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_a_blocked_connection_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
