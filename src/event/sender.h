/* SPDX-License-Identifier: Apache-2.0
 *
 * One sender: what it holds in memory, and the pieces of a step. A step looks at the clock once, sends at most one batch
 * and settles what became of it; the thread (sender.c) does nothing but call it and wait, so that tests drive it by hand.
 *
 * Unresolved events are in one of three places, and every event before `scan_next` that is in none of them is resolved:
 * - the window: loaded rows, in order of their numbers; no key of it is in a lane
 * - lanes: one per key that has failed while others went through (or that floods the window): its events as numbers in
 *   order, the first one loaded when it is due
 * - what is not read yet: the rest of the segment that is being read, and the rows from `scan_next` on
 * An event has a row of its own, or is in a segment (event/segment.h), whose row stands for all that are left in it. */
#ifndef BELFRY_EVENT_SENDER_H
#define BELFRY_EVENT_SENDER_H

#include <stdatomic.h>

#include "base/thread.h"
#include "event/delivery.h"
#include "event/outbox_row.h"
#include "event/segment.h"

#define WINDOW_EVENTS    2048  /* or twice what the kind has out: the rest is at hand as places get free */
#define KEY_SLOTS        16384 /* few of them are shared by keys that are out together */
#define WINDOW_BYTES     (8u << 20)
#define LANE_EVENTS      (4u << 20) /* over all lanes; beyond it nothing more is read until lanes move */
#define OUT_EVENTS       2000       /* resolved ones: those of segments that are lost come by the thousand */
#define REMOVE_EVENTS    1000       /* of one removal */
#define PROBE_KEYS       16
#define REJECTS_TO_BREAK 5
#define DEAD_FAILURES    10
#define DEAD_AFTER_MS    600000
#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   30000
#define RETRY_AFTER_MAX  3600000
#define CONNECT_MS       5000
#define SEND_MS          60000
#define IDLE_MS          5000
#define TOLD_REASONS     8
#define HOLES_SHARE      8    /* so much of the window, one in eight, may be resolved events */
#define VERDICT_MS       1000 /* how long a failure waits for others to go through */

/* A segment whose row was reached and of which something is left. */
struct segment {
    struct segment_id is;
    uint32_t count;
    struct segment_left events; /* not in a removal yet */
    uint64_t bytes;             /* of those */
    char *path;
    bool touched; /* its row changes with the removal that is being made */
    bool told;    /* that events are lost while it was in use */
};

/* A queued event in memory. */
struct queued {
    uint64_t seq, key_hash;
    struct segment *segment; /* NULL: it has a row of its own */
    uint32_t n;              /* its place in the segment */
    char *bytes;             /* the row's value; row points into it */
    size_t size;
    bool out; /* with the target now, in a place of the window form */
    struct outbox_row row;
};

struct lane {
    char *key; /* bucket, NUL, key */
    size_t key_n;
    uint64_t key_hash;
    uint64_t *seqs; /* n numbers from `at` on */
    size_t at, n, cap;
    struct queued head; /* the first, when loaded (head.bytes) */
    unsigned tries;     /* of the first event, for its back-off */
    unsigned failures;  /* those that count: others went through meanwhile */
    uint64_t oks_mark;  /* sender's `oks` at the last one that counted */
    int64_t first_failure_ms, next_try_ms;
};

/* A resolved event on its way out of the rows. */
struct resolved {
    uint64_t seq;
    size_t size;
    struct segment *segment; /* with n; NULL: a row of its own */
    uint32_t n;
    bool lost;  /* it is not in the segment's file any more */
    char *dead; /* the row of its dead letter, or NULL */
    size_t dead_n;
};
/* What becomes of a segment's row. */
struct segment_change {
    uint64_t first, id;
    char *row; /* malloc'd, the new one; NULL: all its events are resolved, the file is to go */
    size_t row_n;
    char *path; /* then, malloc'd */
};
/* A file that goes once it is certain that no row names it. */
struct segment_spent {
    uint64_t id;
    char *path;
};
/* One write that removes what was resolved; at most one is under way. */
struct removal {
    struct kv_commit commit;
    struct resolved *v;
    size_t n, cap;
    uint64_t oldest; /* the cursor after it */
    struct segment_change *changes;
    size_t n_changes, cap_changes;
    uint64_t last_bytes; /* what segments that end with it had left beyond their events' sizes */
};

