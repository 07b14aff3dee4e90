/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypted bodies: header, key derivation (libargon2, OpenSSL), fragments (OpenSSL). */
#include "admin/crypt.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/err.h"
#include "base/hash.h"

#define NONCE_WHOLE   (CRYPT_NONCE + 4)
#define AD_LEN        (1 + CRYPT_TAG)
#define LAST          0x80
#define ARGON2_PASSES 1
#define ARGON2_KIB    65536
#define ARGON2_LANES  4
#define PBKDF2_ROUNDS 8192

/* --- cipher --- */

/* One key over the fragments of one body. */
struct sealer {
    EVP_CIPHER_CTX *ctx;
    uint8_t nonce[NONCE_WHOLE];
    uint8_t ad[AD_LEN]; /* the flag, then the tag of the empty text */
    bool sealing;
};

/* The library fails only for want of memory or for our own mistakes. */
static void must(int ok)
{
    BUG_ON(ok != 1);
}

/* Begins fragment number n. */
static void begin(struct sealer *s, uint32_t n, bool sealing)
{
    for (int i = 0; i < 4; i++)
        s->nonce[CRYPT_NONCE + i] = (uint8_t)(n >> 8 * i);
    must(EVP_CipherInit_ex(s->ctx, NULL, NULL, NULL, s->nonce, sealing));
}

static void seal(struct sealer *s, const uint8_t *in, size_t n, uint8_t *out, uint8_t tag[CRYPT_TAG])
{
    int len;
    if (n)
        must(EVP_EncryptUpdate(s->ctx, out, &len, in, (int)n));
    must(EVP_EncryptFinal_ex(s->ctx, out + n, &len));
    must(EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPT_TAG, tag));
}

static void sealer_init(struct sealer *s, enum crypt_id id, const uint8_t *key, const uint8_t *nonce)
{
    const EVP_CIPHER *c = id == CRYPT_ARGON2_CHACHA ? EVP_chacha20_poly1305() : EVP_aes_256_gcm();
    uint8_t none[1];
    *s = (struct sealer){.ctx = EVP_CIPHER_CTX_new()};
    BUG_ON(!s->ctx);
    must(EVP_CipherInit_ex(s->ctx, c, NULL, NULL, NULL, 1));
    must(EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_IVLEN, NONCE_WHOLE, NULL));
    must(EVP_CipherInit_ex(s->ctx, NULL, NULL, key, NULL, 1));
    memcpy(s->nonce, nonce, CRYPT_NONCE);
    begin(s, 0, true);
    seal(s, none, 0, none, s->ad + 1);
}

static void sealer_release(struct sealer *s)
{
    EVP_CIPHER_CTX_free(s->ctx);
}

/* Begins a fragment of the text, with its associated data. */
static void begin_fragment(struct sealer *s, uint32_t n, bool last, bool sealing)
{
    int len;
    begin(s, n, sealing);
    s->ad[0] = last ? LAST : 0;
    must(EVP_CipherUpdate(s->ctx, NULL, &len, s->ad, AD_LEN));
}

size_t crypt_size(size_t n)
{
    size_t fragments = n ? (n + CRYPT_FRAGMENT - 1) / CRYPT_FRAGMENT : 1;
    return CRYPT_HEADER + n + CRYPT_TAG * fragments;
}

void crypt_seal(enum crypt_id id, const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE],
                struct str plain, struct buf *out)
{
    struct sealer s;
    sealer_init(&s, id, key, nonce);
    for (uint32_t i = 1;; i++) {
        struct str piece = str_head(plain, CRYPT_FRAGMENT);
        plain = str_from(plain, piece.n);
        char *to = buf_reserve(out, piece.n + CRYPT_TAG);
        if (!to)
            break;
        begin_fragment(&s, i, plain.n == 0, true);
        seal(&s, (const uint8_t *)piece.p, piece.n, (uint8_t *)to, (uint8_t *)to + piece.n);
        out->len += piece.n + CRYPT_TAG;
        if (plain.n == 0)
            break;
    }
    sealer_release(&s);
}

static bool open_fragment(struct sealer *s, struct str in, struct buf *out)
{
    size_t n = in.n - CRYPT_TAG;
    uint8_t tag[CRYPT_TAG];
    char *to = buf_reserve(out, n + 1);
    int len;
    if (!to)
        return false;
    memcpy(tag, in.p + n, CRYPT_TAG);
    must(EVP_CIPHER_CTX_ctrl(s->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPT_TAG, tag));
    if (n)
        must(EVP_DecryptUpdate(s->ctx, (uint8_t *)to, &len, (const uint8_t *)in.p, (int)n));
    if (EVP_DecryptFinal_ex(s->ctx, (uint8_t *)to + n, &len) != 1)
        return false;
    out->len += n;
    return true;
}

