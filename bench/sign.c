/* SPDX-License-Identifier: Apache-2.0
 *
 * Client side of AWS Signature Version 4: see sign.h. Contexts and the day's key are kept between requests.
 */
#include "sign.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM      "AWS4-HMAC-SHA256"
#define MAX_PARAMETERS 32

static void need(int ok, const char *what)
{
    if (ok == 1)
        return;
    fprintf(stderr, "libcrypto failed: %s\n", what);
    abort();
}

static void to_hex(const unsigned char *raw, char out[SIGN_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SIGN_HEX / 2; i++) {
        out[2 * i] = digits[raw[i] >> 4];
        out[2 * i + 1] = digits[raw[i] & 15];
    }
    out[SIGN_HEX] = '\0';
}

static void hmac_key(struct signer *s, const void *key, size_t n)
{
    need(EVP_MAC_init(s->hmac, key, n, NULL), "EVP_MAC_init");
}

/* HMAC with the key set last; the context is ready for the next message afterwards. */
static void hmac(struct signer *s, const void *data, size_t n, unsigned char out[32])
{
    size_t len = 0;
    need(EVP_MAC_update(s->hmac, data, n), "EVP_MAC_update");
    need(EVP_MAC_final(s->hmac, out, &len, 32), "EVP_MAC_final");
    need(EVP_MAC_init(s->hmac, NULL, 0, NULL), "EVP_MAC_init");
}

static void hmac_step(struct signer *s, const char *text)
{
    hmac(s, text, strlen(text), s->key);
    hmac_key(s, s->key, sizeof(s->key));
}

bool signer_init(struct signer *s, const char *access_key, const char *secret_key, const char *region)
{
    memset(s, 0, sizeof(*s));
    if (strlen(access_key) >= sizeof(s->access_key) || strlen(secret_key) >= sizeof(s->secret_key) ||
        strlen(region) >= sizeof(s->region))
        return false;
    memcpy(s->access_key, access_key, strlen(access_key));
    memcpy(s->secret_key, secret_key, strlen(secret_key));
    memcpy(s->region, region, strlen(region));

    s->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->digest = EVP_MD_CTX_new();
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    need(s->sha256 != NULL && s->digest != NULL && mac != NULL, "fetch");
    s->hmac = EVP_MAC_CTX_new(mac);
    need(s->hmac != NULL, "EVP_MAC_CTX_new");
    EVP_MAC_free(mac);
    char name[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    need(EVP_MAC_CTX_set_params(s->hmac, params), "EVP_MAC_CTX_set_params");
    s->second = -1;
    return true;
}

void signer_release(struct signer *s)
{
    EVP_MAC_CTX_free(s->hmac);
    EVP_MD_CTX_free(s->digest);
    EVP_MD_free(s->sha256);
    memset(s, 0, sizeof(*s));
}

void signer_at(struct signer *s, time_t now)
{
    if (s->second == now)
        return;
    struct tm tm;
    char date[sizeof(s->date)];
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
    bool new_day = memcmp(date, s->date, 8) != 0;
    memcpy(s->date, date, sizeof(date));
    s->second = now;
    if (!new_day)
        return;

    s->scope_len =
        (size_t)snprintf(s->scope, sizeof(s->scope), "%.8s/%s/s3/aws4_request", s->date, s->region);
    char seed[4 + sizeof(s->secret_key)], day[9] = {0};
    int n = snprintf(seed, sizeof(seed), "AWS4%s", s->secret_key);
    memcpy(day, s->date, 8);
    hmac_key(s, seed, (size_t)n);
    hmac_step(s, day);
    hmac_step(s, s->region);
    hmac_step(s, "s3");
    hmac_step(s, "aws4_request");
}

static void feed(struct signer *s, const char *text, const char *end)
{
    need(EVP_DigestUpdate(s->digest, text, strlen(text)), "EVP_DigestUpdate");
    need(EVP_DigestUpdate(s->digest, end, strlen(end)), "EVP_DigestUpdate");
}

void signer_canonical_hash(struct signer *s, const struct sign_request *r, char out[SIGN_HEX + 1])
{
    unsigned char raw[32];
    need(EVP_DigestInit_ex2(s->digest, s->sha256, NULL), "EVP_DigestInit_ex2");
    feed(s, r->method, "\n");
    feed(s, r->path, "\n");
    feed(s, r->query, "\n");
    feed(s, r->headers, "\n");
    feed(s, r->header_names, "\n");
    feed(s, r->payload_hash, "");
    need(EVP_DigestFinal_ex(s->digest, raw, NULL), "EVP_DigestFinal_ex");
    to_hex(raw, out);
}

void signer_hash(struct signer *s, const void *data, size_t n, char out[SIGN_HEX + 1])
{
    unsigned char raw[32];
    need(EVP_DigestInit_ex2(s->digest, s->sha256, NULL), "EVP_DigestInit_ex2");
    need(EVP_DigestUpdate(s->digest, data, n), "EVP_DigestUpdate");
    need(EVP_DigestFinal_ex(s->digest, raw, NULL), "EVP_DigestFinal_ex");
    to_hex(raw, out);
}

void signer_sign(struct signer *s, const struct sign_request *r, char out[SIGN_HEX + 1])
{
    char canonical[SIGN_HEX + 1], text[sizeof(ALGORITHM) + sizeof(s->date) + sizeof(s->scope) + SIGN_HEX + 4];
    unsigned char raw[32];
    signer_canonical_hash(s, r, canonical);
    int n = snprintf(text, sizeof(text), ALGORITHM "\n%s\n%s\n%s", s->date, s->scope, canonical);
    hmac(s, text, (size_t)n, raw);
    to_hex(raw, out);
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '~';
}

/* Encodes `n` bytes; characters in `keep` stay as well. Returns the length, or `cap` if it does not fit. */
static size_t encode(const char *raw, size_t n, const char *keep, char *out, size_t cap)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (at + 4 > cap)
            return cap;
        if (is_unreserved(c) || (c != '\0' && strchr(keep, c) != NULL)) {
            out[at++] = (char)c;
            continue;
        }
        out[at++] = '%';
        out[at++] = digits[c >> 4];
        out[at++] = digits[c & 15];
    }
    if (at >= cap)
        return cap;
    out[at] = '\0';
    return at;
}

