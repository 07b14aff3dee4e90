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
    enum send_result out[3] = {SEND_RETRY, SEND_RETRY, SEND_RETRY};
    target_elasticsearch.send(self, ev, 3, out, clock_mono_ms() + 5000, &e);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(out[i], SEND_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_indices),       cmocka_unit_test(test_settings),
                                       cmocka_unit_test(test_texts),         cmocka_unit_test(test_ids),
                                       cmocka_unit_test(test_items),         cmocka_unit_test(test_answers),
                                       cmocka_unit_test(test_other_answers), cmocka_unit_test(test_requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
