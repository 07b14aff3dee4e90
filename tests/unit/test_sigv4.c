/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4: AWS's published examples (Authenticating Requests, S3 API reference), our own corner cases,
 * and every way a claim can be wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "auth/sigv4.h"
#include "auth_cases.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"

#define NS INT64_C(1000000000)

/* --- canonical forms --------------------------------------------------------------------------------- */

struct text_case {
    const char *in, *out; /* out NULL: refused */
};

static const struct text_case path_cases[] = {
    {"", "/"},
    {"/", "/"},
    {"/test.txt", "/test.txt"},
    {"/test$file.text", "/test%24file.text"},
    {"/test%24file.text", "/test%24file.text"},
    {"/a/./b/../c//d", "/a/./b/../c//d"},
    {"/a%2fb%2Fc", "/a/b/c"},
    {"/a+b", "/a%2Bb"},
    {"/a%20b%7e~", "/a%20b~~"},
    {"/%25", "/%25"},
    {"/%2525", "/%2525"},
    {"/\xc3\xbc", "/%C3%BC"},
    {"/%c3%bc", "/%C3%BC"},
    {"/%00", "/%00"},
    {"/buck/a%20b%2Bc/%C3%BC~(1)*'!$&,;=:@[]%23%3F%25.txt",
     "/buck/a%20b%2Bc/%C3%BC~%281%29%2A%27%21%24%26%2C%3B%3D%3A%40%5B%5D%23%3F%25.txt"},
    {"/%", NULL},
    {"/%4", NULL},
    {"/%zz", NULL},
};

static void canon_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++) {
        struct buf b;
        buf_init(&b, 4096);
        bool good = auth_canon_path(&b, str_c(path_cases[i].in));
        assert_int_equal(good, path_cases[i].out != NULL);
        if (good && !str_eq_c(buf_view(&b), path_cases[i].out))
            fail_msg("%s -> %.*s", path_cases[i].in, STR_FMT(buf_view(&b)));
        buf_release(&b);
    }
}

static const struct text_case query_cases[] = {
    {"", ""},
    {"lifecycle", "lifecycle="},
    {"lifecycle=", "lifecycle="},
    {"max-keys=2&prefix=J", "max-keys=2&prefix=J"},
    {"prefix=J&max-keys=2", "max-keys=2&prefix=J"},
    {"prefix=a/b c%2Bd&delimiter=/&a=2&a=1&X-Amz-Z", "X-Amz-Z=&a=1&a=2&delimiter=%2F&prefix=a%2Fb%20c%2Bd"},
    {"a=1+2", "a=1%202"},
    {"&&a=1&&", "a=1"},
    {"a=b=c", "a=b%3Dc"},
    {"a-b=1&a=2&a%20=3", "a=2&a%20=3&a-b=1"},
    {"X-Amz-Signature=aa&X-Amz-Date=x", "X-Amz-Date=x"},
    {"%58-Amz-Signature=aa", ""},
    {"=x", "=x"},
    {"a=%C3%bc&A=1", "A=1&a=%C3%BC"},
    {"a=%2", NULL},
    {"%=1", NULL},
};

static void canon_query(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(query_cases) / sizeof(query_cases[0]); i++) {
        struct arena a;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 4096);
        bool good = auth_canon_query(&b, str_c(query_cases[i].in), &a);
        assert_int_equal(good, query_cases[i].out != NULL);
        if (good && !str_eq_c(buf_view(&b), query_cases[i].out))
            fail_msg("%s -> %.*s", query_cases[i].in, STR_FMT(buf_view(&b)));
        buf_release(&b);
        arena_release(&a);
    }
}

/* More pairs than the insertion sort takes, in reverse. */
static void canon_query_many(void **state)
{
    (void)state;
    struct arena a;
    struct buf in, want, got;
    arena_init(&a);
    buf_init(&in, 1 << 20);
    buf_init(&want, 1 << 20);
    buf_init(&got, 1 << 20);
    for (int i = 999; i >= 0; i--)
        buf_printf(&in, "%sk%03d=v", i == 999 ? "" : "&", i);
    for (int i = 0; i < 1000; i++)
        buf_printf(&want, "%sk%03d=v", i ? "&" : "", i);
    assert_true(auth_canon_query(&got, buf_view(&in), &a));
    assert_true(str_eq(buf_view(&got), buf_view(&want)));
    buf_release(&in);
    buf_release(&want);
    buf_release(&got);
    arena_release(&a);
}

