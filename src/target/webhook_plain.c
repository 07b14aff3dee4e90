/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's connections of our own. Where an endpoint needs neither TLS nor a proxy, libcurl makes the connection (look-up of
 * the name, addresses in turn, options, why it failed), and requests and replies go over it without libcurl, which takes more
 * time for a request than everything else together: a POST whose every byte but the body is always the same, and the end of
 * its reply. What is more than that, redirects above all, is libcurl's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/webhook_impl.h"

#define HEAD_MAX  (1u << 20)
#define READ_SIZE 16384
#define READS_MAX 16     /* in a row: then others have their turn */
#define IDLE_MS   118000 /* as libcurl keeps one: what lies between may forget it sooner than it says so */

/* --- the request -------------------------------------------------------------------------------------------------- */

/* Is it made of nothing that libcurl would write in another way? */
static bool is_simple(const char *url)
{
    for (const char *p = url; *p; p++)
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    return str_istarts(str_c(url), STR("http://")) && !http_proxied(url);
}

static void put_part(struct buf *b, CURLU *u, CURLUPart part, const char *before)
{
    char *text = NULL;
    if (curl_url_get(u, part, &text, 0) == CURLUE_OK && text) {
        buf_puts(b, before);
        buf_puts(b, text);
    }
    curl_free(text);
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;
    curl_free(text);
    return has;
}

/* As libcurl does: a line without a value is one that is not sent. */
static void put_lines(struct buf *b, const struct curl_slist *l, const struct curl_slist *end)
{
    for (; l && l != end; l = l->next) {
        struct str line = str_c(l->data);
        ptrdiff_t colon = str_chr(line, ':');
        if (colon < 0 || str_trim(str_from(line, (size_t)colon + 1)).n == 0)
            continue;
        buf_str(b, line);
        buf_puts(b, "\r\n");
    }
}

void webhook_plain_init(struct webhook *w)
{
    CURLU *u = curl_url();
    char *port = NULL;
    buf_init(&w->plain_start, HEAD_MAX);
    buf_init(&w->plain_lines, HEAD_MAX);
    if (u && is_simple(w->conf->endpoint) &&
        curl_url_set(u, CURLUPART_URL, w->conf->endpoint, 0) == CURLUE_OK && !has_part(u, CURLUPART_USER) &&
        !has_part(u, CURLUPART_PASSWORD) && !has_part(u, CURLUPART_ZONEID)) {
        put_part(&w->plain_start, u, CURLUPART_PATH, "POST ");
        put_part(&w->plain_start, u, CURLUPART_QUERY, "?");
        put_part(&w->plain_start, u, CURLUPART_HOST, " HTTP/1.1\r\nHost: ");
        if (curl_url_get(u, CURLUPART_PORT, &port, 0) == CURLUE_OK && strcmp(port, "80") != 0)
            put_part(&w->plain_start, u, CURLUPART_PORT, ":");
        buf_puts(&w->plain_start, "\r\n");
        put_lines(&w->plain_lines, w->headers, NULL);
        if (w->plain_start.failed || w->plain_lines.failed)
            buf_reset(&w->plain_start);
    }
    curl_free(port);
    curl_url_cleanup(u);
}

static void put_head(struct webhook *w, struct flight *f)
{
    struct buf *b = &f->link.head;
    buf_reset(b);
    buf_str(b, buf_view(&w->plain_start));
    put_lines(b, f->own, w->headers);
    buf_str(b, buf_view(&w->plain_lines));
    buf_puts(b, "Content-Length: ");
    buf_u64(b, f->body.len);
    buf_puts(b, "\r\n\r\n");
}

/* --- the connection ----------------------------------------------------------------------------------------------- */

bool webhook_plain_open(struct webhook *w, struct flight *f)
{
    buf_init(&f->link.head, 3 * HEAD_MAX); /* of which the event's own lines take a sixteenth */
    http_reply_init(&f->link.reply);
    if (w->plain_start.len == 0)
        return true;
    f->link.dial = webhook_prepare(w, f);
    if (!f->link.dial)
        return false;
    http_set_url(f->link.dial, w->conf->endpoint);
    curl_easy_setopt(f->link.dial, CURLOPT_CONNECT_ONLY, 1L);
    return true;
}

