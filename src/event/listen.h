/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening: clients that hold a connection open and are told of events as they are committed (ListenNotification).
 *
 * An event that somebody listens for is one *history* row, written in the very commit of its change (listen_txn_put), and
 * one shared, counted struct in memory (the *tail*), added once its batch is durable. A listener is nothing but a place in
 * that order, a listen_position: it reads on from there whenever its socket takes bytes, out of the tail or, when it has
 * fallen behind that, out of the rows. So nothing is copied or queued per listener, live events and old ones cannot
 * overlap or leave a gap, and nobody waits for anybody.
 *
 * Nothing is written, and no record built, for kinds of events that nobody listens for. *Interest* in kinds of events
 * begins, durably, before the first listener's reply, and ends an hour after the last listener left (uptime, so a restart
 * keeps it). The history is bounded in events; a listener that has fallen out of it is told how many it missed.
 *
 * Rows: m.listen (KV_META): that there is interest, in what, since when, and marks of the history; h number (KV_QUEUE):
 * count of the event, and the event as in an outbox row, its key not escaped in the record. */
#ifndef BELFRY_EVENT_LISTEN_H
#define BELFRY_EVENT_LISTEN_H

#include "base/arena.h"
#include "base/loop.h"
#include "event/event.h"
#include "event/outbox_row.h"
#include "kv/kv.h"

#define LISTEN_LINGER_MS 3600000

struct listen;

struct listen_options {
    int64_t
        history; /* events kept in the store, at least; 0: none, only what the tail has can be read late */
    int64_t linger_ms; /* how long interest stays after the last listener; 0: LISTEN_LINGER_MS */
};
/* Reads what was kept; starts the thread that trims. NULL and err: the store cannot be read. */
struct listen *listen_new(struct kv *kv, const struct listen_options *o, struct err *e);
/* Ends the thread, frees. Nobody may be in a call, no commit with listen_txn_* may be open; before kv_close. */
void listen_free(struct listen *l);
/* Changes how many are kept, at once. Any thread that may wait for a commit. */
void listen_set_history(struct listen *l, int64_t events);

/* --- who listens for what (pure) ------------------------------------------------------------------------------------- */

struct listen_filter {
    uint64_t mask;      /* of event_mask */
    struct str bucket;  /* empty: all */
    struct str pattern; /* rules_pattern of prefix and suffix */
};
/* Reads the query of a listener: events (repeated), prefix, suffix. Strings in the arena. On failure *message is S3's text
 * of an InvalidArgument. */
bool listen_filter_parse(const struct headers *query, struct arena *a, struct listen_filter *out,
                         const char **message);
bool listen_filter_matches(const struct listen_filter *f, enum event_name name, struct str bucket,
                           struct str key);

/* A place in the order of events: behind the one with this number. count: how many events there were until then. */
struct listen_position {
    uint64_t seq, count;
};
/* "18901AB2C3D4E5F6-2A": number and count, in hex. */
void listen_position_write(struct buf *b, const struct listen_position *p);
bool listen_position_parse(struct str text, struct listen_position *out);

/* Appends the record with the key as it is instead of query-escaped; *seq_at as in event_record_write, of either form. */
void listen_record(struct buf *b, struct str record, struct str key, size_t *seq_at);

/* --- committing ------------------------------------------------------------------------------------------------------ */

/* Does anybody listen for events of that kind? Cheap; any thread. l may be NULL: never. */
bool listen_wants(const struct listen *l, enum event_name name);
/* Raised whenever listen_wants may newly be true; a commit whose events were matched under another one must match again. */
uint64_t listen_generation(const struct listen *l);

struct listen_put {
    enum event_name name;
    struct str bucket, key;
    struct str record; /* of listen_record; mutable bytes of the request's own */
    size_t seq_at;
};
/* What listen_txn_put touches of the closure's KV_TXN_ROWS, and at most of its bytes. */
#define LISTEN_ROWS 2
size_t listen_bytes(const struct listen_put *p);
/* In the closure of the change: writes the history row, the record stamped with record_seq; hands the event to listeners once
 * the batch is durable. Does nothing when nobody listens for it any more. */
void listen_txn_put(struct kv_txn *t, struct listen *l, const struct listen_put *p, uint64_t record_seq);

/* --- listening ------------------------------------------------------------------------------------------------------- */

/* A listener there is, or is about to be: interest does not end before as many listen_leave. Any thread. */
void listen_enter(struct listen *l);
void listen_leave(struct listen *l);
/* Is there interest in all of these kinds? Otherwise a (synced) commit of listen_txn_interest has to come before the reply. */
bool listen_covers(const struct listen *l, uint64_t mask);
void listen_txn_interest(struct kv_txn *t, struct listen *l, uint64_t mask);

/* What the readers of one loop share: `task` is posted once when there is something new, and again only after
 * listen_station_ready. Never taken out before listen_free. */
struct listen_station {
    struct loop *loop;
    struct task task;
    bool posted; /* under l's mutex, as are those below */
    size_t readers;
    struct listen_station *next;
};
struct listen_station *listen_station_of(struct listen *l, const struct loop *loop); /* NULL: none yet */
void listen_station_add(struct listen *l, struct listen_station *s);
void listen_station_ready(struct listen *l, struct listen_station *s);
struct listen_station *listen_station_pop(struct listen *l); /* at the end; NULL: no more */

/* A listener's place. Embedded; valid from join to part. */
struct listen_reader {
    struct listen_filter filter;
    struct listen_station *station;
    struct listen_position at; /* under l's mutex, as are those below */
    uint64_t missed;           /* events that it will never be given */
    struct listen_reader *prev, *next;
};
/* Takes its place: behind everything, or behind *resume. What of that is no longer kept is in `missed`. After listen_enter
 * and interest. */
void listen_join(struct listen *l, struct listen_reader *r, const struct listen_position *resume);
void listen_part(struct listen *l, struct listen_reader *r);

struct listen_event {
    struct listen_position at;
    enum event_name name;
    struct outbox_row row; /* views into `value` */
    struct buf value;      /* of the history row */
    _Atomic unsigned refs;
    struct listen_event *next;
};
void listen_event_unref(struct listen_event *e);
/* Appends {"Records":[record]} and a line feed. */
void listen_line(struct buf *b, struct str record);

/* The events behind a reader, at most max of them, each a reference to give back. *behind: the next ones are only in the
 * rows (listen_read). Never blocks. */
size_t listen_take(struct listen *l, struct listen_reader *r, struct listen_event **out, size_t max,
                   bool *behind);
/* Where the reader is, and what it missed since it was last asked. */
struct listen_position listen_at(struct listen *l, struct listen_reader *r, uint64_t *missed);
void listen_advance(struct listen *l, struct listen_reader *r, struct listen_position to);

/* A read of the rows. */
struct listen_read {
    struct listen_position from, to; /* behind which to begin; how far it came */
    struct buf lines;                /* of matching events; set up by the caller */
    size_t enough;                   /* bytes of lines after which it ends */
    bool failed;                     /* the rows cannot be read (logged): `to` is behind what is lost */
};
/* On a worker: reads rows behind *r (which others may move meanwhile) until there is enough, or that many were looked at. */
#define LISTEN_READ_ROWS 8192
void listen_read(struct listen *l, struct listen_reader *r, struct listen_read *out);
/* Takes over what was read. False: the reader was moved meanwhile because those rows are gone, and *read is void. */
bool listen_settle(struct listen *l, struct listen_reader *r, const struct listen_read *read);

#endif
