/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens for metrics: made here with the library, taken and refused. */
#include "unit.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "admin/token.h"
#include "base/encode.h"

#define NOW    1700000000
#define ACCESS STR("itestroot")
#define SECRET STR("itest-secret-1")
#define HEADER "{\"alg\":\"HS512\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"exp\":1700000100,\"sub\":\"itestroot\",\"iss\":\"prometheus\"}"

static void put_base64url(struct buf *out, struct str in)
{
    struct buf b;
    buf_init(&b, 16384);
    base64_encode(&b, in);
    for (size_t i = 0; i < b.len && b.p[i] != '='; i++)
        buf_char(out, b.p[i] == '+' ? '-' : b.p[i] == '/' ? '_' : b.p[i]);
    buf_release(&b);
}

static void make(struct buf *out, const char *header, const char *claims, struct str secret, const EVP_MD *md)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    put_base64url(out, str_c(header));
    buf_char(out, '.');
    put_base64url(out, str_c(claims));
    if (md)
        assert_non_null(HMAC(md, secret.p, (int)secret.n, (unsigned char *)out->p, out->len, mac, &n));
    buf_char(out, '.');
    put_base64url(out, str_n(mac, n));
}

static bool taken(const char *header, const char *claims, struct str secret, const EVP_MD *md)
{
    struct buf b;
    buf_init(&b, 65536);
    make(&b, header, claims, secret, md);
    bool ok = token_ok(buf_view(&b), ACCESS, SECRET, NOW);
    buf_release(&b);
    return ok;
}

static void test_claims(void **state)
{
    (void)state;
    static const struct {
        const char *header, *claims;
        bool ok;
    } cases[] = {
        {HEADER, CLAIMS, true},
        {"{\"alg\":\"HS512\"}", CLAIMS, true},
        {HEADER, "{\"exp\":1.7e12,\"sub\":\"itestroot\",\"iss\":\"prometheus\",\"iat\":1}", true},
        {HEADER, "{\"exp\":1700000100,\"nbf\":1700000000,\"sub\":\"itestroot\",\"iss\":\"prometheus\"}",
         true},
        {HEADER, "{\"exp\":1700000100,\"nbf\":1700000001,\"sub\":\"itestroot\",\"iss\":\"prometheus\"}",
         false},
        {HEADER, "{\"exp\":1700000000,\"sub\":\"itestroot\",\"iss\":\"prometheus\"}", false},
        {HEADER, "{\"exp\":\"1700000100\",\"sub\":\"itestroot\",\"iss\":\"prometheus\"}", false},
        {HEADER, "{\"sub\":\"itestroot\",\"iss\":\"prometheus\"}", false},
        {HEADER, "{\"exp\":1700000100,\"sub\":\"other\",\"iss\":\"prometheus\"}", false},
        {HEADER, "{\"exp\":1700000100,\"sub\":\"itestroot\\u0000\",\"iss\":\"prometheus\"}", false},
        {HEADER, "{\"exp\":1700000100,\"iss\":\"prometheus\"}", false},
        {HEADER, "{\"exp\":1700000100,\"sub\":\"itestroot\",\"iss\":\"minio\"}", false},
        {HEADER, "{\"exp\":1700000100,\"sub\":\"itestroot\"}", false},
        {HEADER, "{\"exp\":1,\"exp\":1700000100,\"sub\":\"itestroot\",\"iss\":\"prometheus\"}", false},
        {HEADER, "[1]", false},
        {HEADER, "", false},
        {HEADER, CLAIMS "x", false},
        {"{\"alg\":\"HS256\"}", CLAIMS, false},
        {"{\"alg\":\"hs512\"}", CLAIMS, false},
        {"{\"alg\":\"none\"}", CLAIMS, false},
        {"{\"alg\":[\"HS512\"]}", CLAIMS, false},
        {"{\"alg\":\"HS512\",\"crit\":[\"b64\"],\"b64\":false}", CLAIMS, false},
        {"{}", CLAIMS, false},
        {"x", CLAIMS, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (taken(cases[i].header, cases[i].claims, SECRET, EVP_sha512()) != cases[i].ok)
            fail_msg("%s %s", cases[i].header, cases[i].claims);
}

/* What the header names does not choose how the signature is checked. */
static void test_signatures(void **state)
{
    (void)state;
    assert_true(taken(HEADER, CLAIMS, SECRET, EVP_sha512()));
    assert_false(taken(HEADER, CLAIMS, STR("itest-secret-2"), EVP_sha512()));
    assert_false(taken(HEADER, CLAIMS, STR(""), EVP_sha512()));
    assert_false(taken(HEADER, CLAIMS, SECRET, EVP_sha256()));
    assert_false(taken("{\"alg\":\"HS256\"}", CLAIMS, SECRET, EVP_sha256()));
    assert_false(taken(HEADER, CLAIMS, SECRET, NULL));
    assert_false(taken("{\"alg\":\"none\"}", CLAIMS, SECRET, NULL));
}

static void test_forms(void **state)
{
    (void)state;
    static const char *const bad[] = {"",    ".",     "..",      "...",   "a",
                                      "a.b", "a.b.c", "a.b.c.d", "=.=.=", "e30.e30.e30"};
    struct buf b;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(token_ok(str_c(bad[i]), ACCESS, SECRET, NOW));
    buf_init(&b, 65536);
    make(&b, HEADER, CLAIMS, SECRET, EVP_sha512());
    for (size_t n = 0; n < b.len; n++)
        assert_false(token_ok(str_head(buf_view(&b), n), ACCESS, SECRET, NOW));
    buf_char(&b, '.');
    assert_false(token_ok(buf_view(&b), ACCESS, SECRET, NOW));
    b.len--;
    buf_char(&b, '=');
    assert_false(token_ok(buf_view(&b), ACCESS, SECRET, NOW));
    while (b.len <= TOKEN_MAX)
        buf_char(&b, 'A');
    assert_false(token_ok(buf_view(&b), ACCESS, SECRET, NOW));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_signatures),
        cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
