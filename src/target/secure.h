/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS towards a receiver, for targets that read and write their connection themselves: TLS 1.2 or newer, the system's
 * certificates beside those of certs-dir/CAs, the name of the host verified. */
#ifndef BELFRY_TARGET_SECURE_H
#define BELFRY_TARGET_SECURE_H

#include <openssl/ssl.h>

#include "base/str.h"
#include "target/dial.h"

struct secure_settings {
    const char *host;       /* the certificate has to name it (a DNS name or an address) */
    const char *shown;      /* the peer in messages: host:port */
    struct str ca_pem;      /* trusted beside the system's */
    const char *ca_file;    /* PEM, trusted too; NULL: none */
    const char *cert, *key; /* PEM files, what we show; NULL or "": nothing */
    bool skip_verify;       /* any certificate will do */
};

/* The client's end of a connection that begins, the caller's to free; it has no socket yet. NULL and err, which names the
 * file that cannot be used. */
SSL *secure_client(const struct secure_settings *s, struct err *e);
/* Goes on with the handshake until it is done; false and err (as secure_explain) when it fails or the time is over. */
bool secure_handshake(SSL *ssl, int fd, const struct secure_settings *s, const struct patience *p,
                      struct err *e);
/* Why the handshake failed, in words for the operator, out of what it left on this thread. */
void secure_explain(const SSL *ssl, const struct secure_settings *s, struct err *e);

#endif
