/* SPDX-License-Identifier: Apache-2.0
 *
 * The row of an object: round trips, unknown fields, malformed bytes. */
#include "unit.h"

#include <stdlib.h>

#include "store/object.h"
#include "store/row.h"

static struct object full_object(struct header meta[2], struct extent x[2])
{
    meta[0] = (struct header){STR("content-type"), STR("image/jpeg")};
    meta[1] = (struct header){STR("X-Amz-Meta-Empty"), STR("")};
    x[0] = (struct extent){EXTENT_INLINE, (uint64_t)1 << 41, 300};
    x[1] = (struct extent){EXTENT_BLOB, 0x123456789abcdef0, (uint64_t)5 << 30};
    struct object o = {.size = 300 + ((uint64_t)5 << 30),
                       .seq = 1767225600000000123,
                       .mtime_ns = -5,
                       .md5 = {0x9b, 2, 3, [15] = 0xff},
                       .parts = 17,
                       .meta = {meta, 2},
                       .checksum = CHECKSUM_CRC32C,
                       .checksum_full = true,
                       .checksum_len = 4,
                       .checksum_value = {1, 2, 3, 4},
                       .upload_id = STR("upload"),
                       .tags = STR("a=1&b=2"),
                       .extents = x,
                       .n_extents = 2};
    return o;
}

static void assert_same(const struct object *a, const struct object *b)
{
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->seq, b->seq);
    assert_true(a->mtime_ns == b->mtime_ns);
    assert_memory_equal(a->md5, b->md5, sizeof a->md5);
    assert_int_equal(a->parts, b->parts);
    assert_int_equal(a->meta.n, b->meta.n);
    for (size_t i = 0; i < a->meta.n; i++) {
        assert_true(str_eq(a->meta.v[i].name, b->meta.v[i].name));
        assert_true(str_eq(a->meta.v[i].value, b->meta.v[i].value));
    }
    assert_int_equal(a->checksum, b->checksum);
    assert_int_equal(a->checksum_full, b->checksum_full);
    assert_int_equal(a->checksum_len, b->checksum_len);
    assert_memory_equal(a->checksum_value, b->checksum_value, a->checksum_len);
    assert_true(str_eq(a->upload_id, b->upload_id));
    assert_true(str_eq(a->tags, b->tags));
    assert_int_equal(a->n_extents, b->n_extents);
    for (size_t i = 0; i < a->n_extents; i++) {
        assert_int_equal(a->extents[i].kind, b->extents[i].kind);
        assert_int_equal(a->extents[i].id, b->extents[i].id);
        assert_int_equal(a->extents[i].length, b->extents[i].length);
    }
}

static void test_round_trip(void **state)
{
    struct header meta[2];
    struct extent x[2];
    struct object o = full_object(meta, x), plain = {.seq = 1}, got;
    struct buf row;
    struct arena a;

    (void)state;
    arena_init(&a);
    buf_init(&row, 4096);
    object_encode(&o, &row);
    assert_true(object_decode(buf_view(&row), &a, &got));
    assert_same(&o, &got);
    buf_reset(&row);
    object_encode(&plain, &row);
    assert_true(object_decode(buf_view(&row), &a, &got));
    assert_same(&plain, &got);
    buf_release(&row);
    arena_release(&a);
}

/* Every shorter piece of a row is refused or is the row of a smaller object, and no byte is read beyond it. */
static void test_cut(void **state)
{
    struct header meta[2];
    struct extent x[2];
    struct object o = full_object(meta, x), got;
    struct buf row;
    struct arena a;

    (void)state;
    arena_init(&a);
    buf_init(&row, 4096);
    object_encode(&o, &row);
    for (size_t n = 0; n < row.len; n++) {
        char *copy = malloc(n ? n : 1);
        memcpy(copy, row.p, n);
        assert_false(
            object_decode(str_n(copy, n), &a, &got)); /* the extents, which come last, do not add up */
        free(copy);
    }
    buf_release(&row);
    arena_release(&a);
}

