/* SPDX-License-Identifier: Apache-2.0
 *
 * What nsq decides by looking at bytes alone: addresses, frames, commands, and what errors mean. */
#include <jansson.h>
#include <stdio.h>

#include "base/json.h"
#include "target/nsq.h"

/* --- settings ----------------------------------------------------------------------------------------------------- */

bool nsq_parse_address(struct str text, struct target_address *out, struct err *e)
{
    static const struct address_words words = {
        "nsqd_address", "4150", "127.0.0.1:4150",
        ", nsqd's TCP port, without a scheme such as tcp:// (for TLS set tls=on)"};
    return target_address_parse(text, &words, out, e);
}

bool nsq_topic_ok(struct str topic)
{
    if (str_ends(topic, STR("#ephemeral")))
        topic = str_head(topic, topic.n - strlen("#ephemeral"));
    for (size_t i = 0; i < topic.n; i++) {
        char c = topic.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            !(c == '.' || c == '_' || c == '-'))
            return false;
    }
    return topic.n >= 1 && topic.n <= 64;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

enum nsq_found nsq_take_frame(struct str *in, struct nsq_frame *out)
{
    struct str rest = *in, body;
    uint32_t size, kind;
    if (!take_be32(&rest, &size))
        return NSQ_PARTIAL;
    if (size < 4 || size > NSQ_FRAME_MAX)
        return NSQ_GARBAGE;
    struct str head = rest;
    if (take_be32(&head, &kind) && kind > NSQ_MESSAGE)
        return NSQ_GARBAGE;
    if (!take_bytes(&rest, size, &body))
        return NSQ_PARTIAL;
    (void)take_be32(&body, &kind);
    *out = (struct nsq_frame){(enum nsq_kind)kind, body};
    *in = rest;
    return NSQ_WHOLE;
}

