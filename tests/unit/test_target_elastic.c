/* SPDX-License-Identifier: Apache-2.0
 *
 * What is Elasticsearch's own: settings, ids, what it sends in either format, what it makes of answers. (The contract:
 * test_target.c; against a real one: tests/integration/test_elasticsearch*.py.) */
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/elastic.h"

/* --- settings ----------------------------------------------------------------------------------------------------- */

static void test_indices(void **state)
{
    (void)state;
    static const char *const good[] = {"events",  "minio_events", "a", "logs-2026.02",
                                       ".hidden", "\xc3\xbc",     "1"};
    static const char *const bad[] = {"",    "Events", "-a",  "_a",   "+a",  ".",   "..",
                                      "a b", "a/b",    "a,b", "a*",   "a?",  "a#b", "a:b",
                                      "a\"", "<a>",    "a|b", "a\\b", "a\n", "\xff"};
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(elastic_check_index(str_c(good[i]), &e));
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e.text[0] = 0;
        assert_false(elastic_check_index(str_c(bad[i]), &e));
        assert_non_null(strstr(e.text, "index"));
    }
    char longest[257];
    memset(longest, 'a', sizeof(longest));
    assert_true(elastic_check_index(str_n(longest, 255), &e));
    assert_false(elastic_check_index(str_n(longest, 256), &e));
}

static void test_settings(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *password, *api_key, *cert, *key, *why;
    } cases[] = {
        {"http://h:9200", "", "", "", "", "", NULL},
        {"https://u:p@h/path/", "", "", "", "", "", NULL},
        {"http://h", "u", "p", "", "/c", "/k", NULL},
        {"http://h", "", "", "abc==", "", "", NULL},
        {"http://h?x=y", "", "", "", "", "", "cannot be kept"},
        {"http://h/#a", "", "", "", "", "", "cannot be kept"},
        {"ftp://h", "", "", "", "", "", "http://host:port"},
        {"http://h", "u", "", "", "", "", "set in pairs"},
        {"http://h", "", "p", "", "", "", "set in pairs"},
        {"http://h", "u", "p", "k", "", "", "together"},
        {"http://u:p@h", "", "", "k", "", "", "together"},
        {"http://h", "", "", "a b", "", "", "blank"},
        {"http://h", "", "", "a\nb", "", "", "blank"},
        {"http://h", "", "", "", "/c", "", "together"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct elastic_conf c = {.url = (char *)(uintptr_t)cases[i].url,
                                 .index = (char *)(uintptr_t) "i",
                                 .username = (char *)(uintptr_t)cases[i].user,
                                 .password = (char *)(uintptr_t)cases[i].password,
                                 .api_key = (char *)(uintptr_t)cases[i].api_key,
                                 .client_cert = (char *)(uintptr_t)cases[i].cert,
                                 .client_key = (char *)(uintptr_t)cases[i].key};
        struct err e = {0};
        assert_int_equal(target_elasticsearch.check(&c, &e), cases[i].why == NULL);
        if (cases[i].why && !strstr(e.text, cases[i].why))
            fail_msg("%s: %s", cases[i].url, e.text);
    }
}

static void test_texts(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    elastic_url(&b, STR("http://h:9200"), STR("events"), "/_bulk?x");
    buf_puts(&b, " ");
    elastic_url(&b, STR("https://u:p@h/es//"), STR("\xc3\xbc%"), "");
    buf_puts(&b, " ");
    elastic_api_key(&b, STR("id:secret"));
    buf_puts(&b, " ");
    elastic_api_key(&b, STR("aWQ6c2VjcmV0"));
    buf_char(&b, 0);
    assert_string_equal(b.p, "http://h:9200/events/_bulk?x https://u:p@h/es/%C3%BC%25 ApiKey aWQ6c2VjcmV0 "
                             "ApiKey aWQ6c2VjcmV0");
    buf_release(&b);
}

/* --- what is sent ------------------------------------------------------------------------------------------------- */

static struct event_ref event(const char *key, uint64_t number, bool removed, const char *record)
{
    return (struct event_ref){.event_name = STR("s3:Any"),
                              .bucket = STR("images"),
                              .key = str_c(key),
                              .record = str_c(record),
                              .sequencer = number,
                              .removed = removed};
}

