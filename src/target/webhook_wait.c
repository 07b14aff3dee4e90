/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's waiting: for libcurl's transfers, for connections of our own, for a wake, for the time. */
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/webhook_impl.h"

#define CONNECT_TIME_MS 5000
#define TOTAL_TIME_MS   60000
#define POLL_MS         200

int64_t webhook_time_left(struct webhook *w, int64_t deadline_ms)
{
    int64_t hasten = atomic_load(&w->hasten_ms);
    return (hasten < deadline_ms ? hasten : deadline_ms) - clock_mono_ms();
}

void webhook_hasten(void *arg, int64_t deadline_ms)
{
    struct webhook *w = arg; /* the loop looks at it at least five times a second */
    atomic_store(&w->hasten_ms, deadline_ms);
}

void webhook_wake(void *arg)
{
    struct webhook *w = arg;
    uint64_t one = 1;
    ssize_t n = write(w->wake_fd, &one, sizeof(one));
    (void)n; /* it cannot be so full that it is not readable */
}

void webhook_set_times(struct webhook *w, CURL *c, int64_t deadline_ms)
{
    int64_t left = webhook_time_left(w, deadline_ms);
    left = left < 1 ? 1 : left;
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(left < TOTAL_TIME_MS ? left : TOTAL_TIME_MS));
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(left < CONNECT_TIME_MS ? left : CONNECT_TIME_MS));
}

void webhook_land(struct webhook *w, struct flight *f)
{
    (void)curl_multi_remove_handle(w->multi, f->easy);
    w->n_multi--;
    f->busy = f->by_curl = false;
}

void webhook_drop(struct webhook *w, struct flight *f)
{
    if (f->by_curl)
        webhook_land(w, f);
    webhook_plain_hang_up(w, f);
    f->busy = false;
}

/* What is waited for beside libcurl's own: first the wake, then our connections; whose they are in `of`. */
struct awaited {
    struct pollfd fds[1 + WEBHOOK_IN_FLIGHT];
    struct flight *of[1 + WEBHOOK_IN_FLIGHT];
    unsigned n;
};

static void gather(struct webhook *w, bool may_wake, struct awaited *a)
{
    a->fds[0] = (struct pollfd){.fd = w->wake_fd, .events = may_wake ? POLLIN : 0};
    a->n = 1;
    for (size_t i = 0; i < WEBHOOK_IN_FLIGHT; i++) {
        struct flight *f = &w->flight[i];
        short events = webhook_plain_awaits(f);
        if (events == 0)
            continue;
        a->fds[a->n] = (struct pollfd){.fd = f->link.fd, .events = events};
        a->of[a->n++] = f;
    }
}

/* The same for libcurl, whose names of events are others. */
static bool wait_with_curl(struct webhook *w, struct awaited *a, int ms)
{
    struct curl_waitfd fds[1 + WEBHOOK_IN_FLIGHT];
    int ready;
    for (unsigned i = 0; i < a->n; i++)
        fds[i] =
            (struct curl_waitfd){.fd = a->fds[i].fd,
                                 .events = (short)((a->fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                                   (a->fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0))};
    if (curl_multi_poll(w->multi, fds, a->n, ms, &ready) != CURLM_OK)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        a->fds[i].revents = fds[i].revents ? POLLIN : 0;
    return true;
}

bool webhook_run(struct webhook *w, bool may_wake, int64_t deadline_ms)
{
    struct awaited a;
    uint64_t count;
    int running = (int)w->n_multi;
    if (w->n_multi > 0 && curl_multi_perform(w->multi, &running) != CURLM_OK)
        return false;
    int64_t left = webhook_time_left(w, deadline_ms);
    gather(w, may_wake, &a);
    if (left <= 0 && a.n == 1)
        return false;
    if (running < (int)w->n_multi || (w->n_multi == 0 && a.n == 1)) /* something, or all, has ended */
        return left > 0;
    int ms = left <= 0 ? 0 : (int)(left < POLL_MS ? left : POLL_MS); /* what is there is taken in any case */
    if (w->n_multi == 0)
        (void)poll(a.fds, a.n, ms);
    else if (!wait_with_curl(w, &a, ms))
        return false;
    for (unsigned i = 1; i < a.n; i++)
        if (a.fds[i].revents)
            webhook_plain_go(w, a.of[i]);
    if (left <= 0)
        return false;
    return !may_wake || !a.fds[0].revents || read(w->wake_fd, &count, sizeof(count)) != sizeof(count);
}
