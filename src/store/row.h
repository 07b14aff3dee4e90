/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of the store's rows, and the form of their values: a version byte, then tagged fields (varint number *
 * 2, +1 for bytes; then a varint, or a length and bytes). A reader skips numbers that it does not know, so
 * that a later version may add fields. Pure. */
#ifndef BELFRY_STORE_ROW_H
#define BELFRY_STORE_ROW_H

#include "base/buf.h"
#include "base/err.h"
#include "store/object.h"

#define STORE_KEY_MAX \
    1024 /* bytes of an object's key; longer ones are refused at the edge, and found nowhere */
#define ROW_VERSION 1

struct row_key {
    size_t n;
    char p[1 + 8 + STORE_KEY_MAX + 1 + UPLOAD_ID_LEN + 4];
};
/* Each fills *k and returns the view of it. */
struct str row_key_bucket(struct row_key *k, struct str name);                 /* b name */
struct str row_key_object(struct row_key *k, uint64_t bucket, struct str key); /* o bucket-id key */
struct str row_key_id(struct row_key *k, char kind, uint64_t id);              /* r, t, n, e: kind id */
/* u bucket-id key 0 upload-id; its parts: the same, then the number, big-endian 32 bit. Keys of objects hold no NUL. */
struct str row_key_upload(struct row_key *k, uint64_t bucket, struct str key, struct str upload);
struct str row_key_part(struct row_key *k, uint64_t bucket, struct str key, struct str upload, uint32_t part);
struct str row_key_garbage(struct row_key *k, char what, uint64_t seq, uint64_t id); /* g what seq id */
struct str row_key_data(struct row_key *k, uint64_t id);                             /* KV_DATA: id */
#define ROW_KEY_IDS        STR("i") /* the next id to hand out */
#define ROW_KEY_DEPLOYMENT STR("m.deployment")
#define ROW_KEY_OBSERVED   STR("m.observed")
#define GARBAGE_BLOB       'b'
#define GARBAGE_BUCKET     'k'
#define GARBAGE_UPLOAD     'u' /* id: of the upload; value: see upload.c */
#define GARBAGE_EXTENTS    'x' /* an extents row, with all that it names */

/* The id behind `skip` bytes of a key that ends with it. */
bool row_id(struct str key, size_t skip, uint64_t *id);
bool row_garbage(struct str key, char *what, uint64_t *seq, uint64_t *id);
/* Takes a u row's key apart; *part is 0 for the upload itself. Views of `key`. */
bool row_upload(struct str key, uint64_t *bucket, struct str *object_key, struct str *upload, uint32_t *part);

/* Turns the bytes of *b into the first key behind all keys that begin with them; false when there is none. */
bool row_successor(struct buf *b);

void row_begin(struct buf *b);
void row_u64(struct buf *b, unsigned field, uint64_t v);
void row_bytes(struct buf *b, unsigned field, struct str s);

struct row_field {
    uint64_t field;
    bool is_bytes;
    uint64_t v;
    struct str s;
};
enum row_next { ROW_FIELD, ROW_END, ROW_BAD };
/* Takes the version byte off the front; false when it is another version. */
bool row_open(struct str *row);
enum row_next row_next(struct str *row, struct row_field *out);

/* Signed numbers as unsigned ones that stay small. */
static inline uint64_t row_zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t row_unzigzag(uint64_t v)
{
    return (int64_t)((v >> 1) ^ (~(v & 1) + 1));
}

#endif
