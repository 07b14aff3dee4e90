/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of a log: are they sound, is it a single bit, which rows are in a batch. */
#include "kv/wal_record.h"

#include <string.h>

#include "base/encode.h"
#include "base/hash.h"

/* Tags of rows in a batch, of RocksDB's dbformat.h. */
enum {
    TAG_DELETE = 0x0,
    TAG_PUT = 0x1,
    TAG_LOG_DATA = 0x3,
    TAG_FAMILY_DELETE = 0x4,
    TAG_FAMILY_PUT = 0x5,
    TAG_FAMILY_RANGE = 0xe,
    TAG_RANGE = 0xf,
    TAG_NOTHING = 0xd,
};
#define BATCH_HEADER 12

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* RocksDB stores checksums rotated and shifted; this takes that back. */
static uint32_t unmasked(uint32_t masked)
{
    uint32_t rotated = masked - 0xa282ead8u;
    return rotated >> 17 | rotated << 15;
}

static size_t length_at(const uint8_t *p)
{
    return (size_t)p[4] | (size_t)p[5] << 8;
}

enum wal_state wal_record(struct str block, size_t at, struct wal_record *out)
{
    const uint8_t *p = (const uint8_t *)block.p + at;
    if (block.n - at < WAL_HEADER)
        return WAL_END;
    size_t length = length_at(p);
    if (p[6] == 0 && length == 0)
        return WAL_END;
    if (length > block.n - at - WAL_HEADER)
        return WAL_LONGER;
    if (p[6] < WAL_FULL || p[6] > WAL_LAST || hash_crc32c(0, p + 6, length + 1) != unmasked(le32(p)))
        return WAL_BAD;
    *out = (struct wal_record){.type = (enum wal_type)p[6], .data = str_n(block.p + at + WAL_HEADER, length)};
    return WAL_SOUND;
}

bool wal_next_sound(struct str block, size_t at, size_t *found)
{
    struct wal_record r;
    for (; at + WAL_HEADER <= block.n; at++) {
        if (wal_record(block, at, &r) != WAL_SOUND)
            continue;
        *found = at;
        return true;
    }
    return false;
}

/* --- one bit ------------------------------------------------------------------------------------------------------ */

/* A CRC is linear: one wrong bit changes it by a value that depends only on how far from the end the bit is. Walks that value
 * from the last bit to the first. -1: it is no single bit. */
static ptrdiff_t one_data_bit(uint32_t difference, size_t bytes)
{
    uint32_t at = 0x82f63b78u; /* of the last bit: CRC-32C's polynomial, reflected */
    for (size_t bit = bytes * 8; bit-- > 0;) {
        if (at == difference)
            return (ptrdiff_t)bit;
        at = at & 1 ? at >> 1 ^ 0x82f63b78u : at >> 1;
    }
    return -1;
}

/* The wrong bit, counted from the checksum's first, of a record that has this length; -1: there is none, or more than one. */
static ptrdiff_t wrong_bit(const uint8_t *p, size_t length)
{
    uint32_t crc = hash_crc32c(0, p + 6, length + 1), stored = le32(p);
    for (unsigned bit = 0; bit < 32; bit++)
        if (crc == unmasked(stored ^ UINT32_C(1) << bit))
            return (ptrdiff_t)bit;
    ptrdiff_t bit = one_data_bit(crc ^ unmasked(stored), length + 1);
    return bit < 0 ? -1 : bit + 6 * 8;
}

bool wal_wrong_bit(struct str block, size_t at, size_t *bit)
{
    const uint8_t *p = (const uint8_t *)block.p + at;
    if (block.n - at < WAL_HEADER)
        return false;
    size_t room = block.n - at - WAL_HEADER, length = length_at(p);
    ptrdiff_t found = length <= room && length > 0 ? wrong_bit(p, length) : -1;
    /* Or it is one of the length: then nothing else may be wrong. */
    for (unsigned i = 0; found < 0 && i < 16; i++) {
        size_t other = length ^ (size_t)1 << i;
        if (other <= room && other > 0 && hash_crc32c(0, p + 6, other + 1) == unmasked(le32(p)))
            found = (ptrdiff_t)32 + i;
    }
    *bit = at * 8 + (size_t)(found < 0 ? 0 : found);
    return found >= 0;
}

/* --- batches ------------------------------------------------------------------------------------------------------ */

static bool take_family(struct str *s, bool named, enum kv_space *space)
{
    uint64_t family = 0;
    if (named && !take_varint(s, &family))
        return false;
    *space =
        (enum kv_space)family; /* numbered in the order of their creation, which is that of enum kv_space */
    return family < KV_SPACES;
}

/* False: no row of a kind that Belfry writes. */
static bool take_row(struct str *s, unsigned tag, struct wal_row *row)
{
    bool named = tag == TAG_FAMILY_DELETE || tag == TAG_FAMILY_PUT || tag == TAG_FAMILY_RANGE;
    if (!take_family(s, named, &row->space) || !take_lstr(s, &row->key))
        return false;
    switch (tag) {
    case TAG_DELETE:
    case TAG_FAMILY_DELETE:
        row->kind = KV_OP_DEL;
        return true;
    case TAG_PUT:
    case TAG_FAMILY_PUT:
        row->kind = KV_OP_PUT;
        return take_lstr(s, &row->value);
    case TAG_RANGE:
    case TAG_FAMILY_RANGE:
        row->kind = KV_OP_DEL_RANGE;
        return take_lstr(s, &row->value);
    default:
        return false;
    }
}

bool wal_batch_rows(struct str batch, void (*each)(void *ctx, const struct wal_row *row), void *ctx)
{
    struct str head, tag, ignored;
    if (!take_bytes(&batch, BATCH_HEADER, &head))
        return false;
    while (batch.n > 0) {
        struct wal_row row = {0};
        if (!take_bytes(&batch, 1, &tag))
            return false;
        unsigned kind = (unsigned char)tag.p[0];
        if (kind == TAG_NOTHING || (kind == TAG_LOG_DATA && take_lstr(&batch, &ignored)))
            continue;
        if (!take_row(&batch, kind, &row))
            return false;
        each(ctx, &row);
    }
    return true;
}
