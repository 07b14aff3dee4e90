/* SPDX-License-Identifier: Apache-2.0
 *
 * Elasticsearch's instance: settings into handles that are prepared once, the index, and the look at it while there is
 * nothing to send. */
#include "target/elastic_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define USER_AGENT "User-Agent: Belfry/" BELFRY_VERSION

bool elastic_check(const void *arg, struct err *e)
{
    const struct elastic_conf *c = arg;
    if (!elastic_check_url(str_c(c->url), e) || !elastic_check_index(str_c(c->index), e))
        return false;
    if (!c->username[0] != !c->password[0])
        return err_set(e, "username and password should be set in pairs");
    if (c->api_key[0] && (c->username[0] || str_chr(str_c(c->url), '@') >= 0))
        return err_set(e, "api_key cannot be set together with a user and password");
    for (const char *p = c->api_key; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return err_set(e, "api_key holds a blank or a control character");
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(e, "client_cert and client_key (MINIO_NOTIFY_ELASTICSEARCH_CLIENT_CERT and _KEY) have "
                          "to be set together");
    return true;
}

static struct curl_slist *add(struct curl_slist *list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    BUG_ON(!longer);
    return longer;
}

static struct curl_slist *headers(const struct elastic_conf *c, const char *type)
{
    static const char *const lines[] = {USER_AGENT, "Accept: application/json", "Expect:"};
    struct curl_slist *list = add(NULL, type);
    struct buf key;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        list = add(list, lines[i]);
    if (!c->api_key[0])
        return list;
    buf_init(&key, 64u << 10);
    buf_puts(&key, "Authorization: ");
    elastic_api_key(&key, str_c(c->api_key));
    buf_char(&key, 0);
    if (!key.failed)
        list = add(list, key.p);
    buf_release(&key);
    return list;
}

static char *url_of(const struct elastic_conf *c, const char *path)
{
    struct buf b;
    buf_init(&b, 64u << 10);
    elastic_url(&b, str_c(c->url), str_c(c->index), path);
    char *url = str_dupz(buf_view(&b));
    buf_release(&b);
    return url;
}

static char *shown_of(const char *url)
{
    struct buf b;
    buf_init(&b, 64u << 10);
    http_shown(str_c(url), &b);
    char *shown = str_dupz(buf_view(&b));
    buf_release(&b);
    return shown;
}

static bool open_requests(struct elastic *el)
{
    const struct elastic_conf *c = el->conf;
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++) {
        struct elastic_request *r = &el->request[i];
        r->el = el;
        buf_init(&r->body, ELASTIC_CHUNK + 2 * ELASTIC_EVENT_MAX);
        buf_init(&r->reply, ELASTIC_REPLY_MAX);
    }
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++) {
        struct elastic_request *r = &el->request[i];
        r->easy = http_handle(&el->trust, c->client_cert, c->client_key, r->error);
        if (!r->easy)
            return false;
        curl_easy_setopt(r->easy, CURLOPT_PRIVATE, r);
        if (c->username[0]) { /* these win over the URL's */
            curl_easy_setopt(r->easy, CURLOPT_USERNAME, c->username);
            curl_easy_setopt(r->easy, CURLOPT_PASSWORD, c->password);
        }
    }
    return true;
}

void *elastic_open(const void *conf, const char *id, struct err *e)
{
    http_init();
    struct elastic *el = x_calloc(1, sizeof(*el));
    const struct elastic_conf *c = conf;
    el->conf = c;
    el->id = x_strdup(id);
    (void)snprintf(el->label, sizeof(el->label), "elasticsearch:%.40s", id);
    el->shown = shown_of(c->url);
    el->index_url = url_of(c, "");
    el->bulk_url = url_of(c, ELASTIC_BULK);
    el->names = (struct elastic_names){el->shown, el->id, c->index};
    el->json = headers(c, "Content-Type: application/json");
    el->ndjson = headers(c, "Content-Type: application/x-ndjson");
    el->chunk = ELASTIC_CHUNK;
    atomic_store(&el->hasten_ms, INT64_MAX);
    http_trust_init(&el->trust, c->common.ca_pem);
    el->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    bool ok = open_requests(el);
    if (ok && el->wake_fd >= 0)
        return el;
    (void)(ok ? err_errno(e, "no eventfd") : err_set(e, "libcurl gives no handle"));
    elastic_close(el);
    return NULL;
}

