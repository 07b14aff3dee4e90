/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns, and the index over them held against trying every rule. */
#include "unit.h"

#include <stdlib.h>

#include "base/xml.h"
#include "event/rules_impl.h"

/* The definition, tried in every way there is. */
static bool naive(const char *p, const char *pe, const char *t, const char *te)
{
    if (p == pe)
        return t == te;
    if (*p == '*')
        return naive(p + 1, pe, t, te) || (t < te && naive(p, pe, t + 1, te));
    if (*p == '?')
        return t == te || naive(p + 1, pe, t + 1, te);
    return t < te && *p == *t && naive(p + 1, pe, t + 1, te);
}

static bool naive_str(struct str p, struct str t)
{
    return naive(p.p, p.p + p.n, t.p, t.p + t.n);
}

static void test_wildcard(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool want;
    } cases[] = {
        {"*", "", true},          {"*", "abc", true},      {"a*", "abc", true},      {"a*", "ba", false},
        {"*.jpg", "x.jpg", true}, {"*.jpg", "jpg", false}, {"ab*bc", "abc", false},  {"ab*bc", "abbc", true},
        {"a?c", "abc", true},     {"a?c", "ac", false},    {"a?", "a", true},        {"a?b", "a", true},
        {"a?b", "ab", false},     {"*a?*b", "aXa", true},  {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},
        {"*?", "", true},         {"", "", true},          {"", "a", false},         {"a", "a", true},
        {"a", "ab", false},       {"*ab", "aab", true},    {"*aab", "aaab", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(rules_wildcard(str_c(cases[i].pattern), str_c(cases[i].text)), cases[i].want);
        assert_int_equal(naive_str(str_c(cases[i].pattern), str_c(cases[i].text)), cases[i].want);
    }
}

static void test_pattern(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *suffix, *want;
    } cases[] = {{"", "", "*"},      {"a", "", "a*"},      {"a*", "", "a*"},    {"", ".b", "*.b"},
                 {"", "*.b", "*.b"}, {"a", ".b", "a*.b"},  {"a*", "*b", "a*b"}, {"a**", "**b", "a*b"},
                 {"*", "*", "*"},    {"a?", "?b", "a?*?b"}};
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_true(
            str_eq_c(rules_pattern(&a, str_c(cases[i].prefix), str_c(cases[i].suffix)), cases[i].want));
    arena_release(&a);
}

static uint64_t rng;
static unsigned dice(unsigned n)
{
    rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((rng >> 33) % n);
}

