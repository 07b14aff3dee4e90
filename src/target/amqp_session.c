/* SPDX-License-Identifier: Apache-2.0
 *
 * One session of AMQP 0-9-1 as a client that publishes (its login: amqp_login.c). Bytes in, bytes and outcomes out; no socket
 * and no clock. Confirms are RabbitMQ's (www.rabbitmq.com/confirms.html): messages are counted from 1, and
 * an ack or nack names one, or all up to one. */
#include <amqp.h>
#include <stdio.h>
#include <stdlib.h>

#include "target/amqp_impl.h"

/* --- outcomes ----------------------------------------------------------------------------------------------------- */

static void judge(struct rabbit_session *s, struct rabbit_flight *f, enum send_result result, const char *why)
{
    s->judged[s->n_judged++] = (unsigned)(f - s->flight);
    f->busy = false;
    f->judged = true;
    f->result = result;
    if (result != SEND_OK && f->ev->why)
        (void)snprintf(f->ev->why, SEND_WHY, "%.*s", SEND_WHY - 1, why);
}

void rabbit_session_lose(struct rabbit_session *s, const char *why)
{
    if (s->state == RABBIT_LOST)
        return;
    s->state = RABBIT_LOST;
    s->blocked = false;
    (void)snprintf(s->lost, sizeof(s->lost), "%.*s", SEND_WHY - 1, why);
    for (size_t i = 0; i < s->n_order; i++) {
        s->flight[s->order[i]].cut = true;
        judge(s, &s->flight[s->order[i]], SEND_RETRY, s->lost);
    }
    s->n_order = 0;
}

static bool lose(struct rabbit_session *s, const char *what)
{
    char why[SEND_WHY];
    (void)snprintf(why, sizeof(why), "%.60s: %.170s", s->names.shown, what);
    rabbit_session_lose(s, why);
    return false;
}

static void no_queue(struct rabbit_session *s, struct rabbit_flight *f)
{
    char why[SEND_WHY];
    rabbit_explain_return(&s->names, str_c(s->returned_text), why, sizeof(why));
    judge(s, f, SEND_RETRY, why);
}

static void confirm(struct rabbit_session *s, struct rabbit_flight *f, bool ack)
{
    char why[SEND_WHY];
    if (ack && f->returned) {
        no_queue(s, f);
    } else if (ack) {
        judge(s, f, SEND_OK, "");
    } else {
        (void)snprintf(
            why, sizeof(why),
            "%.60s did not take it (basic.nack): a queue is full and set to reject-publish, or does not "
            "work; see its log",
            s->names.shown);
        judge(s, f, SEND_RETRY, why);
    }
}

static void drop_order(struct rabbit_session *s, size_t at, size_t n)
{
    s->n_order -= n;
    memmove(s->order + at, s->order + at + n, (s->n_order - at) * sizeof(*s->order));
}