/* Moving a backlog into segments. */
struct mover {
    uint64_t next;                 /* what is before it was looked at: segments, and rows that stay */
    int64_t down_since_ms, due_ms; /* since when nothing goes through; not before */
    bool told, telling;            /* the log knows that it moves; that it cannot */
    bool folder_made, folder_used; /* in this run; by a segment that is queued */
    uint64_t compact_from; /* what was moved since the store was last asked for its space; 0: nothing */
    uint32_t n_moved;      /* segments, likewise */
};

/* An event of the batch at hand: in the window, or first of a lane. */
struct picked {
    struct queued *event;
    struct lane *lane;      /* NULL: in the window */
    const char *why;        /* of its outcome; "": no reason of its own */
    int64_t retry_after_ms; /* the receiver named it */
};

/* Window form: a place of the target's. An outcome that is no success waits here (`ended`) until it is clear whether others
 * go through, or nothing does. */
struct place {
    bool used, ended;
    uint64_t seq;
    enum send_result result;
    int64_t retry_after_ms, ended_ms;
    struct event_ref ref;
};

/* How many events were delivered in each of the last spans of RATE_MS. */
#define RATE_SPANS 6
#define RATE_MS    10000
struct sender_rate {
    int64_t span; /* number of the newest: time divided by RATE_MS */
    uint64_t n[RATE_SPANS];
};

/* How far the sender's thread has come before its first step. */
enum sender_ready {
    READY_NOT,   /* at work */
    READY_WAITS, /* for something outside: status and reason say for what */
    READY,
    READY_FAILED /* the store cannot be read or changed; it sends nothing */
};

struct sender {
    /* fixed once opened */
    struct delivery *delivery;
    struct kv *kv;
    const struct target_type *type;
    unsigned max_batch; /* the type's, or fewer by its settings */
    struct arena arena; /* settings and id */
    struct str id;
    char label[64]; /* "webhook:primary", for the log */
    uint32_t number;
    const struct target_common *conf;
    struct str fingerprint; /* of the settings it was made from */
    void *self;             /* NULL: settings are wrong, see reason; sends nothing */
    int64_t dead_limit;
    int64_t send_ms; /* an event has to be answered by then: SEND_MS */

    /* the sender's thread only */
    bool connected, broken, running;
    bool forgetful; /* the store takes no removals any more: what is delivered comes again after a restart */
    bool told_offline;                   /* the log knows that it is offline or broken */
    uint32_t told[TOLD_REASONS], n_told; /* checksums of the reasons that the log has of this outage */
    bool send_failed; /* the last failure was a send: a connection alone does not make up for it */
    unsigned fails;   /* in a row, for the back-off */
    unsigned streak;  /* REJECTs without a success between */
    uint64_t undying; /* while broken: the event that found the dead letters full; 0: none */
    size_t turn;      /* where the next batch begins while nothing goes through: lanes, then the window */
    int64_t retry_at_ms, last_work_ms;
    uint64_t scan_next, cursor, oks, rng;
    bool backlog;     /* more rows were there than fitted */
    bool unread;      /* it is offline because queued events could not be read */
    bool unread_file; /* which are in a file of its queue_dir, and not in the rows: a salvage is of no use */
    bool thin;        /* the last batch was not full */
    bool ahead_over;  /* what comes next is not read ahead, while this batch is out */
    struct queued *window; /* queue_room of them at most */
    size_t n_window, window_bytes;
    size_t holes;       /* places of the window that are resolved or parked */
    size_t pick_from;   /* before it, everything in the window is out or a hole */
    struct lane *lanes; /* max_batch of them at most */
    size_t n_lanes, lane_events;
    struct picked *batch;
    struct event_ref *refs;
    enum send_result *results;
    char (*why)[SEND_WHY];
    struct place *places; /* max_batch of them; NULL: batch form */
    uint64_t *hashes;     /* of the key in each place that is used: looked at before the places are */
    unsigned *vacant;     /* places that are not used, the next one last */
    unsigned *finished;   /* places whose outcome waits, in order */
    struct send_done *done;
    size_t n_used, n_ended;
    uint16_t keys_out[KEY_SLOTS]; /* of each slot of key hashes, how many places have a key of it */
    bool waits;                   /* nothing is to be done before an answer comes */
    struct resolved *out;         /* resolved in this step */
    size_t n_out, cap_out;
    struct removal removal;
    struct segment **segments; /* in use, in order */
    size_t n_segments;
    struct segment *reading; /* one of them, its file in `text`, read up to the event `reading_n` */
    uint32_t reading_n;
    struct buf text;
    struct segment_spent *spent;
    size_t n_spent;
    struct mover mover;
    struct segment_limits limits;

