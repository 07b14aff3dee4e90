/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's life: options, threads, start, stop. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "http/conn.h"

#define FILES_KEPT    400  /* descriptors of the store, of targets and of what listens */
#define STOP_GRACE_MS 1000 /* for what is still held by a worker after the deadline */

static void set_defaults(struct http_options *o)
{
    struct rlimit lim;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (o->io_threads == 0)
        o->io_threads = cores > 0 ? (unsigned)cores : 1;
    if (o->max_connections == 0 && getrlimit(RLIMIT_NOFILE, &lim) == 0) {
        lim.rlim_cur = lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim);
        (void)getrlimit(RLIMIT_NOFILE, &lim);
        /* A connection may have a file open: a body on its way in or out. Were these all there are, the store's own files
         * could not be opened any more, and a table that cannot be made ends its taking of writes. */
        rlim_t most = lim.rlim_cur > 2 * FILES_KEPT ? (lim.rlim_cur - FILES_KEPT) / 2 : lim.rlim_cur / 4;
        o->max_connections = most > 100000 ? 100000 : (unsigned)most;
    }
    if (o->max_head == 0)
        o->max_head = (size_t)16 * 1024;
    if (o->max_headers == 0)
        o->max_headers = 128;
    o->idle_ms = o->idle_ms ? o->idle_ms : 120000;
    o->head_ms = o->head_ms ? o->head_ms : 30000;
    o->body_ms = o->body_ms ? o->body_ms : 60000;
    o->write_ms = o->write_ms ? o->write_ms : 60000;
}

static void *io_main(void *arg)
{
    struct http_io *io = arg;
    loop_run(&io->loop);
    return NULL;
}

static void io_init(struct http_server *s, struct http_io *io)
{
    io->server = s;
    loop_init(&io->loop);
    timer_init(io);
    io->rbuf = x_malloc(HTTP_READ_SIZE);
    io->record = x_malloc(HTTP_RECORD);
    buf_init(&io->head, (size_t)256 * 1024);
    io->date_second = -1;
    BUG_ON(uv_timer_init(&io->loop.uv, &io->tick) != 0);
    io->tick.data = io;
    uint64_t every = timer_interval(&s->o);
    BUG_ON(uv_timer_start(&io->tick, timer_tick, every, every) != 0);
}

static void io_release(struct http_io *io)
{
    loop_release(&io->loop);
    if (io->live > 0)
        log_error("http", "%u requests are still held at the end", io->live);
    while (io->spare) {
        struct request *r = io->spare;
        io->spare = r->next;
        free(r);
    }
    buf_release(&io->head);
    free(io->rbuf);
    free(io->record);
}

struct http_server *http_open(const struct http_options *o, const struct http_app *app,
                              struct work_pool *work, struct err *e)
{
    struct http_server *s = x_calloc(1, sizeof(*s));
    (void)work; /* nothing of http itself blocks; the pool is the application's */
    s->o = *o;
    s->app = app;
    s->ctx = app->ctx;
    set_defaults(&s->o);
    s->limits = (struct http_limits){s->o.max_head, HTTP_TARGET_MAX, s->o.max_headers};
    mutex_init(&s->mutex, RANK_HTTP);
    if (o->certs_dir)
        s->certs_dir = x_strdup(o->certs_dir);
    if ((s->certs_dir && !tls_load(s->certs_dir, &s->tls, e)) || !listen_open(s, e)) {
        listen_close(s);
        tls_unref(s->tls);
        mutex_release(&s->mutex);
        free(s->certs_dir);
        free(s);
        return NULL;
    }
    s->is_tls = s->tls != NULL;
    s->o.address = s->address;
    s->o.certs_dir = s->certs_dir;
    s->n_io = s->o.io_threads;
    s->io = x_calloc(s->n_io, sizeof(*s->io));
    for (unsigned i = 0; i < s->n_io; i++)
        io_init(s, &s->io[i]);
    for (unsigned i = 0; i < s->n_io; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "http-%u", i % 10000);
        s->io[i].thread = thread_start(name, io_main, &s->io[i]);
    }
    return s;
}

