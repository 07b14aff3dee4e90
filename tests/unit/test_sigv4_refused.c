/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4: every way a claim can be wrong, in the headers and in the query of a presigned URL; and no claim at all. */
#include "sigv4_cases.h"

#include <stdio.h>

#define GOOD_AUTH AUTHORIZATION(BASIC_NAMES, LIFECYCLE_SIGNATURE)
#define WITH_CREDENTIAL(c) \
    "Authorization: AWS4-HMAC-SHA256 Credential=" c ", SignedHeaders=" BASIC_NAMES \
    ", Signature=" LIFECYCLE_SIGNATURE "\n"

/* GET /?lifecycle with these headers. */
static const struct {
    const char *name, *headers, *region;
    int64_t later_s;
    bool region_free;
    enum auth_result want;
} refusals[] = {
    {"good", BASIC(E_SHA) GOOD_AUTH, "", 0, false, AUTH_OK},
    {"blanks after commas", BASIC(E_SHA) WITH_CREDENTIAL(CRED), "", 0, false, AUTH_OK},
    {"other order",
     BASIC(E_SHA) "Authorization: AWS4-HMAC-SHA256 Signature=" LIFECYCLE_SIGNATURE ",Credential=" CRED
                  ",SignedHeaders=" BASIC_NAMES "\n",
     "", 0, false, AUTH_OK},
    {"region matches", BASIC(E_SHA) GOOD_AUTH, "us-east-1", 0, false, AUTH_OK},
    {"other region", BASIC(E_SHA) GOOD_AUTH, "eu-west-1", 0, false, AUTH_WRONG_REGION},
    {"US", BASIC(E_SHA) WITH_CREDENTIAL(AK "/20130524/US/s3/aws4_request"), "us-east-1", 0, false,
     AUTH_BAD_SIGNATURE},
    {"region is free", BASIC(E_SHA) GOOD_AUTH, "eu-west-1", 0, true, AUTH_OK},
    {"empty region", BASIC(E_SHA) WITH_CREDENTIAL(AK "/20130524//s3/aws4_request"), "us-east-1", 0, false,
     AUTH_WRONG_REGION},
    {"skew at the limit", BASIC(E_SHA) GOOD_AUTH, "", 15 * 60 - 60, false, AUTH_OK},
    {"late", BASIC(E_SHA) GOOD_AUTH, "", 15 * 60 - 59, false, AUTH_SKEWED},
    {"early", BASIC(E_SHA) GOOD_AUTH, "", -15 * 60 - 61, false, AUTH_SKEWED},
    {"no date", BUCKET_HOST "x-amz-content-sha256: " E_SHA "\n" GOOD_AUTH, "", 0, false, AUTH_NO_DATE},
    {"bad amz date, good Date",
     BUCKET_HOST "x-amz-date: yesterday\nDate: " DATE "\nx-amz-content-sha256: " E_SHA "\n" GOOD_AUTH, "", 0,
     false, AUTH_NO_DATE},
    {"other day in the scope", BASIC(E_SHA) WITH_CREDENTIAL(AK "/20130523/us-east-1/s3/aws4_request"), "", 0,
     false, AUTH_MALFORMED_HEADER},
    {"other service", BASIC(E_SHA) WITH_CREDENTIAL(AK "/20130524/us-east-1/ec2/aws4_request"), "", 0, false,
     AUTH_MALFORMED_HEADER},
    {"short credential", BASIC(E_SHA) WITH_CREDENTIAL(AK "/20130524/us-east-1/s3"), "", 0, false,
     AUTH_MALFORMED_HEADER},
    {"unknown key", BASIC(E_SHA) WITH_CREDENTIAL("NOBODY/" SCOPE), "", 0, false, AUTH_UNKNOWN_KEY},
    {"token", BASIC(E_SHA) "x-amz-security-token: t\n" GOOD_AUTH, "", 0, false, AUTH_BAD_TOKEN},
    {"another header value", BASIC(PUT_SHA) GOOD_AUTH, "", 0, false, AUTH_BAD_SIGNATURE},
    {"short signature", BASIC(E_SHA) AUTHORIZATION(BASIC_NAMES, "fea454"), "", 0, false, AUTH_BAD_SIGNATURE},
    {"capital letters in the signature",
     BASIC(E_SHA)
         AUTHORIZATION(BASIC_NAMES, "FEA454CA298B7DA1C68078A5D1BDBFBBE0D65C699E0F91AC7A200A0136783543"),
     "", 0, false, AUTH_BAD_SIGNATURE},
    {"no signature", BASIC(E_SHA) AUTHORIZATION(BASIC_NAMES, ""), "", 0, false, AUTH_MALFORMED_HEADER},
    {"no names", BASIC(E_SHA) AUTHORIZATION("", LIFECYCLE_SIGNATURE), "", 0, false, AUTH_MALFORMED_HEADER},
    {"unsigned copy source", BASIC(E_SHA) "x-amz-copy-source: /a/b\n" GOOD_AUTH, "", 0, false,
     AUTH_UNSIGNED_HEADERS},
    {"unsigned extension", BASIC(E_SHA) "X-Minio-Force-Delete: true\n" GOOD_AUTH, "", 0, false,
     AUTH_UNSIGNED_HEADERS},
    {"host not signed", BASIC(E_SHA) AUTHORIZATION("x-amz-date", LIFECYCLE_SIGNATURE), "", 0, false,
     AUTH_UNSIGNED_HEADERS},
    {"signed header missing", BASIC(E_SHA) AUTHORIZATION("host;range", LIFECYCLE_SIGNATURE), "", 0, false,
     AUTH_UNSIGNED_HEADERS},
    {"unknown part", BASIC(E_SHA) "Authorization: AWS4-HMAC-SHA256 Credential=" CRED ",Foo=1\n", "", 0, false,
     AUTH_MALFORMED_HEADER},
    {"nothing but the name", BASIC(E_SHA) "Authorization: AWS4-HMAC-SHA256\n", "", 0, false,
     AUTH_MALFORMED_HEADER},
    {"a part twice",
     BASIC(E_SHA) "Authorization: AWS4-HMAC-SHA256 Credential=" CRED ",Credential=" CRED
                  ",SignedHeaders=host,Signature=" LIFECYCLE_SIGNATURE "\n",
     "", 0, false, AUTH_MALFORMED_HEADER},
    {"header twice", BASIC(E_SHA) GOOD_AUTH GOOD_AUTH, "", 0, false, AUTH_MALFORMED_HEADER},
    {"version 2", BASIC(E_SHA) "Authorization: AWS AK:frJIUN8DYpKDtOLCwo//yllqDzg=\n", "", 0, false,
     AUTH_UNKNOWN_KEY},
    {"neither version", BASIC(E_SHA) "Authorization: AWS\n", "", 0, false, AUTH_UNSUPPORTED},
    {"bearer", BASIC(E_SHA) "Authorization: Bearer x\n", "", 0, false, AUTH_UNSUPPORTED},
    {"elliptic", BASIC(E_SHA) "Authorization: AWS4-ECDSA-P256-SHA256 Credential=x\n", "", 0, false,
     AUTH_UNSUPPORTED},
    {"bad sha", BASIC("abc") GOOD_AUTH, "", 0, false, AUTH_BAD_CONTENT_SHA256},
    {"empty sha", BASIC("") GOOD_AUTH, "", 0, false, AUTH_BAD_CONTENT_SHA256},
    {"streaming without length", BASIC("STREAMING-AWS4-HMAC-SHA256-PAYLOAD") GOOD_AUTH, "", 0, false,
     AUTH_NO_DECODED_LENGTH},
    {"streaming with a bad length",
     BASIC("STREAMING-UNSIGNED-PAYLOAD-TRAILER") "x-amz-decoded-content-length: -1\n" GOOD_AUTH, "", 0, false,
     AUTH_NO_DECODED_LENGTH},
    {"signed trailer without length", BASIC("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER") GOOD_AUTH, "", 0,
     false, AUTH_NO_DECODED_LENGTH},
    {"elliptic chunks and trailer", BASIC("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER") GOOD_AUTH, "",
     0, false, AUTH_NOT_IMPLEMENTED},
    {"some other streaming", BASIC("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-X") GOOD_AUTH, "", 0, false,
     AUTH_NOT_IMPLEMENTED},
    {"elliptic chunks", BASIC("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD") GOOD_AUTH, "", 0, false,
     AUTH_NOT_IMPLEMENTED},
};

