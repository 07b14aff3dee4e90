/* SPDX-License-Identifier: Apache-2.0
 *
 * Policies of forms: every kind of condition, what must be named, what is malformed. */
#include "unit.h"

#include "auth_cases.h"
#include "base/encode.h"
#include "s3/policy_form.h"

#define NOW           INT64_C(1500000000000000000) /* 2017 */
#define POLICY(conds) "{\"expiration\": \"2030-01-01T00:00:00Z\", \"conditions\": [" conds "]}"
#define BUCKET        "{\"bucket\": \"b\"}, "
#define KEY           "[\"starts-with\", \"$key\", \"user/\"]"
#define GOOD          S3E_NONE
#define BAD           S3E_INVALID_POLICY_DOCUMENT
#define NO            S3E_ACCESS_DENIED
#define ANY           UINT64_MAX

static const struct {
    const char *policy, *fields; /* "name: value" lines, beside key: user/a */
    enum s3_error want;
    uint64_t min, max;
} cases[] = {
    {POLICY(BUCKET KEY), "", GOOD, 0, ANY},
    {POLICY("{\"bUcKeT\": \"b\"}, [\"StArTs-WiTh\", \"$KeY\", \"user/\"]"), "", GOOD, 0, ANY},
    {POLICY("{\"bucket\": \"b\", \"key\": \"user/a\"}"), "", GOOD, 0, ANY},
    {POLICY("[\"eq\", \"$bucket\", \"b\"], [\"eq\", \"$key\", \"user/a\"]"), "", GOOD, 0, ANY},
    {POLICY(BUCKET "[\"starts-with\", \"$key\", \"\"]"), "", GOOD, 0, ANY},
    {POLICY(BUCKET KEY ", {\"success_action_status\": \"201\"}"), "success_action_status: 201\n", GOOD, 0,
     ANY},
    {POLICY(BUCKET KEY ", {\"success_action_status\": 201}"), "success_action_status: 201\n", GOOD, 0, ANY},
    {POLICY(BUCKET KEY), "bucket: b\n", GOOD, 0, ANY},
    /* a field that is not there is empty */
    {POLICY(BUCKET KEY ", [\"starts-with\", \"$x-amz-meta-a\", \"\"], [\"eq\", \"$tagging\", \"\"]"), "",
     GOOD, 0, ANY},
    /* what needs no condition */
    {POLICY(BUCKET KEY), "policy: x\nx-amz-signature: x\nsignature: x\nawsaccesskeyid: x\nx-ignore-me: x\n",
     GOOD, 0, ANY},
    /* sizes; the narrower of two counts */
    {POLICY(BUCKET KEY ", [\"content-length-range\", 1, 10]"), "", GOOD, 1, 10},
    {POLICY(BUCKET KEY ", [\"Content-Length-Range\", \"0\", \"5368709120\"]"), "", GOOD, 0, 5368709120},
    {POLICY(BUCKET KEY ", [\"content-length-range\", 1, 10], [\"content-length-range\", 0, 5]"), "", GOOD, 1,
     5},
    {POLICY(BUCKET KEY ", [\"content-length-range\", 0, 0]"), "", GOOD, 0, 0},
    /* conditions that do not hold */
    {POLICY("{\"bucket\": \"c\"}, " KEY), "", NO, 0, 0},
    {POLICY("{\"bucket\": \"B\"}, " KEY), "", NO, 0, 0},
    {POLICY(KEY), "", NO, 0, 0},
    {POLICY(BUCKET KEY), "bucket: c\n", NO, 0, 0},
    {POLICY(BUCKET "[\"starts-with\", \"$key\", \"users/\"]"), "", NO, 0, 0},
    {POLICY(BUCKET "[\"eq\", \"$key\", \"user/\"]"), "", NO, 0, 0},
    {POLICY(BUCKET KEY ", [\"eq\", \"$x-amz-meta-a\", \"\"]"), "x-amz-meta-a: 1\n", NO, 0, 0},
    {POLICY(BUCKET KEY ", [\"starts-with\", \"$x-amz-meta-a\", \"1\"]"), "", NO, 0, 0},
    {POLICY(BUCKET KEY ", {\"acl\": \"private\"}"), "acl: public-read\n", NO, 0, 0},
    {POLICY(BUCKET KEY ", {\"acl\": \"private\"}, {\"acl\": \"public-read\"}"), "acl: private\n", NO, 0, 0},
    /* fields that no condition names */
    {POLICY(BUCKET KEY), "acl: private\n", NO, 0, 0},
    {POLICY(BUCKET KEY), "x-amz-meta-a: 1\n", NO, 0, 0},
    {POLICY(BUCKET KEY), "x-amz-date: 1\n", NO, 0, 0},
    {POLICY(BUCKET KEY), "content-type: a/b\n", NO, 0, 0},
    {POLICY(BUCKET KEY), "success_action_redirect: http://x/\n", NO, 0, 0},
    {POLICY(BUCKET "[\"content-length-range\", 0, 1]"), "", NO, 0, 0}, /* the key itself */
    /* time */
    {"{\"expiration\": \"2010-01-01T00:00:00Z\", \"conditions\": [" BUCKET KEY "]}", "", NO, 0, 0},
    {"{\"expiration\": \"2030-01-01T00:00:00.000Z\", \"conditions\": [" BUCKET KEY "]}", "", GOOD, 0, ANY},
    {"{\"expiration\": \"2030-01-01\", \"conditions\": [" BUCKET KEY "]}", "", BAD, 0, 0},
    {"{\"expiration\": 1893456000, \"conditions\": [" BUCKET KEY "]}", "", BAD, 0, 0},
    {"{\"EXPIRATION\": \"2030-01-01T00:00:00Z\", \"conditions\": [" BUCKET KEY "]}", "", BAD, 0, 0},
    {"{\"conditions\": [" BUCKET KEY "]}", "", BAD, 0, 0},
    /* malformed */
    {"{\"expiration\": \"2030-01-01T00:00:00Z\"}", "", BAD, 0, 0},
    {"{\"expiration\": \"2030-01-01T00:00:00Z\", \"CONDITIONS\": [" BUCKET KEY "]}", "", BAD, 0, 0},
    {"{\"expiration\": \"2030-01-01T00:00:00Z\", \"conditions\": {}}", "", BAD, 0, 0},
    {POLICY(""), "", BAD, 0, 0},
    {POLICY("{}"), "", BAD, 0, 0},
    {POLICY("[]"), "", BAD, 0, 0},
    {POLICY("7"), "", BAD, 0, 0},
    {POLICY("[\"eq\", \"$key\"]"), "", BAD, 0, 0},
    {POLICY("[\"eq\", \"key\", \"user/a\"]"), "", BAD, 0, 0},
    {POLICY("[\"eq\", \"$key\", 1]"), "", BAD, 0, 0},
    {POLICY("[\"eq\", \"$key\", \"user/a\", \"\"]"), "", BAD, 0, 0},
    {POLICY("[\"ends-with\", \"$key\", \"a\"]"), "", BAD, 0, 0},
    {POLICY("[1, \"$key\", \"a\"]"), "", BAD, 0, 0},
    {POLICY("{\"key\": null}"), "", BAD, 0, 0},
    {POLICY("[\"content-length-range\", 0]"), "", BAD, 0, 0},
    {POLICY("[\"content-length-range\", -1, 0]"), "", BAD, 0, 0},
    {POLICY("[\"content-length-range\", 2, 1]"), "", BAD, 0, 0},
    {POLICY("[\"content-length-range\", 0.5, 1]"), "", BAD, 0, 0},
    {POLICY("[\"content-length-range\", \"\", \"1\"]"), "", BAD, 0, 0},
    {"{\"expiration\": \"2030-01-01T00:00:00Z\", \"expiration\": \"2040-01-01T00:00:00Z\", \"conditions\": "
     "[" BUCKET KEY "]}",
     "", BAD, 0, 0},
    {"[]", "", BAD, 0, 0},
    {"", "", BAD, 0, 0},
    {"{", "", BAD, 0, 0},
    {POLICY(BUCKET KEY) "x", "", BAD, 0, 0},
};

