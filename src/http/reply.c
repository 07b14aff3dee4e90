/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies: the head (RFC 9112 4 to 7), whole bodies, and streams from a producer. */
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"
#include "http/conn.h"

#define STREAM_TURN ((uint64_t)1024 * 1024) /* bytes of one stream before others have their turn */

static void put_date(struct http_io *io, struct buf *b)
{
    int64_t now = clock_real_ns(), second = now / 1000000000;
    if (second != io->date_second) {
        io->date_second = second;
        clock_http(now, io->date);
    }
    buf_puts(b, "Date: ");
    buf_put(b, io->date, CLOCK_HTTP_LEN);
    buf_puts(b, "\r\n");
}

/* Can the connection not go on after this reply? */
static bool must_close(struct http_conn *c, const struct request *r)
{
    if (!r->pub.keep_alive || c->eof || c->io->stopping)
        return true;
    return !r->pub.body_done && !body_can_discard(r);
}

/* length -1: no Content-Length. The view is valid until the next head on this thread. */
static struct str build_head(struct http_conn *c, struct request *r, int status, struct str headers,
                             int64_t length)
{
    struct buf *b = &c->io->head;
    char code[4] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10), ' '};
    buf_reset(b);
    buf_puts(b, "HTTP/1.1 ");
    buf_put(b, code, 4);
    buf_puts(b, http_reason(status));
    buf_puts(b, "\r\n");
    put_date(c->io, b);
    buf_str(b, headers);
    if (length >= 0 && status != 204 && status >= 200) {
        buf_puts(b, "Content-Length: ");
        buf_u64(b, (uint64_t)length);
        buf_puts(b, "\r\n");
    }
    if (r->chunked_out)
        buf_puts(b, "Transfer-Encoding: chunked\r\n");
    if (must_close(c, r)) {
        r->pub.keep_alive = false;
        buf_puts(b, "Connection: close\r\n");
    } else if (r->pub.http10) {
        buf_puts(b, "Connection: keep-alive\r\n");
    }
    buf_puts(b, "\r\n");
    BUG_ON(b->failed); /* the application's headers are bounded far below this buffer */
    return buf_view(b);
}

/* The connection to reply on; NULL when the reply is to be dropped. */
static struct http_conn *begin(struct http_req *pub, int status)
{
    struct request *r = request_of(pub);
    BUG_ON(!loop_is_current(pub->loop));
    if (r->self_replied)
        return NULL;
    BUG_ON(pub->replied);
    r->status = status;
    pub->replied = true;
    r->sink = NULL;
    r->paused = false;
    r->discard = !pub->body_done;
    r->no_body = pub->is_head || status == 204 || status == 304;
    return pub->gone ? NULL : pub->conn;
}

/* After bytes were given to the socket. */
static void sent(struct http_conn *c, bool ok)
{
    if (!ok)
        conn_close(c);
    else if (!out_pending(c))
        reply_drained(c);
    conn_rearm(c);
}

static void reply_sent(struct http_conn *c, struct request *r)
{
    r->reply_sent = true;
    http_hold(&r->pub);
    request_stop_stream(r);
    request_done(r, true);
    http_release(&r->pub);
    if (r->pub.body_done)
        conn_next(c);
    else if (r->pub.keep_alive && !c->eof && body_can_discard(r))
        conn_continue(c); /* the rest of the body is read and dropped */
    else
        conn_linger(c);
}

void http_reply_pinned(struct http_req *pub, int status, struct str headers, struct str body,
                       void (*free_body)(void *), void *arg)
{
    struct request *r = request_of(pub);
    struct http_conn *c = begin(pub, status);
    if (!c) {
        if (free_body)
            free_body(arg);
        return;
    }
    struct piece p = {.pinned = true, .free_pin = free_body, .arg = arg};
    p.head = build_head(c, r, status, headers, (int64_t)body.n);
    p.body = r->no_body ? STR("") : body;
    sent(c, out_write(c, &p));
}

void http_reply(struct http_req *pub, int status, struct str headers, struct str body)
{
    struct request *r = request_of(pub);
    struct http_conn *c = begin(pub, status);
    if (!c)
        return;
    struct piece p = {.head = build_head(c, r, status, headers, (int64_t)body.n),
                      .body = r->no_body ? STR("") : body};
    sent(c, out_write(c, &p));
}

void http_reply_empty(struct http_req *pub, int status, struct str headers, int64_t length)
{
    struct request *r = request_of(pub);
    struct http_conn *c = begin(pub, status);
    if (!c)
        return;
    if (!r->no_body)
        length = 0; /* a promise without a body would leave the client waiting */
    struct piece p = {.head = build_head(c, r, status, headers, length)};
    sent(c, out_write(c, &p));
}

void reply_problem(struct http_conn *c, struct request *r, enum http_problem p)
{
    struct buf headers, body;
    int status = 400;
    buf_init(&headers, 16 * 1024);
    buf_init(&body, 512 * 1024); /* names the target, escaped */
    c->server->app->problem(c->server->ctx, &r->pub, p, &status, &headers, &body);
    r->status = status;
    r->no_body = r->pub.is_head;
    struct piece out = {.head = build_head(c, r, status, buf_view(&headers), (int64_t)body.len),
                        .body = r->no_body ? STR("") : buf_view(&body)};
    sent(c, out_write(c, &out));
    buf_release(&headers);
    buf_release(&body);
}

void reply_raw(struct http_conn *c, struct str bytes)
{
    struct piece p = {.head = bytes};
    if (!out_write(c, &p))
        conn_close(c);
}

