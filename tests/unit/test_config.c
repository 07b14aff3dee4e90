/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings: values from text, and out of the environment. */
#include "unit.h"

#include <stdlib.h>

#include "config/config.h"

static void test_onoff(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want; /* -1: refused */
    } cases[] = {{"on", 1},   {"ON", 1}, {"true", 1},     {"1", 1},     {"t", 1},        {"Enabled", 1},
                 {"off", 0},  {"0", 0},  {"DISABLED", 0}, {"False", 0}, {"f", 0},        {"", -1},
                 {"yes", -1}, {"2", -1}, {" on", -1},     {"on ", -1},  {"enabled!", -1}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool v = false, ok = config_parse_onoff(str_c(cases[i].text), &v);
        assert_int_equal(ok ? (int)v : -1, cases[i].want);
    }
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want; /* -1: refused */
    } cases[] = {{"30", 30000},
                 {"0", 0},
                 {"30s", 30000},
                 {"1m30s", 90000},
                 {"1.5h", 5400000},
                 {"250ms", 250},
                 {"2d", 172800000},
                 {"1h0m1s", 3601000},
                 {".5s", 500},
                 {"1500us", 2},
                 {"36500d", 3153600000000},
                 {"36501d", -1},
                 {"", -1},
                 {"s", -1},
                 {"-1s", -1},
                 {"1 s", -1},
                 {"1x", -1},
                 {"1s2", -1},
                 {"99999999999999999999", -1},
                 {"9999999999999999h", -1},
                 {"1..5s", -1}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t v = 0;
        bool ok = config_parse_duration(str_c(cases[i].text), &v);
        assert_int_equal(ok ? v : -1, cases[i].want);
    }
}

static void test_url(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } cases[] = {{"http://h", true},
                 {"https://h:1/p?q#f", true},
                 {"HTTP://h/", true},
                 {"http://u:p@h/", true},
                 {"http://[::1]:80/", true},
                 {"http://", false},
                 {"http:///p", false},
                 {"http://:80/", false},
                 {"http://u@", false},
                 {"ftp://h", false},
                 {"h:80", false},
                 {"", false},
                 {"http://h /", false},
                 {"http://h\n", false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(config_is_url(str_c(cases[i].text)), cases[i].want);
}

struct sample {
    bool on;
    int64_t number, wait;
    char *text, *path, *url, *secret;
    int choice;
};
static const struct config_key sample_keys[] = {
    {.name = "on", .type = CONFIG_ONOFF, .offset = offsetof(struct sample, on), .fallback = "off"},
    {.name = "number", .type = CONFIG_NUMBER, .offset = offsetof(struct sample, number), .fallback = "7"},
    {.name = "wait", .type = CONFIG_DURATION, .offset = offsetof(struct sample, wait), .fallback = "5s"},
    {.name = "text", .type = CONFIG_STRING, .offset = offsetof(struct sample, text), .env = "OTHER_TEXT"},
    {.name = "path", .type = CONFIG_PATH, .offset = offsetof(struct sample, path)},
    {.name = "url", .type = CONFIG_URL, .flags = CONFIG_REQUIRED, .offset = offsetof(struct sample, url)},
    {.name = "secret",
     .type = CONFIG_NUMBER,
     .flags = CONFIG_SECRET,
     .offset = offsetof(struct sample, secret),
     .fallback = "0"},
    {.name = "choice",
     .type = CONFIG_CHOICE,
     .offset = offsetof(struct sample, choice),
     .fallback = "drop",
     .choices = "drop|reject"},
    {.name = NULL},
};

static void clear(void **vars)
{
    (void)vars;
    static const char *const names[] = {"ON",   "NUMBER", "WAIT",   "OTHER_TEXT",
                                        "PATH", "URL",    "SECRET", "CHOICE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (int form = 0; form < 4; form++) {
            char name[128];
            (void)snprintf(name, sizeof(name), "%s_NOTIFY_SAMPLE_%s%s", form & 1 ? "BELFRY" : "MINIO",
                           names[i], form & 2 ? "_a" : "");
            unsetenv(name);
        }
    }
}

static bool load(struct arena *a, const char *id, struct sample *out, struct err *e)
{
    memset(out, 0, sizeof(*out));
    memset(e, 0, sizeof(*e));
    return config_load("notify_sample", sample_keys, str_c(id), out, a, e);
}