static void stop_dialing(struct webhook *w, struct flight *f)
{
    if (!f->link.dialing)
        return;
    (void)curl_multi_remove_handle(w->multi, f->link.dial);
    f->link.dialing = false;
    w->n_multi--;
}

void webhook_plain_hang_up(struct webhook *w, struct flight *f)
{
    stop_dialing(w, f);
    if (f->link.fd >= 0)
        (void)close(f->link.fd);
    f->link.fd = -1;
}

void webhook_plain_close(struct webhook *w, struct flight *f)
{
    webhook_plain_hang_up(w, f);
    if (f->link.dial)
        curl_easy_cleanup(f->link.dial);
    buf_release(&f->link.head);
    http_reply_release(&f->link.reply);
}

static void failed(struct webhook *w, struct flight *f, CURLcode code)
{
    char why[SEND_WHY];
    webhook_explain(f, f->link.dial, code, why);
    webhook_plain_hang_up(w, f);
    f->busy = false;
    webhook_judge(w, f, SEND_RETRY, why, 0);
}

static void dial(struct webhook *w, struct flight *f)
{
    webhook_plain_hang_up(w, f);
    f->error[0] = 0;
    f->link.used = false;
    webhook_set_times(w, f->link.dial, f->deadline_ms);
    if (curl_multi_add_handle(w->multi, f->link.dial) != CURLM_OK) {
        failed(w, f, CURLE_FAILED_INIT);
        return;
    }
    f->link.dialing = true;
    w->n_multi++;
}

