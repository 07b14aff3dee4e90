/* SPDX-License-Identifier: Apache-2.0
 *
 * The history of settings: rows k h number, each the text of one change; and which there are, in memory. */
#ifndef BELFRY_CONFIG_HISTORY_H
#define BELFRY_CONFIG_HISTORY_H

#include "config/store.h"

#define HISTORY_ID_LEN 36 /* a UUID */

struct history_entry {
    uint64_t seq; /* of its row, in the order of time */
    int64_t time_ns;
    char id[HISTORY_ID_LEN];
};
struct history {
    struct history_entry v[CONFIG_HISTORY_MAX + 1];
    size_t n;
};

bool history_load(struct kv *kv, struct history *h, struct err *e);
/* A new entry without a number. */
struct history_entry history_new_entry(void);
const struct history_entry *history_find(const struct history *h, struct str id);
void history_remove(struct history *h, uint64_t seq);

/* In a closure: gives the entry its number and writes its row; removes a row. */
void history_txn_put(struct kv_txn *t, struct history_entry *entry, struct str text);
void history_txn_del(struct kv_txn *t, uint64_t seq);
/* The text of an entry, to be freed by the caller; NULL: it cannot be read. */
char *history_text(struct kv *kv, uint64_t seq, struct err *e);

#endif
