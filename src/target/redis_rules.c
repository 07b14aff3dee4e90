/* SPDX-License-Identifier: Apache-2.0
 *
 * What redis decides by looking at bytes alone: addresses, values, what replies mean. */
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "target/redis.h"

/* --- addresses ---------------------------------------------------------------------------------------------------- */

static bool split_port(struct str text, struct str *host, struct str *port)
{
    *port = (struct str){0};
    if (text.n > 0 && text.p[0] == '[') {
        ptrdiff_t end = str_chr(text, ']');
        if (end < 2)
            return false;
        *host = str_n(text.p + 1, (size_t)end - 1);
        struct str rest = str_from(text, (size_t)end + 1);
        if (rest.n > 0 && rest.p[0] != ':')
            return false;
        if (rest.n > 0)
            *port = str_from(rest, 1);
        return rest.n != 1;
    }
    ptrdiff_t colon = str_chr(text, ':');
    *host = colon < 0 ? text : str_head(text, (size_t)colon);
    if (colon >= 0)
        *port = str_from(text, (size_t)colon + 1);
    return host->n > 0 && (colon < 0 || port->n > 0);
}

static bool host_ok(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || host.p[i] == 0x7f || memchr("/@?#[]", host.p[i], 6))
            return false;
    return host.n > 0 && host.n < sizeof(((struct redis_address *)0)->host);
}

bool redis_parse_address(struct str text, struct redis_address *out, struct err *e)
{
    struct str host, port;
    uint64_t number = 6379;
    /* A password may stand in what is refused here, so it is not shown. */
    if (str_find(text, STR("://")) >= 0)
        return err_set(e,
                       "address must be host:port, without a scheme such as redis:// (for TLS set tls=on)");
    if (!split_port(text, &host, &port) || !host_ok(host))
        return err_set(e, "address must be host:port, such as localhost:6379 or [::1]:6379");
    if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 || number > 65535))
        return err_set(e, "address must end in a port from 1 to 65535");
    bool v6 = str_chr(host, ':') >= 0;
    (void)snprintf(out->host, sizeof(out->host), "%.*s", STR_FMT(host));
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    (void)snprintf(out->shown, sizeof(out->shown), "%s%s%s:%s", v6 ? "[" : "", out->host, v6 ? "]" : "",
                   out->port);
    return true;
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
