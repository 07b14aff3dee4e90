/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that answers _bulk: it behaves as the keys of the events ask, which it knows by their documents' ids (format
 * namespace). */
#include <stdio.h>
#include <stdlib.h>

#include "receiver.h"
#include "target/elastic.h"

/* One item's answer, behind its id. */
static const struct {
    const char *key, *item;
} items[] = {
    {"busy", "\"status\":429,\"error\":{\"type\":\"es_rejected_execution_exception\",\"reason\":\"queue\"}"},
    {"mapping", "\"status\":400,\"error\":{\"type\":\"mapper_parsing_exception\",\"reason\":\"failed\"}"},
    {"readonly",
     "\"status\":403,\"error\":{\"type\":\"cluster_block_exception\",\"reason\":\"index [i] blocked "
     "by: [FORBIDDEN/5/index read-only (api)];\"}"},
    {"closed", "\"status\":400,\"error\":{\"type\":\"index_closed_exception\",\"reason\":\"closed\"}"},
    {"gone",
     "\"status\":404,\"error\":{\"type\":\"index_not_found_exception\",\"reason\":\"no such index\"}"},
    {"newer", "\"status\":409,\"error\":{\"type\":\"version_conflict_engine_exception\",\"reason\":\"c\"}"},
    {"odd", "\"status\":400,\"error\":{\"type\":\"odd_exception\",\"reason\":\"something new\"}"},
    {"nostatus", "\"result\":\"created\""},
    {"both", "\"status\":200,\"error\":{\"type\":\"odd_exception\",\"reason\":\"and yet\"}"},
};
/* The whole request's. */
static const struct {
    const char *key, *reply;
} replies[] = {
    {"half", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"i"},
    {"garbage", "\x01\x02this is not HTTP\r\n\r\n"},
    {"close", ""},
    {"cuthead", "HTTP/1.1 200 OK\r\nConte"},
};
static const struct {
    const char *key, *status, *body;
} refusals[] = {
    {"nojson", "200 OK", "<html>welcome</html>"},
    {"notes", "200 OK", "{\"took\":1,\"items\":[]}"},
    {"empty", "200 OK", ""},
    {"accepted", "202 Accepted", "{}"},
    {"moved", "301 Moved", ""},
    {"login", "401 Unauthorized", "{\"error\":{\"type\":\"security_exception\",\"reason\":\"missing\"}}"},
    {"forbidden", "403 Forbidden", "forbidden"},
    {"nothere", "404 Not Found", "no"},
    {"large", "413 Too Large", ""},
    {"starting", "503 Unavailable", ""},
    {"full", "429 Too Many", "{\"error\":{\"type\":\"circuit_breaking_exception\",\"reason\":\"parent\"}}"},
};

static size_t complete(struct buf *in)
{
    char *end = memmem(in->p, in->len, "\r\n\r\n", 4),
         *length = memmem(in->p, in->len, "Content-Length: ", 16);
    if (!end)
        return 0;
    size_t n = (size_t)(end - in->p) + 4;
    if (length && length < end)
        n += (size_t)strtoul(length + 16, NULL, 10);
    return n <= in->len ? n : 0;
}

static const char *id_of(const char *key, char id[ELASTIC_ID + 1])
{
    const struct event_ref ev = {.bucket = STR("b"), .key = str_c(key)};
    elastic_id(&ev, ELASTIC_NAMESPACE, id);
    return id;
}

static bool asks(const char *q, const char *key)
{
    char id[ELASTIC_ID + 1];
    return strstr(q, id_of(key, id)) != NULL;
}

static void put_item(struct buf *b, const char *op, const char *id)
{
    char other[ELASTIC_ID + 1];
    const char *item = "\"status\":201";
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        if (strcmp(id, id_of(items[i].key, other)) == 0)
            item = items[i].item;
    if (strcmp(id, id_of("another", other)) == 0)
        id = "another";
    buf_printf(b, "%s{\"%s\":{\"_id\":\"%s\",%s}}", b->len > 0 ? "," : "", op, id, item);
}

static void bulk(struct buf *b, const char *q)
{
    for (const char *p = strstr(q, "{\"_id\":\""); p; p = strstr(p + 1, "{\"_id\":\"")) {
        char id[ELASTIC_ID + 1], op[8] = "";
        const char *begin = p - 2; /* {"index":{"_id": */
        while (begin[-1] != '"')
            begin--;
        (void)snprintf(op, sizeof(op), "%.*s", (int)(p - 2 - begin), begin);
        (void)snprintf(id, sizeof(id), "%s", p + strlen("{\"_id\":\""));
        put_item(b, op, id);
    }
}

static bool say(struct visit *v, const char *status, const char *body, bool slowly)
{
    struct buf b;
    buf_init(&b, 1u << 20);
    buf_printf(&b, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body);
    buf_char(&b, 0);
    bool ok = slowly ? receiver_say_slowly(v->fd, b.p) : receiver_say(v->fd, b.p);
    buf_release(&b);
    return ok;
}

static bool answer(struct visit *v, const char *q)
{
    struct buf b, body;
    if (str_starts(str_c(q), STR("HEAD ")) || str_starts(str_c(q), STR("PUT ")))
        return receiver_say(v->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    if (asks(q, "hang"))
        return receiver_hang(v), false;
    if (asks(q, "endless"))
        return receiver_say_without_end(v, "HTTP/1.1 200 OK\r\n\r\n{\"items\":[",
                                        "{\"index\":{\"status\":200}},");
    if (asks(q, "endlesshead"))
        return receiver_say_without_end(v, "HTTP/1.1 200 OK\r\n", "X-More: and more and more and more\r\n");
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        if (asks(q, replies[i].key))
            return receiver_say(v->fd, replies[i].reply), false;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (asks(q, refusals[i].key))
            return say(v, refusals[i].status, refusals[i].body, false);
    buf_init(&b, 1u << 20);
    buf_init(&body, 1u << 20);
    bulk(&b, q);
    buf_printf(&body, "{\"took\":1,\"errors\":false,\"items\":[%.*s]}", STR_FMT(buf_view(&b)));
    buf_char(&body, 0);
    bool ok = say(v, "200 OK", body.p, asks(q, "slow"));
    buf_release(&b);
    buf_release(&body);
    return ok;
}

void receiver_start_elastic(struct receiver *r)
{
    static const struct protocol elastic = {.complete = complete, .answer = answer};
    receiver_start_as(r, &elastic);
}
