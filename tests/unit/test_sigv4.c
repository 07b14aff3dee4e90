/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4: AWS's published examples (Authenticating Requests, S3 API reference), and our own. (What is refused:
 * test_sigv4_refused.c; canonical forms: test_sigv4_canon.c.) */
#include "sigv4_cases.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/hash.h"

/* --- published examples ------------------------------------------------------------------------------ */

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

/* --- our own -------------------------------------------------------------------------------------------------------- */

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

/* --- many threads --------------------------------------------------------------------------------------------------- */

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
        cmocka_unit_test(published),      cmocka_unit_test(payload_fields), cmocka_unit_test(date_header),
        cmocka_unit_test(repeated_names), cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
