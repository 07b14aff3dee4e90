/* SPDX-License-Identifier: Apache-2.0
 *
 * The document of DeleteObjects. Pure. Internal to s3/. */
#ifndef BELFRY_S3_DELETES_H
#define BELFRY_S3_DELETES_H

#include "s3/request.h"

#define DELETES_MAX 1000

struct event_out;
struct delete_entry {
    struct str key;
    enum s3_error error; /* of this key alone, found before anything is done */
    struct event_out *event;
};

/* <Delete><Quiet/><Object><Key/><VersionId/></Object>...</Delete> into entries of the arena, 1 to DELETES_MAX of them. False
 * when malformed, empty or longer. Conditions (ETag, Size, LastModifiedTime) are NotImplemented for their key, a version
 * other than "null" is NoSuchVersion. */
bool deletes_parse(struct arena *a, struct str xml, struct delete_entry **entries, size_t *n, bool *quiet);

#endif
