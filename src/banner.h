/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server prints when it is ready: where it can be reached, and the ARNs of its targets. */
#ifndef BELFRY_BANNER_H
#define BELFRY_BANNER_H

#include "base/buf.h"
#include "event/delivery.h"

/* The URLs under which a server that listens on `address` ("127.0.0.1:9000", "[::]:9000") can be reached: of every
 * interface when it listens on all, outside ones first. In the arena. */
size_t banner_urls(struct arena *a, const char *address, bool tls, struct str **out);
/* The text, or with json one JSON line. Pure. arns may be none. */
void banner_text(struct buf *b, const struct str *urls, size_t n_urls, const struct str *arns, size_t n_arns);
void banner_json(struct buf *b, const struct str *urls, size_t n_urls, const struct str *arns, size_t n_arns,
                 int64_t now_ns);

#endif
