/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings of TLS towards a receiver, its handshake within a deadline, and what its failures mean. */
#include "target/secure.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>

/* A key with a passphrase fails instead of asking for it on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown error";
}

static bool trust(SSL_CTX *ctx, const struct secure_settings *s, struct err *e)
{
    (void)SSL_CTX_set_default_verify_paths(ctx);
    BIO *bio = s->ca_pem.n > 0 ? BIO_new_mem_buf(s->ca_pem.p, (int)s->ca_pem.n) : NULL;
    for (X509 *x; bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL));) {
        (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
        X509_free(x);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (s->ca_file && s->ca_file[0] && SSL_CTX_load_verify_file(ctx, s->ca_file) != 1)
        return err_set(e, "the CA certificate %s cannot be used: %s", s->ca_file, reason());
    return true;
}

static bool identify(SSL_CTX *ctx, const struct secure_settings *s, struct err *e)
{
    if (!s->cert || !s->cert[0])
        return true;
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, s->cert) != 1)
        return err_set(e, "client_cert %s cannot be used: %s", s->cert, reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, s->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return err_set(e, "client_key %s cannot be used: %s", s->key, reason());
    return true;
}

/* The certificate has to be for this host: without it any certificate of a trusted CA would do. */
static bool expect_host(SSL *ssl, const char *host)
{
    struct in6_addr any;
    if (inet_pton(AF_INET, host, &any) == 1 || inet_pton(AF_INET6, host, &any) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

SSL *secure_client(const struct secure_settings *s, struct err *e)
{
    SSL *ssl = NULL;
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        (void)err_set(e, "TLS cannot be set up: %s", reason());
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_verify(ctx, s->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if ((s->skip_verify || trust(ctx, s, e)) && identify(ctx, s, e) && (ssl = SSL_new(ctx)) &&
        !expect_host(ssl, s->host)) {
        (void)err_set(e, "TLS cannot be set up: %s", reason());
        SSL_free(ssl);
        ssl = NULL;
    }
    SSL_CTX_free(ctx); /* ssl keeps it */
    return ssl;
}

void secure_explain(const SSL *ssl, const struct secure_settings *s, struct err *e)
{
    long verdict = s->skip_verify ? X509_V_OK : SSL_get_verify_result(ssl);
    if (verdict == X509_V_ERR_HOSTNAME_MISMATCH)
        (void)err_set(e, "%s: its certificate does not name this host", s->shown);
    else if (verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        (void)err_set(e, "%s: its certificate does not name this address", s->shown);
    else if (verdict != X509_V_OK)
        (void)err_set(
            e, "%s: its certificate is not trusted: %s; put the certificate of its CA into certs-dir/CAs",
            s->shown, X509_verify_cert_error_string(verdict));
    else if (ERR_peek_last_error())
        (void)err_set(e, "%s: no TLS with it: %s", s->shown, reason());
    else
        (void)err_set(e, "%s: it closed the connection within the TLS handshake: does this port expect TLS?",
                      s->shown);
}

bool secure_handshake(SSL *ssl, int fd, const struct secure_settings *s, const struct patience *p,
                      struct err *e)
{
    for (;;) {
        ERR_clear_error(); /* what others left on this thread would be taken for this connection's */
        int rc = SSL_connect(ssl), error = SSL_get_error(ssl, rc);
        if (rc == 1)
            return true;
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            secure_explain(ssl, s, e);
            return false;
        }
        if (!patience_poll(p, fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
            return err_set(e, "%s: no answer in time to the TLS handshake: does this port expect TLS?",
                           s->shown);
    }
}
