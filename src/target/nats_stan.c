/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS Streaming's messages: Protocol Buffers (protobuf.dev, "Encoding") of the fields in pb/protocol.proto of
 * github.com/nats-io/stan.go. Pure. */
#include <stdio.h>

#include "target/nats.h"

#define PROTOCOL_ONE 1
#define PING_SECONDS 5 /* how often we say that we will ask, and how many answers may be missing */
#define PING_MISSING 3
#define WIRE_VARINT  0
#define WIRE_64      1
#define WIRE_BYTES   2
#define WIRE_32      5

/* --- fields ------------------------------------------------------------------------------------------------------- */

static void put_bytes(struct buf *b, unsigned field, struct str s)
{
    buf_varint(b, field << 3 | WIRE_BYTES);
    buf_lstr(b, s);
}

static void put_number(struct buf *b, unsigned field, uint64_t v)
{
    buf_varint(b, field << 3 | WIRE_VARINT);
    buf_varint(b, v);
}

/* The next field of *in; of a number, `value` is {0}. False: it is malformed. */
static bool take_field(struct str *in, uint64_t *field, struct str *value)
{
    uint64_t tag, v;
    *value = (struct str){0};
    if (!take_varint(in, &tag))
        return false;
    *field = tag >> 3;
    switch (tag & 7) {
    case WIRE_VARINT:
        return take_varint(in, &v);
    case WIRE_64:
        return take_bytes(in, 8, value);
    case WIRE_BYTES:
        return take_lstr(in, value);
    case WIRE_32:
        return take_bytes(in, 4, value);
    default:
        return false;
    }
}

/* Takes the texts of fields 1 to n. */
static bool read_fields(struct str in, struct str *out, uint64_t n)
{
    uint64_t field;
    struct str value;
    for (uint64_t i = 0; i < n; i++)
        out[i] = (struct str){0};
    while (in.n > 0) {
        if (!take_field(&in, &field, &value))
            return false;
        if (field >= 1 && field <= n)
            out[field - 1] = value;
    }
    return true;
}

/* --- messages ----------------------------------------------------------------------------------------------------- */

void stan_put_connect(struct buf *b, const struct stan_session *s, const char *heartbeats)
{
    put_bytes(b, 1, str_c(s->client));
    put_bytes(b, 2, str_c(heartbeats));
    put_number(b, 3, PROTOCOL_ONE);
    put_bytes(b, 4, str_c(s->conn));
    put_number(b, 5, PING_SECONDS);
    put_number(b, 6, PING_MISSING);
}

/* A subject, which goes out again as it came. */
static bool keep(struct str subject, char out[STAN_NAME_MAX])
{
    for (size_t i = 0; i < subject.n; i++)
        if ((unsigned char)subject.p[i] <= ' ' || subject.p[i] == 0x7f)
            return false;
    return snprintf(out, STAN_NAME_MAX, "%.*s", STR_FMT(subject)) < STAN_NAME_MAX;
}

bool stan_read_connect(struct str body, struct stan_session *s, struct str *error)
{
    struct str f[7];
    if (!read_fields(body, f, 7))
        return false;
    *error = f[4];
    return error->n > 0 ||
           (f[0].n > 0 && keep(f[0], s->publish) && keep(f[3], s->close) && keep(f[6], s->ping));
}

void stan_put_message(struct buf *b, const struct stan_session *s, struct str guid, struct str subject,
                      struct str body)
{
    put_bytes(b, 1, str_c(s->client));
    put_bytes(b, 2, guid);
    put_bytes(b, 3, subject);
    put_bytes(b, 5, body);
    put_bytes(b, 6, str_c(s->conn));
}

bool stan_read_ack(struct str body, struct str *guid, struct str *error)
{
    struct str f[2];
    bool ok = read_fields(body, f, 2);
    *guid = f[0];
    *error = f[1];
    return ok && guid->n > 0;
}

void stan_put_ping(struct buf *b, const struct stan_session *s)
{
    put_bytes(b, 1, str_c(s->conn));
}

bool stan_read_pong(struct str body, struct str *error)
{
    return read_fields(body, error, 1);
}

void stan_put_close(struct buf *b, const struct stan_session *s)
{
    put_bytes(b, 1, str_c(s->client));
}