    /* any thread */
    _Atomic bool want_wake, news; /* the sender wants to hear of a commit; there was one */
    _Atomic uint64_t accepted, sent, retries, rejected, dropped;
    _Atomic int64_t dead;     /* dead letters there are */
    _Atomic bool paused;      /* an administrator wants nothing to be sent */
    _Atomic unsigned sending; /* events that are with the target now */
    _Atomic int64_t stop_ms;  /* steady ms by which a call has to end; INT64_MAX: no stop */
    _Atomic int64_t disk_ms;  /* since when a call to the disk of a queue_dir is under way; 0: none */
    _Atomic(struct sender *)
        former; /* who had the queue and has not ended yet; it stays until this is NULL */

    struct mutex mutex; /* RANK_SENDER; for what follows */
    struct cond cond;
    bool stopping, removing, remove_failed;
    bool go, ended; /* steps may begin; the thread touches nothing any more */
    enum sender_ready ready;
    struct err failure; /* READY_FAILED */
    enum target_status status;
    char reason[300], last_error[300];
    int64_t since_ns, last_error_ns; /* wall clock: of the status; of the last error */
    struct sender_rate rate;
    uint64_t oldest;       /* the cursor: everything before it is resolved */
    uint64_t oldest_event; /* no unresolved event has a smaller number */
    pthread_t thread;
};

/* --- sender.c: made, freed, and steps */
struct sender *sender_new(struct delivery *d, struct kv *kv, const struct target_type *type, struct str id,
                          uint32_t number);
/* Memory for so many events at once: what the kind has out with these settings. Once, before sender_start. */
void sender_set_batch(struct sender *s, unsigned max_batch);
/* Reads cursor and counters, again after files of queue_dir were taken in. False: the rows cannot be read. */
bool sender_load(struct sender *s, struct err *e);
void sender_free(struct sender *s);
/* One step at `now`; returns when the next one is due (steady ms, INT64_MAX: when a commit wakes it). */
int64_t sender_step(struct sender *s, int64_t now_ms);
/* Waits until no removal is under way; false when the store has failed. */
bool sender_settled(struct sender *s);
/* The event of the batch as the target sees it; its reason goes to `why`. */
struct event_ref sender_ref(const struct picked *p, char *why);
/* When a call that may take span_ms has to end, which is earlier when the sender stops. */
int64_t sender_deadline(struct sender *s, int64_t now_ms, int64_t span_ms);
/* control.c: has an administrator paused this target? False and err: the row cannot be read. */
bool target_paused(struct kv *kv, uint32_t number, bool *paused, struct err *e);
/* How long to wait after `fails` failures in a row: 0.1 s up to a bound that doubles to 30 s, at random. */
int64_t sender_backoff(struct sender *s, unsigned fails, int64_t retry_after_ms);