static void test_unknown_fields(void **state)
{
    struct object o = {.size = 0, .seq = 7}, got;
    struct buf row;
    struct arena a;

    (void)state;
    arena_init(&a);
    buf_init(&row, 4096);
    object_encode(&o, &row);
    row_u64(&row, 99, UINT64_MAX);
    row_bytes(&row, 1000000, STR("of a later version"));
    assert_true(object_decode(buf_view(&row), &a, &got));
    assert_same(&o, &got);
    buf_release(&row);
    arena_release(&a);
}

static void put_extent(struct buf *b, uint64_t kind, uint64_t id, uint64_t length)
{
    struct buf x;
    buf_init(&x, 64);
    buf_varint(&x, kind);
    buf_varint(&x, id);
    buf_varint(&x, length);
    row_bytes(b, 12, buf_view(&x));
    buf_release(&x);
}

static void begin(struct buf *b)
{
    row_begin(b);
    row_u64(b, 2, 1); /* sequencer */
}

static void test_malformed(void **state)
{
    struct object got;
    struct buf row;
    struct arena a;

    (void)state;
    arena_init(&a);
    buf_init(&row, 4096);
    assert_false(object_decode(STR(""), &a, &got));
    assert_false(object_decode(STR("\x02"), &a, &got)); /* version */
    assert_false(object_decode(STR("\x01"), &a, &got)); /* no sequencer */

    begin(&row);
    row_bytes(&row, 4, STR("short")); /* MD5 */
    assert_false(object_decode(buf_view(&row), &a, &got));
    buf_reset(&row);
    begin(&row);
    row_bytes(&row, 9, STR("a checksum of more than 32 bytes.")); /* does not fit */
    assert_false(object_decode(buf_view(&row), &a, &got));
    buf_reset(&row);
    begin(&row);
    row_u64(&row, 1, 10);
    put_extent(&row, 2, 1, 10); /* kind */
    assert_false(object_decode(buf_view(&row), &a, &got));
    buf_reset(&row);
    begin(&row);
    row_u64(&row, 1, 10);
    put_extent(&row, 1, 1, UINT64_MAX);
    put_extent(&row, 1, 2, 11); /* the sum would wrap to 10 */
    assert_false(object_decode(buf_view(&row), &a, &got));
    buf_reset(&row);
    begin(&row);
    for (int i = 0; i < OBJECT_EXTENTS + 1; i++)
        put_extent(&row, 1, 1, 0);
    assert_false(object_decode(buf_view(&row), &a, &got));
    buf_release(&row);
    arena_release(&a);
}

static void test_etag(void **state)
{
    struct object o = {.md5 = {0xab, [15] = 1}};
    char out[ETAG_MAX];

    (void)state;
    assert_int_equal(object_etag(&o, out), 32);
    assert_memory_equal(out, "ab000000000000000000000000000001", 32);
    o.parts = 10000;
    assert_int_equal(object_etag(&o, out), 38);
    assert_memory_equal(out, "ab000000000000000000000000000001-10000", 38);
}

static void test_keys(void **state)
{
    struct row_key k;
    struct buf b;
    uint64_t seq, id;
    char what;

    (void)state;
    assert_true(str_eq(row_key_object(&k, 0x0102, STR("x/y")), STR("o\0\0\0\0\0\0\1\2x/y")));
    assert_true(row_garbage(row_key_garbage(&k, 'b', 5, 6), &what, &seq, &id));
    assert_true(what == 'b' && seq == 5 && id == 6);
    assert_true(row_id(row_key_id(&k, 't', UINT64_MAX), 1, &id) && id == UINT64_MAX);
    assert_false(row_id(STR("t1234567"), 1, &id));
    buf_init(&b, 16);
    buf_puts(&b, "ab\xff\xff");
    assert_true(row_successor(&b) && str_eq_c(buf_view(&b), "ac"));
    buf_reset(&b);
    buf_puts(&b, "\xff\xff");
    assert_false(row_successor(&b));
    buf_release(&b);
    for (int64_t v = -3; v < 3; v++)
        assert_true(row_unzigzag(row_zigzag(v)) == v);
    assert_true(row_unzigzag(row_zigzag(INT64_MIN)) == INT64_MIN);
    assert_true(row_unzigzag(row_zigzag(INT64_MAX)) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_cut),  cmocka_unit_test(test_unknown_fields),
        cmocka_unit_test(test_malformed),  cmocka_unit_test(test_etag), cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
