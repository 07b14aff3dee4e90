/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches in the bytes of a log, and what they prove. tail_files.c has the files. */
#include "kv/tail.h"

#include "base/buf.h"
#include "base/encode.h"
#include "base/hash.h"

#define MAGIC "BFsy"
enum { HEADER = 7, FULL = 1, FIRST, MIDDLE, LAST };
/* The front of a batch that is looked at: sequence number, number of rows, tag and length of the mark, the mark. */
enum { BATCH_HEAD = 12, TAG_LOG_DATA = 3, HEAD = BATCH_HEAD + 2 + TAIL_MARK };

static uint32_t le32(const char *p)
{
    const uint8_t *b = (const uint8_t *)p;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint64_t le64(const char *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

void tail_mark(uint64_t synced, uint64_t oldest_log, char out[TAIL_MARK])
{
    memcpy(out, MAGIC, 4);
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (char)(synced >> (8 * i));
        out[12 + i] = (char)(oldest_log >> (8 * i));
    }
}

/* --- records --- */

struct record {
    unsigned type;
    struct str data;
};

/* A sound record that begins at `at`, and lies within one block. */
static bool take_record(struct str log, size_t at, struct record *out)
{
    size_t left = WAL_BLOCK - at % WAL_BLOCK;
    if (left > log.n - at)
        left = log.n - at;
    if (left < HEADER)
        return false;
    const uint8_t *p = (const uint8_t *)log.p + at;
    size_t n = (size_t)p[4] | (size_t)p[5] << 8;
    if (p[6] < FULL || p[6] > LAST || HEADER + n > left)
        return false;
    *out = (struct record){.type = p[6], .data = str_n(log.p + at + HEADER, n)};
    uint32_t crc = hash_crc32c(0, p + 6, n + 1);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u == le32(log.p + at);
}

/* Over the end of a block that is too short for a record. False: it is not empty. */
static bool skip_trailer(struct str log, size_t *at)
{
    size_t left = WAL_BLOCK - *at % WAL_BLOCK;
    if (left >= HEADER)
        return true;
    for (; left > 0 && *at < log.n; left--)
        if (log.p[(*at)++] != 0)
            return false;
    return true;
}

static bool read_head(const char head[HEAD], size_t n, struct tail_batch *out)
{
    if (n < BATCH_HEAD)
        return false;
    *out = (struct tail_batch){.first = le64(head), .rows = le32(head + 8)};
    out->marked = n == HEAD && head[BATCH_HEAD] == TAG_LOG_DATA && head[BATCH_HEAD + 1] == TAIL_MARK &&
                  memcmp(head + BATCH_HEAD + 2, MAGIC, 4) == 0;
    if (out->marked) {
        out->synced = le64(head + BATCH_HEAD + 6);
        out->oldest_log = le64(head + BATCH_HEAD + 14);
    }
    return true;
}

/* What is written as one, in one record or several; its front goes to head. */
static enum tail_next take_whole(struct str log, size_t *at, char *head, size_t room, size_t *n)
{
    size_t place = *at;
    struct record r = {0};
    *n = 0;
    for (bool first = true;; first = false) {
        if (!skip_trailer(log, &place))
            return TAIL_BAD;
        if (place == log.n && first) {
            *at = place;
            return TAIL_END;
        }
        if (!take_record(log, place, &r) || (r.type == FULL || r.type == FIRST) != first)
            return TAIL_BAD;
        size_t take = r.data.n < room - *n ? r.data.n : room - *n;
        if (take > 0)
            memcpy(head + *n, r.data.p, take);
        *n += take;
        place += HEADER + r.data.n;
        if (r.type == FULL || r.type == LAST)
            break;
    }
    *at = place;
    return TAIL_BATCH;
}

enum tail_next tail_next(struct str log, size_t *at, struct tail_batch *out)
{
    char head[HEAD];
    size_t place = *at, n;
    enum tail_next r = take_whole(log, &place, head, sizeof head, &n);
    if (r == TAIL_BATCH && !read_head(head, n, out))
        r = TAIL_BAD;
    if (r != TAIL_BAD)
        *at = place;
    return r;
}

/* --- what is behind a bad place --- */

/* May a record begin here? Its checksum is only computed when what it would say is possible: else a body full of small
 * numbers would cost as much as the square of its length. Each row takes a byte at least, which bounds how far sequence
 * numbers can have come. */
static bool possible(struct str log, size_t at, uint64_t wanted)
{
    const uint8_t *p = (const uint8_t *)log.p + at;
    if (log.n - at < HEADER + BATCH_HEAD || (p[6] != FULL && p[6] != FIRST))
        return false;
    size_t n = (size_t)p[4] | (size_t)p[5] << 8;
    uint64_t first = le64(log.p + at + HEADER);
    return n >= BATCH_HEAD && (wanted == 0 || (first >= wanted && first - wanted <= log.n));
}

bool tail_proves(struct str log, size_t at, uint64_t *wanted, uint64_t *oldest_log)
{
    while (at < log.n) {
        struct tail_batch b;
        size_t next = at;
        if (!possible(log, at, *wanted) || tail_next(log, &next, &b) != TAIL_BATCH) {
            at++;
            continue;
        }
        if (*wanted == 0)
            *wanted = b.first > 0 ? b.first - 1 : 0;
        if (!b.marked || b.synced >= *wanted)
            return true;
        if (b.oldest_log > *oldest_log)
            *oldest_log = b.oldest_log;
        at = next;
    }
    return false;
}

/* --- the MANIFEST --- */

/* Tags of a version edit that stand before its lists of files. */
enum {
    EDIT_COMPARATOR = 1,
    EDIT_LOG = 2,
    EDIT_NEXT_FILE = 3,
    EDIT_LAST_SEQUENCE = 4,
    EDIT_PREVIOUS_LOG = 9,
    EDIT_OLDEST_LOG = 10,
    EDIT_MOST_FAMILIES = 203,
    EDIT_DB_ID = 8193
};

struct edit {
    uint64_t log, oldest_log; /* 0: not said */
    bool next_file;           /* only those behind the first ones say it */
};

static void read_edit(struct str in, struct edit *out)
{
    uint64_t tag, n;
    struct str text;
    *out = (struct edit){0};
    while (take_varint(&in, &tag)) {
        bool is_text = tag == EDIT_COMPARATOR || tag == EDIT_DB_ID;
        bool is_number = tag == EDIT_LOG || tag == EDIT_NEXT_FILE || tag == EDIT_LAST_SEQUENCE ||
                         tag == EDIT_PREVIOUS_LOG || tag == EDIT_OLDEST_LOG || tag == EDIT_MOST_FAMILIES;
        if (is_text ? !take_lstr(&in, &text) : !is_number || !take_varint(&in, &n))
            return;
        if (tag == EDIT_LOG)
            out->log = n;
        if (tag == EDIT_OLDEST_LOG)
            out->oldest_log = n;
        out->next_file |= tag == EDIT_NEXT_FILE;
    }
}

/* Before the first flush the oldest log is not named as such, but each family names the one it began with. */
void tail_read_manifest(struct str bytes, struct tail_manifest *out)
{
    char front[256];
    uint64_t first_log = 0;
    size_t n;
    enum tail_next r;
    *out = (struct tail_manifest){0};
    while ((r = take_whole(bytes, &out->end, front, sizeof front, &n)) == TAIL_BATCH) {
        struct edit edit;
        read_edit(str_n(front, n), &edit);
        out->begun |= edit.next_file;
        if (edit.oldest_log > out->oldest_log)
            out->oldest_log = edit.oldest_log;
        if (edit.log && (!first_log || edit.log < first_log))
            first_log = edit.log;
    }
    out->whole = r == TAIL_END;
    if (!out->oldest_log)
        out->oldest_log = first_log;
}
