/* SPDX-License-Identifier: Apache-2.0
 *
 * The document of DeleteObjects, and conditions of removals. */
#include "s3/deletes.h"

#include "unit.h"

#define HELLO_MD5 "\x5d\x41\x40\x2a\xbc\x4b\x2a\x76\xb9\x71\x9d\x91\x10\x17\xc5\x92"
#define HELLO     "5d41402abc4b2a76b9719d911017c592"
#define DATE      "Fri, 24 May 2013 00:00:00 GMT"

/* One <Object> of an object of 5 bytes, of that ETag and date. */
static const struct {
    const char *inner;
    enum s3_error error;
    bool any, holds;
} entries[] = {
    {"<Key>k</Key>", S3E_NONE, false, true},
    {"<Key>k</Key><VersionId>null</VersionId>", S3E_NONE, false, true},
    {"<Key>k</Key><VersionId/>", S3E_NONE, false, true},
    {"<Key>k</Key><VersionId>x</VersionId>", S3E_NO_SUCH_VERSION, false, true},
    {"<Key/>", S3E_INVALID_OBJECT_NAME, false, true},
    {"<Key>a/../b</Key>", S3E_INVALID_RESOURCE_NAME, false, true},
    {"<Key>k</Key><ETag>" HELLO "</ETag>", S3E_NONE, true, true},
    {"<Key>k</Key><ETag>\"" HELLO "\"</ETag>", S3E_NONE, true, true},
    {"<Key>k</Key><ETag>*</ETag>", S3E_NONE, true, true},
    {"<Key>k</Key><ETag>x</ETag>", S3E_NONE, true, false},
    {"<Key>k</Key><ETag/>", S3E_NONE, true, false},
    {"<Key>k</Key><Size>5</Size>", S3E_NONE, true, true},
    {"<Key>k</Key><Size>6</Size>", S3E_NONE, true, false},
    {"<Key>k</Key><Size>-5</Size>", S3E_INVALID_ARGUMENT, true, false},
    {"<Key>k</Key><LastModifiedTime>" DATE "</LastModifiedTime>", S3E_NONE, true, true},
    {"<Key>k</Key><LastModifiedTime>2013-05-24T00:00:00Z</LastModifiedTime>", S3E_NONE, true, true},
    {"<Key>k</Key><LastModifiedTime>2013-05-24T00:00:01Z</LastModifiedTime>", S3E_NONE, true, false},
    {"<Key>k</Key><LastModifiedTime>once</LastModifiedTime>", S3E_INVALID_ARGUMENT, true, false},
    {"<Key>k</Key><ETag>*</ETag><Size>6</Size>", S3E_NONE, true, false},
};

static void test_entries(void **state)
{
    struct object o = {.size = 5, .mtime_ns = 1369353600999999999ll};
    (void)state;
    memcpy(o.md5, HELLO_MD5, 16);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        struct arena a;
        struct delete_entry *e;
        size_t n;
        bool quiet;
        arena_init(&a);
        struct str doc = arena_printf(&a, "<Delete><Object>%s</Object></Delete>", entries[i].inner);
        assert_true(deletes_parse(&a, doc, &e, &n, &quiet));
        assert_int_equal(n, 1);
        if (e->error != entries[i].error || delete_condition_any(&e->condition) != entries[i].any ||
            (!e->error && delete_condition_holds(&e->condition, &o) != entries[i].holds))
            fail_msg("%s", entries[i].inner);
        arena_release(&a);
    }
}

static void test_documents(void **state)
{
    static const struct {
        const char *text;
        bool ok;
    } docs[] = {
        {"<Delete><Object><Key>k</Key></Object></Delete>", true},
        {"<Delete/>", false},
        {"<Delete><Object/></Delete>", false},
        {"<x><Object><Key>k</Key></Object></x>", false},
        {"<Delete><Object><Key>k</Key></Object>", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(docs); i++) {
        struct arena a;
        struct delete_entry *e;
        size_t n;
        bool quiet;
        arena_init(&a);
        if (deletes_parse(&a, str_c(docs[i].text), &e, &n, &quiet) != docs[i].ok)
            fail_msg("%s", docs[i].text);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
