/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up delivery.h. */
#ifndef BELFRY_EVENT_DELIVERY_IMPL_H
#define BELFRY_EVENT_DELIVERY_IMPL_H

#include "event/sender.h"

/* A target that was enabled once and is not now, with what it left in the rows. */
struct orphan {
    struct str id, type;
    uint32_t number;
};

struct delivery {
    struct kv *kv;
    struct arena arena;
    struct str region;
    struct str ca_pem;
    int64_t dead_letter_limit;
    _Atomic uint64_t generation;
    /* Enabled targets in order of type and id; fixed from delivery_open on. */
    struct sender **senders;
    size_t n_senders;
    struct sender **by_number; /* NULL where none is enabled */
    uint32_t max_number;
    struct orphan *orphans;
    size_t n_orphans;
    bool running;
};

/* The sender of a target; NULL when it is not enabled. */
struct sender *delivery_sender(const struct delivery *d, uint32_t number);

/* Settings of a sender's target out of the environment, and its instance. False and err: it stays without one. */
bool delivery_configure(struct delivery *d, struct sender *s, bool enabled_ok, struct err *e);

/* --- queue_dir_file.c */
#define QUEUE_DIR_FILE_MAX (256u << 10)
/* Makes the folder with its parents; false and err when it cannot be. */
bool queue_dir_make(const char *path, struct err *e);
/* A file's text as an event: record without white space around it, raw key unescaped into the arena. Pure. */
bool queue_dir_parse(struct arena *a, struct str text, struct outbox_row *out);
/* The text of a file of the folder; false when it cannot be read, is no plain file or too large. */
bool queue_dir_read(int dir, const char *name, struct buf *out);

/* --- queue_dir.c */
/* Takes in the events that a MinIO left in the target's folder of its queue_dir, before the sender reads its rows. Errors
 * of the store only. */
bool queue_dir_take(struct sender *s, struct err *e);

#endif
