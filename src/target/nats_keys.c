/* SPDX-License-Identifier: Apache-2.0
 *
 * NKeys (github.com/nats-io/nkeys): Ed25519 keys in base32, and what they sign; and files of credentials. Pure. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/encode.h"
#include "target/nats.h"

#define SEED_TEXT   58 /* base32 of two bytes of prefix, 32 of seed, 2 of CRC */
#define PUBLIC_TEXT 56 /* of one byte of prefix, 32 of key, 2 of CRC */
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static bool base32_decode(struct str in, unsigned char *out, size_t n)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t have = 0;
    for (size_t i = 0; i < in.n && have < n; i++) {
        const char *at = in.p[i] ? strchr(alphabet, in.p[i]) : NULL;
        if (!at)
            return false;
        acc = (acc << 5 | (uint32_t)(at - alphabet)) & 0xfff;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            out[have++] = (unsigned char)(acc >> bits);
        }
    }
    return have == n;
}

static void base32_encode(const unsigned char *in, size_t n, char *out)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        acc = (acc << 8 | in[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            *out++ = alphabet[acc >> (bits - 5) & 31];
    }
    if (bits > 0)
        *out++ = alphabet[acc << (5 - bits) & 31];
    *out = 0;
}

static uint16_t crc16(const unsigned char *p, size_t n) /* CCITT, polynomial 0x1021, from 0 */
{
    uint16_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc = (uint16_t)(crc ^ p[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

/* prefix: seed (18 << 3) of a user (20 << 3), the five bits of the second one split over both bytes */
static bool find_seed(struct str text, unsigned char seed[32])
{
    struct str line;
    unsigned char raw[36];
    bool ok = false;
    while (!ok && str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        ok = line.n == SEED_TEXT && str_starts(line, STR("SU")) && base32_decode(line, raw, sizeof(raw)) &&
             crc16(raw, 34) == (uint16_t)(raw[34] | raw[35] << 8);
    }
    if (ok)
        memcpy(seed, raw + 2, 32);
    OPENSSL_cleanse(raw, sizeof(raw));
    return ok;
}

static bool no_seed(const char *setting, struct err *e)
{
    return err_set(e, "%s names a file without the seed of a user (a line 'SU...')", setting);
}

static bool derive(const unsigned char seed[32], unsigned char public_key[32])
{
    size_t n = 32;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, public_key, &n) == 1 && n == 32;
    EVP_PKEY_free(key);
    return ok;
}

bool nats_public_key(struct str text, char out[NATS_KEY_MAX], const char *setting, struct err *e)
{
    unsigned char seed[32], public_key[35];
    bool ok = find_seed(text, seed) && derive(seed, public_key + 1);
    OPENSSL_cleanse(seed, sizeof(seed));
    if (!ok)
        return no_seed(setting, e);
    public_key[0] = 20 << 3;
    uint16_t crc = crc16(public_key, 33);
    public_key[33] = (unsigned char)crc;
    public_key[34] = (unsigned char)(crc >> 8);
    base32_encode(public_key, sizeof(public_key), out);
    return true;
}

/* --- signatures --------------------------------------------------------------------------------------------------- */

static bool sign(const unsigned char seed[32], struct str text, unsigned char out[64])
{
    size_t n = 64;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestSign(ctx, out, &n, (const unsigned char *)text.p, text.n) == 1 && n == 64;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}

bool nats_sign(struct str text, struct str nonce, char out[NATS_SIG_MAX], const char *setting, struct err *e)
{
    unsigned char seed[32], raw[64];
    struct buf b;
    bool ok = find_seed(text, seed) && sign(seed, nonce, raw);
    OPENSSL_cleanse(seed, sizeof(seed));
    if (!ok)
        return no_seed(setting, e);
    buf_init(&b, NATS_SIG_MAX);
    base64_encode(&b, str_n(raw, sizeof(raw)));
    BUG_ON(b.failed || b.len >= NATS_SIG_MAX);
    size_t n = 0;
    for (; n < b.len && b.p[n] != '='; n++)
        out[n] = (char)(b.p[n] == '+' ? '-' : b.p[n] == '/' ? '_' : b.p[n]);
    out[n] = 0;
    buf_release(&b);
    return true;
}

struct str nats_find_jwt(struct str text)
{
    struct str line;
    bool next = false;
    while (str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        if (next)
            return line;
        next = str_starts(line, STR("---")) && str_find(line, STR("BEGIN NATS USER JWT")) >= 0;
    }
    return (struct str){0};
}
