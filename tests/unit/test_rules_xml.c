/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents of rules: what is refused with which words, what is stored and shown. */
#include "unit.h"

#include <stdlib.h>

#include "event/rules.h"

#define CONF(inside)  "<NotificationConfiguration>" inside "</NotificationConfiguration>"
#define QUEUE(inside) CONF("<QueueConfiguration>" inside "</QueueConfiguration>")
#define PUT           "<Event>s3:ObjectCreated:Put</Event>"
#define ARN           "<Queue>arn:minio:sqs::1:webhook</Queue>"
#define RULE(n, v)    "<FilterRule><Name>" n "</Name><Value>" v "</Value></FilterRule>"
#define FILTER(rules) "<Filter><S3Key>" rules "</S3Key></Filter>"
#define ROOT          "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"

#define E_EVENT "A specified event is not supported for notifications."
#define E_ARN   "A specified destination ARN does not exist or is not well-formed. Verify the destination ARN."
#define E_REGION \
    "A specified destination is in a different region than the bucket. You must use a destination that " \
    "resides in the " \
    "same region as the bucket."
#define E_SAME \
    "An object key name filtering rule defined with overlapping prefixes, overlapping suffixes, or " \
    "overlapping " \
    "combinations of prefixes and suffixes for the same event types."
#define E_TWICE  "Configurations overlap. Configurations on the same bucket cannot share a common event type."
#define E_NAME   "filter rule name must be either prefix or suffix"
#define E_PREFIX "Cannot specify more than one prefix rule in a filter."
#define E_SUFFIX "Cannot specify more than one suffix rule in a filter."
#define E_VALUE  "Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation"
#define E_TOPIC  "MinIO server does not support Topic or Cloud Function based notifications."
#define E_XML    "The XML you provided was not well-formed or did not validate against our published schema."

/* Only the target 1:webhook is enabled. */
static bool known(void *ctx, const struct arn *arn)
{
    (void)ctx;
    return str_eq(arn->id, STR("1")) && str_eq(arn->type, STR("webhook"));
}

static enum rules_error parse(const char *xml, const char *region, const char *stored, struct buf *out,
                              const char **text)
{
    buf_init(out, 4 << 20);
    *text = NULL;
    enum rules_error e = rules_parse(str_c(xml), str_c(region), str_c(stored), known, NULL, out, text);
    buf_char(out, 0);
    return e;
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *xml;
        enum rules_error code;
        const char *text;
    } cases[] = {
        {"", RULES_MALFORMED_XML, E_XML},
        {"<NotificationConfiguration>", RULES_MALFORMED_XML, E_XML},
        {"<Other/>", RULES_MALFORMED_XML, E_XML},
        {QUEUE(ARN), RULES_MALFORMED_XML, E_XML},
        {QUEUE("<Event>s3:Nope</Event>" ARN), RULES_INVALID_ARGUMENT, E_EVENT},
        {QUEUE("<Event> s3:ObjectCreated:Put</Event>" ARN), RULES_INVALID_ARGUMENT, E_EVENT},
        {QUEUE("<Event>s3:Scanner:*</Event>" ARN), RULES_INVALID_ARGUMENT, E_EVENT},
        {QUEUE(PUT PUT ARN), RULES_INVALID_ARGUMENT, E_TWICE},
        {QUEUE(PUT), RULES_INVALID_ARGUMENT, E_ARN},
        {QUEUE(PUT "<Queue></Queue>"), RULES_INVALID_ARGUMENT, E_ARN},
        {QUEUE(PUT "<Queue>arn:minio:sqs::2:webhook</Queue>"), RULES_INVALID_ARGUMENT, E_ARN},
        {QUEUE(PUT "<Queue>arn:minio:sqs::1:webhook </Queue>"), RULES_INVALID_ARGUMENT, E_ARN},
        {QUEUE(PUT "<Queue>arn:aws:sqs::1:webhook</Queue>"), RULES_INVALID_ARGUMENT, E_ARN},
        {QUEUE(PUT "<Queue>arn:minio:sqs:us:1:webhook</Queue>"), RULES_INVALID_ARGUMENT, E_REGION},
        {QUEUE(PUT "<Queue>arn:minio:sqs:us:9:webhook</Queue>"), RULES_INVALID_ARGUMENT, E_REGION},
        {QUEUE(FILTER(RULE("Prefix", "a")) PUT ARN), RULES_INVALID_ARGUMENT, E_NAME},
        {QUEUE(FILTER("<FilterRule><Value>a</Value></FilterRule>") PUT ARN), RULES_INVALID_ARGUMENT, E_NAME},
        {QUEUE(FILTER(RULE("prefix", "a") RULE("prefix", "b")) PUT ARN), RULES_INVALID_ARGUMENT, E_PREFIX},
        {QUEUE(FILTER(RULE("suffix", "a") RULE("suffix", "b")) PUT ARN), RULES_INVALID_ARGUMENT, E_SUFFIX},
        {QUEUE(FILTER(RULE("prefix", "a") RULE("prefix", "b") RULE("x", "b")) PUT ARN),
         RULES_INVALID_ARGUMENT, E_NAME},
        {QUEUE(FILTER(RULE("prefix", "a\\b")) PUT ARN), RULES_INVALID_ARGUMENT, E_VALUE},
        {QUEUE(FILTER(RULE("prefix", "a/../b")) PUT ARN), RULES_INVALID_ARGUMENT, E_VALUE},
        {QUEUE(FILTER(RULE("suffix", "./b")) PUT ARN), RULES_INVALID_ARGUMENT, E_VALUE},
        {CONF("<QueueConfiguration>" PUT ARN "</QueueConfiguration><QueueConfiguration>" PUT ARN
              "</QueueConfiguration>"),
         RULES_INVALID_ARGUMENT, E_SAME},
        {CONF("<TopicConfiguration/>"), RULES_UNSUPPORTED, E_TOPIC},
        {CONF("<CloudFunctionConfiguration/><QueueConfiguration>" PUT ARN "</QueueConfiguration>"),
         RULES_UNSUPPORTED, E_TOPIC},
        /* the first fault in the document is the one that is named */
        {QUEUE("<Queue>bad</Queue><Event>bad</Event>"), RULES_INVALID_ARGUMENT, E_ARN},
        {QUEUE("<Event>bad</Event><Queue>bad</Queue>"), RULES_INVALID_ARGUMENT, E_EVENT},
        {QUEUE("<Event>bad</Event>" FILTER(RULE("x", ""))), RULES_INVALID_ARGUMENT, E_EVENT},
        {CONF("<TopicConfiguration/><QueueConfiguration><Event>bad</Event>" ARN "</QueueConfiguration>"),
         RULES_INVALID_ARGUMENT, E_EVENT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out;
        const char *text;
        assert_int_equal(parse(cases[i].xml, "eu", "", &out, &text), cases[i].code);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(out.len, 1); /* nothing but the NUL of this test */
        buf_release(&out);
    }
}

