/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's events that are out. nsqd takes the events of one command (MPUB) whole and says one OK to all of them; it answers
 * commands in their order. An error is about all events of the first command that is out, and ends the connection, so that
 * nothing of the later ones was taken. Where it says that one of them is too large, that one is refused, and the others are
 * sent again without it. */
#include <stdio.h>

#include "base/clock.h"
#include "target/nsq_impl.h"

struct nsq_place *nsq_in_line(struct nsq *n, unsigned i)
{
    return &n->place[n->line[(n->line_at + i) % NSQ_MAX_BATCH]];
}

void nsq_give_outcome(struct nsq *n, struct nsq_place *p, enum send_result r, const char *why)
{
    p->state = NSQ_JUDGED;
    p->result = r;
    p->cut = n->phase == NSQ_DOWN && r == SEND_RETRY;
    n->judged[n->n_judged++] = (unsigned)(p - n->place);
    if (r != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%.*s", SEND_WHY - 1, why);
}

void nsq_tell_refused(struct nsq *n)
{
    for (unsigned i = 0; i < n->n_refused; i++)
        n->judged[n->n_judged++] = n->refused[i];
    n->n_refused = 0;
}

static void refuse(struct nsq *n, struct nsq_place *p, const char *why)
{
    p->state = NSQ_JUDGED;
    p->result = SEND_REJECT;
    p->cut = false;
    n->refused[n->n_refused++] = (unsigned)(p - n->place);
    if (p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%s", why);
}

void nsq_shorten_line(struct nsq *n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n->n_line; i++) {
        unsigned at = n->line[(n->line_at + i) % NSQ_MAX_BATCH];
        BUG_ON(i < n->n_out && n->place[at].state != NSQ_OPEN);
        if (n->place[at].state == NSQ_OPEN)
            n->line[(n->line_at + kept++) % NSQ_MAX_BATCH] = at;
    }
    n->n_line = kept;
}

void nsq_hang_up(struct nsq *n, enum nsq_phase phase)
{
    stream_close(&n->stream);
    n->phase = phase;
    n->sent = 0;
    n->n_commands = n->n_out = 0;
}

void nsq_lose(struct nsq *n, const char *why)
{
    (void)snprintf(n->lost, sizeof(n->lost), "%s", why);
    nsq_hang_up(n, NSQ_DOWN);
    nsq_tell_refused(n);
    for (unsigned i = 0; i < n->n_line; i++)
        nsq_give_outcome(n, nsq_in_line(n, i), SEND_RETRY, n->lost);
    n->n_line = 0;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static bool odd(struct nsq *n, const char *what)
{
    char why[SEND_WHY];
    (void)snprintf(why, sizeof(why), "%.60s: %s", n->address.shown, what);
    nsq_lose(n, why);
    return false;
}

/* nsqd has taken the first command. */
static void taken(struct nsq *n)
{
    unsigned events = n->command[0].n;
    nsq_tell_refused(n);
    for (unsigned i = 0; i < events; i++)
        nsq_give_outcome(n, nsq_in_line(n, i), SEND_OK, NULL);
    n->line_at = (n->line_at + events) % NSQ_MAX_BATCH;
    n->n_line -= events;
    n->n_out -= events;
    n->n_commands--;
    memmove(n->command, n->command + 1, n->n_commands * sizeof(*n->command));
    if (n->n_commands > 0) /* nsqd comes to it only now */
        n->command[0].until_ms = clock_mono_ms() + NSQ_ANSWER_MS;
}

/* nsqd has refused the first command for its size. False when nothing follows from that, so that it would do so for ever. */
static bool shrink(struct nsq *n, enum nsq_verdict verdict, uint64_t limit, const char *why)
{
    bool some = false;
    if (verdict == NSQ_BODY_LIMIT) { /* smaller by an eighth at least, whatever it says: so this ends */
        size_t less = n->chunk - (n->chunk + 7) / 8;
        n->chunk = limit < less ? (size_t)limit : less;
        return n->chunk > 0;
    }
    for (unsigned i = 0; verdict == NSQ_EVENT_LIMIT && i < n->command[0].n; i++) {
        struct nsq_place *p = nsq_in_line(n, i);
        if (p->size <= limit)
            continue;
        refuse(n, p, why);
        some = true;
    }
    return some;
}

static bool refused(struct nsq *n, struct str error)
{
    char why[SEND_WHY];
    uint64_t limit;
    nsq_explain(&n->names, error, why, sizeof(why));
    enum nsq_verdict verdict = nsq_judge(error, &limit);
    if (n->n_commands > 0 && shrink(n, verdict, limit, why)) {
        nsq_hang_up(n, NSQ_AGAIN); /* nsqd does the same */
        nsq_shorten_line(n);
    } else {
        nsq_lose(n, why);
    }
    return false;
}

bool nsq_answer(struct nsq *n, const struct nsq_frame *answer)
{
    if (answer->kind == NSQ_ERROR)
        return refused(n, answer->data);
    if (n->n_commands == 0)
        return odd(n, "it sends what nobody asked for");
    if (n->command[0].end > n->sent)
        return odd(n, "it answers before it has the whole command");
    if (!str_eq(answer->data, STR("OK")))
        return odd(n, "an answer that is none of nsqd's to a publish");
    taken(n);
    return true;
}
