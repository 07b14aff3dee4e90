/* SPDX-License-Identifier: Apache-2.0
 *
 * The framing of one HTTP/1.1 message, request or reply: where its head ends and which bytes are its body.
 * Pure: bytes in, pieces of body out; no I/O and no allocation. It reads what a well-behaved peer sends and
 * reports the rest as bad; it is an instrument of measurement, not a server's parser.
 *
 * Source: RFC 9112. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MESSAGE_LINE 4096 /* longest line of a head */

enum message_phase {
    MESSAGE_START,
    MESSAGE_HEADER,
    MESSAGE_BODY,        /* by Content-Length */
    MESSAGE_UNTIL_CLOSE, /* a reply without a length: message_end finishes it */
    MESSAGE_CHUNK_SIZE,
    MESSAGE_CHUNK_DATA,
    MESSAGE_CHUNK_END,
    MESSAGE_TRAILER,
    MESSAGE_DONE,
    MESSAGE_BAD,
};

struct message {
    enum message_phase phase;
    bool is_request;
    bool no_body; /* the reply to a HEAD */
    bool close;   /* the peer will close, or the framing asks for it */
    bool expects; /* a request with Expect: 100-continue whose head is complete */
    bool chunked;
    bool has_length;
    int status;      /* of a reply */
    uint64_t left;   /* bytes of body or chunk still to come */
    char method[8];  /* of a request */
    char target[64]; /* of a request, cut to fit */
    size_t line_len;
    char line[MESSAGE_LINE];
};

/* A piece of body within the bytes that were fed. */
struct piece {
    const char *at;
    size_t len;
};

void message_begin_reply(struct message *m, bool to_head);
void message_begin_request(struct message *m);

/* Takes as much of `data` as belongs to this message, at most one piece of body at a time, and returns how
 * many bytes that was. Call again with the rest until all is taken or the phase is MESSAGE_DONE or
 * MESSAGE_BAD. `body->len` is 0 when there was none. Interim (1xx) replies are skipped. */
size_t message_feed(struct message *m, const char *data, size_t n, struct piece *body);

/* The peer closed: MESSAGE_DONE if that is how this message ends, otherwise MESSAGE_BAD. */
void message_end(struct message *m);
