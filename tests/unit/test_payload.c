/* SPDX-License-Identifier: Apache-2.0
 *
 * Other forms of an event: CloudEvents' attributes, raw keys, signatures. */
#include "unit.h"

#include "target/payload.h"

#define TEXT(z) \
    { \
        z, sizeof(z) - 1 \
    }
static const struct event_ref event = {
    .event_name = TEXT("s3:ObjectCreated:Put"),
    .bucket = TEXT("images"),
    .key = TEXT("a b/\"\xc3\xbc\".jpg"),
    .record =
        TEXT("{\"awsRegion\":\"eu-x\",\"s3\":{\"object\":{\"key\":\"a+b%2F%22%C3%BC%22.jpg\",\"size\":1}}}"),
    .event_time = TEXT("2026-02-01T10:20:30.123Z"),
    .sequencer = 0x18A3F5B0C1D2E3F4,
};

static void add(void *ctx, const char *name, struct str value)
{
    buf_printf(ctx, "%s=%.*s\n", name, STR_FMT(value));
}

static void attributes(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    payload_attributes(&event, add, &b);
    buf_char(&b, 0);
    assert_string_equal(b.p, "specversion=1.0\nid=18A3F5B0C1D2E3F4\nsource=minio:s3.eu-x.images\n"
                             "type=com.amazonaws.s3.ObjectCreated:Put\nsubject=a b/\"\xc3\xbc\".jpg\n"
                             "time=2026-02-01T10:20:30.123Z\n");
    buf_release(&b);
}

static void keys_as_they_are(void **state)
{
    static const struct {
        enum key_encoding keys;
        const char *record;
    } cases[] = {
        {KEY_MINIO,
         "{\"awsRegion\":\"eu-x\",\"s3\":{\"object\":{\"key\":\"a+b%2F%22%C3%BC%22.jpg\",\"size\":1}}}"},
        {KEY_RAW,
         "{\"awsRegion\":\"eu-x\",\"s3\":{\"object\":{\"key\":\"a b/\\\"\xc3\xbc\\\".jpg\",\"size\":1}}}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf b;
        buf_init(&b, 4096);
        payload_record(&b, &event, cases[i].keys);
        buf_char(&b, 0);
        assert_string_equal(b.p, cases[i].record);
        buf_release(&b);
    }
}

static void a_record_of_another_form_stays(void **state)
{
    struct event_ref odd = event;
    struct buf b;
    (void)state;
    odd.record = STR("{\"object\":{\"key\":\"no end");
    buf_init(&b, 4096);
    payload_record(&b, &odd, KEY_RAW);
    assert_true(str_eq(buf_view(&b), odd.record));
    buf_release(&b);
}

static void header_values(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    payload_header_value(&b, STR("a b/\"\xc3\xbc\"%\r\n~"));
    assert_true(str_eq(buf_view(&b), STR("a%20b/%22%C3%BC%22%25%0D%0A~")));
    buf_release(&b);
}

/* Computed by: printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret */
static void signatures(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 4096);
    payload_sign(&b, STR("secret"), 1700000000, STR("{\"a\":1}"));
    buf_char(&b, 0);
    assert_string_equal(b.p,
                        "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes),
        cmocka_unit_test(keys_as_they_are),
        cmocka_unit_test(a_record_of_another_form_stays),
        cmocka_unit_test(header_values),
        cmocka_unit_test(signatures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
