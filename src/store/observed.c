/* SPDX-License-Identifier: Apache-2.0
 *
 * Notes of the sequencer, by the hours that the store ran. */
#include "store/observed.h"

#include <string.h>

#define VERSION 1

static void drop_first(struct observed *o)
{
    o->n--;
    memmove(o->note, o->note + 1, o->n * sizeof *o->note);
}

void observed_add(struct observed *o, uint64_t seq, int64_t elapsed_ns)
{
    o->running_ns += elapsed_ns > 0 ? elapsed_ns : 0;
    if (o->n > 0 && o->running_ns - o->note[o->n - 1].running_ns < OBSERVED_EVERY_NS)
        return;
    /* Of notes that are old enough the newest is the one that counts. */
    while (o->n > 1 && o->note[1].running_ns <= o->running_ns - OBSERVED_SPAN_NS)
        drop_first(o);
    if (o->n == OBSERVED_NOTES)
        drop_first(o);
    o->note[o->n].seq = seq;
    o->note[o->n++].running_ns = o->running_ns;
}

uint64_t observed_before(const struct observed *o)
{
    uint64_t before = 0;
    for (size_t i = 0; i < o->n && o->note[i].running_ns <= o->running_ns - OBSERVED_SPAN_NS; i++)
        before = o->note[i].seq;
    return before;
}

void observed_encode(const struct observed *o, struct buf *out)
{
    buf_char(out, VERSION);
    buf_be64(out, (uint64_t)o->running_ns);
    for (size_t i = 0; i < o->n; i++) {
        buf_be64(out, o->note[i].seq);
        buf_be64(out, (uint64_t)o->note[i].running_ns);
    }
}

/* A row of which something is wrong is refused: nothing is old then, until 24 hours have passed again. */
bool observed_decode(struct str row, struct observed *out)
{
    struct str version;
    struct observed o = {0};
    uint64_t seq = 0, running = 0;
    *out = o;
    if (!take_bytes(&row, 1, &version) || version.p[0] != VERSION || !take_be64(&row, &running) ||
        running > INT64_MAX)
        return false;
    o.running_ns = (int64_t)running;
    while (row.n) {
        if (o.n == OBSERVED_NOTES || !take_be64(&row, &seq) || !take_be64(&row, &running) ||
            running > (uint64_t)o.running_ns ||
            (o.n > 0 && (seq < o.note[o.n - 1].seq || (int64_t)running < o.note[o.n - 1].running_ns)))
            return false;
        o.note[o.n].seq = seq;
        o.note[o.n++].running_ns = (int64_t)running;
    }
    *out = o;
    return true;
}
