/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up elasticsearch: the instance and its connection. */
#ifndef BELFRY_TARGET_ELASTIC_IMPL_H
#define BELFRY_TARGET_ELASTIC_IMPL_H

#include <stdatomic.h>

#include "target/elastic.h"
#include "target/http.h"

/* Bytes of one request, but for its last event. Less after a 413, down to the smallest. */
#define ELASTIC_CHUNK       (4u << 20)
#define ELASTIC_CHUNK_SMALL (64u << 10)
#define ELASTIC_CONNECT_MS  5000
#define ELASTIC_ANSWER_MS   45000
/* Elasticsearch itself gives up waiting (for a shard) before we do. */
#define ELASTIC_BULK \
    "/_bulk?timeout=20s&filter_path=error,status,items.*._id,items.*.status,items.*.error.type,items.*." \
    "error.reason"

/* Elasticsearch works on one while the answer to another is settled and events for the next are read. */
#define ELASTIC_REQUESTS 4
#define ELASTIC_ITEMS    (ELASTIC_MAX_BATCH / ELASTIC_REQUESTS) /* of one, at most */

struct elastic_place {
    enum { ELASTIC_FREE, ELASTIC_OUT, ELASTIC_JUDGED } state;
    enum send_result result;
    const struct event_ref *ev;
    int64_t deadline_ms, retry_after_ms;
};

struct elastic_request { /* one easy handle, and the request at hand */
    struct elastic *el;
    CURL *easy;
    char error[CURL_ERROR_SIZE];
    bool busy; /* libcurl has it */
    int64_t until_ms;
    struct buf body, reply;
    size_t head_bytes;
    bool head_done, too_big; /* too_big: a reply that would not end */
    int64_t retry_after_ms;
    struct elastic_sent sent[ELASTIC_ITEMS];
    size_t n;
};

struct elastic {
    const struct elastic_conf *conf;
    char *id, *shown, *index_url, *bulk_url;
    char label[64]; /* "elasticsearch:primary", for the log */
    struct elastic_names names;
    struct curl_slist *json, *ndjson; /* headers */
    struct http_trust trust;
    CURLM *multi; /* NULL: not connected */
    struct elastic_request request[ELASTIC_REQUESTS];
    unsigned n_busy;
    bool ready;            /* the index was there when it was last looked at */
    bool seen;             /* it has been there */
    char unmade[SEND_WHY]; /* why it could not be made; "": it could, or was there */
    _Atomic int64_t hasten_ms;
    int wake_fd;
    size_t chunk;
    struct elastic_place place[ELASTIC_MAX_BATCH];
    uint16_t line[ELASTIC_MAX_BATCH]; /* places of events that are in no request yet, in the order of begin */
    unsigned n_line;
};

/* --- elastic_open.c: instance, and the index */
bool elastic_check(const void *conf, struct err *e);
void *elastic_open(const void *conf, const char *id, struct err *e);
bool elastic_connect(void *self, int64_t deadline_ms, struct err *e);
bool elastic_idle(void *self, int64_t deadline_ms, struct err *e);
void elastic_hasten(void *self, int64_t deadline_ms);
void elastic_disconnect(void *self);
void elastic_close(void *self);
/* As elastic_connect, for events that are in the line; no request is under way. */
bool elastic_find_index(struct elastic *el, int64_t deadline_ms, struct err *e);

/* --- elastic_wire.c */
/* Hands the request in r->body (with_body; else it has none) to libcurl; false and err when that takes none. */
bool elastic_launch(struct elastic_request *r, const char *method, const char *url, bool with_body,
                    int64_t until_ms, struct err *e);
/* Goes on with what is under way. Returns when something has happened, at until_ms, or after wake (may_wake), with false in
 * the latter two cases. */
bool elastic_run(struct elastic *el, bool may_wake, int64_t until_ms);
/* One that has ended since, or whose time is over; NULL: none. Its status, its reply in r->reply; 0 and err: there is none. */
struct elastic_request *elastic_ended(struct elastic *el, long *status, struct err *e);
/* One request and its reply, while none is under way: the first of el->request, with its status as above. */
long elastic_ask(struct elastic *el, const char *method, const char *url, struct str body, int64_t until_ms,
                 struct err *e);
int64_t elastic_time_left(struct elastic *el, int64_t until_ms);

/* --- elastic_send.c */
void elastic_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t elastic_poll(void *self, struct send_done *done, int64_t until_ms);
void elastic_wake(void *self);
/* Forgets what is out. */
void elastic_forget(struct elastic *el);

#endif
