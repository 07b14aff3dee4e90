/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS Signature Version 4 for the load generator, client side, header form only.
 *
 * A signer holds one identity and the key derived from it for the current day, so that a request costs one
 * SHA-256 of its canonical form and one HMAC. A signer belongs to one thread. Failures of the crypto library
 * end the process: there is nothing a load generator could do about them.
 *
 * Source: AWS, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)". */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define SIGN_HEX   64 /* hex digits of a SHA-256 */
#define SIGN_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct signer {
    EVP_MD *sha256;
    EVP_MD_CTX *digest;
    EVP_MAC_CTX *hmac; /* keyed with the day's signing key */
    char access_key[129];
    char secret_key[129];
    char region[65];
    time_t second;   /* what `date` was written for */
    char date[17];   /* 20130524T000000Z */
    char scope[128]; /* 20130524/us-east-1/s3/aws4_request */
    size_t scope_len;
    unsigned char key[32];
};

/* What is signed. All strings are in canonical form already (sign_path, sign_query) and end with NUL. */
struct sign_request {
    const char *method;
    const char *path;         /* starts with '/' */
    const char *query;        /* "" for none */
    const char *headers;      /* "name:value\n" for each, lower case, sorted */
    const char *header_names; /* "host;x-amz-date" */
    const char *payload_hash; /* 64 hex digits, or UNSIGNED-PAYLOAD */
};

/* False if a name is too long for the struct. Release only after success. */
bool signer_init(struct signer *s, const char *access_key, const char *secret_key, const char *region);
void signer_release(struct signer *s);

/* Sets the time of the requests that follow. Cheap within one second; derives a new key on a new day. */
void signer_at(struct signer *s, time_t now);

/* Hex SHA-256 of the canonical request, and of a body. `out` gets 64 digits and a NUL. */
void signer_canonical_hash(struct signer *s, const struct sign_request *r, char out[SIGN_HEX + 1]);
void signer_hash(struct signer *s, const void *data, size_t n, char out[SIGN_HEX + 1]);

/* The signature of the request at the time given to signer_at, as 64 hex digits and a NUL. */
void signer_sign(struct signer *s, const struct sign_request *r, char out[SIGN_HEX + 1]);

/* Percent-encodes raw bytes for a path: unreserved characters and '/' stay. Returns the length, or 0 if `cap`
 * is too small (or `raw` is empty); always ends with NUL when it fits. */
size_t sign_path(const char *raw, char *out, size_t cap);

/* Canonical form of a query: decoded once, encoded, sorted, "k=" for a name alone. `raw` may be "" . False if
 * it does not fit, or has more than 32 parameters. */
bool sign_query(const char *raw, char *out, size_t cap);
