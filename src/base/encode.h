/* SPDX-License-Identifier: Apache-2.0
 *
 * Text encodings: hex, base64 (RFC 4648), percent (RFC 3986). Pure. */
#ifndef BELFRY_BASE_ENCODE_H
#define BELFRY_BASE_ENCODE_H

#include "base/arena.h"
#include "base/buf.h"

void hex_lower(const void *in, size_t n, char *out); /* 2n bytes, no NUL */
void hex_upper(const void *in, size_t n, char *out);
/* v as exactly 16 upper-case hex digits, no NUL. */
void hex_u64(uint64_t v, char out[16]);
/* Exactly n bytes from 2n hex digits of either case; false otherwise. */
bool hex_decode(struct str in, void *out, size_t n);

void base64_encode(struct buf *out, struct str in);
/* Standard alphabet, padding required, no white space; false when malformed or longer than cap. *n: bytes written. */
bool base64_decode(struct str in, void *out, size_t cap, size_t *n);

enum pct_set {
    PCT_PATH,  /* S3 canonical URI: A-Z a-z 0-9 - _ . ~ and / stay */
    PCT_QUERY, /* S3 canonical query: the same without / */
    PCT_FORM,  /* Go's url.QueryEscape: as PCT_QUERY, but space is + (event keys) */
};
void pct_encode(struct buf *out, struct str in, enum pct_set set);
/* Decodes %XX (and + as space when plus); false on a broken escape. */
bool pct_decode(struct buf *out, struct str in, bool plus);
bool pct_decode_arena(struct arena *a, struct str in, bool plus, struct str *out);

#endif
