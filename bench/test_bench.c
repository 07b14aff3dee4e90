/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the load generator that could lie: signatures against published and worked-out vectors,
 * framing of replies fed whole and byte by byte, and percentiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hist.h"
#include "message.h"
#include "record.h"
#include "sign.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define AWS_HOST "host:examplebucket.s3.amazonaws.com\n"
#define AWS_DATE "x-amz-date:20130524T000000Z\n"

/* AWS's examples for the Authorization header, and one of our own for the corners of encoding. */
static const struct vector {
    const char *method, *path, *query, *headers, *names, *payload, *canonical, *signature;
} vectors[] = {
    {"GET", "/test.txt", "", AWS_HOST "range:bytes=0-9\nx-amz-content-sha256:" SIGN_EMPTY "\n" AWS_DATE,
     "host;range;x-amz-content-sha256;x-amz-date", SIGN_EMPTY,
     "7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT", "/test$file.text", "",
     "date:Fri, 24 May 2013 00:00:00 GMT\n" AWS_HOST
     "x-amz-content-sha256:44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072\n" AWS_DATE
     "x-amz-storage-class:REDUCED_REDUNDANCY\n",
     "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
     "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     "9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
    {"GET", "/", "lifecycle", AWS_HOST "x-amz-content-sha256:" SIGN_EMPTY "\n" AWS_DATE,
     "host;x-amz-content-sha256;x-amz-date", SIGN_EMPTY,
     "9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
    {"GET", "/", "max-keys=2&prefix=J", AWS_HOST "x-amz-content-sha256:" SIGN_EMPTY "\n" AWS_DATE,
     "host;x-amz-content-sha256;x-amz-date", SIGN_EMPTY,
     "df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
    {"GET", "/buck/a b+c/\xc3\xbc~(1)*'!$&,;=:@[]#?%.txt", "prefix=a/b%20c%2Bd&delimiter=%2f&a=2&X-Amz-Z&a=1",
     "host:127.0.0.1:9000\nx-amz-content-sha256:" SIGN_EMPTY "\n" AWS_DATE
     "x-amz-meta-a:one two three\nx-amz-meta-b:v1,v2\n",
     "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-b", SIGN_EMPTY,
     "4d0ffb3fb6788accedd4f98e29ffd9b89b4b0ab160ecaa1884138f94407b6fc9",
     "62b9dc7d7ebc4bb9874eb5defd2f3398c1d41237e6f16b075ee7f03842184ab5"},
};

static void test_signatures(void **state)
{
    (void)state;
    struct signer s;
    assert_true(
        signer_init(&s, "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1"));
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const struct vector *v = &vectors[i];
        char path[512], query[512], out[SIGN_HEX + 1];
        assert_true(sign_path(v->path, path, sizeof(path)) > 0);
        assert_true(sign_query(v->query, query, sizeof(query)));
        struct sign_request r = {v->method, path, query, v->headers, v->names, v->payload};
        /* A day before and back: the cached key must follow. */
        signer_at(&s, 1369353600 - 86400);
        signer_sign(&s, &r, out);
        assert_string_not_equal(out, v->signature);
        signer_at(&s, 1369353600);
        signer_canonical_hash(&s, &r, out);
        assert_string_equal(out, v->canonical);
        signer_sign(&s, &r, out);
        assert_string_equal(out, v->signature);
    }
    signer_release(&s);
}

static void test_hash_of_body(void **state)
{
    (void)state;
    struct signer s;
    char out[SIGN_HEX + 1];
    assert_true(signer_init(&s, "a", "b", ""));
    signer_hash(&s, "", 0, out);
    assert_string_equal(out, SIGN_EMPTY);
    signer_hash(&s, "Welcome to Amazon S3.", 21, out);
    assert_string_equal(out, "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072");
    signer_release(&s);
}

static void test_encoding_bounds(void **state)
{
    (void)state;
    char small[8];
    assert_int_equal(sign_path("/abcdefgh", small, sizeof(small)), 0);
    assert_false(sign_query("abcdefgh=1", small, sizeof(small)));
    assert_true(sign_query("", small, sizeof(small)));
    assert_string_equal(small, "");
}

static const struct framing {
    const char *text;
    bool is_request, to_head, closed;
    enum message_phase phase;
    int status;
    const char *body;
    bool close;
} framings[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, false, false, MESSAGE_DONE, 200, "hello",
     false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, true, false, MESSAGE_DONE, 200, "", false},
    {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", false, false, false, MESSAGE_DONE, 204, "",
     true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, false, false,
     MESSAGE_DONE, 200, "", false},
    {"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: "
     "v\r\n\r\n",
     false, false, false, MESSAGE_DONE, 403, "abc0123456789", false},
    {"HTTP/1.0 200 OK\r\n\r\nrest", false, false, true, MESSAGE_DONE, 200, "rest", true},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", false, false, true, MESSAGE_BAD, 200, "hel", false},
    {"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", false, false, false, MESSAGE_BAD, 200, "", false},
    {"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", false, false, false, MESSAGE_BAD, 200, "", false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", false, false, false, MESSAGE_BAD, 200, "",
     false},
    {"SSH-2.0\r\n", false, false, false, MESSAGE_BAD, 0, "", false},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", true, false, false, MESSAGE_DONE, 0, "{}",
     false},
    {"GET /stats HTTP/1.1\r\nHost: x\r\n\r\n", true, false, false, MESSAGE_DONE, 0, "", false},
};