/* How many of what is out have a smaller tag. */
static size_t count_before(const struct rabbit_session *s, uint64_t tag)
{
    size_t low = 0, high = s->n_order;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->flight[s->order[middle]].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool take_confirm(struct rabbit_session *s, uint64_t tag, bool multiple, bool ack)
{
    /* 0 with `multiple` would be all that has come there: nobody knows here how much that is. */
    if (tag > s->last_tag || tag == 0)
        return lose(s, "it confirms what was never sent");
    size_t end = count_before(s, tag + 1), begin = multiple ? 0 : count_before(s, tag);
    for (size_t i = begin; i < end; i++)
        confirm(s, &s->flight[s->order[i]], ack);
    drop_order(s, begin, end - begin);
    return true;
}

void rabbit_session_give_up(struct rabbit_session *s, unsigned place, const char *why)
{
    drop_order(s, count_before(s, s->flight[place].tag), 1);
    judge(s, &s->flight[place], SEND_RETRY, why);
}

void rabbit_session_forget(struct rabbit_session *s)
{
    for (size_t i = 0; i < RABBIT_IN_FLIGHT; i++)
        s->flight[i].busy = s->flight[i].judged = s->flight[i].cut = false;
    s->n_order = s->n_judged = 0;
}

/* --- what is sent ------------------------------------------------------------------------------------------------- */

void rabbit_session_heartbeat(struct rabbit_session *s)
{
    rabbit_frame_put(&s->out, RABBIT_HEARTBEAT, 0, (struct str){0});
}

void rabbit_session_goodbye(struct rabbit_session *s)
{
    amqp_connection_close_t m = {.reply_code = AMQP_REPLY_SUCCESS, .reply_text = amqp_cstring_bytes("bye")};
    if (s->state > RABBIT_OPEN_OK && s->state < RABBIT_LOST)
        rabbit_method_put(&s->out, 0, AMQP_CONNECTION_CLOSE_METHOD, &m);
}

void rabbit_session_publish(struct rabbit_session *s, unsigned place, const struct event_ref *ev,
                            int64_t deadline_ms)
{
    struct rabbit_flight *f = &s->flight[place];
    BUG_ON(f->busy || f->judged);
    *f = (struct rabbit_flight){.ev = ev, .deadline_ms = deadline_ms};
    buf_reset(&s->body);
    target_envelope(&s->body, ev);
    if (s->body.failed) {
        judge(s, f, SEND_REJECT, "the event is larger than 1 MiB");
        return;
    }
    if (s->state != RABBIT_READY || s->blocked) {
        judge(s, f, SEND_RETRY, s->state != RABBIT_READY ? s->lost : s->blocked_why);
        return;
    }
    if (s->out.len + s->body.len + (64u << 10) > RABBIT_OUT_MAX) {
        judge(s, f, SEND_RETRY, "too much waits to be written");
        return;
    }
    buf_str(&s->out, buf_view(&s->method));
    rabbit_header_put(&s->out, RABBIT_CHANNEL, ev, s->body.len, (unsigned)s->conf->delivery_mode);
    for (struct str rest = buf_view(&s->body); rest.n > 0;) {
        size_t n = rest.n < s->frame_max - 8 ? rest.n : s->frame_max - 8;
        rabbit_frame_put(&s->out, RABBIT_BODY, RABBIT_CHANNEL, str_head(rest, n));
        rest = str_from(rest, n);
    }
    f->busy = true;
    f->tag = ++s->last_tag;
    f->size = s->body.len;
    s->look_ms = s->n_order == 0 || deadline_ms < s->look_ms ? deadline_ms : s->look_ms;
    s->order[s->n_order++] = place;
}

/* --- what comes --------------------------------------------------------------------------------------------------- */

/* A message was larger than the broker takes: what is larger than that can never work. */
static void refuse_larger(struct rabbit_session *s, uint64_t limit, const char *why)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_order; i++) {
        struct rabbit_flight *f = &s->flight[s->order[i]];
        if (f->size > limit)
            judge(s, f, SEND_REJECT, why);
        else
            s->order[kept++] = s->order[i];
    }
    s->n_order = kept;
}