static void test_load(void **state)
{
    struct arena a;
    struct sample s;
    struct err e;
    clear(state);
    arena_init(&a);
    assert_false(load(&a, "a", &s, &e));
    assert_string_equal(
        e.text, "MINIO_NOTIFY_SAMPLE_URL_a is not set: it must be a URL such as http://host:port/path");
    assert_int_equal(s.number, 7); /* the others are filled in all the same */
    assert_int_equal(s.wait, 5000);
    assert_string_equal(s.text, "");

    setenv("MINIO_NOTIFY_SAMPLE_URL_a", "http://one", 1);
    setenv("BELFRY_NOTIFY_SAMPLE_NUMBER_a", "9", 1);
    setenv("MINIO_NOTIFY_SAMPLE_NUMBER_a", "8", 1);
    setenv("MINIO_NOTIFY_SAMPLE_OTHER_TEXT_a", "\"quoted\"", 1);
    setenv("MINIO_NOTIFY_SAMPLE_PATH_a", "", 1);
    setenv("BELFRY_NOTIFY_SAMPLE_CHOICE_a", "Reject", 1);
    assert_true(load(&a, "a", &s, &e));
    assert_string_equal(s.url, "http://one");
    assert_int_equal(s.number, 9);
    assert_string_equal(s.text, "quoted");
    assert_string_equal(s.path, "");
    assert_int_equal(s.choice, 1);
    assert_false(load(&a, "_", &s, &e)); /* the one without id has variables of its own */
    arena_release(&a);
}

static void test_load_errors(void **state)
{
    static const struct {
        const char *var, *value, *text;
    } cases[] = {
        {"MINIO_NOTIFY_SAMPLE_NUMBER", "-1",
         "MINIO_NOTIFY_SAMPLE_NUMBER is '-1': it must be a whole number, 0 or more"},
        {"MINIO_NOTIFY_SAMPLE_ON", "maybe", "MINIO_NOTIFY_SAMPLE_ON is 'maybe': it must be on or off"},
        {"MINIO_NOTIFY_SAMPLE_PATH", "x/y",
         "MINIO_NOTIFY_SAMPLE_PATH is 'x/y': it must be an absolute path, beginning with /"},
        {"MINIO_NOTIFY_SAMPLE_CHOICE", "keep",
         "MINIO_NOTIFY_SAMPLE_CHOICE is 'keep': it must be drop|reject"},
        {"MINIO_NOTIFY_SAMPLE_SECRET", "hush",
         "MINIO_NOTIFY_SAMPLE_SECRET: the value must be a whole number, 0 or more"},
        {"MINIO_NOTIFY_SAMPLE_URL", "ftp://user:hush@h",
         "MINIO_NOTIFY_SAMPLE_URL: the value must be a URL such as http://host:port/path"},
    };
    struct arena a;
    struct sample s;
    struct err e;
    arena_init(&a);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        clear(state);
        setenv("MINIO_NOTIFY_SAMPLE_URL", "http://one", 1);
        setenv(cases[i].var, cases[i].value, 1);
        assert_false(load(&a, "_", &s, &e));
        assert_string_equal(e.text, cases[i].text);
    }
    clear(state);
    arena_release(&a);
}

static void test_ids(void **state)
{
    (void)state;
    struct arena a;
    struct str *ids;
    struct err e;
    bool on;
    arena_init(&a);
    setenv("MINIO_NOTIFY_SAMPLE_ENABLE", "on", 1);
    setenv("MINIO_NOTIFY_SAMPLE_ENABLE_primary", "off", 1);
    setenv("BELFRY_NOTIFY_SAMPLE_ENABLE_primary", "\"on\"", 1);
    setenv("BELFRY_NOTIFY_SAMPLE_ENABLE_A_b", "what", 1);
    setenv("BELFRY_NOTIFY_SAMPLE_ENABLE_", "on", 1);
    setenv("MINIO_NOTIFY_SAMPLE_ENABLED", "on", 1);
    setenv("MINIO_NOTIFY_SAMPLE_ENABLE_empty", "", 1);
    assert_int_equal(config_env_ids("notify_sample", &a, &ids), 3);
    assert_true(str_eq(ids[0], STR("A_b")));
    assert_true(str_eq(ids[1], STR("_")));
    assert_true(str_eq(ids[2], STR("primary")));
    assert_true(config_env_enabled("notify_sample", ids[1], &on, &e) && on);
    assert_true(config_env_enabled("notify_sample", ids[2], &on, &e) && on);
    assert_false(config_env_enabled("notify_sample", ids[0], &on, &e));
    assert_string_equal(e.text, "MINIO_NOTIFY_SAMPLE_ENABLE_A_b is 'what': it must be on or off");
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_onoff), cmocka_unit_test(test_duration),    cmocka_unit_test(test_url),
        cmocka_unit_test(test_load),  cmocka_unit_test(test_load_errors), cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
