/* SPDX-License-Identifier: Apache-2.0
 *
 * The aws-chunked decoder: AWS's published chunked PUT, the framing of unsigned trailers, and everything that must be
 * refused; each case fed whole, byte by byte and in odd pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "auth/chunked.h"
#include "auth_cases.h"

static void collect(void *ctx, struct str data)
{
    assert_true(data.n > 0);
    buf_str(ctx, data);
}

/* Feeds `in` in pieces of `piece` bytes; stops at the first answer that is not MORE unless input is left. */
static enum chunked_result feed(struct chunked *c, struct str in, size_t piece, struct buf *out)
{
    enum chunked_result r = CHUNKED_MORE;
    while (in.n && (r == CHUNKED_MORE || r == CHUNKED_DONE)) {
        struct str head = str_head(in, piece);
        in = str_from(in, piece);
        /* A copy of exact size: reading beyond it is seen by the address sanitizer. */
        char *copy = malloc(head.n);
        assert_non_null(copy);
        memcpy(copy, head.p, head.n);
        r = chunked_feed(c, str_n(copy, head.n), collect, out);
        free(copy);
    }
    return r;
}

static struct auth_payload signed_payload(uint64_t length)
{
    struct auth_payload p = {.mode = PAYLOAD_STREAMING_SIGNED, .decoded_length = length, .scope = STR(SCOPE)};
    memcpy(p.date, DATE, sizeof(p.date));
    memcpy(p.seed, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", sizeof(p.seed));
    auth_signing_key(STR(SK), STR("20130524"), STR("us-east-1"), STR("s3"), p.signing_key);
    return p;
}

#define SIG1 "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
#define SIG2 "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
#define SIG0 "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"

/* The published body: 65536 and 1024 bytes of `a`. */
static void example_body(struct buf *b, const char *sig1, const char *sig2, const char *sig0)
{
    buf_init(b, 1 << 20);
    buf_printf(b, "10000;chunk-signature=%s\r\n", sig1);
    memset(buf_reserve(b, 65536), 'a', 65536);
    b->len += 65536;
    buf_printf(b, "\r\n400;chunk-signature=%s\r\n", sig2);
    memset(buf_reserve(b, 1024), 'a', 1024);
    b->len += 1024;
    buf_printf(b, "\r\n0;chunk-signature=%s\r\n\r\n", sig0);
}

static const size_t pieces[] = {1, 2, 3, 7, 61, 4096, 65535, 1 << 20};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

static void signed_example(void **state)
{
    (void)state;
    struct auth_payload p = signed_payload(66560);
    struct buf body, out;
    example_body(&body, SIG1, SIG2, SIG0);
    assert_int_equal(body.len, 66824);
    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < PIECES; i++) {
        struct chunked *c = chunked_new(&p);
        buf_reset(&out);
        assert_int_equal(feed(c, buf_view(&body), pieces[i], &out), CHUNKED_DONE);
        assert_int_equal(out.len, 66560);
        for (size_t k = 0; k < out.len; k++)
            assert_true(out.p[k] == 'a');
        assert_int_equal(chunked_trailers(c)->n, 0);
        chunked_free(c);
    }
    buf_release(&body);
    buf_release(&out);
}

