/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' events: published as they are handed over, resolved as the server answers. All of it is on the sender's thread. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/nats_impl.h"

#define SLICE_MS 100 /* how soon a hastened call notices */

void nats_wake(void *arg)
{
    struct nats *n = arg;
    uint64_t one = 1;
    ssize_t done = write(n->wake_fd, &one, sizeof(one));
    (void)done; /* it cannot be so full that it is not readable */
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

/* "place-serial": answers name the event by it. */
static struct str name_of(struct nats *n, const struct nats_place *p, struct str before)
{
    buf_reset(&n->packet);
    buf_str(&n->packet, before);
    buf_u64(&n->packet, (uint64_t)(p - n->place));
    buf_char(&n->packet, '-');
    buf_u64(&n->packet, p->serial);
    return buf_view(&n->packet);
}

static size_t publish_jetstream(struct nats *n, const struct nats_place *p)
{
    char inbox[40];
    struct str before = nats_inbox(n, 'x', inbox);
    before.n--; /* the dot stays */
    buf_reset(&n->id_text);
    nats_message_id(&n->id_text, p->ev, n->id, n->conf->subject);
    return nats_put_hpub(&n->stream.out, str_c(n->conf->subject), name_of(n, p, before),
                         buf_view(&n->id_text), buf_view(&n->body));
}

static size_t publish_streaming(struct nats *n, const struct nats_place *p)
{
    char inbox[40];
    buf_reset(&n->id_text);
    buf_str(&n->id_text, name_of(n, p, (struct str){0}));
    buf_reset(&n->packet);
    stan_put_message(&n->packet, &n->stan, buf_view(&n->id_text), str_c(n->conf->subject),
                     buf_view(&n->body));
    buf_reset(&n->id_text);
    buf_puts(&n->id_text, n->stan.publish);
    buf_char(&n->id_text, '.');
    buf_puts(&n->id_text, n->conf->subject);
    nats_put_pub(&n->stream.out, buf_view(&n->id_text), nats_inbox(n, 'a', inbox), buf_view(&n->packet));
    return n->packet.len;
}

static size_t publish_core(struct nats *n)
{
    nats_put_pub(&n->stream.out, str_c(n->conf->subject), (struct str){0}, buf_view(&n->body));
    return n->body.len;
}

/* A server ends the connection of who sends a message beyond its max_payload. */
static void refuse(struct nats *n, struct nats_place *p, size_t size)
{
    char why[SEND_WHY];
    (void)snprintf(why, sizeof(why), "%.60s: the event has %zu bytes, the server's max_payload is %lld",
                   n->names.shown, size, (long long)n->info.max_payload);
    nats_give_outcome(n, p, SEND_REJECT, why);
}

static void publish(struct nats *n, struct nats_place *p)
{
    size_t before = n->stream.out.len, size;
    buf_reset(&n->body);
    target_envelope(&n->body, p->ev);
    if (n->body.failed) {
        nats_give_outcome(n, p, SEND_REJECT, "the event is larger than 8 MiB");
        return;
    }
    size = n->mode == NATS_CORE        ? publish_core(n)
           : n->mode == NATS_JETSTREAM ? publish_jetstream(n, p)
                                       : publish_streaming(n, p);
    BUG_ON(n->stream.out.failed || n->packet.failed || n->id_text.failed);
    if (n->info.max_payload > 0 && size > (uint64_t)n->info.max_payload) {
        n->stream.out.len = before;
        refuse(n, p, size);
        return;
    }
    if (n->n_out == 0)
        n->acked_ms = clock_mono_ms();
    p->state = NATS_OUT;
    n->n_out++;
    n->published = p->serial;
    if (n->stream.out.len - n->written_to >= NATS_PIECE)
        nats_flush(n);
}

/* What waits, in the order of begin, as far as there is room. */
static void feed(struct nats *n)
{
    while (n->n_line > 0 && n->n_out < n->max_out && n->stream.out.len < NATS_AHEAD) {
        struct nats_place *p = &n->place[n->line[n->line_at]];
        n->line_at = (n->line_at + 1) % NATS_MAX_BATCH;
        n->n_line--;
        publish(n, p);
    }
}

void nats_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct nats *n = arg;
    BUG_ON(place >= NATS_MAX_BATCH || n->place[place].state != NATS_FREE || n->n_line == NATS_MAX_BATCH);
    struct nats_place *p = &n->place[place];
    /* NATS Streaming's acks come late when many are awaited, which is no fault: that they come at all is looked at. */
    int64_t until = n->mode == NATS_STREAMING ? deadline_ms : clock_mono_ms() + NATS_ANSWER_MS;
    *p = (struct nats_place){.state = NATS_QUEUED,
                             .ev = ev,
                             .deadline_ms = until < deadline_ms ? until : deadline_ms,
                             .serial = ++n->serial};
    n->n_open++;
    if (n->phase != NATS_UP) {
        nats_give_outcome(n, p, SEND_RETRY, n->lost);
        return;
    }
    n->look_ms = p->deadline_ms < n->look_ms ? p->deadline_ms : n->look_ms;
    n->line[(n->line_at + n->n_line++) % NATS_MAX_BATCH] = place;
    feed(n);
}

/* --- outcomes ----------------------------------------------------------------------------------------------------- */

