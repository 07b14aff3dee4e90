/* SPDX-License-Identifier: Apache-2.0
 *
 * Other forms of an event than MinIO's, which a target may be told to send. Pure. */
#ifndef BELFRY_TARGET_PAYLOAD_H
#define BELFRY_TARGET_PAYLOAD_H

#include "target/target.h"

enum payload { PAYLOAD_MINIO, PAYLOAD_CLOUDEVENTS };
enum key_encoding { KEY_MINIO, KEY_RAW };

/* The attributes of the event as CloudEvents 1.0 has them ("specversion", "id", "source", "type", "subject", "time"),
 * values as they are: each binding encodes them its own way. The mapping is that of the "CloudEvents
 * adapter for AWS S3"; id is the number of the queued event: the same whenever it is sent again, and of no other. */
void payload_attributes(const struct event_ref *ev,
                        void (*each)(void *ctx, const char *name, struct str value), void *ctx);
/* Appends the record; KEY_RAW: with the object's key as it is instead of url-encoded. */
void payload_record(struct buf *b, const struct event_ref *ev, enum key_encoding keys);
/* Appends the envelope (target_envelope) with such a record. */
void payload_envelope(struct buf *b, const struct event_ref *ev, enum key_encoding keys);
/* The same in pieces, for several records with commas between them; EventName and Key are those of one event. */
void payload_envelope_begin(struct buf *b, const struct event_ref *ev);
void payload_envelope_end(struct buf *b);
/* Appends a value as the HTTP binding has it in a header (3.1.3.2): UTF-8, in it percent-encoded what is not printable ASCII, and
 * blank, quote and percent. */
void payload_header_value(struct buf *b, struct str value);
/* Appends "t=SECONDS,v1=HEX": HEX is the HMAC-SHA256, with the secret, of "SECONDS.BODY". */
void payload_sign(struct buf *b, struct str secret, int64_t now_s, struct str body);

#define PAYLOAD_KEY(place) \
    { \
        .name = "payload", .type = CONFIG_CHOICE, .flags = CONFIG_OURS, .offset = (place), \
        .fallback = "minio", .choices = "minio|cloudevents", \
        .help = "'minio': the envelope that MinIO sends; 'cloudevents': CloudEvents 1.0 in binary mode" \
    }
#define PAYLOAD_KEY_ENCODING(place) \
    { \
        .name = "key_encoding", .type = CONFIG_CHOICE, .flags = CONFIG_OURS, .offset = (place), \
        .fallback = "minio", .choices = "minio|raw", \
        .help = "the object's key in a record: 'minio' url-encoded as MinIO sends it, 'raw' as it is" \
    }

#endif
