/* SPDX-License-Identifier: Apache-2.0
 *
 * Encrypted bodies of the administration interface: published vectors, both ways, and everything that must be refused. */
#include "unit.h"

#include "admin/crypt.h"
#include "base/encode.h"
#include "base/hash.h"

#define PASSWORD STR("minioadmin")
#define SHORT    STR("notify_webhook:1 endpoint=http://localhost:3000")
#define KEY      "143045b4e26f71193dd2f2f806438d47b4dfaa02357d625170ce6761570ab62b"
#define AES \
    "06d8ef8ab332d37bf14f70741a2dc6af0756ad2e0031638a536662ae4923af9f4dc3e8d537da5ba19e3097bfe92df202326e84" \
    "c7f69f98b763ac1d98f54d6f"
#define CHACHA \
    "0c1f0df67b3fcaa936dc2a61f014f672d4a72126b4aa03952a4986badbdcd2bdf0fb570e15e497b2187563cb6617f3e85c7d73" \
    "f4ca4336b4e11a2f094988d7"

static uint8_t salt[CRYPT_SALT], nonce[CRYPT_NONCE];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < CRYPT_SALT; i++)
        salt[i] = (uint8_t)i;
    for (int i = 0; i < CRYPT_NONCE; i++)
        nonce[i] = (uint8_t)(0xa0 + i);
    return 0;
}

static void put_header(struct buf *b, uint8_t id)
{
    buf_put(b, salt, sizeof salt);
    buf_char(b, (char)id);
    buf_put(b, nonce, sizeof nonce);
}

static void put_hex(struct buf *b, const char *hex)
{
    size_t n = strlen(hex) / 2;
    char *p = buf_reserve(b, n);
    assert_true(p && hex_decode(str_c(hex), p, n));
    b->len += n;
}

/* The upstream library's own vector: an empty text under an empty password, chosen salt and nonce. */
static void test_empty_password(void **state)
{
    (void)state;
    struct buf in, out;
    buf_init(&in, 4096);
    buf_init(&out, 4096);
    put_hex(&in,
            "828aa81599df0651c0461adb82283e8b89956baee9f6e719947ef9cddc849028001dc9d3ac0938f66b07bacc9751437e"
            "1985f8a9763c240e81");
    assert_int_equal(crypt_decrypt(STR(""), buf_view(&in), &out), CRYPT_OK);
    assert_int_equal(out.len, 0);
    assert_int_equal(crypt_decrypt(STR("x"), buf_view(&in), &out), CRYPT_BAD);
    buf_release(&in);
    buf_release(&out);
}

static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        enum crypt_id id;
        const char *stream;
    } cases[] = {{CRYPT_ARGON2_AES, AES}, {CRYPT_ARGON2_CHACHA, CHACHA}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf in, out, sealed;
        uint8_t key[CRYPT_KEY], want[CRYPT_KEY];
        buf_init(&in, 4096);
        buf_init(&out, 4096);
        buf_init(&sealed, 4096);
        put_header(&in, (uint8_t)cases[i].id);
        put_hex(&in, cases[i].stream);
        assert_int_equal(in.len, crypt_size(SHORT.n));
        assert_int_equal(crypt_decrypt(PASSWORD, buf_view(&in), &out), CRYPT_OK);
        assert_true(str_eq(buf_view(&out), SHORT));
        assert_true(crypt_key(cases[i].id, PASSWORD, salt, key));
        assert_true(hex_decode(STR(KEY), want, sizeof want));
        assert_memory_equal(key, want, sizeof want);
        put_header(&sealed, (uint8_t)cases[i].id);
        crypt_seal(cases[i].id, key, nonce, SHORT, &sealed);
        assert_true(str_eq(buf_view(&sealed), buf_view(&in)));
        buf_release(&in);
        buf_release(&out);
        buf_release(&sealed);
    }
}

