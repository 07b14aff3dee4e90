/* SPDX-License-Identifier: Apache-2.0
 *
 * Events of a request: matched before the commit, written by the closure of the change itself. Internal to s3/. */
#ifndef BELFRY_S3_EMIT_H
#define BELFRY_S3_EMIT_H

#include "s3/request.h"

/* Bytes of events in one closure: the rest of KV_TXN_BYTES is for rows of objects. */
#define EMIT_MAX (KV_TXN_BYTES - (128u << 10))
/* Bytes that an object's row takes of a closure at most each time it is read or written: heads are bounded (request.c), tags
 * too (tags.h). */
#define EMIT_OBJECT_ROW (28u << 10)

/* One event that a target or a listener wants. In the request's arena. */
struct event_out {
    struct outbox_event ob;
    struct target_set targets; /* may be empty: listeners only */
    bool listen;
    struct listen_put heard; /* the same for listeners */
    size_t targets_done;     /* of a read event, which may take several commits */
    uint64_t generation;     /* of the targets it was matched under */
    /* For the record; empty: left out. */
    struct str version_id;
};

/* Matches the rules of r->bucket (NULL: it did not exist before: for listeners alone). NULL: nobody wants it. */
struct event_out *emit_match(struct s3_req *r, enum event_name name, struct str key);
/* Builds the record. object: NULL for removals; content_length < 0: left out. mtime is not used: eventTime is now. */
void emit_record(struct s3_req *r, struct event_out *ev, const struct object *object, int64_t content_length);
/* Inside the closure, before its first write: are bucket, rules and targets still those that were matched, and may they take
 * one more? S3E_NONE, or an error; *again: match once more. */
enum s3_error emit_txn_check(struct kv_txn *t, struct s3_req *r, bool *again);
/* The object's row now, in the request's arena; *old NULL: there is none. S3E_DAMAGED: it cannot be read, so nobody knows
 * what it names or whether it is there; the closure must abort. */
enum s3_error emit_txn_old(struct kv_txn *t, struct s3_req *r, struct str key, struct object *room,
                           struct object **old);
/* ev may be NULL: nobody wants it. */
enum s3_error emit_txn_admit(struct kv_txn *t, struct s3_req *r, const struct event_out *ev, bool *again);
void emit_txn_put(struct kv_txn *t, struct s3_req *r, struct event_out *ev, uint64_t row_seq,
                  uint64_t record_seq);
/* Bytes that the event, with its record, adds to a closure at most, and rows that it touches; 0 when NULL. */
size_t emit_bytes(const struct event_out *ev);
size_t emit_rows(const struct event_out *ev);
/* Do the event's rows fit into one closure? A long head times many targets may not: then the request is refused. */
bool emit_fits(const struct event_out *ev);
/* Queues r->read_event (GET, HEAD) without a sync, after the reply was sent, as many targets at a time as fit a closure;
 * the request is held until that is done. */
void emit_read(struct s3_req *r);

#endif
