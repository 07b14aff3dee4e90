/* SPDX-License-Identifier: Apache-2.0
 *
 * A way out for a library that makes its connections itself and blocks in them without a deadline: it is told a port of
 * this machine, and a thread hands its bytes on to a connection that was dialled here (dial.h) and back. Whoever waits for
 * the library cuts the relay, and every call of the library that is stuck in a read, a write or a handshake fails at once. */
#ifndef BELFRY_TARGET_RELAY_H
#define BELFRY_TARGET_RELAY_H

#include <stdint.h>

#include "base/err.h"

/* How long bytes may lie there that the peer does not take; then the relay cuts itself. */
#define RELAY_STALL_MS 20000

struct relay;

/* Takes over fd, a connected socket that does not block, also when it fails. One connection to 127.0.0.1:*port is accepted,
 * and no other after it. NULL and err. */
struct relay *relay_open(int fd, unsigned *port, struct err *e);
/* Any thread: both connections are closed soon. */
void relay_cut(struct relay *r);
/* Any thread: bytes that the peer does not take are waited for until at_ms (steady clock) at most. */
void relay_limit(struct relay *r, int64_t at_ms);
/* Cuts, waits for the thread, frees. */
void relay_close(struct relay *r);

#endif