static void header_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct auth *auth = example_auth(refusals[i].region);
        struct head head;
        struct arena a;
        struct auth_identity id;
        struct auth_payload p;
        arena_init(&a);
        struct auth_request r = request("GET", "/", "lifecycle", head_of(&head, refusals[i].headers));
        r.now_ns += refusals[i].later_s * NS;
        r.region_free = refusals[i].region_free;
        enum auth_result got = auth_verify(auth, &r, &a, &id, &p);
        if (got != refusals[i].want)
            fail_msg("%s: %d instead of %d", refusals[i].name, (int)got, (int)refusals[i].want);
        assert_int_equal(id.anonymous, got != AUTH_OK);
        arena_release(&a);
        auth_free(auth);
    }
}

#define PRE(algorithm, credential, date, expires, names) \
    "X-Amz-Algorithm=" algorithm "&X-Amz-Credential=" credential "&X-Amz-Date=" date \
    "&X-Amz-Expires=" expires "&X-Amz-SignedHeaders=" names "&X-Amz-Signature=" E_SHA

/* GET /test.txt with this query and these headers beside Host. */
static const struct {
    const char *name, *method, *query, *headers;
    int64_t later_s;
    enum auth_result want;
} presigned[] = {
    {"good", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "", 0, AUTH_OK},
    {"last second", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "", 86400 - 61, AUTH_OK},
    {"expired", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "", 86400 - 60, AUTH_EXPIRED},
    {"15 minutes early", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "", -960, AUTH_OK},
    {"not yet", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "", -961, AUTH_NOT_YET_VALID},
    {"HEAD with GET's", "HEAD", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "", 0, AUTH_BAD_SIGNATURE},
    {"one parameter more", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE "&response-expires=x", "", 0,
     AUTH_BAD_SIGNATURE},
    {"unsigned meta", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "x-amz-meta-a: 1", 0,
     AUTH_UNSIGNED_HEADERS},
    {"unsigned X-Amz", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "X-AMZ-ACL: x", 0, AUTH_UNSIGNED_HEADERS},
    {"unsigned plain header", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "Range: bytes=0-1", 0, AUTH_OK},
    {"both ways", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, GOOD_AUTH, 0, AUTH_TWO_MECHANISMS},
    {"empty Authorization", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE, "Authorization: ", 0, AUTH_OK},
    {"token", "GET", PRESIGNED_QUERY "&X-Amz-Security-Token=t" PRESIGNED_SIGNATURE, "", 0, AUTH_BAD_TOKEN},
    {"no signature", "GET", PRESIGNED_QUERY, "", 0, AUTH_MALFORMED_QUERY},
    {"only a credential", "GET", "x-amz-credential=a", "", 0, AUTH_MALFORMED_QUERY},
    {"algorithm", "GET", PRE("AWS4", CRED, DATE, "60", "host"), "", 0, AUTH_MALFORMED_QUERY},
    {"credential", "GET", PRE(V4, "a", DATE, "60", "host"), "", 0, AUTH_MALFORMED_QUERY},
    {"date", "GET", PRE(V4, CRED, "x", "60", "host"), "", 0, AUTH_MALFORMED_QUERY},
    {"other day", "GET", PRE(V4, CRED, "20130523T000000Z", "60", "host"), "", 0, AUTH_MALFORMED_QUERY},
    {"expires not a number", "GET", PRE(V4, CRED, DATE, "1h", "host"), "", 0, AUTH_MALFORMED_QUERY},
    {"expires empty", "GET", PRE(V4, CRED, DATE, "", "host"), "", 0, AUTH_MALFORMED_QUERY},
    {"expires zero", "GET", PRE(V4, CRED, DATE, "0", "host"), "", 0, AUTH_EXPIRED},
    {"expires negative", "GET", PRE(V4, CRED, DATE, "-7", "host"), "", 0, AUTH_ACCESS_DENIED},
    {"expires too long", "GET", PRE(V4, CRED, DATE, "609901", "host"), "", 0, AUTH_ACCESS_DENIED},
    {"expires beyond any number", "GET", PRE(V4, CRED, DATE, "99999999999999999999", "host"), "", 0,
     AUTH_ACCESS_DENIED},
    {"unknown key", "GET", PRE(V4, "NOBODY/" SCOPE, DATE, "600", "host"), "", 0, AUTH_UNKNOWN_KEY},
    {"wrong signature", "GET", PRE(V4, CRED, DATE, "600", "host"), "", 0, AUTH_BAD_SIGNATURE},
    {"two signatures", "GET", PRESIGNED_QUERY PRESIGNED_SIGNATURE PRESIGNED_SIGNATURE, "", 0,
     AUTH_MALFORMED_QUERY},
    {"host not signed", "GET", PRE(V4, CRED, DATE, "600", "range"), "", 0, AUTH_UNSIGNED_HEADERS},
    {"no names", "GET", PRE(V4, CRED, DATE, "600", ""), "", 0, AUTH_MALFORMED_QUERY},
    {"broken escape", "GET", PRE(V4, CRED, DATE, "600", "host") "&a=%", "", 0, AUTH_MALFORMED_QUERY},
    {"version 2", "GET", "AWSAccessKeyId=a&Expires=1&Signature=x", "", 0, AUTH_UNKNOWN_KEY},
    {"no signature at all", "GET", "x-amz-z=1&a=b", "", 0, AUTH_OK},
};

