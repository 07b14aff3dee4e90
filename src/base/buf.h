/* SPDX-License-Identifier: Apache-2.0
 *
 * A growable byte buffer with a maximum. When an append would pass the maximum, nothing more is taken and
 * `failed` sticks: build everything, then ask once. Owned by one thread at a time. */
#ifndef BELFRY_BASE_BUF_H
#define BELFRY_BASE_BUF_H

#include "base/str.h"

struct buf {
    char *p;
    size_t len, cap, max;
    bool failed;
};

/* An empty buffer that holds at most `max` bytes; allocates nothing yet. */
void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the buffer may be used again with the same maximum. */
void buf_release(struct buf *b);
/* Forgets content and failure, keeps the allocation. */
void buf_reset(struct buf *b);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_puts(struct buf *b, const char *z);
void buf_char(struct buf *b, char c);
void buf_u64(struct buf *b, uint64_t v);
void buf_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes to be written by the caller, who then adds to len; NULL (and failed) beyond the maximum. */
char *buf_reserve(struct buf *b, size_t n);
/* Takes n bytes (at most len) off the front. */
void buf_consume(struct buf *b, size_t n);
/* The content; valid until the next append or release. */
static inline struct str buf_view(const struct buf *b)
{
    return (struct str){b->p, b->len};
}

/* Fixed-width integers, big-endian (keys) and LEB128 (values). */
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v);
/* varint length, then the bytes. */
void buf_lstr(struct buf *b, struct str s);

/* The reading side: each takes its value off the front of *in; false (and *in unchanged) when *in is too short or the
 * number malformed. */
bool take_be32(struct str *in, uint32_t *out);
bool take_be64(struct str *in, uint64_t *out);
bool take_varint(struct str *in, uint64_t *out);
bool take_lstr(struct str *in, struct str *out);
bool take_bytes(struct str *in, size_t n, struct str *out);

#endif
