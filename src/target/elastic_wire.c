/* SPDX-License-Identifier: Apache-2.0
 *
 * Elasticsearch's requests, over connections that are kept alive (libcurl's multi interface). */
#include "base/clock.h"
#include "target/elastic_impl.h"

#include <stdio.h>
#include <unistd.h>

#define HEAD_MAX (256u << 10)
#define POLL_MS  200

int64_t elastic_time_left(struct elastic *el, int64_t until_ms)
{
    int64_t hasten = atomic_load(&el->hasten_ms);
    return (hasten < until_ms ? hasten : until_ms) - clock_mono_ms();
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct elastic_request *r = arg;
    struct str line = str_n(p, size * n);
    r->head_bytes += line.n;
    if (r->head_bytes > HEAD_MAX)
        return 0;
    if (str_istarts(line, STR("http/"))) { /* another head: after a 1xx, or after that of a proxy */
        r->head_done = false;
        r->retry_after_ms = 0;
    }
    if (line.n > 0 && (line.p[0] == '\r' || line.p[0] == '\n'))
        r->head_done = true; /* what follows is a trailer */
    if (!r->head_done && str_istarts(line, STR("retry-after:")))
        r->retry_after_ms =
            http_retry_after(str_from(line, strlen("retry-after:")), clock_real_ns() / 1000000000);
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct elastic_request *r = arg;
    buf_put(&r->reply, p, size * n);
    r->too_big = r->reply.failed;
    return r->too_big ? 0 : size * n;
}

static void prepare(struct elastic_request *r, const char *method, const char *url, bool with_body,
                    int64_t left_ms)
{
    CURL *c = r->easy;
    bool bulk = url == r->el->bulk_url;
    r->error[0] = 0;
    r->head_bytes = 0;
    r->head_done = r->too_big = false;
    r->retry_after_ms = 0;
    buf_reset(&r->reply);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    http_set_url(c, url);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)left_ms);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(left_ms < ELASTIC_CONNECT_MS ? left_ms : ELASTIC_CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_NOBODY, with_body ? 0L : 1L);
    if (with_body) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body.p);
    }
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, bulk ? r->el->ndjson : r->el->json);
}

bool elastic_launch(struct elastic_request *r, const char *method, const char *url, bool with_body,
                    int64_t until_ms, struct err *e)
{
    struct elastic *el = r->el;
    int64_t left = elastic_time_left(el, until_ms);
    if (!el->multi && !(el->multi = curl_multi_init()))
        return err_set(e, "libcurl gives no handle");
    prepare(r, method, url, with_body, left < 1 ? 1 : left);
    if (curl_multi_add_handle(el->multi, r->easy) != CURLM_OK)
        return err_set(e, "libcurl takes no transfer");
    r->until_ms = until_ms;
    r->busy = true;
    el->n_busy++;
    return true;
}

bool elastic_run(struct elastic *el, bool may_wake, int64_t until_ms)
{
    struct curl_waitfd wake = {.fd = el->wake_fd, .events = CURL_WAIT_POLLIN};
    int running = 0, ready;
    uint64_t count;
    if (el->multi && curl_multi_perform(el->multi, &running) != CURLM_OK)
        return false;
    int64_t left = elastic_time_left(el, until_ms);
    if (left <= 0)
        return false;
    if (running < (int)el->n_busy) /* one has ended */
        return true;
    if (!el->multi || curl_multi_poll(el->multi, &wake, may_wake, (int)(left < POLL_MS ? left : POLL_MS),
                                      &ready) != CURLM_OK)
        return false;
    return !wake.revents || read(el->wake_fd, &count, sizeof(count)) != sizeof(count);
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

static void explain(struct elastic_request *r, bool in_time, CURLcode code, struct err *e)
{
    const struct elastic *el = r->el;
    char why[SEND_WHY];
    if (r->too_big) {
        (void)err_set(e, "%s: an answer of more than %u bytes", el->shown, ELASTIC_REPLY_MAX);
    } else if (!in_time || code == CURLE_OK) {
        (void)err_set(e, "%s: %s", el->shown, in_time ? "an answer that was cut short" : "no answer in time");
    } else {
        struct http_names names = {el->shown, "ELASTICSEARCH_URL", el->id};
        http_explain(r->easy, &names, r->error, code, why, sizeof(why));
        (void)err_set(e, "%s%s", why, hint(el, code));
    }
}

/* The transfer has ended, or is cut short because its time is over. */
static long finish(struct elastic_request *r, bool in_time, CURLcode code, struct err *e)
{
    long status = 0;
    (void)curl_multi_remove_handle(r->el->multi, r->easy);
    r->busy = false;
    r->el->n_busy--;
    if (in_time && code == CURLE_OK && r->head_done)
        curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 0)
        explain(r, in_time, code, e);
    else
        e->retry_after_ms = r->retry_after_ms;
    return status;
}

struct elastic_request *elastic_ended(struct elastic *el, long *status, struct err *e)
{
    CURLMsg *m;
    int left;
    *e = (struct err){0};
    while (el->multi && (m = curl_multi_info_read(el->multi, &left))) {
        struct elastic_request *r = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        *status = finish(r, true, code, e);
        return r;
    }
    /* libcurl keeps each transfer's own time, but not one that was shortened meanwhile. */
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++) {
        struct elastic_request *r = &el->request[i];
        if (!r->busy || elastic_time_left(el, r->until_ms) > 0)
            continue;
        *status = finish(r, false, CURLE_OK, e);
        return r;
    }
    return NULL;
}

long elastic_ask(struct elastic *el, const char *method, const char *url, struct str body, int64_t until_ms,
                 struct err *e)
{
    struct elastic_request *r = &el->request[0];
    long status = 0;
    BUG_ON(el->n_busy > 0);
    buf_reset(&r->body);
    buf_str(&r->body, body);
    if (!elastic_launch(r, method, url, body.n > 0, until_ms, e))
        return 0;
    while (!elastic_ended(el, &status, e))
        (void)elastic_run(el, false, until_ms);
    return status;
}
