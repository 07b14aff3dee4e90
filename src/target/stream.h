/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection of ours, by TCP or TLS over it, with what is to be written and what was read: for targets whose protocol is
 * our own. Nothing here blocks but what takes a patience. Owned by the target's thread. */
#ifndef BELFRY_TARGET_STREAM_H
#define BELFRY_TARGET_STREAM_H

#include "base/buf.h"
#include "target/address.h"
#include "target/secure.h"

struct stream {
    int fd;      /* -1: not connected */
    SSL *ssl;    /* of fd; NULL: in the clear */
    bool ended;  /* nothing more will come; `in` may still hold what came before */
    bool failed; /* not all went that should have: what waited is forgotten */
    bool
        quick_ack; /* to be set by the owner: for peers that hold back an answer until the one before was acknowledged */
    int64_t heard_ms, sent_ms; /* steady: bytes last came, went */
    struct buf out, in;        /* to be written, from `written` on; read and not taken */
    size_t written;
};

/* Not connected. At most so many bytes wait to be written, so many to be taken. */
void stream_init(struct stream *s, size_t out_max, size_t in_max);
/* Closes, and frees what it holds. */
void stream_release(struct stream *s);
/* Forgets what waits in either direction, too. */
void stream_close(struct stream *s);
/* Connects; false and err, which begins with where to. */
bool stream_dial(struct stream *s, struct dialer *d, const struct target_address *to,
                 const struct patience *p, struct err *e);
/* TLS from here on; nothing may wait in either direction. */
bool stream_secure(struct stream *s, const struct secure_settings *with, const struct patience *p,
                   struct err *e);
/* Writes what goes now. After a failure there is nothing left to write: why is to be read. */
void stream_flush(struct stream *s);
/* Reads what has come, as long as there is room in `in`. */
void stream_fill(struct stream *s);
/* What poll has to wait for. */
short stream_events(const struct stream *s);
/* Waits until something can be read, or written if anything is to be; false: not in time. */
bool stream_wait(struct stream *s, const struct patience *p);
/* Why it has ended, as far as that is known. Returns false. */
bool stream_lost(const struct stream *s, const char *shown, struct err *e);

#endif
