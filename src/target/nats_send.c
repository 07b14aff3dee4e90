/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' events: published as they come, resolved by what the link hands over. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/nats_impl.h"

#define ID_HEADER "Nats-Msg-Id"

void nats_wake(void *arg)
{
    struct nats *n = arg;
    uint64_t one = 1;
    ssize_t done = write(n->wake_fd, &one, sizeof(one));
    (void)done; /* it cannot be so full that it is not readable */
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

/* Each hands the body to the library; the place is out from then on, or the status says why not. */

static natsStatus publish_core(struct nats *n, struct nats_link *l)
{
    return natsConnection_Publish(l->nc, n->conf->subject, n->body.p, (int)n->body.len);
}

static natsStatus publish_jetstream(struct nats *n, struct nats_link *l, struct nats_place *p)
{
    natsMsg *msg = NULL;
    char id[NATS_ID_MAX];
    nats_message_id(p->ev, n->id, n->conf->subject, id);
    natsStatus s = natsMsg_Create(&msg, n->conf->subject, NULL, n->body.p, (int)n->body.len);
    if (s == NATS_OK)
        s = natsMsgHeader_Set(msg, ID_HEADER, id);
    mutex_lock(&l->mutex);
    nats_note_asked(l, p, msg);
    mutex_unlock(&l->mutex);
    if (s == NATS_OK)
        s = js_PublishMsgAsync(l->js, &msg, NULL);
    if (msg) { /* it was not taken */
        mutex_lock(&l->mutex);
        p->asked = NULL;
        mutex_unlock(&l->mutex);
        natsMsg_Destroy(msg);
    }
    return s;
}

static natsStatus publish_streaming(struct nats *n, struct nats_link *l, struct nats_place *p)
{
    struct nats_ticket *t = x_malloc(sizeof(*t));
    *t = (struct nats_ticket){l, (unsigned)(p - l->place), p->serial};
    natsStatus s = stanConnection_PublishAsync(l->sc, n->conf->subject, n->body.p, (int)n->body.len,
                                               nats_on_stan_ack, t);
    if (s != NATS_OK)
        free(t);
    return s;
}

static void refuse(struct nats *n, struct nats_link *l, struct nats_place *p, natsStatus s)
{
    char why[NATS_WHY];
    long long most = s == NATS_MAX_PAYLOAD ? natsConnection_GetMaxPayload(l->nc) : 0;
    mutex_lock(&l->mutex);
    if (s == NATS_MAX_PAYLOAD) {
        (void)snprintf(why, sizeof(why), "%.60s: the event has %zu bytes, the server's max_payload is %lld",
                       n->names.shown, n->body.len, most);
        nats_judge(l, p, SEND_REJECT, why);
    } else if (p->state == PLACE_OUT) {
        const char *text = l->state == LINK_DOWN         ? l->why
                           : s == NATS_CONNECTION_CLOSED ? NATS_HUNG_UP
                                                         : natsStatus_GetText(s);
        nats_explain(&n->names, text, why, sizeof(why));
        nats_judge(l, p, SEND_RETRY, why);
    }
    mutex_unlock(&l->mutex);
}

/* Its state is PLACE_OUT already, so that an answer that comes at once finds it. */
static void publish(struct nats *n, struct nats_link *l, struct nats_place *p)
{
    natsStatus s;
    buf_reset(&n->body);
    target_envelope(&n->body, p->ev);
    if (n->body.failed) {
        mutex_lock(&l->mutex);
        nats_judge(l, p, SEND_REJECT, "the event is larger than 8 MiB");
        mutex_unlock(&l->mutex);
        return;
    }
    if (n->mode == NATS_CORE)
        s = publish_core(n, l);
    else if (n->mode == NATS_JETSTREAM)
        s = publish_jetstream(n, l, p);
    else
        s = publish_streaming(n, l, p);
    if (s != NATS_OK) {
        refuse(n, l, p, s);
        return;
    }
    mutex_lock(&l->mutex);
    l->published = p->serial;
    if (p->serial % NATS_FLUSH_EVERY == 0)
        cond_signal(&l->cond);
    mutex_unlock(&l->mutex);
}

void nats_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct nats *n = arg;
    struct nats_link *l = n->link;
    BUG_ON(!l || place >= NATS_MAX_BATCH);
    struct nats_place *p = &l->place[place];
    int64_t until = clock_mono_ms() + NATS_ANSWER_MS;
    mutex_lock(&l->mutex);
    BUG_ON(p->state != PLACE_FREE);
    *p = (struct nats_place){
        .ev = ev, .deadline_ms = until < deadline_ms ? until : deadline_ms, .serial = ++l->serial};
    bool now = l->state == LINK_UP && (n->mode != NATS_STREAMING || l->n_out < n->max_out);
    p->state = now ? PLACE_OUT : PLACE_QUEUED;
    l->look_ms = p->deadline_ms < l->look_ms ? p->deadline_ms : l->look_ms;
    l->n_queued += !now;
    l->n_open++;
    l->n_out += now && n->mode == NATS_STREAMING;
    mutex_unlock(&l->mutex);
    if (now)
        publish(n, l, p);
}

