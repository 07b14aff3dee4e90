/* SPDX-License-Identifier: Apache-2.0
 *
 * What amqp decides by looking at text alone: its URL, and what the broker says when it closes. */
#include <stdio.h>
#include <stdlib.h>

#include "target/amqp.h"

/* --- the URL ------------------------------------------------------------------------------------------------------ */

static int hex(char c)
{
    const char *digits = "0123456789abcdefABCDEF", *d = c ? strchr(digits, c) : NULL;
    return !d ? -1 : d - digits < 16 ? (int)(d - digits) : (int)(d - digits) - 6;
}

/* Percent-decoded, with a NUL at its end. False when it is malformed, too long, or holds a NUL. */
static bool decode(struct str s, char *out, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1, low = i + 2 < s.n ? hex(s.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == 0 || len + 1 >= n)
            return false;
        out[len++] = c;
    }
    out[len] = 0;
    return true;
}

/* host, host:port, [IPv6] or [IPv6]:port; each may be left out. */
static bool parse_host(struct str text, struct rabbit_address *out, struct err *e)
{
    struct str host, port = {0};
    uint64_t number = out->tls ? 5671 : 5672;
    if (text.n > 0 && text.p[0] == '[') {
        ptrdiff_t end = str_chr(text, ']');
        host = end < 0 ? (struct str){0} : str_n(text.p + 1, (size_t)end - 1);
        port = end < 0 ? text : str_from(text, (size_t)end + 1);
        if (host.n == 0 || (port.n > 0 && port.p[0] != ':'))
            return err_set(e, "url has a broken address in brackets: amqp://user:password@[::1]:5672");
        port = str_from(port, port.n > 0);
    } else {
        ptrdiff_t colon = str_chr(text, ':');
        host = colon < 0 ? text : str_head(text, (size_t)colon);
        port = colon < 0 ? port : str_from(text, (size_t)colon + 1);
    }
    if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 || number > 65535))
        return err_set(
            e, "url must have a port from 1 to 65535 (a : or / in the password is written %%3A, %%2F)");
    if (!decode(host.n > 0 ? host : STR("localhost"), out->host, sizeof(out->host)))
        return err_set(e, "url has a host that cannot be one");
    for (const char *p = out->host; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || strchr("/@?#[]", *p))
            return err_set(e, "url has a host that cannot be one");
    bool v6 = strchr(out->host, ':') != NULL;
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    (void)snprintf(out->shown, sizeof(out->shown), "%s%s%s:%s", v6 ? "[" : "", out->host, v6 ? "]" : "",
                   out->port);
    return true;
}

static bool parse_login(struct str text, struct rabbit_address *out, struct err *e)
{
    ptrdiff_t colon = str_chr(text, ':');
    struct str user = colon < 0 ? text : str_head(text, (size_t)colon);
    struct str password = colon < 0 ? (struct str){0} : str_from(text, (size_t)colon + 1);
    if (!decode(user, out->user, sizeof(out->user)) ||
        !decode(password, out->password, sizeof(out->password)))
        return err_set(e, "url has a user or password that is not percent-encoded text of up to %d bytes",
                       RABBIT_LOGIN_MAX);
    return true;
}

/* Parameters that Go's client knows and that mean something here; the others (heartbeat, connection_timeout, channel_max)
 * are ours to choose. */
static bool parse_parameters(struct str text, struct rabbit_address *out, struct err *e)
{
    struct {
        const char *name;
        char *to;
        size_t n;
    } files[] = {{"cacertfile", out->ca_file, sizeof(out->ca_file)},
                 {"certfile", out->cert_file, sizeof(out->cert_file)},
                 {"keyfile", out->key_file, sizeof(out->key_file)}};
    struct str one, mechanism = STR("auth_mechanism=");
    while (text.n > 0 && str_cut(&text, '&', &one)) {
        for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
            ptrdiff_t equals = str_chr(one, '=');
            if (equals < 0 || !str_eq_c(str_head(one, (size_t)equals), files[i].name))
                continue;
            if (!decode(str_from(one, (size_t)equals + 1), files[i].to, files[i].n))
                return err_set(e, "url has a %s that is not the name of a file", files[i].name);
        }
        if (!str_starts(one, mechanism))
            continue;
        out->external = str_ieq(str_from(one, mechanism.n), STR("external"));
        if (!out->external && !str_ieq(str_from(one, mechanism.n), STR("plain")))
            return err_set(e, "url has an auth_mechanism that is neither plain nor external");
    }
    if (!out->cert_file[0] != !out->key_file[0])
        return err_set(e, "url needs certfile and keyfile together");
    return true;
}

