/* SPDX-License-Identifier: Apache-2.0
 *
 * Tags: both forms that come in, the form that is stored, the document that goes out. */
#include "s3/tags.h"

#include "base/arena.h"
#include "unit.h"

#define A16  "aaaaaaaaaaaaaaaa"
#define A128 A16 A16 A16 A16 A16 A16 A16 A16
#define U8   "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
#define U128 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8 U8
#define TEN  "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=10"

struct tag_case {
    const char *text;
    enum s3_error error;
    const char *stored; /* NULL: as the text */
    size_t n;
};

static const struct tag_case headers[] = {
    {"", S3E_NONE, NULL, 0},
    {"a=1", S3E_NONE, NULL, 1},
    {"b=2&a=1", S3E_NONE, "a=1&b=2", 2},
    {"a", S3E_NONE, "a=", 1},
    {"a=", S3E_NONE, NULL, 1},
    {"&a=1&&", S3E_NONE, "a=1", 1},
    {"a+b=c%20d", S3E_NONE, "a%20b=c%20d", 1},
    {"a%3Db=c%2Bd", S3E_NONE, "a%3Db=c%2Bd", 1},
    {"a%2fb=x%40y:z_-.", S3E_NONE, "a/b=x@y:z_-.", 1},
    {"%C3%BC=%E2%82%AC", S3E_NONE, "\xc3\xbc=\xe2\x82\xac", 1},
    {TEN, S3E_NONE, NULL, 10},
    {A128 "=" A128 A128, S3E_NONE, NULL, 1},
    {U128 "=" U128 U128, S3E_NONE, NULL, 1},
    {"Aws=1", S3E_NONE, NULL, 1},
    {TEN "&k=11", S3E_INVALID_TAG, NULL, 0},
    {"a=1&a=2", S3E_INVALID_TAG, NULL, 0},
    {"a=1&%61=2", S3E_INVALID_TAG, NULL, 0},
    {"=1", S3E_INVALID_TAG, NULL, 0},
    {"aws:x=1", S3E_INVALID_TAG, NULL, 0},
    {"AWS:x=1", S3E_INVALID_TAG, NULL, 0},
    {"a" A128 "=1", S3E_INVALID_TAG, NULL, 0},
    {"a=" A128 A128 "a", S3E_INVALID_TAG, NULL, 0},
    {U128 "u=1", S3E_INVALID_TAG, NULL, 0},
    {"a=%26", S3E_INVALID_TAG, NULL, 0},
    {"a=%25", S3E_INVALID_TAG, NULL, 0},
    {"a=%00", S3E_INVALID_TAG, NULL, 0},
    {"a=%0A", S3E_INVALID_TAG, NULL, 0},
    {"a=%7F", S3E_INVALID_TAG, NULL, 0},
    {"a=%C2%85", S3E_INVALID_TAG, NULL, 0},
    {"a=%FF", S3E_INVALID_TAG, NULL, 0},
    {"a=%EF%BF%BD", S3E_NONE, "a=\xef\xbf\xbd", 1},
    {"a=%EF%BF%BE", S3E_INVALID_TAG, NULL, 0},
    {"%EF%BF%BF=", S3E_INVALID_TAG, NULL, 0},
    {"a=<", S3E_INVALID_TAG, NULL, 0},
    {"a=%zz", S3E_INVALID_TAGGING, NULL, 0},
    {"a=%2", S3E_INVALID_TAGGING, NULL, 0},
};

#define TAG(k, v) "<Tag><Key>" k "</Key><Value>" v "</Value></Tag>"
#define DOC(tags) "<Tagging><TagSet>" tags "</TagSet></Tagging>"
#define TEN_TAGS \
    TAG("0", "") \
    TAG("1", "") \
    TAG("2", "") TAG("3", "") TAG("4", "") TAG("5", "") TAG("6", "") TAG("7", "") TAG("8", "") TAG("9", "")

