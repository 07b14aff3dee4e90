/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' session: what comes from the server, and what follows from it for the events that are out. */
#include <stdio.h>

#include "base/clock.h"
#include "target/nats_impl.h"

struct str nats_inbox(const struct nats *n, char name, char out[40])
{
    (void)snprintf(out, 40, "%s.%c", n->inbox, name);
    return str_c(out);
}

void nats_ping(struct nats *n)
{
    if (n->n_pings == NATS_PINGS)
        return;
    buf_puts(&n->stream.out, "PING\r\n");
    n->pinged_ms = clock_mono_ms();
    n->pings[n->n_pings++] = (struct nats_ping){n->published, n->pinged_ms};
    n->asked = n->published;
}

void nats_give_outcome(struct nats *n, struct nats_place *p, enum send_result r, const char *why)
{
    n->n_out -= p->state == NATS_OUT;
    n->n_open--;
    p->state = NATS_JUDGED;
    p->result = r;
    n->judged[n->n_judged++] = (unsigned)(p - n->place);
    if (r != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%s", why);
}

void nats_lose(struct nats *n, struct str why)
{
    if (n->phase != NATS_CLOSED)
        nats_explain(&n->names, why, n->lost, sizeof(n->lost));
    stream_close(&n->stream);
    n->phase = NATS_CLOSED;
    n->n_pings = n->n_line = 0;
    n->written_to = 0;
    for (size_t i = 0; n->n_open > 0 && i < NATS_MAX_BATCH; i++)
        if (n->place[i].state == NATS_OUT || n->place[i].state == NATS_QUEUED)
            nats_give_outcome(n, &n->place[i], SEND_RETRY, n->lost);
}

static bool odd(struct nats *n, struct str what)
{
    nats_lose(n, what);
    return false;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* The event that an answer is about by its name, "place-serial"; NULL: it was given up. */
static struct nats_place *find(struct nats *n, struct str name)
{
    struct str place;
    uint64_t at, serial;
    bool ok = str_cut(&name, '-', &place) && str_to_u64(place, &at) && at < NATS_MAX_BATCH &&
              str_to_u64(name, &serial) && n->place[at].state == NATS_OUT && n->place[at].serial == serial;
    return ok ? &n->place[at] : NULL;
}

static void stored(struct nats *n, struct str name, const struct nats_op *op)
{
    struct nats_place *p = find(n, name);
    char why[SEND_WHY] = "";
    if (p)
        nats_give_outcome(n, p, nats_judge_ack(&n->names, op->status, op->body, why, sizeof(why)), why);
}

/* NATS Streaming's ack, whose text names the event. */
static bool acked(struct nats *n, const struct nats_op *op)
{
    struct str name, error;
    char why[SEND_WHY] = "";
    if (op->status.n > 0) /* nobody takes messages any more */
        return odd(n, STR("no streaming server"));
    if (!stan_read_ack(op->body, &name, &error))
        return odd(n, STR("it does not answer as NATS Streaming does"));
    struct nats_place *p = find(n, name);
    n->acked_ms = clock_mono_ms();
    if (error.n > 0)
        nats_explain(&n->names, error, why, sizeof(why));
    if (p)
        nats_give_outcome(n, p, error.n > 0 ? SEND_RETRY : SEND_OK, why);
    return true;
}

static bool joined(struct nats *n, const struct nats_op *op)
{
    struct str error = {0};
    if (op->status.n > 0)
        return odd(n, STR("no streaming server"));
    if (n->phase != NATS_JOINING || !stan_read_connect(op->body, &n->stan, &error))
        return odd(n, STR("it does not answer as NATS Streaming does"));
    if (error.n > 0)
        return odd(n, error);
    n->phase = NATS_UP;
    return true;
}

static bool there(struct nats *n, const struct nats_op *op)
{
    struct str error;
    if (op->status.n > 0)
        return odd(n, STR("no streaming server"));
    if (!stan_read_pong(op->body, &error))
        return odd(n, STR("it does not answer as NATS Streaming does"));
    n->stan_pinged = false;
    n->forgotten = error.n > 0;
    return !n->forgotten || odd(n, error);
}

/* What comes to a subject of ours: its last word is an event's, or one of the letters below. */
static bool message(struct nats *n, const struct nats_op *op)
{
    size_t inbox = strlen(n->inbox);
    struct str name = str_from(op->subject, inbox + 1);
    if (n->mode == NATS_CORE || !str_starts(op->subject, str_c(n->inbox)) || name.n == 0)
        return odd(n, STR("it sends what nobody asked for"));
    if (n->mode == NATS_JETSTREAM) {
        stored(n, name, op);
        return true;
    }
    switch (name.p[0]) {
    case 'a':
        return acked(n, op);
    case 'c':
        return joined(n, op);
    case 'p':
        return there(n, op);
    case 'h': /* a heartbeat: it forgets a client that does not answer */
        if (op->reply.n > 0)
            nats_put_pub(&n->stream.out, op->reply, (struct str){0}, (struct str){0});
        return true;
    default:
        return true;
    }
}

/* The server has read everything that went before the PING. */
static bool pong(struct nats *n)
{
    if (n->n_pings == 0)
        return odd(n, STR("it answers a PING that was never sent"));
    uint64_t upto = n->pings[0].upto;
    memmove(n->pings, n->pings + 1, --n->n_pings * sizeof(*n->pings));
    for (size_t i = 0; n->mode == NATS_CORE && n->n_out > 0 && i < NATS_MAX_BATCH; i++)
        if (n->place[i].state == NATS_OUT && n->place[i].serial <= upto)
            nats_give_outcome(n, &n->place[i], SEND_OK, NULL);
    if (n->phase == NATS_LOGIN)
        n->phase = n->mode == NATS_STREAMING ? NATS_JOINING : NATS_UP;
    return true;
}

static bool info(struct nats *n, struct str text)
{
    struct nats_info now;
    if (!nats_read_info(text, &now))
        return odd(n, STR("it does not answer as a NATS server does"));
    if (!n->greeted)
        n->info = now;
    else if (now.max_payload > 0)
        n->info.max_payload = now.max_payload;
    n->greeted = true;
    return true;
}

static bool take(struct nats *n, const struct nats_op *op)
{
    if (op->kind == NATS_ERR)
        return odd(n, op->text.n > 0 ? op->text : STR("an error without a reason"));
    if (op->kind == NATS_INFO)
        return info(n, op->text);
    if (!n->greeted)
        return odd(n, STR("it does not answer as a NATS server does"));
    switch (op->kind) {
    case NATS_PING:
        buf_puts(&n->stream.out, "PONG\r\n");
        return true;
    case NATS_PONG:
        return pong(n);
    case NATS_MSG:
        return message(n, op);
    default:
        return true;
    }
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static bool take_ops(struct nats *n)
{
    struct nats_op op;
    struct str rest = buf_view(&n->stream.in);
    enum nats_found found = NATS_WHOLE;
    /* Before TLS nothing is taken but the greeting. */
    while ((n->phase > NATS_GREETING || !n->greeted) && (found = nats_take_op(&rest, &op)) == NATS_WHOLE)
        if (!take(n, &op))
            return false;
    if (found == NATS_GARBAGE)
        return odd(n, str_starts(rest, STR("HTTP/")) ? STR("it speaks HTTP: name its port for clients")
                                                     : STR("it does not answer as a NATS server does"));
    if (n->stream.out.failed) /* questions without end */
        return odd(n, STR("it does not read what it asks for"));
    buf_consume(&n->stream.in, n->stream.in.len - rest.n);
    return true;
}

void nats_flush(struct nats *n)
{
    stream_flush(&n->stream);
    n->written_to = n->stream.out.len;
}

static void ended(struct nats *n)
{
    struct err e = {0};
    bool tls = n->stream.ssl && !stream_lost(&n->stream, "", &e) && strncmp(e.text, ": it closed", 11) != 0;
    nats_lose(n, tls                      ? str_c(e.text + 2)
                 : n->phase == NATS_LOGIN ? STR("it closed the connection within the login")
                                          : STR("it closed the connection"));
}

void nats_pump(struct nats *n)
{
    size_t before;
    do { /* what is taken makes room for more */
        if (n->phase == NATS_CLOSED)
            return;
        nats_flush(n);
        stream_fill(&n->stream);
        before = n->stream.in.len;
        if (!take_ops(n))
            return;
    } while (before > NATS_LINE_MAX && n->stream.in.len < before);
    if (n->stream.ended)
        ended(n);
    else
        nats_flush(n);
}
