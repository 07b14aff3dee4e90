/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's transfers: up to 32 POSTs in flight over kept-alive connections (libcurl's multi interface). Redirects are
 * followed here, not by libcurl, so that a POST stays a POST and the token goes to nobody else. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/webhook_impl.h"

#define CONNECT_TIME_MS 5000
#define TOTAL_TIME_MS   60000
#define REDIRECTS_MAX   5
#define POLL_MS         200
#define UNASKED_MAX     (2 * WEBHOOK_IN_FLIGHT) /* as many connections as there may be */

#define PLACE_MAX 128

/* Where a reply leads, for messages: a relative Location inherits the endpoint's user and password. */
static void show_place(const char *location, char place[PLACE_MAX])
{
    struct buf b;
    buf_init(&b, 4096);
    if (location)
        http_shown(str_c(location), &b);
    (void)snprintf(place, PLACE_MAX, "%.*s", STR_FMT(buf_view(&b)));
    buf_release(&b);
}

/* Who answers: where a redirect led, if one did. */
static const char *shown_of(const struct flight *f, char place[PLACE_MAX])
{
    if (!f->url)
        return f->hook->shown;
    show_place(f->url, place);
    return place;
}

void webhook_explain(struct flight *f, CURL *by, CURLcode code, char why[SEND_WHY])
{
    char at[PLACE_MAX];
    struct http_names names = {shown_of(f, at), "WEBHOOK_ENDPOINT", f->hook->id};
    http_explain(by, &names, f->error, code, why, SEND_WHY);
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
    http_set_url(f->easy, w->conf->endpoint);
    webhook_set_times(w, f->easy, until);
    curl_easy_setopt(f->easy, CURLOPT_CONNECT_ONLY, 1L);
    (void)curl_multi_add_handle(w->multi, f->easy);
    w->n_multi++;
    CURLMsg *m = NULL;
    int left;
    bool going = true;
    while (going && !(m = curl_multi_info_read(w->multi, &left)))
        going = webhook_run(w, false, until);
    if (!m)
        m = curl_multi_info_read(w->multi, &left);
    CURLcode code = m ? m->data.result : CURLE_OPERATION_TIMEDOUT;
    if (code != CURLE_OK) {
        char why[SEND_WHY];
        webhook_explain(f, f->easy, code, why);
        (void)err_set(e, "%s", why);
    }
    (void)curl_multi_remove_handle(w->multi, f->easy);
    w->n_multi--;
    curl_easy_cleanup(f->easy);
    f->easy = easy;
    return code == CURLE_OK;
}

/* --- header lines of one event ------------------------------------------------------------------------------------ */

void webhook_drop_own(struct flight *f)
{
    /* Behind its own lines stand those of all, which stay. */
    for (struct curl_slist *l = f->own; l; l = l->next)
        if (l->next == f->hook->headers || l->next == f->hook->bare_headers)
            l->next = NULL;
    curl_slist_free_all(f->own);
    f->own = NULL;
}

static void add_own(struct flight *f, struct buf *line)
{
    buf_char(line, 0);
    struct curl_slist *longer = line->failed ? NULL : curl_slist_append(f->own, line->p);
    f->own = longer ? longer : f->own;
    buf_reset(line);
}

struct attributes {
    struct flight *f;
    struct buf line;
};

static void add_attribute(void *ctx, const char *name, struct str value)
{
    struct attributes *a = ctx;
    buf_printf(&a->line, "ce-%s: ", name);
    payload_header_value(&a->line, value);
    add_own(a->f, &a->line);
}

/* Made again for every request, redirected ones too: the time is signed. */
static void set_own(struct flight *f)
{
    const struct webhook_conf *conf = f->hook->conf;
    struct attributes a = {.f = f};
    webhook_drop_own(f);
    buf_init(&a.line, 16384);
    if (conf->payload == PAYLOAD_CLOUDEVENTS)
        payload_attributes(f->hook->places[f->place[0]].ev, add_attribute, &a);
    if (conf->signature_secret[0]) {
        buf_puts(&a.line, "X-Belfry-Signature: ");
        payload_sign(&a.line, str_c(conf->signature_secret), clock_real_ns() / 1000000000,
                     buf_view(&f->body));
        add_own(f, &a.line);
    }
    buf_release(&a.line);
}

static void set_headers(struct flight *f, struct curl_slist *all)
{
    set_own(f);
    for (struct curl_slist *l = f->own; l; l = l->next)
        if (!l->next) {
            l->next = all;
            break;
        }
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->own ? f->own : all);
}

/* False when libcurl does not take it. */
static bool launch_by_curl(struct webhook *w, struct flight *f, const char *url)
{
    bool home = !f->url || http_same_origin(str_c(f->url), str_c(w->conf->endpoint));
    f->error[0] = 0;
    f->head_bytes = f->reply_bytes = 0;
    f->reply_cut = f->head_done = false;
    f->retry_after_ms = 0;
    http_set_url(f->easy, url);
    webhook_set_times(w, f->easy, f->deadline_ms);
    set_headers(f, home ? w->headers : w->bare_headers);
    curl_easy_setopt(f->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body.p);
    f->busy = f->by_curl = curl_multi_add_handle(w->multi, f->easy) == CURLM_OK;
    w->n_multi += f->busy;
    return f->busy;
}

