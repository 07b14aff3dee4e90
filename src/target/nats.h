/* SPDX-License-Identifier: Apache-2.0
 *
 * The NATS target: publishes to a subject of NATS itself (core), of JetStream, or of the former NATS Streaming. Here its
 * settings and the parts of it that are pure. Formats: notifications.md 2.6 to 2.8. The protocol is spoken by ourselves
 * (docs.nats.io, "Client Protocol"; that of NATS Streaming is Protocol Buffers over it, protocol.proto of its client), of
 * which somebody who publishes needs little: the library takes a lock for each message, several threads and a timer. */
#ifndef BELFRY_TARGET_NATS_H
#define BELFRY_TARGET_NATS_H

#include "target/address.h"
#include "target/target.h"

struct nats_conf {
    struct target_common common;
    char *address, *subject, *username, *password, *token;
    char *cert_authority, *client_cert, *client_key, *user_credentials, *nkey_seed, *streaming_cluster_id;
    bool tls, tls_skip_verify, tls_handshake_first, jetstream, streaming, streaming_async;
    int64_t ping_interval; /* ms; 0: only where there is a reason */
    int64_t streaming_max_pub_acks_in_flight;
};

extern const struct target_type target_nats;

#define NATS_MAX_BATCH 4096 /* out at once: with NATS Streaming, whose acks come late and one by one */
#define NATS_BATCH     1000 /* in every other mode */
#define NATS_EVENT_MAX (8u << 20)
#define NATS_LINE_MAX  (64u << 10) /* of what a server says; and of what it sends along */

/* How many events may be out with these settings (struct nats_conf). */
unsigned nats_places(const void *conf);

/* The port is 4222 where none is named. False and err. */
bool nats_parse_address(struct str text, struct target_address *out, struct err *e);

/* Is it a subject that can be published to: words between dots, none empty, without blanks and wildcards? */
bool nats_subject_ok(struct str subject, struct err *e);

/* The id that JetStream knows repeats of an event by (header Nats-Msg-Id): the same in every delivery of this event by this
 * target, and of no other event. Appended. */
void nats_message_id(struct buf *b, const struct event_ref *ev, const char *target_id, const char *subject);

/* --- nats_rules.c: what errors mean */

/* Who answers, for messages. */
struct nats_names {
    const char *shown; /* host:port */
    const char *id;    /* of the target, for the name of a variable */
    const char *subject;
};
/* What the server says went wrong, with what to do about it. All of it is about the server, the login or the subject. */
void nats_explain(const struct nats_names *names, struct str text, char *why, size_t why_n);
/* JetStream's answer to an event; status: of its header, "503" where nobody takes the subject. Anything but that the stream
 * has stored it is no success. REJECT only where the event itself can never be stored. why: unless it is OK. */
enum send_result nats_judge_ack(const struct nats_names *names, struct str status, struct str body, char *why,
                                size_t why_n);

/* --- nats_wire.c: what a server says */

enum nats_op_kind { NATS_INFO, NATS_MSG, NATS_PING, NATS_PONG, NATS_OK, NATS_ERR };
struct nats_op {
    enum nats_op_kind kind;
    struct str text;                         /* INFO: JSON; ERR: what it says, without quotes */
    struct str subject, reply, status, body; /* MSG; status: of its header ("503"), as body without that */
};
enum nats_found { NATS_PARTIAL, NATS_WHOLE, NATS_GARBAGE };
/* Takes the operation that *in begins with off it. GARBAGE: what is there cannot become one within NATS_LINE_MAX. */
enum nats_found nats_take_op(struct str *in, struct nats_op *out);

/* The greeting: what of it matters. False: it is none. */
struct nats_info {
    bool headers, tls_required, tls_available;
    int64_t max_payload; /* 0: not told */
    char nonce[128];     /* to be signed; "": none */
};
bool nats_read_info(struct str json, struct nats_info *out);

/* --- what we say; appended. NULL or "": not sent */
struct nats_login {
    const char *user, *pass, *token, *nkey, *sig;
    struct str jwt;
    bool tls;
};
void nats_put_connect(struct buf *b, const struct nats_login *l);
void nats_put_sub(struct buf *b, const char *inbox);
/* reply: {0}: none is wanted. */
void nats_put_pub(struct buf *b, struct str subject, struct str reply, struct str body);
/* With the header Nats-Msg-Id. Returns the bytes that count for max_payload. */
size_t nats_put_hpub(struct buf *b, struct str subject, struct str reply, struct str id, struct str body);

/* --- nats_stan.c: NATS Streaming's messages */

/* How a client is known there, and where it has to send to. */
#define STAN_NAME_MAX 320
struct stan_session {
    char client[40], conn[40];
    char publish[STAN_NAME_MAX], ping[STAN_NAME_MAX], close[STAN_NAME_MAX]; /* ping "": it knows none */
};
void stan_put_connect(struct buf *b, const struct stan_session *s, const char *heartbeats);
/* What it answers. False: it is none; *error: it refuses, with that reason. */
bool stan_read_connect(struct str body, struct stan_session *s, struct str *error);
void stan_put_message(struct buf *b, const struct stan_session *s, struct str guid, struct str subject,
                      struct str body);
/* guid: of the message it is about. False: it is none; *error "": stored. */
bool stan_read_ack(struct str body, struct str *guid, struct str *error);
void stan_put_ping(struct buf *b, const struct stan_session *s);
/* False: it is none; *error "": all is well. */
bool stan_read_pong(struct str body, struct str *error);
void stan_put_close(struct buf *b, const struct stan_session *s);

/* --- nats_keys.c: NKeys and credentials */

/* The public key ("U...") of the seed of a user ("SU...") that `text` (of a file) holds on a line of its own; nkeys' form:
 * base32 of prefix, key and CRC-16. False and err, which never shows the seed; setting: where the file is named. */
#define NATS_KEY_MAX 57
bool nats_public_key(struct str text, char out[NATS_KEY_MAX], const char *setting, struct err *e);
/* The signature of the nonce by that seed, as CONNECT carries it: base64 of the alphabet for URLs, without padding. */
#define NATS_SIG_MAX 89
bool nats_sign(struct str text, struct str nonce, char out[NATS_SIG_MAX], const char *setting, struct err *e);
/* The token of a credentials file: the line behind "-----BEGIN NATS USER JWT-----". {0}: there is none. */
struct str nats_find_jwt(struct str text);

#endif
