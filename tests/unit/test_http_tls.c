/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS: certificates made on the spot, SNI, ALPN, reload, bodies both ways, clients that go away. */
#include "http_rig.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/stat.h>

static struct rig rig;
static SSL_CTX *client_ctx;
static char dir[64];

static void path_in(char out[256], const char *sub, const char *name)
{
    (void)snprintf(out, 256, "%s/%s%s%s", dir, sub, *sub ? "/" : "", name);
}

static void write_pair(const char *sub, EVP_PKEY *key, X509 *cert)
{
    char path[256];
    path_in(path, sub, "private.key");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(f);
    path_in(path, sub, "public.crt");
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    (void)fclose(f);
}

/* A self-signed certificate for `host` in the folder `sub` ("": the default one). */
static void make_cert(const char *sub, const char *host)
{
    char text[128];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    (void)snprintf(text, sizeof text, "DNS:%s", host);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    write_pair(sub, key, cert);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static int setup(void **state)
{
    char path[256];
    (void)state;
    (void)snprintf(dir, sizeof dir, "%.30s/belfry-tls-XXXXXX", temp_dir());
    assert_non_null(mkdtemp(dir));
    make_cert("", "one.test");
    path_in(path, "", "two");
    assert_int_equal(mkdir(path, 0700), 0);
    make_cert("two", "two.test");
    path_in(path, "", "CAs");
    assert_int_equal(mkdir(path, 0700), 0);
    client_ctx = SSL_CTX_new(TLS_client_method());
    rig_open(&rig, (struct http_options){.certs_dir = dir});
    assert_true(http_is_tls(rig.server));
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"two/private.key", "two/public.crt", "two",        "CAs",
                                        "private.key",     "public.crt",     "public.old", ""};
    char path[256];
    (void)state;
    rig_close(&rig);
    SSL_CTX_free(client_ctx);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        path_in(path, "", files[i]);
        (void)remove(path);
    }
    return 0;
}

static struct client dial_tls(const char *name)
{
    struct client c = dial(&rig);
    c.ssl = SSL_new(client_ctx);
    assert_int_equal(SSL_set_fd(c.ssl, c.fd), 1);
    if (name)
        SSL_set_tlsext_host_name(c.ssl, name);
    assert_int_equal(SSL_connect(c.ssl), 1);
    return c;
}

static bool has_name(struct client *c, const char *host)
{
    X509 *cert = SSL_get1_peer_certificate(c->ssl);
    bool yes = X509_check_host(cert, host, 0, 0, NULL) == 1;
    X509_free(cert);
    return yes;
}

