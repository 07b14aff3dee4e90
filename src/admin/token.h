/* SPDX-License-Identifier: Apache-2.0
 *
 * The token that reads metrics: what mc admin prometheus generate makes for the configuration of a Prometheus server. A JSON Web
 * Token (RFC 7519), signed with the secret key (HMAC-SHA-512, RFC 7518 3.2). Pure. */
#ifndef BELFRY_ADMIN_TOKEN_H
#define BELFRY_ADMIN_TOKEN_H

#include "base/str.h"

#define TOKEN_MAX 4096

/* Is `token` (header.claims.signature) signed with `secret`, by HS512 and nothing else, for sub == access_key and iss ==
 * "prometheus", and is exp in the future (and nbf, if there is one, in the past)? now_s: seconds since 1970. */
bool token_ok(struct str token, struct str access_key, struct str secret, int64_t now_s);

#endif
