/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows and lines of segments (segment.h). */
#include <stdio.h>

#include "base/encode.h"
#include "base/hash.h"
#include "event/segment.h"

#define SEGMENT_VERSION 2 /* where an outbox row has 1 */

/* --- rows --------------------------------------------------------------------------------------------------------- */

bool segment_row_is(struct str value)
{
    return value.n > 0 && value.p[0] == SEGMENT_VERSION;
}

void segment_row_encode(const struct segment_row *row, struct buf *b)
{
    buf_char(b, SEGMENT_VERSION);
    buf_be64(b, row->is.last);
    buf_be64(b, row->is.id);
    buf_varint(b, row->count);
    buf_varint(b, row->left);
    buf_varint(b, row->bytes);
    buf_lstr(b, row->path);
    buf_lstr(b, row->done);
}

bool segment_row_decode(struct str value, uint64_t first, struct segment_row *out)
{
    struct str head;
    uint64_t count, left;
    *out = (struct segment_row){.is.first = first};
    if (!take_bytes(&value, 1, &head) || head.p[0] != SEGMENT_VERSION || !take_be64(&value, &out->is.last) ||
        !take_be64(&value, &out->is.id) || !take_varint(&value, &count) || !take_varint(&value, &left) ||
        !take_varint(&value, &out->bytes) || !take_lstr(&value, &out->path) || !take_lstr(&value, &out->done))
        return false;
    out->count = (uint32_t)count;
    out->left = (uint32_t)left;
    return value.n == 0 && count > 0 && count <= SEGMENT_ROWS && left <= count &&
           out->done.n == (count + 7) / 8 && out->is.last >= first && out->path.n > 1 &&
           out->path.p[0] == '/' && out->path.n < 8192 && str_chr(out->path, 0) < 0;
}

static struct row_key target_key(const char *prefix, uint32_t target)
{
    struct row_key k = {.n = strlen(prefix)};
    memcpy(k.p, prefix, k.n);
    for (int i = 0; i < 4; i++)
        k.p[k.n++] = (char)(target >> (24 - 8 * i));
    return k;
}

struct row_key segment_file_key(uint32_t target, uint64_t id)
{
    struct row_key k = target_key("s", target);
    for (int i = 0; i < 8; i++)
        k.p[k.n++] = (char)(id >> (56 - 8 * i));
    return k;
}

bool segment_file_key_parse(struct str key, uint32_t *target)
{
    struct str rest = str_from(key, 1);
    return key.n == 13 && take_be32(&rest, target);
}

struct row_key segment_counter_key(uint32_t target)
{
    return target_key("ns", target);
}

