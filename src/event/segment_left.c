/* SPDX-License-Identifier: Apache-2.0
 *
 * The events of a segment that are left (segment.h). A segment may stay in use for long because of one of its events, and there
 * may be very many such segments: so what is gone is taken out whenever it is half of what there is. */
#include <stdlib.h>

#include "base/crash.h"
#include "event/segment.h"

#define GONE (LINE_MISSING - 1) /* as `at`: to be taken out */

_Static_assert(SEGMENT_TEXT_MAX + (1u << 20) < GONE, "an offset is none of the marks");

void segment_left_init(struct segment_left *l, struct str done, uint32_t count)
{
    uint32_t left = 0;
    for (uint32_t n = 0; n < count; n++)
        left += !segment_is_done(done, n);
    *l = (struct segment_left){.v = x_calloc(left ? left : 1, sizeof(*l->v)), .left = left};
    for (uint32_t n = 0; n < count; n++)
        if (!segment_is_done(done, n))
            l->v[l->n++] = (struct left_event){.n = n, .at = LINE_MISSING};
}

void segment_left_release(struct segment_left *l)
{
    free(l->v);
    *l = (struct segment_left){0};
}

struct left_event *segment_left_from(const struct segment_left *l, uint32_t n)
{
    uint32_t low = 0, high = l->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (l->v[mid].n < n)
            low = mid + 1;
        else
            high = mid;
    }
    while (low < l->n && l->v[low].at == GONE)
        low++;
    return low < l->n ? &l->v[low] : NULL;
}

struct left_event *segment_left_at(const struct segment_left *l, uint32_t n)
{
    struct left_event *ev = segment_left_from(l, n);
    return ev && ev->n == n ? ev : NULL;
}

struct left_event *segment_left_seq(const struct segment_left *l, uint64_t seq)
{
    uint32_t low = 0, high = l->n;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (l->v[mid].seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    /* Those that are missing behind it have its number, too. */
    return low < l->n && l->v[low].seq == seq && l->v[low].at < GONE ? &l->v[low] : NULL;
}

void segment_left_remove(struct segment_left *l, uint32_t n)
{
    struct left_event *ev = segment_left_at(l, n);
    BUG_ON(!ev);
    ev->at = GONE;
    if (2 * --l->left > l->n || l->left == 0)
        return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->n; i++)
        if (l->v[i].at != GONE)
            l->v[kept++] = l->v[i];
    l->n = kept;
    l->v = x_realloc(l->v, kept * sizeof(*l->v));
}

void segment_left_done(const struct segment_left *l, uint32_t count, char *done)
{
    memset(done, 0, (count + 7) / 8);
    for (uint32_t n = 0; n < count; n++)
        done[n / 8] = (char)(done[n / 8] | 1 << n % 8);
    for (uint32_t i = 0; i < l->n; i++)
        if (l->v[i].at != GONE)
            done[l->v[i].n / 8] = (char)(done[l->v[i].n / 8] & ~(1 << l->v[i].n % 8));
}
