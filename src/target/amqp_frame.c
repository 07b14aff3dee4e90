/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of AMQP 0-9-1 (section 4.2 of the specification): type, channel, size, payload, end mark. What methods and
 * properties consist of is librabbitmq's business; only what holds a table of the broker's is taken apart here, because the
 * library goes as deep into nested tables as the peer likes. */
#include <amqp.h>
#include <stdio.h>
#include <stdlib.h>

#include "target/amqp_impl.h"

#define FRAME_END  0xce
#define FRAME_HEAD 7u

static uint16_t be16(const char *p)
{
    return (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

static void put16(struct buf *b, unsigned v)
{
    buf_char(b, (char)(v >> 8 & 0xff));
    buf_char(b, (char)(v & 0xff));
}

enum rabbit_taken rabbit_frame_take(struct str *in, size_t frame_max, struct rabbit_frame *out)
{
    uint32_t size;
    if (in->n < FRAME_HEAD)
        return RABBIT_MORE;
    struct str rest = str_from(*in, 3);
    (void)take_be32(&rest, &size);
    unsigned char type = (unsigned char)in->p[0];
    if ((type < RABBIT_METHOD || type > RABBIT_BODY) && type != RABBIT_HEARTBEAT)
        return RABBIT_BROKEN;
    if (size > frame_max - FRAME_HEAD - 1)
        return RABBIT_BROKEN;
    if (rest.n < (size_t)size + 1)
        return RABBIT_MORE;
    if ((unsigned char)rest.p[size] != FRAME_END)
        return RABBIT_BROKEN;
    *out = (struct rabbit_frame){type, be16(in->p + 1), str_head(rest, size)};
    *in = str_from(rest, (size_t)size + 1);
    return RABBIT_TAKEN;
}

void rabbit_frame_put(struct buf *out, enum rabbit_frame_type type, unsigned channel, struct str payload)
{
    buf_char(out, (char)type);
    put16(out, channel);
    buf_be32(out, (uint32_t)payload.n);
    buf_str(out, payload);
    buf_char(out, (char)FRAME_END);
}

void rabbit_method_put(struct buf *out, unsigned channel, uint32_t id, void *method)
{
    struct buf b;
    buf_init(&b, RABBIT_FRAME_MIN);
    buf_be32(&b, id);
    char *p = buf_reserve(&b, RABBIT_FRAME_MIN - 4);
    BUG_ON(!p);
    int n = amqp_encode_method(id, method, (amqp_bytes_t){RABBIT_FRAME_MIN - 4, p});
    BUG_ON(n < 0); /* what can be long in ours is bounded by check */
    b.len += (size_t)n;
    rabbit_frame_put(out, RABBIT_METHOD, channel, buf_view(&b));
    buf_release(&b);
}

static amqp_bytes_t bytes_of(struct str s)
{
    return (amqp_bytes_t){s.n, (void *)(uintptr_t)s.p}; /* the library reads only */
}

static amqp_table_entry_t header(const char *name, struct str value)
{
    amqp_table_entry_t h = {.key = amqp_cstring_bytes(name)};
    h.value.kind = AMQP_FIELD_KIND_UTF8;
    h.value.value.bytes = bytes_of(value);
    return h;
}

void rabbit_header_put(struct buf *out, unsigned channel, const struct event_ref *ev, size_t size,
                       unsigned delivery_mode)
{
    char id[20], bytes[1024];
    (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)ev->sequencer);
    amqp_table_entry_t headers[] = {header("minio-bucket", str_head(ev->bucket, 255)),
                                    header("minio-event", str_head(ev->event_name, 255))};
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_HEADERS_FLAG |
                                           AMQP_BASIC_MESSAGE_ID_FLAG |
                                           (delivery_mode ? AMQP_BASIC_DELIVERY_MODE_FLAG : 0u),
                                 .content_type = amqp_cstring_bytes("application/json"),
                                 .headers = {2, headers},
                                 .delivery_mode = (uint8_t)delivery_mode,
                                 .message_id = amqp_cstring_bytes(id)};
    int n = amqp_encode_properties(AMQP_BASIC_CLASS, &p, (amqp_bytes_t){sizeof(bytes), bytes});
    BUG_ON(n < 0);
    buf_char(out, RABBIT_HEADER);
    put16(out, channel);
    buf_be32(out, (uint32_t)(12 + n));
    put16(out, AMQP_BASIC_CLASS);
    put16(out, 0); /* weight, always 0 */
    buf_be64(out, size);
    buf_put(out, bytes, (size_t)n);
    buf_char(out, (char)FRAME_END);
}

