/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up webhook: the instance and its handles. */
#ifndef BELFRY_TARGET_WEBHOOK_IMPL_H
#define BELFRY_TARGET_WEBHOOK_IMPL_H

#include <curl/curl.h>
#include <poll.h>
#include <stdatomic.h>

#include "target/webhook.h"

#define WEBHOOK_IN_FLIGHT 16

struct webhook;
struct flight { /* one easy handle */
    struct webhook *hook;
    CURL *easy;
    struct buf body;
    size_t event; /* index in the batch at hand */
    bool busy;
    unsigned redirects;
    char *url; /* where a redirect led; NULL: the endpoint */
    size_t head_bytes, reply_bytes;
    bool head_done; /* libcurl takes a head that is cut short for a whole one */
    bool reply_cut; /* by us, because it would not end */
    int64_t retry_after_ms;
    char error[CURL_ERROR_SIZE];
};
struct webhook {
    const struct webhook_conf *conf;
    char *id, *shown, *no_proxy;
    struct curl_slist *headers, *bare_headers; /* with and without Authorization */
    CURLM *multi;
    struct flight flight[WEBHOOK_IN_FLIGHT];
    struct pollfd *socks; /* of libcurl's connections, idle ones too */
    size_t n_socks, cap_socks;
    struct buf ca; /* PEM, when it has to be given as a whole */
    const char *ca_path;
    _Atomic int64_t hasten_ms;
};

/* --- webhook_open.c */
bool webhook_check(const void *conf, struct err *e);
void *webhook_open(const void *conf, const char *id, struct err *e);
void webhook_disconnect(void *self);
void webhook_close(void *self);
/* An easy handle with everything set that stays the same; NULL when libcurl gives none. The caller's to clean up. */
CURL *webhook_prepare(struct webhook *w, struct flight *f);
/* Where the handle's next transfer goes, by which proxy. */
void webhook_set_url(struct flight *f, const char *url);

/* --- webhook_send.c */
bool webhook_connect(void *self, int64_t deadline_ms, struct err *e);
void webhook_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                  int64_t deadline_ms, struct err *e);
void webhook_hasten(void *self, int64_t deadline_ms);

/* --- webhook_sockets.c */
/* Sockets of the handle's connections are made known to the webhook. */
void webhook_watch_sockets(struct webhook *w, CURL *c);
/* While nothing is in flight: shuts connections down on which something came that was not asked for. */
void webhook_drop_unasked(struct webhook *w);

#endif