/* Fragments: an exact multiple ends with a full last one. */
static void test_long(void **state)
{
    (void)state;
    static const struct {
        size_t plain, whole;
        const char *sha256;
    } cases[] = {
        {16385, 16458, "98d3fdc1f76fffd4806f2da6e34ec823ec26de40b5f473f2ba42c2a9f6557c61"},
        {16384, 16441, "09e9ea1cabd0363ec603280d70ef5a2478774e2470ed49e81b8416d503925617"},
    };
    uint8_t key[CRYPT_KEY];
    assert_true(crypt_key(CRYPT_ARGON2_AES, PASSWORD, salt, key));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf plain, whole, back;
        uint8_t sha[SHA256_LEN], want[SHA256_LEN];
        buf_init(&plain, 1 << 20);
        buf_init(&whole, 1 << 20);
        buf_init(&back, 1 << 20);
        for (size_t k = 0; k < cases[i].plain; k++)
            buf_char(&plain, (char)(k * 7));
        put_header(&whole, CRYPT_ARGON2_AES);
        crypt_seal(CRYPT_ARGON2_AES, key, nonce, buf_view(&plain), &whole);
        assert_int_equal(whole.len, cases[i].whole);
        assert_int_equal(whole.len, crypt_size(plain.len));
        hash_sha256(buf_view(&whole), sha);
        assert_true(hex_decode(str_c(cases[i].sha256), want, sizeof want));
        assert_memory_equal(sha, want, sizeof sha);
        assert_true(
            crypt_open(CRYPT_ARGON2_AES, key, nonce, str_from(buf_view(&whole), CRYPT_HEADER), &back));
        assert_true(str_eq(buf_view(&back), buf_view(&plain)));
        buf_release(&plain);
        buf_release(&whole);
        buf_release(&back);
    }
}

static void round_trip(enum crypt_id id, size_t n)
{
    uint8_t key[CRYPT_KEY] = {7};
    struct buf plain, whole, back;
    buf_init(&plain, 1 << 20);
    buf_init(&whole, 1 << 20);
    buf_init(&back, 1 << 20);
    for (size_t k = 0; k < n; k++)
        buf_char(&plain, (char)(k * 13));
    crypt_seal(id, key, nonce, buf_view(&plain), &whole);
    assert_int_equal(whole.len + CRYPT_HEADER, crypt_size(n));
    assert_true(crypt_open(id, key, nonce, buf_view(&whole), &back));
    assert_true(str_eq(buf_view(&back), buf_view(&plain)));
    /* cut anywhere, lengthened, or with one bit turned: refused */
    static const size_t cuts[] = {1, CRYPT_TAG, CRYPT_FRAGMENT, CRYPT_FRAGMENT + CRYPT_TAG};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        if (cuts[i] > whole.len)
            continue;
        buf_reset(&back);
        assert_false(crypt_open(id, key, nonce, str_head(buf_view(&whole), whole.len - cuts[i]), &back));
        buf_reset(&back);
        whole.p[whole.len - cuts[i]] ^= 4;
        assert_false(crypt_open(id, key, nonce, buf_view(&whole), &back));
        whole.p[whole.len - cuts[i]] ^= 4;
    }
    buf_put(&whole, "0123456789abcdef", CRYPT_TAG);
    buf_reset(&back);
    assert_false(crypt_open(id, key, nonce, buf_view(&whole), &back));
    buf_release(&plain);
    buf_release(&whole);
    buf_release(&back);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 16383, 16384, 16385, 32768, 100000};
    for (int id = 0; id < CRYPT_IDS; id++)
        for (size_t i = 0; i < COUNT_OF(sizes); i++)
            round_trip((enum crypt_id)id, sizes[i]);
}

