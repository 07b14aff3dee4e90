/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored settings as a whole: their history, which is bounded, and how they are taken out and brought in again. */
#include "config_house.h"

/* Entries of the list: their restoreId, in order; the number of them. */
static size_t ids_of(struct house *h, size_t count, char ids[][40])
{
    size_t n = 0;
    buf_reset(&h->out);
    assert_int_equal(config_history_list(h->c, count, &h->out, &h->why), CONFIG_OK);
    for (const char *p = shown(h); (p = strstr(p, "\"restoreId\":\"")) != NULL; n++) {
        p += strlen("\"restoreId\":\"");
        if (ids)
            (void)snprintf(ids[n], 40, "%.36s", p);
    }
    return n;
}

static void test_history(void **state)
{
    struct house *h = *state;
    char ids[4][40];
    assert_int_equal(ids_of(h, 10, NULL), 0);
    assert_string_equal(h->out.p, "[]");
    set(h, "notify_webhook:1 endpoint=http://one auth_token=\"hush\"");
    set(h, "notify_webhook:2 endpoint=http://two");
    set(h, "notify_webhook:1 endpoint=http://three");
    refuse_set(h, "notify_webhook:1", CONFIG_REFUSED, "sub-system 'notify_webhook' must have key");
    assert_int_equal(ids_of(h, 0, ids), 3);
    assert_non_null(
        strstr(h->out.p, "\"data\":\"notify_webhook:1 endpoint=http://one auth_token=\\\"hush\\\"\"},{"));
    assert_int_equal(ids_of(h, 2, &ids[1]), 2); /* the newest, oldest first */
    assert_null(strstr(h->out.p, "http://one"));
    assert_true(strstr(h->out.p, "http://two") < strstr(h->out.p, "http://three"));

    config_close(h->c);
    open_config(h);
    assert_int_equal(ids_of(h, 0, ids), 3);
    assert_int_equal(config_del(h->c, STR("notify_webhook:2"), &h->why), CONFIG_OK);
    h->applied = 0;
    assert_int_equal(config_history_restore(h->c, str_c(ids[0]), &h->why), CONFIG_OK);
    assert_int_equal(h->applied, 1);
    expect_get(h, "notify_webhook",
               WEBHOOK_DEFAULT
               "notify_webhook:1 endpoint=http://one queue_limit=0 queue_dir= client_cert= client_key= \n");
    assert_int_equal(ids_of(h, 0, NULL), 2);
    assert_int_equal(config_history_restore(h->c, str_c(ids[0]), &h->why), CONFIG_MISSING);
    assert_int_equal(config_history_clear(h->c, str_c(ids[0]), &h->why), CONFIG_MISSING);
    assert_int_equal(config_history_clear(h->c, str_c(ids[1]), &h->why), CONFIG_OK);
    assert_int_equal(ids_of(h, 0, NULL), 1);
    assert_int_equal(config_history_clear(h->c, STR("all"), &h->why), CONFIG_OK);
    assert_int_equal(ids_of(h, 0, NULL), 0);
    assert_int_equal(config_history_clear(h->c, STR("all"), &h->why), CONFIG_OK);
}

static void test_history_is_bounded(void **state)
{
    struct house *h = *state;
    for (int i = 0; i < CONFIG_HISTORY_MAX + 5; i++) {
        char text[80];
        (void)snprintf(text, sizeof(text), "belfry listen_history=%d", 1000 + i);
        set(h, text);
    }
    assert_int_equal(ids_of(h, 0, NULL), CONFIG_HISTORY_MAX);
    assert_null(strstr(h->out.p, "listen_history=1004"));
    assert_non_null(strstr(h->out.p, "listen_history=1005"));
    config_close(h->c);
    open_config(h);
    assert_int_equal(ids_of(h, 0, NULL), CONFIG_HISTORY_MAX);
}

static void test_import(void **state)
{
    struct house *h = *state;
    set(h, "notify_webhook:old endpoint=http://old\nbelfry listen_history=7");
    assert_int_equal(
        config_import(h->c,
                      STR("subnet license= api_key= proxy= \nsite name= region= \n"
                          "# notify_webhook enable=off endpoint= \n"
                          "notify_webhook:new endpoint=http://new auth_token=t comment=\"a b\" \n"),
                      &h->why),
        CONFIG_OK);
    expect_get(h, "notify_webhook",
               WEBHOOK_DEFAULT
               "notify_webhook:new endpoint=http://new queue_limit=0 queue_dir= client_cert= client_key= "
               "comment=\"a b\" \n");
    expect_get(h, "belfry", "belfry disk_reserve= listen_history=100000 \n");
    assert_int_equal(ids_of(h, 0, NULL), 2);
    /* an export may be imported again, and is the same then */
    char *first = x_strdup(export(h));
    assert_int_equal(config_import(h->c, str_c(first), &h->why), CONFIG_OK);
    assert_string_equal(export(h), first);
    free(first);
    assert_int_equal(config_import(h->c, STR("notify_elasticsearch:1 url=http://h:1"), &h->why),
                     CONFIG_REFUSED);
    assert_non_null(strstr(h->why.text, "'index' is not optional for 'notify_elasticsearch'"));
    expect_get(h, "notify_webhook:new",
               "notify_webhook:new endpoint=http://new queue_limit=0 queue_dir= "
               "client_cert= client_key= comment=\"a b\" \n");
}

/* Passwords may hold quotes: an export gives them back as they are. */
static void test_quotes_in_export(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *set, *value;
    } cases[] = {
        {"'\"both\"'", "\"both\""}, {"'\"first'", "\"first"},
        {"\"'first\"", "'first"},   {"'a\" queue_limit=5'", "a\" queue_limit=5"},
        {"a\"b", "a\"b"},           {"\"it's \"so\" here\"", "it's \"so\" here"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[200];
        (void)snprintf(text, sizeof(text), "notify_webhook:q endpoint=http://h auth_token=%s comment=\"x y\"",
                       cases[i].set);
        set(h, text);
        for (int round = 0; round < 2; round++) {
            struct config_stored *now = config_snapshot(h->c);
            struct str value = {0};
            assert_true(
                stored_get(stored_find(now, STR("notify_webhook"), STR("q")), STR("auth_token"), &value));
            if (!str_eq_c(value, cases[i].value))
                fail_msg("%s: %.*s", cases[i].set, STR_FMT(value));
            config_stored_free(now);
            char *all = x_strdup(export(h));
            assert_int_equal(config_import(h->c, str_c(all), &h->why), CONFIG_OK);
            free(all);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_history),
        T(test_history_is_bounded),
        T(test_import),
        T(test_quotes_in_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