/* --- outcomes ----------------------------------------------------------------------------------------------------- */

/* mutex held. What is out when its time is over, or the link is down. */
static void give_up(struct nats *n, struct nats_link *l)
{
    int64_t now = clock_mono_ms();
    bool all = now >= atomic_load(&n->hasten_ms);
    char why[NATS_WHY] = "";
    if (l->state == LINK_UP && !all && now < l->look_ms)
        return;
    l->look_ms = INT64_MAX;
    for (size_t i = 0; i < NATS_MAX_BATCH; i++) {
        struct nats_place *p = &l->place[i];
        if (p->state != PLACE_OUT && p->state != PLACE_QUEUED)
            continue;
        if (l->state != LINK_UP) {
            if (!why[0])
                nats_explain(&n->names, l->why, why, sizeof(why));
            nats_judge(l, p, SEND_RETRY, why);
        } else if (all || now >= p->deadline_ms) {
            char late[NATS_WHY];
            (void)snprintf(late, sizeof(late), "%.60s: no answer in time%s", n->names.shown,
                           n->mode == NATS_JETSTREAM ? " (has the stream acknowledgements off?)" : "");
            nats_judge(l, p, SEND_RETRY, late);
        } else if (p->deadline_ms < l->look_ms) {
            l->look_ms = p->deadline_ms;
        }
    }
}

static size_t collect(struct nats_link *l, struct send_done *done)
{
    size_t n = l->n_judged;
    for (size_t i = 0; i < n; i++) {
        struct nats_place *p = &l->place[l->judged[i]];
        done[i] = (struct send_done){l->judged[i], p->result, 0};
        p->state = PLACE_FREE;
    }
    l->n_judged = 0;
    return n;
}

/* mutex held. NATS Streaming: the oldest event that waits for a place among the acks awaited. */
static struct nats_place *next_queued(struct nats *n, struct nats_link *l)
{
    struct nats_place *next = NULL;
    if (l->n_queued == 0 || l->n_out >= n->max_out || l->state != LINK_UP)
        return NULL;
    for (size_t i = 0; i < NATS_MAX_BATCH; i++)
        if (l->place[i].state == PLACE_QUEUED && (!next || l->place[i].serial < next->serial))
            next = &l->place[i];
    return next;
}

static void feed(struct nats *n, struct nats_link *l)
{
    struct nats_place *p;
    while ((p = next_queued(n, l))) {
        p->state = PLACE_OUT;
        l->n_queued--;
        l->n_out++;
        mutex_unlock(&l->mutex);
        publish(n, l, p);
        mutex_lock(&l->mutex);
    }
}

/* Lets the other threads work until something was handed over, at most until p. False: the time is over. */
static bool await(struct nats *n, const struct patience *p)
{
    uint64_t count;
    return patience_poll(p, n->wake_fd, POLLIN) && read(n->wake_fd, &count, sizeof(count)) == sizeof(count);
}

/* Acks come one by one, but quickly one after the other: waking for each of them would cost more than they do. */
static void gather(struct nats *n, struct nats_link *l)
{
    mutex_lock(&l->mutex);
    bool more = l->state == LINK_UP && l->n_judged > 0 && l->n_judged < n->gather && l->n_open > 0;
    l->enough = n->gather;
    l->waiting = more;
    mutex_unlock(&l->mutex);
    struct patience p = {clock_mono_ms() + NATS_GATHER_MS, &n->hasten_ms};
    if (more)
        (void)await(n, &p);
}

size_t nats_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct nats *n = arg;
    struct nats_link *l = n->link;
    bool more = true;
    size_t got;
    if (!l)
        return 0;
    for (;;) {
        mutex_lock(&l->mutex);
        if (n->mode == NATS_STREAMING)
            feed(n, l);
        if (l->published > l->confirmed &&
            l->asked == l->answered) /* else they would lie in a buffer for 1 ms */
            nats_link_ask(l);
        give_up(n, l);
        got = collect(l, done);
        struct patience p = {l->n_open > 0 && l->look_ms < until_ms ? l->look_ms : until_ms, &n->hasten_ms};
        l->waiting = got == 0 && more;
        l->enough = 1;
        mutex_unlock(&l->mutex);
        if (got > 0 || !more)
            return got;
        if (await(n, &p)) {
            more = false;
            gather(n, l);
        } else {
            more = clock_mono_ms() < until_ms;
        }
    }
}
