/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests: OpenSSL's MD5, SHA-1, SHA-256, HMAC; ISA-L's CRC-32 and CRC-32C. Our own is only CRC-64/NVME, which no library
 * of the build has. */
#ifndef BELFRY_BASE_HASH_H
#define BELFRY_BASE_HASH_H

#include "base/buf.h"

#define MD5_LEN    16
#define SHA1_LEN   20
#define SHA256_LEN 32

enum hash_kind { HASH_MD5, HASH_SHA256, HASH_SHA1 };
/* A running digest. hash_end may be called once; hash_release always, also after hash_end (it is idempotent). */
struct hash {
    void *ctx;
};
void hash_begin(struct hash *h, enum hash_kind kind);
void hash_add(struct hash *h, const void *p, size_t n);
void hash_end(struct hash *h, uint8_t *out);
void hash_release(struct hash *h);

void hash_md5(struct str data, uint8_t out[MD5_LEN]);
void hash_sha256(struct str data, uint8_t out[SHA256_LEN]);
void hash_hmac_sha256(struct str key, struct str data, uint8_t out[SHA256_LEN]);
void hash_hmac_sha1(struct str key, struct str data, uint8_t out[SHA1_LEN]);

/* CRC-32 (ISO-HDLC, as zlib) and CRC-32C (Castagnoli), running: start with 0, pass the last result on. */
uint32_t hash_crc32(uint32_t crc, const void *p, size_t n);
uint32_t hash_crc32c(uint32_t crc, const void *p, size_t n);
/* CRC-64/NVME (NVM Express NVM Command Set 1.0, 5.2.1.3.4: reflected, all ones before and after), running likewise. */
#define HASH_CRC64NVME_POLY 0x9a6c9329ac4bc9b5ull /* reflected */
uint64_t hash_crc64nvme(uint64_t crc, const void *p, size_t n);

/* Equality in time independent of the content. */
bool hash_equal(const void *a, const void *b, size_t n);
/* n random bytes from the system. */
void hash_random(void *out, size_t n);

#endif
