/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's events: handed over one by one, published by the hundred. All of it is on the sender's thread. */
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/nsq_impl.h"

#define SLICE_MS 100 /* how soon a hastened call notices */

void nsq_wake(void *arg)
{
    struct nsq *n = arg;
    uint64_t one = 1;
    ssize_t done = write(n->wake_fd, &one, sizeof(one));
    (void)done; /* it cannot be so full that it is not readable */
}

void nsq_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct nsq *n = arg;
    BUG_ON(place >= NSQ_MAX_BATCH || n->place[place].state != NSQ_FREE || n->n_line == NSQ_MAX_BATCH);
    struct nsq_place *p = &n->place[place];
    *p = (struct nsq_place){.state = NSQ_OPEN, .ev = ev, .deadline_ms = deadline_ms};
    if (ev->record.n > NSQ_EVENT_MAX) {
        nsq_give_outcome(n, p, SEND_REJECT, "the event is larger than 4 MiB");
    } else if (n->phase == NSQ_DOWN) {
        nsq_give_outcome(n, p, SEND_RETRY, n->lost);
    } else {
        n->look_ms = n->n_line == 0 || deadline_ms < n->look_ms ? deadline_ms : n->look_ms;
        n->line[(n->line_at + n->n_line++) % NSQ_MAX_BATCH] = place;
    }
}

/* --- publishing --------------------------------------------------------------------------------------------------- */

/* What is written needs no room any more; all of it goes only when nothing waits, which may never be. */
static void drop_written(struct stream *s)
{
    if (s->written > 0)
        buf_consume(&s->out, s->written);
    s->written = 0;
}

/* The next command, of what waits. */
static void build(struct nsq *n)
{
    struct buf *out = &n->stream.out;
    struct nsq_publish p;
    nsq_publish_begin(&p, out);
    for (unsigned i = n->n_out; i < n->n_line && p.n < NSQ_COMMAND_EVENTS; i++) {
        struct nsq_place *next = nsq_in_line(n, i);
        size_t before = out->len;
        next->size = nsq_publish_add(&p, out, next->ev);
        BUG_ON(out->failed);
        if (p.n > 1 && out->len - p.body > n->chunk) { /* the next command's */
            out->len = before;
            p.n--;
            break;
        }
    }
    nsq_publish_end(&p, out, n->conf->topic);
    n->n_out += p.n;
    n->command[n->n_commands++] = (struct nsq_command){p.n, nsq_end(n), clock_mono_ms() + NSQ_ANSWER_MS};
}

/* When the first time of an event in the line is over, or of one that was refused and is not told. */
static int64_t earliest(struct nsq *n)
{
    int64_t at = INT64_MAX;
    for (unsigned i = 0; i < n->n_refused; i++)
        if (n->place[n->refused[i]].deadline_ms < at)
            at = n->place[n->refused[i]].deadline_ms;
    for (unsigned i = 0; i < n->n_line; i++)
        if (nsq_in_line(n, i)->deadline_ms < at)
            at = nsq_in_line(n, i)->deadline_ms;
    return at;
}

/* What waits goes in as few commands as may be out: those that come meanwhile gather for the next one. */
static void feed(struct nsq *n)
{
    if (n->phase == NSQ_AGAIN && n->n_line > 0)
        nsq_log_in(n, earliest(n));
    while (n->phase == NSQ_UP && n->n_commands < NSQ_COMMANDS && n->n_out < n->n_line) {
        drop_written(&n->stream);
        if (n->stream.out.max - n->stream.out.len < NSQ_COMMAND_ROOM)
            return; /* answers to heartbeats that are not read */
        build(n);
        nsq_flush(n);
    }
}

/* --- outcomes ----------------------------------------------------------------------------------------------------- */

static bool is_late(struct nsq *n, int64_t now)
{
    return (n->n_line > 0 && atomic_load(&n->hasten_ms) <= now) ||
           (n->n_commands > 0 && n->command[0].until_ms <= now) || (nsq_logs_in(n) && n->login_ms <= now);
}

/* What might still come after it was given up would be taken for another's answer; so that ends the connection. An event
 * that is in no command yet is but its own matter. */
static void give_up(struct nsq *n)
{
    int64_t now = clock_mono_ms();
    bool late = is_late(n, now);
    char why[SEND_WHY];
    if (!late && (n->n_line == 0 || now < n->look_ms))
        return;
    (void)snprintf(why, sizeof(why), "%.60s: no answer in time", n->address.shown);
    for (unsigned i = 0; i < n->n_out && !late; i++)
        late = nsq_in_line(n, i)->deadline_ms <= now;
    if (late) {
        nsq_lose(n, why);
        return;
    }
    for (unsigned i = n->n_out; i < n->n_line; i++)
        if (nsq_in_line(n, i)->deadline_ms <= now)
            nsq_give_outcome(n, nsq_in_line(n, i), SEND_RETRY, why);
    nsq_shorten_line(n);
    n->look_ms = earliest(n);
    if (n->look_ms <= now) { /* of those in the line, none is */
        nsq_tell_refused(n);
        n->look_ms = earliest(n);
    }
}

/* What was cut off with the connection comes by itself, after what was confirmed: so it is clear that it is the target. */
static size_t take_judged(struct nsq *n, struct send_done *done)
{
    unsigned found = 0;
    while (found < n->n_judged && n->place[n->judged[found]].cut == n->place[n->judged[0]].cut)
        found++;
    for (unsigned i = 0; i < found; i++) {
        struct nsq_place *p = &n->place[n->judged[i]];
        done[i] = (struct send_done){n->judged[i], p->result, 0};
        p->state = NSQ_FREE;
    }
    n->n_judged -= found;
    memmove(n->judged, n->judged + found, n->n_judged * sizeof(*n->judged));
    return found;
}

static int64_t next_due(struct nsq *n, int64_t until_ms)
{
    int64_t dues[] = {n->n_line > 0 ? n->look_ms : until_ms,
                      n->n_commands > 0 ? n->command[0].until_ms : until_ms,
                      nsq_logs_in(n) ? n->login_ms : until_ms, atomic_load(&n->hasten_ms)};
    for (size_t i = 0; i < sizeof(dues) / sizeof(dues[0]); i++)
        if (dues[i] < until_ms)
            until_ms = dues[i];
    return until_ms;
}

/* Waits for the socket, a wake or the time; false when it is over or somebody woke us. */
static bool wait_some(struct nsq *n, int64_t until_ms)
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

size_t nsq_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct nsq *n = arg;
    for (bool going = true;; going = wait_some(n, until_ms)) {
        nsq_pump(n);
        give_up(n); /* before it is published */
        feed(n);
        if (n->n_line == 0)
            nsq_tell_refused(n);
        size_t found = take_judged(n, done);
        if (found > 0 || !going)
            return found;
    }
}