/* Names are resolved anew behind it: libcurl's memory of them ends with the handle. */
static void hang_up(struct elastic *el)
{
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++)
        if (el->request[i].busy)
            (void)curl_multi_remove_handle(el->multi, el->request[i].easy);
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++)
        el->request[i].busy = false;
    el->n_busy = 0;
    if (el->multi)
        (void)curl_multi_cleanup(el->multi);
    el->multi = NULL;
    el->ready = false;
}

void elastic_disconnect(void *arg)
{
    hang_up(arg);
    elastic_forget(arg);
}

void elastic_close(void *arg)
{
    struct elastic *el = arg;
    elastic_disconnect(el);
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++) {
        if (el->request[i].easy)
            curl_easy_cleanup(el->request[i].easy);
        buf_release(&el->request[i].body);
        buf_release(&el->request[i].reply);
    }
    if (el->wake_fd >= 0)
        (void)close(el->wake_fd);
    curl_slist_free_all(el->json);
    curl_slist_free_all(el->ndjson);
    http_trust_release(&el->trust);
    free(el->id);
    free(el->shown);
    free(el->index_url);
    free(el->bulk_url);
    free(el);
}

void elastic_hasten(void *arg, int64_t deadline_ms)
{
    struct elastic *el = arg; /* whoever waits looks at it five times a second */
    atomic_store(&el->hasten_ms, deadline_ms);
}

/* --- the index ---------------------------------------------------------------------------------------------------- */

/* Answers that are not about the index: nothing else will go through, either. */
static bool hopeless(long status)
{
    return status == 401 || status == 407 || status == 429 || status >= 500 ||
           (status >= 300 && status <= 399);
}

static bool refused(struct elastic *el, long status, struct err *e)
{
    char why[SEND_WHY];
    elastic_refused(&el->names, status, buf_view(&el->request[0].reply), why, sizeof(why));
    return err_set(e, "%s", why);
}

/* Makes the index. That it cannot be made is told by what is sent, if it is needed at all: there may be a template of a data
 * stream, or a server that is none of Elasticsearch's. */
static bool make_index(struct elastic *el, int64_t until_ms, struct err *e)
{
    const struct buf *reply = &el->request[0].reply;
    long status = elastic_ask(el, "PUT", el->index_url, str_c(elastic_mapping), until_ms, e);
    if (status == 0)
        return false;
    if (hopeless(status))
        return refused(el, status, e);
    el->ready = true;
    if ((status < 200 || status > 299) && !elastic_exists(buf_view(reply))) {
        elastic_refused(&el->names, status, buf_view(reply), el->unmade, sizeof(el->unmade));
        return true;
    }
    if (el->seen)
        log_warn(
            el->label,
            "the index '%s' at %s was gone and is made again: only what changes from now on will be in it",
            el->names.index, el->shown);
    el->seen = true;
    return true;
}

static bool find_index(struct elastic *el, int64_t until_ms, struct err *e)
{
    el->unmade[0] = 0;
    long status = elastic_ask(el, "HEAD", el->index_url, (struct str){0}, until_ms, e);
    if (status == 0)
        return false;
    if (status == 404)
        return make_index(el, until_ms, e);
    if (hopeless(status))
        return refused(el, status, e);
    el->ready = true; /* or this user may not ask */
    el->seen |= status >= 200 && status <= 299;
    return true;
}

static int64_t within(int64_t deadline_ms)
{
    int64_t until = clock_mono_ms() + ELASTIC_CONNECT_MS;
    return until < deadline_ms ? until : deadline_ms;
}

/* While events are out they stay. */
bool elastic_find_index(struct elastic *el, int64_t deadline_ms, struct err *e)
{
    hang_up(el);
    return find_index(el, within(deadline_ms), e);
}

bool elastic_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    return elastic_find_index(arg, deadline_ms, e);
}

bool elastic_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    return find_index(arg, within(deadline_ms), e);
}
