/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis' bytes: commands out and replies in without ever blocking, and the TLS handshake before them. hiredis writes,
 * reads and parses; the waiting is ours, because its own has no deadline for a peer that sends a byte now and then. */
#include "target/redis_impl.h"

#include <hiredis_ssl.h>
#include <openssl/err.h>
#include <poll.h>

#include "target/secure.h"

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
        if (written)
            meanwhile_do(&r->meanwhile);
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

bool redis_handshake(struct redis *r, const struct patience *p, struct err *e)
{
    const struct redis_conf *c = r->conf;
    const struct secure_settings s = {.host = r->address.host,
                                      .shown = r->address.shown,
                                      .ca_pem = c->common.ca_pem,
                                      .cert = c->client_cert,
                                      .key = c->client_key,
                                      .skip_verify = c->tls_skip_verify};
    SSL *ssl = secure_client(&s, e);
    if (!ssl)
        return false;
    if (redisInitiateSSL(r->c, ssl) != REDIS_OK) {
        secure_explain(ssl, &s, e);
        SSL_free(ssl);
        return false;
    }
    r->ssl = ssl; /* the connection's from here on */
    return secure_handshake(ssl, r->c->fd, &s, p, e);
}
