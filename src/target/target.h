/* SPDX-License-Identifier: Apache-2.0
 *
 * A target: a system outside that wants to be told. One file per kind, one row per kind in target_types.
 *
 * The core (event/) owns time, order and durability; a target owns one connection and never sleeps, retries or locks.
 * Rules, tested once over every row of the table: one thread per instance; events belong to the caller until return; each
 * event has its own outcome; an unknown answer is RETRY, never OK; REJECT only where the receiver says that this very
 * record can never work. An answer about the endpoint, the login, the table or the route is RETRY. No call blocks beyond
 * its deadline (steady clock, ms).
 *
 * A kind has one of two forms. In the batch form `send` takes events and returns with all of their outcomes; so the slowest
 * answer holds up the rest. In the window form `begin` hands over one event, and `poll` says what has been answered since:
 * the core feeds the places that become free, whatever the others still wait for. That is the form for receivers that
 * answer event by event (HTTP replies, publisher confirms, delivery reports, acks), and for those that have the next command
 * while the answer to one is on its way. */
#ifndef BELFRY_TARGET_TARGET_H
#define BELFRY_TARGET_TARGET_H

#include "base/buf.h"
#include "config/config.h"

enum send_result { SEND_RETRY, SEND_OK, SEND_REJECT }; /* RETRY is 0: unknown is never success */

/* One event as targets see it. Views, valid during send. */
struct event_ref {
    struct str event_name;  /* "s3:ObjectCreated:Put" */
    struct str bucket, key; /* raw */
    struct str record;      /* the record as JSON, without envelope */
    struct str event_time;  /* eventTime of the record */
    uint64_t sequencer;     /* of the row: unique per target, rising in commit order */
    bool removed;           /* the object is gone by this event (event_removes): namespace formats delete */
    bool stale; /* a read event whose object is gone or replaced by now: namespace formats skip it */
    uint32_t attempts;
    char *why; /* SEND_WHY bytes of the caller's: the reason of this event's own outcome, when it is not OK */
};
#define SEND_WHY 240

/* Window form: what became of the event in a place. */
struct send_done {
    unsigned place;
    enum send_result result;
    int64_t retry_after_ms; /* where the receiver named a time for this event; 0: it did not */
};

/* What the caller of send has to do while the receiver works: fn(arg), some ms at most. Nothing of it concerns the batch at
 * hand. fn NULL: nothing. */
struct meanwhile {
    void (*fn)(void *arg);
    void *arg;
};

static inline void meanwhile_do(const struct meanwhile *m)
{
    if (m->fn)
        m->fn(m->arg);
}

/* What every kind of target can be told; the first member of every struct of settings. */
struct target_common {
    char *queue_dir;
    int64_t queue_limit;       /* rows; 0: no bound but the disk */
    int queue_full;            /* enum queue_full */
    int64_t dead_letter_limit; /* rows; 0: the server's default */
    char *comment;
    struct str ca_pem; /* certificates of certs-dir/CAs, to be trusted beside the system's; set by the core */
};
enum queue_full { QUEUE_FULL_DROP, QUEUE_FULL_REJECT };