static bool take_short(struct str *in, struct str *out)
{
    if (in->n < 1 || in->n - 1 < (unsigned char)in->p[0])
        return false;
    size_t n = (unsigned char)in->p[0];
    *out = str_n(in->p + 1, n);
    *in = str_from(*in, n + 1);
    return true;
}

static bool take_long(struct str *in, struct str *out)
{
    uint32_t n;
    struct str rest = *in;
    if (!take_be32(&rest, &n) || !take_bytes(&rest, n, out))
        return false;
    *in = rest;
    return true;
}

/* The properties of basic in the order of their bits, the highest first, up to the one that is wanted. */
static const struct {
    unsigned flag;
    enum { SHORT, TABLE, OCTET } kind;
} properties[] = {
    {AMQP_BASIC_CONTENT_TYPE_FLAG, SHORT}, {AMQP_BASIC_CONTENT_ENCODING_FLAG, SHORT},
    {AMQP_BASIC_HEADERS_FLAG, TABLE},      {AMQP_BASIC_DELIVERY_MODE_FLAG, OCTET},
    {AMQP_BASIC_PRIORITY_FLAG, OCTET},     {AMQP_BASIC_CORRELATION_ID_FLAG, SHORT},
    {AMQP_BASIC_REPLY_TO_FLAG, SHORT},     {AMQP_BASIC_EXPIRATION_FLAG, SHORT},
    {AMQP_BASIC_MESSAGE_ID_FLAG, SHORT},
};

static bool parse_hex(struct str s, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *digits = "0123456789abcdef", *d = s.p[i] ? strchr(digits, s.p[i]) : NULL;
        if (!d)
            return false;
        *out = *out << 4 | (uint64_t)(d - digits);
    }
    return s.n == 16;
}

bool rabbit_header_take(struct str payload, uint64_t *size, uint64_t *sequencer)
{
    struct str in = payload, skip, value = {0};
    *sequencer = 0;
    if (in.n < 14 || be16(in.p) != AMQP_BASIC_CLASS)
        return false;
    in = str_from(in, 4);
    (void)take_be64(&in, size);
    unsigned flags = be16(in.p);
    in = str_from(in, 2);
    if (flags & 1) /* more words of flags follow: that is none of ours */
        return true;
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        bool ok = true;
        value = (struct str){0};
        if (!(flags & properties[i].flag))
            continue;
        if (properties[i].kind == SHORT)
            ok = take_short(&in, &value);
        else if (properties[i].kind == TABLE)
            ok = take_long(&in, &skip);
        else
            ok = take_bytes(&in, 1, &skip);
        if (!ok)
            return false;
    }
    if (!(flags & AMQP_BASIC_MESSAGE_ID_FLAG) || !parse_hex(value, sequencer))
        *sequencer = 0;
    return true;
}

bool rabbit_start_offers(struct str args, const char *mechanism, struct str *offered)
{
    struct str rest = args, properties_of_it, word;
    *offered = (struct str){0};
    if (!take_bytes(&rest, 2, &word) || !take_long(&rest, &properties_of_it) || !take_long(&rest, offered))
        return false;
    struct str list = *offered;
    while (str_cut(&list, ' ', &word))
        if (str_eq_c(word, mechanism))
            return true;
    return false;
}
