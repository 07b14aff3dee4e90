/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up delivery.h. */
#ifndef BELFRY_EVENT_DELIVERY_IMPL_H
#define BELFRY_EVENT_DELIVERY_IMPL_H

#include "event/sender.h"

/* A target that was enabled once and is not now, with what it left in the rows. */
struct orphan {
    char id[96], type[24];
    uint32_t number;
};

/* A set of targets. */
struct roster {
    struct sender **senders; /* enabled, in order of type and id */
    size_t n_senders;
    struct sender **by_number; /* NULL where none is enabled */
    uint32_t max_number;
    struct orphan *orphans;
    size_t n_orphans;
};

struct delivery {
    struct kv *kv;
    struct arena arena;
    struct str region;
    const char *certs_dir; /* NULL: none */
    struct str ca_pem;     /* malloc'd; under `change`, copied by each sender */
    int64_t dead_letter_limit;
    _Atomic int64_t
        disk_reserve; /* as in the store's options: what segments leave free on the disk of a queue_dir */
    _Atomic uint64_t generation;
    struct mutex change; /* held by who changes the set; and for running, stopped */
    bool running, stopped;
    struct sender **leaving; /* under `change`: those that had to make way and have not ended yet */
    size_t n_leaving;
    /* Changed by the committer's thread only, which reads it as it is; others, unless they hold `change`, take the mutex. */
    struct mutex mutex;
    struct roster now;
};

/* The sender of a target; NULL when it is not enabled. On the committer's thread. */
struct sender *delivery_sender(const struct delivery *d, uint32_t number);

/* --- delivery_change.c: under d->change, or before threads */
/* The set for these settings; senders of the present one whose settings are the same are in it, others are new and not
 * loaded. Errors of the store only; then what was made is in it, too. */
bool roster_make(struct delivery *d, const struct config_stored *st, struct roster *r, struct err *e);
void roster_release(struct roster *r); /* senders stay */
/* How long a start or a change waits for the work of new senders in their queue_dirs; how long a stop or a change waits for
 * the end of senders whose time is over. */
#define PREPARE_MS 5000
#define LEAVE_MS   1000
/* Starts the senders of the present set that `before` (NULL: nobody) has not, and waits for them, at most so long. Errors of
 * the store only. */
bool roster_start(struct delivery *d, const struct roster *before, int64_t span_ms, struct err *e);

/* The settings of a target of this type and id, checked. False and err: they are wrong. */
bool target_settings(struct delivery *d, const struct config_stored *st, const struct target_type *type,
                     struct str id, struct arena *a, struct target_common **conf, struct err *e);

/* --- queue_dir_file.c */
#define QUEUE_DIR_FILE_MAX (256u << 10)
/* Makes the folder with its parents; false and err when it cannot be. A disk that hangs holds it up. */
bool queue_dir_make(const char *path, struct err *e);
/* The same, and may it be used? False and err also when the disk has not answered by then. For changes of settings: any
 * thread that may wait so long. (queue_dir_try.c) */
bool queue_dir_try(const char *path, int64_t span_ms, struct err *e);
/* A file's text as an event: record without white space around it, raw key unescaped into the arena. Pure. */
bool queue_dir_parse(struct arena *a, struct str text, struct outbox_row *out);
/* The text of a file of the folder; false when it cannot be read, is no plain file or too large. */
bool queue_dir_read(int dir, const char *name, struct buf *out);

/* --- queue_dir.c */
/* Takes in the events that a MinIO left in the target's folder of its queue_dir, before the sender reads its rows: the
 * sender's thread. Ends early when that is to stop: the rest stays for the next start. Errors of the store only. */
bool queue_dir_take(struct sender *s, struct err *e);

#endif
