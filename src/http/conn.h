/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of http/ share: server, I/O thread, connection, request. Everything of a connection and its request
 * belongs to the connection's I/O thread; server counters and certificates are the only shared state.
 *
 *   listen.c   sockets, accepting           conn.c    states of a connection, reading
 *   server.c   life of server and threads   body.c    request bodies
 *   tls.c      certificates, TLS I/O        reply.c   replies and streams of the application
 *   timeout.c  deadlines                    out.c     bytes to the socket
 *   request.c  life of a request */
#ifndef BELFRY_HTTP_CONN_H
#define BELFRY_HTTP_CONN_H

#include <stdatomic.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/parse.h"

#define HTTP_READ_SIZE   ((size_t)128 * 1024) /* shared by all connections of an I/O thread */
#define HTTP_READ_HEAD   ((size_t)32 * 1024)
#define HTTP_RECORD      ((size_t)16 * 1024)    /* plaintext of one TLS record */
#define HTTP_DISCARD_MAX ((uint64_t)256 * 1024) /* rest of a body that is read to keep a connection */
#define HTTP_LINGER_MAX \
    ((uint64_t)16 * 1024 * 1024) /* bytes read before a close, so that the peer sees the reply */
#define HTTP_LINGER_MS  2000
#define HTTP_TLS_MS     10000
#define HTTP_BODY_RATE  1024 /* bytes per second that a body must move on with */
#define HTTP_LISTEN_MAX 8
#define HTTP_TARGET_MAX \
    ((size_t)16 * 1024) /* a key of 1,024 bytes, all escaped, and a presigned query with a token */

struct tls_store;
typedef struct ssl_st SSL;

struct link {
    struct link *prev, *next;
};

/* What a connection is waiting for, as to time. Each I/O thread has one list per kind, oldest first. */
enum timer_kind {
    TIMER_NONE,
    TIMER_IDLE,
    TIMER_HEAD,
    TIMER_BODY,
    TIMER_WRITE,
    TIMER_TLS,
    TIMER_LINGER,
    TIMER_KINDS
};

struct counters { /* written by one thread, read by any */
    _Atomic uint64_t requests, problems, bytes_in, bytes_out;
    _Atomic unsigned in_flight;
};

/* One I/O thread. */
struct http_io {
    struct loop loop;
    struct http_server *server;
    pthread_t thread;
    uv_timer_t tick;
    struct link lists[TIMER_KINDS];
    char *rbuf;      /* HTTP_READ_SIZE: what a socket had, valid while it is fed */
    char *record;    /* HTTP_RECORD: TLS output is gathered here */
    struct buf head; /* the reply head being built */
    char date[CLOCK_HTTP_LEN];
    int64_t date_second;
    struct request *spare;
    unsigned n_spare, live; /* requests kept for reuse; requests in use */
    unsigned conns;
    bool stopping, tick_closed;
    int64_t stop_ms; /* deadline, once stopping */
    struct task stop_task;
    struct counters counters;
};

struct listener {
    uv_poll_t poll;
    struct http_server *server;
    int fd;
    bool open;
};

struct http_server {
    struct http_options o;
    struct http_limits limits;
    const struct http_app *app;
    void *ctx;
    struct listener listeners[HTTP_LISTEN_MAX];
    unsigned n_listeners, n_io, next_io;
    uv_timer_t accept_again;
    bool timer_open, started, stopped, is_tls;
    char address[80];
    unsigned port;
    struct http_io *io;
    struct task start_task, stop_task;
    struct mutex mutex; /* certificates */
    struct tls_store *tls;
    char *certs_dir;
    _Atomic unsigned connections;
    _Atomic uint64_t accepted;
};

struct request {
    struct http_req pub; /* first: the application's pointer is ours */
    const struct http_sink *sink;
    struct http_chunk chunk;
    uint64_t body_left, body_bytes, dropped;
    bool paused;        /* the sink asked for it */
    bool discard;       /* replied: what comes is dropped */
    bool owes_continue; /* "100 Continue" was asked for and not sent */
    bool headed, done_called, self_replied, reply_sent;
    int status;
    bool no_body, chunked_out;
    int64_t promise; /* bytes of the reply's body, -1: unknown */
    uint64_t pushed, body_sent;
    struct http_producer producer;
    bool streaming, asked, ended, failed, pumping;
    bool patient; /* the stream may take as long as it likes */
    struct request *next;
};

/* Bytes on their way out, in this order: own, then pin or file, then post. */
struct out {
    char *own;
    size_t own_at, own_n;
    struct str pin;
    void (*free_pin)(void *);
    void *pin_arg;
    int fd;
    uint64_t fd_at;
    size_t fd_n;
    struct str post; /* static */
};

enum conn_state { CONN_NEW, CONN_HANDSHAKE, CONN_IDLE, CONN_HEAD, CONN_REQUEST, CONN_LINGER, CONN_CLOSED };

