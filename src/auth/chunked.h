/* SPDX-License-Identifier: Apache-2.0
 *
 * The aws-chunked coding of bodies (AWS: "Signature Calculations for the Authorization Header: Transferring Payload in
 * Multiple Chunks"), as a pure decoder that takes any split of the input and keeps no more than one line. */
#ifndef BELFRY_AUTH_CHUNKED_H
#define BELFRY_AUTH_CHUNKED_H

#include "auth/auth.h"

enum chunked_result {
    CHUNKED_MORE,       /* everything taken, more is needed */
    CHUNKED_DONE,       /* the end was read and is right */
    CHUNKED_INCOMPLETE, /* IncompleteBody: more or fewer bytes than x-amz-decoded-content-length, broken framing */
    CHUNKED_BAD_SIGNATURE, /* SignatureDoesNotMatch */
    CHUNKED_TOO_LARGE,     /* EntityTooLarge: a signed chunk above 16 MiB */
    CHUNKED_BAD_TRAILER,   /* MalformedTrailerError */
};
struct chunked; /* decoder */
/* p stays valid until chunked_free. */
struct chunked *chunked_new(const struct auth_payload *p);
/* Decodes in; calls out for every piece of decoded data (a view into `in`), in order. Bytes after the end are
 * CHUNKED_INCOMPLETE. */
enum chunked_result chunked_feed(struct chunked *c, struct str in, void (*out)(void *ctx, struct str data),
                                 void *ctx);
/* The trailers read (lower-case names), valid until chunked_free; after CHUNKED_DONE. */
const struct headers *chunked_trailers(const struct chunked *c);
void chunked_free(struct chunked *c);

#endif
