/* SPDX-License-Identifier: Apache-2.0
 *
 * A run of the load generator: which request comes next, and the threads. Every thread has an epoll set and
 * connections of its own; they share the counter of requests. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "load_conn.h"

const char *const load_methods[LOAD_OPS] = {"PUT", "GET", "HEAD", "DELETE"};

uint64_t load_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t draw(struct worker *w, uint64_t below)
{
    w->random ^= w->random << 13, w->random ^= w->random >> 7, w->random ^= w->random << 17;
    return w->random % below;
}

/* The number of the next request, or false when the run is over. */
static bool take_ticket(struct worker *w, uint64_t *ticket)
{
    const struct load_options *o = w->run->options;
    if (w->failed || (w->run->deadline != 0 && load_now() >= w->run->deadline))
        return false;
    *ticket = atomic_fetch_add(&w->run->next, 1);
    uint64_t limit = o->requests;
    if (o->op == LOAD_DELETE && o->keyspace != 0 && (limit == 0 || o->keyspace < limit))
        limit = o->keyspace;
    return limit == 0 || *ticket < limit;
}

/* Mixed: an operation by its share, on a key of this connection's own for which it must succeed. */
static void choose_mixed(struct worker *w, struct conn *c)
{
    const struct load_options *o = w->run->options;
    uint64_t roll = draw(w, 100), at = draw(w, c->own_keys);
    unsigned op = LOAD_PUT;
    for (unsigned sum = o->mix[0]; op < LOAD_DELETE && roll >= sum; sum += o->mix[op])
        op++;
    if (op != LOAD_PUT) {
        for (uint64_t i = 0; i < c->own_keys && !c->exists[at]; i++)
            at = (at + 1) % c->own_keys;
        if (!c->exists[at])
            op = LOAD_PUT;
    }
    c->op = (enum load_op)op;
    c->exists[at] = op != LOAD_DELETE;
    c->key = o->start + at * o->connections + c->number;
}

static void choose(struct worker *w, struct conn *c, uint64_t ticket)
{
    const struct load_options *o = w->run->options;
    if (o->op == LOAD_MIXED) {
        choose_mixed(w, c);
        return;
    }
    c->op = o->op;
    bool random_key = o->keyspace != 0 && o->op != LOAD_DELETE;
    c->key = o->start + (random_key ? draw(w, o->keyspace) : ticket);
}

/* Writes the next request of a connection. False when there is none left. */
bool worker_prepare(struct worker *w, struct conn *c)
{
    const struct load_bodies *bodies = w->run->bodies;
    uint64_t ticket;
    char path[2300];
    if (!take_ticket(w, &ticket))
        return false;
    choose(w, c, ticket);
    load_builder_path(&w->builder, c->key, path, sizeof(path));
    bool put = c->op == LOAD_PUT;
    c->body_index = (unsigned)(c->key % bodies->count);
    c->body_len = put ? bodies->size : 0;
    const char *hash = put ? bodies->hash[c->body_index] : SIGN_EMPTY;
    c->head_len = load_builder_head(&w->builder, load_methods[c->op], path, "", hash,
                                    put ? (int64_t)bodies->size : -1, c->head, sizeof(c->head));
    if (c->head_len == 0) {
        fprintf(stderr, "belfry-load: the request head is too long\n");
        exit(1);
    }
    c->pending = true;
    return true;
}

/* Paced: the timer says how many requests became due; idle connections take them. */
static void timer_event(struct worker *w)
{
    uint64_t ticks = 0;
    if (read(w->timer, &ticks, sizeof(ticks)) == (ssize_t)sizeof(ticks))
        w->credits += ticks;
    for (unsigned i = 0; i < w->count && w->credits > 0; i++)
        if (w->conns[i].state == CONN_IDLE)
            conn_go_on(w, &w->conns[i]);
}

/* Opens what was closed and ends what takes too long. */
static void tend(struct worker *w, bool check_time)
{
    uint64_t limit = (uint64_t)(w->run->options->timeout * (double)NS_PER_S),
             now = check_time ? load_now() : 0;
    for (unsigned i = 0; i < w->count; i++) {
        struct conn *c = &w->conns[i];
        bool busy = c->state == CONN_CONNECTING || c->state == CONN_SENDING || c->state == CONN_WAITING;
        if (check_time && busy && now - c->started > limit)
            conn_fail(w, c, "timed out");
        bool over = w->failed || (!c->pending && w->run->deadline != 0 && load_now() >= w->run->deadline);
        if (over && (c->state == CONN_CLOSED || c->state == CONN_IDLE))
            conn_finish(w, c);
        else if (c->state == CONN_CLOSED)
            conn_open(w, c);
    }
}