bool crypt_open(enum crypt_id id, const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE],
                struct str in, struct buf *out)
{
    struct sealer s;
    bool ok = in.n >= CRYPT_TAG;
    bool alone = in.n == CRYPT_TAG; /* only a text that is empty as a whole ends with an empty fragment */
    sealer_init(&s, id, key, nonce);
    for (uint32_t i = 1; ok; i++) {
        struct str piece = str_head(in, CRYPT_FRAGMENT + CRYPT_TAG);
        in = str_from(in, piece.n);
        ok = piece.n > CRYPT_TAG || alone;
        if (ok) {
            begin_fragment(&s, i, in.n == 0, false);
            ok = open_fragment(&s, piece, out);
        }
        if (in.n == 0)
            break;
    }
    sealer_release(&s);
    return ok;
}

/* --- key --- */

static bool argon2_key(struct str password, const uint8_t *salt, uint8_t *key)
{
    argon2_context c = {
        .out = key,
        .outlen = CRYPT_KEY,
        .pwd = (uint8_t *)(uintptr_t)password.p,
        .pwdlen = (uint32_t)password.n,
        .salt = (uint8_t *)(uintptr_t)salt,
        .saltlen = CRYPT_SALT,
        .t_cost = ARGON2_PASSES,
        .m_cost = ARGON2_KIB,
        .lanes = ARGON2_LANES,
        .threads =
            1, /* the same result, without three more threads that requests would have to share a core with */
        .version = ARGON2_VERSION_13,
        .flags = ARGON2_DEFAULT_FLAGS,
    };
    return argon2id_ctx(&c) == ARGON2_OK;
}

bool crypt_key(enum crypt_id id, struct str password, const uint8_t salt[CRYPT_SALT], uint8_t key[CRYPT_KEY])
{
    if (id != CRYPT_PBKDF2_AES)
        return argon2_key(password, salt, key);
    return PKCS5_PBKDF2_HMAC(password.n ? password.p : "", (int)password.n, salt, CRYPT_SALT, PBKDF2_ROUNDS,
                             EVP_sha256(), CRYPT_KEY, key) == 1;
}

/* --- whole bodies --- */

bool crypt_take_header(struct str *in, struct crypt_header *out)
{
    if (in->n < CRYPT_HEADER || (uint8_t)in->p[CRYPT_SALT] >= CRYPT_IDS)
        return false;
    const uint8_t *p = (const uint8_t *)in->p;
    *out = (struct crypt_header){.salt = p, .nonce = p + CRYPT_SALT + 1, .id = (enum crypt_id)p[CRYPT_SALT]};
    *in = str_from(*in, CRYPT_HEADER);
    return true;
}

enum crypt_result crypt_decrypt(struct str password, struct str in, struct buf *out)
{
    struct crypt_header h;
    uint8_t key[CRYPT_KEY];
    if (!crypt_take_header(&in, &h) || in.n < CRYPT_TAG)
        return CRYPT_BAD;
    if (!crypt_key(h.id, password, h.salt, key))
        return CRYPT_FAILED;
    bool ok = crypt_open(h.id, key, h.nonce, in, out);
    OPENSSL_cleanse(key, sizeof key);
    return ok ? CRYPT_OK : CRYPT_BAD;
}

static enum crypt_id best_id(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_cpu_supports("aes") ? CRYPT_ARGON2_AES : CRYPT_ARGON2_CHACHA;
#else
    return CRYPT_ARGON2_CHACHA;
#endif
}

enum crypt_result crypt_encrypt(struct str password, struct str plain, struct buf *out)
{
    uint8_t header[CRYPT_HEADER], key[CRYPT_KEY];
    enum crypt_id id = best_id();
    hash_random(header, sizeof header);
    header[CRYPT_SALT] = (uint8_t)id;
    if (!crypt_key(id, password, header, key))
        return CRYPT_FAILED;
    buf_put(out, header, sizeof header);
    crypt_seal(id, key, header + CRYPT_SALT + 1, plain, out);
    OPENSSL_cleanse(key, sizeof key);
    return CRYPT_OK;
}
