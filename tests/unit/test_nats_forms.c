/* SPDX-License-Identifier: Apache-2.0
 *
 * What of NATS was laid down elsewhere: NKeys, what they sign, files of credentials; NATS Streaming's messages. Held against
 * what others make of the same: nkeys (Go and Python), openssl, and Google's protobuf by stan.go's protocol.proto. */
#include "unit.h"

#include "target/nats.h"

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* The first is of an example of the NATS documentation, signed by openssl (pkeyutl -rawin); the others are seeds of a hash,
 * their keys and signatures by Python's nkeys. */
#define SEED "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"
#define KEY  "UAT6BWCSCWLUKJT6K6MBJJOEOTXZ5AJDOYKNEVRFC7VNO6OA43N4TRNO"
static const struct {
    const char *seed, *key, *nonce, *sig;
} vectors[] = {
    {SEED, KEY, "PXoWU7zWAMt75FY",
     "W9Q3AUeNqiKcqNdN07ZVd-tL_0IpkfAQfGXwYomWhkWl_gg0uUSWADZlvnHUb7QemDC4JtxciGodAYand34uCw"},
    {"SUAMS66MDWLNUEF65VFUJXLDKUXAUEIGXIHQUR6HAE7GNKYFGO7MPSZ7R4",
     "UC5HFOLNALJWJZPNXBL3GBOAVVJ3JJ6TOFKV2A2MJXQZ5PGHE2AHY7QR", "",
     "WPItONvWE6nHDDeZGCSOrkkL205-CbPFe4G7hJM9LAPpS6_i7asgCMTGv-Mzbc1v_tnD2SvOuJFF7JjbSUvlCg"},
    {"SUAKWHUFXRCHZAM6KXB4XQ4KYLQ23DXDBOFVNSKILENM365VKRPNVXAM6Q",
     "UBPKC7L3NT7KBW3LD7ZPC4VNDLQKAKZ7WIDXMF4VCNBTPT7RTRQWMM4A", "PXoWU7zWAMt75FY",
     "IpqUQxysRur4VM5-3lcxvWqpyEf4gEh6yjN5CYe2yNsepGbb5SjRVc2BxivV2G2tBV4EjV3OGgVmG8iT_ZphCA"},
    {"SUAKMC7ZB26W65H7BNWFTXWME6VLMFUSHVUGMHXZPCTM7NFBV2GW3NIZLM",
     "UCH4Q2BQK4PZZ5XBXOKG2ZZD6MZN77R2QKKZTNOFLZ6QEL3ZZWX4BS3E", "abcdefghijklmnop",
     "SMegK7TZMHjiP5cUE36rrhZ6QMAwNnPx6-RHuPh8O-KAOZzw4sHUvC_2YAaM5CInXL1kf0hbznCLIFx1dlXoCw"},
    {"SUAE2OOQWDFTXI2NTDCUJQDZOYHAIQZBPAJMM3IVPTWZOUPPFXWPILHZKQ",
     "UCCLGD5P2MMQI7ZT6FNF4OYS3SXPGCDBOS7P6CKGZBDZCAMCMMT3KSDW",
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "p0yMvwuAqQMg5Udv11835cVmJWgiwPKC9mBQLemKjbtdOztlZ-cWD0JGspER-hbgWcVxGip9m1s-T4hV7rLoCQ"},
};

static void test_vectors(void **state)
{
    (void)state;
    char key[NATS_KEY_MAX], sig[NATS_SIG_MAX];
    struct err e;
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        assert_true(nats_public_key(str_c(vectors[i].seed), key, "nkey_seed", &e));
        assert_string_equal(key, vectors[i].key);
        assert_true(nats_sign(str_c(vectors[i].seed), str_c(vectors[i].nonce), sig, "nkey_seed", &e));
        assert_string_equal(sig, vectors[i].sig);
    }
}

