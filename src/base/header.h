/* SPDX-License-Identifier: Apache-2.0
 *
 * Name and value pairs of HTTP heads and queries, as views. */
#ifndef BELFRY_BASE_HEADER_H
#define BELFRY_BASE_HEADER_H

#include "base/arena.h"

struct header {
    struct str name, value;
};
struct headers {
    struct header *v;
    size_t n;
};

/* First header of that name (ASCII case-insensitive); *value is set and true returned when there is one. */
bool header_get(const struct headers *h, struct str name, struct str *value);
/* The value, or an empty str with p == NULL when absent. */
struct str header_value(const struct headers *h, struct str name);
size_t header_count(const struct headers *h, struct str name);

/* A raw query string ("a=1&b&c=%20") as decoded pairs in order of appearance, allocated in the arena; + is a space. At
 * most `max` pairs; false when there are more or an escape is broken. Names are case-sensitive: use query_get. */
bool query_parse(struct arena *a, struct str raw, size_t max, struct headers *out);
bool query_get(const struct headers *q, struct str name, struct str *value);

#endif