/* Fragments may not change places. */
static void test_swapped(void **state)
{
    (void)state;
    uint8_t key[CRYPT_KEY] = {7};
    struct buf plain, whole, swapped, back;
    buf_init(&plain, 1 << 20);
    buf_init(&whole, 1 << 20);
    buf_init(&swapped, 1 << 20);
    buf_init(&back, 1 << 20);
    for (size_t k = 0; k < 3 * CRYPT_FRAGMENT; k++)
        buf_char(&plain, 'x');
    crypt_seal(CRYPT_ARGON2_AES, key, nonce, buf_view(&plain), &whole);
    size_t one = CRYPT_FRAGMENT + CRYPT_TAG;
    buf_str(&swapped, str_n(whole.p + one, one));
    buf_str(&swapped, str_n(whole.p, one));
    buf_str(&swapped, str_n(whole.p + 2 * one, one));
    assert_false(crypt_open(CRYPT_ARGON2_AES, key, nonce, buf_view(&swapped), &back));
    buf_release(&plain);
    buf_release(&whole);
    buf_release(&swapped);
    buf_release(&back);
}

/* The text may be longer than the caller has room for. */
static void test_bounded(void **state)
{
    (void)state;
    uint8_t key[CRYPT_KEY] = {7};
    struct buf whole, back;
    buf_init(&whole, 4096);
    buf_init(&back, 10);
    crypt_seal(CRYPT_ARGON2_AES, key, nonce, SHORT, &whole);
    assert_false(crypt_open(CRYPT_ARGON2_AES, key, nonce, buf_view(&whole), &back));
    buf_release(&whole);
    buf_release(&back);
}

static void test_headers(void **state)
{
    (void)state;
    char bytes[CRYPT_HEADER + CRYPT_TAG] = {0};
    struct crypt_header h;
    struct buf out;
    buf_init(&out, 64);
    for (size_t n = 0; n < CRYPT_HEADER; n++) {
        struct str in = str_n(bytes, n);
        assert_false(crypt_take_header(&in, &h));
    }
    bytes[CRYPT_SALT] = CRYPT_IDS;
    struct str in = str_n(bytes, sizeof bytes);
    assert_false(crypt_take_header(&in, &h));
    bytes[CRYPT_SALT] = CRYPT_PBKDF2_AES;
    assert_true(crypt_take_header(&in, &h));
    assert_int_equal(in.n, CRYPT_TAG);
    assert_int_equal(h.id, CRYPT_PBKDF2_AES);
    /* no derivation for what is too short anyway */
    assert_int_equal(crypt_decrypt(PASSWORD, str_n(bytes, CRYPT_HEADER + CRYPT_TAG - 1), &out), CRYPT_BAD);
    buf_release(&out);
}

/* PBKDF2 against the same derivation by another implementation, and a whole body of our own. */
static void test_pbkdf2_and_own(void **state)
{
    (void)state;
    uint8_t key[CRYPT_KEY], want[CRYPT_KEY];
    struct buf in, out;
    assert_true(crypt_key(CRYPT_PBKDF2_AES, PASSWORD, salt, key));
    assert_true(hex_decode(STR("d91935347c5209c45d5649877ec300f8cb54cc6c49265db10b91ba98beead02d"), want,
                           sizeof want));
    assert_memory_equal(key, want, sizeof want);
    buf_init(&in, 1 << 20);
    buf_init(&out, 1 << 20);
    put_header(&in, CRYPT_PBKDF2_AES);
    crypt_seal(CRYPT_PBKDF2_AES, key, nonce, SHORT, &in);
    assert_int_equal(crypt_decrypt(PASSWORD, buf_view(&in), &out), CRYPT_OK);
    assert_true(str_eq(buf_view(&out), SHORT));
    buf_reset(&in);
    buf_reset(&out);
    assert_int_equal(crypt_encrypt(PASSWORD, SHORT, &in), CRYPT_OK);
    assert_int_equal(in.len, crypt_size(SHORT.n));
    assert_int_equal(crypt_decrypt(PASSWORD, buf_view(&in), &out), CRYPT_OK);
    assert_true(str_eq(buf_view(&out), SHORT));
    assert_int_equal(crypt_decrypt(STR("minioadmim"), buf_view(&in), &out), CRYPT_BAD);
    buf_release(&in);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_password), cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_long),           cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_swapped),        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_headers),        cmocka_unit_test(test_pbkdf2_and_own),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
