/* SPDX-License-Identifier: Apache-2.0
 *
 * What redis decides by looking at bytes alone: values, what replies mean. */
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "target/redis.h"

bool redis_parse_address(struct str text, struct target_address *out, struct err *e)
{
    static const struct address_words words = {"address", "6379", "localhost:6379",
                                               ", without a scheme such as redis:// (for TLS set tls=on)"};
    return target_address_parse(text, &words, out, e);
}

/* --- what is sent ------------------------------------------------------------------------------------------------- */

void redis_value(struct buf *b, const struct event_ref *ev, enum plan_format format)
{
    if (format == FORMAT_NAMESPACE) {
        plan_records(b, ev);
        return;
    }
    buf_puts(b, "[{\"Event\":[");
    buf_str(b, ev->record);
    buf_puts(b, "],\"EventTime\":");
    json_quote(b, str_head(ev->event_time, 64));
    buf_puts(b, "}]");
}

/* --- what is answered --------------------------------------------------------------------------------------------- */

/* The first row that the reply begins with says what to do, and in which variable where it is in our hands. */
static const struct {
    const char *begin, *advice, *variable;
} errors[] = {
    {"WRONGTYPE", "the key holds another kind of value: choose another key, or rename the one there", "KEY"},
    {"NOAUTH", "it asks for a password", "PASSWORD"},
    {"WRONGPASS", "user or password is wrong", "PASSWORD"},
    {"ERR invalid password", "the password is wrong", "PASSWORD"},
    {"ERR AUTH <password> called without", "it has no password: set requirepass there, or leave it out here",
     "PASSWORD"},
    {"ERR Client sent AUTH, but no password",
     "it has no password: set requirepass there, or leave it out here", "PASSWORD"},
    {"ERR wrong number of arguments for 'auth'", "it is older than 6.0 and knows no users", "USER"},
    {"NOPERM",
     "allow the user HSET, HDEL and HLEN (format namespace) or RPUSH (access), TYPE and PING on this key",
     "USER"},
    {"DENIED", "it takes connections from its own machine only (protected mode): give it a password",
     "PASSWORD"},
    {"LOADING", "it is still loading its data", NULL},
    {"BUSY", "it is busy with a script", NULL},
    {"MASTERDOWN", "it is a replica without its primary: name the primary", "ADDRESS"},
    {"READONLY", "it is a replica, which takes no writes: name the primary", "ADDRESS"},
    {"OOM", "its memory is full: raise maxmemory there, or remove what is not needed", NULL},
    {"MISCONF", "it cannot save to its disk and so takes no writes: see its log", NULL},
    {"NOREPLICAS", "it has fewer replicas than its min-replicas-to-write", NULL},
    {"MOVED", "it is a node of a cluster, and the key lies on another one: name that", "ADDRESS"},
    {"ASK", "its cluster is moving the key to another node", "ADDRESS"},
    {"TRYAGAIN", "its cluster is moving the key to another node", NULL},
    {"CLUSTERDOWN", "its cluster does not work", NULL},
    {"ERR max number of clients", "it has too many clients: raise maxclients there", NULL},
    {"ERR unknown command", "4.0 or newer is needed, with this command not renamed", NULL},
    {"ERR wrong number of arguments", "4.0 or newer is needed", NULL},
};

/* A reply's text for messages: one line, not too long, and nothing of what was sent (it may be the password). */
static void shown_error(struct str error, char *out, size_t n)
{
    ptrdiff_t args = str_find(error, STR(", with args"));
    error = str_head(error, args >= 0 ? (size_t)args : error.n);
    size_t len = error.n < n - 1 ? error.n : n - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)((unsigned char)error.p[i] < ' ' || error.p[i] == 0x7f ? ' ' : error.p[i]);
    out[len] = 0;
}

static void variable_name(const struct redis_names *names, const char *variable, char *out, size_t n)
{
    bool named = strcmp(names->id, "_") != 0;
    (void)snprintf(out, n, "MINIO_NOTIFY_REDIS_%s%s%s", variable, named ? "_" : "", named ? names->id : "");
}

void redis_explain(const struct redis_names *names, struct str error, char *why, size_t why_n)
{
    char text[72], variable[96] = "";
    const char *advice = "see its log";
    shown_error(error, text, sizeof(text));
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (!str_starts(error, str_c(errors[i].begin)))
            continue;
        advice = errors[i].advice;
        if (errors[i].variable)
            variable_name(names, errors[i].variable, variable, sizeof(variable));
        break;
    }
    (void)snprintf(why, why_n, "%.60s answered '%s': %s%s%s%s", names->shown, text, advice,
                   variable[0] ? " (" : "", variable, variable[0] ? ")" : "");
}

void redis_explain_type(const struct redis_names *names, struct str found, char *why, size_t why_n)
{
    char text[24], variable[96];
    shown_error(found, text, sizeof(text));
    variable_name(names, "KEY", variable, sizeof(variable));
    (void)snprintf(
        why, why_n,
        "the key '%.40s' at %.50s is a %s, format %s needs a %s: set %s to another, or rename it there",
        names->key, names->shown, text, names->format == FORMAT_ACCESS ? "access" : "namespace",
        names->format == FORMAT_ACCESS ? "list" : "hash", variable);
}

bool redis_confirmed(const struct redis_names *names, const struct redisReply *reply, size_t n, char *why,
                     size_t why_n)
{
    long long most = names->format == FORMAT_ACCESS ? INT64_MAX : (long long)n;
    long long least = names->format == FORMAT_ACCESS ? (long long)n : 0;
    why[0] = 0;
    if (reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= least && reply->integer <= most)
        return true;
    if (reply && reply->type == REDIS_REPLY_ERROR)
        redis_explain(names, str_n(reply->str, reply->len), why, why_n);
    else
        (void)snprintf(why, why_n, "%.60s: %s", names->shown,
                       reply ? "an answer that is none of Redis' to this command" : "no answer");
    return false;
}
