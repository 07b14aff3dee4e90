/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT's settings, and what a refused login means. */
#include <stdio.h>

#include "base/encode.h"
#include "target/mqtt.h"

static const struct scheme {
    const char *name, *port;
    bool tls, ws;
} schemes[] = {
    {"tcp", "1883", false, false},  {"ssl", "8883", true, false},   {"tls", "8883", true, false},
    {"tcps", "8883", true, false},  {"ws", "80", false, true},      {"wss", "443", true, true},
    {"mqtt", "1883", false, false}, {"mqtts", "8883", true, false},
};

static const struct scheme *scheme_of(struct str name)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (str_ieq(name, str_c(schemes[i].name)))
            return &schemes[i];
    return NULL;
}

/* A percent-encoded piece; false when it is none, too long, or holds a NUL. */
static bool decode(struct str in, char *out, size_t n)
{
    struct buf b;
    buf_init(&b, n - 1);
    bool ok = pct_decode(&b, in, false) && !b.failed && str_chr(buf_view(&b), 0) < 0;
    if (ok && b.len > 0)
        memcpy(out, b.p, b.len);
    out[ok ? b.len : 0] = 0;
    buf_release(&b);
    return ok;
}

static bool take_login(struct str login, struct mqtt_address *out, struct err *e)
{
    struct str user = login, pass = {0};
    ptrdiff_t colon = str_chr(login, ':');
    if (colon >= 0) {
        user = str_head(login, (size_t)colon);
        pass = str_from(login, (size_t)colon + 1);
    }
    return (decode(user, out->user, sizeof(out->user)) && decode(pass, out->pass, sizeof(out->pass))) ||
           err_set(e, "user and password in broker have to be percent-encoded, and at most 255 bytes long");
}

static bool take_path(struct str path, struct mqtt_address *out, struct err *e)
{
    path = str_head(path, str_chr(path, '#') >= 0 ? (size_t)str_chr(path, '#') : path.n);
    if (path.n >= sizeof(out->path) - 1)
        return err_set(e, "the path in broker is longer than 500 bytes");
    for (size_t i = 0; i < path.n; i++)
        if ((unsigned char)path.p[i] <= ' ' || (unsigned char)path.p[i] >= 0x7f)
            return err_set(e, "the path in broker has to be percent-encoded");
    (void)snprintf(out->path, sizeof(out->path), "%s%.*s", path.n > 0 && path.p[0] == '/' ? "" : "/",
                   STR_FMT(path));
    return true;
}

bool mqtt_parse_url(struct str text, struct mqtt_address *out, struct err *e)
{
    ptrdiff_t colon = str_find(text, STR("://")), end = -1, at = -1;
    const struct scheme *s = colon < 0 ? NULL : scheme_of(str_head(text, (size_t)colon));
    if (!s)
        return err_set(e, "broker must begin with tcp://, ssl://, tls://, tcps://, ws:// or wss://, such as "
                          "tcp://localhost:1883");
    memset(out, 0, sizeof(*out));
    out->tls = s->tls;
    out->ws = s->ws;
    struct str rest = str_from(text, (size_t)colon + 3);
    for (size_t i = 0; i < rest.n && end < 0; i++)
        end = memchr("/?#", rest.p[i], 3) ? (ptrdiff_t)i : -1;
    struct str place = end < 0 ? rest : str_head(rest, (size_t)end);
    for (size_t i = 0; i < place.n; i++)
        at = place.p[i] == '@' ? (ptrdiff_t)i : at;
    if (at >= 0 && !take_login(str_head(place, (size_t)at), out, e))
        return false;
    const struct address_words words = {"broker", s->port, "tcp://localhost:1883", ""};
    if (!target_address_parse(str_from(place, (size_t)(at + 1)), &words, &out->to, e) ||
        !take_path(end < 0 ? (struct str){0} : str_from(rest, (size_t)end), out, e))
        return false;
    (void)snprintf(out->host_header, sizeof(out->host_header), "%s", out->to.shown);
    return true;
}

bool mqtt_topic_ok(struct str topic)
{
    for (size_t i = 0; i < topic.n; i++)
        if (topic.p[i] == '#' || topic.p[i] == '+' || topic.p[i] == 0)
            return false;
    return topic.n > 0 && topic.n <= 1024 && str_utf8_valid(topic);
}

/* --- a refused login ---------------------------------------------------------------------------------------------- */

void mqtt_explain(const struct mqtt_names *names, uint8_t code, char *why, size_t why_n)
{
    static const struct {
        const char *text, *variable;
    } codes[] = {
        {"an answer that is none of MQTT's", NULL},
        {"it does not speak MQTT 3.1.1", NULL},
        {"it does not take our client id", NULL},
        {"it is not available: see its log", NULL},
        {"user name or password is wrong", "PASSWORD"},
        {"user name or password is wrong or missing, or this user may not connect", "PASSWORD"},
    };
    unsigned n = code < sizeof(codes) / sizeof(codes[0]) ? code : 0;
    bool named = strcmp(names->id, "_") != 0;
    (void)snprintf(why, why_n, "%.60s refused the login (code %u): %s", names->shown, code, codes[n].text);
    size_t len = strlen(why);
    if (codes[n].variable)
        (void)snprintf(why + len, why_n - len, " (MINIO_NOTIFY_MQTT_USERNAME%s%.60s and _%s)",
                       named ? "_" : "", named ? names->id : "", codes[n].variable);
}
