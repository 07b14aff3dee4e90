/* SPDX-License-Identifier: Apache-2.0
 *
 * The arena: a chain of chunks that grow from 4 KiB to 64 KiB; what is larger gets a chunk of its own. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#define CHUNK_FIRST 4096
#define CHUNK_MAX   65536

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;
    _Alignas(max_align_t) char data[];
};

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

void arena_release(struct arena *a)
{
    while (a->chunks) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        free(c);
    }
    arena_init(a);
}

static struct arena_chunk *new_chunk(struct arena *a, size_t size)
{
    struct arena_chunk *c = x_malloc(sizeof(*c) + size);
    c->size = size;
    c->next = a->chunks;
    a->chunks = c;
    a->total += size;
    return c;
}

static void *alloc_slow(struct arena *a, size_t n)
{
    if (n > CHUNK_MAX / 4) {
        /* a->at stays where it is: the current chunk is not yet used up. */
        return new_chunk(a, n)->data;
    }
    size_t size = a->total < CHUNK_FIRST ? CHUNK_FIRST : a->total < CHUNK_MAX ? a->total : CHUNK_MAX;
    if (size < n)
        size = n;
    size = (size + 15) & ~(size_t)15;
    struct arena_chunk *c = new_chunk(a, size);
    a->at = c->data + n;
    a->end = c->data + size;
    return c->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
    const size_t align = _Alignof(max_align_t);
    BUG_ON(n > SIZE_MAX / 2);
    n = n ? (n + align - 1) & ~(align - 1) : align;
    if ((size_t)(a->end - a->at) < n)
        return alloc_slow(a, n);
    void *p = a->at;
    a->at += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    return memset(arena_alloc(a, n), 0, n);
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n);
    if (s.n)
        memcpy(p, s.p, s.n);
    return (struct str){p, s.n};
}

char *arena_strz(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    char *p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return (struct str){p, (size_t)n};
}
