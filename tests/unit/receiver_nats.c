/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that speaks NATS' protocol, core and what a JetStream server, or one of NATS Streaming, answers to a publish: it
 * behaves as the key of an event in the message asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receiver.h"

#define GREETING \
    "INFO " \
    "{\"server_id\":\"T\",\"version\":\"2.9.0\",\"proto\":1,\"headers\":true,\"max_payload\":1048576}\r\n"

static bool starts(const char *q, const char *word)
{
    return strncmp(q, word, strlen(word)) == 0;
}

/* A line; behind that of PUB and HPUB a body of so many bytes as its last number says. */
static size_t complete(struct buf *in)
{
    const char *end = memchr(in->p, '\n', in->len);
    size_t head = end ? (size_t)(end - in->p) + 1 : 0;
    if (head == 0 || (!starts(in->p, "PUB ") && !starts(in->p, "HPUB ")))
        return head;
    const char *last = end;
    while (last[-1] != ' ')
        last--;
    size_t whole = head + (size_t)strtoul(last, NULL, 10) + 2;
    return in->len >= whole ? whole : 0;
}

static bool greet(struct visit *v)
{
    const char *info = v->r->info ? v->r->info : GREETING;
    return receiver_say(v->fd, info);
}

static const struct {
    const char *key, *reply;
    bool closes;
} replies[] = {
    {"b/close", "", true},
    {"b/half", "PON", true},
    {"b/garbage", "HTTP/1.1 400 Bad Request\r\n\r\n", true},
    {"b/denied", "-ERR 'Permissions Violation for Publish to \"events\"'\r\n", false},
    {"b/payload", "-ERR 'Maximum Payload Violation'\r\n", true},
    {"b/expired", "-ERR 'User Authentication Expired'\r\n", true},
    {"b/odd", "-ERR 'Odd something'\r\n", true},
    {"b/chatter", "+OK\r\nPING\r\nINFO {\"server_id\":\"T\"}\r\n", false},
};

/* What a stream answers. */
static const struct {
    const char *key, *ack;
} acks[] = {
    {"b/ok", "{\"stream\":\"S\",\"seq\":7}"},
    {"b/again", "{\"stream\":\"S\",\"seq\":7,\"duplicate\":true}"},
    {"b/full", "{\"error\":{\"code\":503,\"err_code\":10077,\"description\":\"maximum messages exceeded\"}}"},
    {"b/toobig", "{\"error\":{\"code\":400,\"err_code\":10054,\"description\":\"message size exceeds maximum "
                 "allowed\"}}"},
    {"b/empty", "{}"},
    {"b/text", "not JSON"},
    {"b/nothing", ""},
};

/* To the reply subject that stands behind the publish's subject, for the client's one subscription. */
static bool acknowledge(struct visit *v, const char *q)
{
    static char late[128]; /* "b/late" is answered when "b/reuse" comes, which is not answered itself */
    char reply[128], text[512];
    if (sscanf(q, "HPUB %*s %127s", reply) != 1)
        return true;
    if (strstr(q, "b/late")) {
        memcpy(late, reply, sizeof(late));
        return true;
    }
    if (strstr(q, "b/reuse")) {
        (void)snprintf(text, sizeof(text), "MSG %s 1 22\r\n{\"stream\":\"S\",\"seq\":7}\r\n", late);
        return receiver_say(v->fd, text);
    }
    if (strstr(q, "b/nostream")) {
        (void)snprintf(text, sizeof(text), "HMSG %s 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", reply);
        return receiver_say(v->fd, text);
    }
    for (size_t i = 0; i < sizeof(acks) / sizeof(acks[0]); i++)
        if (strstr(q, acks[i].key)) {
            (void)snprintf(text, sizeof(text), "MSG %s 1 %zu\r\n%s\r\n", reply, strlen(acks[i].ack),
                           acks[i].ack);
            return receiver_say(v->fd, text);
        }
    return true;
}

/* NATS Streaming: a session for who asks, and an ack, by the name in its second field, for an event that is to be stored. */
static bool stream(struct visit *v, const char *q)
{
    char reply[128], text[512];
    const char *body = strstr(q, "\r\n") + 2, *guid = body + 2 + body[1] + 1;
    if (sscanf(q, "PUB %*s %127s", reply) != 1)
        return true;
    if (starts(q, "PUB _STAN.discover."))
        return receiver_say(v->fd,
                            (snprintf(text, sizeof(text), "MSG %s 1 11\r\n\n\t_STAN.pub\r\n", reply), text));
    if (!strstr(q, "b/ok"))
        return true;
    (void)snprintf(text, sizeof(text), "MSG %s 1 %d\r\n\n%c%.*s\r\n", reply, *guid + 2, *guid, *guid,
                   guid + 1);
    return receiver_say(v->fd, text);
}

static bool answer(struct visit *v, const char *q)
{
    if (starts(q, "PING"))
        return receiver_say(v->fd, "PONG\r\n");
    if (starts(q, "CONNECT") && strstr(q, "wrong-secret"))
        return receiver_say(v->fd, "-ERR 'Authorization Violation'\r\n"), false;
    if (!starts(q, "PUB ") && !starts(q, "HPUB "))
        return true;
    if (starts(q, "PUB _STAN."))
        return stream(v, q);
    if (strstr(q, "b/hang"))
        return receiver_hang(v), false;
    if (strstr(q, "b/slow"))
        return receiver_say_slowly(v->fd, "+OK\r\n+OK\r\n+OK\r\n");
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        if (strstr(q, replies[i].key))
            return receiver_say(v->fd, replies[i].reply) && !replies[i].closes;
    return acknowledge(v, q);
}

void receiver_start_nats(struct receiver *r)
{
    static const struct protocol nats = {complete, answer, greet};
    receiver_start_as(r, &nats);
}
