/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 and TLS: connections, framing, limits, replies. This part knows nothing of S3.
 *
 * One listening socket; the accepting thread hands connections to I/O threads in turn. A connection is read by one I/O
 * thread only, with at most one request in hand (pipelined requests wait in the socket). A request has three phases:
 *
 *   head  app->head(req) on the I/O thread. The application either replies at once, or calls http_read_body with a
 *         sink, or starts something (commit, worker) and replies later from this loop.
 *   body  decoded body bytes (transfer coding removed) go to the sink as they arrive. The sink may ask for a pause.
 *   reply a head plus bytes, a file range, or a producer; exactly one of the http_reply functions is called per
 *         request, at any time after head: also in the middle of a body (what is left of the body is then read and
 *         dropped up to a bound, or the connection closes after the reply).
 *
 * Life of a request: it is freed (arena included) when the reply has been sent or the connection is gone, *and* every
 * http_hold has been given back. All functions taking a request run on its I/O thread (req->loop) unless said
 * otherwise; other threads loop_post to it. A connection that closes only marks the request (req->gone): replies to
 * it are then dropped silently. */
#ifndef BELFRY_HTTP_HTTP_H
#define BELFRY_HTTP_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/header.h"
#include "base/loop.h"
#include "base/work.h"

struct http_server;
struct http_conn;

struct http_req {
    struct arena arena;
    struct loop *loop;
    struct str method;      /* "GET": as sent, one that llhttp knows */
    struct str target;      /* raw request target; absolute-form already reduced to origin-form */
    struct str path, query; /* target split at the first '?', undecoded; query without the '?' */
    struct str host;        /* value of Host; of the absolute-form, and then the Host header says so, too */
    struct headers headers; /* as received, in order, values trimmed */
    int64_t content_length; /* -1: Transfer-Encoding: chunked; 0: no body */
    bool chunked, keep_alive, expect_continue, tls, is_head;
    char peer_ip[46]; /* textual address of the TCP peer, without port or brackets */
    int64_t start_real_ns, start_mono_ns;
    bool gone;              /* the connection closed before the reply was sent */
    bool body_done;         /* whole body has been given to the sink (true at once when there is none) */
    void *app;              /* the application's own */
    struct http_conn *conn; /* http's own from here on */
    unsigned holds;
    bool replied, finished, http10;
};

/* Takes body bytes. Valid from http_read_body until `end` or `cut` was called; exactly one of these is called, unless
 * the application replies before: a reply ends the sink, and nothing more of it is called. */
struct http_sink {
    /* Bytes, valid during the call. Return false to pause: no more bytes come until http_resume. The bytes of this call
     * are taken either way. */
    bool (*data)(struct http_req *r, const char *p, size_t n);
    /* The whole body was given (and the sink is not paused); trailers of chunked coding are dropped. */
    void (*end)(struct http_req *r);
    /* the client went away, timed out, or broke the framing (already answered) */
    void (*cut)(struct http_req *r);
};

enum http_problem { /* what http itself finds wrong; the application's table makes an S3 error of it */
                    HTTP_BAD_REQUEST,     /* 400: malformed head, framing, Host */
                    HTTP_HEAD_TOO_LARGE,  /* 431-like; S3: 400 MetadataTooLarge */
                    HTTP_URI_TOO_LONG,    /* 414 */
                    HTTP_REQUEST_TIMEOUT, /* 408, S3: 400 RequestTimeout */
                    HTTP_VERSION,         /* 505 */
                    HTTP_METHOD,          /* 405/501: a method that is none of S3's */
                    HTTP_EXPECTATION,     /* 417 */
                    HTTP_TOO_MANY,        /* 503 SlowDown: connection limit */
                    HTTP_TRANSFER_CODING, /* 501: a coding other than chunked */
};

struct http_app {
    void *ctx;
    void (*head)(void *ctx, struct http_req *r);
    /* Reply bytes to a protocol error, which http sends and then closes. Fills status, the complete extra header lines
     * ("Name: value\r\n"...) and body. The request's fields may be partly empty. */
    void (*problem)(void *ctx, struct http_req *r, enum http_problem p, int *status, struct buf *headers,
                    struct buf *body);
    /* After the reply was sent completely (ok) or failed: for events of reads, access metrics. body_sent: bytes of the
     * reply's body that were handed to the kernel. Called once for every request whose `head` was called, before it may
     * be freed; status is that of the reply, also of one that http sent itself, and 0 when there never was one. */
    void (*done)(void *ctx, struct http_req *r, int status, bool ok, uint64_t body_sent);
    /* Last call about a request that had its `head` called: replied or gone, and every hold given back. Its memory goes
     * next. On the I/O thread. */
    void (*gone)(void *ctx, struct http_req *r);
};

