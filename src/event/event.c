/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of events: single names, and the compound ones of rules that stand for several. */
#include "event/event.h"

static const struct str names[EVENT_COUNT] = {
#define EVENT_TEXT(id, text) {text, sizeof(text) - 1},
    EVENT_NAMES(EVENT_TEXT)
#undef EVENT_TEXT
};

struct str event_name_text(enum event_name n)
{
    return names[n];
}

bool event_name_parse(struct str text, enum event_name *out)
{
    for (int i = 0; i < EVENT_COUNT; i++) {
        if (str_eq(names[i], text)) {
            *out = (enum event_name)i;
            return true;
        }
    }
    return false;
}

uint64_t event_mask(struct str text)
{
    /* A compound name covers every single name with the same text up to its '*'. */
    static const char *const compound[] = {"s3:ObjectAccessed:*", "s3:ObjectCreated:*",
                                           "s3:ObjectRemoved:*",  "s3:Replication:*",
                                           "s3:ObjectRestore:*",  "s3:ObjectTransition:*"};
    enum event_name single;
    if (event_name_parse(text, &single))
        return UINT64_C(1) << single;
    uint64_t mask = 0;
    for (size_t c = 0; c < sizeof(compound) / sizeof(compound[0]); c++) {
        if (!str_eq_c(text, compound[c]))
            continue;
        for (int i = 0; i < EVENT_COUNT; i++)
            if (str_starts(names[i], str_head(text, text.n - 1)))
                mask |= UINT64_C(1) << i;
    }
    return mask;
}

bool event_removes(enum event_name n)
{
    return str_starts(names[n], STR("s3:ObjectRemoved:")) || n == EVENT_LIFECYCLE_MARKER_EXPIRED;
}
