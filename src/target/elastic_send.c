/* SPDX-License-Identifier: Apache-2.0
 *
 * Elasticsearch's batches: one _bulk (more when it would be too large), whose reply has each event's own outcome. */
#include <stdio.h>

#include "base/clock.h"
#include "target/elastic_impl.h"

struct sending {
    struct elastic *el;
    const struct event_ref *ev;
    size_t n;
    enum send_result *out;
    int64_t until_ms;
    size_t items; /* of the request at hand */
};

static enum elastic_format format_of(const struct elastic *el)
{
    return (enum elastic_format)el->conf->format;
}

static void settle(struct sending *s, size_t i, enum send_result result, const char *why)
{
    s->out[i] = result;
    if (result != SEND_OK && s->ev[i].why)
        (void)snprintf(s->ev[i].why, SEND_WHY, "%.*s", SEND_WHY - 1, why);
}

/* The next events as one request, from `from` on; returns where to go on. s->items of them are in it. */
static size_t fill(struct sending *s, size_t from)
{
    struct elastic *el = s->el;
    enum elastic_format format = format_of(el);
    size_t i = from;
    buf_reset(&el->body);
    s->items = 0;
    for (; i < s->n && el->body.len < el->chunk; i++) {
        const struct event_ref *ev = &s->ev[i];
        if (ev->record.n > ELASTIC_EVENT_MAX) {
            settle(s, i, SEND_REJECT, "the event is larger than 1 MiB");
        } else if (format == ELASTIC_NAMESPACE && ev->stale) {
            settle(s, i, SEND_OK, "");
        } else {
            struct elastic_sent *item = &el->sent[s->items++];
            item->event = (unsigned)i;
            item->op = format == ELASTIC_ACCESS ? "create" : ev->removed ? "delete" : "index";
            elastic_id(ev, format, item->id);
            elastic_item(&el->body, ev, format, item->id);
        }
    }
    BUG_ON(el->body.failed);
    return i;
}

/* What became of the items of the request at hand. */
static void take_items(struct sending *s)
{
    struct elastic *el = s->el;
    elastic_judge(&el->names, buf_view(&el->reply), el->sent, s->items);
    for (size_t i = 0; i < s->items; i++) {
        const struct elastic_sent *item = &el->sent[i];
        settle(s, item->event, item->result, item->no_index && el->unmade[0] ? el->unmade : item->why);
        if (item->no_index)
            el->ready = false;
    }
}

/* Sends the request at hand; false and err: none of it, nor of what follows, was carried out. */
static bool request(struct sending *s, struct err *e)
{
    struct elastic *el = s->el;
    char why[SEND_WHY];
    if (s->items == 0)
        return true;
    long status = elastic_request(el, "POST", el->bulk_url, &el->body, s->until_ms, e);
    if (status == 200) {
        take_items(s);
        return true;
    }
    if (status == 413)
        el->chunk = el->chunk / 2 > ELASTIC_CHUNK_SMALL ? el->chunk / 2 : ELASTIC_CHUNK_SMALL;
    if (status != 0) {
        elastic_refused(&el->names, status, buf_view(&el->reply), why, sizeof(why));
        (void)err_set(e, "%s", why);
    }
    return false;
}

/* The reasons of those that nobody has said anything about, and the first of all. */
static void finish(struct sending *s, const struct err *why, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        char *own = s->ev[i].why;
        if (s->out[i] == SEND_OK)
            continue;
        if (own && !own[0])
            settle(s, i, s->out[i], why->text);
        if (!e->text[0])
            (void)err_set(e, "%s", own ? own : why->text);
    }
    e->retry_after_ms = why->retry_after_ms;
}

void elastic_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
                  struct err *e)
{
    struct elastic *el = arg;
    struct sending s = {.el = el, .ev = ev, .n = n, .out = out};
    struct err why = {0};
    for (size_t i = 0; i < n; i++)
        settle(&s, i, SEND_RETRY, "");
    /* After a batch of which only a part went through, the core goes on without connecting again. */
    bool going = el->ready || elastic_connect(el, deadline_ms, &why);
    s.until_ms = clock_mono_ms() + ELASTIC_ANSWER_MS;
    if (s.until_ms > deadline_ms)
        s.until_ms = deadline_ms;
    for (size_t next = 0; going && next < n;) {
        next = fill(&s, next);
        going = request(&s, &why);
    }
    finish(&s, &why, e);
}