bool rabbit_parse_url(struct str url, struct rabbit_address *out, struct err *e)
{
    memset(out, 0, sizeof(*out));
    /* A password may stand in what is refused here, so it is not shown. */
    bool plain = str_istarts(url, STR("amqp://"));
    out->tls = str_istarts(url, STR("amqps://"));
    if (!plain && !out->tls)
        return err_set(
            e, "url must begin with amqp:// or amqps://, such as amqp://myuser:mypassword@localhost:5672");
    struct str rest = str_from(url, out->tls ? 8 : 7), query = {0}, path = {0}, login = {0};
    ptrdiff_t at = str_chr(rest, '?');
    if (at >= 0) {
        query = str_from(rest, (size_t)at + 1);
        rest = str_head(rest, (size_t)at);
    }
    if ((at = str_chr(rest, '/')) >= 0) {
        path = str_from(rest, (size_t)at + 1);
        rest = str_head(rest, (size_t)at);
    }
    for (ptrdiff_t next; (next = str_chr(rest, '@')) >= 0; rest = str_from(rest, (size_t)next + 1)) {
        if (login.p) /* a password with a bare @, as Go takes it: the last one ends it */
            login.n += (size_t)next + 1;
        else
            login = str_head(rest, (size_t)next);
    }
    if (login.p ? !parse_login(login, out, e) : !parse_login(STR("guest:guest"), out, e))
        return false;
    if (!decode(path.n > 0 ? path : STR("/"), out->vhost, sizeof(out->vhost)))
        return err_set(e, "url has a vhost that is not percent-encoded text of up to %d bytes",
                       RABBIT_SHORT_MAX);
    return parse_host(rest, out, e) && parse_parameters(query, out, e);
}

/* --- what is answered --------------------------------------------------------------------------------------------- */

void rabbit_variable(const struct rabbit_names *names, const char *key, char *out, size_t n)
{
    bool named = strcmp(names->id, "_") != 0;
    (void)snprintf(out, n, "MINIO_NOTIFY_AMQP_%s%s%s", key, named ? "_" : "", named ? names->id : "");
}

/* The first row of that code (0: any) whose part is in the text says what to do, and in which variable where it is in our
 * hands. */
static const struct {
    unsigned code;
    const char *part, *advice, *variable;
} replies[] = {
    {403, "Login was refused", "user or password is wrong", "URL"},
    {403, "internal exchange", "nobody can publish to an internal exchange: turn it off here and there",
     "INTERNAL"},
    {403, "access to exchange", "give the user configure and write on the exchange", "URL"},
    {403, "access to topic", "give the user write on the topic", "ROUTING_KEY"},
    {403, "reserved prefix", "names that begin with amq. are the broker's: choose another", "EXCHANGE"},
    {403, "default exchange", "the user may not write there", "URL"},
    {404, "no exchange", "declare it there, or set its type here", "EXCHANGE_TYPE"},
    {406, "larger than", "raise max_message_size there", NULL},
    {406, "inequivalent arg", "it is there with other settings: set the same here, or choose another name",
     "EXCHANGE"},
    {503, "exchange type", "the broker does not know this type of exchange", "EXCHANGE_TYPE"},
    {530, "vhost", "the vhost is missing there, or the user may not use it", "URL"},
    {530, "user", "the user may not do that, or has too many connections", "URL"},
    {320, "", "it was shut down, or somebody closed the connection there", NULL},
    {506, "", "it is short of resources", NULL},
};

void rabbit_shown(struct str text, char *out, size_t n)
{
    size_t len = text.n < n - 1 ? text.n : n - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f ? ' ' : text.p[i]);
    out[len] = 0;
}

void rabbit_explain(const struct rabbit_names *names, unsigned code, struct str text, char *why, size_t why_n)
{
    char shown[80], variable[112] = ""; /* all of it has to fit into SEND_WHY */
    const char *advice = "see its log";
    rabbit_shown(text, shown, sizeof(shown));
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        if (replies[i].code != code || str_find(text, str_c(replies[i].part)) < 0)
            continue;
        advice = replies[i].advice;
        if (replies[i].variable)
            rabbit_variable(names, replies[i].variable, variable, sizeof(variable));
        break;
    }
    (void)snprintf(why, why_n, "%.60s closed with %u '%s': %s%s%s%s", names->shown, code, shown, advice,
                   variable[0] ? " (" : "", variable, variable[0] ? ")" : "");
}

uint64_t rabbit_size_limit(struct str text)
{
    static const char larger[] = "is larger than", size[] = "size ";
    uint64_t limit = 0;
    ptrdiff_t at = str_find(text, STR(larger));
    struct str rest = at < 0 ? (struct str){0} : str_from(text, (size_t)at);
    if (!str_starts(text, STR("PRECONDITION_FAILED - message size ")) || (at = str_find(rest, STR(size))) < 0)
        return 0;
    rest = str_from(rest, (size_t)at + strlen(size));
    size_t digits = 0;
    while (digits < rest.n && rest.p[digits] >= '0' && rest.p[digits] <= '9')
        digits++;
    return str_to_u64(str_head(rest, digits), &limit) ? limit : 0;
}

void rabbit_explain_return(const struct rabbit_names *names, struct str text, char *why, size_t why_n)
{
    char shown[40], variable[112];
    rabbit_shown(text, shown, sizeof(shown));
    rabbit_variable(names, "MANDATORY", variable, sizeof(variable));
    (void)snprintf(
        why, why_n,
        "unroutable (%s): no queue is bound to exchange '%.32s' for routing key '%.32s'; bind one at %.32s, "
        "or turn %.60s off",
        shown, names->exchange, names->routing_key, names->shown, variable);
}