/* Feeds `step` bytes at a time and compares what was understood. */
static void run_framing(const struct framing *f, size_t step)
{
    struct message m;
    char body[256];
    size_t body_len = 0, n = strlen(f->text);
    if (f->is_request)
        message_begin_request(&m);
    else
        message_begin_reply(&m, f->to_head);
    for (size_t at = 0; at < n && m.phase != MESSAGE_DONE && m.phase != MESSAGE_BAD;) {
        struct piece piece;
        size_t take = n - at < step ? n - at : step;
        size_t used = message_feed(&m, f->text + at, take, &piece);
        assert_true(used > 0 && used <= take);
        memcpy(body + body_len, piece.at, piece.len);
        body_len += piece.len;
        at += used;
    }
    if (f->closed)
        message_end(&m);
    assert_int_equal(m.phase, f->phase);
    assert_int_equal(m.status, f->status);
    assert_int_equal(body_len, strlen(f->body));
    assert_memory_equal(body, f->body, body_len);
    assert_int_equal(m.close, f->close);
}

static void test_framing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(framings); i++) {
        run_framing(&framings[i], 4096);
        run_framing(&framings[i], 1);
        run_framing(&framings[i], 7);
    }
}

static void test_long_line_is_refused(void **state)
{
    (void)state;
    struct message m;
    struct piece piece;
    char block[1000];
    memset(block, 'a', sizeof(block));
    message_begin_request(&m);
    for (int i = 0; i < 10; i++)
        message_feed(&m, block, sizeof(block), &piece);
    assert_int_equal(m.phase, MESSAGE_BAD);
}

static void test_percentiles(void **state)
{
    (void)state;
    static struct hist h, other;
    assert_int_equal(hist_percentile(&h, 50), 0);
    for (uint64_t i = 1; i <= 1000; i++)
        hist_add(i % 2 != 0 ? &h : &other, i * 1000);
    hist_merge(&h, &other);
    assert_int_equal(h.count, 1000);
    assert_int_equal(h.max, 1000000);
    assert_int_equal(h.sum, 500500000);
    assert_in_range(hist_percentile(&h, 50), 500000, 508000);
    assert_in_range(hist_percentile(&h, 99), 990000, 1000000);
    assert_int_equal(hist_percentile(&h, 100), 1000000);
    hist_add(&h, UINT64_MAX / 4);
    assert_in_range(hist_percentile(&h, 100), 1ULL << 42, UINT64_MAX);
}

/* A receiver may parse it, and counts it as long as it was said to be. */
static void test_records(void **state)
{
    (void)state;
    static const size_t sizes[] = {RECORD_MIN, 952};
    char text[1000], other[1000], key[RECORD_KEY];
    for (size_t i = 0; i < COUNT(sizes); i++) {
        memset(text, 'z', sizeof(text));
        record_fill(text, sizes[i], 7);
        record_fill(other, sizes[i], UINT32_MAX);
        assert_int_equal(strlen(text), sizes[i]);
        assert_int_equal(strlen(other), sizes[i]);
        assert_int_equal(text[sizes[i] + 1], 'z');
        assert_string_not_equal(text, other);
        assert_memory_equal(text, "{\"Records\":[{", 13);
        assert_string_equal(text + sizes[i] - 5, "\"}}]}");
        record_key(key, 7);
        assert_non_null(strstr(text, key + strlen("bench/k/")));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_hash_of_body),
        cmocka_unit_test(test_encoding_bounds),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_long_line_is_refused),
        cmocka_unit_test(test_percentiles),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
