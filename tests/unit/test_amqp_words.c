/* SPDX-License-Identifier: Apache-2.0
 *
 * What is amqp's own, as values: its URL, and what it makes of the broker's words. */
#include "unit.h"

#include "target/amqp_impl.h"

/* --- the URL ------------------------------------------------------------------------------------------------------ */

static const struct {
    const char *url, *user, *password, *shown, *vhost;
    bool tls;
} good_urls[] = {
    {"amqp://myuser:mypassword@localhost:5672", "myuser", "mypassword", "localhost:5672", "/", false},
    {"amqp://", "guest", "guest", "localhost:5672", "/", false},
    {"amqps://", "guest", "guest", "localhost:5671", "/", true},
    {"AMQP://h/", "guest", "guest", "h:5672", "/", false},
    {"amqp://u@h", "u", "", "h:5672", "/", false},
    {"amqp://u:@h:1", "u", "", "h:1", "/", false},
    {"amqp://:@h", "", "", "h:5672", "/", false},
    {"amqp://:p@h", "", "p", "h:5672", "/", false},
    {"amqp://u:p:q@h", "u", "p:q", "h:5672", "/", false},
    {"amqp://u:p@q@h", "u", "p@q", "h:5672", "/", false},
    {"amqp://user%61:%61pass@ho%61st:10000/v%2fhost", "usera", "apass", "hoast:10000", "v/host", false},
    {"amqp://u:p%2F%3A%40%25@h/%2F", "u", "p/:@%", "h:5672", "/", false},
    {"amqp://h/a/b", "guest", "guest", "h:5672", "a/b", false},
    {"amqp://h/v?heartbeat=5&channel_max=7", "guest", "guest", "h:5672", "v", false},
    {"amqp://[::1]", "guest", "guest", "[::1]:5672", "/", false},
    {"amqps://u:p@[fe80::1]:77/x", "u", "p", "[fe80::1]:77", "x", true},
};
static const char *const bad_urls[] = {
    "",
    "localhost",
    "http://h",
    "amqp:/h",
    "amqp://h:0",
    "amqp://h:65536",
    "amqp://h:x",
    "amqp://h:1:2",
    "amqp://u:s3cret/x@h",
    "amqp://u:s3cret%@h",
    "amqp://u:s3cret%2@h",
    "amqp://u:s3cret%zz@h",
    "amqp://u:s3cret%00@h",
    "amqp://h/%00",
    "amqp://h h",
    "amqp://h%0a",
    "amqp://[::1",
    "amqp://[]:1",
    "amqp://[::1]x",
    "amqp://u:s3cret@h?auth_mechanism=gssapi",
    "amqps://h?certfile=/c",
    "amqps://h?keyfile=/c",
    "amqps://h?cacertfile=%",
};

static void test_urls(void **state)
{
    (void)state;
    struct rabbit_address a;
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good_urls); i++) {
        if (!rabbit_parse_url(str_c(good_urls[i].url), &a, &e))
            fail_msg("%s: %s", good_urls[i].url, e.text);
        assert_string_equal(a.user, good_urls[i].user);
        assert_string_equal(a.password, good_urls[i].password);
        assert_string_equal(a.shown, good_urls[i].shown);
        assert_string_equal(a.vhost, good_urls[i].vhost);
        assert_int_equal(a.tls, good_urls[i].tls);
    }
    for (size_t i = 0; i < COUNT_OF(bad_urls); i++) {
        e = (struct err){0};
        if (rabbit_parse_url(str_c(bad_urls[i]), &a, &e))
            fail_msg("'%s' was taken", bad_urls[i]);
        assert_true(strncmp(e.text, "url ", 4) == 0);
        assert_null(strstr(e.text, "s3cret"));
    }
    assert_true(rabbit_parse_url(
        STR("amqps://h?cacertfile=%2Fa&certfile=/b%20c&keyfile=/d&auth_mechanism=EXTERNAL"), &a, &e));
    assert_string_equal(a.ca_file, "/a");
    assert_string_equal(a.cert_file, "/b c");
    assert_string_equal(a.key_file, "/d");
    assert_true(a.external);
    char longest[400];
    memcpy(longest, "amqp://h/", 9);
    memset(longest + 9, 'v', sizeof(longest) - 9);
    assert_true(rabbit_parse_url(str_n(longest, 9 + 255), &a, &e));
    assert_false(rabbit_parse_url(str_n(longest, 9 + 256), &a, &e));
}

/* --- what the broker says ------------------------------------------------------------------------------------------ */

static const struct rabbit_names names = {
    .shown = "h:1", .id = "x", .vhost = "/", .exchange = "events", .routing_key = "key"};

static void test_explanations(void **state)
{
    (void)state;
    static const struct {
        unsigned code;
        const char *text, *parts[2];
    } cases[] = {
        {403,
         "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN.",
         {"is wrong", "(MINIO_NOTIFY_AMQP_URL_x)"}},
        {403,
         "ACCESS_REFUSED - access to exchange 'x' in vhost '/' refused for user 'y'",
         {"give the user", "(MINIO_NOTIFY_AMQP_URL_x)"}},
        {403,
         "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
         {"turn it off", "(MINIO_NOTIFY_AMQP_INTERNAL_x)"}},
        {404,
         "NOT_FOUND - no exchange 'x' in vhost '/'",
         {"declare it", "(MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_x)"}},
        {406,
         "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x'",
         {"other settings", "(MINIO_NOTIFY_AMQP_EXCHANGE_x)"}},
        {503,
         "COMMAND_INVALID - unknown exchange type 'x'",
         {"does not know", "(MINIO_NOTIFY_AMQP_EXCHANGE_TYPE_x)"}},
        {530, "NOT_ALLOWED - vhost x not found", {"vhost is missing", "(MINIO_NOTIFY_AMQP_URL_x)"}},
        {320,
         "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
         {"shut down", ""}},
        {541, "some\r\n\x1b[2Jnews", {"h:1 closed with 541 'some   [2Jnews'", "see its log"}},
        {0, "", {"closed with 0 ''", ""}},
    };
    char why[SEND_WHY], longest[600];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        rabbit_explain(&names, cases[i].code, str_c(cases[i].text), why, sizeof(why));
        if (!strstr(why, cases[i].parts[0]) || !strstr(why, cases[i].parts[1]))
            fail_msg("%s", why);
    }
    memset(longest, 'l', sizeof(longest));
    rabbit_explain(&names, 403, str_n(longest, sizeof(longest)), why, sizeof(why));
    assert_true(strlen(why) < sizeof(why) - 1);
    rabbit_explain_return(&names, STR("NO_ROUTE"), why, sizeof(why));
    assert_non_null(strstr(why, "unroutable (NO_ROUTE): no queue is bound to exchange 'events'"));
    assert_non_null(strstr(why, "MINIO_NOTIFY_AMQP_MANDATORY_x"));
}

static void test_size_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t limit;
    } cases[] = {
        {"PRECONDITION_FAILED - message size 110 is larger than configured max size 105", 105},
        {"PRECONDITION_FAILED - message size 600000000 is larger than max size 536870912", 536870912},
        {"PRECONDITION_FAILED - message size 110 is larger than configured max size 105.", 105},
        {"PRECONDITION_FAILED - message size 110 is larger than configured max size ", 0},
        {"PRECONDITION_FAILED - inequivalent arg 'x' for exchange 'size 7 is larger than max size 1'", 0},
        {"PRECONDITION_FAILED - message size 110 is larger than configured max size 99999999999999999999", 0},
        {"size 5", 0},
        {"", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(rabbit_size_limit(str_c(cases[i].text)), cases[i].limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_size_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
