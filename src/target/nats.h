/* SPDX-License-Identifier: Apache-2.0
 *
 * The NATS target: publishes to a subject of NATS itself (core), of JetStream, or of the former NATS Streaming. Here its
 * settings and the parts of it that are pure. Formats: notifications.md 2.6 to 2.8. */
#ifndef BELFRY_TARGET_NATS_H
#define BELFRY_TARGET_NATS_H

#include "target/address.h"
#include "target/target.h"

struct nats_conf {
    struct target_common common;
    char *address, *subject, *username, *password, *token;
    char *cert_authority, *client_cert, *client_key, *user_credentials, *nkey_seed, *streaming_cluster_id;
    bool tls, tls_skip_verify, tls_handshake_first, jetstream, streaming, streaming_async;
    int64_t ping_interval; /* ms; 0: not of the library's own */
    int64_t streaming_max_pub_acks_in_flight;
};

extern const struct target_type target_nats;

#define NATS_MAX_BATCH 1000
#define NATS_EVENT_MAX (8u << 20)

/* The port is 4222 where none is named. False and err. */
bool nats_parse_address(struct str text, struct target_address *out, struct err *e);

/* Is it a subject that can be published to: words between dots, none empty, without blanks and wildcards? */
bool nats_subject_ok(struct str subject, struct err *e);

/* The id that JetStream knows repeats of an event by (header Nats-Msg-Id): the same in every delivery of this event by this
 * target, and of no other event. */
#define NATS_ID_MAX 160
void nats_message_id(const struct event_ref *ev, const char *target_id, const char *subject,
                     char out[NATS_ID_MAX]);

/* Who answers, for messages. */
struct nats_names {
    const char *shown; /* host:port */
    const char *id;    /* of the target, for the name of a variable */
    const char *subject;
};
/* What the library or the server says went wrong, with what to do about it. All of it is about the server, the login or
 * the subject. */
void nats_explain(const struct nats_names *names, const char *text, char *why, size_t why_n);

/* JetStream's answer to an event that it has not stored. code: its err_code (server's errors.json), 0: none; text: what it
 * says. REJECT only where the event itself can never be stored. */
enum send_result nats_js_outcome(const struct nats_names *names, unsigned code, const char *text, char *why,
                                 size_t why_n);

/* The public key ("U...") of the seed of a user ("SU...") that `text` (of a file) holds on a line of its own; nkeys' form:
 * base32 of prefix, key and CRC-16. False and err, which never shows the seed. */
#define NATS_KEY_MAX 57
bool nats_public_key(struct str text, char out[NATS_KEY_MAX], struct err *e);

#endif