static void test_requests(void **state)
{
    (void)state;
    struct client c = dial_tls(NULL);
    for (int i = 0; i < 50; i++) {
        expect(&c, GET_HELLO, 200, "hello");
        expect(&c, STR("PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody"), 200, "body");
    }
    expect(&c, STR("GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 200, "hello");
    expect_end(&c);
    assert_int_equal(SSL_get_shutdown(c.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    hang_up(&c, false);
}

static void test_streams(void **state)
{
    (void)state;
    static const char *const forms[] = {"", "&chunked", "&file", "&file&chunked", "&slow"};
    struct client c = dial_tls(NULL);
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        char raw[200];
        int k =
            snprintf(raw, sizeof raw, "GET /stream?n=%zu%s HTTP/1.1\r\nHost: h\r\n\r\n", FILE_SIZE, forms[i]);
        say(&c, str_n(raw, (size_t)k));
        struct answer a = listen_to(&c, false);
        if (a.body.len != FILE_SIZE || !is_pattern(&a.body))
            fail_msg("%s: %zu bytes", forms[i], a.body.len);
        buf_release(&a.body);
    }
    hang_up(&c, false);
}

static void test_upload_with_pauses(void **state)
{
    (void)state;
    const size_t n = 4 << 20;
    struct client c = dial_tls(NULL);
    char *body = malloc(n);
    for (size_t i = 0; i < n; i++)
        body[i] = pattern(i);
    say(&c, STR("PUT /pause HTTP/1.1\r\nHost: h\r\nContent-Length: 4194304\r\n\r\n"));
    say(&c, str_n(body, n));
    expect(&c, STR(""), 200, "4194304 whole");
    free(body);
    hang_up(&c, false);
}

static void test_large_echo_while_pipelining(void **state)
{
    (void)state;
    const size_t n = 3 << 20;
    struct client c = dial_tls(NULL);
    struct buf b;
    buf_init(&b, 8 << 20);
    buf_puts(&b, "PUT /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3145728\r\n\r\n");
    for (size_t i = 0; i < n; i++)
        buf_char(&b, pattern(i));
    buf_str(&b, GET_HELLO);
    say(&c, buf_view(&b));
    struct answer a = listen_to(&c, false);
    assert_true(a.body.len == n && is_pattern(&a.body));
    expect(&c, STR(""), 200, "hello");
    buf_release(&a.body);
    buf_release(&b);
    hang_up(&c, false);
}

static void test_names_and_alpn(void **state)
{
    (void)state;
    struct client c = dial_tls("two.test");
    assert_true(has_name(&c, "two.test"));
    expect(&c, GET_HELLO, 200, "hello");
    hang_up(&c, false);
    c = dial_tls("unknown.test");
    assert_true(has_name(&c, "one.test"));
    hang_up(&c, false);
    const unsigned char *chosen;
    unsigned len;
    SSL_CTX_set_alpn_protos(client_ctx, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    c = dial_tls(NULL);
    SSL_get0_alpn_selected(c.ssl, &chosen, &len);
    assert_true(len == 8 && memcmp(chosen, "http/1.1", 8) == 0);
    hang_up(&c, false);
    SSL_CTX_set_alpn_protos(client_ctx, NULL, 0);
    SSL_CTX_set_max_proto_version(client_ctx, TLS1_1_VERSION);
    c = dial(&rig);
    c.ssl = SSL_new(client_ctx);
    SSL_set_fd(c.ssl, c.fd);
    assert_true(SSL_connect(c.ssl) <= 0);
    hang_up(&c, false);
}

static void test_session_ticket(void **state)
{
    (void)state;
    struct client c = dial_tls("one.test");
    expect(&c, GET_HELLO, 200, "hello"); /* the ticket has come with it */
    SSL_SESSION *s = SSL_get1_session(c.ssl);
    (void)SSL_shutdown(c.ssl); /* a session whose connection ended without it is not used again */
    hang_up(&c, false);
    c = dial(&rig);
    c.ssl = SSL_new(client_ctx);
    SSL_set_fd(c.ssl, c.fd);
    SSL_set_tlsext_host_name(c.ssl, "one.test");
    assert_int_equal(SSL_set_session(c.ssl, s), 1);
    assert_int_equal(SSL_connect(c.ssl), 1);
    assert_true(SSL_session_reused(c.ssl));
    expect(&c, GET_HELLO, 200, "hello");
    SSL_SESSION_free(s);
    hang_up(&c, false);
}

static void test_reload(void **state)
{
    (void)state;
    struct err e = {0};
    char path[256], old[256];
    struct client before = dial_tls(NULL);
    make_cert("", "three.test");
    assert_true(http_reload(rig.server, &e));
    struct client c = dial_tls(NULL);
    assert_true(has_name(&c, "three.test"));
    hang_up(&c, false);
    expect(&before, GET_HELLO, 200, "hello"); /* goes on with what it began with */
    hang_up(&before, false);
    path_in(path, "", "public.crt");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    (void)fputs("no certificate", f);
    (void)fclose(f);
    assert_false(http_reload(rig.server, &e));
    assert_non_null(strstr(e.text, "public.crt"));
    path_in(old, "", "public.old");
    assert_int_equal(rename(path, old), 0);
    assert_false(http_reload(rig.server, &e));
    c = dial_tls(NULL);
    assert_true(has_name(&c, "three.test"));
    expect(&c, GET_HELLO, 200, "hello");
    hang_up(&c, false);
}

static void test_bad_pair(void **state)
{
    (void)state;
    struct err e = {0};
    char path[256], other[256];
    path_in(path, "two", "private.key");
    path_in(other, "", "private.key");
    assert_int_equal(rename(other, path), 0); /* two's certificate with one's key, and one without a key */
    struct http_options o = {.address = "127.0.0.1:0", .certs_dir = dir};
    assert_null(http_open(&o, &rig.app, rig.work, &e));
    assert_non_null(strstr(e.text, "private.key is missing"));
    make_cert("", "one.test");
    assert_null(http_open(&o, &rig.app, rig.work, &e));
    assert_non_null(strstr(e.text, "two/private.key"));
}

static void test_plain_http_on_tls_port(void **state)
{
    (void)state;
    struct client c = dial(&rig);
    say(&c, GET_HELLO);
    struct answer a = listen_to(&c, false);
    assert_int_equal(a.status, 400);
    assert_true(str_find(buf_view(&a.body), STR("Client sent an HTTP request to an HTTPS server.")) >= 0);
    buf_release(&a.body);
    hang_up(&c, false);
    c = dial(&rig);
    say(&c, STR("\x16\x03\x01\x00\x05hello")); /* noise instead of a handshake */
    while (hear(&c) > 0)
        ;
    hang_up(&c, false);
    assert_int_equal(rig.heads, 0);
}

static void test_disconnects(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++) {
        struct client c = i % 3 ? dial_tls(NULL) : dial(&rig);
        if (c.ssl) {
            say(&c, i % 3 == 1 ? STR("GET /stream?n=3000000 HTTP/1.1\r\nHost: h\r\n\r\n")
                               : STR("PUT /pause HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf"));
            while (i % 3 == 1 && c.in.len < (size_t)i * 20000)
                assert_true(hear(&c) > 0);
        } else {
            say(&c, str_n("\x16\x03\x01\x02\x00\x01", (size_t)i % 7 % 6));
        }
        hang_up(&c, i % 2);
    }
    WAIT_FOR(stats_of(&rig).connections == 0 && stats_of(&rig).requests_in_flight == 0);
}

static void test_idle_memory(void **state)
{
    (void)state;
    enum { N = 400 };
    static struct client c[N];
    if (SANITIZED)
        skip();
    for (int i = 0; i < N; i++) {
        if (i == N / 2)
            *state = (void *)resident();
        c[i] = dial_tls(NULL);
        expect(&c[i], GET_HELLO, 200, "hello");
        buf_release(&c[i].in);
        SSL_free(c[i].ssl); /* our side of it must not be counted */
        c[i].ssl = NULL;
    }
    size_t each = (resident() - (size_t)*state) / (N / 2);
    print_message("an idle TLS connection takes %zu bytes\n", each);
    assert_true(each <= 40960);
    for (int i = 0; i < N; i++)
        hang_up(&c[i], false);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_requests),       T(test_streams),        T(test_upload_with_pauses),
        T(test_names_and_alpn), T(test_session_ticket), T(test_large_echo_while_pipelining),
        T(test_reload),         T(test_bad_pair),       T(test_plain_http_on_tls_port),
        T(test_disconnects),    T(test_idle_memory),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* the client's own SSL_write */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
