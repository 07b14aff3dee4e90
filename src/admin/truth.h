/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of what is true now: of an object that is there, or that is not. Internal to admin/. */
#ifndef BELFRY_ADMIN_TRUTH_H
#define BELFRY_ADMIN_TRUTH_H

#include "event/dead_letter.h"

#include "admin/request.h"

/* Who asked, where from, and through which command ("belfry backfill"), for source.userAgent. */
struct truth_source {
    const struct s3 *s3;
    struct str access_key, ip;
    const char *command;
};
/* The event of an object as it is (s3:ObjectCreated:Put), or of its absence (NULL: s3:ObjectRemoved:Delete), as a row to be
 * queued; its record has that sequencer. Texts are in the arena. */
struct outbox_row truth_row(const struct truth_source *src, struct arena *a, struct str bucket,
                            struct str key, const struct object *o, uint64_t sequencer);
/* The sequencer in a record; 0: there is none. Pure. */
uint64_t truth_sequencer(struct str record);

#endif
