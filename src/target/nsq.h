/* SPDX-License-Identifier: Apache-2.0
 *
 * The NSQ target: the envelope of each event into a topic of one nsqd. Here its settings and the parts of it that are pure.
 * There is no client library: the protocol is nsqd's V2 (nsq.io, "TCP Protocol Spec"), of which a producer needs little. */
#ifndef BELFRY_TARGET_NSQ_H
#define BELFRY_TARGET_NSQ_H

#include "target/address.h"
#include "target/target.h"

struct nsq_conf {
    struct target_common common;
    char *nsqd_address, *topic, *auth_secret, *client_cert, *client_key;
    bool tls, tls_skip_verify;
};

extern const struct target_type target_nsq;

#define NSQ_MAX_BATCH    1000
#define NSQ_EVENT_MAX    (4u << 20) /* bytes of one record; nsqd takes 1 MiB unless it is told otherwise */
#define NSQ_FRAME_MAX    (64u << 10)
#define NSQ_HEARTBEAT_MS 10000 /* how often nsqd is to show that it is there */

/* The port is 4150 where none is named. False and err. */
bool nsq_parse_address(struct str text, struct target_address *out, struct err *e);
/* 1 to 64 of a-z A-Z 0-9 . _ -, and perhaps #ephemeral behind them: nsqd takes no other name. */
bool nsq_topic_ok(struct str topic);

/* --- what nsqd says: be32 size, be32 kind, data */
enum nsq_kind { NSQ_RESPONSE, NSQ_ERROR, NSQ_MESSAGE };
struct nsq_frame {
    enum nsq_kind kind;
    struct str data;
};
enum nsq_found { NSQ_PARTIAL, NSQ_WHOLE, NSQ_GARBAGE };
/* Takes the frame that *in begins with off it. GARBAGE: what is there cannot become one of NSQ_FRAME_MAX bytes. */
enum nsq_found nsq_take_frame(struct str *in, struct nsq_frame *out);

/* The answer to IDENTIFY: what of it matters. False: it is none (a nsqd of before 0.2.20 says OK). */
struct nsq_features {
    bool tls, auth_required;
};
bool nsq_read_features(struct str answer, struct nsq_features *out);

/* --- what we say; appended */
void nsq_put_identify(struct buf *b, const char *host, bool tls);
void nsq_put_auth(struct buf *b, const char *secret);
/* A command that publishes events: begin, then each event, then end. An event alone goes by PUB, which nsqd bounds by
 * its --max-msg-size only. */
struct nsq_publish {
    size_t at; /* where its head begins in the buffer */
    size_t body;
    uint32_t n;
};
void nsq_publish_begin(struct nsq_publish *p, struct buf *b);
/* Returns the bytes of its message. */
size_t nsq_publish_add(struct nsq_publish *p, struct buf *b, const struct event_ref *ev);
void nsq_publish_end(struct nsq_publish *p, struct buf *b, const char *topic);

/* --- what its errors mean */
struct nsq_names {
    const char *shown; /* host:port */
    const char *id;    /* of the target, for the name of a variable */
    const char *topic;
};
/* What an error ("E_BAD_TOPIC PUB topic name ...") means, with what to do about it. */
void nsq_explain(const struct nsq_names *names, struct str error, char *why, size_t why_n);
/* What follows from it for the events that were sent. */
enum nsq_verdict {
    NSQ_RETRY,
    NSQ_BODY_LIMIT,  /* the command was larger than *limit: send fewer at once */
    NSQ_EVENT_LIMIT, /* an event is larger than *limit: that one can never go there */
};
enum nsq_verdict nsq_judge(struct str error, uint64_t *limit);

#endif
