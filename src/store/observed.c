/* SPDX-License-Identifier: Apache-2.0
 *
 * Notes of the wall clock, by the hours that the store ran. */
#include "store/observed.h"

#include <string.h>

#define VERSION 1

static void drop_first(struct observed *o)
{
    o->n--;
    memmove(o->note, o->note + 1, o->n * sizeof *o->note);
}

void observed_add(struct observed *o, int64_t wall_ns, int64_t elapsed_ns)
{
    o->running_ns += elapsed_ns > 0 ? elapsed_ns : 0;
    bool due = o->n == 0 || o->running_ns - o->note[o->n - 1].running_ns >= OBSERVED_EVERY_NS ||
               wall_ns < o->note[o->n - 1].wall_ns; /* it was set back: from here on it says less */
    if (!due)
        return;
    /* Of notes that are old enough the newest is the one that counts. */
    while (o->n > 1 && o->note[1].running_ns <= o->running_ns - OBSERVED_SPAN_NS)
        drop_first(o);
    if (o->n == OBSERVED_NOTES)
        drop_first(o);
    o->note[o->n].wall_ns = wall_ns;
    o->note[o->n].running_ns = o->running_ns;
    o->n++;
}

int64_t observed_before(const struct observed *o)
{
    size_t from = 0;
    if (o->n == 0 || o->note[0].running_ns > o->running_ns - OBSERVED_SPAN_NS)
        return INT64_MIN;
    while (from + 1 < o->n && o->note[from + 1].running_ns <= o->running_ns - OBSERVED_SPAN_NS)
        from++;
    /* Where it was set back after that note, what was touched since has a time before it, and before the next note's. */
    int64_t before = o->note[from].wall_ns;
    for (size_t i = from + 1; i < o->n; i++) {
        int64_t least = o->note[i].wall_ns - OBSERVED_EVERY_NS;
        before = least < before ? least : before;
    }
    return before;
}

void observed_encode(const struct observed *o, struct buf *out)
{
    buf_char(out, VERSION);
    buf_be64(out, (uint64_t)o->running_ns);
    for (size_t i = 0; i < o->n; i++) {
        buf_be64(out, (uint64_t)o->note[i].wall_ns);
        buf_be64(out, (uint64_t)o->note[i].running_ns);
    }
}

bool observed_decode(struct str row, struct observed *out)
{
    struct str version;
    uint64_t wall, running;
    *out = (struct observed){0};
    if (!take_bytes(&row, 1, &version) || version.p[0] != VERSION || !take_be64(&row, &running))
        return false;
    out->running_ns = (int64_t)running;
    while (row.n) {
        if (out->n == OBSERVED_NOTES || !take_be64(&row, &wall) || !take_be64(&row, &running))
            return false;
        out->note[out->n].wall_ns = (int64_t)wall;
        out->note[out->n++].running_ns = (int64_t)running;
    }
    return true;
}