static bool take_close(struct rabbit_session *s, unsigned code, amqp_bytes_t text, bool channel)
{
    char why[SEND_WHY];
    struct str t = str_n(text.bytes, text.len);
    rabbit_explain(&s->names, code, t, why, sizeof(why));
    uint64_t limit = channel ? rabbit_size_limit(t) : 0;
    if (limit > 0)
        refuse_larger(s, limit, why);
    if (channel) {
        rabbit_session_goodbye(s);
    } else {
        amqp_connection_close_ok_t ok = {0};
        rabbit_method_put(&s->out, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    }
    rabbit_session_lose(s, why);
    return false;
}

static void block(struct rabbit_session *s, struct str reason)
{
    char shown[40];
    rabbit_shown(reason, shown, sizeof(shown));
    s->blocked = true;
    (void)snprintf(s->blocked_why, sizeof(s->blocked_why), "%.40s takes nothing now: %s", s->names.shown,
                   shown);
}

static void take_return(struct rabbit_session *s, const amqp_basic_return_t *r)
{
    rabbit_shown(str_n(r->reply_text.bytes, r->reply_text.len), s->returned_text, sizeof(s->returned_text));
    s->returning = true;
}

static bool take_method(struct rabbit_session *s, uint32_t id, const void *m)
{
    const amqp_connection_close_t *close = m;
    const amqp_channel_close_t *channel = m;
    switch (id) {
    case AMQP_CONNECTION_CLOSE_METHOD:
        return take_close(s, close->reply_code, close->reply_text, false);
    case AMQP_CHANNEL_CLOSE_METHOD:
        return take_close(s, channel->reply_code, channel->reply_text, true);
    case AMQP_CONNECTION_BLOCKED_METHOD: {
        amqp_bytes_t why = ((const amqp_connection_blocked_t *)m)->reason;
        block(s, str_n(why.bytes, why.len));
        return true;
    }
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
        s->blocked = false;
        return true;
    case AMQP_CHANNEL_FLOW_METHOD: {
        amqp_channel_flow_ok_t ok = {((const amqp_channel_flow_t *)m)->active};
        rabbit_method_put(&s->out, RABBIT_CHANNEL, AMQP_CHANNEL_FLOW_OK_METHOD, &ok);
        s->blocked = false;
        if (!ok.active)
            block(s, STR("channel.flow"));
        return true;
    }
    default:
        break;
    }
    if (s->state != RABBIT_READY)
        return rabbit_login_step(s, id, m) || lose(s, "an answer that is none of AMQP's to the login");
    if (id == AMQP_BASIC_RETURN_METHOD) {
        take_return(s, m);
        return true;
    }
    if (id != AMQP_BASIC_ACK_METHOD && id != AMQP_BASIC_NACK_METHOD)
        return lose(s, "it sends what nobody asked for");
    /* ack and nack begin alike */
    const amqp_basic_ack_t *ack = m;
    return take_confirm(s, ack->delivery_tag, ack->multiple != 0, id == AMQP_BASIC_ACK_METHOD);
}

static bool take_content(struct rabbit_session *s, const struct rabbit_frame *f)
{
    uint64_t sequencer;
    if (f->type == RABBIT_BODY) {
        if (!s->in_body || f->payload.n > s->body_left)
            return lose(s, "it sends a content that nobody asked for");
        s->body_left -= f->payload.n;
        s->in_body = s->body_left > 0;
        return true;
    }
    if (!s->returning || !rabbit_header_take(f->payload, &s->body_left, &sequencer))
        return lose(s, "it sends a content that nobody asked for");
    s->returning = false;
    s->in_body = s->body_left > 0;
    for (size_t i = 0; i < s->n_order && sequencer; i++)
        if (s->flight[s->order[i]].ev->sequencer == sequencer)
            s->flight[s->order[i]].returned = true;
    return true;
}

static bool take_frame(struct rabbit_session *s, const struct rabbit_frame *f)
{
    struct str args = f->payload;
    uint32_t id;
    amqp_pool_t pool;
    void *method;
    s->greeted = true;
    if (f->type == RABBIT_HEARTBEAT)
        return true;
    if (f->type == RABBIT_HEADER || f->type == RABBIT_BODY)
        return take_content(s, f);
    if (((s->returning || s->in_body) && f->channel == RABBIT_CHANNEL) || !take_be32(&args, &id))
        return lose(s, "it does not answer as an AMQP broker does");
    if (s->state == RABBIT_START)
        return id == AMQP_CONNECTION_START_METHOD ? rabbit_login_start(s, args)
                                                  : lose(s, "it does not begin as an AMQP broker does");
    if (id == AMQP_CONNECTION_START_METHOD)
        return lose(s, "it begins a second time");
    init_amqp_pool(&pool, 4096);
    bool ok = amqp_decode_method(id, &pool, (amqp_bytes_t){args.n, (void *)(uintptr_t)args.p}, &method) ==
                      AMQP_STATUS_OK
                  ? take_method(s, id, method)
                  : lose(s, "it sends what is no method of AMQP");
    empty_amqp_pool(&pool);
    return ok;
}

/* What is no frame: what else can it be? */
static bool not_a_frame(struct rabbit_session *s, struct str in)
{
    if (s->greeted)
        return lose(s, "it sends what is no frame of AMQP");
    if (str_starts(in, STR("AMQP")))
        return lose(s, "it speaks another version of AMQP than 0-9-1");
    if (in.n > 0 && in.p[0] == 0x15)
        return lose(s, "it expects TLS: use amqps://");
    return lose(s, "it does not answer as an AMQP broker does");
}

size_t rabbit_session_take(struct rabbit_session *s, struct str in)
{
    size_t all = in.n;
    while (s->state != RABBIT_LOST) {
        struct rabbit_frame f;
        enum rabbit_taken taken = rabbit_frame_take(&in, s->frame_max, &f);
        if (taken == RABBIT_MORE && !(in.n >= 1 && !s->greeted && in.p[0] != RABBIT_METHOD))
            break;
        if (taken != RABBIT_TAKEN)
            (void)not_a_frame(s, in);
        else if (!take_frame(s, &f))
            break;
    }
    return all - in.n;
}

/* --- its life ----------------------------------------------------------------------------------------------------- */

void rabbit_session_init(struct rabbit_session *s)
{
    buf_init(&s->out, RABBIT_OUT_MAX + (64u << 10));
    buf_init(&s->method, 4 * RABBIT_FRAME_MIN);
    buf_init(&s->body, RABBIT_EVENT_MAX);
    s->state = RABBIT_LOST;
    (void)snprintf(s->lost, sizeof(s->lost), "%s", "not connected");
}

void rabbit_session_release(struct rabbit_session *s)
{
    buf_release(&s->out);
    buf_release(&s->method);
    buf_release(&s->body);
}

void rabbit_session_start(struct rabbit_session *s)
{
    BUG_ON(s->n_order > 0);
    buf_reset(&s->out);
    s->state = RABBIT_START;
    s->frame_max = RABBIT_FRAME_MIN;
    s->heartbeat_s = 0;
    s->last_tag = 0;
    s->greeted = s->blocked = s->returning = s->in_body = false;
    s->lost[0] = 0;
    buf_put(&s->out, "AMQP\0\0\x09\x01", 8);
}
