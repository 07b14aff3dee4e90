/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys and values of delivery's rows. A value begins with its version; numbers are LEB128, texts carry their length. */
#include "event/outbox_row.h"

#define VERSION    1
#define FLAG_STALE 1
#define FLAG_DEAD  2

static void put_be(char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (char)(v >> (8 * (bytes - 1 - i)));
}

static struct row_key number_key(const char *prefix, uint32_t target)
{
    struct row_key k = {.n = strlen(prefix)};
    memcpy(k.p, prefix, k.n);
    put_be(k.p + k.n, target, 4);
    k.n += 4;
    return k;
}

static struct row_key seq_key(const char *prefix, uint32_t target, uint64_t seq)
{
    struct row_key k = number_key(prefix, target);
    put_be(k.p + k.n, seq, 8);
    k.n += 8;
    return k;
}

struct row_key outbox_key(uint32_t target, uint64_t seq)
{
    return seq_key("q", target, seq);
}

struct row_key dead_letter_key(uint32_t target, uint64_t seq)
{
    return seq_key("d", target, seq);
}

/* Four bytes after the n: a bucket's counter has eight. */
struct row_key outbox_counter_key(uint32_t target)
{
    return number_key("n", target);
}

struct row_key dead_letter_counter_key(uint32_t target)
{
    return number_key("nd", target);
}

struct row_key paused_key(uint32_t target)
{
    return number_key("p", target);
}

struct row_key cursor_key(uint32_t target)
{
    return number_key("c", target);
}

bool outbox_key_seq(struct str key, uint64_t *seq)
{
    struct str rest = str_from(key, 5);
    return key.n == 13 && take_be64(&rest, seq);
}

void target_number_key(struct buf *b, struct str type, struct str id)
{
    buf_char(b, 'x');
    buf_str(b, type);
    buf_char(b, ':');
    buf_str(b, id);
}

void taken_file_key(struct buf *b, uint32_t target, struct str file)
{
    buf_char(b, 'f');
    buf_be32(b, target);
    buf_str(b, file);
}

void outbox_row_encode(const struct outbox_row *row, struct buf *b)
{
    buf_char(b, VERSION);
    buf_char(b, (char)((row->stale ? FLAG_STALE : 0) | (row->dead_ns ? FLAG_DEAD : 0)));
    buf_varint(b, row->attempts);
    buf_lstr(b, row->name);
    buf_lstr(b, row->bucket);
    buf_lstr(b, row->key);
    buf_lstr(b, row->record);
    if (row->dead_ns) {
        buf_be64(b, (uint64_t)row->dead_ns);
        buf_lstr(b, row->reason);
    }
}

bool outbox_row_decode(struct str value, struct outbox_row *out)
{
    struct str head;
    uint64_t attempts, time;
    *out = (struct outbox_row){0};
    if (!take_bytes(&value, 2, &head) || head.p[0] != VERSION || !take_varint(&value, &attempts) ||
        !take_lstr(&value, &out->name) || !take_lstr(&value, &out->bucket) || !take_lstr(&value, &out->key) ||
        !take_lstr(&value, &out->record))
        return false;
    out->stale = head.p[1] & FLAG_STALE;
    out->attempts = (uint32_t)attempts;
    if (head.p[1] & FLAG_DEAD) {
        if (!take_be64(&value, &time) || !take_lstr(&value, &out->reason))
            return false;
        out->dead_ns = (int64_t)time;
    }
    return value.n == 0;
}
