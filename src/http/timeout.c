/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines without a timer per connection: one list per kind of waiting, walked a few times a second. Whoever starts
 * to wait goes to the end of its list, so all but the lists with rates are in order of their deadlines. */
#include "http/conn.h"

static int64_t limit_of(const struct http_options *o, enum timer_kind kind)
{
    switch (kind) {
    case TIMER_IDLE:
        return o->idle_ms;
    case TIMER_HEAD:
        return o->head_ms;
    case TIMER_BODY:
        return o->body_ms;
    case TIMER_WRITE:
        return o->write_ms;
    case TIMER_TLS:
        return HTTP_TLS_MS;
    case TIMER_LINGER:
        return HTTP_LINGER_MS;
    default:
        return INT64_MAX;
    }
}

uint64_t timer_interval(const struct http_options *o)
{
    int64_t shortest = 2000;
    for (enum timer_kind k = TIMER_IDLE; k <= TIMER_WRITE; k++)
        shortest = limit_of(o, k) < shortest ? limit_of(o, k) : shortest;
    return shortest / 4 < 20 ? 20 : (uint64_t)shortest / 4;
}

void timer_init(struct http_io *io)
{
    for (int i = 0; i < TIMER_KINDS; i++)
        io->lists[i].prev = io->lists[i].next = &io->lists[i];
}

void timer_set(struct http_conn *c, enum timer_kind kind)
{
    struct link *l = &c->link, *head = &c->io->lists[kind];
    int64_t now = (int64_t)uv_now(&c->io->loop.uv);
    if (l->next) {
        l->prev->next = l->next;
        l->next->prev = l->prev;
    }
    l->prev = head->prev;
    l->next = head;
    l->prev->next = head->prev = l;
    if (kind == TIMER_BODY && c->timer != TIMER_BODY) {
        c->window_ms = now;
        c->window_bytes = 0;
    }
    c->timer = kind;
    c->timer_ms = now;
}

/* Moves on, but too slowly to be let go on? */
static bool body_crawls(struct http_conn *c, int64_t now, int64_t span)
{
    if (now - c->window_ms < span)
        return false;
    bool crawls = c->window_bytes < (uint64_t)(span * HTTP_BODY_RATE / 1000);
    c->window_ms = now;
    c->window_bytes = 0;
    return crawls;
}

static void expire(struct http_conn *c)
{
    switch (c->timer) {
    case TIMER_HEAD:
        if (c->scan.lines == 0 && c->in_n <= 2)
            conn_close(c); /* nothing but an empty line: no request that could be answered */
        else
            conn_problem(c, HTTP_REQUEST_TIMEOUT);
        break;
    case TIMER_BODY:
        if (c->req && !c->req->pub.replied)
            conn_problem(c, HTTP_REQUEST_TIMEOUT);
        else
            conn_close(c);
        break;
    default:
        conn_close(c);
    }
}

static struct http_conn *first_expired(struct http_io *io, enum timer_kind kind, int64_t now)
{
    int64_t limit = limit_of(&io->server->o, kind);
    for (struct link *l = io->lists[kind].next; l != &io->lists[kind]; l = l->next) {
        struct http_conn *c = CONTAINER_OF(l, struct http_conn, link);
        if (now - c->timer_ms >= limit || (kind == TIMER_BODY && body_crawls(c, now, limit)))
            return c;
        if (kind != TIMER_BODY)
            return NULL;
    }
    return NULL;
}

/* Looks anew after each one: the application is told, and may touch other connections. */
static void walk(struct http_io *io, enum timer_kind kind, int64_t now)
{
    struct http_conn *c;
    while ((c = first_expired(io, kind, now)))
        expire(c);
}

static void close_all(struct http_io *io)
{
    for (enum timer_kind k = 0; k < TIMER_KINDS; k++)
        while (io->lists[k].next != &io->lists[k])
            conn_close(CONTAINER_OF(io->lists[k].next, struct http_conn, link));
}

void timer_tick(uv_timer_t *t)
{
    struct http_io *io = t->data;
    int64_t now = (int64_t)uv_now(&io->loop.uv);
    for (enum timer_kind k = TIMER_IDLE; k < TIMER_KINDS; k++)
        walk(io, k, now);
    if (io->stopping && clock_mono_ms() >= io->stop_ms)
        close_all(io);
    server_check_stop(io);
}