static struct str word(char *p, size_t max, const char *letters)
{
    size_t n = dice((unsigned)max + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = letters[dice((unsigned)strlen(letters))];
    return str_n(p, n);
}

static void test_random_wildcards(void **state)
{
    (void)state;
    rng = 20260201;
    for (int i = 0; i < 300000; i++) {
        char p[8], t[8];
        struct str pattern = word(p, sizeof(p), "ab*?"), text = word(t, sizeof(t), "ab");
        if (rules_wildcard(pattern, text) != naive_str(pattern, text))
            fail_msg("pattern %.*s text %.*s", STR_FMT(pattern), STR_FMT(text));
    }
}

struct plain_rule {
    struct str pattern;
    uint64_t mask;
    unsigned target;
};

static void write_rule(struct buf *b, struct str prefix, struct str suffix, const char *event,
                       unsigned target)
{
    buf_puts(b, "<QueueConfiguration><Filter><S3Key>");
    if (prefix.n) {
        buf_puts(b, "<FilterRule><Name>prefix</Name>");
        xml_elem(b, "Value", prefix);
        buf_puts(b, "</FilterRule>");
    }
    if (suffix.n) {
        buf_puts(b, "<FilterRule><Name>suffix</Name>");
        xml_elem(b, "Value", suffix);
        buf_puts(b, "</FilterRule>");
    }
    buf_printf(
        b, "</S3Key></Filter><Event>%s</Event><Queue>arn:minio:sqs::t%u:webhook</Queue></QueueConfiguration>",
        event, target);
}

#define TARGETS 12
static void visit(void *ctx, size_t slot)
{
    bool *hit = ctx;
    hit[slot] = true;
}

static void check_keys(const struct rules *r, const struct plain_rule *rules, size_t n)
{
    struct arn arns[TARGETS];
    size_t n_arns = rules_arns(r, arns, TARGETS);
    assert_in_range(n_arns, 0, TARGETS);
    for (int k = 0; k < 300; k++) {
        char text[24];
        struct str key = word(text, sizeof(text), "aab/.");
        enum event_name name = dice(2) ? EVENT_CREATED_PUT : EVENT_REMOVED_DELETE;
        bool want[TARGETS] = {false}, hit[TARGETS] = {false}, got[TARGETS] = {false};
        for (size_t i = 0; i < n; i++)
            if ((rules[i].mask >> name & 1) && naive_str(rules[i].pattern, key))
                want[rules[i].target] = true;
        rules_visit(r, name, key, visit, hit);
        for (size_t s = 0; s < n_arns; s++) {
            uint64_t t;
            assert_true(str_to_u64(str_from(arns[s].id, 1), &t));
            got[t] = hit[s];
        }
        assert_memory_equal(got, want, sizeof(got));
    }
}

static void test_random_rules(void **state)
{
    (void)state;
    static const char *const events[] = {"s3:ObjectCreated:*", "s3:ObjectCreated:Put",
                                         "s3:ObjectRemoved:Delete"};
    rng = 4711;
    for (int round = 0; round < 60; round++) {
        struct arena a;
        struct buf doc;
        size_t n = 1 + dice(120);
        struct plain_rule *rules = calloc(n, sizeof(*rules));
        arena_init(&a);
        buf_init(&doc, 1 << 20);
        buf_puts(&doc, "<NotificationConfiguration>");
        for (size_t i = 0; i < n; i++) {
            char p[6], s[6];
            const char *letters = dice(4) ? "aab/." : "ab/.*?", *event = events[dice(COUNT_OF(events))];
            struct str prefix = word(p, sizeof(p), letters), suffix = word(s, sizeof(s), letters);
            if (str_find(prefix, STR(".")) >= 0 || str_find(suffix, STR("..")) >= 0 ||
                str_find(suffix, STR("/.")) >= 0 || str_find(suffix, STR("./")) >= 0 ||
                str_eq(suffix, STR(".")))
                prefix = suffix = str_n(p, 0);
            rules[i] = (struct plain_rule){rules_pattern(&a, prefix, suffix), event_mask(str_c(event)),
                                           dice(TARGETS)};
            write_rule(&doc, prefix, suffix, event, rules[i].target);
        }
        buf_puts(&doc, "</NotificationConfiguration>");
        struct rules *r = rules_compile(buf_view(&doc));
        check_keys(r, rules, n);
        rules_free(r);
        buf_release(&doc);
        free(rules);
        arena_release(&a);
    }
}

static void test_empty_and_long(void **state)
{
    (void)state;
    bool hit[1] = {false};
    struct rules *r = rules_compile(STR(""));
    rules_visit(r, EVENT_CREATED_PUT, STR("k"), visit, hit);
    assert_false(hit[0]);
    rules_free(r);
    struct buf doc;
    buf_init(&doc, 1 << 20);
    buf_puts(&doc, "<NotificationConfiguration>");
    write_rule(&doc, STR("a"), STR("z"), "s3:ObjectCreated:Put", 0);
    buf_puts(&doc, "</NotificationConfiguration>");
    r = rules_compile(buf_view(&doc));
    static char key[5000];
    memset(key, 'a', sizeof(key));
    rules_visit(r, EVENT_CREATED_PUT, str_n(key, sizeof(key)), visit, hit);
    assert_false(hit[0]);
    key[sizeof(key) - 1] = 'z';
    rules_visit(r, EVENT_CREATED_PUT, str_n(key, sizeof(key)), visit, hit);
    assert_true(hit[0]);
    rules_free(r);
    buf_release(&doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wildcard),         cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_random_wildcards), cmocka_unit_test(test_random_rules),
        cmocka_unit_test(test_empty_and_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