static void signed_refused(void **state)
{
    (void)state;
    static const struct {
        const char *sig1, *sig2, *sig0;
        uint64_t length;
        enum chunked_result want;
    } cases[] = {
        {SIG2, SIG2, SIG0, 66560, CHUNKED_BAD_SIGNATURE},
        {SIG1, SIG1, SIG0, 66560, CHUNKED_BAD_SIGNATURE},
        {SIG1, SIG2, SIG1, 66560, CHUNKED_BAD_SIGNATURE},
        {SIG1, SIG2, "abcd", 66560, CHUNKED_BAD_SIGNATURE},
        {SIG1, SIG2, SIG0 "0", 66560, CHUNKED_BAD_SIGNATURE},
        {SIG1, SIG2, SIG0, 66559, CHUNKED_INCOMPLETE},
        {SIG1, SIG2, SIG0, 66561, CHUNKED_INCOMPLETE},
        {SIG1, SIG2, SIG0, 0, CHUNKED_INCOMPLETE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct auth_payload p = signed_payload(cases[i].length);
        struct buf body, out;
        example_body(&body, cases[i].sig1, cases[i].sig2, cases[i].sig0);
        buf_init(&out, 1 << 20);
        struct chunked *c = chunked_new(&p);
        assert_int_equal(feed(c, buf_view(&body), 1000, &out), cases[i].want);
        /* It sticks. */
        assert_int_equal(chunked_feed(c, STR("0"), collect, &out), cases[i].want);
        chunked_free(c);
        buf_release(&body);
        buf_release(&out);
    }
}

/* One byte of the body changed. */
static void signed_changed(void **state)
{
    (void)state;
    struct auth_payload p = signed_payload(66560);
    struct buf body, out;
    example_body(&body, SIG1, SIG2, SIG0);
    body.p[40000] = 'b';
    buf_init(&out, 1 << 20);
    struct chunked *c = chunked_new(&p);
    assert_int_equal(feed(c, buf_view(&body), 512, &out), CHUNKED_BAD_SIGNATURE);
    chunked_free(c);
    buf_release(&body);
    buf_release(&out);
}

/* --- signed trailers: AWS's published example ------------------------------------------------------------ */

#define TSIG1  "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"
#define TSIG2  "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"
#define TSIG0  "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
#define TSIGT  "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
#define CRC32C "x-amz-checksum-crc32c:sOO8/Q=="

static struct auth_payload trailer_payload(const char *names)
{
    struct auth_payload p = signed_payload(66560);
    p.mode = PAYLOAD_STREAMING_SIGNED_TRAILER;
    p.trailer_names = str_c(names);
    memcpy(p.seed, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", sizeof(p.seed));
    return p;
}

static const struct tail_case {
    const char *tail, *names; /* behind the signature of the last chunk; announced */
    enum chunked_result want;
} tails[] = {
#define SIGNED "x-amz-trailer-signature:" TSIGT
    {"\r\n" CRC32C "\n\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_DONE},
    {"\r\n" CRC32C "\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_DONE},
    {"\r\n" CRC32C "\n\r\n\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_DONE},
    {"\r\n" CRC32C "\n\r\nX-Amz-Trailer-Signature:" TSIGT "\r\n\r\n", "X-Amz-Checksum-Crc32c", CHUNKED_DONE},
    /* not all there */
    {"\r\n" CRC32C "\n\r\n" SIGNED "\r\n", "x-amz-checksum-crc32c", CHUNKED_MORE},
    {"\r\n" CRC32C "\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_MORE},
    {"\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_MORE},
    /* value, name, signature changed; another trailer added, the only one left out; behind the signature; unannounced */
    {"\r\nx-amz-checksum-crc32c:sOO8/w==\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c",
     CHUNKED_BAD_SIGNATURE},
    {"\r\nx-amz-checksum-crc32:sOO8/Q==\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32",
     CHUNKED_BAD_SIGNATURE},
    {"\r\n" CRC32C "\r\nx-amz-trailer-signature:" TSIG0 "\r\n\r\n", "x-amz-checksum-crc32c",
     CHUNKED_BAD_SIGNATURE},
    {"\r\n" CRC32C "\r\nx-amz-trailer-signature:\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_BAD_SIGNATURE},
    {"\r\n" CRC32C "\r\nx-a:1\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c,x-a", CHUNKED_BAD_SIGNATURE},
    {"\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_BAD_SIGNATURE},
    {"\r\n" CRC32C "\r\n" SIGNED "\r\nx-a:1\r\n\r\n", "x-amz-checksum-crc32c,x-a", CHUNKED_BAD_TRAILER},
    {"\r\n" CRC32C "\r\n" SIGNED "\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c,x-amz-trailer-signature",
     CHUNKED_BAD_TRAILER},
    {"\r\n" CRC32C "\r\n" SIGNED "\r\n\r\n", "", CHUNKED_BAD_TRAILER},
    {"\r\n" CRC32C "\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c,x-a", CHUNKED_BAD_TRAILER},
    {"\r\n" CRC32C "\n\r\n\r\n\r\n" SIGNED "\r\n\r\n", "x-amz-checksum-crc32c", CHUNKED_BAD_TRAILER},
    {"\r\n" CRC32C "\r\n" SIGNED "\r\n\r\nx", "x-amz-checksum-crc32c", CHUNKED_INCOMPLETE},
#undef SIGNED
};

static void check_tail(const struct tail_case *t, size_t piece)
{
    struct auth_payload p = trailer_payload(t->names);
    struct buf body, out;
    example_body(&body, TSIG1, TSIG2, TSIG0);
    body.len -= 4; /* the end of the form without trailers */
    buf_puts(&body, t->tail);
    buf_init(&out, 1 << 20);
    struct chunked *c = chunked_new(&p);
    enum chunked_result got = feed(c, buf_view(&body), piece, &out);
    if (got != t->want)
        fail_msg("%s: %d instead of %d", t->tail, (int)got, (int)t->want);
    if (got == CHUNKED_DONE) {
        assert_int_equal(out.len, 66560);
        assert_true(str_eq(header_value(chunked_trailers(c), STR("x-amz-checksum-crc32c")), STR("sOO8/Q==")));
    }
    chunked_free(c);
    buf_release(&body);
    buf_release(&out);
}

static void signed_trailers(void **state)
{
    (void)state;
    static const size_t some[] = {1, 7, 1 << 20};
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++)
        for (size_t k = 0; k < 3; k++)
            check_tail(&tails[i], some[k]);
}

struct frame_case {
    const char *in, *out, *names, *trailers; /* trailers: "name=value;" each */
    uint64_t length;
    enum chunked_result want;
};

static const struct frame_case frames[] = {
    /* unsigned, good */
    {"5\r\nhello\r\n0\r\n\r\n", "hello", "", "", 5, CHUNKED_DONE},
    {"0\r\n\r\n", "", "", "", 0, CHUNKED_DONE},
    {"00A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "0123456789x", "", "", 11, CHUNKED_DONE},
    {"a\r\n0123456789\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", "0123456789", "x-amz-checksum-crc32",
     "x-amz-checksum-crc32=AAAAAA==;", 10, CHUNKED_DONE},
    {"1\r\nx\r\n0\r\nx-a:1\nx-b: 2 \r\n\r\n", "x", "x-a, x-b", "x-a=1;x-b=2;", 1, CHUNKED_DONE},
    {"1\r\nx\r\n0\r\nX-A:1\n\n", "x", "x-a", "x-a=1;", 1, CHUNKED_DONE},
    {"1\r\nx\r\n0\r\nx-a:b:c\n\r\n", "x", "X-A", "x-a=b:c;", 1, CHUNKED_DONE},
    /* not all there yet */
    {"5\r\nhel", "hel", "", "", 5, CHUNKED_MORE},
    {"1\r\nx\r\n0\r\n", "x", "", "", 1, CHUNKED_MORE},
    {"1\r\nx\r\n0\r\nx-a:1\r\n", "x", "x-a", "", 1, CHUNKED_MORE},
    /* broken framing, wrong length */
    {"5\nhello\r\n0\r\n\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"5 \r\nhello\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"+5\r\nhello\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"0x5\r\nhello\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"-1\r\nhello\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"5;a=b\r\nhello\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"ffffffffffffffff\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"10000000000000005\r\nhello\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"5\r\nhelloo\r\n", "hello", "", "", 6, CHUNKED_INCOMPLETE},
    {"5\r\nhello\n0\r\n", "hello", "", "", 5, CHUNKED_INCOMPLETE},
    {"6\r\nhello!\r\n", "", "", "", 5, CHUNKED_INCOMPLETE},
    {"4\r\nhell\r\n0\r\n\r\n", "hell", "", "", 5, CHUNKED_INCOMPLETE},
    {"5\r\nhello\r\n0\r\n\r\nx", "hello", "", "", 5, CHUNKED_INCOMPLETE},
    /* trailers */
    {"1\r\nx\r\n0\r\n\r\n", "x", "x-a", "", 1, CHUNKED_BAD_TRAILER},
    {"1\r\nx\r\n0\r\nx-b:1\r\n\r\n", "x", "x-a", "", 1, CHUNKED_BAD_TRAILER},
    {"1\r\nx\r\n0\r\nx-a:1\r\n\r\n", "x", "", "", 1, CHUNKED_BAD_TRAILER},
    {"1\r\nx\r\n0\r\nx-a:1\r\nx-a:1\r\n\r\n", "x", "x-a", "", 1, CHUNKED_BAD_TRAILER},
    {"1\r\nx\r\n0\r\nnothing\r\n\r\n", "x", "nothing", "", 1, CHUNKED_BAD_TRAILER},
    {"1\r\nx\r\n0\r\n:1\r\n\r\n", "x", ",", "", 1, CHUNKED_BAD_TRAILER},
};

static void check_frame(const struct frame_case *f, size_t piece)
{
    struct auth_payload p = {.mode = PAYLOAD_STREAMING_UNSIGNED_TRAILER,
                             .decoded_length = f->length,
                             .trailer_names = str_c(f->names)};
    struct buf out, trailers;
    buf_init(&out, 4096);
    buf_init(&trailers, 4096);
    struct chunked *c = chunked_new(&p);
    enum chunked_result got = feed(c, str_c(f->in), piece, &out);
    if (got != f->want)
        fail_msg("%s by %zu: %d instead of %d", f->in, piece, (int)got, (int)f->want);
    assert_true(str_eq_c(buf_view(&out), f->out));
    const struct headers *t = chunked_trailers(c);
    for (size_t i = 0; got == CHUNKED_DONE && i < t->n; i++)
        buf_printf(&trailers, "%.*s=%.*s;", STR_FMT(t->v[i].name), STR_FMT(t->v[i].value));
    assert_true(str_eq_c(buf_view(&trailers), f->trailers));
    chunked_free(c);
    buf_release(&out);
    buf_release(&trailers);
}

static void unsigned_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++)
        for (size_t k = 0; k < PIECES; k++)
            check_frame(&frames[i], pieces[k]);
}

/* Lines and trailers have a bound. */
static void too_long(void **state)
{
    (void)state;
    static const struct {
        const char *start, *names;
        enum chunked_result want;
    } cases[] = {{"", "", CHUNKED_INCOMPLETE}, {"1\r\nx\r\n0\r\nx-a:", "x-a", CHUNKED_BAD_TRAILER}};
    for (size_t i = 0; i < 2; i++) {
        struct auth_payload p = {.mode = PAYLOAD_STREAMING_UNSIGNED_TRAILER,
                                 .decoded_length = 1,
                                 .trailer_names = str_c(cases[i].names)};
        struct buf in, out;
        buf_init(&in, 8192);
        buf_init(&out, 4096);
        buf_puts(&in, cases[i].start);
        for (int k = 0; k < 5000; k++)
            buf_char(&in, '0');
        struct chunked *c = chunked_new(&p);
        assert_int_equal(feed(c, buf_view(&in), 100, &out), cases[i].want);
        chunked_free(c);
        buf_release(&in);
        buf_release(&out);
    }
}

static void signed_too_large(void **state)
{
    (void)state;
    struct auth_payload p = signed_payload(UINT64_C(1) << 30);
    struct buf out;
    buf_init(&out, 4096);
    struct chunked *c = chunked_new(&p);
    assert_int_equal(feed(c, STR("1000001;chunk-signature=" SIG1 "\r\n"), 100, &out), CHUNKED_TOO_LARGE);
    chunked_free(c);
    c = chunked_new(&p);
    assert_int_equal(feed(c, STR("1000000;chunk-signature=" SIG1 "\r\n"), 100, &out), CHUNKED_MORE);
    chunked_free(c);
    c = chunked_new(&p);
    assert_int_equal(feed(c, STR("10\r\n"), 100, &out), CHUNKED_INCOMPLETE);
    chunked_free(c);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_example),   cmocka_unit_test(signed_refused),
        cmocka_unit_test(signed_changed),   cmocka_unit_test(signed_trailers),
        cmocka_unit_test(unsigned_frames),  cmocka_unit_test(too_long),
        cmocka_unit_test(signed_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
