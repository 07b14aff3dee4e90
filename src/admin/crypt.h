/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypted bodies of the administration interface, as MinIO's clients (madmin) make them: settings hold secrets, and not
 * every server speaks TLS.
 *
 *   salt (32 bytes)  id (1)  nonce (8)  then fragments of at most 16,384 bytes of plain text, each with its tag (16)
 *
 * The id names how the key is derived from the secret key, and the cipher. Fragment i (from 1) is sealed under nonce and the
 * little-endian number i, with one byte that says whether it is the last and the tag of the empty text at number 0 as
 * associated data; so nothing can be cut off, swapped or taken from another body. All functions are pure. */
#ifndef BELFRY_ADMIN_CRYPT_H
#define BELFRY_ADMIN_CRYPT_H

#include "base/buf.h"

#define CRYPT_SALT     32
#define CRYPT_NONCE    8
#define CRYPT_KEY      32
#define CRYPT_TAG      16
#define CRYPT_HEADER   (CRYPT_SALT + 1 + CRYPT_NONCE)
#define CRYPT_FRAGMENT 16384
#define CRYPT_BODY_MAX 262272 /* of a request, encrypted */

enum crypt_id {
    CRYPT_ARGON2_AES = 0,    /* Argon2id; AES-256-GCM */
    CRYPT_ARGON2_CHACHA = 1, /* Argon2id; ChaCha20-Poly1305 */
    CRYPT_PBKDF2_AES = 2,    /* PBKDF2-HMAC-SHA256; AES-256-GCM */
    CRYPT_IDS
};
enum crypt_result {
    CRYPT_OK,
    CRYPT_BAD,   /* not of this form, or not sealed with this password */
    CRYPT_FAILED /* no memory for the derivation */
};

struct crypt_header {
    const uint8_t *salt, *nonce; /* views */
    enum crypt_id id;
};

/* Takes the header off the front of *in; false when that is none. */
bool crypt_take_header(struct str *in, struct crypt_header *out);
/* The key of a password. Ids 0 and 1 use 64 MiB and some 100 ms of one core: on a worker, one at a time. False: no memory. */
bool crypt_key(enum crypt_id id, struct str password, const uint8_t salt[CRYPT_SALT], uint8_t key[CRYPT_KEY]);
/* The fragments behind the header, into out (appended; its maximum bounds the text). False: not sealed with this key. */
bool crypt_open(enum crypt_id id, const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE],
                struct str in, struct buf *out);
/* The other way. out fails when it has no room for crypt_size of it. */
void crypt_seal(enum crypt_id id, const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE],
                struct str plain, struct buf *out);
/* Bytes of the whole body that holds n bytes of plain text. */
size_t crypt_size(size_t n);

/* Whole bodies: header, key and fragments. Blocks as crypt_key does. */
enum crypt_result crypt_decrypt(struct str password, struct str in, struct buf *out);
/* With a fresh salt and nonce, under the cipher that this machine is quick at. */
enum crypt_result crypt_encrypt(struct str password, struct str plain, struct buf *out);

#endif
