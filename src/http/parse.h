/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a request head (RFC 9112) and the chunked transfer coding (RFC 9112 7.1). Pure: bytes in, consumed / bad /
 * incomplete out; no I/O, no clock. Everything that two readers of one byte stream could understand in two ways is
 * refused here, so that nothing can be smuggled past a proxy. */
#ifndef BELFRY_HTTP_PARSE_H
#define BELFRY_HTTP_PARSE_H

#include "http/http.h"

struct http_limits {
    size_t max_head;      /* bytes of the head without its request target */
    size_t max_target;    /* bytes of the request target */
    unsigned max_headers; /* field lines */
};

enum http_result { HTTP_OK, HTTP_MORE, HTTP_BAD };

/* How far a head that arrives in pieces has been looked at; zero it before the first byte of a request. */
struct http_scan {
    size_t line, seen; /* start of the line in progress; up to where no LF was found */
    size_t target_len;
    unsigned lines; /* complete lines: request line and fields */
    bool blank;     /* the one leading empty line was there */
};

/* Looks for the end of the head in p[0..n), where p holds all bytes since the first; call again with more bytes after
 * HTTP_MORE. Each complete line is checked as it is found: CRLF, no fold, no NUL or control byte, form of the request
 * line and of field lines, the limits. HTTP_OK: the head is p[0..*len). HTTP_BAD: *why. */
enum http_result http_head_scan(struct http_scan *s, const char *p, size_t n, const struct http_limits *lim,
                                size_t *len, enum http_problem *why);

/* Takes a head found by http_head_scan apart (llhttp) and checks what is said across lines: Host, lengths, codings,
 * expectations. Fills method, target, path, query, host, headers, content_length, chunked, keep_alive, expect_continue,
 * is_head of r as views of p; the table of headers is in r->arena. False: *why, and r is partly filled (method, target
 * when they were read). */
bool http_head_parse(const char *p, size_t len, const struct http_scan *s, struct http_req *r,
                     enum http_problem *why);

/* Chunked coding. Zero it before the first byte of a body. */
struct http_chunk {
    uint64_t left;       /* bytes of the current chunk still to come; or the size while it is read */
    uint32_t extensions; /* bytes of chunk extensions so far, over the whole body */
    uint32_t trailers;   /* bytes of the trailer section so far */
    uint8_t state, digits, quote;
};
#define HTTP_CHUNK_EXT_MAX     4096u /* bytes of extensions of one body */
#define HTTP_CHUNK_TRAILER_MAX 8192u /* bytes of a trailer section, which is checked and dropped */

/* Reads from p[0..n), n > 0, up to the end of one run of data: *data is that run (a view of p, possibly empty). Returns
 * the bytes used (at least 1 unless the body is done), or -1 when the coding is broken or over the bounds. */
ptrdiff_t http_chunk_feed(struct http_chunk *c, const char *p, size_t n, struct str *data);
bool http_chunk_done(const struct http_chunk *c);

#endif