static const struct {
    const char *headers, *names, *out;
} header_cases[] = {
    {"Host: h\nX-Amz-Date: d", "host;x-amz-date", "host:h\nx-amz-date:d\n"},
    {"Host: h\nX-Amz-Date: d", "x-amz-date;host", "host:h\nx-amz-date:d\n"},
    {"Host: h\nX-Amz-Date: d", "Host;X-Amz-Date;host", "host:h\nx-amz-date:d\n"},
    {"host: h\nx-a:   one  two \t three  ", "host;x-a", "host:h\nx-a:one two three\n"},
    {"x-b: v1\nhost: h\nX-B:  v2", "host;x-b", "host:h\nx-b:v1,v2\n"},
    {"host: 127.0.0.1:9000\nx-c:", "host;x-c", "host:127.0.0.1:9000\nx-c:\n"},
    {"host: h", "expect;host", "expect:100-continue\nhost:h\n"},
    {"host: h", "content-length;host;transfer-encoding;user-agent",
     "content-length:\nhost:h\ntransfer-encoding:\nuser-agent:\n"},
    {"host: h", "host;range", NULL},
};

static void canon_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]); i++) {
        struct arena a;
        struct head head;
        struct sigv4_names names;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 4096);
        assert_true(sigv4_names(str_c(header_cases[i].names), &a, &names));
        enum auth_result r = sigv4_canon_headers(&b, head_of(&head, header_cases[i].headers), &names);
        assert_int_equal(r, header_cases[i].out ? AUTH_OK : AUTH_UNSIGNED_HEADERS);
        if (r == AUTH_OK && !str_eq_c(buf_view(&b), header_cases[i].out))
            fail_msg("case %zu: %.*s", i, STR_FMT(buf_view(&b)));
        buf_release(&b);
        arena_release(&a);
    }
}

static void names_refused(void **state)
{
    (void)state;
    struct arena a;
    struct sigv4_names names;
    struct buf many;
    arena_init(&a);
    buf_init(&many, 4096);
    for (int i = 0; i <= SIGV4_NAMES_MAX; i++)
        buf_printf(&many, "%sx%d", i ? ";" : "", i);
    assert_false(sigv4_names(STR(""), &a, &names));
    assert_false(sigv4_names(STR("host;"), &a, &names));
    assert_false(sigv4_names(STR(";host"), &a, &names));
    assert_false(sigv4_names(buf_view(&many), &a, &names));
    buf_release(&many);
    arena_release(&a);
}

static void credential(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"AK/20130524/us-east-1/s3/aws4_request",
         "AK|20130524|us-east-1|s3|20130524/us-east-1/s3/aws4_request"},
        {"a/b/20130524/r/s3/aws4_request", "a/b|20130524|r|s3|20130524/r/s3/aws4_request"},
        {"AK/20130524//s3/aws4_request", "AK|20130524||s3|20130524//s3/aws4_request"},
        {"/20130524/r/s3/aws4_request", NULL},
        {"20130524/r/s3/aws4_request", NULL},
        {"AK/2013052/r/s3/aws4_request", NULL},
        {"AK/2013052x/r/s3/aws4_request", NULL},
        {"AK/20130524/r/s3/aws4", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sigv4_credential c;
        bool good = sigv4_credential(str_c(cases[i].in), &c);
        assert_int_equal(good, cases[i].out != NULL);
        if (!good)
            continue;
        char got[256];
        (void)snprintf(got, sizeof(got), "%.*s|%.*s|%.*s|%.*s|%.*s", STR_FMT(c.access_key), STR_FMT(c.day),
                       STR_FMT(c.region), STR_FMT(c.service), STR_FMT(c.scope));
        assert_string_equal(got, cases[i].out);
    }
}

static void signing_key(void **state)
{
    (void)state;
    uint8_t key[32], want[32];
    assert_true(
        hex_decode(STR("dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378"), want, 32));
    auth_signing_key(STR(SK), STR("20130524"), STR("us-east-1"), STR("s3"), key);
    assert_memory_equal(key, want, 32);
}

/* --- published examples ------------------------------------------------------------------------------ */

#define AUTHORIZATION(names, signature) \
    "Authorization: AWS4-HMAC-SHA256 Credential=" CRED ",SignedHeaders=" names ",Signature=" signature "\n"
#define BUCKET_HOST         "Host: examplebucket.s3.amazonaws.com\n"
#define BASIC_NAMES         "host;x-amz-content-sha256;x-amz-date"
#define BASIC(sha)          BUCKET_HOST "x-amz-date: " DATE "\nx-amz-content-sha256: " sha "\n"
#define LIFECYCLE_SIGNATURE "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
#define PRESIGNED_QUERY \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" AK \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=" DATE \
    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