static void test_ids(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"myphoto.jpg", "p6Ki67qy3lCiC8S6O7Sqg45IYNdXdtxyGnAfASuSU2c="},
                                           {"gopher.jpg", "JAH58L4VBIc562PCN4FP64NHmux7Mbjej6_r_kDfH4M="}};
    char id[ELASTIC_ID + 1], other[ELASTIC_ID + 1];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct event_ref ev = event(cases[i][0], i, false, "{}");
        elastic_id(&ev, ELASTIC_NAMESPACE, id);
        assert_string_equal(id, cases[i][1]);
    }
    /* of an event: the same again, another for another number or record, whatever the key */
    struct event_ref a = event("k", 7, false, "{\"n\":1}");
    elastic_id(&a, ELASTIC_ACCESS, id);
    elastic_id(&a, ELASTIC_ACCESS, other);
    assert_string_equal(id, other);
    a.sequencer = 8;
    elastic_id(&a, ELASTIC_ACCESS, other);
    assert_string_not_equal(id, other);
    a = event("k", 7, false, "{\"n\":2}");
    elastic_id(&a, ELASTIC_ACCESS, other);
    assert_string_not_equal(id, other);
}

static void test_items(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        bool removed;
        enum elastic_format format;
        const char *record, *want;
    } cases[] = {
        {7, false, ELASTIC_NAMESPACE, "{\"n\":1}",
         "{\"index\":{\"_id\":\"ID\",\"version\":7,\"version_type\":\"external_gte\"}}\n{\"Records\":[{\"n\":"
         "1}]}\n"},
        {7, true, ELASTIC_NAMESPACE, "{\"n\":1}",
         "{\"delete\":{\"_id\":\"ID\",\"version\":7,\"version_type\":\"external_gte\"}}\n"},
        {7, false, ELASTIC_ACCESS, "{\"n\":1}", "{\"create\":{\"_id\":\"ID\"}}\n{\"Records\":[{\"n\":1}]}\n"},
        {7, true, ELASTIC_ACCESS, "{\"n\":1}", "{\"create\":{\"_id\":\"ID\"}}\n{\"Records\":[{\"n\":1}]}\n"},
        {UINT64_MAX, true, ELASTIC_NAMESPACE, "", "{\"delete\":{\"_id\":\"ID\"}}\n"},
        /* what was taken over may be laid out in lines, which would be others here */
        {7, false, ELASTIC_ACCESS, "{\r\n\"n\":1\n}",
         "{\"create\":{\"_id\":\"ID\"}}\n{\"Records\":[{  \"n\":1 }]}\n"},
    };
    struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct event_ref ev = event("k", cases[i].number, cases[i].removed, cases[i].record);
        buf_reset(&b);
        elastic_item(&b, &ev, cases[i].format, "ID");
        buf_char(&b, 0);
        assert_string_equal(b.p, cases[i].want);
    }
    buf_release(&b);
}

/* --- what is answered --------------------------------------------------------------------------------------------- */

static const struct elastic_names names = {"http://h:9200", "x", "events"};

