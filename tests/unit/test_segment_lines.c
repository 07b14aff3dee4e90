/* SPDX-License-Identifier: Apache-2.0
 *
 * What a segment consists of: the lines of its file, and its row. */
#include "sender_help.h"

static const struct segment_id ID = {.first = 100, .last = 2000, .id = 0x1234};

static struct str one_line(struct buf *b, uint32_t n, uint64_t seq, const struct outbox_row *row)
{
    buf_init(b, 1u << 20);
    segment_line(b, &ID, n, seq, row);
    assert_false(b->failed);
    assert_int_equal(b->p[b->len - 1], '\n');
    return str_n(b->p, b->len - 1);
}

static const struct {
    struct str name, bucket, key, record, read_back;
    bool stale;
    uint32_t attempts;
} lines[] = {
    {STR("s3:ObjectCreated:Put"), STR("b"), STR("k"), STR("{}"), STR("{}"), false, 0},
    {STR("s3:ObjectRemoved:Delete"), STR("b.c-d"), STR("a b/\"c\"\\\n\r\x01\xff+%41:\xc3\xa9"),
     STR("{\"a\":\"}\\n\"}"), STR("{\"a\":\"}\\n\"}"), true, 4000000000u},
    {STR("odd \"name\""), STR("B:u,c"), STR(""), STR("{\n \"a\": 1\r\n}"), STR("{  \"a\": 1  }"), false, 7},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct outbox_row row = {.stale = lines[i].stale,
                                 .attempts = lines[i].attempts,
                                 .name = lines[i].name,
                                 .bucket = lines[i].bucket,
                                 .key = lines[i].key,
                                 .record = lines[i].record};
        struct buf b;
        struct arena a;
        struct segment_line l;
        struct str line = one_line(&b, (uint32_t)i, 150 + i, &row);
        assert_true(str_chr(line, '\n') < 0);
        arena_init(&a);
        assert_true(segment_line_parse(line, &ID, &a, &l));
        assert_int_equal(l.n, i);
        assert_int_equal(l.seq, 150 + i);
        assert_int_equal(l.row.stale, row.stale);
        assert_int_equal(l.row.attempts, row.attempts);
        assert_true(str_eq(l.row.name, row.name) && str_eq(l.row.bucket, row.bucket) &&
                    str_eq(l.row.key, row.key));
        assert_true(str_eq(l.row.record, lines[i].read_back));
        /* of another segment, it is no event */
        assert_false(segment_line_parse(line, &(struct segment_id){100, 2000, 0x1235}, &a, &l));
        assert_false(segment_line_parse(line, &(struct segment_id){101, 2000, 0x1234}, &a, &l));
        arena_release(&a);
        buf_release(&b);
    }
}

/* No bit may flip, and nothing be cut, without being seen; the checksum itself may be written in capitals. */
static void test_flips(void **state)
{
    (void)state;
    struct outbox_row row = {
        .name = STR("s3:ObjectCreated:Put"), .bucket = STR("b"), .key = STR("k"), .record = STR("{\"a\":1}")};
    struct buf b;
    struct arena a;
    struct segment_line l;
    struct str line = one_line(&b, 3, 150, &row);
    arena_init(&a);
    for (size_t i = 0; i < line.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
            if (segment_line_parse(line, &ID, &a, &l))
                assert_true(i >= 8 && i < 16 && bit == 5);
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
        }
        assert_false(segment_line_parse(str_head(line, i), &ID, &a, &l));
    }
    assert_true(segment_line_parse(line, &ID, &a, &l));
    arena_release(&a);
    buf_release(&b);
    /* a number that is not in it */
    line = one_line(&b, 3, 2001, &row);
    assert_false(segment_line_parse(line, &ID, &a, &l));
    arena_release(&a);
    buf_release(&b);
}

static void test_rows(void **state)
{
    (void)state;
    char done[2] = {1, 2};
    struct segment_row row = {ID, 12, 10, 5000, STR("/q/f.jsonl"), str_n(done, 2)}, out;
    struct buf b;
    buf_init(&b, 4096);
    segment_row_encode(&row, &b);
    assert_true(segment_row_is(buf_view(&b)));
    assert_true(segment_row_decode(buf_view(&b), 100, &out));
    assert_memory_equal(&out.is, &row.is, sizeof(out.is));
    assert_int_equal(out.count, 12);
    assert_int_equal(out.left, 10);
    assert_int_equal(out.bytes, 5000);
    assert_true(str_eq(out.path, row.path) && str_eq(out.done, row.done));
    for (size_t n = 0; n < b.len; n++)
        assert_false(segment_row_decode(str_head(buf_view(&b), n), 100, &out));
    assert_false(segment_row_decode(buf_view(&b), 2001, &out)); /* begins behind its end */
    buf_reset(&b);
    outbox_row_encode(&(struct outbox_row){.name = STR("n")}, &b);
    assert_false(segment_row_is(buf_view(&b)));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_flips),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
