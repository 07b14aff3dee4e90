/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request line to bucket, key and operation; rules of names. */
#include "s3/route.h"

#include "unit.h"

struct path_case {
    const char *path, *host, *domains, *bucket, *key;
    enum s3_scope scope;
    enum s3_error error;
};

static const struct path_case paths[] = {
    {"/", "h", "", "", "", SCOPE_ROOT, S3E_NONE},
    {"//", "h", "", "", "", SCOPE_ROOT, S3E_NONE},
    {"/b", "h", "", "b", "", SCOPE_BUCKET, S3E_NONE},
    {"/b/", "h", "", "b", "", SCOPE_BUCKET, S3E_NONE},
    {"/b/k", "h", "", "b", "k", SCOPE_OBJECT, S3E_NONE},
    {"/b//k", "h", "", "b", "/k", SCOPE_OBJECT, S3E_NONE},
    {"/b/a/b/c", "h", "", "b", "a/b/c", SCOPE_OBJECT, S3E_NONE},
    {"/b/a%2Fb%20c+d%25", "h", "", "b", "a/b c+d%", SCOPE_OBJECT, S3E_NONE},
    {"/b/%zz", "h", "", "", "", SCOPE_ROOT, S3E_MALFORMED_REQUEST},
    {"", "h", "", "", "", SCOPE_ROOT, S3E_MALFORMED_REQUEST},
    {"b/k", "h", "", "", "", SCOPE_ROOT, S3E_MALFORMED_REQUEST},
    {"/k", "buck.s3.test:9000", "s3.test", "buck", "k", SCOPE_OBJECT, S3E_NONE},
    {"/", "buck.s3.test", "s3.test", "buck", "", SCOPE_BUCKET, S3E_NONE},
    {"/", "BUCK.S3.TEST", "other, s3.test", "BUCK", "", SCOPE_BUCKET, S3E_NONE},
    {"/b/k", "s3.test:9000", "s3.test", "b", "k", SCOPE_OBJECT, S3E_NONE},
    {"/b/k", "xs3.test", "s3.test", "b", "k", SCOPE_OBJECT, S3E_NONE},
    {"/b/k", "[::1]", "s3.test", "b", "k", SCOPE_OBJECT, S3E_NONE},
    {"/a.b", "a.b.s3.test", "s3.test", "a.b", "a.b", SCOPE_OBJECT, S3E_NONE},
};

static void test_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const struct path_case *c = &paths[i];
        struct arena a;
        struct str bucket, key;
        enum s3_scope scope = SCOPE_ROOT;
        arena_init(&a);
        enum s3_error e =
            route_path(&a, str_c(c->path), str_c(c->host), str_c(c->domains), &scope, &bucket, &key);
        if (e != c->error ||
            (e == S3E_NONE && (scope != c->scope || !str_eq_c(bucket, c->bucket) || !str_eq_c(key, c->key))))
            fail_msg("path '%s' host '%s': error %d scope %d bucket '%.*s' key '%.*s'", c->path, c->host, e,
                     scope, STR_FMT(bucket), STR_FMT(key));
        arena_release(&a);
    }
}

struct op_case {
    const char *method, *query, *header;
    enum s3_scope scope;
    const char *name; /* NULL: no S3 operation */
    bool built;
};

static const struct op_case ops[] = {
    {"GET", "", NULL, SCOPE_ROOT, "ListBuckets", true},
    {"GET", "events=", NULL, SCOPE_ROOT, "ListenNotification", true},
    {"DELETE", "", NULL, SCOPE_ROOT, NULL, false},
    {"PUT", "", NULL, SCOPE_BUCKET, "CreateBucket", true},
    {"PUT", "notification", NULL, SCOPE_BUCKET, "PutBucketNotification", true},
    {"PUT", "policy", NULL, SCOPE_BUCKET, "PutBucketPolicy", false},
    {"GET", "", NULL, SCOPE_BUCKET, "ListObjects", true},
    {"GET", "list-type=2&prefix=a", NULL, SCOPE_BUCKET, "ListObjectsV2", true},
    {"GET", "location=", NULL, SCOPE_BUCKET, "GetBucketLocation", true},
    {"GET", "versions", NULL, SCOPE_BUCKET, "ListObjectVersions", true},
    {"GET", "publicAccessBlock", NULL, SCOPE_BUCKET, "GetPublicAccessBlock", true},
    {"PUT", "publicAccessBlock", NULL, SCOPE_BUCKET, "PutPublicAccessBlock", false},
    {"DELETE", "ownershipControls", NULL, SCOPE_BUCKET, "DeleteBucketOwnershipControls", true},
    {"GET", "inventory", NULL, SCOPE_BUCKET, "GetBucketInventory", false},
    {"DELETE", "notification", NULL, SCOPE_BUCKET, "DeleteBucket", true},
    {"POST", "delete", NULL, SCOPE_BUCKET, "DeleteObjects", true},
    {"POST", "", NULL, SCOPE_BUCKET, NULL, false},
    {"POST", "", "content-type: multipart/form-data; boundary=x", SCOPE_BUCKET, "PostObject", true},
    {"POST", "", "content-type: multipart/form-data; boundary=x", SCOPE_OBJECT, "PostObject", true},
    {"HEAD", "", NULL, SCOPE_BUCKET, "HeadBucket", true},
    {"PUT", "", NULL, SCOPE_OBJECT, "PutObject", true},
    {"PUT", "x-id=PutObject", NULL, SCOPE_OBJECT, "PutObject", true},
    {"PUT", "partNumber=1&uploadId=u", NULL, SCOPE_OBJECT, "UploadPart", true},
    {"PUT", "partNumber=1&uploadId=u", "x-amz-copy-source: a/b", SCOPE_OBJECT, "UploadPartCopy", true},
    {"PUT", "", "X-Amz-Copy-Source: a/b", SCOPE_OBJECT, "CopyObject", true},
    {"PUT", "tagging", NULL, SCOPE_OBJECT, "PutObjectTagging", true},
    {"PUT", "", "x-amz-meta-snowball-auto-extract: true", SCOPE_OBJECT, "PutObjectExtract", false},
    {"PUT", "", "x-amz-meta-snowball-auto-extract: no", SCOPE_OBJECT, "PutObject", true},
    {"GET", "", NULL, SCOPE_OBJECT, "GetObject", true},
    {"GET", "torrent", NULL, SCOPE_OBJECT, "GetObjectTorrent", false},
    {"GET", "uploadId=u", NULL, SCOPE_OBJECT, "ListParts", true},
    {"HEAD", "tagging", NULL, SCOPE_OBJECT, "HeadObject", true},
    {"DELETE", "", NULL, SCOPE_OBJECT, "DeleteObject", true},
    {"DELETE", "uploadId=u", NULL, SCOPE_OBJECT, "AbortMultipartUpload", true},
    {"POST", "", NULL, SCOPE_OBJECT, NULL, false},
    {"PATCH", "", NULL, SCOPE_OBJECT, NULL, false},
};

