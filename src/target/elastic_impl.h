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

struct elastic {
    const struct elastic_conf *conf;
    char *id, *shown, *index_url, *bulk_url;
    char label[64]; /* "elasticsearch:primary", for the log */
    struct elastic_names names;
    struct curl_slist *json, *ndjson; /* headers */
    struct http_trust trust;
    CURLM *multi; /* NULL: not connected */
    CURL *easy;
    char error[CURL_ERROR_SIZE];
    bool ready;            /* the index was there when it was last looked at */
    bool seen;             /* it has been there */
    char unmade[SEND_WHY]; /* why it could not be made; "": it could, or was there */
    _Atomic int64_t hasten_ms;
    /* the request at hand */
    struct buf body, reply;
    size_t head_bytes;
    bool head_done, too_big; /* too_big: a reply that would not end */
    int64_t retry_after_ms;
    size_t chunk;
    struct elastic_sent sent[ELASTIC_MAX_BATCH];
};

/* --- elastic_open.c: instance, and the index */
bool elastic_check(const void *conf, struct err *e);
void *elastic_open(const void *conf, const char *id, struct err *e);
bool elastic_connect(void *self, int64_t deadline_ms, struct err *e);
bool elastic_idle(void *self, int64_t deadline_ms, struct err *e);
void elastic_hasten(void *self, int64_t deadline_ms);
void elastic_disconnect(void *self);
void elastic_close(void *self);

/* --- elastic_wire.c */
/* One request and its reply, in el->reply; its status, or 0 and err when there was none by then. body NULL: none. */
long elastic_request(struct elastic *el, const char *method, const char *url, const struct buf *body,
                     int64_t until_ms, struct err *e);

/* --- elastic_send.c */
void elastic_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                  int64_t deadline_ms, struct err *e);

#endif
