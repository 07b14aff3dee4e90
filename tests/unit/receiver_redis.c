/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that speaks Redis' protocol: it behaves as the key of an event in the command asks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "receiver.h"

/* A number behind a mark, with its line end; *at goes on behind it. False: not whole yet. */
static bool number(const struct buf *in, size_t *at, char mark, size_t *out)
{
    if (*at >= in->len)
        return false;
    const char *p = in->p + *at, *end = memchr(p, '\n', in->len - *at);
    if (!end)
        return false;
    if (*p != mark)
        BUG("a command begins with %02x", (unsigned char)*p);
    *out = (size_t)strtoul(p + 1, NULL, 10);
    *at = (size_t)(end - in->p) + 1;
    return true;
}

static size_t complete(struct buf *in)
{
    size_t at = 0, args, n;
    if (!number(in, &at, '*', &args))
        return 0;
    for (size_t i = 0; i < args; i++) {
        if (!number(in, &at, '$', &n) || in->len - at < n + 2)
            return 0;
        at += n + 2;
    }
    return at;
}

static bool is(const char *q, const char *command)
{
    return strstr(q, command) != NULL && strstr(q, command) - q < 12;
}

static bool sayf(int fd, const char *fmt, long n)
{
    char text[160];
    (void)snprintf(text, sizeof(text), fmt, n);
    return receiver_say(fd, text);
}

/* The arguments of AUTH as "user:password" or "password". */
static bool login_is(const char *q, const char *login)
{
    char joined[256] = "";
    for (const char *p = strchr(strchr(q, '$') + 1, '$'); p; p = strchr(p, '$')) {
        size_t n = (size_t)strtoul(p + 1, NULL, 10), have = strlen(joined);
        p = strchr(p, '\n') + 1;
        (void)snprintf(joined + have, sizeof(joined) - have, "%s%.*s", have ? ":" : "", (int)n, p);
        p += n;
    }
    return strcmp(joined, login) == 0;
}

static bool answer_login(struct visit *v, const char *q)
{
    if (!v->r->login)
        return receiver_say(
            v->fd, "-ERR AUTH <password> called without any password configured for the default user.\r\n");
    return receiver_say(v->fd, login_is(q, v->r->login) ? "+OK\r\n" : "-WRONGPASS invalid pair\r\n");
}

static const struct {
    const char *key, *reply;
} replies[] = {
    {"b/wrongtype", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    {"b/oom", "-OOM command not allowed when used memory > 'maxmemory'.\r\n"},
    {"b/readonly", "-READONLY You can't write against a read only replica.\r\n"},
    {"b/loading", "-LOADING Redis is loading the dataset in memory\r\n"},
    {"b/odd", "-ODD something nobody has heard of\r\n"},
    {"b/text", "+OK\r\n"},
    {"b/null", "$-1\r\n"},
    {"b/minus", ":-1\r\n"},
    {"b/many", ":99999999999999999999\r\n"},
    {"b/deep", "*1000000000\r\n"},
};

static bool answer_write(struct visit *v, const char *q, long n)
{
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++)
        if (strstr(q, replies[i].key))
            return receiver_say(v->fd, replies[i].reply);
    if (strstr(q, "b/hang"))
        return receiver_hang(v), false;
    if (strstr(q, "b/close"))
        return false;
    if (strstr(q, "b/half"))
        return receiver_say(v->fd, ":3"), false;
    if (strstr(q, "b/garbage"))
        return receiver_say(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n"), false;
    if (strstr(q, "b/endless"))
        return receiver_say_without_end(v, "$100000000\r\n",
                                        "0123456789abcdef0123456789abcdef0123456789abcdef");
    if (strstr(q, "b/slow"))
        return receiver_say_slowly(v->fd, ":3\r\n");
    if (strstr(q, "b/twice"))
        return sayf(v->fd, ":%ld\r\n:1\r\n:1\r\n:1\r\n", n);
    return sayf(v->fd, ":%ld\r\n", n);
}

static bool answer(struct visit *v, const char *q)
{
    long args = strtol(q + 1, NULL, 10);
    if (is(q, "AUTH"))
        return answer_login(v, q);
    if (is(q, "CLIENT"))
        return receiver_say(v->fd, "+OK\r\n");
    if (is(q, "PING"))
        return receiver_say(v->fd, "+PONG\r\n");
    if (is(q, "TYPE")) {
        char text[64];
        (void)snprintf(text, sizeof(text), "+%s\r\n", v->r->key_type ? v->r->key_type : "none");
        return receiver_say(v->fd, text);
    }
    if (is(q, "HLEN"))
        return sayf(v->fd, ":%ld\r\n", (long)v->r->entries);
    return answer_write(v, q, is(q, "HSET") ? (args - 2) / 2 : args - 2);
}

void receiver_start_redis(struct receiver *r)
{
    static const struct protocol redis = {.complete = complete, .answer = answer};
    receiver_start_as(r, &redis);
}
