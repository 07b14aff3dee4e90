/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's transfers: up to 16 POSTs in flight over kept-alive connections (libcurl's multi interface). Redirects are
 * followed here, not by libcurl, so that a POST stays a POST and the token goes to nobody else. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "target/webhook_impl.h"

#define CONNECT_TIME_MS 5000
#define TOTAL_TIME_MS   60000
#define REDIRECTS_MAX   5
#define POLL_MS         200

static int64_t time_left(struct webhook *w, int64_t deadline_ms)
{
    int64_t hasten = atomic_load(&w->hasten_ms);
    return (hasten < deadline_ms ? hasten : deadline_ms) - clock_mono_ms();
}

void webhook_hasten(void *arg, int64_t deadline_ms)
{
    struct webhook *w = arg; /* the loop looks at it at least five times a second */
    atomic_store(&w->hasten_ms, deadline_ms);
}

/* Runs transfers until something happened, at most until the deadline; false when that is over or libcurl gives up. */
static bool run_some(struct webhook *w, int64_t deadline_ms)
{
    int running, ready;
    if (curl_multi_perform(w->multi, &running) != CURLM_OK)
        return false;
    int64_t left = time_left(w, deadline_ms);
    if (left <= 0)
        return false;
    if (running > 0)
        return curl_multi_poll(w->multi, NULL, 0, (int)(left < POLL_MS ? left : POLL_MS), &ready) == CURLM_OK;
    return true;
}

/* What libcurl says went wrong, in words for the operator. */
static void explain(const char *shown, const struct flight *f, CURLcode code, char *why, size_t why_n)
{
    const char *text = f->error[0] ? f->error : curl_easy_strerror(code);
    const char *hint = "";
    long error = 0;
    (void)curl_easy_getinfo(f->easy, CURLINFO_OS_ERRNO, &error);
    const char *after = code == CURLE_COULDNT_CONNECT && error ? strstr(text, " after ") : NULL;
    if (after) { /* libcurl names host and port, then how long it took, but not why */
        char system[64];
        (void)snprintf(why, why_n, "%.60s: %.*s: %s", shown, (int)(after - text < 90 ? after - text : 90),
                       text, strerror_r((int)error, system, sizeof(system)));
        return;
    }
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        hint = "; put the certificate of its CA into certs-dir/CAs";
    else if (code == CURLE_SSL_CERTPROBLEM)
        hint = "; check client_cert and client_key";
    (void)snprintf(why, why_n, "%.60s: %.90s%s", shown, text, hint);
}

static void set_times(struct webhook *w, struct flight *f, int64_t deadline_ms)
{
    int64_t left = time_left(w, deadline_ms);
    left = left < 1 ? 1 : left;
    curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, (long)(left < TOTAL_TIME_MS ? left : TOTAL_TIME_MS));
    curl_easy_setopt(f->easy, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(left < CONNECT_TIME_MS ? left : CONNECT_TIME_MS));
}

/* Only dials (through the proxy and TLS where there are): a request would be an event that is none. */
bool webhook_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct webhook *w = arg;
    struct flight *f = &w->flight[0];
    int64_t until = clock_mono_ms() + CONNECT_TIME_MS;
    if (!w->multi && !(w->multi = curl_multi_init()))
        return err_set(e, "libcurl gives no handle");
    /* By default libcurl keeps four for each transfer there is, and so closes them when a batch runs out. */
    curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, 2L * WEBHOOK_IN_FLIGHT);
    if (until > deadline_ms)
        until = deadline_ms;
    CURL *easy = f->easy;
    f->easy = webhook_prepare(w, f);
    if (!f->easy) {
        f->easy = easy;
        return err_set(e, "libcurl gives no handle");
    }
    f->error[0] = 0;
    webhook_set_url(f, w->conf->endpoint);
    set_times(w, f, until);
    curl_easy_setopt(f->easy, CURLOPT_CONNECT_ONLY, 1L);
    (void)curl_multi_add_handle(w->multi, f->easy);
    CURLMsg *m = NULL;
    int left;
    bool going = true;
    while (going && !(m = curl_multi_info_read(w->multi, &left)))
        going = run_some(w, until);
    if (!m)
        m = curl_multi_info_read(w->multi, &left);
    CURLcode code = m ? m->data.result : CURLE_OPERATION_TIMEDOUT;
    if (code != CURLE_OK)
        explain(w->shown, f, code, e->text, sizeof(e->text));
    (void)curl_multi_remove_handle(w->multi, f->easy);
    curl_easy_cleanup(f->easy);
    f->easy = easy;
    return code == CURLE_OK;
}

static void launch(struct webhook *w, struct flight *f, const char *url, int64_t deadline_ms)
{
    bool home = !f->url || webhook_same_origin(str_c(f->url), str_c(w->conf->endpoint));
    f->error[0] = 0;
    f->head_bytes = f->reply_bytes = 0;
    f->reply_cut = f->head_done = false;
    f->retry_after_ms = 0;
    webhook_set_url(f, url);
    set_times(w, f, deadline_ms);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, home ? w->headers : w->bare_headers);
    curl_easy_setopt(f->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body.p);
    f->busy = curl_multi_add_handle(w->multi, f->easy) == CURLM_OK;
}

