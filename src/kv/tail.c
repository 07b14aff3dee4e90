/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches in the bytes of a log, and what they prove. tail_files.c has the files. */
#include "kv/tail.h"

#include "base/buf.h"
#include "base/encode.h"
#include "kv/wal_record.h"

#define MAGIC "BFsy"
/* The front of a batch that is looked at: sequence number, number of rows, tag and length of the mark, the mark. */
enum { BATCH_HEAD = 12, TAG_LOG_DATA = 3, HEAD = BATCH_HEAD + 2 + TAIL_MARK };

static uint64_t le(const char *p, int bytes)
{
    uint64_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | (uint8_t)p[bytes];
    return n;
}

static void put_le64(char *p, uint64_t n)
{
    for (int i = 0; i < 8; i++)
        p[i] = (char)(n >> (8 * i));
}

void tail_mark(const struct tail_mark *m, char out[TAIL_MARK])
{
    memcpy(out, MAGIC, 4);
    put_le64(out + 4, m->synced);
    put_le64(out + 12, m->oldest_log);
    put_le64(out + 20, m->writer);
}

/* --- batches --- */

static struct str block_of(struct str log, size_t at)
{
    size_t start = at - at % WAL_BLOCK;
    return str_n(log.p + start, log.n - start < WAL_BLOCK ? log.n - start : WAL_BLOCK);
}

/* Over the end of a block that is too short for a record: nobody reads it. */
static size_t skip_trailer(struct str log, size_t at)
{
    size_t left = WAL_BLOCK - at % WAL_BLOCK;
    if (left >= WAL_HEADER)
        return at;
    return log.n - at < left ? log.n : at + left;
}

static bool read_head(const char head[HEAD], size_t n, struct tail_batch *out)
{
    if (n < BATCH_HEAD)
        return false;
    const char *mark = head + BATCH_HEAD + 2;
    *out = (struct tail_batch){.first = le(head, 8), .rows = (uint32_t)le(head + 8, 4)};
    out->marked =
        n == HEAD && mark[-2] == TAG_LOG_DATA && mark[-1] == TAIL_MARK && memcmp(mark, MAGIC, 4) == 0;
    if (out->marked)
        out->mark = (struct tail_mark){le(mark + 4, 8), le(mark + 12, 8), le(mark + 20, 8)};
    return true;
}

struct front {
    char *p;
    size_t n, room;
    char last[3]; /* bytes; zeros when its last record has fewer */
};

/* What is written as one, in one record or several; its front goes to f. */
static enum tail_next take_whole(struct str log, size_t *at, size_t *bad, struct front *f)
{
    size_t place = *at;
    struct wal_record r = {0};
    f->n = 0;
    for (bool first = true;; first = false) {
        *bad = place = skip_trailer(log, place);
        if (place == log.n && first) {
            *at = place;
            return TAIL_END;
        }
        if (place == log.n || wal_record(block_of(log, place), place % WAL_BLOCK, &r) != WAL_SOUND ||
            (r.type == WAL_FULL || r.type == WAL_FIRST) != first)
            return TAIL_BAD;
        size_t take = r.data.n < f->room - f->n ? r.data.n : f->room - f->n;
        if (take > 0)
            memcpy(f->p + f->n, r.data.p, take);
        f->n += take;
        place += WAL_HEADER + r.data.n;
        if (r.type == WAL_FULL || r.type == WAL_LAST)
            break;
    }
    memset(f->last, 0, sizeof f->last);
    if (r.data.n >= sizeof f->last)
        memcpy(f->last, r.data.p + r.data.n - sizeof f->last, sizeof f->last);
    *at = place;
    return TAIL_BATCH;
}

enum tail_next tail_next(struct str log, size_t *at, size_t *bad, struct tail_batch *out)
{
    char head[HEAD];
    struct front f = {.p = head, .room = sizeof head};
    size_t place = *at;
    enum tail_next r = take_whole(log, &place, bad, &f);
    if (r == TAIL_BATCH && !read_head(head, f.n, out)) {
        *bad = *at;
        r = TAIL_BAD;
    }
    if (r != TAIL_BAD)
        *at = place;
    return r;
}