static void test_stored_form(void **state)
{
    (void)state;
    static const struct {
        const char *xml, *want;
    } cases[] = {
        {CONF(""), ""},
        {"<NotificationConfiguration/>", ""},
        {CONF("<EventBridgeConfiguration/><Other>x</Other>"), ""},
        {QUEUE(PUT ARN), ROOT "<QueueConfiguration><Id></Id>" PUT "<Queue>arn:minio:sqs:eu:1:webhook</Queue>"
                              "</QueueConfiguration></NotificationConfiguration>"},
        {"<?xml version=\"1.0\"?>\n" ROOT "\n <QueueConfiguration>\n" ARN
         "<Event>s3:ObjectCreated:*</Event>" PUT "<Junk>1</Junk>" FILTER("\n" RULE("suffix", ".jpg") RULE(
             "prefix", "a/&lt;b")) "<Id>i&amp;d</Id></QueueConfiguration></NotificationConfiguration>",
         ROOT "<QueueConfiguration><Id>i&amp;d</Id>" FILTER(RULE("suffix", ".jpg") RULE(
             "prefix", "a/&lt;b")) "<Event>s3:ObjectCreated:*</Event>" PUT
                                   "<Queue>arn:minio:sqs:eu:1:webhook</Queue>"
                                   "</QueueConfiguration></NotificationConfiguration>"},
        {QUEUE(FILTER("") PUT "<Queue>arn:minio:sqs:eu:1:webhook</Queue>"),
         ROOT "<QueueConfiguration><Id></Id>" PUT "<Queue>arn:minio:sqs:eu:1:webhook</Queue>"
              "</QueueConfiguration></NotificationConfiguration>"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out, reply;
        const char *text;
        assert_int_equal(parse(cases[i].xml, "eu", "", &out, &text), RULES_OK);
        assert_string_equal(out.p, cases[i].want);
        buf_init(&reply, 1 << 20);
        rules_reply(str_c(out.p), STR("eu"), &reply);
        buf_char(&reply, 0);
        assert_string_equal(reply.p, cases[i].want[0] ? cases[i].want : ROOT "</NotificationConfiguration>");
        buf_release(&out);
        buf_release(&reply);
    }
}

static void test_region_is_rewritten(void **state)
{
    (void)state;
    struct buf out, reply;
    const char *text;
    assert_int_equal(parse(QUEUE(PUT "<Queue>arn:minio:sqs:us:1:webhook</Queue>"), "", "", &out, &text),
                     RULES_OK);
    assert_non_null(strstr(out.p, "<Queue>arn:minio:sqs::1:webhook</Queue>"));
    buf_init(&reply, 1 << 20);
    rules_reply(str_c(out.p), STR("ap"), &reply);
    buf_char(&reply, 0);
    assert_non_null(strstr(reply.p, "<Queue>arn:minio:sqs:ap:1:webhook</Queue>"));
    buf_release(&out);
    buf_release(&reply);
}

/* What the bucket already names may be sent again, though the target is gone. */
static void test_stale_arn_may_stay(void **state)
{
    (void)state;
    static const char stale[] = QUEUE(PUT "<Queue>arn:minio:sqs::gone:webhook</Queue>");
    struct buf out;
    const char *text;
    assert_int_equal(parse(stale, "", "", &out, &text), RULES_INVALID_ARGUMENT);
    buf_release(&out);
    assert_int_equal(parse(stale, "", stale, &out, &text), RULES_OK);
    buf_release(&out);
    assert_int_equal(parse(QUEUE(PUT "<Queue>arn:minio:sqs::gone:amqp</Queue>"), "", stale, &out, &text),
                     RULES_INVALID_ARGUMENT);
    buf_release(&out);
}

static void test_duplicates(void **state)
{
    (void)state;
#define TWO(a, b) \
    CONF("<QueueConfiguration>" a "</QueueConfiguration><QueueConfiguration>" b "</QueueConfiguration>")
#define ARN_R "<Queue>arn:minio:sqs:r:1:webhook</Queue>"
#define ARN_S "<Queue>arn:minio:sqs:s:1:webhook</Queue>"
    static const struct {
        const char *xml;
        enum rules_error code;
    } cases[] = {
        {TWO(PUT ARN, "<Id>x</Id>" PUT ARN), RULES_OK},
        {TWO(PUT ARN, "<Event>s3:ObjectCreated:*</Event>" ARN), RULES_OK},
        {TWO(PUT "<Event>s3:ObjectCreated:*</Event>" ARN, "<Event>s3:ObjectCreated:*</Event>" PUT ARN),
         RULES_OK},
        {TWO(FILTER(RULE("prefix", "a")) PUT ARN, FILTER(RULE("prefix", "ab")) PUT ARN), RULES_OK},
        {TWO(PUT ARN, PUT ARN_R), RULES_INVALID_ARGUMENT}, /* the first names no region */
        {TWO(PUT ARN_R, PUT ARN), RULES_OK},
        {TWO(PUT ARN_R, PUT ARN_S), RULES_OK},
        {TWO(PUT ARN_R, PUT ARN_R), RULES_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf out;
        const char *text;
        assert_int_equal(parse(cases[i].xml, "", "", &out, &text), cases[i].code);
        buf_release(&out);
    }
}

static void test_long_values(void **state)
{
    (void)state;
    for (int over = 0; over < 2; over++) {
        struct buf xml, out;
        const char *text;
        buf_init(&xml, 1 << 20);
        buf_puts(&xml, "<NotificationConfiguration><QueueConfiguration>" PUT ARN
                       "<Filter><S3Key><FilterRule><Name>prefix</Name><Value>");
        for (int i = 0; i < 1024 + over; i++)
            buf_char(&xml, 'a');
        buf_puts(&xml,
                 "</Value></FilterRule></S3Key></Filter></QueueConfiguration></NotificationConfiguration>");
        buf_char(&xml, 0);
        assert_int_equal(parse(xml.p, "", "", &out, &text), over ? RULES_INVALID_ARGUMENT : RULES_OK);
        buf_release(&xml);
        buf_release(&out);
    }
}

static void test_arn(void **state)
{
    (void)state;
    struct arn a;
    assert_true(arn_parse(STR("arn:minio:sqs:eu-1:_:webhook"), &a));
    assert_true(str_eq(a.region, STR("eu-1")) && str_eq(a.id, STR("_")) && str_eq(a.type, STR("webhook")));
    static const char *const bad[] = {"",
                                      "arn:minio:sqs::1",
                                      "arn:minio:sqs::1:webhook:x",
                                      "arn:minio:sqs:::webhook",
                                      "arn:minio:sqs::1:",
                                      "ARN:minio:sqs::1:webhook",
                                      "arn:minio:sns::1:webhook",
                                      ":::::"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(arn_parse(str_c(bad[i]), &a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_stored_form),
        cmocka_unit_test(test_region_is_rewritten),
        cmocka_unit_test(test_stale_arn_may_stay),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_arn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
