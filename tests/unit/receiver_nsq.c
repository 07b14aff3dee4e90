/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that speaks nsqd's protocol: it behaves as the key of an event in the command asks. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "receiver.h"

/* "  V2", NOP, or a line with be32 length and bytes behind it. */
static size_t complete(struct buf *in)
{
    struct str rest = buf_view(in);
    uint32_t n;
    if (str_starts(rest, STR("  V2")))
        return 4;
    ptrdiff_t end = str_chr(rest, '\n');
    if (end < 0)
        return 0;
    size_t head = (size_t)end + 1;
    if (str_starts(rest, STR("NOP")))
        return head;
    rest = str_from(rest, head);
    return take_be32(&rest, &n) && rest.n >= n ? head + 4 + n : 0;
}

static bool frame(struct visit *v, unsigned kind, struct str data)
{
    struct buf b;
    buf_init(&b, 8192);
    buf_be32(&b, (uint32_t)data.n + 4);
    buf_be32(&b, kind);
    buf_str(&b, data);
    bool ok = send(v->fd, b.p, b.len, MSG_NOSIGNAL) == (ssize_t)b.len;
    buf_release(&b);
    return ok;
}

/* An error ends the connection. */
static bool error(struct visit *v, const char *text)
{
    (void)frame(v, 1, str_c(text));
    return false;
}

static const struct {
    const char *key, *text;
} errors[] = {
    {"b/topic", "E_BAD_TOPIC MPUB topic name \"?\" is not valid"},
    {"b/first", "E_AUTH_FIRST AUTH required before MPUB"},
    {"b/unauth", "E_UNAUTHORIZED AUTH failed for MPUB on \"minio\" \"\""},
    {"b/full", "E_MPUB_FAILED MPUB failed write: no space left on device"},
    {"b/odd", "E_ODD something\nnobody has heard of"},
    {"b/limitless", "E_BAD_MESSAGE MPUB message too big"},
    {"b/huge", "E_BAD_MESSAGE MPUB message too big 9 > 18446744073709551615"},
};

/* One of the messages is larger than allowed: how large it is, and one less. */
static bool too_big(struct visit *v, struct str body)
{
    char text[120];
    uint32_t n = 0, count;
    struct str m;
    (void)take_be32(&body, &count);
    while (take_be32(&body, &n) && take_bytes(&body, n, &m) && str_find(m, STR("b/big")) < 0)
        ;
    (void)snprintf(text, sizeof(text), "E_BAD_MESSAGE MPUB message too big %u > %u", n, n - 1);
    return error(v, text);
}

static bool publish(struct visit *v, struct str body, bool many)
{
    char text[120];
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (str_find(body, str_c(errors[i].key)) >= 0)
            return error(v, errors[i].text);
    if (str_find(body, STR("b/big")) >= 0)
        return too_big(v, body);
    if (many && str_find(body, STR("b/few")) >= 0) {
        (void)snprintf(text, sizeof(text), "E_BAD_BODY MPUB body too big %zu > %zu", body.n, body.n - 1);
        return error(v, text);
    }
    if (str_find(body, STR("b/hang")) >= 0)
        return receiver_hang(v), false;
    if (str_find(body, STR("b/close")) >= 0)
        return false;
    if (str_find(body, STR("b/half")) >= 0)
        return send(v->fd, "\0\0\0", 3, MSG_NOSIGNAL) < 0;
    if (str_find(body, STR("b/garbage")) >= 0)
        return receiver_say(v->fd, "\xff\xff\xff\xff\xff"), false;
    if (str_find(body, STR("b/http")) >= 0)
        return receiver_say(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n"), false;
    if (str_find(body, STR("b/text")) >= 0)
        return frame(v, 0, STR("FINE"));
    if (str_find(body, STR("b/message")) >= 0)
        return frame(v, 2, STR("OK"));
    if (str_find(body, STR("b/beat")) >= 0)
        return frame(v, 0, STR("_heartbeat_")) && frame(v, 0, STR("OK")) && frame(v, 0, STR("_heartbeat_"));
    if (str_find(body, STR("b/twice")) >= 0)
        return frame(v, 0, STR("OK")) && frame(v, 0, STR("OK"));
    return frame(v, 0, STR("OK"));
}

static bool answer(struct visit *v, const char *q)
{
    const char *line = strchr(q, '\n');
    uint32_t n = 0;
    if (strncmp(q, "IDENTIFY", 8) == 0)
        return frame(v, 0,
                     v->r->login ? STR("{\"tls_v1\":false,\"auth_required\":true}")
                                 : STR("{\"version\":\"1.3.0\"}"));
    if (strncmp(q, "PUB", 3) != 0 && strncmp(q, "MPUB", 4) != 0 && strncmp(q, "AUTH", 4) != 0)
        return true;
    struct str size = str_n(line + 1, 4);
    (void)take_be32(&size, &n);
    struct str body = str_n(line + 5, n);
    if (q[0] == 'A')
        return str_eq_c(body, v->r->login) ? frame(v, 0, STR("{\"identity\":\"x\"}"))
                                           : error(v, "E_AUTH_FAILED AUTH failed");
    return publish(v, body, q[0] == 'M');
}

void receiver_start_nsq(struct receiver *r)
{
    static const struct protocol nsq = {.complete = complete, .answer = answer};
    receiver_start_as(r, &nsq);
}
