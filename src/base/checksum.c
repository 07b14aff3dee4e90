/* SPDX-License-Identifier: Apache-2.0
 *
 * Names, running values and combination of checksums. */
#include "base/checksum.h"

#include "base/encode.h"
#include "base/err.h"

static const struct kind {
    struct checksum_names names;
    size_t len;
    uint64_t poly; /* reflected; 0: no CRC */
} kinds[CHECKSUM_KINDS] = {
    [CHECKSUM_NONE] = {{"", "", "", ""}, 0, 0},
    [CHECKSUM_CRC32] = {{"x-amz-checksum-crc32", "X-Amz-Checksum-Crc32", "ChecksumCRC32", "CRC32"},
                        4,
                        0xedb88320},
    [CHECKSUM_CRC32C] = {{"x-amz-checksum-crc32c", "X-Amz-Checksum-Crc32c", "ChecksumCRC32C", "CRC32C"},
                         4,
                         0x82f63b78},
    [CHECKSUM_CRC64NVME] = {{"x-amz-checksum-crc64nvme", "X-Amz-Checksum-Crc64nvme", "ChecksumCRC64NVME",
                             "CRC64NVME"},
                            8,
                            HASH_CRC64NVME_POLY},
    [CHECKSUM_SHA1] = {{"x-amz-checksum-sha1", "X-Amz-Checksum-Sha1", "ChecksumSHA1", "SHA1"}, SHA1_LEN, 0},
    [CHECKSUM_SHA256] = {{"x-amz-checksum-sha256", "X-Amz-Checksum-Sha256", "ChecksumSHA256", "SHA256"},
                         SHA256_LEN,
                         0},
};

const struct checksum_names *checksum_names(enum checksum_kind k)
{
    return &kinds[k].names;
}

enum checksum_kind checksum_of_header(struct str name)
{
    for (int k = 1; k < CHECKSUM_KINDS; k++)
        if (str_ieq(name, str_c(kinds[k].names.header)))
            return (enum checksum_kind)k;
    return CHECKSUM_NONE;
}

enum checksum_kind checksum_of_element(struct str name)
{
    for (int k = 1; k < CHECKSUM_KINDS; k++)
        if (str_eq_c(name, kinds[k].names.element))
            return (enum checksum_kind)k;
    return CHECKSUM_NONE;
}

enum checksum_kind checksum_of_algorithm(struct str text)
{
    for (int k = 1; k < CHECKSUM_KINDS; k++)
        if (str_ieq(text, str_c(kinds[k].names.algorithm)))
            return (enum checksum_kind)k;
    return CHECKSUM_NONE;
}

size_t checksum_len(enum checksum_kind k)
{
    return kinds[k].len;
}

bool checksum_combines(enum checksum_kind k)
{
    return kinds[k].poly != 0;
}

/* --- running ----------------------------------------------------------------------------------------- */

void checksum_begin(struct checksum *c, enum checksum_kind k)
{
    *c = (struct checksum){.kind = k};
    if (k == CHECKSUM_SHA1 || k == CHECKSUM_SHA256)
        hash_begin(&c->hash, k == CHECKSUM_SHA1 ? HASH_SHA1 : HASH_SHA256);
}

void checksum_add(struct checksum *c, const void *p, size_t n)
{
    switch (c->kind) {
    case CHECKSUM_NONE:
        break;
    case CHECKSUM_CRC32:
        c->crc = hash_crc32((uint32_t)c->crc, p, n);
        break;
    case CHECKSUM_CRC32C:
        c->crc = hash_crc32c((uint32_t)c->crc, p, n);
        break;
    case CHECKSUM_CRC64NVME:
        c->crc = hash_crc64nvme(c->crc, p, n);
        break;
    case CHECKSUM_SHA1:
    case CHECKSUM_SHA256:
        hash_add(&c->hash, p, n);
        break;
    }
}

static void put_be(uint64_t v, size_t n, uint8_t *out)
{
    while (n--) {
        out[n] = (uint8_t)v;
        v >>= 8;
    }
}

static uint64_t get_be(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

void checksum_end(struct checksum *c, uint8_t out[CHECKSUM_MAX])
{
    if (c->hash.ctx)
        hash_end(&c->hash, out);
    else
        put_be(c->crc, kinds[c->kind].len, out);
}

void checksum_release(struct checksum *c)
{
    hash_release(&c->hash);
}

void checksum_of(enum checksum_kind k, struct str data, uint8_t out[CHECKSUM_MAX])
{
    struct checksum c;
    checksum_begin(&c, k);
    checksum_add(&c, data.p, data.n);
    checksum_end(&c, out);
}

/* --- combining --------------------------------------------------------------------------------------- */

/* Product of a and b modulo the polynomial. Reflected: the highest of the `bits` bits stands for x^0. */
static uint64_t multiply(uint64_t a, uint64_t b, uint64_t poly, unsigned bits)
{
    uint64_t product = 0;
    for (uint64_t m = 1ull << (bits - 1); m; m >>= 1) {
        if (a & m)
            product ^= b;
        b = b & 1 ? b >> 1 ^ poly : b >> 1;
    }
    return product;
}

void checksum_combine(enum checksum_kind k, const uint8_t *a, const uint8_t *b, uint64_t b_len, uint8_t *out)
{
    const struct kind *kind = &kinds[k];
    BUG_ON(!kind->poly || kind->len == 0);
    unsigned bits = (unsigned)kind->len * 8;
    /* With inversion before and after, crc(AB) = crc(A) * x^(8 |B|) + crc(B): the power by squaring. */
    uint64_t shift = 1ull << (bits - 1), power = shift >> 8; /* x^0, x^8 */
    for (; b_len; b_len >>= 1) {
        if (b_len & 1)
            shift = multiply(shift, power, kind->poly, bits);
        power = multiply(power, power, kind->poly, bits);
    }
    uint64_t crc = multiply(shift, get_be(a, kind->len), kind->poly, bits) ^ get_be(b, kind->len);
    put_be(crc, kind->len, out);
}

bool checksum_parse(enum checksum_kind k, struct str base64, uint8_t out[CHECKSUM_MAX])
{
    size_t n;
    return base64_decode(base64, out, CHECKSUM_MAX, &n) && n == kinds[k].len && n > 0;
}