#define PRESIGNED_SIGNATURE \
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
#define PUT_SHA "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"

struct example {
    const char *method, *path, *query, *headers, *canonical_sha, *payload_sha;
    enum auth_payload_mode mode;
};

static const struct example examples[] = {
    {"GET", "/test.txt", "",
     BASIC(E_SHA) "Range: bytes=0-9\n" AUTHORIZATION(
         "host;range;x-amz-content-sha256;x-amz-date",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
     "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972", E_SHA, PAYLOAD_SIGNED},
    {"PUT", "/test$file.text", "",
     BASIC(PUT_SHA) "Date: Fri, 24 May 2013 00:00:00 GMT\nx-amz-storage-class: "
                    "REDUCED_REDUNDANCY\n" AUTHORIZATION(
                        "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
                        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
     "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d", PUT_SHA, PAYLOAD_SIGNED},
    {"GET", "/", "lifecycle", BASIC(E_SHA) AUTHORIZATION(BASIC_NAMES, LIFECYCLE_SIGNATURE),
     "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca", E_SHA, PAYLOAD_SIGNED},
    {"GET", "/", "max-keys=2&prefix=J",
     BASIC(E_SHA)
         AUTHORIZATION(BASIC_NAMES, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
     "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7", E_SHA, PAYLOAD_SIGNED},
    {"GET", "/test.txt", PRESIGNED_QUERY PRESIGNED_SIGNATURE, BUCKET_HOST,
     "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04", "UNSIGNED-PAYLOAD",
     PAYLOAD_UNSIGNED},
    {"PUT", "/examplebucket/chunkObject.txt", "",
     "Host: s3.amazonaws.com\nx-amz-date: " DATE "\nx-amz-storage-class: REDUCED_REDUNDANCY\n" AUTHORIZATION(
         "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;"
         "x-amz-"
         "storage-class",
         "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9") //
     "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\nContent-Encoding: aws-chunked\n"
     "x-amz-decoded-content-length: 66560\nContent-Length: 66824\n",
     NULL, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", PAYLOAD_STREAMING_SIGNED},
    {"GET", "/buck/a%20b%2Bc/%C3%BC~(1)*'!$&,;=:@[]%23%3F%25.txt",
     "prefix=a/b%20c%2Bd&delimiter=/&a=2&a=1&X-Amz-Z",
     "Host: 127.0.0.1:9000\nx-amz-content-sha256: " E_SHA "\nx-amz-date: " DATE
     "\nX-Amz-Meta-A:  one   two  three \nx-amz-meta-b: v1\nx-amz-meta-b: v2\n" AUTHORIZATION(
         "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b",
         "62b9dc7d7ebc4bb9874eb5defd2f3398c1d41237e6f16b075ee7f03842184ab5"),
     "4d0ffb3fb6788accedd4f98e29ffd9b89b4b0ab160ecaa1884138f94407b6fc9", E_SHA, PAYLOAD_SIGNED},
};

static struct auth_request request(const char *method, const char *path, const char *query,
                                   const struct headers *h)
{
    return (struct auth_request){.method = str_c(method),
                                 .path = str_c(path),
                                 .query = str_c(query),
                                 .headers = h,
                                 .now_ns = (T0 + 60) * NS};
}

static void check_canonical(const struct example *e, const struct auth_request *r, struct arena *a)
{
    struct str list = STR("host");
    struct str authorization = header_value(r->headers, STR("authorization"));
    struct sigv4_header header;
    struct sigv4_names names;
    struct buf b;
    uint8_t digest[32];
    char hex[65] = {0};
    if (authorization.p) {
        assert_true(sigv4_header(authorization, &header));
        list = header.signed_headers;
    }
    buf_init(&b, 1 << 16);
    assert_true(sigv4_names(list, a, &names));
    assert_int_equal(sigv4_canon_request(&b, r, &names, str_c(e->payload_sha), a), AUTH_OK);
    hash_sha256(buf_view(&b), digest);
    hex_lower(digest, 32, hex);
    assert_string_equal(hex, e->canonical_sha);
    buf_release(&b);
}

static void published(void **state)
{
    (void)state;
    struct auth *auth = example_auth("us-east-1");
    for (size_t round = 0; round < 2; round++) /* the second time with the kept key */
        for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
            const struct example *e = &examples[i];
            struct head head;
            struct arena a;
            struct auth_identity id;
            struct auth_payload p;
            arena_init(&a);
            struct auth_request r = request(e->method, e->path, e->query, head_of(&head, e->headers));
            if (e->canonical_sha)
                check_canonical(e, &r, &a);
            enum auth_result got = auth_verify(auth, &r, &a, &id, &p);
            if (got != AUTH_OK)
                fail_msg("example %zu: result %d", i, (int)got);
            assert_false(id.anonymous);
            assert_true(str_eq(id.access_key, STR(AK)));
            assert_int_equal(p.mode, e->mode);
            arena_release(&a);
        }
    auth_free(auth);
}

static void payload_fields(void **state)
{
    (void)state;
    struct auth *auth = example_auth("");
    struct head head;
    struct arena a;
    struct auth_identity id;
    struct auth_payload p;
    uint8_t want[32];
    arena_init(&a);
    struct auth_request r = request("PUT", examples[1].path, "", head_of(&head, examples[1].headers));
    assert_int_equal(auth_verify(auth, &r, &a, &id, &p), AUTH_OK);
    assert_true(hex_decode(STR(PUT_SHA), want, 32));
    assert_memory_equal(p.sha256, want, 32);
    r = request("PUT", examples[5].path, "", head_of(&head, examples[5].headers));
    assert_int_equal(auth_verify(auth, &r, &a, &id, &p), AUTH_OK);
    assert_int_equal(p.decoded_length, 66560);
    assert_memory_equal(p.date, DATE, 16);
    assert_memory_equal(p.seed, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", 64);
    assert_true(str_eq(p.scope, STR(SCOPE)));
    arena_release(&a);
    auth_free(auth);
}

/* --- what is refused, and how ------------------------------------------------------------------------ */

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
#define V4 "AWS4-HMAC-SHA256"

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

/* The Date header alone, as an HTTP date: signed by the same code, since no example of it is published. */
static void date_header(void **state)
{
    (void)state;
    struct arena a;
    struct head head;
    struct sigv4_names names;
    struct buf b, text;
    uint8_t key[32], mac[32];
    char hex[65] = {0}, headers[1024];
    const char *bare = "Host: h\nDate: Fri, 24 May 2013 00:00:00 GMT\n";
    arena_init(&a);
    buf_init(&b, 4096);
    buf_init(&text, 4096);
    struct auth_request r = request("GET", "/k", "", head_of(&head, bare));
    assert_true(sigv4_names(STR("date;host"), &a, &names));
    assert_int_equal(sigv4_canon_request(&b, &r, &names, STR(E_SHA), &a), AUTH_OK);
    sigv4_string_to_sign(&text, STR(DATE), STR(SCOPE), buf_view(&b));
    auth_signing_key(STR(SK), STR("20130524"), STR("us-east-1"), STR("s3"), key);
    hash_hmac_sha256(str_n(key, 32), buf_view(&text), mac);
    hex_lower(mac, 32, hex);
    (void)snprintf(headers, sizeof(headers),
                   "%sAuthorization: " V4 " Credential=" CRED ", SignedHeaders=date;host, Signature=%s", bare,
                   hex);
    r.headers = head_of(&head, headers);
    struct auth *auth = example_auth("");
    struct auth_identity id;
    struct auth_payload p;
    assert_int_equal(auth_verify(auth, &r, &a, &id, &p), AUTH_OK);
    auth_free(auth);
    buf_release(&b);
    buf_release(&text);
    arena_release(&a);
}

/* Repeated names of a query may be signed in either order: of their values, or of the query. Nothing else may. */
static void repeated_names(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *signed_as;
        bool good;
    } cases[] = {
        {"events=b&events=a&ping=1", "events=a&events=b&ping=1", true},
        {"events=b&events=a&ping=1", "events=b&events=a&ping=1", true},
        {"ping=1&events=b&prefix=&events=a&events=c", "events=b&events=a&events=c&ping=1&prefix=", true},
        {"events=b&ping=1&events=a", "events=b&ping=1&events=a", false}, /* names are sorted in both */
        {"events=b&events=a&events=c", "events=c&events=b&events=a", false},
        {"events=b&events=a", "events=b&events=b", false},
        {"b=1&a=1", "b=1&a=1", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct head head;
        struct buf canon, text;
        struct arena a;
        uint8_t key[32], mac[32];
        char hex[65] = {0}, headers[1024];
        const char *bare = "Host: h\nX-Amz-Date: " DATE "\n";
        arena_init(&a);
        buf_init(&canon, 4096);
        buf_init(&text, 4096);
        buf_printf(&canon, "GET\n/\n%s\nhost:h\nx-amz-date:" DATE "\n\nhost;x-amz-date\n" E_SHA,
                   cases[i].signed_as);
        sigv4_string_to_sign(&text, STR(DATE), STR(SCOPE), buf_view(&canon));
        auth_signing_key(STR(SK), STR("20130524"), STR("us-east-1"), STR("s3"), key);
        hash_hmac_sha256(str_n(key, 32), buf_view(&text), mac);
        hex_lower(mac, 32, hex);
        (void)snprintf(headers, sizeof(headers),
                       "%sAuthorization: " V4 " Credential=" CRED
                       ", SignedHeaders=host;x-amz-date, Signature=%s",
                       bare, hex);
        struct auth_request r = request("GET", "/", cases[i].sent, head_of(&head, headers));
        struct auth *auth = example_auth("");
        struct auth_identity id;
        struct auth_payload p;
        assert_int_equal(auth_verify(auth, &r, &a, &id, &p), cases[i].good ? AUTH_OK : AUTH_BAD_SIGNATURE);
        auth_free(auth);
        buf_release(&canon);
        buf_release(&text);
        arena_release(&a);
    }
}

/* --- the stock of keys ------------------------------------------------------------------------------------------ */

static void stock(void **state)
{
    (void)state;
    struct sigv4_stock s;
    uint8_t key[32] = {1}, got[32];
    char region[SIGV4_REGION_MAX + 1];
    memset(region, 'r', sizeof(region));
    sigv4_stock_init(&s);
    assert_false(sigv4_stock_get(&s, STR("20130524"), STR("a"), got));
    for (int round = 0; round < 2; round++) /* twice the same takes one place */
        sigv4_stock_add(&s, STR("20130524"), STR("a"), key);
    assert_int_equal(s.next, 1);
    assert_true(sigv4_stock_get(&s, STR("20130524"), STR("a"), got));
    assert_memory_equal(got, key, 32);
    assert_false(sigv4_stock_get(&s, STR("20130525"), STR("a"), got));
    assert_false(sigv4_stock_get(&s, STR("20130524"), STR(""), got));
    sigv4_stock_add(&s, STR("20130524"), STR(""), key);
    assert_true(sigv4_stock_get(&s, STR("20130524"), STR(""), got));
    sigv4_stock_add(&s, STR("20130524"), str_n(region, sizeof(region)), key);
    assert_false(sigv4_stock_get(&s, STR("20130524"), str_n(region, sizeof(region)), got));
    for (size_t i = 1; i <= SIGV4_STOCK; i++)
        sigv4_stock_add(&s, STR("20130525"), str_n(region, i), key);
    assert_false(sigv4_stock_get(&s, STR("20130524"), STR("a"), got)); /* the oldest went */
    for (size_t i = 1; i <= SIGV4_STOCK; i++)
        assert_true(sigv4_stock_get(&s, STR("20130525"), str_n(region, i), got));
    sigv4_stock_release(&s);
}

static void *verify_often(void *arg)
{
    struct auth *auth = arg;
    size_t good = 0;
    for (int i = 0; i < 200; i++) {
        const struct example *e = &examples[(size_t)i % (sizeof(examples) / sizeof(examples[0]))];
        struct head head;
        struct arena a;
        struct auth_identity id;
        struct auth_payload p;
        arena_init(&a);
        struct auth_request r = request(e->method, e->path, e->query, head_of(&head, e->headers));
        good += auth_verify(auth, &r, &a, &id, &p) == AUTH_OK;
        arena_release(&a);
    }
    return good == 200 ? auth : NULL;
}

static void threads(void **state)
{
    (void)state;
    struct auth *auth = example_auth("us-east-1");
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, verify_often, auth), 0);
    for (int i = 0; i < 4; i++) {
        void *good;
        assert_int_equal(pthread_join(t[i], &good), 0);
        assert_ptr_equal(good, auth);
    }
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canon_path),
        cmocka_unit_test(canon_query),
        cmocka_unit_test(canon_query_many),
        cmocka_unit_test(canon_headers),
        cmocka_unit_test(names_refused),
        cmocka_unit_test(credential),
        cmocka_unit_test(signing_key),
        cmocka_unit_test(published),
        cmocka_unit_test(payload_fields),
        cmocka_unit_test(header_refusals),
        cmocka_unit_test(presigned_refusals),
        cmocka_unit_test(anonymous),
        cmocka_unit_test(date_header),
        cmocka_unit_test(repeated_names),
        cmocka_unit_test(stock),
        cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
