/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket, as MQTT is carried by it: the upgrade, and binary frames. */
#include <stdio.h>

#include "base/encode.h"
#include "base/hash.h"
#include "target/mqtt.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */

static void base64(const void *p, size_t n, char *out, size_t out_n)
{
    struct buf b;
    buf_init(&b, out_n - 1);
    base64_encode(&b, str_n(p, n));
    BUG_ON(b.failed || b.len != out_n - 1);
    memcpy(out, b.p, b.len);
    out[b.len] = 0;
    buf_release(&b);
}

void ws_key(const uint8_t random[16], char key[25])
{
    base64(random, 16, key, 25);
}

void ws_accept(const char *key, char accept[29])
{
    uint8_t digest[SHA1_LEN];
    struct hash h;
    hash_begin(&h, HASH_SHA1);
    hash_add(&h, key, strlen(key));
    hash_add(&h, GUID, strlen(GUID));
    hash_end(&h, digest);
    hash_release(&h);
    base64(digest, sizeof(digest), accept, 29);
}

void ws_put_request(struct buf *b, const struct mqtt_address *a, const char *key)
{
    buf_printf(b,
               "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: "
               "Upgrade\r\nSec-WebSocket-Key: %s\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nUser-Agent: Belfry/%s\r\n\r\n",
               a->path, a->host_header, key, BELFRY_VERSION);
}

/* The value of a header field in a head of lines; empty: it has none. */
static struct str header_of(struct str head, const char *name)
{
    struct str line;
    while (str_cut(&head, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon > 0 && str_ieq(str_head(line, (size_t)colon), str_c(name)))
            return str_trim(str_from(line, (size_t)colon + 1));
    }
    return (struct str){0};
}

enum mqtt_found ws_take_reply(struct str *in, const char *key, const char *shown, struct err *e)
{
    char accept[29];
    ptrdiff_t end = str_find(*in, STR("\r\n\r\n"));
    static const char begin[] = "HTTP/1.";
    size_t known = in->n < strlen(begin) ? in->n : strlen(begin);
    if (memcmp(in->p ? in->p : "", begin, known) != 0 || (end < 0 && in->n > MQTT_WS_REPLY_MAX)) {
        (void)err_set(e, "%s: it does not answer as a WebSocket server does", shown);
        return MQTT_GARBAGE;
    }
    if (end < 0)
        return MQTT_PARTIAL;
    struct str head = str_head(*in, (size_t)end + 2);
    *in = str_from(*in, (size_t)end + 4);
    ws_accept(key, accept);
    uint64_t status = 0;
    struct str code = str_head(str_from(head, 9), 3);
    (void)str_to_u64(code, &status);
    if (status != 101) {
        (void)err_set(e, "%s: it answers %u to the WebSocket upgrade: is the path in broker right?", shown,
                      (unsigned)status);
        return MQTT_GARBAGE;
    }
    if (!str_eq_c(header_of(head, "Sec-WebSocket-Accept"), accept)) {
        (void)err_set(e, "%s: it does not answer as a WebSocket server does", shown);
        return MQTT_GARBAGE;
    }
    return MQTT_WHOLE;
}

void ws_put_frame(struct buf *b, enum ws_op op, const uint8_t mask[4], struct str payload)
{
    size_t n = payload.n;
    buf_char(b, (char)(0x80 | op));
    if (n < 126) {
        buf_char(b, (char)(0x80 | n));
    } else if (n < 65536) {
        buf_char(b, (char)(0x80 | 126));
        buf_char(b, (char)(n >> 8));
        buf_char(b, (char)n);
    } else {
        buf_char(b, (char)(0x80 | 127));
        buf_be64(b, n);
    }
    buf_put(b, mask, 4);
    char *to = buf_reserve(b, n);
    if (!to)
        return;
    for (size_t i = 0; i < n; i++)
        to[i] = (char)((unsigned char)payload.p[i] ^ mask[i % 4]);
    b->len += n;
}

enum mqtt_found ws_take_frame(struct str *in, struct ws_frame *out)
{
    const unsigned char *p = (const unsigned char *)in->p;
    if (in->n < 2)
        return MQTT_PARTIAL;
    unsigned op = p[0] & 0x0f, n = p[1] & 0x7f;
    size_t head = n == 126 ? 4 : 2, len = n;
    bool known = op <= WS_BINARY || (op >= WS_CLOSE && op <= WS_PONG);
    /* Reserved bits, a mask, and frames as large as nobody sends to a publisher, are not for us. */
    if (!known || (p[0] & 0x70) || (p[1] & 0x80) || n == 127)
        return MQTT_GARBAGE;
    if (in->n < head)
        return MQTT_PARTIAL;
    if (n == 126)
        len = (size_t)p[2] << 8 | p[3];
    if (len > MQTT_FRAME_MAX)
        return MQTT_GARBAGE;
    if (in->n < head + len)
        return MQTT_PARTIAL;
    *out = (struct ws_frame){(enum ws_op)op, str_n(in->p + head, len)};
    *in = str_from(*in, head + len);
    return MQTT_WHOLE;
}