static void presigned_refusals(void **state)
{
    (void)state;
    struct auth *auth = example_auth("us-east-1");
    for (size_t i = 0; i < sizeof(presigned) / sizeof(presigned[0]); i++) {
        char text[1024];
        struct head head;
        struct arena a;
        struct auth_identity id;
        struct auth_payload p;
        arena_init(&a);
        (void)snprintf(text, sizeof(text), BUCKET_HOST "%s\n", presigned[i].headers);
        struct auth_request r =
            request(presigned[i].method, "/test.txt", presigned[i].query, head_of(&head, text));
        r.now_ns += presigned[i].later_s * NS;
        enum auth_result got = auth_verify(auth, &r, &a, &id, &p);
        if (got != presigned[i].want)
            fail_msg("%s: %d instead of %d", presigned[i].name, (int)got, (int)presigned[i].want);
        arena_release(&a);
    }
    auth_free(auth);
}

static void anonymous(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        enum auth_result want;
        enum auth_payload_mode mode;
    } cases[] = {
        {"Host: h", AUTH_OK, PAYLOAD_UNSIGNED},
        {"Host: h\nAuthorization:", AUTH_OK, PAYLOAD_UNSIGNED},
        {"Host: h\nx-amz-content-sha256: " E_SHA, AUTH_OK, PAYLOAD_SIGNED},
        {"Host: h\nx-amz-decoded-content-length: 5\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
         AUTH_OK, PAYLOAD_STREAMING_UNSIGNED_TRAILER},
        {"Host: h\nx-amz-decoded-content-length: 5\nx-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
         AUTH_ACCESS_DENIED, PAYLOAD_STREAMING_SIGNED},
        {"Host: h\nx-amz-decoded-content-length: 5\nx-amz-content-sha256: "
         "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
         AUTH_ACCESS_DENIED, PAYLOAD_STREAMING_SIGNED_TRAILER},
        {"Host: h\nx-amz-content-sha256: x", AUTH_ACCESS_DENIED, PAYLOAD_SIGNED},
    };
    struct auth *auth = example_auth("");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct head head;
        struct arena a;
        struct auth_identity id;
        struct auth_payload p;
        arena_init(&a);
        struct auth_request r = request("GET", "/b/k", "", head_of(&head, cases[i].headers));
        assert_int_equal(auth_verify(auth, &r, &a, &id, &p), cases[i].want);
        assert_true(id.anonymous);
        assert_int_equal(p.mode, cases[i].mode);
        assert_false(allowed(&id, STR("s3:GetObject"), STR("b/k"), NULL));
        arena_release(&a);
    }
    auth_free(auth);
    struct auth_identity root = {.access_key = STR(AK)};
    assert_true(allowed(&root, STR("s3:GetObject"), STR("b/k"), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_refusals),
        cmocka_unit_test(presigned_refusals),
        cmocka_unit_test(anonymous),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