static void test_files_of_seeds(void **state)
{
    (void)state;
    static const char *const good[] = {SEED, SEED "\n", "# mine\r\n  " SEED "\r\nmore"};
    static const char *const bad[] = {"",
                                      KEY,
                                      "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GYA",
                                      "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GA",
                                      "SUAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4",
                                      "SAAMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY",
                                      "SU1MK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY",
                                      "SUBMK2FG4MI6UE3ACF3FK3OIQBCEIEZV7NSWFFEW63UXMRLFM2XLAXK4GY"};
    char key[NATS_KEY_MAX], sig[NATS_SIG_MAX];
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(nats_public_key(str_c(good[i]), key, "nkey_seed", &e));
        assert_string_equal(key, KEY);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        e = (struct err){0};
        if (nats_public_key(str_c(bad[i]), key, "nkey_seed", &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_null(strstr(e.text, "MK2FG4"));
        e = (struct err){0};
        assert_false(nats_sign(str_c(bad[i]), STR("nonce"), sig, "user_credentials", &e));
        assert_non_null(strstr(e.text, "user_credentials names a file without the seed"));
        assert_null(strstr(e.text, "MK2FG4"));
    }
}

static void test_credentials(void **state)
{
    (void)state;
    static const struct {
        const char *text, *jwt;
    } cases[] = {
        {"-----BEGIN NATS USER JWT-----\neyJ0.eyJq.sig\n------END NATS USER JWT------\n", "eyJ0.eyJq.sig"},
        {"x\r\n-----BEGIN NATS USER JWT-----\r\n a.b.c \r\n", "a.b.c"},
        {"-----BEGIN NATS USER JWT-----", ""},
        {"BEGIN NATS USER JWT\na.b.c\n", ""},
        {"-----BEGIN USER NKEY SEED-----\nSU\n-----BEGIN NATS USER JWT-----\na.b.c\n", "a.b.c"},
        {"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_true(str_eq_c(nats_find_jwt(str_c(cases[i].text)), cases[i].jwt));
}

/* --- NATS Streaming ----------------------------------------------------------------------------------------------- */

static void put_all(struct buf *b, const struct stan_session *s, size_t which)
{
    static char data[300];
    memset(data, 'x', sizeof(data));
    switch (which) {
    case 0:
        stan_put_connect(b, s, "_INBOX.x.h");
        break;
    case 1:
        stan_put_message(b, s, STR("5-12"), STR("events"), STR("data"));
        break;
    case 2:
        stan_put_message(b, s, STR("5-12"), STR("events"), str_n(data, sizeof(data)));
        break;
    case 3:
        stan_put_ping(b, s);
        break;
    default:
        stan_put_close(b, s);
    }
}

static void test_what_we_say(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *end;
        size_t n;
    } cases[] = {
        {"\012\010belfry-1\022\012_INBOX.x.h\030\001\042\002c0(\0050\003", "", 32},
        {"\012\010belfry-1\022\0045-12\032\006events*\004data2\002c0", "", 34},
        {"\012\010belfry-1\022\0045-12\032\006events*\254\002xxx", "xxx2\002c0", 331},
        {"\012\002c0", "", 4},
        {"\012\010belfry-1", "", 10},
    };
    const struct stan_session s = {.client = "belfry-1", .conn = "c0"};
    struct buf b;
    buf_init(&b, 1024);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_reset(&b);
        put_all(&b, &s, i);
        struct str all = buf_view(&b);
        assert_int_equal(all.n, cases[i].n);
        assert_true(str_starts(all, str_c(cases[i].begin)));
        assert_true(str_eq_c(str_from(all, all.n - strlen(cases[i].end)), cases[i].end));
    }
    buf_release(&b);
}

#define B(text) \
    { \
        (text), sizeof(text) - 1 \
    }

static void test_joined(void **state)
{
    (void)state;
    static const struct {
        struct str body;
        const char *publish, *close, *ping, *error; /* publish NULL: it is none */
    } cases[] = {
        {B("\012\013_STAN.pub.X\022\013_STAN.sub.X\032\015_STAN.unsub.X\042\015_STAN.close.X2\020_STAN."
           "subclose.X"
           ":\014_STAN.ping.X@\005H\003P\001\242\006\001k"),
         "_STAN.pub.X", "_STAN.close.X", "_STAN.ping.X", ""},
        {B("*!stan: clientID already registered"), "", "", "", "stan: clientID already registered"},
        {B("\012\001p"), "p", "", "", ""},
        {B("\012\001p\012\001q"), "q", "", "", ""},         /* the last one counts */
        {B(":\001i\042\001c\012\001p"), "p", "c", "i", ""}, /* in any order */
        /* of every kind, in fields that are none of ours: a number, 8 bytes, text, 4 bytes */
        {B("X\377\377\377\377\377\377\377\377\377\001aABCDEFGHj\003xyzmABCD\012\001p"), "p", "", "", ""},
        {B(""), NULL, NULL, NULL, NULL}, /* no subject to publish to */
        {B("\012\000"), NULL, NULL, NULL, NULL},
        {B("\010\001"), NULL, NULL, NULL, NULL},                                      /* a number instead */
        {B("\012\001p\012"), NULL, NULL, NULL, NULL},                                 /* cut short */
        {B("\012\002p"), NULL, NULL, NULL, NULL},                                     /* longer than it is */
        {B("\012\377\377\377\377\377\377\377\377\377\001p"), NULL, NULL, NULL, NULL}, /* much longer */
        {B("\012\001pX\377"), NULL, NULL, NULL, NULL},
        {B("\012\001paABCDEFG"), NULL, NULL, NULL, NULL},
        {B("\012\001pmABC"), NULL, NULL, NULL, NULL},
        {B("\012\001p\013"), NULL, NULL, NULL, NULL}, /* kinds that there are no more */
        {B("\012\001p\014"), NULL, NULL, NULL, NULL},
        {B("\012\001p\016"), NULL, NULL, NULL, NULL},
        {B("\012\001pX\377\377\377\377\377\377\377\377\377\377\001"), NULL, NULL, NULL,
         NULL}, /* beyond 64 bits */
        /* would be commands of the protocol */
        {B("\012\003p\015\012"), NULL, NULL, NULL, NULL},
        {B("\012\003p q"), NULL, NULL, NULL, NULL},
        {B("\012\001p\042\003p q"), NULL, NULL, NULL, NULL},
        {B("\012\001p:\003p\011q"), NULL, NULL, NULL, NULL},
        {B("\012\002p\000"), NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct stan_session s = {.client = "me"};
        struct str error;
        if (stan_read_connect(cases[i].body, &s, &error) != !!cases[i].publish)
            fail_msg("case %zu", i);
        if (!cases[i].publish)
            continue;
        assert_true(str_eq_c(error, cases[i].error));
        assert_string_equal(s.publish, cases[i].publish);
        assert_string_equal(s.close, cases[i].close);
        assert_string_equal(s.ping, cases[i].ping);
    }
}

/* A subject as long as there is room for, and one byte more. */
static void test_long_subjects(void **state)
{
    (void)state;
    struct stan_session s;
    struct str error;
    struct buf b;
    buf_init(&b, 1024);
    for (size_t n = STAN_NAME_MAX - 1; n <= STAN_NAME_MAX; n++) {
        buf_reset(&b);
        buf_char(&b, '\012');
        buf_varint(&b, n);
        for (size_t i = 0; i < n; i++)
            buf_char(&b, 'p');
        assert_true(stan_read_connect(buf_view(&b), &s, &error) == (n < STAN_NAME_MAX));
    }
    buf_release(&b);
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        struct str body;
        const char *guid, *error; /* of an ack; guid NULL: it is none */
        const char *gone;         /* of an answer to a ping; NULL: it is none */
    } cases[] = {
        {B("\012\0045-12"), "5-12", "", "5-12"},
        {B("\012\0045-12\022\035stan: invalid publish request"), "5-12", "stan: invalid publish request",
         "5-12"},
        {B("\0123client has been replaced or is no longer registered"),
         "client has been replaced or is no longer registered", "",
         "client has been replaced or is no longer registered"},
        {B(""), NULL, NULL, ""},
        {B("\022\001e"), NULL, NULL, ""},
        {B("\012\0055-12"), NULL, NULL, NULL},
        {B("\013"), NULL, NULL, NULL},
        {B("\012"), NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str guid, error;
        if (stan_read_ack(cases[i].body, &guid, &error) != !!cases[i].guid)
            fail_msg("ack %zu", i);
        if (cases[i].guid)
            assert_true(str_eq_c(guid, cases[i].guid) && str_eq_c(error, cases[i].error));
        if (stan_read_pong(cases[i].body, &error) != !!cases[i].gone)
            fail_msg("pong %zu", i);
        if (cases[i].gone)
            assert_true(str_eq_c(error, cases[i].gone));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_files_of_seeds),
        cmocka_unit_test(test_credentials), cmocka_unit_test(test_what_we_say),
        cmocka_unit_test(test_joined),      cmocka_unit_test(test_long_subjects),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