/* RocksDB begins a log with a batch of nothing when it opens a store; that has no mark, and says nothing. */
static bool is_opening(const struct tail_batch *b)
{
    return !b->marked && b->rows == 0;
}

static void see_mark(struct tail_walk *w, const struct tail_batch *b)
{
    if (b->marked && b->mark.oldest_log > w->oldest_log)
        w->oldest_log = b->mark.oldest_log;
}

bool tail_follow(struct str log, struct tail_walk *w, size_t *at, size_t *bad)
{
    for (;;) {
        struct tail_batch b = {0};
        size_t next = *at;
        enum tail_next r = tail_next(log, &next, bad, &b);
        if (r == TAIL_END)
            return true;
        if (r == TAIL_BAD)
            return false;
        *bad = *at;
        if (w->wanted ? b.first != w->wanted : b.first > w->most)
            return false;
        w->wanted = b.first + b.rows;
        if (!is_opening(&b))
            w->writer = b.marked ? b.mark.writer : 0;
        see_mark(w, &b);
        *at = next;
    }
}

/* --- what is behind a bad place --- */

static bool has_mark_of(const uint8_t *batch, uint64_t writer)
{
    char mark[TAIL_MARK];
    tail_mark(&(struct tail_mark){.writer = writer}, mark);
    const uint8_t *p = batch + BATCH_HEAD;
    return p[0] == TAG_LOG_DATA && p[1] == TAIL_MARK && memcmp(p + 2, mark, 4) == 0 &&
           memcmp(p + 2 + 20, mark + 20, 8) == 0;
}

/* Each row takes a byte at least, which bounds how far sequence numbers can have come. */
static bool in_reach(uint64_t first, uint64_t span, const struct tail_walk *w)
{
    return w->wanted == 0 || (first >= w->wanted && first - w->wanted <= span);
}

/* May a record begin here that counts? Its checksum is only computed when what it would say is possible: else a body full of small
 * numbers would cost as much as the square of its length. Where the front of a batch is cut by the end of a block there is little
 * of it to look at, and little to compute. */
static bool possible(struct str log, size_t at, uint64_t span, const struct tail_walk *w)
{
    const uint8_t *p = (const uint8_t *)log.p + at, *batch = p + WAL_HEADER;
    if (log.n - at < WAL_HEADER || (p[6] != WAL_FULL && p[6] != WAL_FIRST))
        return false;
    uint64_t length = le(log.p + at + 4, 2);
    if (length > log.n - at - WAL_HEADER)
        return false;
    if (length < HEAD && p[6] == WAL_FIRST)
        return (at + WAL_HEADER + length) % WAL_BLOCK == 0;
    if (w->writer)
        return length >= HEAD && has_mark_of(batch, w->writer);
    return length >= BATCH_HEAD && in_reach(le(log.p + at + WAL_HEADER, 8), span, w);
}

/* `found`: it was met by looking for it, and may be a client's; else the batches before it led to it. */
static bool counts(const struct tail_walk *w, const struct tail_batch *b, bool found, uint64_t span)
{
    if (w->writer == 0)
        return !found || in_reach(b->first, span, w);
    return b->marked && (!found || b->mark.writer == w->writer);
}

static bool proves(struct tail_walk *w, const struct tail_batch *b)
{
    if (is_opening(b))
        return false;
    if (w->wanted ==
        0) { /* the bad place is at the front: it begins before this one, and where the tables end at the latest */
        w->wanted = b->first > 0 ? b->first - 1 : 0;
        w->wanted = w->wanted < w->most ? w->wanted : w->most;
    }
    if (!b->marked || b->mark.synced >= w->wanted)
        return true;
    see_mark(w, b);
    return false;
}

