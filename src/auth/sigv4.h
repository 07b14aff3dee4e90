/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4 in pieces, private to this folder: reading what the client says about its signature, the
 * canonical forms, and the stock of signing keys. Pure but for the stock. */
#ifndef BELFRY_AUTH_SIGV4_H
#define BELFRY_AUTH_SIGV4_H

#include "auth/auth.h"
#include "base/hash.h"
#include "base/thread.h"

#define SIGV4_ALGORITHM   STR("AWS4-HMAC-SHA256")
#define SIGV4_NAMES_MAX   128 /* signed headers: as many as a head may have */
#define SIGV4_EMPTY_SHA   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIGV4_DAY_LEN     8
#define SIGV4_KEY_LEN     32
#define SIGV4_HEX_LEN     64
#define SIGV4_SKEW_S      (15 * 60)
#define SIGV4_EXPIRES_MAX 604800

/* AK/20130524/us-east-1/s3/aws4_request. The scope is the last four parts: an access key may hold slashes. */
struct sigv4_credential {
    struct str access_key, scope, day, region, service;
};
bool sigv4_credential(struct str text, struct sigv4_credential *out);
/* A signature as it is sent: 64 lower-case hexadecimal digits, nothing else that would mean the same. */
bool sigv4_digest(struct str text, uint8_t out[SHA256_LEN]);

/* "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=..." with or without blanks after the commas. */
struct sigv4_header {
    struct sigv4_credential credential;
    struct str signed_headers, signature;
};
bool sigv4_header(struct str value, struct sigv4_header *out);

/* Names of signed headers: lower-case, sorted, each once. */
struct sigv4_names {
    struct str v[SIGV4_NAMES_MAX];
    size_t n;
};
/* "host;x-amz-date". False when empty, malformed or too many. Lower-casing may allocate in the arena. */
bool sigv4_names(struct str list, struct arena *a, struct sigv4_names *out);
bool sigv4_names_has(const struct sigv4_names *names, struct str name);

/* name:value lines of the signed headers; AUTH_UNSIGNED_HEADERS when one of them is not in the request. */
enum auth_result sigv4_canon_headers(struct buf *out, const struct headers *h,
                                     const struct sigv4_names *names);
/* The whole canonical request. */
enum auth_result sigv4_canon_request(struct buf *out, const struct auth_request *r,
                                     const struct sigv4_names *names, struct str payload_hash,
                                     struct arena *a);
/* "AWS4-HMAC-SHA256", date, scope, hash of the canonical request. */
void sigv4_string_to_sign(struct buf *out, struct str date, struct str scope, struct str canonical);

/* Signing keys of recent days and regions. Only keys of verified requests are added, so that nobody without the secret
 * can push others out. */
#define SIGV4_STOCK      8
#define SIGV4_REGION_MAX 48
struct sigv4_stock {
    struct mutex mutex;
    unsigned next;
    struct sigv4_stock_key {
        char day[SIGV4_DAY_LEN], region[SIGV4_REGION_MAX];
        size_t region_len;
        uint8_t key[SIGV4_KEY_LEN];
        bool used;
    } v[SIGV4_STOCK];
};
void sigv4_stock_init(struct sigv4_stock *s);
void sigv4_stock_release(struct sigv4_stock *s);
bool sigv4_stock_get(struct sigv4_stock *s, struct str day, struct str region, uint8_t key[SIGV4_KEY_LEN]);
void sigv4_stock_add(struct sigv4_stock *s, struct str day, struct str region,
                     const uint8_t key[SIGV4_KEY_LEN]);

#endif
