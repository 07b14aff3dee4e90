/* SPDX-License-Identifier: Apache-2.0
 *
 * What the targets that speak HTTP have in common: how libcurl is set up, which proxy is asked, what its errors mean to the
 * operator, and what text alone says. */
#ifndef BELFRY_TARGET_HTTP_H
#define BELFRY_TARGET_HTTP_H

#include <curl/curl.h>

#include "base/buf.h"

/* Once before anything else of libcurl; again does no harm. Any thread. */
void http_init(void);

/* The certificates of certs-dir/CAs, to be trusted beside the system's. */
struct http_trust {
    struct buf pem;   /* empty: the system's alone */
    const char *path; /* libcurl's folder of them; NULL: none */
};
void http_trust_init(struct http_trust *t, struct str ca_pem);
void http_trust_release(struct http_trust *t);

/* An easy handle that speaks HTTP/1.1 (TLS 1.2 or newer, certificates verified), follows no redirect, and shows a client
 * certificate where there is one (PEM files; "": none). All of the arguments stay valid until the handle's end. NULL when
 * libcurl gives none. The caller's to clean up. error: of CURL_ERROR_SIZE bytes. */
CURL *http_handle(const struct http_trust *t, const char *client_cert, const char *client_key, char *error);
/* Where the handle's next transfer goes, by which proxy: HTTP_PROXY, HTTPS_PROXY, NO_PROXY as Go's programs read them. */
void http_set_url(CURL *c, const char *url);
/* May it be asked through a proxy? */
bool http_proxied(const char *url);
/* Who answers, for messages. */
struct http_names {
    const char *shown;   /* the URL without its secrets */
    const char *setting; /* what says where that is: "WEBHOOK_ENDPOINT" */
    const char *id;      /* of the target */
};
/* What a transfer's failure means, in words for the operator. error: the handle's. */
void http_explain(CURL *c, const struct http_names *names, const char *error, CURLcode code, char *why,
                  size_t why_n);

/* --- text alone: http_rules.c */
/* Milliseconds to wait by the value of a Retry-After (RFC 9110 10.2.3: seconds, or an HTTP date), at most a day; 0 when it
 * says nothing that can be understood. now_s: seconds since 1970. */
int64_t http_retry_after(struct str value, int64_t now_s);
/* The URL for messages: without user and password, and without the query. */
void http_shown(struct str url, struct buf *out);
/* Scheme, host and port of an http(s) URL are the same (RFC 6454). */
bool http_same_origin(struct str a, struct str b);
/* Is the host of the URL this very machine (localhost, 127.0.0.0/8, ::1)? Such hosts are never asked through a proxy. */
bool http_is_loopback(struct str url);

#endif
