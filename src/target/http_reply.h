/* SPDX-License-Identifier: Apache-2.0
 *
 * An HTTP/1.1 reply, read as it comes (RFC 9112: status line, fields, the body's three forms). Pure: bytes in; status, and
 * where the reply ends, out. What the body says is nobody's business here. */
#ifndef BELFRY_TARGET_HTTP_REPLY_H
#define BELFRY_TARGET_HTTP_REPLY_H

#include "base/buf.h"

#define HTTP_REPLY_HEAD (256u << 10) /* bytes of heads and trailers of one reply */
#define HTTP_REPLY_BODY (1u << 20)   /* of a body; what has more counts as ended there */
#define HTTP_REPLY_LINE (64u << 10)  /* of one line */

enum http_fed { HTTP_FED_MORE, HTTP_FED_DONE, HTTP_FED_BROKEN };

struct http_reply {
    enum http_reply_at {
        REPLY_STATUS, /* the first line */
        REPLY_FIELD,
        REPLY_LENGTH, /* a body of `left` bytes more */
        REPLY_ENDLESS,
        REPLY_SIZE, /* chunks: the line before one, its bytes, the line end behind it; the trailer */
        REPLY_CHUNK,
        REPLY_CHUNK_END,
        REPLY_TRAILER,
        REPLY_DONE
    } at;
    bool any;        /* a byte has come */
    bool last;       /* nothing that follows on this connection is an answer */
    unsigned status; /* of the last head */
    bool old, keeps; /* of HTTP/1.0, where a connection is closed unless that is said; it is */
    bool chunked, sized;
    uint64_t left;
    size_t head_bytes, body_bytes;
    int64_t retry_after_ms;
    struct buf location; /* "": none */
    struct buf line;     /* what came of a line that is not whole */
};

void http_reply_init(struct http_reply *r);
void http_reply_release(struct http_reply *r);
/* For the next reply. */
void http_reply_reset(struct http_reply *r);
/* Takes bytes off the front of *in, up to the end of the reply. now_s: seconds since 1970. After DONE, what is left of *in
 * is none of this reply. */
enum http_fed http_reply_feed(struct http_reply *r, struct str *in, int64_t now_s);
/* The connection has ended: is the reply whole by that? */
bool http_reply_ended(const struct http_reply *r);

#endif