/* --- sender_thread.c: the thread
 * Whatever looks at a queue_dir is done in it, from the first to the last: the disk of one may hang, which must hold up
 * nobody but its own target. */

/* Starts the thread, which makes the queue ready: waits until `former` (NULL: nobody), the sender that had it before, has
 * ended, which it may be kept from by its disk; removes files of segments that nothing needs, makes the queue_dir, takes in
 * the files of a MinIO, loads. Then it waits for sender_go, or ends when the settings are wrong. After sender_load. */
void sender_start(struct sender *s, struct sender *former);
/* Waits until that is done or cannot be done yet, at most until then (steady ms). False and err: the store has failed. */
bool sender_prepared(struct sender *s, int64_t until_ms, struct err *e);
void sender_go(struct sender *s);
void sender_ask_stop(struct sender *s, int64_t deadline_ms);
/* Waits for the end of the thread. False: it has not ended by then (steady ms); so it stays, and has to be joined again. */
bool sender_join(struct sender *s, int64_t until_ms);
/* For kv_txn_on_commit, once per event that was queued; arg is the sender. */
void sender_wake(void *arg);
/* As `paused` says now: the sender looks again at what is to be done. Any thread. */
void sender_look_again(struct sender *s);
/* Around calls that go to the disk of a queue_dir, so that it is seen when they do not return. The sender's thread. */
void sender_on_disk(struct sender *s, bool begins);

/* --- sender_state.c: what others see */
/* Settings, or what they name, cannot be used: nothing is sent until they can. */
void sender_unfit(struct sender *s, const char *reason);
void sender_offline(struct sender *s, const char *reason);
void sender_online(struct sender *s);
/* what: in the log, before the reason: "it refuses every event: ". */
void sender_break(struct sender *s, const char *what, const char *reason);
void sender_set_reason(struct sender *s, const char *reason);
int64_t sender_queued(struct sender *s);
/* n events were delivered; how many that are per second, over the last minute. */
void sender_count_sent(struct sender *s, size_t n);
double sender_rate(struct sender *s);

/* --- sender_queue.c: window and lanes */
/* Reads rows into window and lanes; false and err when they cannot be read. */
bool queue_fill(struct sender *s, struct err *e);
/* While a batch is being sent (struct meanwhile): more rows for the next one, as far as there is room. What is in the window
 * stays where it is; no file is read, and what cannot be read is left to queue_fill. arg: the sender. */
void queue_read_ahead(void *arg);
/* How many events the window has room for. */
size_t queue_room(const struct sender *s);
bool queue_has_room(const struct sender *s);
/* Parks the key of a window event; the lane, or NULL when there are as many as there may be. Pointers into the window are
 * no longer valid. */
struct lane *queue_park(struct sender *s, const struct queued *q);
/* The event is resolved: its row goes with the next removal, into the dead letters when `dead_reason`. */
void queue_resolve(struct sender *s, struct picked *p, uint32_t attempts, const char *dead_reason);
/* Closes up after what was resolved or parked, and drops lanes without events. */
void queue_compact(struct sender *s);
uint64_t queue_oldest(const struct sender *s);       /* that a row stands for: where the next start begins */
uint64_t queue_oldest_event(const struct sender *s); /* of the events themselves */
int64_t queue_next_due(const struct sender *s);      /* of the lanes; INT64_MAX: none */
void queue_release(struct sender *s);
/* Takes an event in that is in a segment. */
void queue_take(struct sender *s, uint64_t seq, struct str value, struct segment *segment, uint32_t n);
bool queued_load(struct queued *q, uint64_t seq, struct str value);
bool queued_same_key(const struct queued *a, const struct queued *b);
/* One more of the resolved events, empty; valid until the next one. */
struct resolved *queue_resolved(struct sender *s);
/* The first event of a lane, read again when it is not at hand. What is gone is dropped, as much of it as may be resolved in
 * one step: then the lane stays due. What cannot be read is tried again later, as an event that failed. */