bool tail_proves(struct str log, size_t at, uint64_t span, struct tail_walk *w)
{
    struct tail_batch b;
    size_t bad;
#ifdef BELFRY_MUTATE_NO_MARK_CHECK
    return false;
#endif
    /* From its beginning on a log is what the server wrote. */
    if (at == 0)
        while (tail_next(log, &at, &bad, &b) == TAIL_BATCH)
            if (counts(w, &b, false, span) && proves(w, &b))
                return true;
    for (; at < log.n; at++) { /* byte by byte, within batches too: what is taken for one may be a client's */
        size_t next = at;
        if (possible(log, at, span, w) && tail_next(log, &next, &bad, &b) == TAIL_BATCH &&
            counts(w, &b, true, span) && proves(w, &b))
            return true;
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
    unsigned family;
    uint64_t log, oldest_log, last; /* 0: not said */
    bool next_file;                 /* only those behind the first ones say it */
};

/* The edits with which a server opens a store: one for each family that there is, in one step, to say that its rows are in tables
 * now and the logs before this server's not needed any more. One bit for a family. */
struct opening {
    unsigned known, due;
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
        if (tag == EDIT_LAST_SEQUENCE)
            out->last = n;
        out->next_file |= tag == EDIT_NEXT_FILE;
    }
}

/* The family is named behind the lists of files, as the last thing, unless it is the first (or is being made, and has no log
 * yet). */
static unsigned family_of(const struct front *f)
{
    static const char tag[2] = {(char)0xc8, 1}; /* 200 */
    return memcmp(f->last, tag, sizeof tag) == 0 ? (uint8_t)f->last[2] : 0;
}

/* The oldest log in use is named as such by flushes only; until then it is the oldest of those that the families name. */
static uint64_t oldest_of(const uint64_t logs[KV_SPACES])
{
    uint64_t oldest = 0;
    for (int i = 0; i < KV_SPACES; i++)
        if (logs[i] && (!oldest || logs[i] < oldest))
            oldest = logs[i];
    return oldest;
}

/* A MANIFEST begins with what there is: the families, each with its files. The next edit says which file number is the next; where
 * it says more it is not an opening's, but of a server that began a new MANIFEST when the old one had grown. (Nor has an opening
 * of a store without any log such edits: it is taken for one until each family was written out.) A store that has one family
 * only holds nothing. */
static void see_edit(struct opening *o, const struct edit *edit, bool begun)
{
    unsigned family = edit->family < KV_SPACES ? 1U << edit->family : 0;
    if (begun && !edit->oldest_log)
        o->due &= ~family;
    else if (!begun && !edit->next_file)
        o->known |= family;
    else if (!begun && !edit->log && (o->known & (o->known - 1)))
        o->due = o->known;
}

void tail_read_manifest(struct str bytes, struct tail_manifest *out)
{
    struct opening opening = {0};
    bool begun = false;
    char bytes_of_front[256];
    struct front front = {.p = bytes_of_front, .room = sizeof bytes_of_front};
    uint64_t logs[KV_SPACES] = {0};
    size_t bad;
    enum tail_next r;
    *out = (struct tail_manifest){0};
    while ((r = take_whole(bytes, &out->end, &bad, &front)) == TAIL_BATCH) {
        struct edit edit;
        read_edit(str_n(front.p, front.n), &edit);
        edit.family = family_of(&front);
        see_edit(&opening, &edit, begun);
        begun |= edit.next_file;
        if (edit.oldest_log > out->oldest_log)
            out->oldest_log = edit.oldest_log;
        if (edit.last > out->last)
            out->last = edit.last;
        if (edit.log && edit.family < KV_SPACES)
            logs[edit.family] = edit.log;
    }
    out->whole = r == TAIL_END;
    out->begun = begun && !opening.due;
    if (oldest_of(logs) > out->oldest_log)
        out->oldest_log = oldest_of(logs);
}
