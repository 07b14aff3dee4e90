/* SPDX-License-Identifier: Apache-2.0
 *
 * Request bodies: from the framing to the sink, with its pauses; and what is left of a body after the reply. */
#include "http/conn.h"

/* Bytes of the body that nobody wants any more: may the connection be kept by reading them? */
bool body_can_discard(const struct request *r)
{
    if (r->owes_continue) /* the client may or may not send the body now: the framing is lost */
        return false;
    return r->dropped + (r->pub.chunked ? 0 : r->body_left) <= HTTP_DISCARD_MAX;
}

bool body_wanted(const struct request *r)
{
    if (r->pub.body_done)
        return false;
    return r->discard ? body_can_discard(r) : r->sink && !r->paused;
}

/* The sink is told at most once, and not after a reply. */
void body_cut(struct request *r)
{
    const struct http_sink *sink = r->sink;
    r->sink = NULL;
    if (sink)
        sink->cut(&r->pub);
}

static void body_end(struct http_conn *c, struct request *r)
{
    const struct http_sink *sink = r->sink;
    r->pub.body_done = true;
    r->sink = NULL;
    if (sink)
        sink->end(&r->pub);
    else if (r->reply_sent && c->req == r)
        conn_next(c);
}

static void body_give(struct http_conn *c, struct request *r, struct str data)
{
    r->body_bytes += data.n;
    c->window_bytes += data.n;
    if (r->discard) {
        r->dropped += data.n;
        return;
    }
    r->paused = true; /* before the call: the sink may resume within it */
    if (r->sink->data(&r->pub, data.p, data.n))
        r->paused = false;
}

static size_t feed_sized(struct http_conn *c, struct request *r, const char *p, size_t n)
{
    size_t take = n < r->body_left ? n : (size_t)r->body_left;
    r->body_left -= take;
    body_give(c, r, str_n(p, take));
    if (r->body_left == 0 && !r->paused && c->req == r)
        body_end(c, r);
    return take;
}

static size_t feed_chunked(struct http_conn *c, struct request *r, const char *p, size_t n)
{
    size_t used = 0;
    while (used < n && c->req == r && body_wanted(r)) {
        struct str data;
        ptrdiff_t k = http_chunk_feed(&r->chunk, p + used, n - used, &data);
        if (k < 0) {
            conn_problem(c, HTTP_BAD_REQUEST);
            return n;
        }
        used += (size_t)k;
        if (r->discard)
            r->dropped += (size_t)k - data.n; /* the coding's own bytes count against the bound */
        if (data.n > 0)
            body_give(c, r, data);
        if (c->req == r && http_chunk_done(&r->chunk)) {
            body_end(c, r);
            break;
        }
    }
    return used;
}

/* Bytes used; 0 when the body takes none now. The request may be over afterwards. */
size_t body_feed(struct http_conn *c, const char *p, size_t n)
{
    struct request *r = c->req;
    if (r->discard && !r->pub.body_done && !body_can_discard(r)) {
        if (r->reply_sent)
            conn_linger(c);
        return r->reply_sent ? n : 0;
    }
    if (!body_wanted(r))
        return 0;
    http_hold(&r->pub);
    size_t used = r->pub.chunked ? feed_chunked(c, r, p, n) : feed_sized(c, r, p, n);
    http_release(&r->pub);
    if (conn_open(c) && c->timer == TIMER_BODY)
        timer_set(c, TIMER_BODY);
    return used;
}

void http_read_body(struct http_req *pub, const struct http_sink *sink)
{
    struct request *r = request_of(pub);
    struct http_conn *c = pub->conn;
    BUG_ON(r->sink || r->body_bytes > 0);
    if (pub->gone || pub->replied) {
        sink->cut(pub);
        return;
    }
    if (pub->body_done) {
        sink->end(pub);
        return;
    }
    r->sink = sink;
    if (r->owes_continue) {
        r->owes_continue = false;
        if (c->in_n == 0 && !c->feeding_more)
            reply_raw(c, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    if (pub->conn)
        conn_continue(c);
}

void http_resume(struct http_req *pub)
{
    struct request *r = request_of(pub);
    struct http_conn *c = pub->conn;
    BUG_ON(!loop_is_current(pub->loop));
    if (!r->paused)
        return;
    r->paused = false;
    if (!c || c->feeding) /* within data(): the feeder goes on */
        return;
    if (!pub->chunked && r->body_left == 0)
        body_end(c, r); /* it was all there, but the end waits for the sink, too */
    conn_continue(c);
}