static void test_op(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ops); i++) {
        const struct op_case *c = &ops[i];
        struct arena a;
        arena_init(&a);
        struct headers query;
        assert_true(query_parse(&a, str_c(c->query), 16, &query));
        struct header one;
        struct headers headers = {&one, 0};
        if (c->header) {
            struct str h = str_c(c->header);
            ptrdiff_t colon = str_chr(h, ':');
            one = (struct header){str_head(h, (size_t)colon), str_trim(str_from(h, (size_t)colon + 1))};
            headers.n = 1;
        }
        const struct s3_op *op = route_op(str_c(c->method), c->scope, &query, &headers);
        if (!op != !c->name || (op && (strcmp(op->name, c->name) != 0 || !op->run == c->built)))
            fail_msg("%s ?%s: %s", c->method, c->query, op ? op->name : "none");
        arena_release(&a);
    }
}

static void test_bucket_names(void **state)
{
    (void)state;
    static const char *const good[] = {"abc",       "a-b",       "a.b.c", "123",         "1.2.3",
                                       "1.2.3.4.5", "256.1.1.1", "a--b",  "my-bucket.x1"};
    static const char *const bad[] = {
        "",      "ab",   "Abc",
        "a_b",   ".abc", "abc.",
        "-abc",  "abc-", "a..b",
        "a.-b",  "a-.b", "1.2.3.4",
        "minio", "a b",  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!bucket_name_valid(str_c(good[i])))
            fail_msg("'%s' is a good name", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (bucket_name_valid(str_c(bad[i])))
            fail_msg("'%s' is a bad name", bad[i]);
}

static void test_keys(void **state)
{
    (void)state;
    char lots[1026];
    memset(lots, 'k', sizeof lots);
    assert_int_equal(key_check(str_n(lots, 1024)), S3E_NONE);
    assert_int_equal(key_check(str_n(lots, 1025)), S3E_KEY_TOO_LONG);
    assert_int_equal(key_check(STR("a//b")), S3E_NONE);
    assert_int_equal(key_check(STR("...")), S3E_NONE);
    assert_int_equal(key_check(STR("a/..b/.c")), S3E_NONE);
    assert_int_equal(key_check(STR("a/../b")), S3E_INVALID_RESOURCE_NAME);
    assert_int_equal(key_check(STR("./b")), S3E_INVALID_RESOURCE_NAME);
    assert_int_equal(key_check(STR("b/.")), S3E_INVALID_RESOURCE_NAME);
    assert_int_equal(key_check(STR("a\0b")), S3E_INVALID_OBJECT_NAME);
    assert_int_equal(key_check(STR("\xff")), S3E_INVALID_OBJECT_NAME);
    assert_int_equal(key_check(STR("\xc3\xbc")), S3E_NONE);
}

static void test_version_ids(void **state)
{
    (void)state;
    assert_true(version_id_valid(STR("754e2f7f-3eda-4262-8d8a-f95f2c752b2c")));
    assert_true(version_id_valid(STR("754E2F7F-3EDA-4262-8D8A-F95F2C752B2C")));
    assert_false(version_id_valid(STR("null")));
    assert_false(version_id_valid(STR("")));
    assert_false(version_id_valid(STR("754e2f7f-3eda-4262-8d8a-f95f2c752b2g")));
    assert_false(version_id_valid(STR("754e2f7f-3eda-4262-8d8af-95f2c752b2c")));
    assert_false(version_id_valid(STR("754e2f7f-3eda-4262-8d8a-f95f2c752b2c1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path), cmocka_unit_test(test_op),          cmocka_unit_test(test_bucket_names),
        cmocka_unit_test(test_keys), cmocka_unit_test(test_version_ids),
    };
    return cmocka_run_group_tests_name("s3_route", tests, NULL, NULL);
}
