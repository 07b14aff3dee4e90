/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook: up to 16 POSTs in flight over kept-alive connections (libcurl's multi interface). Every easy handle is prepared
 * once and carries one event at a time. Redirects are followed here, not by libcurl, so that a POST stays a POST and the
 * token goes to nobody else. */
#include "target/webhook.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define IN_FLIGHT       16
#define CONNECT_TIME_MS 5000
#define TOTAL_TIME_MS   60000
#define REDIRECTS_MAX   5
#define REPLY_MAX       (1u << 20) /* of a body, which is thrown away */
#define HEAD_MAX        (256u << 10)
#define ENVELOPE_MAX    (1u << 20)
#define POLL_MS         200

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
    char *id, *shown, *proxy, *no_proxy;
    struct curl_slist *headers, *bare_headers; /* with and without Authorization */
    CURLM *multi;
    struct flight flight[IN_FLIGHT];
    struct buf ca; /* PEM, when it has to be given as a whole */
    const char *ca_path;
    _Atomic int64_t hasten_ms;
};

/* --- preparing ---------------------------------------------------------------------------------------------------- */

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

static bool webhook_check(const void *arg, struct err *e)
{
    const struct webhook_conf *c = arg;
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(e, "client_cert and client_key have to be set together");
    for (const char *p = c->auth_token; *p; p++)
        if ((unsigned char)*p < ' ' && *p != '\t')
            return err_set(e, "auth_token holds a line break or another control character");
    return true;
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct flight *f = arg;
    struct str line = str_n(p, size * n);
    f->head_bytes += line.n;
    if (f->head_bytes > HEAD_MAX)
        return 0;
    f->head_done = line.n > 0 && (line.p[0] == '\r' || line.p[0] == '\n');
    if (str_istarts(line, STR("retry-after:")))
        f->retry_after_ms =
            webhook_retry_after(str_from(line, strlen("retry-after:")), clock_real_ns() / 1000000000);
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

/* The proxy for a URL, as Go's programs choose it: by the scheme, upper-case names too, never for this machine. "" for
 * none, so that libcurl does not choose by itself. */
static const char *proxy_for(const char *url)
{
    struct str u = str_c(url);
    const char *v = NULL;
    if (webhook_is_loopback(u))
        return "";
    if (str_istarts(u, STR("https://"))) {
        v = getenv("HTTPS_PROXY");
        v = v && *v ? v : getenv("https_proxy");
    } else {
        v = getenv("HTTP_PROXY");
        v = v && *v ? v : getenv("http_proxy");
    }
    return v ? v : "";
}

static void prepare_tls(const struct webhook *w, CURL *c)
{
    if (w->conf->client_cert[0]) {
        curl_easy_setopt(c, CURLOPT_SSLCERT, w->conf->client_cert);
        curl_easy_setopt(c, CURLOPT_SSLKEY, w->conf->client_key);
    }
    if (w->ca.len > 0) {
        struct curl_blob blob = {w->ca.p, w->ca.len, CURL_BLOB_NOCOPY};
        curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
        if (w->ca_path)
            curl_easy_setopt(c, CURLOPT_CAPATH, w->ca_path);
    }
}

static CURL *prepare(struct webhook *w, struct flight *f)
{
    CURL *c = curl_easy_init();
    if (!c)
        return NULL;
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(c, CURLOPT_NOPROXY, w->no_proxy);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->error);
    curl_easy_setopt(c, CURLOPT_PRIVATE, f);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* a look-up of a name that hangs is not waited for */
#endif
    prepare_tls(w, c);
    return c;
}

/* The certificates of certs-dir/CAs beside the system's. libcurl takes a blob instead of its file of certificates, but still
 * looks into its folder of them; where it has none, the file becomes part of the blob. */