struct target_type {
    const char *name;   /* "webhook": sub-system notify_webhook, last part of the ARN */
    const char *subsys; /* "notify_webhook" */
    const char *place;  /* the key that says where the receiver is; NULL: none */
    /* Fill a struct of conf_size, which begins with struct target_common; that part is read by the core. */
    const struct config_key *keys;
    size_t conf_size;
    /* For mc admin config, as in struct config_subsys; the first is required. */
    const char *help, *help_order, *alias;
    const struct config_alias *aliases;
    unsigned max_batch;
    /* How many of max_batch with these settings, at least 1. NULL: all. */
    unsigned (*places)(const void *conf);
    bool one_per_key; /* the receiver does not apply a batch in order */
    /* A batch is taken from its front on, whole unless the connection is lost within it, whatever is in it: after a failure
     * the same events are tried again first, and first deliveries are in commit order over all keys. */
    bool whole_batch;
    /* Does it mirror the objects (format namespace), so that what happened to a key before its last event does not matter?
     * NULL: never, it keeps a journal. */
    bool (*mirrors)(const void *conf);
    /* Pure validation of a filled struct. */
    bool (*check)(const void *conf, struct err *e);
    /* Makes the instance; no I/O. conf stays valid until close. id: "primary", for the log. */
    void *(*open)(const void *conf, const char *id, struct err *e);
    bool (*connect)(void *self, int64_t deadline_ms, struct err *e);
    /* out[i] for each event; waits for the receiver's confirmation. err: the reason of the first that is not OK;
     * err->retry_after_ms where the receiver named a time; ev[i].why the reason of each. */
    void (*send)(void *self, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
                 struct err *e);
    /* Batch form, once, before the first connect: m is called from then on whenever a request is out and its answer is waited
     * for, on the caller's thread; the answer's deadline goes on. NULL: the kind only waits. */
    void (*meanwhile)(void *self, struct meanwhile m);
    /* Window form, instead of send; one_per_key has to be set: an event is handed over only when every earlier one of its
     * key is resolved. Sends the event from a place below max_batch that is free; *ev stays where it is, the caller's,
     * until poll has given its outcome, which it does by the deadline. Returns at once. */
    void (*begin)(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
    /* Goes on with what is under way. Returns as soon as there are outcomes, at until_ms, or after wake; done has room for
     * max_batch of them, each place is free again by that. Returns their number. disconnect while events are out: none
     * of them gets an outcome any more (the caller counts them as RETRY). A connection that has to be made again between two
     * commands may take longer, as in connect. */
    size_t (*poll)(void *self, struct send_done *done, int64_t until_ms);
    /* Any thread, until close: the poll at hand, or else the next one, returns soon. */
    void (*wake)(void *self);
    /* Every 5 s without work: heartbeats; false when the peer is gone. NULL: nothing to do. */
    bool (*idle)(void *self, int64_t deadline_ms, struct err *e);
    /* Any thread: the call at hand, and every later one, has to return by then. NULL: deadlines are short anyway. */
    void (*hasten)(void *self, int64_t deadline_ms);
    void (*disconnect)(void *self);
    void (*close)(void *self);
};

/* Help of the keys that every kind has, as mc shows it of any server, and what is different here. */
#define TARGET_HELP_QUEUE_DIR "staging dir for undelivered messages e.g. '/home/events'"
#define TARGET_NOTE_QUEUE_DIR \
    "events are in the store; only a long backlog moves there, and what a MinIO left there is taken over"
#define TARGET_HELP_QUEUE_LIMIT "maximum limit for undelivered messages, defaults to '100000'"
#define TARGET_NOTE_QUEUE_LIMIT "0, the default, means no bound but the disk"
#define TARGET_HELP_COMMENT     "optionally add a comment to this setting"
#define TARGET_HELP_FORMAT \
    "'namespace' reflects current bucket/object list and 'access' reflects a journal of object operations, " \
    "defaults to 'namespace'"
#define TARGET_HELP_QUEUE_FULL        "at queue_limit: drop the new event, or reject the write it is about"
#define TARGET_HELP_DEAD_LETTER_LIMIT "most events kept that the receiver refused for good; 0: 100000"

/* Every kind of target, in the guide's order; ends with NULL. */
extern const struct target_type *const target_types[];
const struct target_type *target_type_find(struct str name);
/* Where an error of connect names no setting, nor a file, that could be changed: adds the one that says where the receiver
 * is. */
void target_name_place(const struct target_type *t, struct str id, struct err *e);

/* Appends the envelope of webhook and the brokers: {"EventName":...,"Key":"bucket/raw key","Records":[record]}
 * (notifications.md 2.6). Pure. */
void target_envelope(struct buf *b, const struct event_ref *ev);

#endif