static void on_start(struct task *t)
{
    listen_start(CONTAINER_OF(t, struct http_server, start_task));
}

void http_start(struct http_server *s)
{
    BUG_ON(s->started);
    s->started = true;
    s->start_task.fn = on_start;
    loop_post(&s->io[0].loop, &s->start_task);
}

const char *http_address(const struct http_server *s)
{
    return s->address;
}

unsigned http_port(const struct http_server *s)
{
    return s->port;
}

bool http_is_tls(const struct http_server *s)
{
    return s->is_tls;
}

bool http_reload(struct http_server *s, struct err *e)
{
    struct tls_store *fresh = NULL, *old;
    if (!http_is_tls(s))
        return true;
    if (!tls_load(s->certs_dir, &fresh, e))
        return false;
    if (!fresh)
        return err_set(e, "no certificate in \"%s\" any more", s->certs_dir);
    mutex_lock(&s->mutex);
    old = s->tls;
    s->tls = fresh;
    mutex_unlock(&s->mutex);
    tls_unref(old);
    return true;
}

void server_check_stop(struct http_io *io)
{
    if (!io->stopping || io->conns > 0 || io->tick_closed)
        return;
    if (io->live > 0 && clock_mono_ms() < io->stop_ms + STOP_GRACE_MS)
        return;
    io->tick_closed = true;
    uv_close((uv_handle_t *)&io->tick, NULL);
    loop_stop(&io->loop);
}

static void close_list(struct http_io *io, enum timer_kind kind)
{
    while (io->lists[kind].next != &io->lists[kind])
        conn_last_call(CONTAINER_OF(io->lists[kind].next, struct http_conn, link));
}

static void on_stop(struct task *t)
{
    struct http_io *io = CONTAINER_OF(t, struct http_io, stop_task);
    io->stopping = true;
    close_list(io, TIMER_IDLE);
    close_list(io, TIMER_HEAD);
    close_list(io, TIMER_TLS);
    server_check_stop(io);
}

/* The accepting thread first: the stop must reach a thread behind the last connection that is handed to it. */
static void on_stop_listening(struct task *t)
{
    struct http_server *s = CONTAINER_OF(t, struct http_server, stop_task);
    if (s->started)
        listen_drain(s);
    listen_stop(s);
    for (unsigned i = 0; i < s->n_io; i++) {
        s->io[i].stop_task.fn = on_stop;
        loop_post(&s->io[i].loop, &s->io[i].stop_task);
    }
}

void http_stop(struct http_server *s, int64_t deadline_ms)
{
    if (s->stopped)
        return;
    s->stopped = true;
    for (unsigned i = 0; i < s->n_io; i++)
        s->io[i].stop_ms = deadline_ms;
    s->stop_task.fn = on_stop_listening;
    loop_post(&s->io[0].loop, &s->stop_task);
    for (unsigned i = 0; i < s->n_io; i++)
        thread_join(s->io[i].thread);
}

void http_free(struct http_server *s)
{
    if (!s)
        return;
    http_stop(s, clock_mono_ms());
    for (unsigned i = 0; i < s->n_io; i++)
        io_release(&s->io[i]);
    listen_close(s);
    tls_unref(s->tls);
    mutex_release(&s->mutex);
    free(s->certs_dir);
    free(s->io);
    free(s);
}

void http_get_stats(struct http_server *s, struct http_stats *out)
{
    *out = (struct http_stats){
        .connections = atomic_load_explicit(&s->connections, memory_order_relaxed),
        .accepted = atomic_load_explicit(&s->accepted, memory_order_relaxed),
    };
    for (unsigned i = 0; i < s->n_io; i++) {
        struct counters *c = &s->io[i].counters;
        out->requests_in_flight += atomic_load_explicit(&c->in_flight, memory_order_relaxed);
        out->requests += atomic_load_explicit(&c->requests, memory_order_relaxed);
        out->problems += atomic_load_explicit(&c->problems, memory_order_relaxed);
        out->bytes_in += atomic_load_explicit(&c->bytes_in, memory_order_relaxed);
        out->bytes_out += atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
    }
}