static void set_timer(struct worker *w)
{
    double rate = w->run->options->rate / w->run->options->threads;
    w->timer = -1;
    if (rate <= 0)
        return;
    uint64_t ns = (uint64_t)((double)NS_PER_S / rate);
    ns = ns > 0 ? ns : 1;
    struct timespec step = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    struct itimerspec spec = {step, step};
    w->step = ns;
    w->due = load_now() + ns;
    w->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    timerfd_settime(w->timer, 0, &spec, NULL);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->timer, &ev);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct epoll_event events[256];
    uint64_t checked = load_now();
    set_timer(w);
    tend(w, false);
    while (w->finished < w->count) {
        int n = epoll_wait(w->epoll, events, 256, 200);
        bool any_closed = n <= 0;
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c == NULL) {
                timer_event(w);
            } else {
                conn_event(w, c, events[i].events);
                any_closed |= c->state == CONN_CLOSED;
            }
        }
        uint64_t now = load_now();
        bool check_time = now - checked > NS_PER_S / 5;
        if (any_closed || check_time || w->failed)
            tend(w, check_time);
        if (check_time)
            checked = now;
    }
    return NULL;
}

static bool worker_init(struct worker *w, struct run *run, unsigned first, unsigned count, unsigned number)
{
    const struct load_options *o = run->options;
    w->run = run;
    w->count = count;
    w->random = 0x9E3779B97F4A7C15ULL * (number + 1);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->conns = calloc(count, sizeof(struct conn));
    if (w->epoll < 0 || w->conns == NULL || !load_builder_init(&w->builder, o))
        return false;
    for (unsigned i = 0; i < count; i++) {
        struct conn *c = &w->conns[i];
        c->fd = -1;
        c->number = first + i;
        if (o->op != LOAD_MIXED)
            continue;
        c->own_keys = o->keyspace / o->connections > 0 ? o->keyspace / o->connections : 1;
        c->exists = calloc(c->own_keys, 1);
        if (c->exists == NULL)
            return false;
    }
    return true;
}

static void worker_release(struct worker *w, struct load_tally *total)
{
    const struct load_tally *t = &w->tally;
    total->done += t->done;
    total->ok += t->ok;
    total->wrong_body += t->wrong_body;
    total->transport += t->transport;
    total->reconnects += t->reconnects;
    for (size_t i = 0; i < sizeof(t->status) / sizeof(t->status[0]); i++)
        total->status[i] += t->status[i];
    hist_merge(&total->latency, &t->latency);
    for (unsigned i = 0; i < w->count; i++)
        free(w->conns[i].exists);
    free(w->conns);
    close(w->epoll);
    if (w->timer >= 0)
        close(w->timer);
    load_builder_release(&w->builder);
}

bool load_run(const struct load_options *o, const struct load_bodies *bodies, struct load_tally *total,
              double *elapsed, uint64_t *used)
{
    struct run run = {.options = o, .bodies = bodies};
    struct worker *workers = calloc(o->threads, sizeof(struct worker));
    bool ok = workers != NULL;
    unsigned first = 0;
    for (unsigned i = 0; ok && i < o->threads; i++) {
        unsigned count = o->connections / o->threads + (i < o->connections % o->threads ? 1 : 0);
        ok = worker_init(&workers[i], &run, first, count, i);
        first += count;
    }
    if (!ok) {
        fprintf(stderr, "belfry-load: out of memory or descriptors, or a name is too long\n");
        exit(1);
    }
    uint64_t begin = load_now();
    run.deadline = o->seconds > 0 ? begin + (uint64_t)(o->seconds * (double)NS_PER_S) : 0;
    for (unsigned i = 1; i < o->threads; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            fprintf(stderr, "belfry-load: cannot start a thread\n");
            exit(1);
        }
    work(&workers[0]);
    for (unsigned i = 1; i < o->threads; i++)
        pthread_join(workers[i].thread, NULL);
    *elapsed = (double)(load_now() - begin) / (double)NS_PER_S;
    *used = atomic_load(&run.next);
    for (unsigned i = 0; i < o->threads; i++) {
        ok = ok && !workers[i].failed;
        worker_release(&workers[i], total);
    }
    free(workers);
    return ok;
}
