/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's bytes: commands out and frames in over the connection. */
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

static bool gone(struct nsq *n, struct err *e)
{
    n->cut = true;
    return stream_lost(&n->stream, n->address.shown, e);
}

static bool exchange(struct nsq *n, struct nsq_frame *answer, const struct patience *p, struct err *e)
{
    bool found = false;
    for (;;) {
        stream_flush(&n->stream);
        bool sent = n->stream.out.len == 0;
        stream_fill(&n->stream);
        if (!next_frame(n, answer, &found, e))
            return false;
        if (found && answer->kind == NSQ_RESPONSE && !sent)
            return err_set(e, "%s: it answers before it has the whole command", n->address.shown);
        if (found)
            return true;
        if (n->stream.ended)
            return gone(n, e);
        if (sent)
            meanwhile_do(&n->meanwhile);
        if (!stream_wait(&n->stream, p))
            return err_set(e, "%s: no answer in time", n->address.shown);
    }
}

bool nsq_exchange(struct nsq *n, struct nsq_frame *answer, const struct patience *p, struct err *e)
{
    if (exchange(n, answer, p, e))
        return true;
    nsq_disconnect(n);
    return false;
}

static bool quiet(struct nsq *n, struct err *e)
{
    struct nsq_frame frame;
    bool found;
    stream_fill(&n->stream);
    if (!next_frame(n, &frame, &found, e))
        return false;
    if (found && frame.kind == NSQ_ERROR) {
        nsq_explain(&n->names, frame.data, e->text, sizeof(e->text));
        return false;
    }
    if (found)
        return err_set(e, "%s: it sends what nobody asked for", n->address.shown);
    if (n->stream.ended)
        return gone(n, e);
    stream_flush(&n->stream); /* what does not go now goes with the next command */
    return true;
}

bool nsq_quiet(struct nsq *n, struct err *e)
{
    if (quiet(n, e))
        return true;
    nsq_disconnect(n);
    return false;
}
