/* SPDX-License-Identifier: Apache-2.0
 *
 * The sub-systems of mc admin config: one per kind of target, built in or not, and the server's own. */
#ifndef BELFRY_SUBSYS_H
#define BELFRY_SUBSYS_H

#include "config/store.h"

/* In MinIO's order, ours last. Made at the first call; the same ever after. */
const struct config_table *subsys_table(void);

/* Settings of the sub-system CONFIG_SERVER. */
struct server_conf {
    int64_t disk_reserve;   /* bytes; -1: the store's own default */
    int64_t listen_history; /* events */
};
#define LISTEN_HISTORY_LIMIT 100000000
extern const struct config_subsys subsys_server;
/* What is in force; a bad value counts as the default, and is told of in err (false). */
bool subsys_server_load(const struct config_stored *st, struct server_conf *out, struct err *e);

#endif
