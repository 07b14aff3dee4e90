/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of a segment's file, and rows of segments. A line that is not whole is refused, so the fuzzer gets one with the right
 * checksum as well: what follows the checksum is taken as it comes. */
#include "fuzz.h"

#include <stdio.h>

#include "base/hash.h"
#include "event/segment.h"

static const struct segment_id ID = {.first = 0x100, .last = UINT64_MAX - 1, .id = 7};

static void again(const struct segment_line *l)
{
    struct arena a;
    struct buf b;
    struct segment_line back;
    arena_init(&a);
    buf_init(&b, 16u << 20);
    segment_line(&b, &ID, l->n, l->seq, &l->row);
    CHECK(!b.failed && b.len > 0);
    CHECK(segment_line_parse(str_n(b.p, b.len - 1), &ID, &a, &back));
    CHECK(back.n == l->n && back.seq == l->seq && str_eq(back.row.key, l->row.key) &&
          str_eq(back.row.bucket, l->row.bucket) && str_eq(back.row.name, l->row.name) &&
          back.row.record.n == l->row.record.n);
    buf_release(&b);
    arena_release(&a);
}

static void lines(struct str text)
{
    struct str rest = text, line;
    struct segment_line l;
    struct arena a;
    arena_init(&a);
    while (rest.p && str_cut(&rest, '\n', &line))
        if (segment_line_parse(line, &ID, &a, &l))
            again(&l);
    arena_release(&a);
}

static void with_checksum(struct str text)
{
    struct buf b;
    char seed[16] = {0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 0};
    buf_init(&b, text.n + 64);
    buf_printf(&b, "{\"crc\":\"%08x", hash_crc32c(hash_crc32c(0, seed, sizeof(seed)), text.p, text.n));
    buf_str(&b, text);
    lines(buf_view(&b));
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n(data, size);
    struct segment_row row, back;
    lines(text);
    with_checksum(text);
    (void)segment_header_ok(text, &ID, 1000);
    if (segment_row_decode(text, 1, &row)) {
        struct buf b;
        buf_init(&b, size + 64);
        segment_row_encode(&row, &b);
        CHECK(!b.failed && segment_row_decode(buf_view(&b), 1, &back) && back.left == row.left);
        buf_release(&b);
    }
    return 0;
}