/* 307 and 308: the same request again elsewhere, body and all. False when it is not to be followed, why says so. */
static bool follow(struct webhook *w, struct flight *f, const char *location, char *why, size_t why_n)
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
    return launch_by_curl(w, f, url);
}

/* Nothing of the request was sent: the connection had something to say first, and is closed. So it goes over another one. */
static bool again(struct webhook *w, struct flight *f, CURLcode code)
{
    if (code != CURLE_ABORTED_BY_CALLBACK || f->unasked == 0 || f->unasked > UNASKED_MAX)
        return false;
    return launch_by_curl(w, f, f->url ? f->url : w->conf->endpoint);
}

void webhook_replied(struct webhook *w, struct flight *f, long status, const char *location)
{
    char why[SEND_WHY], at[PLACE_MAX], place[PLACE_MAX];
    show_place(location, place);
    enum send_result r = webhook_outcome(status, shown_of(f, at), str_c(place), w->id, why, sizeof(why));
    if ((status == 307 || status == 308) && location && follow(w, f, location, why, sizeof(why)))
        return;
    if (r == SEND_REJECT && webhook_split(w, f, status == 413))
        return;
    webhook_judge(w, f, r, why, r == SEND_OK ? 0 : f->retry_after_ms);
}

/* A transfer of libcurl's has ended: its events' outcome, unless a redirect is followed. */
static void finish(struct webhook *w, struct flight *f, CURLcode code)
{
    char why[SEND_WHY];
    long status = 0;
    char *location = NULL;
    webhook_land(w, f);
    if (again(w, f, code))
        return;
    if (code == CURLE_OK && !f->head_done)
        code = CURLE_RECV_ERROR;
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && f->reply_cut)) {
        webhook_explain(f, f->easy, code, why);
        webhook_judge(w, f, SEND_RETRY, why, 0);
        return;
    }
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &location);
    webhook_replied(w, f, status, location);
}

static void finish_some(struct webhook *w)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(w->multi, &left))) {
        if (m->msg != CURLMSG_DONE)
            continue;
        struct flight *f = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        if (m->easy_handle == f->link.dial)
            webhook_plain_dialed(w, f, code);
        else
            finish(w, f, code);
    }
}

/* What is out when its time is over. libcurl keeps each transfer's own time, but not one that was shortened meanwhile. */
static void give_up(struct webhook *w)
{
    char why[SEND_WHY];
    (void)snprintf(why, sizeof(why), "%s: no answer in time", w->shown);
    int64_t left = webhook_time_left(w, INT64_MAX);
    webhook_give_up_waiting(w, left <= 0 ? INT64_MAX : clock_mono_ms(), why);
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++) {
        struct flight *f = &w->flight[i];
        if (!f->busy || webhook_time_left(w, f->deadline_ms) > 0)
            continue;
        webhook_drop(w, f);
        webhook_judge(w, f, SEND_RETRY, why, 0);
    }
}

void webhook_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct webhook *w = arg;
    BUG_ON(!w->multi);
    webhook_wait(w, place, ev, deadline_ms);
}

static void launch(struct webhook *w, struct flight *f)
{
    if (w->plain_start.len > 0) {
        set_own(f);
        webhook_plain_launch(w, f);
    } else if (!launch_by_curl(w, f, w->conf->endpoint)) {
        webhook_judge(w, f, SEND_RETRY, "libcurl takes no transfer", 0);
    }
}

/* What waits goes out over the handles that are free. */
static void launch_waiting(struct webhook *w)
{
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++) {
        struct flight *f = &w->flight[i];
        if (f->busy)
            continue;
        if (!webhook_gather(w, f))
            return;
        f->redirects = f->unasked = 0;
        free(f->url);
        f->url = NULL;
        launch(w, f);
    }
}

/* The next deadline of what is out, or `until_ms` when that is earlier. */
static int64_t next_deadline(const struct webhook *w, int64_t until_ms)
{
    for (size_t i = 0; i < w->n_places; i++) {
        const struct hook_place *p = &w->places[i];
        if ((p->state == HOOK_WAITS || p->state == HOOK_OUT) && p->deadline_ms < until_ms)
            until_ms = p->deadline_ms;
    }
    return until_ms;
}

size_t webhook_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct webhook *w = arg;
    size_t n;
    bool going;
    if (!w->multi)
        return webhook_take_judged(w, done);
    do {
        launch_waiting(w);
        going = webhook_run(w, true, next_deadline(w, until_ms));
        finish_some(w);
        give_up(w);
        n = webhook_take_judged(w, done);
    } while (n == 0 && going);
    return n;
}
