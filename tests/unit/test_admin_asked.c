/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries of the calls about targets, dead letters and backfills: what they mean, and which are refused with what words. */
#include "unit.h"

#include "admin/asked.h"
#include "admin/truth.h"

static struct headers parse(struct arena *a, const char *query)
{
    struct headers q;
    assert_true(query_parse(a, str_c(query), 64, &q));
    return q;
}

static void test_target_name(void **state)
{
    (void)state;
    static const struct {
        const char *text, *id, *type; /* id NULL: refused */
    } cases[] = {{"primary:webhook", "primary", "webhook"},
                 {"_:redis", "_", "redis"},
                 {"a:b:c", "a", "b:c"},
                 {"webhook", NULL, NULL},
                 {":webhook", NULL, NULL},
                 {"primary:", NULL, NULL},
                 {":", NULL, NULL},
                 {"", NULL, NULL}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str id, type;
        struct err e;
        bool ok = asked_target_name(str_c(cases[i].text), &id, &type, &e);
        assert_int_equal(ok, cases[i].id != NULL);
        if (ok)
            assert_true(str_eq_c(id, cases[i].id) && str_eq_c(type, cases[i].type));
        else
            assert_non_null(strstr(e.text, "ID:TYPE"));
    }
}

static void test_number(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        uint64_t want; /* 0: refused */
    } cases[] = {{"", 1000},
                 {"limit=", 1000},
                 {"limit=1", 1},
                 {"limit=1000", 1000},
                 {"limit=1001", 0},
                 {"limit=0", 0},
                 {"limit=-1", 0},
                 {"limit=+1", 0},
                 {"limit=1x", 0},
                 {"limit=0x10", 0},
                 {"LIMIT=5", 1000},
                 {"limit=7&limit=9", 7},
                 {"limit=99999999999999999999", 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct err e;
        uint64_t n;
        arena_init(&a);
        struct headers q = parse(&a, cases[i].query);
        if (asked_number(&q, "limit", 1000, &n, &e) != (cases[i].want > 0))
            fail_msg("%s", cases[i].query);
        if (cases[i].want > 0)
            assert_int_equal(n, cases[i].want);
        else
            assert_string_equal(e.text, "limit must be a number from 1 to 1000.");
        arena_release(&a);
    }
}

static void test_letters(void **state)
{
    (void)state;
    struct arena a;
    struct asked_letters l;
    struct err e;
    arena_init(&a);
    struct headers q = parse(&a, "");
    assert_true(asked_letters(&q, &l, &e));
    assert_true(l.only == 0 && l.after == 0 && l.max == ASKED_LETTERS_MAX && !l.as_is);
    assert_true(l.filter.bucket.n == 0 && l.filter.prefix.n == 0 && l.filter.reason.n == 0);
    assert_true(l.filter.since_ns == 0 && l.filter.until_ns == 0);
    q = parse(
        &a,
        "target=p%3Awebhook&bucket=images&prefix=a+b%2F%C3%BC&reason=413%3A&since=2026-02-01T10%3A20%3A30Z&"
        "until=2026-02-01T10:20:30.5Z&after=00000000000000FF&id=18a3f5b0c1d2e3f4&limit=12&as-is=true");
    assert_true(asked_letters(&q, &l, &e));
    assert_true(str_eq_c(l.filter.bucket, "images") && str_eq_c(l.filter.prefix, "a b/\xc3\xbc"));
    assert_true(str_eq_c(l.filter.reason, "413:"));
    assert_int_equal(l.filter.since_ns, INT64_C(1769941230000000000));
    assert_int_equal(l.filter.until_ns, INT64_C(1769941230500000000));
    assert_true(l.after == 0xff && l.only == UINT64_C(0x18a3f5b0c1d2e3f4) && l.max == 12 && l.as_is);
    arena_release(&a);
}

static void test_letters_refused(void **state)
{
    (void)state;
    static const struct {
        const char *query, *why;
    } cases[] = {
        {"since=yesterday", "since must be a time"},
        {"since=2d", "since must be a time"},
        {"until=2026-02-01", "until must be a time"},
        {"until=2026-02-30T00:00:00Z", "until must be a time"},
        {"after=1", "after must be 16 hex digits"},
        {"after=00000000000000000", "after must be 16 hex digits"},
        {"id=xxxxxxxxxxxxxxxx", "id must be 16 hex digits"},
        {"id=18A3F5B0C1D2E3F4 ", "id must be 16 hex digits"},
        {"id=0000000000000000", "id must be 16 hex digits"}, /* it would mean all of them */
        {"limit=0", "limit must be a number"},
        {"limit=1001", "limit must be a number"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct asked_letters l;
        struct err e = {0};
        arena_init(&a);
        struct headers q = parse(&a, cases[i].query);
        if (asked_letters(&q, &l, &e) || !strstr(e.text, cases[i].why))
            fail_msg("%s: '%s'", cases[i].query, e.text);
        arena_release(&a);
    }
}

static void test_as_is(void **state)
{
    (void)state;
    static const char *const no[] = {"as-is=", "as-is=1", "as-is=TRUE", "as_is=true", "as-is=false"};
    for (size_t i = 0; i < COUNT_OF(no); i++) {
        struct arena a;
        struct asked_letters l;
        struct err e;
        arena_init(&a);
        struct headers q = parse(&a, no[i]);
        assert_true(asked_letters(&q, &l, &e) && !l.as_is);
        arena_release(&a);
    }
}

static void test_sequencer_of_a_record(void **state)
{
    (void)state;
    static const struct {
        const char *record;
        uint64_t want;
    } cases[] = {{"{\"s3\":{\"object\":{\"sequencer\":\"18A3F5B0C1D2E3F4\"}}}", UINT64_C(0x18A3F5B0C1D2E3F4)},
                 {"{\"sequencer\":\"0000000000000001\",\"x\":1}", 1},
                 {"{\"sequencer\":\"00000001\"}", 0},
                 {"{\"sequencer\":\"", 0},
                 {"{\"sequencer\":1}", 0},
                 {"{}", 0},
                 {"", 0}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(truth_sequencer(str_c(cases[i].record)), cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target_name), cmocka_unit_test(test_number),
        cmocka_unit_test(test_letters),     cmocka_unit_test(test_letters_refused),
        cmocka_unit_test(test_as_is),       cmocka_unit_test(test_sequencer_of_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
