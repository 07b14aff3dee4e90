/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox and its senders. A change writes one outbox row per matching target in the object's own commit
 * (outbox_txn_put); one sender thread per target instance reads its rows in order, sends, and removes what was confirmed.
 * Everything durable is in the rows: q target-number sequencer (outbox), d ... (dead letters), n target-number (counters: rows,
 * bytes), c target-number (cursor), x type id (the number of a target: for ever). A long backlog of a target with a queue_dir moves
 * into files there: event/segment.h. */
#ifndef BELFRY_EVENT_DELIVERY_H
#define BELFRY_EVENT_DELIVERY_H

#include "event/rules.h"
#include "kv/kv.h"
#include "target/target.h"

struct delivery;

struct delivery_options {
    struct str region;
    const char *certs_dir;                /* CAs/ in it are trusted by targets; stays; may be NULL */
    int64_t dead_letter_limit;            /* 0: 100,000 */
    const struct config_stored *settings; /* beside the environment; during the call; may be NULL */
    int64_t disk_reserve;                 /* of queue_dir's disk; < 0: the smaller of 5 % and 1 GiB */
};
/* Reads target settings, gives every ID:TYPE its number (committed), opens the instances, takes in *.event files of
 * queue_dir (which goes on beside everything else when it takes long). A target with bad settings is kept as 'broken' with
 * its reason: its events are queued. Errors of the store only. Nothing is sent before delivery_start. */
struct delivery *delivery_open(struct kv *kv, const struct delivery_options *o, struct err *e);
/* So much is left free on the disk of a queue_dir, as store_set_reserve. Any thread. */
void delivery_set_reserve(struct delivery *d, int64_t bytes);
void delivery_start(struct delivery *d);
/* Stops senders (a send at hand may finish until deadline_ms), joins them. Nothing is lost: rows stay. False: one has not
 * ended a second after that, because the disk of its queue_dir hangs; then nothing that it uses may be taken apart, neither the
 * delivery nor the rows. */
bool delivery_stop(struct delivery *d, int64_t deadline_ms);
/* Waits for senders that have not ended. */
void delivery_free(struct delivery *d);
/* Makes the targets those of these settings (valid during the call), at once and all together: no commit sees a part of the
 * change. Targets whose settings are the same go on undisturbed. Others are stopped (a send at hand may finish within
 * seconds) before a sender with the new settings goes on with the same queue: nothing is lost, order is kept, nothing is sent
 * by both but what a receiver left unanswered. A target with bad settings is 'broken', as at the start. After delivery_stop
 * nothing happens. For workers: waits for commits, and seconds at most for senders and the files of queue_dir: what takes
 * longer goes on by itself, and the new sender begins when the former one has ended. Errors of the store only. */
bool delivery_reconfigure(struct delivery *d, const struct config_stored *settings, struct err *e);

/* Reads the certificates of certs-dir/CAs again. They count from the next delivery_reconfigure on, which makes every sender
 * anew when they are others than before. Their number of bytes. As delivery_reconfigure. */
size_t delivery_reload_cas(struct delivery *d);

/* Raised by every change of the set of targets; a commit that matched under another generation must match again. Any thread. */
uint64_t delivery_generation(struct delivery *d);
/* Number of an enabled target; false when there is none of that ID:TYPE. */
bool delivery_resolve(struct delivery *d, struct str id, struct str type, uint32_t *number);
/* Is there an enabled target (reachable or not) of that ARN? For rules_parse. ctx is the delivery. */
bool delivery_knows(void *ctx, const struct arn *arn);
/* "arn:minio:sqs:<region>:<id>:<type>" of every enabled target, sorted; for the start-up text. In the arena. */
size_t delivery_arns(struct delivery *d, struct arena *a, struct str **out);

/* --- queueing ------------------------------------------------------------------------------------------------------ */

