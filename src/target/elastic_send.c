/* SPDX-License-Identifier: Apache-2.0
 *
 * Elasticsearch's events: a few _bulk requests are on their way at a time, each over a connection of its own, and the reply to
 * one has each of its events' own outcome. Two of them may be carried out in any order, which does not matter: the core
 * hands over one event of a key at a time. */
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/elastic_impl.h"

static enum elastic_format format_of(const struct elastic *el)
{
    return (enum elastic_format)el->conf->format;
}

/* --- places ------------------------------------------------------------------------------------------------------- */

static void judge(struct elastic *el, unsigned place, enum send_result result, const char *why,
                  int64_t retry_after_ms)
{
    struct elastic_place *p = &el->place[place];
    p->state = ELASTIC_JUDGED;
    p->result = result;
    p->retry_after_ms = result == SEND_OK ? 0 : retry_after_ms;
    if (result != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%.*s", SEND_WHY - 1, why);
}

void elastic_forget(struct elastic *el)
{
    el->n_line = 0;
    for (unsigned i = 0; i < ELASTIC_MAX_BATCH; i++)
        el->place[i].state = ELASTIC_FREE;
}

void elastic_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct elastic *el = arg; /* sent by the poll that follows, together with its neighbours */
    BUG_ON(place >= ELASTIC_MAX_BATCH || el->place[place].state != ELASTIC_FREE);
    el->place[place] = (struct elastic_place){.state = ELASTIC_OUT, .ev = ev, .deadline_ms = deadline_ms};
    if (ev->record.n > ELASTIC_EVENT_MAX)
        judge(el, place, SEND_REJECT, "the event is larger than 1 MiB", 0);
    else if (format_of(el) == ELASTIC_NAMESPACE && ev->stale)
        judge(el, place, SEND_OK, NULL, 0);
    else
        el->line[el->n_line++] = (uint16_t)place;
}

void elastic_wake(void *arg)
{
    struct elastic *el = arg;
    uint64_t one = 1;
    ssize_t n = write(el->wake_fd, &one, sizeof(one));
    (void)n; /* it cannot be so full that it is not readable */
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static void add_item(struct elastic_request *r, unsigned place)
{
    enum elastic_format format = format_of(r->el);
    const struct event_ref *ev = r->el->place[place].ev;
    struct elastic_sent *item = &r->sent[r->n++];
    item->event = place;
    item->op = format == ELASTIC_ACCESS ? "create" : ev->removed ? "delete" : "index";
    elastic_id(ev, format, item->id);
    elastic_item(&r->body, ev, format, item->id);
}

static void judge_all(struct elastic_request *r, const char *why, int64_t retry_after_ms)
{
    for (size_t i = 0; i < r->n; i++)
        judge(r->el, r->sent[i].event, SEND_RETRY, why, retry_after_ms);
}

/* The first events of the line go out as one request. */
static void launch(struct elastic *el, struct elastic_request *r)
{
    struct err e = {0};
    int64_t until = clock_mono_ms() + ELASTIC_ANSWER_MS;
    unsigned i = 0;
    buf_reset(&r->body);
    r->n = 0;
    for (; i < el->n_line && i < ELASTIC_ITEMS && r->body.len < el->chunk; i++) {
        int64_t deadline = el->place[el->line[i]].deadline_ms;
        until = deadline < until ? deadline : until;
        add_item(r, el->line[i]);
    }
    BUG_ON(r->body.failed);
    el->n_line -= i;
    memmove(el->line, el->line + i, el->n_line * sizeof(*el->line));
    if (!elastic_launch(r, "POST", el->bulk_url, true, until, &e))
        judge_all(r, e.text, 0);
}

/* The index was not there for an event, so it is looked for (and made) once no request is out; the core goes on without
 * connecting after a batch of which only a part went through. It is all that can be done for what waits; so it may take
 * longer than the poll was given. */
static void find_index(struct elastic *el)
{
    struct err e = {0};
    if (elastic_find_index(el, el->place[el->line[0]].deadline_ms, &e))
        return;
    for (unsigned i = 0; i < el->n_line; i++)
        judge(el, el->line[i], SEND_RETRY, e.text, e.retry_after_ms);
    el->n_line = 0;
}

static void send_line(struct elastic *el)
{
    if (!el->ready && el->n_line > 0 && el->n_busy == 0)
        find_index(el);
    for (size_t i = 0; i < ELASTIC_REQUESTS && el->ready && el->n_line > 0; i++)
        if (!el->request[i].busy)
            launch(el, &el->request[i]);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static void take_items(struct elastic_request *r, int64_t retry_after_ms)
{
    struct elastic *el = r->el;
    elastic_judge(&el->names, buf_view(&r->reply), r->sent, r->n);
    for (size_t i = 0; i < r->n; i++) {
        const struct elastic_sent *item = &r->sent[i];
        judge(el, item->event, item->result, item->no_index && el->unmade[0] ? el->unmade : item->why,
              retry_after_ms);
        if (item->no_index)
            el->ready = false;
    }
}

static void take_answers(struct elastic *el)
{
    struct elastic_request *r;
    struct err e;
    long status;
    char why[SEND_WHY];
    while ((r = elastic_ended(el, &status, &e))) {
        if (status == 200) {
            take_items(r, e.retry_after_ms);
            continue;
        }
        if (status == 413)
            el->chunk = el->chunk / 2 > ELASTIC_CHUNK_SMALL ? el->chunk / 2 : ELASTIC_CHUNK_SMALL;
        if (status == 0)
            (void)snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, e.text);
        else
            elastic_refused(&el->names, status, buf_view(&r->reply), why, sizeof(why));
        judge_all(r, why, e.retry_after_ms);
    }
}

/* What has an outcome, whatever it is: an item of a request has its own. */
static size_t take_judged(struct elastic *el, struct send_done *done)
{
    size_t n = 0;
    for (unsigned i = 0; i < ELASTIC_MAX_BATCH; i++) {
        struct elastic_place *p = &el->place[i];
        if (p->state != ELASTIC_JUDGED)
            continue;
        done[n++] = (struct send_done){i, p->result, p->retry_after_ms};
        p->state = ELASTIC_FREE;
    }
    return n;
}

/* The next time at which something that is out is given up, or until_ms when that is earlier. */
static int64_t next_deadline(const struct elastic *el, int64_t until_ms)
{
    for (size_t i = 0; i < ELASTIC_REQUESTS; i++)
        if (el->request[i].busy && el->request[i].until_ms < until_ms)
            until_ms = el->request[i].until_ms;
    return until_ms;
}

size_t elastic_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct elastic *el = arg;
    for (bool going = true;;) {
        send_line(el);
        take_answers(el);
        size_t n = take_judged(el, done);
        if (n > 0 || !going)
            return n;
        going = elastic_run(el, true, next_deadline(el, until_ms));
    }
}
