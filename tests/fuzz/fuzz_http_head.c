/* SPDX-License-Identifier: Apache-2.0
 *
 * Request heads: any bytes, whole and in two pieces. The two ways must agree, and what is taken must keep its word. */
#include "fuzz.h"

#include "base/err.h"
#include "http/parse.h"

static const struct http_limits limits = {.max_head = 2048, .max_target = 512, .max_headers = 16};

static enum http_result scan(struct http_scan *s, const char *p, size_t n, size_t *len,
                             enum http_problem *why)
{
    char *copy = x_malloc(n ? n : 1); /* ends where its allocation ends, so that a read beyond is seen */
    memcpy(copy, p, n);
    enum http_result r = http_head_scan(s, copy, n, &limits, len, why);
    free(copy);
    return r;
}

static void check(const struct http_req *r, const char *p, size_t len)
{
    CHECK(r->method.n > 0 && r->target.n > 0 && r->path.n > 0);
    CHECK(r->chunked == (r->content_length == -1));
    CHECK(r->path.p[0] == '/' || r->path.p[0] == '*');
    CHECK(memchr(p, 0, len) == NULL);
    for (size_t i = 0; i < r->headers.n; i++)
        CHECK(r->headers.v[i].name.n > 0);
    CHECK(header_count(&r->headers, STR("host")) <= 1);
    CHECK(header_count(&r->headers, STR("content-length")) <= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_scan whole = {0}, parts = {0};
    enum http_problem why = HTTP_BAD_REQUEST, why2 = HTTP_BAD_REQUEST;
    size_t len = 0, len2 = 0, cut = 0;
    if (size > 0) {
        cut = (size_t)data[0] * size / 256;
        data++;
        size--;
        cut = cut > size ? size : cut;
    }
    const char *p = (const char *)data;
    enum http_result r = scan(&whole, p, size, &len, &why);
    enum http_result r2 = scan(&parts, p, cut, &len2, &why2);
    if (r2 == HTTP_MORE)
        r2 = scan(&parts, p, size, &len2, &why2);
    /* More bytes at once may be refused for a limit that pieces reach later: only what is taken must be the same. */
    CHECK((r == HTTP_OK) == (r2 == HTTP_OK) && len == len2);
    if (r == HTTP_OK) {
        struct http_req req = {0};
        char *head = x_malloc(len);
        memcpy(head, p, len);
        if (http_head_parse(head, len, &whole, &req, &why))
            check(&req, head, len);
        arena_release(&req.arena);
        free(head);
    }
    return 0;
}