bool nsq_read_features(struct str answer, struct nsq_features *out)
{
    json_t *o = json_loadb(answer.p ? answer.p : "", answer.n, 0, NULL);
    bool ok = json_is_object(o);
    *out = (struct nsq_features){.tls = json_is_true(json_object_get(o, "tls_v1")),
                                 .auth_required = json_is_true(json_object_get(o, "auth_required"))};
    json_decref(o);
    return ok;
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

/* A command, be32 length, bytes. */
static void put_sized(struct buf *b, const char *command, struct str bytes)
{
    buf_puts(b, command);
    buf_be32(b, (uint32_t)bytes.n);
    buf_str(b, bytes);
}

void nsq_put_identify(struct buf *b, const char *host, bool tls)
{
    struct buf json;
    buf_init(&json, 8192);
    buf_puts(&json, "{\"client_id\":");
    json_quote(&json, str_head(str_c(host), 255));
    buf_puts(&json, ",\"hostname\":");
    json_quote(&json, str_head(str_c(host), 255));
    buf_printf(&json,
               ",\"user_agent\":\"Belfry/%s\",\"feature_negotiation\":true,\"heartbeat_interval\":%d,"
               "\"tls_v1\":%s}",
               BELFRY_VERSION, NSQ_HEARTBEAT_MS, tls ? "true" : "false");
    put_sized(b, "IDENTIFY\n", buf_view(&json));
    buf_release(&json);
}

void nsq_put_auth(struct buf *b, const char *secret)
{
    put_sized(b, "AUTH\n", str_c(secret));
}

/* Room for the longest head; what of it is not needed is closed up at the end. */
#define HEAD_MAX (sizeof("MPUB ") + 64 + sizeof("#ephemeral") + 8)

void nsq_publish_begin(struct nsq_publish *p, struct buf *b)
{
    char room[HEAD_MAX] = {0};
    *p = (struct nsq_publish){.at = b->len};
    buf_put(b, room, sizeof(room));
    p->body = b->len;
}

size_t nsq_publish_add(struct nsq_publish *p, struct buf *b, const struct event_ref *ev)
{
    size_t at = b->len;
    buf_be32(b, 0);
    target_envelope(b, ev);
    size_t n = b->len - at - 4;
    if (b->failed)
        return 0;
    for (unsigned i = 0; i < 4; i++)
        b->p[at + i] = (char)(n >> (24 - 8 * i));
    p->n++;
    return n;
}

void nsq_publish_end(struct nsq_publish *p, struct buf *b, const char *topic)
{
    struct buf head;
    buf_init(&head, HEAD_MAX);
    buf_printf(&head, "%s %s\n", p->n > 1 ? "MPUB" : "PUB", topic);
    if (p->n > 1) { /* PUB has but the length of its event, which is there */
        buf_be32(&head, (uint32_t)(b->len - p->body) + 4);
        buf_be32(&head, p->n);
    }
    BUG_ON(head.failed || b->failed);
    memcpy(b->p + p->at, head.p, head.len);
    memmove(b->p + p->at + head.len, b->p + p->body, b->len - p->body);
    b->len -= p->body - p->at - head.len;
    buf_release(&head);
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* The first row that fits says what to do, and in which variable where it is in our hands. */
static const struct {
    const char *begin, *holds, *advice, *variable;
} errors[] = {
    {"E_INVALID", "TLS required", "it takes connections with TLS only: set it to on", "TLS"},
    {"E_BAD_TOPIC", "", "nsqd takes no topic of that name", "TOPIC"},
    {"E_BAD_BODY", "heartbeat", "raise its --max-heartbeat-interval to 10s or more", NULL},
    {"E_BAD_BODY", "too big", "raise its --max-body-size", NULL},
    {"E_BAD_MESSAGE", "too big", "raise its --max-msg-size", NULL},
    {"E_MPUB_FAILED", "", "it cannot keep messages now (its disk, or it is about to end): see its log", NULL},
    {"E_PUB_FAILED", "", "it cannot keep messages now (its disk, or it is about to end): see its log", NULL},
    {"E_AUTH_FIRST", "", "it asks for a secret", "AUTH_SECRET"},
    {"E_AUTH_DISABLED", "", "it knows no secrets: leave it out", "AUTH_SECRET"},
    {"E_AUTH_FAILED", "",
     "the secret is not accepted, or the server nsqd asks about it did not answer: see nsqd's log",
     "AUTH_SECRET"},
    {"E_UNAUTHORIZED", "no authorizations", "the secret is known, but may do nothing", "AUTH_SECRET"},
    {"E_UNAUTHORIZED", "", "the secret does not allow to publish to this topic", "TOPIC"},
    {"E_BAD_PROTOCOL", "", "this is no nsqd: name nsqd's TCP port, not nsqlookupd's", "NSQD_ADDRESS"},
};

/* An error's text for messages: one line, and not too long. */
static void shown_error(struct str error, char *out, size_t n)
{
    size_t len = error.n < n - 1 ? error.n : n - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)((unsigned char)error.p[i] < ' ' || error.p[i] == 0x7f ? ' ' : error.p[i]);
    out[len] = 0;
}

void nsq_explain(const struct nsq_names *names, struct str error, char *why, size_t why_n)
{
    char text[80], variable[112] = "";
    const char *advice = "see its log";
    shown_error(error, text, sizeof(text));
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (!str_starts(error, str_c(errors[i].begin)) || str_find(error, str_c(errors[i].holds)) < 0)
            continue;
        advice = errors[i].advice;
        bool named = strcmp(names->id, "_") != 0;
        if (errors[i].variable)
            (void)snprintf(variable, sizeof(variable), " (MINIO_NOTIFY_NSQ_%s%s%.60s)", errors[i].variable,
                           named ? "_" : "", named ? names->id : "");
        break;
    }
    (void)snprintf(why, why_n, "%.60s answered '%s': %s%s", names->shown, text, advice, variable);
}

/* "... too big 5242892 > 5242880": the second number. */
static bool limit_of(struct str error, uint64_t *limit)
{
    ptrdiff_t at = str_find(error, STR("too big "));
    ptrdiff_t sign = at < 0 ? -1 : str_find(str_from(error, (size_t)at), STR(" > "));
    return sign >= 0 && str_to_u64(str_from(error, (size_t)(at + sign) + 3), limit);
}

enum nsq_verdict nsq_judge(struct str error, uint64_t *limit)
{
    *limit = 0;
    if (str_starts(error, STR("E_BAD_BODY")) && limit_of(error, limit))
        return NSQ_BODY_LIMIT;
    if (str_starts(error, STR("E_BAD_MESSAGE")) && limit_of(error, limit))
        return NSQ_EVENT_LIMIT;
    return NSQ_RETRY;
}
