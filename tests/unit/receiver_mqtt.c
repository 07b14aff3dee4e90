/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that speaks MQTT 3.1.1: it behaves as the key of an event asks. */
#include <string.h>
#include <sys/socket.h>

#include "receiver.h"

/* Head and length of the packet that p begins with; false: not whole. */
static bool length_of(struct str p, size_t *head, size_t *n)
{
    struct str rest = str_from(p, 1);
    uint64_t len;
    if (p.n < 2 || !take_varint(&rest, &len))
        return false;
    *head = p.n - rest.n;
    *n = (size_t)len;
    return rest.n >= len;
}

static size_t complete(struct buf *in)
{
    size_t head = 0, n = 0;
    return length_of(buf_view(in), &head, &n) ? head + n : 0;
}

static bool say(struct visit *v, unsigned type, unsigned a, unsigned b)
{
    const char p[4] = {(char)(type << 4), 2, (char)a, (char)b};
    return send(v->fd, p, sizeof(p), MSG_NOSIGNAL) == (ssize_t)sizeof(p);
}

static bool ack(struct visit *v, unsigned type, uint64_t id)
{
    return say(v, type, (unsigned)id >> 8, (unsigned)id & 255);
}

/* Another one waits for its acknowledgement since the last one. */
static bool ack_both(struct visit *v, unsigned id)
{
    uint64_t late = v->late;
    v->late = 0;
    return ack(v, 4, id) && (!late || ack(v, 4, late));
}

static bool publish(struct visit *v, struct str body)
{
    size_t topic = (size_t)(unsigned char)body.p[1] + 2;
    unsigned id = (unsigned)(unsigned char)body.p[topic] << 8 | (unsigned char)body.p[topic + 1];
    if (str_find(body, STR("b/hang")) >= 0)
        return true; /* its answer never comes; others' do */
    if (str_find(body, STR("b/deaf")) >= 0)
        return receiver_hang(v), false;
    if (str_find(body, STR("b/late")) >= 0) /* with the next one */
        return v->late = id, true;
    if (str_find(body, STR("b/close")) >= 0)
        return false;
    if (str_find(body, STR("b/half")) >= 0)
        return receiver_say(v->fd, "\x40\x02"), false;
    if (str_find(body, STR("b/garbage")) >= 0)
        return receiver_say(v->fd, "\xff\xff");
    if (str_find(body, STR("b/http")) >= 0)
        return receiver_say(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    if (str_find(body, STR("b/future")) >= 0)
        return ack(v, 4, id + 100);
    if (str_find(body, STR("b/zero")) >= 0)
        return ack(v, 4, 0);
    if (str_find(body, STR("b/twice")) >= 0)
        return ack(v, 4, id) && ack(v, 4, id);
    if (str_find(body, STR("b/other")) >= 0) /* QoS 2's */
        return ack(v, 5, id);
    if (str_find(body, STR("b/again")) >= 0)
        return say(v, 2, 0, 0);
    if (str_find(body, STR("b/pong")) >= 0)
        return send(v->fd, "\xd0\0", 2, MSG_NOSIGNAL) == 2;
    return ack_both(v, id);
}

static bool answer(struct visit *v, const char *q)
{
    size_t head = 0, n = 0;
    unsigned type = (unsigned char)q[0] >> 4;
    if (type == 1)
        return say(v, 2, 0, v->r->login ? 5 : 0);
    if (type == 12)
        return send(v->fd, "\xd0\0", 2, MSG_NOSIGNAL) == 2;
    if (type != 3 || (q[0] & 6) == 0) /* QoS 0 asks for no answer */
        return type != 14;
    (void)length_of(str_n(q, 6), &head, &n);
    return publish(v, str_n(q + head, n));
}

void receiver_start_mqtt(struct receiver *r)
{
    static const struct protocol mqtt = {.complete = complete, .answer = answer};
    receiver_start_as(r, &mqtt);
}
