/* SPDX-License-Identifier: Apache-2.0
 *
 * Known answers of the five checksums: check values of the CRC catalogue, FIPS 180-4, and uploads in parts whose
 * composite and full checksums S3 clients' suites assert. */
#include "unit.h"

#include <stdlib.h>

#include "base/checksum.h"
#include "base/encode.h"

static char *text_of(enum checksum_kind k, const uint8_t *value, char out[64])
{
    struct buf b;
    buf_init(&b, 63);
    base64_encode(&b, str_n(value, checksum_len(k)));
    memcpy(out, b.p, b.len);
    out[b.len] = 0;
    buf_release(&b);
    return out;
}

static void check_values(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *want[CHECKSUM_KINDS];
    } cases[] = {
        {"123456789",
         {"", "y/Q5Jg==", "4waSgw==", "rosUhgp5mIg=", "98O8HYCOBHMq32eZZczDTKeuNEE=",
          "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="}},
        {"",
         {"", "AAAAAA==", "AAAAAA==", "AAAAAAAAAAA=", "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
          "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int k = 1; k < CHECKSUM_KINDS; k++) {
            uint8_t v[CHECKSUM_MAX], parsed[CHECKSUM_MAX];
            char text[64];
            checksum_of((enum checksum_kind)k, str_c(cases[i].in), v);
            assert_string_equal(text_of((enum checksum_kind)k, v, text), cases[i].want[k]);
            struct checksum c;
            checksum_begin(&c, (enum checksum_kind)k);
            for (const char *p = cases[i].in; *p; p++)
                checksum_add(&c, p, 1);
            checksum_end(&c, v);
            checksum_release(&c);
            assert_string_equal(text_of((enum checksum_kind)k, v, text), cases[i].want[k]);
            assert_true(checksum_parse((enum checksum_kind)k, str_c(text), parsed));
            assert_memory_equal(v, parsed, checksum_len((enum checksum_kind)k));
        }
}

/* Parts of one byte repeated; the values that clients' suites assert for them. */
struct whole {
    enum checksum_kind kind;
    unsigned parts;
    struct {
        size_t n;
        char byte;
        const char *value;
    } part[3];
    const char *composite, *full; /* NULL: not defined */
};
#define MIB5 ((size_t)5 << 20)
static const struct whole wholes[] = {
    {CHECKSUM_SHA256,
     2,
     {{MIB5, 'a', "oplo+tLngqqfIECjXwWtuX7Yl56x9XLIyOp4Y34nXzw="},
      {10, 'b', "bS/jLcQknvfnNZxth0//u/M16DLkmiaBI24baGr3h5Q="}},
     "zTBnwsNWVkdz0PwZObp0pDCxhYpP8sndExucneRKiO0=",
     NULL},
    {CHECKSUM_CRC32C, 2, {{MIB5, 'a', "WpuOeg=="}, {10, 'b', "FuoJPw=="}}, "SbZNDA==", "Ecdwnw=="},
    {CHECKSUM_CRC32, 2, {{MIB5, 'a', "r/zBbw=="}, {10, 'b', "Qi9M+A=="}}, "meG8JQ==", "1FimjA=="},
    {CHECKSUM_CRC64NVME, 2, {{MIB5, 'a', "PbvLEkWUSgg="}, {10, 'b', "ZFjmMZfd7no="}}, NULL, "om/L0dM0gF4="},
    {CHECKSUM_SHA256,
     3,
     {{MIB5, 'A', "275VF5loJr1YYawit0XSHREhkFXYkkPKGuoK0x9VKxI="},
      {MIB5, 'B', "mrHwOfjTL5Zwfj74F05HOQGLdUb7E5szdCbxgUSq6NM="},
      {MIB5, 'C', "Vw7oB/nKQ5xWb3hNgbyfkvDiivl+U+/Dft48nfJfDow="}},
     "uWBwpe1dxI4Vw8Gf0X9ynOdw/SS6VBzfWm9giiv1sf4=",
     NULL},
    {CHECKSUM_SHA1,
     3,
     {{MIB5, 'A', "iIaTCGbm+vdVjNqIMF2S0T7ibMk="},
      {MIB5, 'B', "LS/TJ32bAVKEwRu+sE3X7awh/lk="},
      {MIB5, 'C', "6DDwovUaHwrKNXDMzOGbuvj9kxI="}},
     "sizjvY4eud3MrcHdZM3cQ/ol39o=",
     NULL},
    {CHECKSUM_CRC64NVME,
     3,
     {{MIB5, 'A', "L/E4WYn8v98="}, {MIB5, 'B', "xW1l19VobYM="}, {MIB5, 'C', "cK5MnNaWrW4="}},
     NULL,
     "i+6LR0y3eFo="},
    {CHECKSUM_CRC32,
     3,
     {{MIB5, 'A', "JRTCyQ=="}, {MIB5, 'B', "QoZTGg=="}, {MIB5, 'C', "YAgjqw=="}},
     NULL,
     "WgDhBQ=="},
    {CHECKSUM_CRC32C,
     3,
     {{MIB5, 'A', "MDaLrw=="}, {MIB5, 'B', "TH4EZg=="}, {MIB5, 'C', "Z7mBIQ=="}},
     NULL,
     "xU+Krw=="},
    {CHECKSUM_SHA256,
     1,
     {{1024, 'A', "arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0="}},
     "Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=",
     NULL},
    {CHECKSUM_CRC64NVME, 1, {{1024, 'A', "Qeh8oXvGiSo="}}, NULL, "Qeh8oXvGiSo="},
};

static void check_whole(const struct whole *w)
{
    char *data = malloc(MIB5), text[64];
    uint8_t values[3 * CHECKSUM_MAX], v[CHECKSUM_MAX], full[CHECKSUM_MAX];
    size_t len = checksum_len(w->kind);
    for (unsigned i = 0; i < w->parts; i++) {
        memset(data, w->part[i].byte, w->part[i].n);
        checksum_of(w->kind, str_n(data, w->part[i].n), v);
        assert_string_equal(text_of(w->kind, v, text), w->part[i].value);
        memcpy(values + i * len, v, len);
        if (w->full && i == 0)
            memcpy(full, v, len);
        else if (w->full)
            checksum_combine(w->kind, full, v, w->part[i].n, full);
    }
    free(data);
    if (w->full)
        assert_string_equal(text_of(w->kind, full, text), w->full);
    if (w->composite) {
        checksum_of(w->kind, str_n(values, w->parts * len), v);
        assert_string_equal(text_of(w->kind, v, text), w->composite);
    }
}

static void parts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wholes); i++)
        check_whole(&wholes[i]);
}

