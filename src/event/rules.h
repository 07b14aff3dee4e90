/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of a bucket: NotificationConfiguration as XML, and its compiled form that a PUT matches in less than a
 * microsecond, also with 1,000 rules. Semantics and error texts: notifications.md 4. */
#ifndef BELFRY_EVENT_RULES_H
#define BELFRY_EVENT_RULES_H

#include "event/event.h"

struct arn { /* arn:minio:sqs:<region>:<id>:<type> */
    struct str region, id, type;
};
bool arn_parse(struct str text, struct arn *out);

enum rules_error { RULES_OK, RULES_MALFORMED_XML, RULES_INVALID_ARGUMENT, RULES_UNSUPPORTED };
/* Parses and validates a client's document (at most 1 MiB). `known` says whether an ARN (id, type) may be named: an enabled
 * target, or one that `stored` (the bucket's rules now, may be empty) already names. On success appends the canonical
 * document to be stored; else *message is the S3 message (static). server_region as configured. */
enum rules_error rules_parse(struct str xml, struct str server_region, struct str stored,
                             bool (*known)(void *ctx, const struct arn *arn), void *ctx,
                             struct buf *canonical, const char **message);
/* The reply to GetBucketNotification from the stored document: no prolog, region of ARNs rewritten, empty configuration
 * when `stored` is empty. */
void rules_reply(struct str stored, struct str server_region, struct buf *out);

struct rules; /* compiled, immutable, any thread */
/* From the stored document. Never fails for what rules_parse wrote; rules that cannot be read are left out and logged. */
struct rules *rules_compile(struct str stored);
void rules_free(struct rules *r);

/* A set of targets, as numbers of delivery.h: at most TARGETS_MAX. */
#define TARGETS_MAX 64 /* OUTBOX_ROWS of them, and the object's own, fit a closure */
struct target_set {
    uint32_t n;
    uint32_t number[TARGETS_MAX];
};
/* Adds the targets of all rules that match; each once. Targets are resolved by (id, type) to numbers by `resolve` at
 * compile time or lazily: see delivery_resolve; unknown ones are skipped. False when no rule matches (set empty). */
struct delivery;
bool rules_match(const struct rules *r, struct delivery *d, enum event_name name, struct str key,
                 struct target_set *out);
/* The first `max` of the ARNs a compiled set names, for the warning about rules without a target. How many there are: that may be
 * more than targets can be enabled, for rules may go on naming those that once were. */
size_t rules_arns(const struct rules *r, struct arn *out, size_t max);

/* Wildcard match of one pattern as in 4.2 ('*', '?'); pure, linear for patterns of prefix*suffix form. */
bool rules_wildcard(struct str pattern, struct str text);

#endif
