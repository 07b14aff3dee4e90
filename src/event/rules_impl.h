/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up rules.h: the document as structs, and the matcher without targets. */
#ifndef BELFRY_EVENT_RULES_IMPL_H
#define BELFRY_EVENT_RULES_IMPL_H

#include <stdatomic.h>

#include "base/arena.h"
#include "event/rules.h"

struct rule_filter {
    bool suffix; /* else prefix */
    struct str value;
};
/* One QueueConfiguration, in the order of the document. */
struct rule_config {
    struct str id;
    struct rule_filter filter[2]; /* at most one prefix and one suffix, in the client's order */
    size_t n_filter;
    struct str *events;
    size_t n_events;
    struct arn arn;
    size_t order;
};
struct rule_configs {
    struct rule_config *v;
    size_t n;
};
/* A document as structs; its own faults only, in the order of the document. Strings in the arena. */
enum rules_error rules_read(struct arena *a, struct str xml, struct rule_configs *out, const char **message);

/* What a filter's value may be: at most 1,024 bytes of UTF-8, no backslash, no "." or ".." segment. */
bool rules_filter_value_ok(struct str v);
/* S3's texts for what is wrong with a filter or an event. */
extern const char rules_bad_event[], rules_bad_filter_value[], rules_two_prefixes[], rules_two_suffixes[];

/* prefix and suffix as one pattern. In the arena. */
struct str rules_pattern(struct arena *a, struct str prefix, struct str suffix);

/* Calls `visit` for each target of each rule that matches, as index of rules_arns; the same one may come twice. */
void rules_visit(const struct rules *r, enum event_name name, struct str key,
                 void (*visit)(void *ctx, size_t slot), void *ctx);

/* A target that rules name. The number is remembered per generation of targets, so that a match takes no lock. */
struct rule_slot {
    struct arn arn;
    _Atomic uint64_t number; /* generation << 32 | number in it (0: none); 0: not looked up */
};
struct rule_slot *rules_slot(const struct rules *r, size_t slot);

#endif
