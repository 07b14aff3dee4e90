/* SPDX-License-Identifier: Apache-2.0
 *
 * What happened: names of events, and the record that is sent about one. Formats: the S3 event record as MinIO's final
 * server writes it, byte for byte (field order, omissions, escapes, sorted maps). Pure. */
#ifndef BELFRY_EVENT_EVENT_H
#define BELFRY_EVENT_EVENT_H

#include "base/buf.h"
#include "base/header.h"

/* Single names; the order gives the bit in a mask. */
#define EVENT_NAMES(X) \
    X(ACCESSED_GET, "s3:ObjectAccessed:Get") \
    X(ACCESSED_GET_RETENTION, "s3:ObjectAccessed:GetRetention") \
    X(ACCESSED_GET_LEGAL_HOLD, "s3:ObjectAccessed:GetLegalHold") \
    X(ACCESSED_HEAD, "s3:ObjectAccessed:Head") \
    X(ACCESSED_ATTRIBUTES, "s3:ObjectAccessed:Attributes") \
    X(CREATED_COMPLETE_MULTIPART, "s3:ObjectCreated:CompleteMultipartUpload") \
    X(CREATED_COPY, "s3:ObjectCreated:Copy") \
    X(CREATED_POST, "s3:ObjectCreated:Post") \
    X(CREATED_PUT, "s3:ObjectCreated:Put") \
    X(CREATED_PUT_RETENTION, "s3:ObjectCreated:PutRetention") \
    X(CREATED_PUT_LEGAL_HOLD, "s3:ObjectCreated:PutLegalHold") \
    X(CREATED_PUT_TAGGING, "s3:ObjectCreated:PutTagging") \
    X(CREATED_DELETE_TAGGING, "s3:ObjectCreated:DeleteTagging") \
    X(REMOVED_DELETE, "s3:ObjectRemoved:Delete") \
    X(REMOVED_MARKER, "s3:ObjectRemoved:DeleteMarkerCreated") \
    X(REMOVED_ALL_VERSIONS, "s3:ObjectRemoved:DeleteAllVersions") \
    X(REMOVED_NOOP, "s3:ObjectRemoved:NoOP") \
    X(BUCKET_CREATED, "s3:BucketCreated:*") \
    X(BUCKET_REMOVED, "s3:BucketRemoved:*") \
    X(REPLICATION_FAILED, "s3:Replication:OperationFailedReplication") \
    X(REPLICATION_COMPLETED, "s3:Replication:OperationCompletedReplication") \
    X(REPLICATION_MISSED, "s3:Replication:OperationMissedThreshold") \
    X(REPLICATION_AFTER, "s3:Replication:OperationReplicatedAfterThreshold") \
    X(REPLICATION_NOT_TRACKED, "s3:Replication:OperationNotTracked") \
    X(RESTORE_POST, "s3:ObjectRestore:Post") \
    X(RESTORE_COMPLETED, "s3:ObjectRestore:Completed") \
    X(TRANSITION_FAILED, "s3:ObjectTransition:Failed") \
    X(TRANSITION_COMPLETE, "s3:ObjectTransition:Complete") \
    X(SCANNER_MANY_VERSIONS, "s3:Scanner:ManyVersions") \
    X(SCANNER_LARGE_VERSIONS, "s3:Scanner:LargeVersions") \
    X(SCANNER_BIG_PREFIX, "s3:Scanner:BigPrefix") \
    X(LIFECYCLE_MARKER_EXPIRED, "s3:LifecycleDelMarkerExpiration:Delete")

enum event_name {
#define EVENT_ENUM(id, text) EVENT_##id,
    EVENT_NAMES(EVENT_ENUM)
#undef EVENT_ENUM
        EVENT_COUNT
};
struct str event_name_text(enum event_name n);
bool event_name_parse(struct str text, enum event_name *out); /* single names only */
/* Mask (bit = enum) of a single or compound name ("s3:ObjectCreated:*"); 0 when it is not supported in a rule. */
uint64_t event_mask(struct str text);

/* Is the object gone, or known not to be there, when this happened? Then receivers that mirror the objects remove it. A
 * marker or a deletion without effect counts: there is no object of this name to be shown. */
bool event_removes(enum event_name n);

/* Who did it and from where; strings belong to the request. */
struct event_source {
    struct str access_key; /* "" when anonymous */
    struct str region;     /* of the server */
    struct str source_ip;  /* X-Forwarded-For ... or peer, IPv6 in brackets */
    struct str user_agent;
    struct str range;      /* verbatim Range header; p == NULL: none */
    struct str request_id; /* 16 upper-case hex digits */
    struct str host_id;    /* x-amz-id-2 */
    struct str deployment_id;
    struct str origin; /* x-minio-origin-endpoint */
};
/* What happened to which object. */
struct event_info {
    enum event_name name;
    struct str label;           /* written in place of the name's text; n 0: that */
    struct str bucket, key;     /* raw */
    uint64_t size;              /* ignored (with etag, meta) for the three removed events */
    struct str etag;            /* without quotes */
    const struct headers *meta; /* stored form as in store's object row; may be NULL. Sorted here. */
    struct str version_id;      /* "" : omitted */
    int64_t content_length;     /* of the reply; < 0: the field is left out */
    uint64_t sequencer;         /* 0: filled in later (event_record_stamp) */
    int64_t time_ns;            /* eventTime */
};
/* Appends the record. *seq_at: offset of the 16 digits of the sequencer in b, for event_record_stamp. */
void event_record_write(struct buf *b, const struct event_source *src, const struct event_info *ev,
                        size_t *seq_at);
/* Writes the sequencer's 16 upper-case hex digits at that place. */
void event_record_stamp(char *record, size_t seq_at, uint64_t sequencer);

#endif
