/* SPDX-License-Identifier: Apache-2.0
 *
 * Elasticsearch's requests: one at a time over a kept-alive connection (libcurl's multi interface, for its own waiting cannot
 * be shortened). */
#include "base/clock.h"
#include "target/elastic_impl.h"

#include <stdio.h>

#define HEAD_MAX (256u << 10)
#define POLL_MS  200

static int64_t time_left(struct elastic *el, int64_t until_ms)
{
    int64_t hasten = atomic_load(&el->hasten_ms);
    return (hasten < until_ms ? hasten : until_ms) - clock_mono_ms();
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct elastic *el = arg;
    struct str line = str_n(p, size * n);
    el->head_bytes += line.n;
    if (el->head_bytes > HEAD_MAX)
        return 0;
    if (str_istarts(line, STR("http/"))) { /* another head: after a 1xx, or after that of a proxy */
        el->head_done = false;
        el->retry_after_ms = 0;
    }
    if (line.n > 0 && (line.p[0] == '\r' || line.p[0] == '\n'))
        el->head_done = true; /* what follows is a trailer */
    if (!el->head_done && str_istarts(line, STR("retry-after:")))
        el->retry_after_ms =
            http_retry_after(str_from(line, strlen("retry-after:")), clock_real_ns() / 1000000000);
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct elastic *el = arg;
    buf_put(&el->reply, p, size * n);
    el->too_big = el->reply.failed;
    return el->too_big ? 0 : size * n;
}

static void prepare(struct elastic *el, const char *method, const char *url, const struct buf *body,
                    int64_t left_ms)
{
    CURL *c = el->easy;
    el->error[0] = 0;
    el->head_bytes = 0;
    el->head_done = el->too_big = false;
    el->retry_after_ms = 0;
    buf_reset(&el->reply);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, el);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, el);
    http_set_url(c, url);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(left_ms < ELASTIC_CONNECT_MS ? left_ms : ELASTIC_CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_NOBODY, body ? 0L : 1L);
    if (body) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body->p);
    }
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, body == &el->body ? el->ndjson : el->json);
}

/* Runs the transfer to its end; false: the time was over before. */
static bool run(struct elastic *el, int64_t until_ms, CURLcode *code)
{
    int running, pending;
    for (;;) {
        if (curl_multi_perform(el->multi, &running) != CURLM_OK)
            return false;
        for (CURLMsg *m; (m = curl_multi_info_read(el->multi, &pending));) {
            if (m->msg == CURLMSG_DONE) {
                *code = m->data.result;
                return true;
            }
        }
        int64_t left = time_left(el, until_ms);
        if (left <= 0 ||
            curl_multi_poll(el->multi, NULL, 0, (int)(left < POLL_MS ? left : POLL_MS), NULL) != CURLM_OK)
            return false;
    }
}

/* A server that hangs up at once, or answers what is no HTTP, often does so because it speaks TLS. */
static const char *hint(const struct elastic *el, CURLcode code)
{
    bool odd = code == CURLE_GOT_NOTHING || code == CURLE_UNSUPPORTED_PROTOCOL ||
               code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_HTTP2;
    return odd && str_istarts(str_c(el->conf->url), STR("http://"))
               ? " (if it speaks TLS, the URL begins with "
                 "https://)"
               : "";
}

static void explain(struct elastic *el, bool in_time, CURLcode code, struct err *e)
{
    char why[SEND_WHY];
    if (el->too_big) {
        (void)err_set(e, "%s: an answer of more than %u bytes", el->shown, ELASTIC_REPLY_MAX);
    } else if (!in_time || code == CURLE_OK) {
        (void)err_set(e, "%s: %s", el->shown, in_time ? "an answer that was cut short" : "no answer in time");
    } else {
        struct http_names names = {el->shown, "ELASTICSEARCH_URL", el->id};
        http_explain(el->easy, &names, el->error, code, why, sizeof(why));
        (void)err_set(e, "%s%s", why, hint(el, code));
    }
}

long elastic_request(struct elastic *el, const char *method, const char *url, const struct buf *body,
                     int64_t until_ms, struct err *e)
{
    CURLcode code = CURLE_OK;
    long status = 0;
    int64_t left = time_left(el, until_ms);
    if (!el->multi && !(el->multi = curl_multi_init()))
        return err_set(e, "libcurl gives no handle"), 0;
    prepare(el, method, url, body, left < 1 ? 1 : left);
    if (curl_multi_add_handle(el->multi, el->easy) != CURLM_OK)
        return err_set(e, "libcurl takes no transfer"), 0;
    bool in_time = run(el, until_ms, &code);
    (void)curl_multi_remove_handle(el->multi, el->easy);
    if (in_time && code == CURLE_OK && el->head_done)
        curl_easy_getinfo(el->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 0)
        explain(el, in_time, code, e);
    else
        e->retry_after_ms = el->retry_after_ms;
    return status;
}