/* Asks the producer for more for as long as the socket takes it. */
static void pump(struct http_conn *c, struct request *r)
{
    uint64_t start = r->pushed;
    http_hold(&r->pub);
    r->pumping = true;
    while (c->req == r && r->streaming && !r->ended && !r->asked && !out_pending(c)) {
        if (r->pushed - start > STREAM_TURN) {
            c->yield = true;
            break;
        }
        r->asked = true;
        r->producer.more(&r->pub);
    }
    r->pumping = false;
    if (c->req == r && c->corked) { /* the producer takes its time: the head need not wait for it */
        c->corked = false;
        if (!out_flush(c))
            conn_close(c);
    }
    if (c->req == r && r->ended && !out_pending(c))
        reply_sent(c, r);
    http_release(&r->pub);
    conn_rearm(c);
}

void reply_drained(struct http_conn *c)
{
    struct request *r = c->req;
    if (!r || !r->pub.replied || r->reply_sent || r->pumping)
        return;
    if (r->streaming && !r->ended)
        pump(c, r);
    else
        reply_sent(c, r);
}

void http_reply_stream(struct http_req *pub, int status, struct str headers, int64_t length,
                       const struct http_producer *p)
{
    struct request *r = request_of(pub);
    struct http_conn *c = begin(pub, status);
    if (!c) {
        p->stop(pub);
        return;
    }
    r->producer = *p;
    r->streaming = true;
    r->promise = length;
    r->ended = r->no_body;
    r->chunked_out = length < 0 && !pub->http10 && !r->no_body;
    if (length < 0 && pub->http10)
        pub->keep_alive = false; /* the end of the connection is the end of the body */
    struct str head = build_head(c, r, status, headers, length);
    if (r->ended) {
        struct piece out = {.head = head};
        sent(c, out_write(c, &out));
        return;
    }
    if (out_pending(c)) { /* a "100 Continue" is stuck: the head goes behind it */
        out_append(c, head);
        conn_rearm(c);
        return;
    }
    out_append(c, head);
    c->corked = true;
    pump(c, r);
}

void http_stream_patient(struct http_req *pub)
{
    request_of(pub)->patient = true;
}

void http_cut(struct http_req *pub)
{
    if (!pub->gone && pub->conn)
        conn_close(pub->conn);
}

static struct http_conn *push_begin(struct http_req *pub, size_t n)
{
    struct request *r = request_of(pub);
    BUG_ON(!loop_is_current(pub->loop));
    if (pub->gone || !pub->conn || !r->streaming)
        return NULL;
    BUG_ON(!r->asked || r->ended);
    r->asked = false;
    r->pushed += n;
    BUG_ON(r->promise >= 0 && r->pushed > (uint64_t)r->promise);
    return pub->conn;
}

/* The request may be gone afterwards: with its connection, or because that was its end. */
static void push_end(struct http_conn *c, struct request *r, bool ok)
{
    bool pumping = r->pumping;
    if (!ok)
        conn_close(c);
    else if (!pumping && !out_pending(c))
        reply_drained(c);
    if (!pumping)
        conn_rearm(c);
}

static struct str chunk_head(const struct request *r, size_t n, char line[24])
{
    if (!r->chunked_out)
        return STR("");
    return str_n(line, (size_t)snprintf(line, 24, "%zx\r\n", n));
}

void http_push_pinned(struct http_req *pub, struct str bytes, void (*free_bytes)(void *), void *arg)
{
    struct request *r = request_of(pub);
    struct http_conn *c = push_begin(pub, bytes.n);
    char line[24];
    if (!c || bytes.n == 0) {
        if (free_bytes)
            free_bytes(arg);
        if (c)
            push_end(c, r, true);
        return;
    }
    struct piece p = {.head = chunk_head(r, bytes.n, line),
                      .body = bytes,
                      .post = r->chunked_out ? STR("\r\n") : STR(""),
                      .pinned = true,
                      .free_pin = free_bytes,
                      .arg = arg};
    push_end(c, r, out_write(c, &p));
}

void http_push(struct http_req *pub, struct str bytes)
{
    struct request *r = request_of(pub);
    struct http_conn *c = push_begin(pub, bytes.n);
    char line[24];
    if (!c)
        return;
    if (bytes.n == 0) {
        push_end(c, r, true);
        return;
    }
    struct piece p = {
        .head = chunk_head(r, bytes.n, line), .body = bytes, .post = r->chunked_out ? STR("\r\n") : STR("")};
    push_end(c, r, out_write(c, &p));
}

void http_push_file(struct http_req *pub, int fd, uint64_t offset, size_t n)
{
    struct request *r = request_of(pub);
    struct http_conn *c = push_begin(pub, n);
    char line[24];
    if (!c)
        return;
    push_end(c, r,
             n == 0 ||
                 out_file(c, chunk_head(r, n, line), fd, offset, n, r->chunked_out ? STR("\r\n") : STR("")));
}

void http_push_end(struct http_req *pub)
{
    struct request *r = request_of(pub);
    struct http_conn *c = push_begin(pub, 0);
    if (!c)
        return;
    if (r->promise >= 0 && r->pushed != (uint64_t)r->promise) {
        log_error("http", "a reply ended %llu bytes short",
                  (unsigned long long)((uint64_t)r->promise - r->pushed));
        conn_close(c);
        return;
    }
    r->ended = true;
    struct piece p = {.head = r->chunked_out ? STR("0\r\n\r\n") : STR("")};
    push_end(c, r, (!r->chunked_out && !c->corked) || out_write(c, &p));
}

void http_push_fail(struct http_req *pub)
{
    struct request *r = request_of(pub);
    struct http_conn *c = push_begin(pub, 0);
    struct linger reset = {.l_onoff = 1};
    if (!c)
        return;
    if (r->promise < 0 && !r->chunked_out) /* only a reset tells this client that the body is not whole */
        (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    conn_close(c);
}
