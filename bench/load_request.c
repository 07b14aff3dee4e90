/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed requests and the bodies they carry. All that does not depend on time and key is prepared once. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "load.h"

#define SIGNED_NAMES "host;x-amz-content-sha256;x-amz-date"

bool load_builder_init(struct load_builder *b, const struct load_options *o)
{
    char raw[700];
    b->options = o;
    int n = snprintf(raw, sizeof(raw), "/%s/%s", o->bucket, o->prefix);
    if (n < 0 || (size_t)n >= sizeof(raw))
        return false;
    b->prefix_len = sign_path(raw, b->prefix_path, sizeof(b->prefix_path));
    return b->prefix_len > 0 && signer_init(&b->signer, o->access_key, o->secret_key, o->region);
}

void load_builder_release(struct load_builder *b)
{
    signer_release(&b->signer);
}

void load_builder_path(const struct load_builder *b, uint64_t number, char *out, size_t cap)
{
    /* An odd factor makes this a permutation of the 32-bit numbers: no two keys meet. */
    uint32_t spread = (uint32_t)number * 0x9E3779B1u;
    snprintf(out, cap, "%s%08" PRIx32, b->prefix_path, spread);
}

size_t load_builder_head(struct load_builder *b, const char *method, const char *path, const char *query,
                         const char *hash, int64_t length, char *out, size_t cap)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct signer *s = &b->signer;
    signer_at(s, now.tv_sec);
    const char *authority = b->options->authority;
    int n = snprintf(b->headers, sizeof(b->headers), "host:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n",
                     authority, hash, s->date);
    if (n < 0 || (size_t)n >= sizeof(b->headers))
        return 0;
    char signature[SIGN_HEX + 1], size[48] = "";
    struct sign_request r = {method, path, query, b->headers, SIGNED_NAMES, hash};
    signer_sign(s, &r, signature);
    if (length >= 0)
        snprintf(size, sizeof(size), "Content-Length: %" PRId64 "\r\n", length);
    n = snprintf(out, cap,
                 "%s %s%s%s HTTP/1.1\r\nHost: %s\r\nx-amz-content-sha256: %s\r\nx-amz-date: %s\r\n%s"
                 "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=" SIGNED_NAMES
                 ", Signature=%s\r\n\r\n",
                 method, path, *query != '\0' ? "?" : "", query, authority, hash, s->date, size,
                 s->access_key, s->scope, signature);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

void load_bodies_init(struct load_bodies *bodies, const struct load_options *o)
{
    struct signer s;
    signer_init(&s, "", "", "");
    bodies->size = o->size;
    bodies->count = o->size > (4u << 20) ? 1 : LOAD_BODIES;
    uint64_t x = 88172645463325252ULL; /* xorshift: the same bytes in every run, so that GET can compare */
    for (unsigned i = 0; i < bodies->count; i++) {
        bodies->data[i] = calloc(1, o->size + 1);
        if (bodies->data[i] == NULL) {
            fprintf(stderr, "belfry-load: no memory for bodies of %" PRIu64 " bytes\n", o->size);
            exit(1);
        }
        for (uint64_t at = 0; at < o->size; at++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bodies->data[i][at] = (char)x;
        }
        if (o->unsigned_payload)
            memcpy(bodies->hash[i], "UNSIGNED-PAYLOAD", sizeof("UNSIGNED-PAYLOAD"));
        else
            signer_hash(&s, bodies->data[i], o->size, bodies->hash[i]);
    }
    signer_release(&s);
}

void load_bodies_release(struct load_bodies *bodies)
{
    for (unsigned i = 0; i < bodies->count; i++)
        free(bodies->data[i]);
}
