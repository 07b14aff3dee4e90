/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's bytes: commands out and frames in over the connection. */
#include <stdio.h>

#include "target/nsq_impl.h"

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* HTTP, to which the port in the settings may belong by mistake, is worth a word of its own. */
static bool not_nsqd(struct nsq *n, struct err *e)
{
    if (str_starts(buf_view(&n->stream.in), STR("HTTP/")))
        return err_set(e,
                       "%s: it speaks HTTP: name nsqd's TCP port, which is 4150 unless it was told otherwise",
                       n->address.shown);
    return err_set(e, "%s: it does not answer as nsqd does", n->address.shown);
}

/* The next frame that is no heartbeat; *found says whether there is one. False and err. */
static bool next_frame(struct nsq *n, struct nsq_frame *frame, bool *found, struct err *e)
{
    *found = false;
    while (!*found) {
        struct str rest = buf_view(&n->stream.in);
        enum nsq_found got = nsq_take_frame(&rest, frame);
        if (got == NSQ_PARTIAL)
            return true;
        if (got == NSQ_GARBAGE || frame->kind == NSQ_MESSAGE)
            return not_nsqd(n, e);
        if (frame->kind == NSQ_RESPONSE && str_eq(frame->data, STR("_heartbeat_"))) {
            buf_puts(&n->stream.out, "NOP\n");
        } else {
            buf_reset(&n->answer);
            buf_str(&n->answer, frame->data);
            frame->data = buf_view(&n->answer);
            *found = true;
        }
        buf_consume(&n->stream.in, n->stream.in.len - rest.n);
        if (n->stream.out.failed) /* heartbeats without end */
            return not_nsqd(n, e);
    }
    return true;
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

uint64_t nsq_end(const struct nsq *n)
{
    return n->sent + (n->stream.out.len - n->stream.written);
}

void nsq_flush(struct nsq *n)
{
    uint64_t end = nsq_end(n);
    stream_flush(&n->stream);
    if (n->stream.failed) /* how much of it went is not known */
        return;
    n->sent = end - (n->stream.out.len - n->stream.written);
}

/* An nsqd that asks for a certificate hangs up when there is none. */
static void gone(struct nsq *n)
{
    struct err e = {0};
    char why[sizeof(n->lost)];
    bool named = strcmp(n->id, "_") != 0;
    (void)stream_lost(&n->stream, n->address.shown, &e);
    if (nsq_logs_in(n) && n->conf->tls && !n->conf->client_cert[0])
        (void)snprintf(
            why, sizeof(why),
            "%.300s (if it asks for a certificate, set MINIO_NOTIFY_NSQ_CLIENT_CERT%s%.60s and _KEY)", e.text,
            named ? "_" : "", named ? n->id : "");
    else
        (void)snprintf(why, sizeof(why), "%.300s", e.text);
    nsq_lose(n, why);
}

void nsq_pump(struct nsq *n)
{
    struct nsq_frame frame;
    struct err e = {0};
    bool found = true;
    if (n->stream.fd < 0)
        return;
    nsq_flush(n);
    stream_fill(&n->stream);
    while (found) {
        if (!next_frame(n, &frame, &found, &e)) {
            nsq_lose(n, e.text);
            return;
        }
        if (found && !(nsq_logs_in(n) ? nsq_login_answer(n, &frame) : nsq_answer(n, &frame)))
            return;
    }
    if (n->stream.ended)
        gone(n);
    else
        nsq_flush(n); /* what does not go now goes with the next command */
}