static void prepare_ca(struct webhook *w)
{
    if (w->conf->common.ca_pem.n == 0)
        return;
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    buf_str(&w->ca, w->conf->common.ca_pem);
    w->ca_path = v->capath;
    FILE *f = v->capath || !v->cainfo ? NULL : fopen(v->cainfo, "re");
    for (char *p; f && (p = buf_reserve(&w->ca, 65536));) {
        size_t n = fread(p, 1, 65536, f);
        if (n == 0)
            break;
        w->ca.len += n;
    }
    if (f)
        (void)fclose(f);
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
    static const char *const lines[] = {"Content-Type: application/json",
                                        "User-Agent: Belfry/" BELFRY_VERSION, "Accept:", "Expect:"};
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

static void webhook_disconnect(void *arg);
static void webhook_close(void *arg);

static void *webhook_open(const void *conf, const char *id, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_curl);
    struct webhook *w = x_calloc(1, sizeof(*w));
    struct buf shown;
    w->conf = conf;
    w->id = x_strdup(id);
    const char *no_proxy = getenv("NO_PROXY");
    no_proxy = no_proxy && *no_proxy ? no_proxy : getenv("no_proxy");
    w->no_proxy = x_strdup(no_proxy ? no_proxy : "");
    buf_init(&w->ca, 8u << 20);
    buf_init(&shown, 64u << 10);
    webhook_shown(str_c(w->conf->endpoint), &shown);
    w->shown = str_dupz(buf_view(&shown));
    buf_release(&shown);
    atomic_store(&w->hasten_ms, INT64_MAX);
    prepare_ca(w);
    prepare_headers(w);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        struct flight *f = &w->flight[i];
        f->hook = w;
        buf_init(&f->body, ENVELOPE_MAX);
        f->easy = prepare(w, f);
        if (!f->easy) {
            webhook_close(w);
            (void)err_set(e, "libcurl gives no handle");
            return NULL;
        }
    }
    return w;
}

static void webhook_disconnect(void *arg)
{
    struct webhook *w = arg;
    if (w->multi)
        (void)curl_multi_cleanup(w->multi);
    w->multi = NULL;
}

static void webhook_close(void *arg)
{
    struct webhook *w = arg;
    webhook_disconnect(w);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        if (w->flight[i].easy)
            curl_easy_cleanup(w->flight[i].easy);
        buf_release(&w->flight[i].body);
        free(w->flight[i].url);
    }
    curl_slist_free_all(w->headers);
    curl_slist_free_all(w->bare_headers);
    buf_release(&w->ca);
    free(w->id);
    free(w->shown);
    free(w->no_proxy);
    free(w);
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static int64_t time_left(struct webhook *w, int64_t deadline_ms)
{
    int64_t hasten = atomic_load(&w->hasten_ms);
    return (hasten < deadline_ms ? hasten : deadline_ms) - clock_mono_ms();
}

static void webhook_hasten(void *arg, int64_t deadline_ms)
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
static void explain(const struct webhook *w, const struct flight *f, CURLcode code, char *why, size_t why_n)
{
    const char *text = f->error[0] ? f->error : curl_easy_strerror(code);
    const char *hint = "";
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        hint = "; put the certificate of its CA into certs-dir/CAs";
    else if (code == CURLE_SSL_CERTPROBLEM)
        hint = "; check client_cert and client_key";
    (void)snprintf(why, why_n, "%.60s: %.90s%s", w->shown, text, hint);
}

