/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of one request: allocated piece by piece, freed in one step. Not for more than one thread at a time. */
#ifndef BELFRY_BASE_ARENA_H
#define BELFRY_BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    char *at, *end;
    size_t total;
};

/* Empty; allocates nothing before the first use. */
void arena_init(struct arena *a);
/* Frees everything; the arena may be used again. */
void arena_release(struct arena *a);
/* n bytes, aligned for any type; never NULL (the process ends when memory does). */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* Copies; arena_strz adds a NUL. */
struct str arena_dup(struct arena *a, struct str s);
char *arena_strz(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(a, type)      ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (n)))

#endif
