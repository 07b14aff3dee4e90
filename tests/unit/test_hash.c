/* SPDX-License-Identifier: Apache-2.0
 *
 * Known answers of the digests and checksums: RFC 1321, FIPS 180-4, RFC 4231, and the check value of CRCs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/hash.h"

#define CHECK_HEX(bytes, n, want) \
    do { \
        char hex_[128] = {0}; \
        hex_lower((bytes), (n), hex_); \
        assert_string_equal(hex_, (want)); \
    } while (0)

static void digests(void **state)
{
    (void)state;
    static const struct {
        const char *in, *md5, *sha256;
    } cases[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e",
         "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72",
         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"123456789", "25f9e794323b453885f5181f1b624d0b",
         "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a",
         "f371bc4a311f2b009eef952dd83ca80e2b60026c8e935592d0f9c308453c813e"},
    };
    for (size_t i = 0; i < 4; i++) {
        uint8_t out[SHA256_LEN];
        struct hash h;
        hash_md5(str_c(cases[i].in), out);
        CHECK_HEX(out, MD5_LEN, cases[i].md5);
        hash_sha256(str_c(cases[i].in), out);
        CHECK_HEX(out, SHA256_LEN, cases[i].sha256);
        hash_begin(&h, HASH_SHA256);
        for (const char *p = cases[i].in; *p; p++)
            hash_add(&h, p, 1);
        hash_end(&h, out);
        hash_release(&h);
        CHECK_HEX(out, SHA256_LEN, cases[i].sha256);
    }
}

static void hmac(void **state)
{
    (void)state;
    uint8_t out[SHA256_LEN];
    char key[131];
    hash_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    CHECK_HEX(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0x0b, 20);
    hash_hmac_sha256(str_n(key, 20), STR("Hi There"), out);
    CHECK_HEX(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    memset(key, 0xaa, sizeof(key));
    hash_hmac_sha256(str_n(key, sizeof(key)), STR("Test Using Larger Than Block-Size Key - Hash Key First"),
                     out);
    CHECK_HEX(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    /* RFC 2202 */
    hash_hmac_sha1(STR("Jefe"), STR("what do ya want for nothing?"), out);
    CHECK_HEX(out, SHA1_LEN, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    memset(key, 0xaa, 80);
    hash_hmac_sha1(str_n(key, 80), STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    CHECK_HEX(out, SHA1_LEN, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

static void checksums(void **state)
{
    (void)state;
    assert_int_equal(hash_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(hash_crc32(hash_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(hash_crc32(0, "", 0), 0);
    assert_int_equal(hash_crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(hash_crc32c(hash_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
    assert_int_equal(hash_crc32c(0, "", 0), 0);
    /* RFC 3720 B.4: 32 bytes of zeros and of ones */
    char zeros[32] = {0}, ones[32];
    memset(ones, 0xff, 32);
    assert_int_equal(hash_crc32c(0, zeros, 32), 0x8a9136aa);
    assert_int_equal(hash_crc32c(0, ones, 32), 0x62a8ab43);
    /* every split of a text gives the same */
    char text[1000];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7);
    for (size_t i = 0; i <= sizeof(text); i++) {
        assert_int_equal(hash_crc32(hash_crc32(0, text, i), text + i, sizeof(text) - i),
                         hash_crc32(0, text, 1000));
        assert_int_equal(hash_crc32c(hash_crc32c(0, text, i), text + i, sizeof(text) - i),
                         hash_crc32c(0, text, 1000));
    }
}

/* More running at once than are kept, given up at various stages. */
static void many(void **state)
{
    (void)state;
    struct hash h[40];
    uint8_t out[SHA256_LEN];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 40; i++) {
            hash_begin(&h[i], i & 1 ? HASH_MD5 : HASH_SHA256);
            hash_add(&h[i], "ab", 2);
        }
        for (int i = 0; i < 40; i++) {
            hash_add(&h[i], "c", 1);
            if (i % 3 == 0) {
                hash_end(&h[i], out);
                CHECK_HEX(out, (i & 1 ? MD5_LEN : SHA256_LEN),
                          (i & 1 ? "900150983cd24fb0d6963f7d28e17f72"
                                 : "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
            }
            hash_release(&h[i]);
            hash_release(&h[i]);
        }
    }
}

static void *hash_on_thread(void *arg)
{
    uint8_t out[MD5_LEN];
    struct hash *begun_elsewhere = arg;
    hash_end(begun_elsewhere, out);
    hash_md5(STR("abc"), begun_elsewhere[1].ctx);
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    uint8_t out[8][MD5_LEN];
    struct hash h[8][2];
    pthread_t t[8];
    for (int i = 0; i < 8; i++) {
        hash_begin(&h[i][0], HASH_SHA256);
        hash_release(&h[i][0]);
        hash_begin(&h[i][0], HASH_MD5);
        h[i][1].ctx = out[i];
        assert_int_equal(pthread_create(&t[i], NULL, hash_on_thread, h[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        CHECK_HEX(out[i], MD5_LEN, "900150983cd24fb0d6963f7d28e17f72");
    }
}

static void other(void **state)
{
    (void)state;
    char a[64] = {0}, b[64] = {0};
    assert_true(hash_equal("abc", "abc", 3));
    assert_false(hash_equal("abc", "abd", 3));
    assert_true(hash_equal("a", "b", 0));
    hash_random(a, sizeof(a));
    hash_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(digests),   cmocka_unit_test(hmac),
                                       cmocka_unit_test(checksums), cmocka_unit_test(many),
                                       cmocka_unit_test(threads),   cmocka_unit_test(other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