/* Answers to a "delete" of document ID, and what they mean. */
static const struct {
    const char *item;
    enum send_result result;
    const char *why;
} answers[] = {
    {"{\"delete\":{\"_id\":\"ID\",\"status\":200}}", SEND_OK, ""},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":404}}", SEND_OK, ""},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\"}}"
     "}",
     SEND_OK, ""},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":409}}", SEND_RETRY, "409"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":404,\"error\":{\"type\":\"index_not_found_exception\"}}}",
     SEND_RETRY, "INDEX_x"},
    {"{\"delete\":{\"_id\":\"OTHER\",\"status\":200}}", SEND_RETRY, "something else"},
    {"{\"delete\":{\"status\":200}}", SEND_RETRY, "something else"},
    {"{\"index\":{\"_id\":\"ID\",\"status\":200}}", SEND_RETRY, "something else"},
    {"{\"delete\":{\"_id\":\"ID\"}}", SEND_RETRY, "something else"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":\"200\"}}", SEND_RETRY, "something else"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":199}}", SEND_RETRY, "199"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":300}}", SEND_RETRY, "300"},
    {"{\"delete\":7}", SEND_RETRY, "something else"},
    {"7", SEND_RETRY, "something else"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":403,\"error\":{\"type\":\"security_exception\",\"reason\":"
     "\"action "
     "[indices:data/write/bulk[s]] is unauthorized\"}}}",
     SEND_RETRY, "create_index"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":429,\"error\":{\"type\":\"cluster_block_exception\",\"reason\":"
     "\"index "
     "[e] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has "
     "read-only-allow-delete block];\"}}}",
     SEND_RETRY, "disk is full"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":400,\"error\":{\"type\":\"illegal_argument_exception\","
     "\"reason\":"
     "\"Limit of total fields [1000] has been exceeded\"}}}",
     SEND_RETRY, "total_fields"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":400,\"error\":{\"type\":\"document_parsing_exception\","
     "\"reason\":"
     "\"[1:20] failed to parse\\nfield\"}}}",
     SEND_REJECT, "failed to parse field"},
    {"{\"delete\":{\"_id\":\"ID\",\"status\":500,\"error\":\"a mere text\"}}", SEND_RETRY, "a mere text"},
};

static void test_answers(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct elastic_sent sent = {.op = "delete", .id = "ID", .result = SEND_OK};
        buf_reset(&b);
        buf_printf(&b, "{\"errors\":false,\"items\":[%s]}", answers[i].item);
        elastic_judge(&names, buf_view(&b), &sent, 1);
        if (sent.result != answers[i].result || !strstr(sent.why, answers[i].why) ||
            (sent.result == SEND_OK) != !sent.why[0])
            fail_msg("%s: %d %s", answers[i].item, (int)sent.result, sent.why);
        assert_int_equal(sent.no_index, strstr(answers[i].item, "index_not_found") != NULL);
    }
    buf_release(&b);
}

/* Fewer or more items than were sent, or none that can be read: nothing is known about any. */
static void test_other_answers(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"items\":7}",
        "{\"items\":[]}",
        "{\"items\":[{\"index\":{\"_id\":\"A\",\"status\":200}}]}",
        "{\"items\":[{\"index\":{\"_id\":\"A\",\"status\":200}},{\"index\":{\"_id\":\"B\",\"status\":200}},"
        "{\"index\":{\"_id\":\"C\",\"status\":200}}]}",
        "{\"items\":[{\"index\":{\"_id\":\"B\",\"status\":200}},{\"index\":{\"_id\":\"A\",\"status\":200}}]}",
        "{\"items\":[{\"index\":{\"_id\":\"A\",\"status\":200}},{\"index\":{\"_id\":\"B\",\"status\":200}}]} "
        "more",
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct elastic_sent sent[2] = {{.op = "index", .id = "A", .result = SEND_OK},
                                       {.op = "index", .id = "B", .result = SEND_OK}};
        elastic_judge(&names, str_c(bodies[i]), sent, 2);
        assert_int_equal(sent[0].result, SEND_RETRY);
        assert_int_equal(sent[1].result, SEND_RETRY);
        assert_true(sent[0].why[0] && sent[1].why[0]);
    }
}

/* --- what goes over the wire -------------------------------------------------------------------------------------- */

