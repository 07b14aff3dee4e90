/* SPDX-License-Identifier: Apache-2.0
 *
 * AMQP's events: published as they are handed over, resolved as the broker confirms them. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/amqp_impl.h"

#define POLL_MS    200
#define BLOCKED_MS 1000 /* what was under way may still be confirmed */

void rabbit_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct rabbit *r = arg; /* written by the poll that follows, together with its neighbours */
    rabbit_session_publish(&r->session, place, ev, deadline_ms);
}

void rabbit_wake(void *arg)
{
    struct rabbit *r = arg;
    uint64_t one = 1;
    ssize_t n = write(r->wake_fd, &one, sizeof(one));
    (void)n; /* it cannot be so full that it is not readable */
}

static int64_t soonest(struct rabbit *r, int64_t until_ms)
{
    int64_t hasten = atomic_load(&r->hasten_ms);
    return hasten < until_ms ? hasten : until_ms;
}

/* Events whose time is over, or that are out to a broker that has stopped reading. */
static void give_up(struct rabbit *r)
{
    struct rabbit_session *s = &r->session;
    int64_t now = clock_mono_ms();
    bool blocked = s->blocked && now - r->blocked_ms >= BLOCKED_MS;
    char late[120];
    if (s->n_order == 0 || (!blocked && soonest(r, s->look_ms) > now))
        return;
    (void)snprintf(late, sizeof(late), "%.60s: no confirm in time", r->address.shown);
    s->look_ms = INT64_MAX;
    for (size_t i = s->n_order; i-- > 0;) {
        unsigned place = s->order[i];
        int64_t deadline_ms = s->flight[place].deadline_ms;
        if (blocked)
            rabbit_session_give_up(s, place, s->blocked_why);
        else if (soonest(r, deadline_ms) <= now)
            rabbit_session_give_up(s, place, late);
        else if (deadline_ms < s->look_ms)
            s->look_ms = deadline_ms;
    }
}

/* What was cut off with the connection comes by itself, after what was confirmed: so it is clear that it is the target. */
static size_t take_judged(struct rabbit_session *s, struct send_done *done)
{
    size_t n = 0;
    for (int cut = 0; cut < 2 && n == 0; cut++) {
        size_t kept = 0;
        for (size_t i = 0; i < s->n_judged; i++) {
            struct rabbit_flight *f = &s->flight[s->judged[i]];
            if (f->cut != (bool)cut) {
                s->judged[kept++] = s->judged[i];
                continue;
            }
            done[n++] = (struct send_done){.place = s->judged[i], .result = f->result};
            f->judged = f->cut = false;
        }
        s->n_judged = kept;
    }
    return n;
}

/* Waits for the socket, a wake or the time; false when it is over or somebody woke us. */
static bool wait_some(struct rabbit *r, int64_t until_ms)
{
    struct pollfd fds[] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = r->fd, .events = rabbit_awaits(r)}};
    int64_t left = soonest(r, until_ms) - clock_mono_ms();
    uint64_t count;
    if (left <= 0)
        return false;
    if (poll(fds, 2, (int)(left < POLL_MS ? left : POLL_MS)) <= 0)
        return true;
    return !fds[0].revents || read(r->wake_fd, &count, sizeof(count)) != sizeof(count);
}

size_t rabbit_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct rabbit *r = arg;
    bool going = true;
    for (;;) {
        rabbit_pump(r);
        give_up(r);
        size_t n = take_judged(&r->session, done);
        if (n > 0 || !going)
            return n;
        int64_t look_ms = r->session.n_order > 0 ? r->session.look_ms : until_ms;
        going = wait_some(r, look_ms < until_ms ? look_ms : until_ms);
    }
}