struct row_key segment_lost_key(uint32_t target)
{
    return target_key("nl", target);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void put_hex(struct buf *b, uint64_t v)
{
    char text[16];
    hex_u64(v, text);
    buf_str(b, str_n(text, sizeof(text)));
}

void segment_name(struct buf *b, const struct segment_id *is)
{
    put_hex(b, is->first);
    buf_char(b, '-');
    put_hex(b, is->last);
    buf_char(b, '-');
    put_hex(b, is->id);
    buf_puts(b, ".jsonl");
}

static void put_identity(struct buf *b, const struct segment_id *is)
{
    buf_puts(b, "\"id\":\"");
    put_hex(b, is->id);
    buf_puts(b, "\",\"first\":\"");
    put_hex(b, is->first);
    buf_puts(b, "\",\"last\":\"");
    put_hex(b, is->last);
}

void segment_header(struct buf *b, const struct segment_id *is, const char *label, uint32_t count)
{
    buf_printf(b, "{\"belfry\":\"segment\",\"version\":1,\"target\":\"%s\",", label);
    put_identity(b, is);
    buf_printf(b, "\",\"count\":%u}\n", count);
}

bool segment_header_ok(struct str line, const struct segment_id *is, uint32_t count)
{
    struct buf tail;
    buf_init(&tail, 256);
    put_identity(&tail, is);
    buf_printf(&tail, "\",\"count\":%u}", count);
    bool ok = str_starts(line, STR("{\"belfry\":\"segment\",\"version\":1,\"target\":\"")) &&
              str_ends(line, buf_view(&tail));
    buf_release(&tail);
    return ok;
}

static uint32_t checksum(const struct segment_id *is, struct str text)
{
    char seed[16];
    for (int i = 0; i < 8; i++) {
        seed[i] = (char)(is->id >> (56 - 8 * i));
        seed[8 + i] = (char)(is->first >> (56 - 8 * i));
    }
    return hash_crc32c(hash_crc32c(0, seed, sizeof(seed)), text.p, text.n);
}

/* Colons stay: they are in the name of every event. */
static void put_text(struct buf *b, const char *name, struct str text)
{
    struct str piece;
    buf_printf(b, ",\"%s\":\"", name);
    for (bool first = true; str_cut(&text, ':', &piece); first = false) {
        if (!first)
            buf_char(b, ':');
        pct_encode(b, piece, PCT_PATH);
    }
    buf_char(b, '"');
}

/* JSON holds line ends only between its parts, where a blank means the same. */
static void put_record(struct buf *b, struct str record)
{
    size_t at = b->len;
    buf_str(b, record);
    for (; !b->failed && at < b->len; at++)
        if (b->p[at] == '\n' || b->p[at] == '\r')
            b->p[at] = ' ';
}

#define CRC_PLACE 8 /* {"crc":" */
#define CRC_END   (CRC_PLACE + 8)

void segment_line(struct buf *b, const struct segment_id *is, uint32_t n, uint64_t seq,
                  const struct outbox_row *row)
{
    size_t begin = b->len;
    char crc[9];
    buf_printf(b, "{\"crc\":\"........\",\"n\":%u,\"seq\":\"", n);
    put_hex(b, seq);
    buf_printf(b, "\",\"stale\":%d,\"attempts\":%u", row->stale, row->attempts);
    put_text(b, "name", row->name);
    put_text(b, "bucket", row->bucket);
    put_text(b, "key", row->key);
    buf_puts(b, ",\"record\":");
    put_record(b, row->record);
    buf_char(b, '}');
    if (b->failed)
        return;
    (void)snprintf(crc, sizeof(crc), "%08x", checksum(is, str_from(buf_view(b), begin + CRC_END)));
    memcpy(b->p + begin + CRC_PLACE, crc, 8);
    buf_char(b, '\n');
}

/* --- parsing ------------------------------------------------------------------------------------------------------ */

static bool take_literal(struct str *in, const char *text)
{
    if (!str_starts(*in, str_c(text)))
        return false;
    *in = str_from(*in, strlen(text));
    return true;
}

/* Up to `end`, which is taken too. */
static bool take_until(struct str *in, char end, struct str *out)
{
    ptrdiff_t at = str_chr(*in, end);
    if (at < 0)
        return false;
    *out = str_head(*in, (size_t)at);
    *in = str_from(*in, (size_t)at + 1);
    return true;
}

static bool take_number(struct str *in, const char *before, char end, uint64_t max, uint64_t *out)
{
    struct str digits;
    return take_literal(in, before) && take_until(in, end, &digits) && str_to_u64(digits, out) && *out <= max;
}

static bool take_text(struct str *in, const char *before, struct arena *a, struct str *out)
{
    struct str text;
    return take_literal(in, before) && take_until(in, '"', &text) && pct_decode_arena(a, text, false, out);
}

static bool take_seq(struct str *in, uint64_t *out)
{
    struct str digits;
    char bytes[8];
    struct str view = {bytes, sizeof(bytes)};
    return take_literal(in, "\"seq\":\"") && take_until(in, '"', &digits) && digits.n == 16 &&
           hex_decode(digits, bytes, sizeof(bytes)) && take_be64(&view, out);
}

bool segment_line_parse(struct str line, const struct segment_id *is, struct arena *a,
                        struct segment_line *out)
{
    char bytes[4];
    uint32_t crc;
    uint64_t n, stale, attempts;
    struct str view = {bytes, sizeof(bytes)}, in = str_from(line, CRC_END);
    *out = (struct segment_line){0};
    if (line.n < CRC_END || !str_starts(line, STR("{\"crc\":\"")) ||
        !hex_decode(str_head(str_from(line, CRC_PLACE), 8), bytes, sizeof(bytes)) ||
        !take_be32(&view, &crc) || crc != checksum(is, in))
        return false;
    struct outbox_row *row = &out->row;
    if (!take_number(&in, "\",\"n\":", ',', SEGMENT_ROWS - 1, &n) || !take_seq(&in, &out->seq) ||
        !take_number(&in, ",\"stale\":", ',', 1, &stale) ||
        !take_number(&in, "\"attempts\":", ',', UINT32_MAX, &attempts) ||
        !take_text(&in, "\"name\":\"", a, &row->name) || !take_text(&in, ",\"bucket\":\"", a, &row->bucket) ||
        !take_text(&in, ",\"key\":\"", a, &row->key) || !take_literal(&in, ",\"record\":") ||
        !str_ends(in, STR("}")))
        return false;
    row->record = str_head(in, in.n - 1);
    row->stale = stale != 0;
    row->attempts = (uint32_t)attempts;
    out->n = (uint32_t)n;
    return row->record.n + row->name.n + row->bucket.n + row->key.n <= SEGMENT_ROW_MAX &&
           out->seq >= is->first && out->seq <= is->last;
}
