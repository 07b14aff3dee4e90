/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ways of authentication share, private to this folder. */
#ifndef BELFRY_AUTH_AUTH_IMPL_H
#define BELFRY_AUTH_AUTH_IMPL_H

#include "auth/sigv4.h"

struct auth {
    char *access_key, *secret_key, *region;
    struct str access, secret, place; /* views of the three */
    struct sigv4_stock stock;
};

/* What x-amz-content-sha256 says about the body, where the head's signature cannot be the seed of chunk signatures:
 * SigV2, and no signature at all. Those forms are AUTH_ACCESS_DENIED. */
enum auth_result auth_plain_payload(const struct auth_request *r, struct auth_payload *p);

/* Is the region of a V4 credential one that is accepted here? AUTH_WRONG_REGION. */
enum auth_result auth_check_region(const struct auth *a, struct str region);

/* The value of a name that is in the query exactly once: of two, those who read it might not take the same. */
bool auth_query_once(const struct headers *q, struct str name, struct str *value);

/* SigV2 (AWS: "Signing and Authenticating REST Requests (Signature Version 2)"). */
enum auth_result sigv2_header(struct auth *a, const struct auth_request *r, struct str authorization,
                              struct arena *scratch, struct auth_identity *id, struct auth_payload *p);
enum auth_result sigv2_query(struct auth *a, const struct auth_request *r, struct arena *scratch,
                             struct auth_identity *id, struct auth_payload *p);
/* The text that is signed; date: of the Date line, a presigned URL's Expires. False on a broken escape. */
bool sigv2_string_to_sign(struct buf *out, const struct auth_request *r, struct str date,
                          struct arena *scratch);
/* Is it the base64 of HMAC-SHA1(secret, text)? In constant time. */
bool sigv2_right(struct str secret, struct str text, struct str signature);

#endif
