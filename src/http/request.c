/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a request: from the free list of its thread, through one reply, back when nobody holds it. */
#include <stdlib.h>

#include "http/conn.h"

#define SPARE_MAX 64

static struct http_io *io_of(struct request *r)
{
    return CONTAINER_OF(r->pub.loop, struct http_io, loop);
}

struct request *request_new(struct http_conn *c)
{
    struct http_io *io = c->io;
    struct request *r = io->spare;
    if (r) {
        io->spare = r->next;
        io->n_spare--;
    } else {
        r = x_malloc(sizeof(*r));
    }
    memset(r, 0, sizeof(*r));
    arena_init(&r->pub.arena);
    r->pub.loop = &io->loop;
    r->pub.conn = c;
    r->pub.tls = c->ssl != NULL;
    r->pub.method = r->pub.target = r->pub.path = r->pub.query = r->pub.host = STR("");
    memcpy(r->pub.peer_ip, c->peer_ip, sizeof(r->pub.peer_ip));
    r->pub.start_real_ns = clock_real_ns();
    r->pub.start_mono_ns = clock_mono_ns();
    io->live++;
    atomic_store_explicit(&io->counters.in_flight, io->live, memory_order_relaxed);
    return r;
}

static void request_free(struct request *r)
{
    struct http_io *io = io_of(r);
    const struct http_app *app = io->server->app;
    request_done(r, false);
    if (r->headed)
        app->gone(io->server->ctx, &r->pub);
    arena_release(&r->pub.arena);
    if (io->n_spare < SPARE_MAX) {
        r->next = io->spare;
        io->spare = r;
        io->n_spare++;
    } else {
        free(r);
    }
    io->live--;
    atomic_store_explicit(&io->counters.in_flight, io->live, memory_order_relaxed);
    if (io->stopping)
        server_check_stop(io);
}

void request_done(struct request *r, bool ok)
{
    struct http_server *s = io_of(r)->server;
    if (r->done_called || !r->headed)
        return;
    r->done_called = true;
    s->app->done(s->ctx, &r->pub, r->status, ok, r->body_sent);
}

void request_stop_stream(struct request *r)
{
    if (!r->streaming)
        return;
    r->streaming = false;
    r->producer.stop(&r->pub);
}

void request_finish(struct request *r)
{
    BUG_ON(r->pub.finished);
    r->pub.finished = true;
    r->pub.conn = NULL;
    if (r->pub.holds == 0)
        request_free(r);
}

void request_gone(struct request *r)
{
    http_hold(&r->pub);
    r->pub.gone = !r->reply_sent;
    r->pub.conn = NULL;
    body_cut(r);
    request_stop_stream(r);
    if (r->pub.replied)
        request_done(r, r->reply_sent);
    r->pub.finished = true;
    http_release(&r->pub);
}

void http_hold(struct http_req *r)
{
    BUG_ON(!loop_is_current(r->loop));
    r->holds++;
}

void http_release(struct http_req *r)
{
    BUG_ON(r->holds == 0 || !loop_is_current(r->loop));
    if (--r->holds == 0 && r->finished)
        request_free(request_of(r));
}
