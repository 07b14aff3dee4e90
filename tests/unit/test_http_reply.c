/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP replies as webhook reads them: where one ends, what it says, and whether anything that follows can be an answer. */
#include "unit.h"

#include <stdlib.h>

#include "target/http_reply.h"

#define NOW 1769941230 /* 2026-02-01T10:20:30Z */
#define OK  "HTTP/1.1 200 OK\r\n"

static const struct {
    const char *in;
    enum http_fed fed;
    unsigned status;
    bool last;        /* after DONE */
    const char *left; /* none of the reply; NULL: "" */
    const char *location;
    int64_t retry_after_ms;
} cases[] = {
    {OK "Content-Length: 0\r\n\r\n", HTTP_FED_DONE, 200, false, NULL, NULL, 0},
    {OK "Content-Length: 2\r\n\r\nokHTTP/1.1", HTTP_FED_DONE, 200, false, "HTTP/1.1", NULL, 0},
    {OK "content-length:2 \r\nX: y\r\nno field at all\r\n\r\nok", HTTP_FED_DONE, 200, false, NULL, NULL, 0},
    {"HTTP/1.1 200\nContent-Length: 0\n\n", HTTP_FED_DONE, 200, false, NULL, NULL, 0},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", HTTP_FED_DONE, 204, true, NULL, NULL, 0},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 204, false, NULL, NULL, 0},
    {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FED_DONE, 204, true, NULL, NULL,
     0},
    {"HTTP/1.1 304 Not Modified\r\n\r\n", HTTP_FED_DONE, 304, false, NULL, NULL, 0},
    {OK "Connection: x, Close\r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 200, true, NULL, NULL, 0},
    {OK "Connection: close\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 200, true,
     NULL, NULL, 0},
    {"HTTP/1.1 103 Hints\r\nConnection: close\r\n\r\n" OK "Content-Length: 0\r\n\r\n", HTTP_FED_DONE, 200,
     true, NULL, NULL, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 200, true, NULL, NULL, 0},
    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 200, false,
     NULL, NULL, 0},
    {"HTTP/1.1 100 Continue\r\nRetry-After: 9\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", HTTP_FED_DONE, 200,
     false, NULL, NULL, 0},
    {"HTTP/1.1 503 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 503, true, NULL, NULL,
     7000},
    {"HTTP/1.1 307 There\r\nLocation:  /b?c \r\nContent-Length: 0\r\n\r\n", HTTP_FED_DONE, 307, false, NULL,
     "/b?c", 0},
    /* chunks */
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nrest", HTTP_FED_DONE, 200, false, "rest", NULL,
     0},
    {OK "Transfer-Encoding: gzip, chunked\r\n\r\nA;x=1\r\n0123456789\r\n1 \r\n\n\r\n000\r\nX: y\r\n\r\n",
     HTTP_FED_DONE, 200, false, NULL, NULL, 0},
    {OK "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", HTTP_FED_DONE, 200, true, NULL,
     NULL, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", HTTP_FED_MORE, 200, false, NULL, NULL, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     HTTP_FED_DONE, 200, true, NULL, NULL, 0},
    /* coded by what only the end of the connection ends */
    {OK "Transfer-Encoding: gzip\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", HTTP_FED_DONE, 200,
     true, NULL, NULL, 0},
    {OK "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", HTTP_FED_MORE, 200, true, NULL, NULL, 0},
    /* until the connection ends */
    {OK "\r\nwhatever", HTTP_FED_MORE, 200, true, NULL, NULL, 0},
    {OK "Transfer-Encoding: gzip\r\n\r\nwhatever", HTTP_FED_MORE, 200, true, NULL, NULL, 0},
    /* cut */
    {"HTTP/1.1 200 OK\r\nConte", HTTP_FED_MORE, 200, false, NULL, NULL, 0},
    {"HTTP/1.1 200", HTTP_FED_MORE, 0, false, NULL, NULL, 0},
    {OK "Content-Length: 10\r\n\r\nhal", HTTP_FED_MORE, 200, false, NULL, NULL, 0},
    {"HTTP/1.1 100 Continue\r\n\r\n", HTTP_FED_MORE, 100, false, NULL, NULL, 0},
    /* no replies */
    {"\x01\x02this is not HTTP\r\n\r\n", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {"\x15\x03\x01", HTTP_FED_MORE, 0, false, NULL, NULL, 0},
    {"\x15\x03\x01\x02\x02", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {"HTTP/2 200\r\n\r\n", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {"HTTP/1.1 20 OK\r\n\r\n", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {"HTTP/1.1 2000 OK\r\n\r\n", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {"HTTP/1.1 099 OK\r\n\r\n", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {"HTTP/1.1 101 Switching\r\n\r\n", HTTP_FED_BROKEN, 0, false, NULL, NULL, 0},
    {OK "Content-Length: two\r\n\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
    {OK "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
    {OK "Content-Length: 99999999999999999999\r\n\r\n", HTTP_FED_BROKEN, 200, false, NULL, NULL, 0},
};

/* `step` bytes at a time. */
static void run_case(size_t i, size_t step)
{
    struct http_reply r;
    struct str in = str_c(cases[i].in), piece = {0};
    enum http_fed fed = HTTP_FED_MORE;
    http_reply_init(&r);
    while (in.n > 0 && fed == HTTP_FED_MORE) {
        piece = str_head(in, step);
        size_t n = piece.n;
        fed = http_reply_feed(&r, &piece, NOW);
        in = str_from(in, n - piece.n);
    }
    if (fed != cases[i].fed || r.status != cases[i].status)
        fail_msg("%s: by %zu: %d, status %u", cases[i].in, step, (int)fed, r.status);
    if (fed == HTTP_FED_DONE) {
        const char *left = cases[i].left ? cases[i].left : "";
        if (!str_eq_c(in, left) || r.last != cases[i].last)
            fail_msg("%s: by %zu: left '%.*s', last %d", cases[i].in, step, STR_FMT(in), r.last);
        assert_true(str_eq_c(buf_view(&r.location), cases[i].location ? cases[i].location : ""));
        assert_int_equal(r.retry_after_ms, cases[i].retry_after_ms);
    }
    if (fed ==
        HTTP_FED_MORE) /* only a body without an end of its own is whole by the end of the connection */
        assert_int_equal(http_reply_ended(&r), cases[i].last);
    http_reply_release(&r);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 1; step <= 3; step++) {
            run_case(i, step);
            run_case(i, strlen(cases[i].in) / step + 1);
        }
}

/* A reply that goes on and on: its piece over and over, at most that many bytes. */
static enum http_fed go_on(const char *begin, const char *piece, size_t most, struct http_reply *r)
{
    struct str in = str_c(begin);
    enum http_fed fed = http_reply_feed(r, &in, NOW);
    for (size_t n = 0; n < most && fed == HTTP_FED_MORE; n += strlen(piece)) {
        in = str_c(piece);
        fed = http_reply_feed(r, &in, NOW);
    }
    return fed;
}

static void test_bounds(void **state)
{
    static const struct {
        const char *begin, *piece;
        enum http_fed fed;
    } endless[] = {
        {OK, "X-More: and more\r\n", HTTP_FED_BROKEN},
        {OK "X-More: ", "and more", HTTP_FED_BROKEN},
        {OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-More: and more\r\n", HTTP_FED_BROKEN},
        {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", HTTP_FED_BROKEN},
        /* the head has said what there is to know */
        {OK "\r\n", "0123456789abcdef", HTTP_FED_DONE},
        {OK "Content-Length: 9000000000000000000\r\n\r\n", "0123456789abcdef", HTTP_FED_DONE},
        {OK "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", HTTP_FED_DONE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(endless); i++) {
        struct http_reply r;
        http_reply_init(&r);
        assert_int_equal(go_on(endless[i].begin, endless[i].piece, 8u << 20, &r), endless[i].fed);
        assert_true(r.head_bytes <= HTTP_REPLY_HEAD + 64 && r.body_bytes <= HTTP_REPLY_BODY + 64);
        assert_true(r.last || endless[i].fed == HTTP_FED_BROKEN);
        assert_true(r.line.cap <= 2 * HTTP_REPLY_LINE);
        http_reply_release(&r);
    }
}

/* A line that is too long is so as well when it comes at once. */
static void test_long_line(void **state)
{
    static char text[3 * HTTP_REPLY_LINE];
    struct http_reply r;
    (void)state;
    for (size_t n = HTTP_REPLY_LINE; n <= HTTP_REPLY_LINE + 1; n++) {
        size_t head = (size_t)snprintf(text, sizeof(text), "%s", OK);
        memset(text + head, 'x', n - 2);
        memcpy(text + head + n - 2, "\r\n\r\n", 4);
        struct str in = str_n(text, head + n + 2);
        http_reply_init(&r);
        assert_int_equal(http_reply_feed(&r, &in, NOW),
                         n == HTTP_REPLY_LINE ? HTTP_FED_MORE : HTTP_FED_BROKEN);
        http_reply_release(&r);
    }
}

/* Nothing of one reply is left for the next. */
static void test_reset(void **state)
{
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    struct str in = STR("HTTP/1.1 503 No\r\nRetry-After: 7\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(http_reply_feed(&r, &in, NOW), HTTP_FED_DONE);
    http_reply_reset(&r);
    assert_false(r.any || r.last || r.location.len || r.retry_after_ms || http_reply_ended(&r));
    in = STR(OK "Content-Le");
    assert_int_equal(http_reply_feed(&r, &in, NOW), HTTP_FED_MORE);
    http_reply_reset(&r);
    in = STR(OK "Content-Length: 0\r\n\r\n");
    assert_int_equal(http_reply_feed(&r, &in, NOW), HTTP_FED_DONE);
    assert_false(r.last);
    http_reply_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
