/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses in the settings of targets: host, host:port, [IPv6] or [IPv6]:port. Pure. */
#ifndef BELFRY_TARGET_ADDRESS_H
#define BELFRY_TARGET_ADDRESS_H

#include "base/err.h"
#include "base/str.h"

/* An address taken apart; shown: as it stands in messages, host:port. */
struct target_address {
    char host[256], port[6], shown[264];
};
/* How a kind speaks of its address. */
struct address_words {
    const char *setting; /* "address" */
    const char *port;    /* where none is named */
    const char *example; /* "localhost:6379" */
    const char *scheme;  /* said when it has a scheme: ", without a scheme ..." */
};
/* False and err, which never shows the address: a password may stand in what is refused. */
bool target_address_parse(struct str text, const struct address_words *w, struct target_address *out,
                          struct err *e);

#endif
