/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that speaks AMQP 0-9-1: it lets everybody in, and answers each publish as the key of the event in its body
 * asks. A request is a frame, or the eight bytes that a connection begins with. */
#include <amqp.h>
#include <stdio.h>
#include <sys/socket.h>

#include "receiver.h"
#include "target/amqp_impl.h"

static size_t complete(struct buf *in)
{
    struct str rest = buf_view(in);
    struct rabbit_frame f;
    if (in->len >= 8 && memcmp(in->p, "AMQP", 4) == 0)
        return 8;
    if (rabbit_frame_take(&rest, RABBIT_FRAME_MAX, &f) != RABBIT_TAKEN)
        return 0;
    return in->len - rest.n;
}

static bool say(struct visit *v, const struct buf *b)
{
    size_t sent = 0;
    while (sent < b->len) {
        ssize_t n = send(v->fd, b->p + sent, b->len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

static bool say_method(struct visit *v, unsigned channel, uint32_t id, void *method)
{
    struct buf b;
    buf_init(&b, 64u << 10);
    rabbit_method_put(&b, channel, id, method);
    bool ok = say(v, &b);
    buf_release(&b);
    return ok;
}

static bool say_start(struct visit *v)
{
    amqp_connection_start_t m = {.version_minor = 9,
                                 .mechanisms = amqp_cstring_bytes("AMQPLAIN PLAIN"),
                                 .locales = amqp_cstring_bytes("en_US")};
    return say_method(v, 0, AMQP_CONNECTION_START_METHOD, &m);
}

/* The steps of the login, one answer each. */
static bool answer_login(struct visit *v, uint32_t id)
{
    amqp_connection_tune_t tune = {.channel_max = 2047, .frame_max = 131072, .heartbeat = 60};
    amqp_connection_open_ok_t open = {0};
    amqp_channel_open_ok_t channel = {0};
    amqp_exchange_declare_ok_t declare = {0};
    amqp_confirm_select_ok_t select = {0};
    switch (id) {
    case AMQP_CONNECTION_START_OK_METHOD:
        return say_method(v, 0, AMQP_CONNECTION_TUNE_METHOD, &tune);
    case AMQP_CONNECTION_OPEN_METHOD:
        return say_method(v, 0, AMQP_CONNECTION_OPEN_OK_METHOD, &open);
    case AMQP_CHANNEL_OPEN_METHOD:
        return say_method(v, 1, AMQP_CHANNEL_OPEN_OK_METHOD, &channel);
    case AMQP_EXCHANGE_DECLARE_METHOD:
        return say_method(v, 1, AMQP_EXCHANGE_DECLARE_OK_METHOD, &declare);
    case AMQP_CONFIRM_SELECT_METHOD:
        return say_method(v, 1, AMQP_CONFIRM_SELECT_OK_METHOD, &select);
    default:
        return id != AMQP_CONNECTION_CLOSE_METHOD;
    }
}

static bool ack(struct visit *v, uint64_t tag, bool multiple)
{
    amqp_basic_ack_t m = {tag, multiple};
    return say_method(v, 1, AMQP_BASIC_ACK_METHOD, &m);
}

static bool nack(struct visit *v)
{
    amqp_basic_nack_t m = {v->published, 0, 0};
    return say_method(v, 1, AMQP_BASIC_NACK_METHOD, &m);
}

/* As RabbitMQ does: the message comes back, then it is acknowledged. */
static bool give_back(struct visit *v, struct str body)
{
    amqp_basic_return_t m = {
        .reply_code = 312, .reply_text = amqp_cstring_bytes("NO_ROUTE"), .exchange = amqp_cstring_bytes("x")};
    struct event_ref ev = {.sequencer = v->sequencer};
    struct buf b;
    buf_init(&b, 64u << 10);
    rabbit_method_put(&b, 1, AMQP_BASIC_RETURN_METHOD, &m);
    rabbit_header_put(&b, 1, &ev, body.n, 2);
    rabbit_frame_put(&b, RABBIT_BODY, 1, str_head(body, 10));
    rabbit_frame_put(&b, RABBIT_HEARTBEAT, 0, (struct str){0});
    rabbit_frame_put(&b, RABBIT_BODY, 1, str_from(body, 10));
    bool ok = say(v, &b) && ack(v, v->published, false);
    buf_release(&b);
    return ok;
}

static bool close_channel(struct visit *v, unsigned code, const char *text)
{
    amqp_channel_close_t m = {(uint16_t)code, amqp_cstring_bytes(text), 60, 40};
    return say_method(v, 1, AMQP_CHANNEL_CLOSE_METHOD, &m);
}

static bool block(struct visit *v)
{
    amqp_connection_blocked_t m = {amqp_cstring_bytes("low on memory")};
    return say_method(v, 0, AMQP_CONNECTION_BLOCKED_METHOD, &m);
}

static bool answer_publish(struct visit *v, struct str body, const char *q)
{
    v->published++;
    if (strstr(q, "b/hang"))
        return true; /* its confirm never comes; others' do */
    if (strstr(q, "b/deaf"))
        return receiver_hang(v), false;
    if (strstr(q, "b/nack"))
        return nack(v);
    if (strstr(q, "b/late")) /* with the next one */
        return true;
    if (strstr(q, "b/both"))
        return ack(v, v->published, true);
    if (strstr(q, "b/all"))
        return ack(v, 0, true);
    if (strstr(q, "b/back"))
        return give_back(v, body);
    if (strstr(q, "b/close"))
        return false;
    if (strstr(q, "b/half"))
        return receiver_say(v->fd, "\x01"), false;
    if (strstr(q, "b/garbage"))
        return receiver_say(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    if (strstr(q, "b/future"))
        return ack(v, v->published + 5, false);
    if (strstr(q, "b/zero"))
        return ack(v, 0, false);
    if (strstr(q, "b/twice"))
        return ack(v, v->published, false) && ack(v, v->published, false) && ack(v, v->published, true);
    if (strstr(q, "b/gone"))
        return close_channel(v, 404, "NOT_FOUND - no exchange 'events' in vhost '/'");
    if (strstr(q, "b/big"))
        return close_channel(v, 406,
                             "PRECONDITION_FAILED - message size 110 is larger than configured max size 105");
    if (strstr(q, "b/blocked"))
        return block(v);
    return ack(v, v->published, false);
}

static bool answer(struct visit *v, const char *q)
{
    struct str args;
    uint32_t size, id;
    if (q[0] == 'A')
        return say_start(v);
    args = str_n(q + 3, 4);
    (void)take_be32(&args, &size);
    args = str_n(q + 7, size);
    if (q[0] == RABBIT_HEADER)
        return rabbit_header_take(args, &v->size, &v->sequencer);
    if (q[0] == RABBIT_BODY)
        return answer_publish(v, args, q + 7);
    return q[0] != RABBIT_METHOD || !take_be32(&args, &id) || id == AMQP_BASIC_PUBLISH_METHOD ||
           answer_login(v, id);
}

void receiver_start_amqp(struct receiver *r)
{
    static const struct protocol amqp = {.complete = complete, .answer = answer};
    receiver_start_as(r, &amqp);
}