static void test_requests(void **state)
{
    (void)state;
    struct receiver r;
    struct err e = {0};
    char url[64], why[3][SEND_WHY] = {"", "", ""};
    receiver_start_elastic(&r);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/es/", r.port);
    struct elastic_conf c = {.url = url,
                             .index = (char *)(uintptr_t) "events",
                             .username = (char *)(uintptr_t) "",
                             .password = (char *)(uintptr_t) "",
                             .api_key = (char *)(uintptr_t) "id:secret",
                             .client_cert = (char *)(uintptr_t) "",
                             .client_key = (char *)(uintptr_t) ""};
    void *self = target_elasticsearch.open(&c, "t", &e);
    assert_true(target_elasticsearch.connect(self, clock_mono_ms() + 5000, &e));
    struct event_ref ev[3] = {event("a", 1, false, "{\"n\":1}"), event("b", 2, false, "{}"),
                              event("c", 3, true, "{}")};
    ev[1].stale = true; /* nothing is to be sent */
    for (size_t i = 0; i < 3; i++)
        ev[i].why = why[i];
    struct send_done done[ELASTIC_MAX_BATCH];
    int64_t until = clock_mono_ms() + 5000;
    for (unsigned i = 0; i < 3; i++)
        target_elasticsearch.begin(self, i, &ev[i], until);
    for (size_t n = 0; n < 3;) {
        size_t more = target_elasticsearch.poll(self, done, until);
        assert_true(more > 0);
        for (size_t i = 0; i < more; i++)
            assert_int_equal(done[i].result, SEND_OK);
        n += more;
    }
    assert_int_equal(receiver_requests(&r), 2);
    assert_non_null(receiver_find(&r, "HEAD /es/events HTTP/1.1\r\n"));
    const char *q = receiver_find(&r, "POST /es/events/_bulk?");
    assert_non_null(q);
    assert_non_null(strstr(q, "Authorization: ApiKey aWQ6c2VjcmV0\r\n"));
    assert_non_null(strstr(q, "Content-Type: application/x-ndjson\r\n"));
    char want[400], id[2][ELASTIC_ID + 1];
    elastic_id(&ev[0], ELASTIC_NAMESPACE, id[0]);
    elastic_id(&ev[2], ELASTIC_NAMESPACE, id[1]);
    (void)snprintf(want, sizeof(want),
                   "\r\n\r\n{\"index\":{\"_id\":\"%s\",\"version\":1,\"version_type\":\"external_gte\"}}\n"
                   "{\"Records\":[{\"n\":1}]}\n"
                   "{\"delete\":{\"_id\":\"%s\",\"version\":3,\"version_type\":\"external_gte\"}}\n",
                   id[0], id[1]);
    assert_string_equal(strstr(q, "\r\n\r\n"), want);
    target_elasticsearch.disconnect(self);
    target_elasticsearch.close(self);
    receiver_stop(&r);
}

/* --- several requests at a time ----------------------------------------------------------------------------------- */

#define MANY   600 /* three requests: places 0-255, 256-511, 512-599 */
#define SECOND (ELASTIC_MAX_BATCH / 4)

struct many {
    struct receiver r;
    struct elastic_conf c;
    void *self;
    char url[64], key[MANY][16], why[MANY][SEND_WHY];
    struct event_ref ev[MANY];
    enum send_result out[MANY];
    int order[MANY]; /* in which poll its outcome came; -1: not yet */
};

static struct many *many_open(void)
{
    struct many *m = calloc(1, sizeof(*m));
    struct err e = {0};
    static char name[] = "events", none[] = "";
    assert_non_null(m);
    receiver_start_elastic(&m->r);
    (void)snprintf(m->url, sizeof(m->url), "http://127.0.0.1:%u", m->r.port);
    m->c = (struct elastic_conf){.url = m->url,
                                 .index = name,
                                 .username = none,
                                 .password = none,
                                 .api_key = none,
                                 .client_cert = none,
                                 .client_key = none};
    m->self = target_elasticsearch.open(&m->c, "t", &e);
    assert_true(target_elasticsearch.connect(m->self, clock_mono_ms() + 5000, &e));
    return m;
}

static void many_close(struct many *m)
{
    target_elasticsearch.disconnect(m->self);
    target_elasticsearch.close(m->self);
    receiver_stop(&m->r);
    free(m);
}

/* Hands all of them over, the one at `at` with a key of its own, and waits for every outcome. */
static void many_send(struct many *m, size_t at, const char *key, int64_t within_ms)
{
    struct send_done done[ELASTIC_MAX_BATCH];
    int64_t until = clock_mono_ms() + within_ms;
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(m->key[i], sizeof(m->key[i]), "k%u", i);
        if (i == at)
            (void)snprintf(m->key[i], sizeof(m->key[i]), "%s", key);
        m->ev[i] = event(m->key[i], i + 1, false, "{}");
        m->ev[i].bucket = STR("b"); /* as the receiver knows its keys */
        m->ev[i].why = m->why[i];
        m->why[i][0] = 0;
        m->order[i] = -1;
        target_elasticsearch.begin(m->self, i, &m->ev[i], until);
    }
    int polls = 0;
    for (size_t n = 0; n < MANY; polls++) {
        size_t more = target_elasticsearch.poll(m->self, done, until);
        for (size_t i = 0; i < more; i++) {
            assert_true(done[i].place < MANY && m->order[done[i].place] == -1);
            m->order[done[i].place] = polls;
            m->out[done[i].place] = done[i].result;
        }
        n += more;
        assert_true(polls < 1000 && clock_mono_ms() < until + 1500);
    }
}