size_t sign_path(const char *raw, char *out, size_t cap)
{
    size_t n = encode(raw, strlen(raw), "/", out, cap);
    return n < cap ? n : 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place what a query parameter holds; returns the new length. */
static size_t decode(char *text, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        int high = i + 2 < n && text[i] == '%' ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            text[at++] = (char)(high << 4 | low);
            i += 2;
        } else {
            text[at++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    return at;
}

/* Canonical form of one parameter, as an allocated string; NULL if it is too long. */
static char *canonical_parameter(const char *text, size_t n)
{
    char raw[1024], out[3 * sizeof(raw) + 2];
    if (n >= sizeof(raw))
        return NULL;
    memcpy(raw, text, n);
    char *equals = memchr(raw, '=', n);
    size_t name_len = equals != NULL ? (size_t)(equals - raw) : n;
    char *value = equals != NULL ? equals + 1 : raw + n;
    size_t value_len = n - (size_t)(value - raw);
    size_t at = encode(raw, decode(raw, name_len), "", out, sizeof(out));
    out[at++] = '=';
    encode(value, decode(value, value_len), "", out + at, sizeof(out) - at);
    return strdup(out);
}

/* Order of encoded names, then of encoded values: '=' ends the name. */
static int by_name(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    size_t n = strcspn(x, "="), m = strcspn(y, "=");
    int order = memcmp(x, y, n < m ? n : m);
    if (order != 0)
        return order;
    return n != m ? (n < m ? -1 : 1) : strcmp(x + n, y + m);
}

bool sign_query(const char *raw, char *out, size_t cap)
{
    char *list[MAX_PARAMETERS] = {0};
    size_t count = 0, at = 0;
    bool ok = cap > 0;
    for (const char *p = raw; ok && *p != '\0';) {
        size_t n = strcspn(p, "&");
        if (n > 0) {
            ok = count < MAX_PARAMETERS && (list[count] = canonical_parameter(p, n)) != NULL;
            count += ok ? 1 : 0;
        }
        p += n + (p[n] == '&' ? 1 : 0);
    }
    qsort(list, count, sizeof(list[0]), by_name);
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(list[i]);
        if (ok && at + n + 2 <= cap) {
            if (i > 0)
                out[at++] = '&';
            memcpy(out + at, list[i], n);
            at += n;
        } else {
            ok = false;
        }
        free(list[i]);
    }
    if (ok)
        out[at] = '\0';
    return ok;
}
