/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers, their bound, the integers of keys and values; and the arena. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include <cmocka.h>

static void text(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    buf_puts(&b, "a");
    buf_str(&b, STR("b"));
    buf_put(&b, "c", 1);
    buf_put(&b, NULL, 0);
    buf_char(&b, ' ');
    buf_u64(&b, 0);
    buf_char(&b, ' ');
    buf_u64(&b, UINT64_MAX);
    buf_char(&b, ' ');
    buf_i64(&b, INT64_MIN);
    buf_printf(&b, " %d%s", 5, "x");
    assert_true(str_eq(buf_view(&b), STR("abc 0 18446744073709551615 -9223372036854775808 5x")));
    buf_consume(&b, 4);
    assert_true(str_starts(buf_view(&b), STR("0 184")));
    buf_consume(&b, b.len);
    assert_int_equal(b.len, 0);
    buf_release(&b);
    assert_int_equal(b.max, 1000);
}

static void bound(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_puts(&b, "0123456789");
    assert_false(b.failed);
    buf_char(&b, 'x');
    assert_true(b.failed);
    buf_reset(&b);
    buf_puts(&b, "012345678");
    buf_puts(&b, "9x");
    assert_true(b.failed && b.len == 9);
    buf_char(&b, '9'); /* it sticks, though this would fit */
    assert_int_equal(b.len, 9);
    assert_null(buf_reserve(&b, 1));
    buf_reset(&b);
    buf_printf(&b, "%s", "0123456789"); /* no room for a NUL is needed */
    assert_true(!b.failed && b.len == 10);
    buf_printf(&b, "%s", "");
    assert_false(b.failed);
    buf_printf(&b, "y");
    assert_true(b.failed && b.len == 10);
    buf_release(&b);
}

static void printf_grows(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 10000; i++)
        buf_printf(&b, "%07d", i);
    assert_int_equal(b.len, 70000);
    assert_memory_equal(b.p + 7 * 1234, "0001234", 7);
    buf_release(&b);
}

static void integers(void **state)
{
    (void)state;
    static const uint64_t values[] = {0, 1, 127, 128, 300, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < 10; i++)
        buf_varint(&b, values[i]);
    buf_be32(&b, 0x01020304);
    buf_be64(&b, UINT64_C(0x0102030405060708));
    buf_lstr(&b, STR("hello"));
    buf_lstr(&b, STR(""));
    struct str in = buf_view(&b), s;
    uint64_t v;
    uint32_t v32;
    for (size_t i = 0; i < 10; i++)
        assert_true(take_varint(&in, &v) && v == values[i]);
    assert_memory_equal(in.p, "\1\2\3\4\1\2\3\4\5\6\7\10\5hello\0", 19);
    assert_true(take_be32(&in, &v32) && v32 == 0x01020304);
    assert_true(take_be64(&in, &v) && v == UINT64_C(0x0102030405060708));
    assert_true(take_lstr(&in, &s) && str_eq(s, STR("hello")));
    assert_true(take_lstr(&in, &s) && s.n == 0);
    assert_int_equal(in.n, 0);
    assert_false(take_varint(&in, &v) || take_lstr(&in, &s) || take_be32(&in, &v32) || take_be64(&in, &v));
    assert_false(take_bytes(&in, 1, &s));
    buf_release(&b);
}

static void taking_refused(void **state)
{
    (void)state;
    static const struct str cases[] = {{"\x80", 1},
                                       {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
                                       {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},
                                       {"", 0}};
    for (size_t i = 0; i < 4; i++) {
        struct str in = cases[i];
        uint64_t v;
        assert_false(take_varint(&in, &v));
        assert_true(in.p == cases[i].p && in.n == cases[i].n);
    }
    struct str in = STR("\5hell"), before = in, s;
    assert_false(take_lstr(&in, &s));
    assert_true(in.p == before.p && in.n == before.n);
    in = STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x");
    assert_false(take_lstr(&in, &s));
}

static void arena(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    arena_release(&a);
    unsigned char *small[300];
    for (size_t i = 0; i < 300; i++) {
        size_t n = i % 7 == 0 ? 100000 : i * 3;
        small[i] = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)small[i] % _Alignof(max_align_t), 0);
        memset(small[i], (int)(i & 255), n);
    }
    for (size_t i = 1; i < 300; i++)
        if (i % 7)
            assert_int_equal(small[i][i * 3 - 1], i & 255);
    int *zeros = ARENA_ARRAY(&a, int, 100);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(zeros[i], 0);
    assert_true(str_eq(arena_dup(&a, STR("abc")), STR("abc")));
    assert_string_equal(arena_strz(&a, STR("abc")), "abc");
    assert_string_equal(arena_strz(&a, str_n(NULL, 0)), "");
    assert_true(str_eq(arena_printf(&a, "%d-%s", 7, "x"), STR("7-x")));
    arena_release(&a);
    assert_int_equal(a.total, 0);
    assert_true(str_eq(arena_dup(&a, STR("again")), STR("again")));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text),     cmocka_unit_test(bound),          cmocka_unit_test(printf_grows),
        cmocka_unit_test(integers), cmocka_unit_test(taking_refused), cmocka_unit_test(arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