void webhook_plain_dialed(struct webhook *w, struct flight *f, CURLcode code)
{
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (code == CURLE_OK && curl_easy_getinfo(f->link.dial, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
        fd != CURL_SOCKET_BAD)
        f->link.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* libcurl closes its own whenever it likes */
    if (f->link.fd < 0) {
        failed(w, f, code == CURLE_OK ? CURLE_FAILED_INIT : code);
        return;
    }
    stop_dialing(w, f);
    webhook_plain_go(w, f);
}

/* --- to and fro --------------------------------------------------------------------------------------------------- */

static size_t unsent(const struct flight *f)
{
    return f->link.head.len + f->body.len - f->link.out;
}

static size_t left_to_send(const struct flight *f)
{
    return f->link.cut ? 0 : unsent(f);
}

/* A peer that takes no more of it may have answered nevertheless: so a failure shows when it is read. */
static void send_some(struct flight *f)
{
    struct plain_link *l = &f->link;
    while (left_to_send(f) > 0) {
        size_t of_head = l->out < l->head.len ? l->out : l->head.len, of_body = l->out - of_head;
        struct iovec v[] = {{l->head.p + of_head, l->head.len - of_head},
                            {f->body.p + of_body, f->body.len - of_body}};
        struct msghdr m = {.msg_iov = v, .msg_iovlen = 2};
        ssize_t n = sendmsg(l->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            l->cut = true;
            return;
        }
        l->out += (size_t)n;
    }
}

/* From its first byte on. */
static void begin(struct flight *f, bool used)
{
    f->link.used = used;
    f->link.out = 0;
    f->link.cut = f->link.answered = false;
    http_reply_reset(&f->link.reply);
}

static void send_anew(struct webhook *w, struct flight *f)
{
    begin(f, false);
    dial(w, f);
}

/* libcurl's rule too: a connection that was kept may have been closed by the peer just before, and who says nothing at all
 * has not served the request. */
static void broke_off(struct webhook *w, struct flight *f, CURLcode code)
{
    if (f->link.used && !f->link.reply.any)
        send_anew(w, f);
    else
        failed(w, f, code);
}

/* A place that is told relative to the endpoint; the caller's to free. */
static char *resolve(const char *endpoint, struct str location)
{
    char *text = str_dupz(location), *whole = NULL;
    CURLU *u = curl_url();
    if (u && curl_url_set(u, CURLUPART_URL, endpoint, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK) {
        free(text);
        text = x_strdup(whole);
    }
    curl_free(whole);
    curl_url_cleanup(u);
    return text;
}

static void replied(struct webhook *w, struct flight *f)
{
    const struct http_reply *r = &f->link.reply;
    bool leads = r->status >= 300 && r->status <= 399 && r->location.len > 0;
    char *location = leads ? resolve(w->conf->endpoint, buf_view(&r->location)) : NULL;
    f->retry_after_ms = r->retry_after_ms;
    if (r->last)
        webhook_plain_hang_up(w, f);
    f->busy = false;
    f->link.idle_since_ms = clock_mono_ms();
    webhook_replied(w, f, (long)r->status, location);
    free(location);
}

/* A reply is whole; more: something follows it. On a connection that was kept it may be a late word about an earlier event:
 * that is what it was when the peer does not even have this one yet, and may be when two come at once. On a new one it is
 * our own; but 2xx counts only when the peer has got the whole request. */
static void reply_ends(struct webhook *w, struct flight *f, bool more)
{
    struct plain_link *l = &f->link;
    bool success = l->reply.status >= 200 && l->reply.status <= 299;
    l->reply.last |= more || unsent(f) > 0;
    if (l->used && unsent(f) > 0)
        send_anew(w, f);
    else if (l->used && more)
        failed(w, f, CURLE_WEIRD_SERVER_REPLY);
    else if (success && l->cut)
        failed(w, f, CURLE_SEND_ERROR);
    else if (success && unsent(f) > 0)
        l->answered = true;
    else
        replied(w, f);
}

/* It has said 2xx, and here is the rest of the request. */
static void send_rest(struct webhook *w, struct flight *f)
{
    send_some(f);
    if (f->link.cut)
        failed(w, f, CURLE_SEND_ERROR);
    else if (unsent(f) == 0)
        replied(w, f);
}

/* False: no more is there now, or the request has ended. */
static bool read_some(struct webhook *w, struct flight *f)
{
    struct plain_link *l = &f->link;
    char bytes[READ_SIZE];
    ssize_t n = recv(l->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n == 0 && http_reply_ended(&l->reply)) {
        reply_ends(w, f, false);
        return false;
    }
    if (n <= 0) {
        broke_off(w, f, n < 0 ? CURLE_RECV_ERROR : l->reply.any ? CURLE_PARTIAL_FILE : CURLE_GOT_NOTHING);
        return false;
    }
    struct str in = str_n(bytes, (size_t)n);
    enum http_fed fed = http_reply_feed(&l->reply, &in, clock_real_ns() / 1000000000);
    if (fed == HTTP_FED_MORE)
        return n == READ_SIZE;
    if (fed == HTTP_FED_BROKEN) {
        failed(w, f, CURLE_WEIRD_SERVER_REPLY);
        return false;
    }
    reply_ends(w, f, in.n > 0);
    return false;
}

void webhook_plain_go(struct webhook *w, struct flight *f)
{
    if (f->link.answered) {
        send_rest(w, f);
        return;
    }
    send_some(f);
    for (unsigned i = 0; i < READS_MAX && read_some(w, f); i++)
        continue;
}

short webhook_plain_awaits(const struct flight *f)
{
    if (!f->busy || f->link.fd < 0 || f->by_curl)
        return 0;
    return (short)((f->link.answered ? 0 : POLLIN) | (left_to_send(f) > 0 ? POLLOUT : 0));
}

/* HTTP/1.1 tells replies apart by their order alone: what an idle connection has to say (a reply sent twice, a 408 before it
 * closes) would be taken for the answer to the next event. */
static bool is_quiet(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void webhook_plain_launch(struct webhook *w, struct flight *f)
{
    bool kept = f->link.fd >= 0 && clock_mono_ms() - f->link.idle_since_ms < IDLE_MS && is_quiet(f->link.fd);
    f->busy = true;
    f->error[0] = 0;
    put_head(w, f);
    begin(f, kept);
    if (kept)
        send_some(f);
    else
        dial(w, f);
}
