/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents, raw keys, signatures of bodies. */
#include "target/payload.h"

#include "base/encode.h"
#include "base/hash.h"
#include "base/json.h"

/* The text of a member near the beginning of a record, as it stands there. */
static struct str member(struct str record, struct str name)
{
    ptrdiff_t at = str_find(record, name);
    struct str rest = at < 0 ? (struct str){0} : str_from(record, (size_t)at + name.n);
    ptrdiff_t end = str_chr(rest, '"');
    return end < 0 ? (struct str){0} : str_head(rest, (size_t)end);
}

void payload_attributes(const struct event_ref *ev,
                        void (*each)(void *ctx, const char *name, struct str value), void *ctx)
{
    char id[16];
    struct buf source, type;
    struct str name = str_starts(ev->event_name, STR("s3:")) ? str_from(ev->event_name, 3) : ev->event_name;
    buf_init(&source, 4096);
    buf_init(&type, 4096);
    hex_u64(ev->sequencer, id);
    buf_puts(&source, "minio:s3.");
    buf_str(&source, member(ev->record, STR("\"awsRegion\":\"")));
    buf_char(&source, '.');
    buf_str(&source, ev->bucket);
    buf_puts(&type, "com.amazonaws.s3.");
    buf_str(&type, name);
    each(ctx, "specversion", STR("1.0"));
    each(ctx, "id", str_n(id, sizeof id));
    each(ctx, "source", buf_view(&source));
    each(ctx, "type", buf_view(&type));
    each(ctx, "subject", ev->key);
    each(ctx, "time", ev->event_time);
    buf_release(&source);
    buf_release(&type);
}

void payload_record(struct buf *b, const struct event_ref *ev, enum key_encoding keys)
{
    struct str begin = STR("\"object\":{\"key\":\"");
    ptrdiff_t at = keys == KEY_RAW ? str_find(ev->record, begin) : -1;
    struct str rest = at < 0 ? (struct str){0} : str_from(ev->record, (size_t)at + begin.n);
    ptrdiff_t end = str_chr(rest, '"'); /* an encoded key holds none */
    if (end < 0) {
        buf_str(b, ev->record);
        return;
    }
    buf_str(b, str_head(ev->record, (size_t)at + begin.n));
    json_escape(b, ev->key);
    buf_str(b, str_from(rest, (size_t)end));
}

void payload_envelope_begin(struct buf *b, const struct event_ref *ev)
{
    buf_puts(b, "{\"EventName\":");
    json_quote(b, ev->event_name);
    buf_puts(b, ",\"Key\":\"");
    json_escape(b, ev->bucket);
    buf_char(b, '/');
    json_escape(b, ev->key);
    buf_puts(b, "\",\"Records\":[");
}

void payload_envelope_end(struct buf *b)
{
    buf_puts(b, "]}");
}

void payload_envelope(struct buf *b, const struct event_ref *ev, enum key_encoding keys)
{
    payload_envelope_begin(b, ev);
    payload_record(b, ev, keys);
    payload_envelope_end(b);
}

void payload_header_value(struct buf *b, struct str value)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if (c > ' ' && c < 0x7f && c != '"' && c != '%') {
            buf_char(b, (char)c);
            continue;
        }
        buf_char(b, '%');
        buf_char(b, digits[c >> 4]);
        buf_char(b, digits[c & 15]);
    }
}

void payload_sign(struct buf *b, struct str secret, int64_t now_s, struct str body)
{
    uint8_t mac[SHA256_LEN];
    char hex[2 * SHA256_LEN];
    struct buf text;
    buf_init(&text, body.n + 32);
    buf_i64(&text, now_s);
    buf_char(&text, '.');
    buf_str(&text, body);
    hash_hmac_sha256(secret, buf_view(&text), mac);
    buf_release(&text);
    hex_lower(mac, sizeof mac, hex);
    buf_puts(b, "t=");
    buf_i64(b, now_s);
    buf_puts(b, ",v1=");
    buf_put(b, hex, sizeof hex);
}
