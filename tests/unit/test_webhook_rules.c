/* SPDX-License-Identifier: Apache-2.0
 *
 * What is webhook's own, as rules: its settings, the Authorization header, Retry-After, what a status means, and URLs. */
#include "unit.h"

#include "target/http.h"
#include "target/webhook.h"

static void test_check(void **state)
{
    (void)state;
    struct webhook_conf c = {.endpoint = (char[]){"http://h"},
                             .auth_token = (char[]){""},
                             .client_cert = (char[]){"/c"},
                             .client_key = (char[]){""}};
    struct err e = {0};
    assert_false(target_webhook.check(&c, &e));
    assert_string_equal(
        e.text,
        "client_cert and client_key (MINIO_NOTIFY_WEBHOOK_CLIENT_CERT and _KEY) have to be set together");
    c.client_cert = (char[]){""};
    assert_true(target_webhook.check(&c, &e));
    c.auth_token = (char[]){"a\r\nX: y"};
    assert_false(target_webhook.check(&c, &e));
}

static void test_authorization(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"abc", "Bearer abc"},
                                           {" abc\t", "Bearer abc"},
                                           {"Basic abc", "Basic abc"},
                                           {"Basic  abc", "Basic  abc"},
                                           {"", NULL},
                                           {"  ", NULL},
                                           {"a b c", NULL}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(webhook_authorization(str_c(cases[i][0]), &b), cases[i][1] != NULL);
        if (cases[i][1])
            assert_true(str_eq_c(buf_view(&b), cases[i][1]));
        buf_release(&b);
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {{"5", 5000},
                 {" 120 \r\n", 120000},
                 {"0", 0},
                 {"-1", 0},
                 {"soon", 0},
                 {"", 0},
                 {"1.5", 0},
                 {"99999999999999999999", 0},
                 {"9999999", 86400000},
                 {"Sun, 01 Feb 2026 10:20:40 GMT", 10000},
                 {"Sun, 01 Feb 2026 10:20:20 GMT", 0},
                 {"Sun, 01 Feb 2099 10:20:20 GMT", 86400000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(http_retry_after(str_c(cases[i].text), 1769941230), cases[i].want);
}

static void test_outcomes(void **state)
{
    (void)state;
    char why[SEND_WHY];
    for (long status = 100; status < 600; status++) {
        bool refused = status == 400 || status == 413 || status == 415 || status == 422;
        enum send_result want = status >= 200 && status < 300 ? SEND_OK : refused ? SEND_REJECT : SEND_RETRY;
        assert_int_equal(webhook_outcome(status, "http://h/p", STR(""), "_", why, sizeof(why)), want);
        assert_int_equal(why[0] != 0, want != SEND_OK);
    }
    assert_int_equal(webhook_outcome(403, "http://h/p", STR(""), "_", why, sizeof(why)), SEND_RETRY);
    assert_string_equal(why, "http://h/p answered 403: check MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN");
    assert_int_equal(webhook_outcome(407, "http://h/p", STR(""), "_", why, sizeof(why)), SEND_RETRY);
    assert_string_equal(why,
                        "the proxy before http://h/p answered 407: check user and password in HTTP_PROXY");
    assert_int_equal(webhook_outcome(302, "http://h/p", STR("http://n/"), "x", why, sizeof(why)), SEND_RETRY);
    assert_string_equal(
        why,
        "http://h/p answered 302, it moved to http://n/: set MINIO_NOTIFY_WEBHOOK_ENDPOINT_x to where it is");
}

static void test_urls(void **state)
{
    (void)state;
    static const char *const shown[][2] = {{"http://user:pw@h:80/p?token=x#f", "http://h:80/p"},
                                           {"https://[::1]:9/x", "https://[::1]:9/x"},
                                           {"http://h", "http://h"},
                                           {"http://h?x", "http://h"}};
    for (size_t i = 0; i < COUNT_OF(shown); i++) {
        struct buf b;
        buf_init(&b, 100);
        http_shown(str_c(shown[i][0]), &b);
        assert_true(str_eq_c(buf_view(&b), shown[i][1]));
        buf_release(&b);
    }
    assert_true(http_same_origin(STR("http://H/a"), STR("HTTP://h:80/b")));
    assert_true(http_same_origin(STR("https://u:p@h/a"), STR("https://h:443")));
    assert_false(http_same_origin(STR("https://h/"), STR("http://h/")));
    assert_false(http_same_origin(STR("http://h/"), STR("http://h:81/")));
    assert_false(http_same_origin(STR("http://h/"), STR("http://h.evil/")));
    assert_true(http_is_loopback(STR("http://localhost:1/")));
    assert_true(http_is_loopback(STR("http://127.1.2.3/")));
    assert_true(http_is_loopback(STR("https://[::1]/")));
    assert_false(http_is_loopback(STR("http://127.example.com/")));
    assert_false(http_is_loopback(STR("http://10.0.0.1/")));
    assert_false(http_is_loopback(STR("http://127.0.0.1.evil/")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),       cmocka_unit_test(test_authorization),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
