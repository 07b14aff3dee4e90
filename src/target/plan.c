/* SPDX-License-Identifier: Apache-2.0
 *
 * The last writer of each key within a batch. */
#include "target/plan.h"

#include <stdio.h>

#define SLOTS (4 * PLAN_MOST) /* a power of two */

static size_t slot_of(const struct event_ref *ev)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < ev->bucket.n; i++)
        h = (h ^ (unsigned char)ev->bucket.p[i]) * UINT64_C(0x100000001b3);
    h *= UINT64_C(0x100000001b3);
    for (size_t i = 0; i < ev->key.n; i++)
        h = (h ^ (unsigned char)ev->key.p[i]) * UINT64_C(0x100000001b3);
    return (size_t)(h ^ h >> 32) % SLOTS;
}

void plan_batch(const struct event_ref *ev, size_t n, enum plan_format format, struct plan_step *steps)
{
    uint16_t slots[SLOTS] = {0}; /* index + 1 of the last event of a key */
    BUG_ON(n > PLAN_MOST);
    for (size_t i = n; i-- > 0;) {
        if (ev[i].record.n > PLAN_EVENT_MAX) {
            steps[i].part = PLAN_TOO_BIG;
            continue;
        }
        steps[i].part = PLAN_SET;
        if (format == FORMAT_ACCESS)
            continue;
        if (ev[i].stale) {
            steps[i].part = PLAN_SKIP;
            continue;
        }
        size_t s = slot_of(&ev[i]);
        while (slots[s] &&
               !(str_eq(ev[slots[s] - 1].key, ev[i].key) && str_eq(ev[slots[s] - 1].bucket, ev[i].bucket)))
            s = (s + 1) % SLOTS;
        if (slots[s]) {
            steps[i] = (struct plan_step){PLAN_BEHIND, slots[s] - 1u};
            continue;
        }
        slots[s] = (uint16_t)(i + 1);
        if (ev[i].removed)
            steps[i].part = PLAN_DELETE;
    }
}

void plan_finish(const struct event_ref *ev, size_t n, const struct plan_step *steps, enum send_result *out,
                 const char *why, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        const char *reason = why;
        if (steps[i].part == PLAN_SKIP)
            out[i] = SEND_OK;
        if (steps[i].part == PLAN_BEHIND) {
            const char *last = ev[steps[i].last].why;
            out[i] = out[steps[i].last];
            reason = last && last[0] ? last : why;
        }
        if (steps[i].part == PLAN_TOO_BIG) {
            out[i] = SEND_REJECT;
            reason = "the event is larger than 1 MiB";
        }
        if (out[i] == SEND_OK)
            continue;
        if (ev[i].why && !ev[i].why[0])
            (void)snprintf(ev[i].why, SEND_WHY, "%s", reason);
        if (!e->text[0])
            (void)err_set(e, "%s", ev[i].why ? ev[i].why : reason);
    }
}

void plan_key(struct buf *b, const struct event_ref *ev)
{
    buf_str(b, ev->bucket);
    buf_char(b, '/');
    buf_str(b, ev->key);
}

void plan_records(struct buf *b, const struct event_ref *ev)
{
    buf_puts(b, "{\"Records\":[");
    buf_str(b, ev->record);
    buf_puts(b, "]}");
}