static enum s3_error run(const char *base64_of, bool encoded, const char *lines, struct policy_limits *limits)
{
    struct arena a;
    struct buf policy, text;
    struct head head;
    const char *message = NULL;
    arena_init(&a);
    buf_init(&policy, 1 << 16);
    buf_init(&text, 1 << 16);
    if (encoded)
        buf_puts(&policy, base64_of);
    else
        base64_encode(&policy, str_c(base64_of));
    buf_printf(&text, "key: user/a\n%s%c", lines, 0);
    enum s3_error got =
        policy_form_check(&a, buf_view(&policy), head_of(&head, text.p), STR("b"), NOW, limits, &message);
    assert_true((got == S3E_NONE) == (message == NULL));
    buf_release(&policy);
    buf_release(&text);
    arena_release(&a);
    return got;
}

static void policies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct policy_limits limits;
        enum s3_error got = run(cases[i].policy, false, cases[i].fields, &limits);
        if (got != cases[i].want)
            fail_msg("%s %s: %d instead of %d", cases[i].policy, cases[i].fields, (int)got,
                     (int)cases[i].want);
        if (got == S3E_NONE) {
            assert_int_equal(limits.min, cases[i].min);
            assert_true(limits.max == cases[i].max);
        }
    }
}

static void not_base64(void **state)
{
    (void)state;
    struct policy_limits limits;
    assert_int_equal(run("{}", true, "", &limits), BAD);
    assert_int_equal(run("", true, "", &limits), BAD);
    assert_int_equal(run("e30", true, "", &limits), BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(policies), cmocka_unit_test(not_base64)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
