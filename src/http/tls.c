/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS by OpenSSL: certificates of a folder (the default one, and one sub-folder per further certificate, chosen by
 * SNI), and the bytes of a connection. A reload makes a new store; connections keep the one they began with. */
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "http/conn.h"

#define CERTS_MAX 1024

struct tls_store {
    _Atomic unsigned refs;
    SSL_CTX **ctx; /* the first one is the default */
    size_t n;
};

struct tls_store *tls_ref(struct tls_store *t)
{
    if (t)
        atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tls_unref(struct tls_store *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->n; i++)
        SSL_CTX_free(t->ctx[i]);
    free(t->ctx);
    free(t);
}

static bool openssl_error(struct err *e, const char *what, const char *path)
{
    char text[200] = "unknown error";
    unsigned long code = ERR_get_error();
    if (code)
        ERR_error_string_n(code, text, sizeof(text));
    ERR_clear_error();
    return err_set(e, "%s \"%s\": %s", what, path, text);
}

static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out, (void)size, (void)writing, (void)arg;
    return 0; /* an encrypted key is an error, not a question on the terminal */
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in,
                   unsigned in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)arg;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, ours, sizeof(ours) - 1, in, in_n) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
    return SSL_TLSEXT_ERR_OK;
}

/* The first certificate that names the server the client asked for; else the default stays. */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    struct tls_store *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    for (size_t i = 0; name && i < t->n; i++) {
        X509 *cert = SSL_CTX_get0_certificate(t->ctx[i]);
        if (X509_check_host(cert, name, 0, 0, NULL) == 1) {
            if (i > 0)
                (void)SSL_set_SSL_CTX(ssl, t->ctx[i]);
            break;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *new_ctx(void)
{
    static const unsigned char session_id[] = "belfry";
    SSL_CTX *c = SSL_CTX_new(TLS_server_method());
    BUG_ON(!c);
    (void)SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Sessions live in tickets, at the client: nothing is kept here. */
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(c, session_id, sizeof(session_id) - 1);
    (void)SSL_CTX_set_num_tickets(c, 1);
    (void)SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM");
    SSL_CTX_set_default_passwd_cb(c, no_passphrase);
    SSL_CTX_set_alpn_select_cb(c, on_alpn, NULL);
    return c;
}

static bool is_file(const char *dir, const char *name, char path[4096])
{
    struct stat st;
    (void)snprintf(path, 4096, "%s/%s", dir, name);
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The pair in `dir`: *out stays NULL when neither file is there. */
static bool load_pair(const char *dir, SSL_CTX **out, struct err *e)
{
    char cert[4096], key[4096];
    bool has_cert = is_file(dir, "public.crt", cert), has_key = is_file(dir, "private.key", key);
    *out = NULL;
    if (!has_cert && !has_key)
        return true;
    if (!has_cert || !has_key)
        return err_set(e, "certificates in \"%s\": %s is missing", dir,
                       has_cert ? "private.key" : "public.crt");
    SSL_CTX *c = new_ctx();
    bool ok = true;
    if (SSL_CTX_use_certificate_chain_file(c, cert) != 1)
        ok = openssl_error(e, "cannot read certificate", cert);
    else if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
        ok = openssl_error(e, "cannot read private key, or it is not the certificate's,", key);
    else if (SSL_CTX_check_private_key(c) != 1)
        ok = openssl_error(e, "private key is not that of the certificate:", key);
    if (ok)
        *out = c;
    else
        SSL_CTX_free(c);
    return ok;
}

static void add_ctx(struct tls_store *t, SSL_CTX *c)
{
    if (!c)
        return;
    t->ctx = x_realloc(t->ctx, (t->n + 1) * sizeof(SSL_CTX *));
    t->ctx[t->n++] = c;
    SSL_CTX_set_tlsext_servername_callback(c, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(c, t);
}

static bool load_subfolders(struct tls_store *t, const char *dir, struct err *e)
{
    struct dirent **names = NULL;
    bool ok = true;
    int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        SSL_CTX *c = NULL;
        const char *name = names[i]->d_name;
        /* "CAs" are trusted roots of others; a leading dot is a mounted secret's bookkeeping. */
        if (ok && name[0] != '.' && strcmp(name, "CAs") != 0 && t->n < CERTS_MAX) {
            (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
            ok = load_pair(path, &c, e);
            add_ctx(t, c);
        }
        free(names[i]);
    }
    free(names);
    return ok;
}

bool tls_load(const char *dir, struct tls_store **out, struct err *e)
{
    SSL_CTX *first;
    *out = NULL;
    if (!load_pair(dir, &first, e))
        return false;
    if (!first)
        return true;
    struct tls_store *t = x_calloc(1, sizeof(*t));
    atomic_init(&t->refs, 1);
    add_ctx(t, first);
    if (!load_subfolders(t, dir, e)) {
        tls_unref(t);
        return false;
    }
    *out = t;
    return true;
}

/* What an OpenSSL call that did not succeed wants. */
static int outcome(struct http_conn *c, int result)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        c->tls_wants = UV_READABLE;
        return TLS_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        c->tls_wants = UV_WRITABLE;
        return TLS_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        c->broken = true;
        ERR_clear_error();
        return TLS_FAILED;
    }
}

int tls_handshake(struct http_conn *c)
{
    if (!c->ssl) {
        char first;
        ssize_t n = recv(c->fd, &first, 1, MSG_PEEK);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return TLS_AGAIN;
        if (n <= 0)
            return TLS_FAILED;
        if (first >= 'A' && first <= 'Z')
            return TLS_NOT_TLS;
        c->ssl = SSL_new(c->tls->ctx[0]);
        BUG_ON(!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1);
        SSL_set_accept_state(c->ssl);
    }
    c->tls_wants = 0;
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl);
    if (r == 1)
        return 1;
    r = outcome(c, r);
    return r == 0 ? TLS_FAILED : r;
}

ssize_t tls_read(struct http_conn *c, void *p, size_t n)
{
    c->tls_wants = 0;
    ERR_clear_error();
    int r = SSL_read(c->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
    if (r > 0)
        return r;
    r = outcome(c, r);
    if (c->tls_wants == UV_READABLE)
        c->tls_wants = 0; /* reading is armed as for any connection */
    return r;
}

ssize_t tls_write(struct http_conn *c, const void *p, size_t n)
{
    c->tls_wants = 0;
    ERR_clear_error();
    int r = SSL_write(c->ssl, p, n > INT32_MAX ? INT32_MAX : (int)n);
    if (r > 0)
        return r;
    r = outcome(c, r);
    if (c->tls_wants == UV_WRITABLE)
        c->tls_wants = 0; /* writing is armed while bytes are queued */
    return r == 0 ? TLS_FAILED : r;
}

void tls_end(struct http_conn *c, bool polite)
{
    if (!c->ssl)
        return;
    ERR_clear_error();
    if (polite && !c->broken)
        (void)SSL_shutdown(c->ssl); /* close_notify: the peer can tell an end from a cut */
    ERR_clear_error();
    SSL_free(c->ssl);
    c->ssl = NULL;
    c->tls_wants = 0;
}