bool lane_load(struct sender *s, struct lane *l);

/* --- sender_pick.c: what goes out next */
/* The batch of this step into s->batch, max at most: what is due, at most one event per key where the kind asks for it
 * (and in a probe), none of a key of which one is out. Returns their number. */
size_t queue_pick(struct sender *s, int64_t now_ms, bool probe, size_t max);
/* Where the event of that number is, which is in the window or first of a lane. */
struct picked queue_find(struct sender *s, uint64_t seq);
/* The slot of a key's hash, which may be that of other keys, too: most of the time it is empty, and that is all there is to
 * ask. */
static inline unsigned key_slot(uint64_t key_hash)
{
    return (unsigned)(key_hash ^ key_hash >> 32) % KEY_SLOTS;
}

/* --- sender_segment.c: events in segments */
/* The segment row at `first` was reached: its file is read, what is missing in it counted as lost. False and err: it cannot
 * be read now. *last: its last number. */
bool segment_open(struct sender *s, uint64_t first, struct str value, uint64_t *last, struct err *e);
/* Takes in the next event of the segment that is being read; false: there is none. */
bool segment_next(struct sender *s);
/* The segment in use that has this number, or NULL. */
struct segment *segment_of(const struct sender *s, uint64_t seq);
/* Reads one of its events again. SEGMENT_GONE: it is lost, and resolved as that. */
enum segment_result segment_event(struct sender *s, struct segment *g, uint64_t seq, struct queued *out,
                                  struct err *e);
void segment_resolved(struct sender *s, const struct resolved *r); /* it is in the removal */
/* Rows of what segment_resolved touched, into s->removal. */
void segments_changes(struct sender *s);
/* Removes the files that are not needed any more, when they are many or `all`. Waits for a removal. */
bool segments_clean(struct sender *s, bool all);
/* Before the first step: files of the target that nothing needs, by their rows. Errors of the store only. */
bool segments_clean_start(struct sender *s, struct err *e);
void segments_release(struct sender *s);

/* --- sender_move.c */
/* Moves at most one segment while the target takes nothing. When to come again (steady ms). False: the store has failed. */
bool mover_step(struct sender *s, int64_t now_ms, int64_t *next_ms);
void mover_online(struct sender *s); /* the target takes events again */

/* --- sender_settle.c: from outcomes to states. s->batch[0..n) was sent with s->results. */
/* others: events are still out, so that it is too early to call the target down. */
void settle(struct sender *s, size_t n, bool others, int64_t now_ms, const struct err *e);

/* --- sender_window.c: kinds of the window form */
/* Makes places and what belongs to them; before anything else. */
void window_init(struct sender *s);
/* Hands over what is due to the places that are free, and settles what has been answered. s->waits: there is nothing to
 * do before another answer comes. unread: rows could not be read. False when nothing was handed over and nothing is out. */
bool window_step(struct sender *s, int64_t now_ms, bool unread);
/* Waits for answers, news or what is due, and settles what has been answered. */
void window_wait(struct sender *s, int64_t now_ms);
/* The sender stops: waits for what is out, until the time to stop is over. */
void window_drain(struct sender *s);
/* Is an event of this key out? */
bool window_holds(const struct sender *s, const struct queued *q);

/* --- sender_remove.c */
/* Writes what was resolved; waits for the removal before it. When the store has failed it is only forgotten: what is durable
 * is news now, and is delivered once more after the restart. */
void remove_resolved(struct sender *s);
bool sender_removes(struct sender *s);    /* a removal is under way */
size_t sender_removing(struct sender *s); /* of so many events; 0: none is */
#ifdef BELFRY_MUTATE_REMOVE_BEFORE_SEND
void sender_remove_early(struct sender *s, size_t n);
#endif

#endif
