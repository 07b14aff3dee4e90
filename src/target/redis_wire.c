/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis' bytes: commands out and replies in without ever blocking, and the TLS handshake before them. hiredis writes,
 * reads and parses; the waiting is ours, because its own has no deadline for a peer that sends a byte now and then. */
#include "target/redis_impl.h"

#include <arpa/inet.h>
#include <hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>

/* --- commands and replies ----------------------------------------------------------------------------------------- */

static bool lost(struct redis *r, struct err *e)
{
    const redisContext *c = r->c;
    unsigned long tls = r->ssl ? ERR_peek_last_error() : 0;
    const char *text = c->errstr;
    r->cut = true;
    if (c->err == REDIS_ERR_EOF)
        text = "it closed the connection";
    else if (c->err == REDIS_ERR_PROTOCOL)
        text = "it does not answer as Redis does";
    else if (tls && ERR_reason_error_string(tls))
        text = ERR_reason_error_string(tls);
    return err_set(e, "%s: %s", r->address.shown, text);
}

/* Takes what has come as replies. False: it is none. */
static bool take_replies(struct redis *r, unsigned n, redisReply **replies, unsigned *got, struct err *e)
{
    while (*got < n) {
        void *reply = NULL;
        if (redisGetReplyFromReader(r->c, &reply) != REDIS_OK)
            return lost(r, e);
        if (!reply)
            break;
        replies[(*got)++] = reply;
    }
    if (r->c->reader->len - r->c->reader->pos > REDIS_REPLY_MAX)
        return err_set(e, "%s: an answer of more than %u bytes", r->address.shown, REDIS_REPLY_MAX);
    return true;
}

static bool exchange(struct redis *r, unsigned n, redisReply **replies, const struct patience *p,
                     struct err *e)
{
    int written = 0;
    unsigned got = 0;
    ERR_clear_error(); /* what others left on this thread would be taken for this connection's */
    for (;;) {
        if (!written && redisBufferWrite(r->c, &written) != REDIS_OK)
            return lost(r, e);
        if (!take_replies(r, n, replies, &got, e))
            return false;
        if (got == n)
            return written || err_set(e, "%s: it answers before it has the whole command", r->address.shown);
        /* Bytes that OpenSSL has taken off the socket are not seen by poll. */
        if (!(r->ssl && SSL_pending(r->ssl) > 0) &&
            !patience_poll(p, r->c->fd, (short)(POLLIN | (written ? 0 : POLLOUT))))
            return err_set(e, "%s: no answer in time", r->address.shown);
        if (redisBufferRead(r->c) != REDIS_OK)
            return lost(r, e);
    }
}

bool redis_exchange(struct redis *r, unsigned n, redisReply **replies, const struct patience *p,
                    struct err *e)
{
    for (unsigned i = 0; i < n; i++)
        replies[i] = NULL;
    if (exchange(r, n, replies, p, e))
        return true;
    redis_disconnect(r);
    return false;
}

bool redis_quiet(struct redis *r, struct err *e)
{
    ERR_clear_error();
    bool ok = redisBufferRead(r->c) == REDIS_OK || lost(r, e);
    if (ok && r->c->reader->len > r->c->reader->pos)
        ok = err_set(e, "%s: it sends what nobody asked for", r->address.shown);
    if (!ok)
        redis_disconnect(r);
    return ok;
}

/* --- TLS ---------------------------------------------------------------------------------------------------------- */

/* A key with a passphrase fails instead of asking for it on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static void trust(SSL_CTX *ctx, struct str pem)
{
    (void)SSL_CTX_set_default_verify_paths(ctx);
    BIO *bio = pem.n > 0 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    for (X509 *x; bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL));) {
        (void)X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x);
        X509_free(x);
    }
    BIO_free(bio);
    ERR_clear_error();
}

static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown error";
}

static bool identify(SSL_CTX *ctx, const struct redis_conf *conf, struct err *e)
{
    if (!conf->client_cert[0])
        return true;
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    if (SSL_CTX_use_certificate_chain_file(ctx, conf->client_cert) != 1)
        return err_set(e, "client_cert %s cannot be used: %s", conf->client_cert, reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, conf->client_key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1)
        return err_set(e, "client_key %s cannot be used: %s", conf->client_key, reason());
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

static SSL *prepare(const struct redis *r, struct err *e)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = NULL;
    if (!ctx) {
        (void)err_set(e, "TLS cannot be set up: %s", reason());
        return NULL;
    }
    (void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    if (!r->conf->tls_skip_verify)
        trust(ctx, r->conf->common.ca_pem);
    SSL_CTX_set_verify(ctx, r->conf->tls_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    if (identify(ctx, r->conf, e) && (ssl = SSL_new(ctx)) && !expect_host(ssl, r->address.host)) {
        (void)err_set(e, "TLS cannot be set up: %s", reason());
        SSL_free(ssl);
        ssl = NULL;
    }
    SSL_CTX_free(ctx); /* ssl keeps it */
    return ssl;
}

static void explain_handshake(const struct redis *r, const SSL *ssl, struct err *e)
{
    long verdict = SSL_get_verify_result(ssl);
    if (!r->conf->tls_skip_verify && verdict == X509_V_ERR_HOSTNAME_MISMATCH)
        (void)err_set(e, "%s: its certificate does not name this host", r->address.shown);
    else if (!r->conf->tls_skip_verify && verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
        (void)err_set(e, "%s: its certificate does not name this address", r->address.shown);
    else if (!r->conf->tls_skip_verify && verdict != X509_V_OK)
        (void)err_set(
            e, "%s: its certificate is not trusted: %s; put the certificate of its CA into certs-dir/CAs",
            r->address.shown, X509_verify_cert_error_string(verdict));
    else if (ERR_peek_last_error())
        (void)err_set(e, "%s: no TLS with it: %s", r->address.shown, reason());
    else
        (void)err_set(e, "%s: it closed the connection within the TLS handshake", r->address.shown);
}

bool redis_handshake(struct redis *r, const struct patience *p, struct err *e)
{
    ERR_clear_error();
    SSL *ssl = prepare(r, e);
    if (!ssl)
        return false;
    if (redisInitiateSSL(r->c, ssl) != REDIS_OK) {
        explain_handshake(r, ssl, e);
        SSL_free(ssl);
        return false;
    }
    r->ssl = ssl; /* the connection's from here on */
    for (;;) {
        ERR_clear_error();
        int rc = SSL_connect(ssl), error = SSL_get_error(ssl, rc);
        if (rc == 1)
            return true;
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            explain_handshake(r, ssl, e);
            return false;
        }
        if (!patience_poll(p, r->c->fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT))
            return err_set(e, "%s: no answer in time to the TLS handshake", r->address.shown);
    }
}