#define PLACE_MAX 128

/* Where a reply leads, for messages: a relative Location inherits the endpoint's user and password. */
static void show_place(const char *location, char place[PLACE_MAX])
{
    struct buf b;
    buf_init(&b, 4096);
    if (location)
        webhook_shown(str_c(location), &b);
    (void)snprintf(place, PLACE_MAX, "%.*s", STR_FMT(buf_view(&b)));
    buf_release(&b);
}

/* 307 and 308: the same request again elsewhere, body and all. False when it is not to be followed, why says so. */
static bool follow(struct webhook *w, struct flight *f, const char *location, int64_t deadline_ms, char *why,
                   size_t why_n)
{
    const char *from = f->url ? f->url : w->conf->endpoint;
    if (f->redirects == REDIRECTS_MAX) {
        (void)snprintf(why, why_n, "%s: redirected more than %d times", w->shown, REDIRECTS_MAX);
        return false;
    }
    if (str_istarts(str_c(from), STR("https:")) && !str_istarts(str_c(location), STR("https:"))) {
        char place[PLACE_MAX];
        show_place(location, place);
        (void)snprintf(why, why_n, "%s redirects from https to %.80s, which is not followed", w->shown,
                       place);
        return false;
    }
    char *url = x_strdup(location);
    free(f->url);
    f->url = url;
    f->redirects++;
    launch(w, f, url, deadline_ms);
    return f->busy;
}

struct sending {
    const struct event_ref *ev;
    enum send_result *out;
    struct err *e;
    int64_t deadline_ms;
    bool told; /* e holds the first reason */
};

static void fail(struct sending *s, size_t i, enum send_result r, const char *why, int64_t retry_after_ms)
{
    s->out[i] = r;
    if (s->ev[i].why)
        (void)snprintf(s->ev[i].why, SEND_WHY, "%s", why);
    if (!s->told)
        (void)err_set(s->e, "%s", why);
    s->told = true;
    if (retry_after_ms > s->e->retry_after_ms)
        s->e->retry_after_ms = retry_after_ms;
}

/* A transfer has ended: its event's outcome, unless a redirect is followed. */
static void finish(struct webhook *w, struct flight *f, CURLcode code, struct sending *s)
{
    char why[SEND_WHY], at[PLACE_MAX], place[PLACE_MAX];
    const char *shown = w->shown;
    long status = 0;
    char *location = NULL;
    if (f->url) { /* who answers is where a redirect led */
        show_place(f->url, at);
        shown = at;
    }
    (void)curl_multi_remove_handle(w->multi, f->easy);
    f->busy = false;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && !f->head_done)
        code = CURLE_RECV_ERROR;
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && f->reply_cut)) {
        explain(shown, f, code, why, sizeof(why));
        fail(s, f->event, SEND_RETRY, why, 0);
        return;
    }
    curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &location);
    show_place(location, place);
    enum send_result r = webhook_outcome(status, shown, str_c(place), w->id, why, sizeof(why));
    if ((status == 307 || status == 308) && location &&
        follow(w, f, location, s->deadline_ms, why, sizeof(why)))
        return;
    if (r == SEND_OK)
        s->out[f->event] = SEND_OK;
    else
        fail(s, f->event, r, why, f->retry_after_ms);
}

static void finish_some(struct webhook *w, struct sending *s, size_t *open)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(w->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct flight *f = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        finish(w, f, code, s);
        *open -= !f->busy;
    }
}

static void give_up(struct webhook *w, struct sending *s)
{
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++) {
        struct flight *f = &w->flight[i];
        char why[SEND_WHY];
        if (!f->busy)
            continue;
        (void)curl_multi_remove_handle(w->multi, f->easy);
        f->busy = false;
        (void)snprintf(why, sizeof(why), "%s: no answer in time", w->shown);
        fail(s, f->event, SEND_RETRY, why, 0);
    }
}

void webhook_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
                  struct err *e)
{
    struct webhook *w = arg;
    struct sending s = {ev, out, e, deadline_ms, false};
    size_t open = 0;
    BUG_ON(n > WEBHOOK_IN_FLIGHT);
    webhook_drop_unasked(w);
    for (size_t i = 0; i < n; i++) {
        struct flight *f = &w->flight[i];
        out[i] = SEND_RETRY;
        f->event = i;
        f->redirects = 0;
        free(f->url);
        f->url = NULL;
        buf_reset(&f->body);
        target_envelope(&f->body, &ev[i]);
        if (f->body.failed) {
            fail(&s, i, SEND_REJECT, "the event is larger than 1 MiB", 0);
            continue;
        }
        launch(w, f, w->conf->endpoint, deadline_ms);
        open += f->busy;
    }
    while (open > 0 && run_some(w, deadline_ms))
        finish_some(w, &s, &open);
    finish_some(w, &s, &open);
    give_up(w, &s);
}
