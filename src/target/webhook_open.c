/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's instance: settings and headers into handles that are prepared once. */
#include "target/webhook_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

#define REPLY_MAX    HTTP_REPLY_BODY /* of a body, which is thrown away */
#define HEAD_MAX     HTTP_REPLY_HEAD
#define ENVELOPE_MAX (1u << 20)
#define USER_AGENT   "User-Agent: Belfry/" BELFRY_VERSION

bool webhook_check(const void *arg, struct err *e)
{
    const struct webhook_conf *c = arg;
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e,
            "client_cert and client_key (MINIO_NOTIFY_WEBHOOK_CLIENT_CERT and _KEY) have to be set together");
    for (const char *p = c->auth_token; *p; p++)
        if ((unsigned char)*p < ' ' && *p != '\t')
            return err_set(e, "auth_token holds a line break or another control character");
    if (c->batch && c->payload == PAYLOAD_CLOUDEVENTS)
        return err_set(
            e, "batch=on and payload=cloudevents exclude each other: a CloudEvent in binary mode is a "
               "request by itself; leave one of them out");
    return true;
}

/* Is the status of that line ("HTTP/1.1 503 ...") 400 or more? */
static bool is_error(struct str line)
{
    ptrdiff_t blank = str_chr(line, ' ');
    return blank > 0 && (size_t)blank + 1 < line.n && line.p[blank + 1] >= '4';
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    struct str line = str_n(p, size * n);
    f->head_bytes += line.n;
    if (f->head_bytes > HEAD_MAX)
        return 0;
    if (str_istarts(line, STR("http/"))) { /* another head: after a 1xx, or after that of a proxy */
        f->head_done = false;
        f->retry_after_ms = 0;
        /* Whether an error is the answer to this request, or a late word about another one, nobody can tell: so nothing
         * that comes after it on this connection is taken for an answer. */
        curl_easy_setopt(f->easy, CURLOPT_FORBID_REUSE, (long)is_error(line));
    }
    if (line.n > 0 && (line.p[0] == '\r' || line.p[0] == '\n')) /* what follows is a trailer */
        f->head_done = true;
    if (!f->head_done && str_istarts(line, STR("retry-after:")))
        f->retry_after_ms =
            http_retry_after(str_from(line, strlen("retry-after:")), clock_real_ns() / 1000000000);
    return size * n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    (void)p;
    f->reply_bytes += size * n;
    f->reply_cut = f->reply_bytes > REPLY_MAX;
    return f->reply_cut ? 0 : size * n;
}

CURL *webhook_prepare(struct webhook *w, struct flight *f)
{
    CURL *c = http_handle(&w->trust, w->conf->client_cert, w->conf->client_key, f->error);
    if (!c)
        return NULL;
    curl_easy_setopt(c, CURLOPT_PRIVATE, f);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    webhook_watch_sockets(w, f, c);
    return c;
}

static struct curl_slist *add_header(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    BUG_ON(!longer);
    return longer;
}

static void prepare_headers(struct webhook *w)
{
    struct buf auth;
    static const char *const lines[] = {"Content-Type: application/json", USER_AGENT, "Accept:", "Expect:"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        w->headers = add_header(w->headers, lines[i]);
        w->bare_headers = add_header(w->bare_headers, lines[i]);
    }
    buf_init(&auth, 64u << 10);
    buf_puts(&auth, "Authorization: ");
    if (webhook_authorization(str_c(w->conf->auth_token), &auth)) {
        buf_char(&auth, 0);
        w->headers = add_header(w->headers, auth.p);
    }
    buf_release(&auth);
}

void *webhook_open(const void *conf, const char *id, struct err *e)
{
    http_init();
    struct webhook *w = x_calloc(1, sizeof(*w));
    struct buf shown;
    w->conf = conf;
    w->id = x_strdup(id);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    webhook_batch_init(w);
    buf_init(&shown, 64u << 10);
    http_shown(str_c(w->conf->endpoint), &shown);
    w->shown = str_dupz(buf_view(&shown));
    buf_release(&shown);
    atomic_store(&w->hasten_ms, INT64_MAX);
    http_trust_init(&w->trust, w->conf->common.ca_pem);
    prepare_headers(w);
    webhook_plain_init(w);
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++)
        w->flight[i].link.fd = -1; /* of all of them, before the first thing that may fail */
    if (w->wake_fd < 0) {
        webhook_close(w);
        (void)err_errno(e, "no eventfd");
        return NULL;
    }
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++) {
        struct flight *f = &w->flight[i];
        f->hook = w;
        buf_init(&f->body, ENVELOPE_MAX);
        f->easy = webhook_prepare(w, f);
        if (!f->easy || !webhook_plain_open(w, f)) {
            webhook_close(w);
            (void)err_set(e, "libcurl gives no handle");
            return NULL;
        }
    }
    return w;
}

void webhook_disconnect(void *arg)
{
    struct webhook *w = arg;
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++)
        webhook_drop(w, &w->flight[i]);
    webhook_forget_places(w);
    if (w->multi)
        (void)curl_multi_cleanup(w->multi);
    w->multi = NULL;
}

void webhook_close(void *arg)
{
    struct webhook *w = arg;
    webhook_disconnect(w);
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++) {
        if (w->flight[i].easy)
            curl_easy_cleanup(w->flight[i].easy);
        webhook_plain_close(w, &w->flight[i]);
        buf_release(&w->flight[i].body);
        free(w->flight[i].url);
        webhook_drop_own(&w->flight[i]);
    }
    if (w->wake_fd >= 0)
        (void)close(w->wake_fd);
    free(w->socks);
    curl_slist_free_all(w->headers);
    curl_slist_free_all(w->bare_headers);
    http_trust_release(&w->trust);
    buf_release(&w->plain_start);
    buf_release(&w->plain_lines);
    free(w->id);
    free(w->shown);
    free(w);
}