#define HTTP_OVER_LIMIT 64
struct http_options {
    const char *address; /* "host:port", ":port", "[::1]:port"; port 0 picks one */
    /* NULL or a folder: TLS when it holds public.crt and private.key; sub-folders with the same
     * two files serve their certificates' names (SNI); reloaded by http_reload */
    const char *certs_dir;
    unsigned io_threads; /* 0: one per core */
    /* 0: three quarters of the limit of open files, at most 100,000. HTTP_OVER_LIMIT more are open at a time to be told 503. */
    unsigned max_connections;
    size_t max_head;      /* bytes of request line and headers, default 16 KiB + target */
    unsigned max_headers; /* default 128 */
    int64_t idle_ms;      /* keep-alive without a request, default 120 s */
    int64_t head_ms;      /* first byte to end of head, default 30 s */
    /* longest time without any body byte while we are reading, default 60 s; and a body must
     * move on at >= 1 KiB/s over each such span */
    int64_t body_ms;
    int64_t write_ms; /* longest time without the peer taking a byte, default 60 s */
};

/* Binds, listens (without SO_REUSEPORT: a second server on the port fails), loads certificates, starts the threads.
 * Not accepting before http_start. NULL and err: port taken, bad address, bad certificate. */
struct http_server *http_open(const struct http_options *o, const struct http_app *app,
                              struct work_pool *work, struct err *e);
void http_start(struct http_server *s);
/* The address listened on, "127.0.0.1:9000" form. */
const char *http_address(const struct http_server *s);
unsigned http_port(const struct http_server *s);
bool http_is_tls(const struct http_server *s);
/* SIGHUP: loads the certificates again; on failure the old ones stay and err says why. Any thread. */
bool http_reload(struct http_server *s, struct err *e);
/* Stops accepting, lets requests in hand finish until deadline_ms (steady clock), then closes everything, joins the
 * threads. The handlers may still be called meanwhile. */
void http_stop(struct http_server *s, int64_t deadline_ms);
void http_free(struct http_server *s);

struct http_stats {
    unsigned connections, requests_in_flight;
    uint64_t accepted, requests, problems, bytes_in, bytes_out;
};
void http_get_stats(struct http_server *s, struct http_stats *out); /* any thread */

/* Body: sends "100 Continue" when asked for, then feeds the sink, beginning after this call returned or within it. */
void http_read_body(struct http_req *r, const struct http_sink *sink);
void http_resume(struct http_req *r);
/* A request stays allocated while held. */
void http_hold(struct http_req *r);
void http_release(struct http_req *r);

/* Replies. `headers`: complete lines "Name: value\r\n", copied; http adds Date, Connection when needed, Content-Length
 * (or chunked for a producer of unknown length), and leaves the body out for HEAD, 204 and 304 while keeping the
 * Content-Length given. */
void http_reply(struct http_req *r, int status, struct str headers, struct str body); /* body is copied */
/* HEAD and 304 style: a Content-Length of `length` (or -1: none) without a body. */
void http_reply_empty(struct http_req *r, int status, struct str headers, int64_t length);
/* The body stays owned by the caller until `free_body(arg)` is called on the I/O thread, once. */
void http_reply_pinned(struct http_req *r, int status, struct str headers, struct str body,
                       void (*free_body)(void *), void *arg);

/* A body of `length` bytes (-1: unknown, chunked) that is made piece by piece. `more` is called on the I/O thread
 * whenever the socket has taken what it was given; it must, then or later (from this loop), call exactly one of
 * http_push (bytes, copied), http_push_pinned, http_push_file, http_push_end, http_push_fail. */
struct http_producer {
    void (*more)(struct http_req *r);
    /* called once when the reply is over, sent or not: release what was held */
    void (*stop)(struct http_req *r);
};
void http_reply_stream(struct http_req *r, int status, struct str headers, int64_t length,
                       const struct http_producer *p);
/* Before http_reply_stream, for a stream that may be silent, or its reader slow, for as long as they like: no time-out ends
 * it, only that its peer is gone, which is noticed (a peer that ends its side is gone, too). */
void http_stream_patient(struct http_req *r);
/* Ends the connection at once, in the middle of the stream. */
void http_cut(struct http_req *r);
void http_push(struct http_req *r, struct str bytes);
void http_push_pinned(struct http_req *r, struct str bytes, void (*free_bytes)(void *), void *arg);
/* n bytes of fd at offset, by sendfile on plain connections, read and encrypted on TLS; fd stays the caller's and must
 * stay open until `more` or `stop` is called next. The caller has verified the bytes. */
void http_push_file(struct http_req *r, int fd, uint64_t offset, size_t n);
void http_push_end(struct http_req *r);
void http_push_fail(struct http_req *r); /* closes the connection short of the promised length */

const char *http_reason(int status);

#endif