/* An event ready to be queued: record built before the commit, sequencer stamped inside it. */
struct outbox_event {
    enum event_name name;
    struct str bucket, key;
    struct str record; /* mutable bytes of the request's own */
    size_t seq_at;     /* place of the sequencer in the record */
    bool stale;
    bool
        read; /* of a GET or HEAD, whose reply was sent: at a limit it is dropped, whatever queue_full says */
    const struct target_set *targets;
};
/* May these targets take one more event? False: a target with queue_full=reject is at its limit (reply 503 SlowDown).
 * Called in the closure before its first write; targets at their limit with queue_full=drop are taken out by outbox_txn_put
 * (counted, logged). Not for events of reads. */
bool outbox_txn_admits(struct kv_txn *t, struct delivery *d, const struct target_set *targets);
/* What outbox_txn_admits and outbox_txn_put together touch of the closure's KV_TXN_ROWS for an event to n targets. */
#define OUTBOX_ROWS(n) (3 * (n))
/* Writes one row per target under row number `row_seq` (kv_txn_sequence), the record stamped with record_seq, and wakes
 * the senders once the batch is durable. */
void outbox_txn_put(struct kv_txn *t, struct delivery *d, struct outbox_event *ev, uint64_t row_seq,
                    uint64_t record_seq);

/* --- watching ------------------------------------------------------------------------------------------------------ */

enum target_status { TARGET_ONLINE, TARGET_OFFLINE, TARGET_BROKEN, TARGET_OFF };
struct target_info {
    char arn[160], id[96], type[24];
    uint32_t number;
    enum target_status status;
    char reason[300]; /* last error, or why it is broken */
    int64_t queued, queued_bytes, dead_letters;
    int64_t in_segments;  /* of queued: those in files of its queue_dir */
    int64_t lost;         /* ever: events whose segment was removed or damaged */
    char last_error[300]; /* also after it went right again; "": there was none */
    int64_t since_ns,
        last_error_ns; /* wall clock: since when it has this status; of the last error. 0: never */
    /* Since the start. accepted: queued by changes; sent: confirmed by the receiver; retries: sends that failed. */
    uint64_t accepted, sent, retries, rejected, dropped;
    bool paused;       /* by an administrator */
    unsigned sending;  /* with the target now */
    double rate;       /* deliveries per second, over the last minute */
    int64_t oldest_ns; /* time of the oldest queued event; 0: none */
};
size_t delivery_info(struct delivery *d, struct target_info *out, size_t max);

/* --- for administrators: workers only ------------------------------------------------------------------------------ */

/* The number of a target that is enabled, or that was once and left something; *enabled tells which. False: neither. */
bool delivery_number(struct delivery *d, struct str id, struct str type, uint32_t *number, bool *enabled);
/* Sends nothing more to an enabled target, or goes on; durable. Events are queued meanwhile. KV_ABORTED: it is not enabled. */
enum kv_outcome delivery_pause(struct delivery *d, uint32_t number, bool paused);

struct target_trial {
    bool ok;
    bool settings; /* not ok: they were refused, nothing was dialled */
    char text[480];
    int64_t took_ms;
};
/* Sends one s3:TestEvent to a target, as these settings have it, past its queue: a second instance of it connects, sends and
 * waits for the confirmation, at most TRIAL_MS. In formats that mirror objects, what it wrote is removed again. False: there
 * is no target of that name in the settings. */
#define TRIAL_MS 15000
bool delivery_try(struct delivery *d, const struct config_stored *settings, struct str id, struct str type,
                  struct target_trial *out);

/* Inside a closure: queues for one target what was not queued by a change: a dead letter, or what there was before the target.
 * First it asks, before anything is written, whether n more may be queued. Rows: OUTBOX_ROWS(n) for both. */
struct outbox_row;
enum requeue { REQUEUE_OK, REQUEUE_OFF /* it is not enabled */, REQUEUE_FULL /* queue_limit */ };
enum requeue outbox_txn_may_requeue(struct kv_txn *t, struct delivery *d, uint32_t number, size_t n);
void outbox_txn_requeue(struct kv_txn *t, struct delivery *d, uint32_t number, const struct outbox_row *row);
/* Does the target mirror the objects (format namespace), so that only the newest state of a key matters? On the committer's
 * thread. */
bool delivery_mirrors(struct delivery *d, uint32_t number);

#endif