static void set_url(struct flight *f, const char *url)
{
    curl_easy_setopt(f->easy, CURLOPT_URL, url);
    curl_easy_setopt(f->easy, CURLOPT_PROXY, proxy_for(url));
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
static bool webhook_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct webhook *w = arg;
    struct flight *f = &w->flight[0];
    int64_t until = clock_mono_ms() + CONNECT_TIME_MS;
    if (!w->multi && !(w->multi = curl_multi_init()))
        return err_set(e, "libcurl gives no handle");
    /* By default libcurl keeps four for each transfer there is, and so closes them when a batch runs out. */
    curl_multi_setopt(w->multi, CURLMOPT_MAXCONNECTS, 2L * IN_FLIGHT);
    if (until > deadline_ms)
        until = deadline_ms;
    CURL *easy = f->easy;
    f->easy = prepare(w, f);
    if (!f->easy) {
        f->easy = easy;
        return err_set(e, "libcurl gives no handle");
    }
    f->error[0] = 0;
    set_url(f, w->conf->endpoint);
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
        explain(w, f, code, e->text, sizeof(e->text));
    (void)curl_multi_remove_handle(w->multi, f->easy);
    curl_easy_cleanup(f->easy);
    f->easy = easy;
    return code == CURLE_OK;
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

static void launch(struct webhook *w, struct flight *f, const char *url, int64_t deadline_ms)
{
    bool home = !f->url || webhook_same_origin(str_c(f->url), str_c(w->conf->endpoint));
    f->error[0] = 0;
    f->head_bytes = f->reply_bytes = 0;
    f->reply_cut = f->head_done = false;
    f->retry_after_ms = 0;
    set_url(f, url);
    set_times(w, f, deadline_ms);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, home ? w->headers : w->bare_headers);
    curl_easy_setopt(f->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, f->body.p);
    f->busy = curl_multi_add_handle(w->multi, f->easy) == CURLM_OK;
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
        (void)snprintf(why, why_n, "%s redirects from https to %.80s, which is not followed", w->shown,
                       location);
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
    char why[SEND_WHY];
    long status = 0;
    char *location = NULL;
    (void)curl_multi_remove_handle(w->multi, f->easy);
    f->busy = false;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && !f->head_done)
        code = CURLE_RECV_ERROR;
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && f->reply_cut)) {
        explain(w, f, code, why, sizeof(why));
        fail(s, f->event, SEND_RETRY, why, 0);
        return;
    }
    curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &location);
    enum send_result r =
        webhook_outcome(status, w->shown, location ? str_c(location) : STR(""), w->id, why, sizeof(why));
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
    for (size_t i = 0; i < IN_FLIGHT; i++) {
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

static void webhook_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out,
                         int64_t deadline_ms, struct err *e)
{
    struct webhook *w = arg;
    struct sending s = {ev, out, e, deadline_ms, false};
    size_t open = 0;
    BUG_ON(n > IN_FLIGHT);
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

/* --- the type ----------------------------------------------------------------------------------------------------- */

#define KEY(member) offsetof(struct webhook_conf, member)
static const struct config_key keys[] = {
    {.name = "endpoint",
     .type = CONFIG_URL,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(endpoint),
     .help = "webhook server endpoint e.g. http://localhost:8080/minio/events"},
    {.name = "auth_token",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET,
     .offset = KEY(auth_token),
     .help = "opaque string or JWT authorization token"},
    {.name = "queue_limit",
     .type = CONFIG_NUMBER,
     .offset = KEY(common.queue_limit),
     .fallback = "0",
     .help = "most events that may wait; 0: no bound but the disk"},
    {.name = "queue_dir",
     .type = CONFIG_PATH,
     .offset = KEY(common.queue_dir),
     .help = "folder from which the waiting events of a MinIO are taken over"},
    {.name = "client_cert",
     .type = CONFIG_PATH,
     .offset = KEY(client_cert),
     .help = "client certificate for mTLS, PEM"},
    {.name = "client_key", .type = CONFIG_PATH, .offset = KEY(client_key), .help = "its private key, PEM"},
    {.name = "comment", .type = CONFIG_SENTENCE, .offset = KEY(common.comment), .help = "optional comment"},
    {.name = "queue_full",
     .type = CONFIG_CHOICE,
     .flags = CONFIG_OURS,
     .offset = KEY(common.queue_full),
     .fallback = "drop",
     .choices = "drop|reject",
     .help = "at queue_limit: drop the new event, or reject the write it is about"},
    {.name = "dead_letter_limit",
     .type = CONFIG_NUMBER,
     .flags = CONFIG_OURS,
     .offset = KEY(common.dead_letter_limit),
     .fallback = "0",
     .help = "most events kept that the receiver refused for good; 0: 100000"},
    {.name = NULL},
};

const struct target_type target_webhook = {
    .name = "webhook",
    .subsys = "notify_webhook",
    .keys = keys,
    .conf_size = sizeof(struct webhook_conf),
    .max_batch = IN_FLIGHT,
    .one_per_key = true,
    .check = webhook_check,
    .open = webhook_open,
    .connect = webhook_connect,
    .send = webhook_send,
    .hasten = webhook_hasten,
    .disconnect = webhook_disconnect,
    .close = webhook_close,
};