struct http_conn {
    uv_poll_t poll;
    struct task task;
    struct http_io *io;
    struct http_server *server;
    SSL *ssl;
    struct tls_store *tls;
    int fd, armed;
    enum conn_state state;
    bool feeding;      /* conn_feed is on the stack */
    bool feeding_more; /* and has bytes behind the head */
    bool corked;       /* `out` holds a reply head that waits for its first bytes */
    bool yield;        /* a stream lets other connections have their turn */
    bool eof;          /* the peer has ended its side */
    bool over;         /* beyond the connection limit */
    int tls_wants;     /* UV_READABLE or UV_WRITABLE: what OpenSSL waits for before it can go on */
    bool broken;       /* TLS failed: nothing more may be sent */
    struct link link;
    enum timer_kind timer;
    int64_t timer_ms, window_ms;
    uint64_t window_bytes, lingered;
    char *in; /* bytes read and not used: a partial head, pipelined requests, a body before its sink */
    size_t in_n, in_cap;
    struct http_scan scan;
    struct request *req;
    struct out out;
    char peer_ip[46];
};

/* conn.c */
void conn_start(struct http_conn *c);    /* on its loop: begins to read */
void conn_serve(struct http_conn *c);    /* the transport is ready for a first head */
void conn_continue(struct http_conn *c); /* something changed: use stashed bytes, read, write */
void conn_rearm(struct http_conn *c);
/* The server stops: a request that has been sent is still answered, else the connection closes. */
void conn_last_call(struct http_conn *c);
void conn_next(struct http_conn *c);   /* the request is over: next one, or the end */
void conn_linger(struct http_conn *c); /* ends our side, reads a while so that the reply arrives */
void conn_close(struct http_conn *c);  /* at once; the request is gone */
void conn_problem(struct http_conn *c, enum http_problem p); /* replies for the application, then closes */
static inline bool conn_open(const struct http_conn *c)
{
    return c->state != CONN_CLOSED;
}

/* request.c */
struct request *request_new(struct http_conn *c);
void request_done(struct request *r, bool ok); /* tells the application, once */
void request_gone(struct request *r);          /* the connection closed before the reply was sent */
void request_finish(struct request *r);        /* http is through with it; frees unless held */
void request_stop_stream(struct request *r);
static inline struct request *request_of(struct http_req *r)
{
    return (struct request *)r;
}

/* body.c */
size_t body_feed(struct http_conn *c, const char *p, size_t n);
bool body_wanted(const struct request *r);
bool body_can_discard(const struct request *r);
void body_cut(struct request *r);

/* reply.c */
void reply_problem(struct http_conn *c, struct request *r, enum http_problem p);
void reply_drained(struct http_conn *c);               /* all queued bytes were taken */
void reply_raw(struct http_conn *c, struct str bytes); /* interim replies */

/* out.c. Each returns false when the socket failed (the caller closes). */
struct piece {
    struct str head, body, post; /* post is static */
    bool pinned;
    void (*free_pin)(void *);
    void *arg;
};
bool out_write(struct http_conn *c, const struct piece *p); /* sends now what goes, queues the rest */
bool out_file(struct http_conn *c, struct str head, int fd, uint64_t at, size_t n, struct str post);
bool out_flush(struct http_conn *c);
void out_append(struct http_conn *c, struct str bytes);
bool out_pending(const struct http_conn *c);
void out_release(struct http_conn *c);

/* timeout.c */
void timer_init(struct http_io *io);
void timer_set(struct http_conn *c, enum timer_kind kind); /* starts anew, also when the kind stays */
void timer_tick(uv_timer_t *t);
uint64_t timer_interval(const struct http_options *o);

/* server.c */
void server_check_stop(struct http_io *io); /* the last connection and request of a stopping thread? */
static inline void count(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

/* listen.c */
bool listen_open(struct http_server *s, struct err *e);
void listen_start(struct http_server *s); /* on the first loop */
void listen_drain(struct http_server *s); /* accepts what is waiting */
void listen_stop(struct http_server *s);
void listen_close(struct http_server *s); /* the sockets; no loop is running */

/* tls.c */
enum { TLS_AGAIN = -1, TLS_FAILED = -2, TLS_NOT_TLS = -3 };
bool tls_load(const char *dir, struct tls_store **out, struct err *e); /* *out NULL: no certificates there */
void tls_unref(struct tls_store *t);
struct tls_store *tls_ref(struct tls_store *t);
int tls_handshake(struct http_conn *c);                   /* 1: done */
ssize_t tls_read(struct http_conn *c, void *p, size_t n); /* 0: end */
ssize_t tls_write(struct http_conn *c, const void *p, size_t n);
void tls_end(struct http_conn *c, bool polite);

#endif
