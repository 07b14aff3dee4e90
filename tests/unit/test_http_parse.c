/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads and chunked bodies as raw bytes: what is taken, and what is refused and as what. Every row is also fed one
 * byte at a time, which must end the same. */
#include "unit.h"

#include <stdlib.h>

#include "http/parse.h"

#define TAKEN (-1)
#define WAITS (-2)
#define HOST  "Host: h\r\n"
#define RL    "GET / HTTP/1.1\r\n"
#define LIMITS \
    { \
        .max_head = 1024, .max_target = 256, .max_headers = 8 \
    }

struct row {
    const char *what;
    struct str raw;
    int want; /* TAKEN, WAITS, or the problem */
};
#define ROW(w, s, r) \
    { \
        w, {s, sizeof(s) - 1}, r \
    }

static const struct row rows[] = {
    /* what is taken */
    ROW("plain", RL HOST "\r\n", TAKEN),
    ROW("one empty line before", "\r\n" RL HOST "\r\n", TAKEN),
    ROW("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", TAKEN),
    ROW("empty Host", RL "Host:\r\n\r\n", TAKEN),
    ROW("Host with port", RL "Host: [::1]:9000\r\n\r\n", TAKEN),
    ROW("absolute form", "GET http://a.b:80/x?y HTTP/1.1\r\n" HOST "\r\n", TAKEN),
    ROW("absolute form without path", "GET HTTPS://a?y HTTP/1.1\r\n" HOST "\r\n", TAKEN),
    ROW("two slashes", "GET //a//b HTTP/1.1\r\n" HOST "\r\n", TAKEN),
    ROW("broken escape is the application's", "GET /%zz HTTP/1.1\r\n" HOST "\r\n", TAKEN),
    ROW("asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", TAKEN),
    ROW("length", "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", TAKEN),
    ROW("chunked", "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n", TAKEN),
    ROW("bytes above 0x7f in a value", RL HOST "X: \xc3\xa9\r\n\r\n", TAKEN),
    ROW("tab and blanks around a value", RL HOST "X: \t a b \t\r\n\r\n", TAKEN),
    ROW("empty value", RL HOST "X:\r\n\r\n", TAKEN),
    ROW("upgrade is not taken up", RL HOST "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        TAKEN),
    ROW("expectation", "PUT / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", TAKEN),
    ROW("expectation of HTTP/1.0 is ignored", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", TAKEN),
    ROW("odd bytes in a target", "GET /a\"<>\\^`{|}~ HTTP/1.1\r\n" HOST "\r\n", TAKEN),
    ROW("content-type alone is not framing", RL HOST "Content-Type: a/b\r\n\r\n", TAKEN),
    ROW("eight fields", RL HOST "A:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n", TAKEN),
    /* not whole yet */
    ROW("nothing", "", WAITS),
    ROW("half a line", "GET / HT", WAITS),
    ROW("no empty line", RL HOST, WAITS),
    ROW("half the last CRLF", RL HOST "\r", WAITS),
    /* lengths and codings that can be read two ways */
    ROW("length and coding",
        "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("coding and length",
        "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("two lengths", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("two equal lengths", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("a list of lengths", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("length with sign", "PUT / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("negative length", "PUT / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("hexadecimal length", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("empty length", "PUT / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("blank inside a length", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 5 5\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("length beyond 63 bits", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775808\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("length beyond 64 bits", "PUT / HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("coding in HTTP/1.0", "PUT / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("gzip, chunked", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        HTTP_TRANSFER_CODING),
    ROW("gzip, chunked on two lines",
        "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        HTTP_TRANSFER_CODING),
    ROW("chunked, gzip", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("gzip alone", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("identity", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("chunked twice", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("chunked on two lines",
        "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("xchunked", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("chunked with parameter", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;q=1\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("vertical tab before chunked",
        "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
        "chunked\r\n\r\n",
        HTTP_BAD_REQUEST),
    ROW("empty coding", "PUT / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n", HTTP_BAD_REQUEST),
    /* line ends, folds, names */
    ROW("fold", RL HOST "X: a\r\n b\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("fold by tab", RL HOST "X: a\r\n\tb\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("fold before the first field", RL " Host: h\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("LF after the request line", "GET / HTTP/1.1\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("LF after a field", RL "Host: h\n\r\n", HTTP_BAD_REQUEST),
    ROW("LF as the last line", RL HOST "\n", HTTP_BAD_REQUEST),
    ROW("LF before the request", "\n" RL HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("two empty lines before", "\r\n\r\n" RL HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("bare CR in a value", RL HOST "X: a\rb\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("CR CR LF", RL HOST "X: a\r\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("bare CR in the request line", "GET /\r HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("NUL in a value", RL HOST "X: a\0b\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("NUL in a name", RL HOST "X\0: b\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("NUL in the target", "GET /\0 HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("control byte in a value", RL HOST "X: \x01\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("DEL in a value", RL HOST "X: \x7f\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("blank before the colon", RL "Host : h\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("tab before the colon", RL HOST "Content-Length\t: 5\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("empty name", RL HOST ": x\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("no colon", RL HOST "X\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("name that is no token", RL HOST "X(: x\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("name above 0x7f", RL HOST "X\xc3\xa9: x\r\n\r\n", HTTP_BAD_REQUEST),
    /* Host */
    ROW("no Host", RL "X: h\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("no field at all", RL "\r\n", HTTP_BAD_REQUEST),
    ROW("two Hosts", RL HOST "Host: g\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("two equal Hosts", RL HOST HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("Host with path", RL "Host: h/x\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("Host with user", RL "Host: u@h\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("Host with blank", RL "Host: a b\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("Host with odd port", RL "Host: h:9x\r\n\r\n", HTTP_BAD_REQUEST),
    ROW("Host with open bracket", RL "Host: [::1\r\n\r\n", HTTP_BAD_REQUEST),
    /* request line */
    ROW("HTTP/0.9", "GET /\r\n", HTTP_BAD_REQUEST),
    ROW("version 0.9", "GET / HTTP/0.9\r\n" HOST "\r\n", HTTP_VERSION),
    ROW("version 2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", HTTP_VERSION),
    ROW("version 1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", HTTP_VERSION),
    ROW("preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_VERSION),
    ROW("RTSP", "GET / RTSP/1.0\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("lower-case http", "GET / http/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("version 1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("two blanks after the method", "GET  / HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("two blanks after the target", "GET /  HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("blank at the end", "GET / HTTP/1.1 \r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("tab as separator", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("blank before the method", " GET / HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("target above 0x7f", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("control byte in the target", "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("DEL in the target", "GET /\x7f HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("target without slash", "GET a HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("asterisk with GET", "GET * HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("absolute form without host", "GET http:///x HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("absolute form with user", "GET http://u@h/x HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("absolute form of another scheme", "GET ftp://h/x HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    ROW("a TLS greeting", "\x16\x03\x01\x02", HTTP_BAD_REQUEST),
    /* methods */
    ROW("CONNECT", "CONNECT h:80 HTTP/1.1\r\n" HOST "\r\n", HTTP_METHOD),
    ROW("PATCH", "PATCH / HTTP/1.1\r\n" HOST "\r\n", HTTP_METHOD),
    ROW("lower-case method", "get / HTTP/1.1\r\n" HOST "\r\n", HTTP_METHOD),
    ROW("unknown method", "FROB / HTTP/1.1\r\n" HOST "\r\n", HTTP_METHOD),
    ROW("method of 40 bytes", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" HOST "\r\n",
        HTTP_BAD_REQUEST),
    ROW("method that is no token", "G(T / HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD_REQUEST),
    /* the rest */
    ROW("unknown expectation", "PUT / HTTP/1.1\r\n" HOST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n",
        HTTP_EXPECTATION),
    ROW("nine fields", RL HOST "A:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n",
        HTTP_HEAD_TOO_LARGE),
};

struct outcome {
    int result; /* as in rows */
    size_t consumed;
};

/* Gives the bytes in steps; the head scan is a state machine that must not care. */
static struct outcome run(struct str raw, size_t step, struct http_req *r, const struct http_limits *lim)
{
    struct http_scan s = {0};
    enum http_problem why;
    size_t len = 0;
    for (size_t n = step < raw.n ? step : raw.n;; n = n + step < raw.n ? n + step : raw.n) {
        char *copy = malloc(n ? n : 1); /* its own allocation: a read past the end is seen by ASan */
        assert_non_null(copy);
        memcpy(copy, raw.p, n);
        enum http_result res = http_head_scan(&s, copy, n, lim, &len, &why);
        free(copy);
        if (res == HTTP_BAD)
            return (struct outcome){(int)why, 0};
        if (res == HTTP_OK)
            break;
        if (n == raw.n)
            return (struct outcome){WAITS, 0};
    }
    if (!http_head_parse(raw.p, len, &s, r, &why))
        return (struct outcome){(int)why, len};
    return (struct outcome){TAKEN, len};
}

static void test_rows(void **state)
{
    (void)state;
    const struct http_limits lim = LIMITS;
    const size_t steps[] = {SIZE_MAX / 2, 1, 7};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t k = 0; k < 3; k++) {
            struct http_req r = {0};
            struct outcome o = run(rows[i].raw, steps[k], &r, &lim);
            if (o.result != rows[i].want)
                fail_msg("%s (step %zu): got %d, want %d", rows[i].what, steps[k], o.result, rows[i].want);
            if (o.result == TAKEN)
                assert_int_equal(o.consumed, rows[i].raw.n);
            arena_release(&r.arena);
        }
    }
}

static struct http_req taken(struct str raw)
{
    const struct http_limits lim = LIMITS;
    struct http_req r = {0};
    struct outcome o = run(raw, SIZE_MAX / 2, &r, &lim);
    assert_int_equal(o.result, TAKEN);
    return r;
}

#define ASSERT_STR(s, z) \
    do { \
        if (!str_eq_c((s), (z))) \
            fail_msg("got \"%.*s\", want \"%s\"", STR_FMT(s), (z)); \
    } while (0)

static void test_fields(void **state)
{
    (void)state;
    struct http_req r =
        taken(STR("PUT /b/k%20?x=1?2 HTTP/1.1\r\nHost: a:9\r\nX-A:  v w \r\nContent-Length: 12\r\n"
                  "Expect: 100-continue\r\n\r\nrest"));
    ASSERT_STR(r.method, "PUT");
    ASSERT_STR(r.target, "/b/k%20?x=1?2");
    ASSERT_STR(r.path, "/b/k%20");
    ASSERT_STR(r.query, "x=1?2");
    ASSERT_STR(r.host, "a:9");
    assert_int_equal(r.headers.n, 4);
    ASSERT_STR(r.headers.v[1].name, "X-A");
    ASSERT_STR(r.headers.v[1].value, "v w");
    assert_int_equal(r.content_length, 12);
    assert_true(r.keep_alive && r.expect_continue && !r.chunked && !r.is_head && !r.http10);
    arena_release(&r.arena);
    r = taken(STR("HEAD http://o:1?q HTTP/1.1\r\nHost: other\r\nConnection: x, Close\r\n\r\n"));
    ASSERT_STR(r.host, "o:1");
    ASSERT_STR(header_value(&r.headers, STR("host")), "o:1"); /* what is signed is what is used */
    ASSERT_STR(r.target, "/?q");
    ASSERT_STR(r.path, "/");
    ASSERT_STR(r.query, "q");
    assert_true(r.is_head && !r.keep_alive && r.content_length == 0);
    arena_release(&r.arena);
    r = taken(STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
    assert_true(r.chunked && r.content_length == -1);
    arena_release(&r.arena);
    r = taken(STR("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    assert_true(r.http10 && r.keep_alive);
    arena_release(&r.arena);
    r = taken(STR("GET / HTTP/1.0\r\n\r\n"));
    assert_false(r.keep_alive);
    arena_release(&r.arena);
}

static void test_limits(void **state)
{
    (void)state;
    const struct http_limits lim = LIMITS;
    struct http_req r = {0};
    char raw[8192];
    int n = snprintf(raw, sizeof raw, "GET /%0255d HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    assert_int_equal(run(str_n(raw, (size_t)n), 64, &r, &lim).result, TAKEN);
    n = snprintf(raw, sizeof raw, "GET /%0256d HTTP/1.1\r\nHost: h\r\n\r\n", 0);
    assert_int_equal(run(str_n(raw, (size_t)n), 64, &r, &lim).result, HTTP_URI_TOO_LONG);
    n = snprintf(raw, sizeof raw, "GET /%04000d", 0); /* refused before its end is seen */
    assert_int_equal(run(str_n(raw, (size_t)n), 64, &r, &lim).result, HTTP_URI_TOO_LONG);
    n = snprintf(raw, sizeof raw, "GET / HTTP/1.1\r\nHost: h\r\nX: %01000d\r\n\r\n", 0);
    assert_int_equal(run(str_n(raw, (size_t)n), 64, &r, &lim).result, HTTP_HEAD_TOO_LARGE);
    n = snprintf(raw, sizeof raw, "GET / HTTP/1.1\r\nHost: h\r\nX: %04000d", 0);
    assert_int_equal(run(str_n(raw, (size_t)n), 64, &r, &lim).result, HTTP_HEAD_TOO_LARGE);
    assert_int_equal(run(str_n(raw, (size_t)n), 5000, &r, &lim).result, HTTP_HEAD_TOO_LARGE);
    arena_release(&r.arena);
}

struct chunk_row {
    const char *what;
    struct str raw;
    const char *data; /* NULL: refused */
    bool done;
};
#define CHUNKS(w, s, d, e) \
    { \
        w, {s, sizeof(s) - 1}, d, e \
    }

static const struct chunk_row chunk_rows[] = {
    CHUNKS("one", "5\r\nhello\r\n0\r\n\r\n", "hello", true),
    CHUNKS("two", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", true),
    CHUNKS("hexadecimal, leading zeros", "00a\r\n0123456789\r\nB\r\n0123456789a\r\n000\r\n\r\n",
           "01234567890123456789a", true),
    CHUNKS("empty", "0\r\n\r\n", "", true),
    CHUNKS("extension", "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", "hello", true),
    CHUNKS("trailers", "1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n", "x", true),
    CHUNKS("not whole: size", "5", "", false),
    CHUNKS("not whole: data", "5\r\nhel", "hel", false),
    CHUNKS("not whole: end", "5\r\nhello\r\n0\r\n", "hello", false),
    CHUNKS("LF after the size", "5\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("LF after the data", "5\r\nhello\n0\r\n\r\n", NULL, false),
    CHUNKS("LF at the end", "0\r\n\n", NULL, false),
    CHUNKS("no size", "\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("blank before the size", " 5\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("blank after the size", "5 \r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("0x", "0x5\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("sign", "+5\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("negative", "-1\r\n", NULL, false),
    CHUNKS("size beyond 60 bits", "1000000000000000\r\n", NULL, false),
    CHUNKS("size that wraps 64 bits", "10000000000000005\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("data longer than its size", "4\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("data shorter than its size", "6\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("LF in an extension", "5;a\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("quoted value", "5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n\r\n", "hello", true),
    CHUNKS("quote over the line end", "5;a=\"\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("escape over the line end", "5;a=\"\\\r\nhello\r\n0\r\n\r\n", NULL, false),
    CHUNKS("fold in the trailers", "0\r\nA: b\r\n c\r\n\r\n", NULL, false),
    CHUNKS("trailer without colon", "0\r\nA\r\n\r\n", NULL, false),
    CHUNKS("blank before a trailer's colon", "0\r\nA : b\r\n\r\n", NULL, false),
    CHUNKS("LF in the trailers", "0\r\nA: b\n\r\n", NULL, false),
    CHUNKS("NUL in the trailers", "0\r\nA: \0\r\n\r\n", NULL, false),
};

/* 0: refused, 1: wants more, 2: done. */
static int run_chunks(struct str raw, size_t step, char *out, size_t *used)
{
    struct http_chunk c = {0};
    size_t n = 0, at = 0;
    while (at < raw.n && !http_chunk_done(&c)) {
        struct str data;
        ptrdiff_t k = http_chunk_feed(&c, raw.p + at, step < raw.n - at ? step : raw.n - at, &data);
        if (k < 0)
            return 0;
        assert_true(k > 0);
        at += (size_t)k;
        memcpy(out + n, data.p, data.n);
        n += data.n;
    }
    out[n] = 0;
    *used = at;
    return http_chunk_done(&c) ? 2 : 1;
}

static void test_chunks(void **state)
{
    (void)state;
    const size_t steps[] = {1000, 1, 3};
    for (size_t i = 0; i < COUNT_OF(chunk_rows); i++) {
        const struct chunk_row *w = &chunk_rows[i];
        for (size_t k = 0; k < 3; k++) {
            char out[256];
            size_t used = 0;
            int r = run_chunks(w->raw, steps[k], out, &used);
            if (r != (w->data ? 1 + w->done : 0))
                fail_msg("%s (step %zu): got %d", w->what, steps[k], r);
            if (w->data && strcmp(out, w->data) != 0)
                fail_msg("%s: got \"%s\"", w->what, out);
            if (w->done)
                assert_int_equal(used, w->raw.n);
        }
    }
}

static void test_chunk_end(void **state)
{
    (void)state;
    char out[64];
    size_t used = 0;
    struct str raw = STR("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n"); /* what follows is the next request's */
    assert_int_equal(run_chunks(raw, 1000, out, &used), 2);
    assert_int_equal(used, 11);
}

static void test_chunk_bounds(void **state)
{
    (void)state;
    static char raw[200000], out[200000];
    size_t used, n = 0;
    for (int i = 0; i < 500; i++) /* small extensions in many chunks are bounded, too */
        n += (size_t)snprintf(raw + n, sizeof raw - n, "1;%010d\r\nx\r\n", i);
    assert_int_equal(run_chunks(str_n(raw, n), 100, out, &used), 0);
    n = (size_t)snprintf(raw, sizeof raw, "1;%05000d\r\nx\r\n", 1);
    assert_int_equal(run_chunks(str_n(raw, n), 100, out, &used), 0);
    n = (size_t)snprintf(raw, sizeof raw, "0\r\nA: %09000d\r\n\r\n", 1);
    assert_int_equal(run_chunks(str_n(raw, n), 100, out, &used), 0);
    n = (size_t)snprintf(raw, sizeof raw, "0\r\nA: %08000d\r\n\r\n", 1);
    assert_int_equal(run_chunks(str_n(raw, n), 100, out, &used), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),   cmocka_unit_test(test_fields),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_chunks), cmocka_unit_test(test_chunk_end), cmocka_unit_test(test_chunk_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