static void many_expect(const struct many *m, size_t from, size_t to, enum send_result want, const char *why)
{
    for (size_t i = from; i < to; i++)
        if (m->out[i] != want || !strstr(m->why[i], why))
            fail_msg("event %zu: result %d, why '%s'", i, (int)m->out[i], m->why[i]);
}

/* What ends one request, or holds it up, is nothing to the others. */
static void test_several_requests(void **state)
{
    (void)state;
    static const struct {
        const char *key, *why;
        int64_t within_ms;
    } cuts[] = {{"half", "", 10000},       {"close", "https://", 10000}, {"garbage", "https://", 10000},
                {"full", "memory", 10000}, {"nojson", "does", 10000},    {"hang", "in time", 500},
                {"login", "USER", 10000}};
    struct many *m = many_open();
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        many_send(m, SECOND + 7, cuts[i].key, cuts[i].within_ms);
        many_expect(m, 0, SECOND, SEND_OK, "");
        many_expect(m, SECOND, 2 * SECOND, SEND_RETRY, cuts[i].why);
        many_expect(m, 2 * SECOND, MANY, SEND_OK, "");
        if (strcmp(cuts[i].key, "hang") == 0)
            assert_true(m->order[0] < m->order[SECOND] && m->order[MANY - 1] < m->order[SECOND]);
    }
    assert_true(m->r.n_connections >= 3);
    many_close(m);
}

/* Where the index is gone, what has not been sent waits until no request is out, and the index is looked for first. */
static void test_index_gone_meanwhile(void **state)
{
    (void)state;
    struct many *m = many_open();
    assert_int_equal(receiver_requests(&m->r), 1);
    many_send(m, SECOND + 7, "gone", 10000);
    many_expect(m, 0, SECOND + 7, SEND_OK, "");
    many_expect(m, SECOND + 7, SECOND + 8, SEND_RETRY, "INDEX");
    many_expect(m, SECOND + 8, MANY, SEND_OK, "");
    assert_int_equal(receiver_requests(&m->r), 4);
    many_send(m, 0, "k0", 10000);
    many_expect(m, 0, MANY, SEND_OK, "");
    assert_int_equal(receiver_requests(&m->r), 8);
    assert_non_null(strstr(m->r.request[4], "HEAD /events "));
    many_close(m);
}

/* Given up while requests are out: none of them has an outcome, and it works again afterwards. */
static void test_disconnect_amid(void **state)
{
    (void)state;
    struct many *m = many_open();
    struct send_done done[ELASTIC_MAX_BATCH];
    struct err e = {0};
    struct event_ref hanging = event("hang", 1, false, "{}");
    hanging.bucket = STR("b");
    target_elasticsearch.begin(m->self, 5, &hanging, clock_mono_ms() + 5000);
    assert_int_equal(target_elasticsearch.poll(m->self, done, clock_mono_ms()), 0);
    assert_true(receiver_await(&m->r, 2));
    target_elasticsearch.disconnect(m->self);
    assert_int_equal(target_elasticsearch.poll(m->self, done, clock_mono_ms() + 20), 0);
    assert_true(target_elasticsearch.connect(m->self, clock_mono_ms() + 5000, &e));
    many_send(m, 0, "k0", 10000);
    many_expect(m, 0, MANY, SEND_OK, "");
    many_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_indices),
                                       cmocka_unit_test(test_settings),
                                       cmocka_unit_test(test_texts),
                                       cmocka_unit_test(test_ids),
                                       cmocka_unit_test(test_items),
                                       cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_other_answers),
                                       cmocka_unit_test(test_requests),
                                       cmocka_unit_test(test_several_requests),
                                       cmocka_unit_test(test_index_gone_meanwhile),
                                       cmocka_unit_test(test_disconnect_amid)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