/* Without those whose time was over before they were published: their places are used again. */
static void shorten_line(struct nats *n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n->n_line; i++) {
        unsigned at = n->line[(n->line_at + i) % NATS_MAX_BATCH];
        if (n->place[at].state == NATS_QUEUED)
            n->line[(n->line_at + kept++) % NATS_MAX_BATCH] = at;
    }
    n->n_line = kept;
}

/* When NATS Streaming counts as silent: none of the acks that are awaited has come. */
static int64_t silent_ms(const struct nats *n)
{
    return n->mode == NATS_STREAMING && n->n_out > 0 ? n->acked_ms + NATS_ANSWER_MS : INT64_MAX;
}

/* An answer to a PING that does not come ends the session; an ack that does not come is the event's own matter. With NATS
 * Streaming it says, too, that more are awaited than come in time, all of which would be published again for ever. */
static void give_up(struct nats *n)
{
    int64_t now = clock_mono_ms();
    bool hastened = atomic_load(&n->hasten_ms) <= now, all = hastened || silent_ms(n) <= now, fewer = false;
    char late[SEND_WHY];
    if (n->n_pings > 0 && now - n->pings[0].at_ms >= NATS_ANSWER_MS)
        nats_lose(n, STR("no answer in time"));
    if (n->n_open == 0 || (!all && now < n->look_ms))
        return;
    n->look_ms = INT64_MAX;
    (void)snprintf(late, sizeof(late), "%.60s: no answer in time%s", n->names.shown,
                   n->mode == NATS_JETSTREAM ? " (has the stream acknowledgements off?)" : "");
    for (size_t i = 0; i < NATS_MAX_BATCH; i++) {
        struct nats_place *p = &n->place[i];
        if (p->state != NATS_OUT && p->state != NATS_QUEUED)
            continue;
        if (!all && now < p->deadline_ms) {
            n->look_ms = p->deadline_ms < n->look_ms ? p->deadline_ms : n->look_ms;
            continue;
        }
        fewer |= n->mode == NATS_STREAMING && p->state == NATS_OUT && !hastened;
        nats_give_outcome(n, p, SEND_RETRY, late);
    }
    if (fewer && n->max_out > 1)
        n->max_out /= 2;
    shorten_line(n);
}

static size_t take_judged(struct nats *n, struct send_done *done)
{
    size_t found = n->n_judged;
    for (size_t i = 0; i < found; i++) {
        struct nats_place *p = &n->place[n->judged[i]];
        done[i] = (struct send_done){n->judged[i], p->result, 0};
        p->state = NATS_FREE;
    }
    n->n_judged = 0;
    return found;
}

static int64_t next_due(struct nats *n, int64_t until_ms)
{
    int64_t dues[] = {n->n_open > 0 ? n->look_ms : until_ms, atomic_load(&n->hasten_ms), silent_ms(n),
                      n->n_pings > 0 ? n->pings[0].at_ms + NATS_ANSWER_MS : until_ms,
                      n->conf->ping_interval > 0 ? n->pinged_ms + n->conf->ping_interval : until_ms};
    for (size_t i = 0; i < sizeof(dues) / sizeof(dues[0]); i++)
        if (dues[i] < until_ms)
            until_ms = dues[i];
    return until_ms;
}

/* Waits for the socket, a wake or the time; false when it is over or somebody woke us. */
static bool wait_some(struct nats *n, int64_t until_ms)
{
    struct pollfd fds[] = {{.fd = n->wake_fd, .events = POLLIN},
                           {.fd = n->stream.fd, .events = stream_events(&n->stream)}};
    int64_t now = clock_mono_ms(), left = next_due(n, until_ms) - now;
    uint64_t count;
    if (now >= until_ms || atomic_load(&n->hasten_ms) <= now)
        return false;
    if (n->stream.ssl && SSL_pending(n->stream.ssl) > 0)
        return true;
    if (poll(fds, 2, left < 0 ? 0 : (int)(left < SLICE_MS ? left : SLICE_MS)) <= 0)
        return true;
    return !fds[0].revents || read(n->wake_fd, &count, sizeof(count)) != sizeof(count);
}

/* Core: asks whether what was published has been read. All: as often as the settings say. */
static void ask(struct nats *n)
{
    int64_t every = n->conf->ping_interval;
    bool asks = n->mode == NATS_CORE && n->published > n->asked && n->n_out > 0;
    if (n->phase == NATS_UP && (asks || (every > 0 && clock_mono_ms() - n->pinged_ms >= every)))
        nats_ping(n);
}

size_t nats_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct nats *n = arg;
    int64_t gather_ms = INT64_MAX;
    for (bool going = true;; going = wait_some(n, gather_ms < until_ms ? gather_ms : until_ms)) {
        ask(n);
        nats_pump(n);
        if (n->n_line > 0 && n->phase == NATS_UP) {
            feed(n);
            ask(n);
            nats_flush(n);
        }
        give_up(n);
        if (!going || n->n_judged >= NATS_GATHER || (n->n_judged > 0 && n->n_open == 0))
            return take_judged(n, done);
        /* Answers come one by one, but quickly one after the other: a step for each would cost more than they do. */
        if (n->n_judged > 0 && gather_ms == INT64_MAX)
            gather_ms = clock_mono_ms() + NATS_GATHER_MS;
    }
}