static const struct tag_case documents[] = {
    {DOC(""), S3E_NONE, "", 0},
    {"<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet/></Tagging>", S3E_NONE, "", 0},
    {DOC(TAG("b", "2") TAG("a", "1")), S3E_NONE, "a=1&b=2", 2},
    {DOC(TAG(" k ", "x=y+z")), S3E_NONE, "%20k%20=x%3Dy%2Bz", 1},
    {DOC("<Tag><Key>k</Key><Value/></Tag>"), S3E_NONE, "k=", 1},
    {DOC(TEN_TAGS), S3E_NONE, "0=&1=&2=&3=&4=&5=&6=&7=&8=&9=", 10},
    {DOC(TEN_TAGS TAG("x", "")), S3E_INVALID_TAG, NULL, 0},
    {DOC(TAG("a", "1") TAG("a", "1")), S3E_INVALID_TAG, NULL, 0},
    {DOC(TAG("", "1")), S3E_INVALID_TAG, NULL, 0},
    {DOC(TAG("a&amp;b", "1")), S3E_INVALID_TAG, NULL, 0},
    {DOC("<Tag><Key>k</Key></Tag>"), S3E_MALFORMED_XML, NULL, 0},
    {DOC("<Tag><Value>k</Value></Tag>"), S3E_MALFORMED_XML, NULL, 0},
    {"<Tagging/>", S3E_MALFORMED_XML, NULL, 0},
    {"<TagSet/>", S3E_MALFORMED_XML, NULL, 0},
    {"", S3E_MALFORMED_XML, NULL, 0},
    {"<Tagging><TagSet>", S3E_MALFORMED_XML, NULL, 0},
};

static void check(enum s3_error (*parse)(struct arena *, struct str, struct str *), const struct tag_case *c)
{
    struct arena a;
    struct str stored;
    arena_init(&a);
    enum s3_error e = parse(&a, str_c(c->text), &stored);
    if (e != c->error || (e == S3E_NONE && !str_eq(stored, str_c(c->stored ? c->stored : c->text))))
        fail_msg("\"%s\": error %d, \"%.*s\"", c->text, (int)e, STR_FMT(stored));
    if (e == S3E_NONE)
        assert_int_equal(tags_count(stored), c->n);
    else
        assert_int_equal(stored.n, 0);
    arena_release(&a);
}

static void test_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        check(tags_from_header, &headers[i]);
}

static void test_documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(documents); i++)
        check(tags_from_xml, &documents[i]);
}

/* What goes out comes in again as the same. */
static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        struct arena a;
        struct str stored, again;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 1u << 20);
        if (tags_from_header(&a, str_c(headers[i].text), &stored) == S3E_NONE) {
            tags_to_xml(&a, stored, &b);
            assert_false(b.failed);
            assert_int_equal(tags_from_xml(&a, buf_view(&b), &again), S3E_NONE);
            assert_true(str_eq(stored, again));
            assert_int_equal(tags_from_header(&a, stored, &again), S3E_NONE);
            assert_true(str_eq(stored, again));
        }
        buf_release(&b);
        arena_release(&a);
    }
}

/* Ten tags, each as long as it may be and of the characters that take the most room. */
static void test_the_largest(void **state)
{
    static const char *const units[] = {"=", "\xf0\x9f\x9c\x81"};
    (void)state;
    for (size_t u = 0; u < COUNT_OF(units); u++) {
        struct arena a;
        struct str stored;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 1u << 20);
        buf_puts(&b, "<Tagging><TagSet>");
        for (int i = 0; i < TAGS_MAX; i++) {
            buf_printf(&b, "<Tag><Key>%d", i);
            for (int k = 1; k < TAG_KEY_MAX; k++)
                buf_puts(&b, units[u]);
            buf_puts(&b, "</Key><Value>");
            for (int k = 0; k < TAG_VALUE_MAX; k++)
                buf_puts(&b, units[u]);
            buf_puts(&b, "</Value></Tag>");
        }
        buf_puts(&b, "</TagSet></Tagging>");
        assert_int_equal(tags_from_xml(&a, buf_view(&b), &stored), S3E_NONE);
        assert_true(stored.n <= TAGS_BYTES_MAX);
        assert_int_equal(tags_count(stored), TAGS_MAX);
        buf_release(&b);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_the_largest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
