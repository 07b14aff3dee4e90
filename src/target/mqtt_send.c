/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT's events: published as they are handed over, resolved as the broker acknowledges them. Never "send some, wait for
 * all": a broker that holds back small answers (Nagle) would let each such round cost 40 ms. */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/mqtt_impl.h"

#define SLICE_MS 100 /* how soon a hastened call notices */

static uint16_t free_id(struct mqtt *m)
{
    do
        m->next_id++;
    while (m->next_id == 0 || m->place_of[m->next_id]);
    return m->next_id;
}

static void publish(struct mqtt *m, struct mqtt_place *p)
{
    p->state = MQTT_OUT;
    m->n_published++;
    if (m->conf->qos > 0) {
        p->id = free_id(m);
        m->place_of[p->id] = (uint8_t)(p - m->place + 1);
    }
    buf_reset(&m->payload);
    target_envelope(&m->payload, p->ev);
    mqtt_put_publish(&m->packet, m->conf->topic, (unsigned)m->conf->qos, p->id, buf_view(&m->payload));
    BUG_ON(m->payload.failed || m->packet.failed);
    mqtt_say(m);
}

/* What waits for room, in the order of begin. */
static void feed(struct mqtt *m)
{
    while (m->n_out > m->n_published && m->n_published < MQTT_QOS2_OUT) {
        struct mqtt_place *next = NULL;
        for (size_t i = 0; i < MQTT_MAX_BATCH; i++)
            if (m->place[i].state == MQTT_QUEUED && (!next || m->place[i].serial < next->serial))
                next = &m->place[i];
        BUG_ON(!next);
        publish(m, next);
    }
}

void mqtt_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct mqtt *m = arg; /* written by the poll that follows, together with its neighbours */
    BUG_ON(place >= MQTT_MAX_BATCH || m->place[place].state != MQTT_FREE);
    struct mqtt_place *p = &m->place[place];
    int64_t until = clock_mono_ms() + MQTT_ANSWER_MS;
    bool large = ev->record.n > MQTT_EVENT_MAX;
    *p = (struct mqtt_place){.state = MQTT_QUEUED,
                             .ev = ev,
                             .deadline_ms = until < deadline_ms ? until : deadline_ms,
                             .serial = ++m->serial};
    m->n_out++;
    if (large)
        mqtt_judge(m, p, SEND_REJECT, "the event is larger than 1 MiB");
    else if (!m->welcome)
        mqtt_judge(m, p, SEND_RETRY, m->lost);
    else if (m->conf->qos < 2 || (m->n_published < MQTT_QOS2_OUT && m->n_out == m->n_published + 1))
        publish(m, p);
}

void mqtt_wake(void *arg)
{
    struct mqtt *m = arg;
    uint64_t one = 1;
    ssize_t n = write(m->wake_fd, &one, sizeof(one));
    (void)n; /* it cannot be so full that it is not readable */
}

/* An event without an answer in time ends the session: a late answer would be taken for that of another event. */
static void give_up(struct mqtt *m)
{
    int64_t now = clock_mono_ms();
    bool all = atomic_load(&m->hasten_ms) <= now, late = false;
    char why[SEND_WHY];
    for (size_t i = 0; m->n_out > 0 && i < MQTT_MAX_BATCH; i++) {
        const struct mqtt_place *p = &m->place[i];
        late =
            late || ((p->state == MQTT_OUT || p->state == MQTT_RELEASED) && (all || p->deadline_ms <= now));
    }
    if (!late)
        return;
    (void)snprintf(why, sizeof(why), "%.60s: no answer in time", m->address.to.shown);
    mqtt_lose(m, why);
}

static size_t take_judged(struct mqtt *m, struct send_done *done)
{
    size_t n = 0;
    for (unsigned i = 0; i < MQTT_MAX_BATCH; i++) {
        if (m->place[i].state != MQTT_JUDGED)
            continue;
        done[n++] = (struct send_done){.place = i, .result = m->place[i].result};
        m->place[i].state = MQTT_FREE;
    }
    return n;
}

static int64_t next_due(const struct mqtt *m, int64_t until_ms)
{
    for (size_t i = 0; m->n_out > 0 && i < MQTT_MAX_BATCH; i++)
        if (m->place[i].state != MQTT_FREE && m->place[i].deadline_ms < until_ms)
            until_ms = m->place[i].deadline_ms;
    int64_t hasten = atomic_load(&m->hasten_ms);
    return hasten < until_ms ? hasten : until_ms;
}

/* Waits for the socket, a wake or the time; false when it is over or somebody woke us. */
static bool wait_some(struct mqtt *m, int64_t until_ms)
{
    struct pollfd fds[] = {{.fd = m->wake_fd, .events = POLLIN},
                           {.fd = m->stream.fd, .events = stream_events(&m->stream)}};
    int64_t left = next_due(m, until_ms) - clock_mono_ms();
    uint64_t count;
    if (left <= 0)
        return false;
    if (poll(fds, 2, (int)(left < SLICE_MS ? left : SLICE_MS)) <= 0)
        return true;
    return !fds[0].revents || read(m->wake_fd, &count, sizeof(count)) != sizeof(count);
}

size_t mqtt_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct mqtt *m = arg;
    for (bool going = true;; going = wait_some(m, until_ms)) {
        if (m->conf->qos == 0 && m->n_out > 0 && !m->pinged && m->welcome)
            mqtt_ping(m);
        mqtt_pump(m);
        if (m->n_out > m->n_published && m->n_published < MQTT_QOS2_OUT) {
            feed(m);
            mqtt_pump(m);
        }
        give_up(m);
        size_t n = take_judged(m, done);
        if (n > 0 || !going)
            return n;
    }
}
