/* SPDX-License-Identifier: Apache-2.0
 *
 * Kafka's messages: from places to the library and back. Its threads do the sending; they are heard of in poll only. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/kafka_impl.h"

#define SLICE_MS     200         /* how soon a hastened call notices */
#define ROOM_SMALL   (64u << 10) /* bytes under way together after a batch was refused; then one message */
#define OKS_TO_WIDEN 2000
#define ROOM_ONE     1

static void judge(struct kafka *k, struct kafka_place *p, enum send_result result, const char *why)
{
    if (p->waits)
        k->n_waits--;
    p->waits = false;
    if (p->message) { /* it stays with the library */
        p->message->place = -1;
        k->n_placeless++;
        p->message = NULL;
    }
    p->judged = true;
    k->judged[k->n_judged++] = p->done.place;
    p->done.result = result;
    if (result != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%s", why);
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void free_message(struct kafka *k, struct kafka_message *m)
{
    if (m->state == KAFKA_UNDER_WAY) {
        k->n_under_way--;
        k->bytes_under_way -= m->size;
    }
    k->n_placeless -= m->place < 0;
    m->state = KAFKA_FREE;
}

/* A free one; else one that arrived and nobody asked for since; NULL when there is none. */
static struct kafka_message *new_message(struct kafka *k)
{
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < KAFKA_MESSAGES; i++) {
            struct kafka_message *m = &k->messages[k->next_message++ % KAFKA_MESSAGES];
            if (pass == 1 && m->state == KAFKA_ARRIVED)
                free_message(k, m);
            if (m->state == KAFKA_FREE)
                return m;
        }
    return NULL;
}

void kafka_forget_messages(struct kafka *k)
{
    for (unsigned i = 0; i < KAFKA_MESSAGES; i++)
        if (k->messages[i].state == KAFKA_UNDER_WAY)
            free_message(k, &k->messages[i]);
}

void kafka_give_up_places(struct kafka *k)
{
    for (unsigned i = 0; i < KAFKA_PLACES; i++) {
        struct kafka_place *p = &k->places[i];
        if (p->message) {
            p->message->place = -1;
            k->n_placeless++;
        }
        *p = (struct kafka_place){0};
    }
    k->n_waits = 0;
    k->n_judged = 0;
    k->look_ms = INT64_MAX;
}

/* The message of an event whose place was given up. */
static struct kafka_message *left_behind(struct kafka *k, uint64_t seq)
{
    for (unsigned i = 0; k->n_placeless > 0 && i < KAFKA_MESSAGES; i++) {
        struct kafka_message *m = &k->messages[i];
        if (m->state != KAFKA_FREE && m->place < 0 && m->seq == seq)
            return m;
    }
    return NULL;
}

/* --- to the library ----------------------------------------------------------------------------------------------- */

static void add_header(rd_kafka_headers_t *out, const char *name, struct str value)
{
    BUG_ON(rd_kafka_header_add(out, name, -1, value.p, (ssize_t)value.n) != 0);
}

/* CloudEvents' Kafka binding 3.2.3.1: names begin with ce_, values are UTF-8 as they are. */
static void add_attribute(void *ctx, const char *name, struct str value)
{
    char full[32];
    (void)snprintf(full, sizeof(full), "ce_%s", name);
    add_header(ctx, full, value);
}

static rd_kafka_headers_t *headers_of(const struct event_ref *ev)
{
    rd_kafka_headers_t *out = rd_kafka_headers_new(8);
    add_header(out, "content-type", STR("application/json"));
    payload_attributes(ev, add_attribute, out);
    return out;
}

/* With headers; 0, or the error. */
static rd_kafka_resp_err_t produce_event(struct kafka *k, const struct event_ref *ev, struct kafka_message *m)
{
    rd_kafka_headers_t *h = headers_of(ev);
    rd_kafka_resp_err_t err =
        rd_kafka_producev(k->rk, RD_KAFKA_V_RKT(k->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY(k->key.p, k->key.len), RD_KAFKA_V_VALUE(k->value.p, k->value.len),
                          RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_OPAQUE(m), RD_KAFKA_V_END);
    if (err) /* else they are the message's */
        rd_kafka_headers_destroy(h);
    return err;
}

static rd_kafka_resp_err_t produce_plain(struct kafka *k, struct kafka_message *m)
{
    if (rd_kafka_produce(k->topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, k->value.p, k->value.len,
                         k->key.p, k->key.len, m) == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    return rd_kafka_last_error();
}

/* The producer is of no use any more. */
static void fatal(struct kafka *k)
{
    char text[300] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(k->rk, text, sizeof(text));
    k->spoilt = true;
    kafka_explain(&k->names, code, str_c(text), k->trouble, sizeof(k->trouble));
}

/* The event in the place goes to the library, or has its outcome. False: it is to be tried later. */
static bool produce(struct kafka *k, struct kafka_place *p)
{
    char why[SEND_WHY];
    buf_reset(&k->value);
    target_envelope(&k->value, p->ev);
    if (k->value.failed) {
        judge(k, p, SEND_REJECT, "the event is larger than 1 MiB");
        return true;
    }
    if (k->n_under_way > 0 && k->bytes_under_way + k->value.len > k->room)
        return false;
    buf_reset(&k->key);
    buf_str(&k->key, p->ev->bucket);
    buf_char(&k->key, '/');
    buf_str(&k->key, p->ev->key);
    struct kafka_message *m = new_message(k);
    if (!m) {
        judge(k, p, SEND_RETRY, "too many events are with the library already");
        return true;
    }
    rd_kafka_resp_err_t err =
        k->conf->payload == PAYLOAD_CLOUDEVENTS ? produce_event(k, p->ev, m) : produce_plain(k, m);
    if (err == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return false;
    if (err == RD_KAFKA_RESP_ERR__FATAL)
        fatal(k);
    if (err) {
        (void)kafka_outcome(&k->names, err, false, k->trouble, why, sizeof(why));
        judge(k, p, SEND_RETRY, why);
        return true;
    }
    *m = (struct kafka_message){
        .state = KAFKA_UNDER_WAY, .place = (int)p->done.place, .seq = p->ev->sequencer, .size = k->value.len};
    k->alone = k->n_under_way == 0 ? m : NULL;
    k->n_under_way++;
    k->bytes_under_way += m->size;
    p->message = m;
    return true;
}

static void produce_waiting(struct kafka *k)
{
    for (unsigned i = 0; k->n_waits > 0 && k->rk && i < KAFKA_PLACES; i++) {
        struct kafka_place *p = &k->places[i];
        if (!p->waits)
            continue;
        if (!produce(k, p))
            return;
        if (p->waits)
            k->n_waits--;
        p->waits = false;
    }
}

void kafka_begin(void *arg, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct kafka *k = arg;
    struct kafka_place *p = &k->places[place];
    BUG_ON(p->used || !k->rk);
    *p = (struct kafka_place){.used = true,
                              .ev = ev,
                              .begun_ms = clock_mono_ms(),
                              .deadline_ms = deadline_ms,
                              .done = {.place = place}};
    int64_t ends = p->begun_ms + KAFKA_ANSWER_MS < deadline_ms ? p->begun_ms + KAFKA_ANSWER_MS : deadline_ms;
    k->look_ms = ends < k->look_ms ? ends : k->look_ms;
    struct kafka_message *m = left_behind(k, ev->sequencer);
    if (m && m->state == KAFKA_UNDER_WAY) {
        k->n_placeless--;
        m->place = (int)place;
        p->message = m;
    } else if (m) {
        free_message(k, m);
        judge(k, p, SEND_OK, "");
    } else if (k->n_waits > 0 || !produce(k, p)) {
        p->waits = true;
        k->n_waits++;
    }
}

/* --- from the library --------------------------------------------------------------------------------------------- */

/* A batch was refused because of one of its messages, or of all of them together: less goes together now. */
static void narrow(struct kafka *k)
{
    k->room = k->room > ROOM_SMALL ? ROOM_SMALL : ROOM_ONE;
    k->oks_in_room = 0;
}

static void widen(struct kafka *k)
{
    if (k->room == KAFKA_ROOM || ++k->oks_in_room < OKS_TO_WIDEN)
        return;
    k->room = k->room == ROOM_ONE ? ROOM_SMALL : KAFKA_ROOM;
    k->oks_in_room = 0;
}

/* True: its batch was refused, and it was not alone in it. */
static bool report(struct kafka *k, const rd_kafka_message_t *r)
{
    struct kafka_message *m = r->_private;
    char why[SEND_WHY];
    rd_kafka_msg_status_t status = rd_kafka_message_status(r);
    int code = r->err;
    if (!code && status != RD_KAFKA_MSG_STATUS_PERSISTED) /* the library knows no such case */
        code = RD_KAFKA_RESP_ERR__FAIL;
    bool alone = k->alone == m, refused = kafka_blames_batch(code) && !alone;
    enum send_result result = kafka_outcome(&k->names, code, alone, k->trouble, why, sizeof(why));
    if (result == SEND_OK) {
        k->down_ms = 0;
        k->trouble[0] = 0;
        widen(k);
    } else {
        k->doubt |= status != RD_KAFKA_MSG_STATUS_NOT_PERSISTED;
    }
    struct kafka_place *p = m->place >= 0 ? &k->places[m->place] : NULL;
    if (!p && result == SEND_OK) {
        k->n_under_way--;
        k->bytes_under_way -= m->size;
        m->state = KAFKA_ARRIVED;
        return false;
    }
    free_message(k, m);
    if (p) {
        p->message = NULL;
        judge(k, p, result, why);
    }
    return refused;
}

static void reports(struct kafka *k, rd_kafka_event_t *event)
{
    bool refused = false;
    for (const rd_kafka_message_t *r; (r = rd_kafka_event_message_next(event));)
        refused |= report(k, r);
    if (refused)
        narrow(k);
}

static void trouble(struct kafka *k, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *said = rd_kafka_event_error_string(event);
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (k->down_ms == 0)
            k->down_ms = clock_mono_ms();
        return; /* what was said before tells why */
    }
    if (rd_kafka_event_error_is_fatal(event)) {
        fatal(k);
        return;
    }
    k->spoilt |= code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL ||
                 code == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED;
    kafka_explain(&k->names, code, str_c(said ? said : ""), k->trouble, sizeof(k->trouble));
}

void kafka_serve(struct kafka *k)
{
    rd_kafka_event_t *event;
    while (k->queue && (event = rd_kafka_queue_poll(k->queue, 0))) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            reports(k, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            trouble(k, event);
        rd_kafka_event_destroy(event);
    }
}

/* --- waiting ------------------------------------------------------------------------------------------------------ */

/* When the event in the place counts as failed if nothing comes. */
static int64_t place_ends(const struct kafka *k, const struct kafka_place *p)
{
    int64_t ends = p->begun_ms + KAFKA_ANSWER_MS, hasten = atomic_load(&k->hasten_ms);
    int64_t since = k->down_ms > p->begun_ms ? k->down_ms : p->begun_ms;
    if (k->spoilt)
        return 0;
    if (k->down_ms > 0 && since + KAFKA_DOWN_MS < ends)
        ends = since + KAFKA_DOWN_MS;
    ends = p->deadline_ms < ends ? p->deadline_ms : ends;
    return hasten < ends ? hasten : ends;
}

/* Ends what has waited long enough; the next time to look, until_ms at most. */
static int64_t give_up(struct kafka *k, int64_t until_ms)
{
    int64_t now = clock_mono_ms(), look = INT64_MAX;
    char why[SEND_WHY];
    if (!k->spoilt && k->down_ms == 0 && atomic_load(&k->hasten_ms) == INT64_MAX && k->look_ms > now)
        return k->look_ms < until_ms ? k->look_ms : until_ms;
    for (unsigned i = 0; i < KAFKA_PLACES; i++) {
        struct kafka_place *p = &k->places[i];
        if (!p->used || p->judged)
            continue;
        int64_t ends = place_ends(k, p);
        if (ends > now) {
            look = ends < look ? ends : look;
            continue;
        }
        (void)kafka_outcome(&k->names, RD_KAFKA_RESP_ERR__TIMED_OUT, false, k->trouble, why, sizeof(why));
        judge(k, p, SEND_RETRY, why);
    }
    k->look_ms = look;
    return look < until_ms ? look : until_ms;
}

static size_t take_judged(struct kafka *k, struct send_done *done)
{
    size_t n = k->n_judged;
    for (size_t i = 0; i < n; i++) {
        struct kafka_place *p = &k->places[k->judged[i]];
        done[i] = p->done;
        *p = (struct kafka_place){0};
    }
    k->n_judged = 0;
    return n;
}

size_t kafka_poll(void *arg, struct send_done *done, int64_t until_ms)
{
    struct kafka *k = arg;
    for (;;) {
        uint64_t count;
        ssize_t rung = read(k->wake_fd, &count, sizeof(count)); /* before looking: nothing is missed */
        (void)rung;
        bool woken = atomic_exchange(&k->woken, false);
        kafka_serve(k);
        produce_waiting(k);
        int64_t next = give_up(k, until_ms), left = next - clock_mono_ms();
        size_t n = take_judged(k, done);
        if (n > 0 || woken || until_ms <= clock_mono_ms())
            return n;
        struct pollfd f = {.fd = k->wake_fd, .events = POLLIN};
        (void)poll(&f, 1, (int)(left < 0 ? 0 : left < SLICE_MS ? left : SLICE_MS));
    }
}

void kafka_wake(void *arg)
{
    struct kafka *k = arg;
    uint64_t one = 1;
    atomic_store(&k->woken, true);
    ssize_t n = write(k->wake_fd, &one, sizeof(one));
    (void)n; /* it cannot be so full that it is not readable */
}