/* Every split of a text, and empty sides. */
static void combine(void **state)
{
    (void)state;
    static const char text[] = "The quick brown fox jumps over the lazy dog, twice: the quick brown fox.";
    size_t n = sizeof text - 1;
    for (int i = CHECKSUM_CRC32; i <= CHECKSUM_CRC64NVME; i++)
        for (size_t at = 0; at <= n; at++) {
            enum checksum_kind k = (enum checksum_kind)i;
            uint8_t a[CHECKSUM_MAX], b[CHECKSUM_MAX], whole[CHECKSUM_MAX];
            checksum_of(k, str_n(text, at), a);
            checksum_of(k, str_n(text + at, n - at), b);
            checksum_of(k, str_n(text, n), whole);
            checksum_combine(k, a, b, n - at, a);
            assert_memory_equal(a, whole, checksum_len(k));
        }
}

/* The length is 64 bits wide: 5 TiB of zeros by doubling, and by one combination with nothing before it. */
static void combine_long(void **state)
{
    (void)state;
    for (int i = CHECKSUM_CRC32; i <= CHECKSUM_CRC64NVME; i++) {
        enum checksum_kind k = (enum checksum_kind)i;
        uint8_t zeros[CHECKSUM_MAX], with_x[CHECKSUM_MAX], x[CHECKSUM_MAX], want[CHECKSUM_MAX];
        uint64_t n = 1;
        checksum_of(k, STR("x"), x);
        checksum_of(k, str_n("", 1), zeros);
        memcpy(want, x, sizeof want);
        for (; n < 5ull << 40; n *= 2) {
            checksum_combine(k, want, zeros, n, want); /* x, then 1 + 1 + 2 + 4 ... zeros */
            checksum_combine(k, zeros, zeros, n, zeros);
        }
        /* want now covers n - 1 zeros; one more makes n. */
        uint8_t one[CHECKSUM_MAX];
        checksum_of(k, str_n("", 1), one);
        checksum_combine(k, want, one, 1, want);
        checksum_combine(k, x, zeros, n, with_x);
        assert_memory_equal(with_x, want, checksum_len(k));
    }
}

static void names(void **state)
{
    (void)state;
    for (int i = 1; i < CHECKSUM_KINDS; i++) {
        enum checksum_kind k = (enum checksum_kind)i;
        const struct checksum_names *n = checksum_names(k);
        assert_int_equal(checksum_of_header(str_c(n->header)), k);
        assert_int_equal(checksum_of_header(str_c(n->label)), k);
        assert_int_equal(checksum_of_element(str_c(n->element)), k);
        assert_int_equal(checksum_of_algorithm(str_c(n->algorithm)), k);
        assert_int_equal(checksum_combines(k), k <= CHECKSUM_CRC64NVME);
    }
    assert_int_equal(checksum_of_algorithm(STR("crc32c")), CHECKSUM_CRC32C);
    static const char *const none[] = {
        "",       "CRC",   "SHA-256", "x-amz-checksum-",   "x-amz-checksum-type",
        "SHA512", "CRC64", "MD5",     "x-amz-checksum-md5"};
    for (size_t i = 0; i < COUNT_OF(none); i++) {
        assert_int_equal(checksum_of_header(str_c(none[i])), CHECKSUM_NONE);
        assert_int_equal(checksum_of_element(str_c(none[i])), CHECKSUM_NONE);
        assert_int_equal(checksum_of_algorithm(str_c(none[i])), CHECKSUM_NONE);
    }
}

static void parse(void **state)
{
    (void)state;
    uint8_t v[CHECKSUM_MAX];
    static const char *const bad[] = {"", "AAAA", "AAAAAA", "AAAAAA=", "AAAAAAA=", "AAAAAA==\n", "?AAAAA=="};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(checksum_parse(CHECKSUM_CRC32, str_c(bad[i]), v));
    assert_true(checksum_parse(CHECKSUM_CRC32, STR("AAAAAA=="), v));
    assert_false(checksum_parse(CHECKSUM_CRC64NVME, STR("AAAAAA=="), v));
    assert_false(checksum_parse(CHECKSUM_NONE, STR(""), v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values), cmocka_unit_test(parts), cmocka_unit_test(combine),
        cmocka_unit_test(combine_long), cmocka_unit_test(names), cmocka_unit_test(parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
