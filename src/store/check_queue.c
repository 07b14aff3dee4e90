/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check: the events that wait. Their rows are event/'s, whose values mean nothing here; only keys and sizes do:
 * q number sequencer, d the same (dead letters), n number and nd number (their counters), x type:id (a target's number). */
#include <inttypes.h>
#include <stdlib.h>

#include "store/check.h"

struct check_queue *check_queue_of(struct check *c, uint32_t number)
{
    for (size_t i = 0; i < c->n_queues; i++)
        if (c->queues[i].number == number)
            return &c->queues[i];
    c->queues = x_realloc(c->queues, (c->n_queues + 1) * sizeof *c->queues);
    c->queues[c->n_queues] = (struct check_queue){.number = number};
    return &c->queues[c->n_queues++];
}

static void see_number(struct check *c, struct str key, struct str value)
{
    uint32_t number;

    if (!take_be32(&value, &number))
        return;
    if (key.n == 1) { /* the last one that was given */
        c->last_number = number;
        return;
    }
    struct check_queue *q = check_queue_of(c, number);
    free(q->name);
    q->name = str_dupz(str_from(key, 1));
}

static bool queue_key(struct str key, uint32_t *number, uint64_t *seq)
{
    struct str rest = str_from(key, 1);
    return take_be32(&rest, number) && take_be64(&rest, seq) && rest.n == 0;
}

static void see_queued(struct check *c, struct str key, struct str value)
{
    uint32_t number;
    uint64_t seq;

    check_progress(c);
    if (!queue_key(key, &number, &seq)) {
        check_rows_finding(c, "a queued event has a key that means nothing");
        return;
    }
    struct check_queue *q = check_queue_of(c, number);
    if (key.p[0] == 'q') {
        int64_t events[2] = {1, (int64_t)value.n}, in_files[2] = {0};
        if (c->events)
            seq = c->events->weigh(seq, value, events, in_files);
        q->events += events[0];
        q->bytes += events[1];
        q->in_files[0] += in_files[0];
        q->in_files[1] += in_files[1];
    } else {
        q->dead++;
        q->dead_bytes += (int64_t)value.n;
    }
    c->max_seq = seq > c->max_seq ? seq : c->max_seq;
}

/* n and nd with a number, which has four bytes: a bucket's has eight. */
static void see_counter(struct check *c, struct str key, struct str value)
{
    bool dead = key.n == 6 && key.p[1] == 'd';
    struct str rest = str_from(key, dead ? 2 : 1);
    uint32_t number;
    uint64_t rows, bytes;

    if ((!dead && !c->events) || key.n != (dead ? 6u : 5u) || !take_be32(&rest, &number) ||
        !take_be64(&value, &rows) || !take_be64(&value, &bytes))
        return;
    const struct check_queue *q = check_queue_of(c, number);
    int64_t there = dead ? q->dead : q->events, size = dead ? q->dead_bytes : q->bytes;
    if ((int64_t)rows != there || (int64_t)bytes != size)
        check_rows_finding(c,
                           "%s (target number %" PRIu32 "): its counters say %" PRId64 " %s, %" PRId64
                           " bytes; there are %" PRId64 ", %" PRId64,
                           q->name ? q->name : "a target without a name", number, (int64_t)rows,
                           dead ? "dead letters" : "queued events", (int64_t)bytes, there, size);
}

void check_queues(struct check *c)
{
    check_each_row(c, KV_META, "x", see_number);
    check_each_row(c, KV_QUEUE, "q", see_queued);
    check_each_row(c, KV_QUEUE, "d", see_queued);
    check_each_row(c, KV_META, "n", see_counter);
    for (size_t i = 0; i < c->n_queues; i++)
        if (!c->queues[i].name && c->queues[i].events)
            check_finding(c,
                          "%" PRId64 " events wait for target number %" PRIu32
                          ", whose row is lost: they stay, and no target sends them",
                          c->queues[i].events, c->queues[i].number);
}

void check_release_queues(struct check *c)
{
    for (size_t i = 0; i < c->n_queues; i++)
        free(c->queues[i].name);
    free(c->queues);
}
