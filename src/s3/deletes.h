/* SPDX-License-Identifier: Apache-2.0
 *
 * Removing many objects in closures of as many keys as fit, each key's event in the very commit of its delete: the document
 * of DeleteObjects, and the run that it shares with the removal of a prefix. Internal to s3/. */
#ifndef BELFRY_S3_DELETES_H
#define BELFRY_S3_DELETES_H

#include "s3/request.h"

#define DELETES_MAX 1000

/* What must hold for an object to be removed. */
struct delete_condition {
    struct str etag; /* p == NULL: any */
    bool has_mtime, has_size;
    int64_t mtime; /* seconds since 1970 */
    uint64_t size;
};
/* Pure. Is it that object? */
bool delete_condition_holds(const struct delete_condition *c, const struct object *o);
/* LastModifiedTime: an HTTP date, as SDKs send it, or ISO 8601. */
bool delete_condition_mtime(struct delete_condition *c, struct str text);
bool delete_condition_any(const struct delete_condition *c);

struct event_out;
struct delete_entry {
    struct str key;
    enum s3_error error; /* of this key alone, found before anything is done, or by its condition */
    struct delete_condition condition;
    struct event_out *event;
};

/* <Delete><Quiet/><Object><Key/><VersionId/><ETag/><LastModifiedTime/><Size/></Object>...</Delete> into entries of the
 * arena, 1 to DELETES_MAX of them; pure. False when malformed, empty or longer. A version other than "null" is
 * NoSuchVersion. */
bool deletes_parse(struct arena *a, struct str xml, struct delete_entry **entries, size_t *n, bool *quiet);

/* The removal of `entries`, those without an error. Set by the caller and valid until `done`. A window of entries at a time, as
 * many as a bounded amount of records is for; in between r->arena is the run's own. */
struct delete_run {
    struct delete_entry *entries;
    size_t n;
    int64_t content_length; /* for the records; < 0: left out */
    bool existing_only;     /* no event for a key that is gone */
    /* On the loop, once all of them are committed; or S3E_...: some are not (entries before `at` are). */
    void (*done)(struct s3_req *r, enum s3_error e);
    /* deletes_run's own: */
    struct arena window, *outer;
    size_t at, end, parts_open; /* at to end: the window */
    bool again, garbage;
    enum s3_error error;
};
/* r->bucket is set; one run of a request at a time. */
void deletes_run(struct s3_req *r, struct delete_run *run);

#endif
