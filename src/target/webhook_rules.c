/* SPDX-License-Identifier: Apache-2.0
 *
 * What webhook decides by looking at text alone: headers, statuses, URLs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "target/webhook.h"

#define RETRY_AFTER_MAX_S 86400

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool webhook_authorization(struct str token, struct buf *out)
{
    size_t words = 0;
    for (size_t i = 0; i < token.n; i++)
        words += !is_space(token.p[i]) && (i == 0 || is_space(token.p[i - 1]));
    if (words != 1 && words != 2)
        return false;
    if (words == 1)
        buf_puts(out, "Bearer ");
    buf_str(out, str_trim(token));
    return true;
}

int64_t webhook_retry_after(struct str value, int64_t now_s)
{
    uint64_t seconds;
    int64_t date, wait = 0;
    value = str_trim(value);
    if (str_to_u64(value, &seconds))
        wait = seconds < RETRY_AFTER_MAX_S ? (int64_t)seconds : RETRY_AFTER_MAX_S;
    else if (clock_parse_http(value, &date) && date > now_s)
        wait = date - now_s < RETRY_AFTER_MAX_S ? date - now_s : RETRY_AFTER_MAX_S;
    return wait * 1000;
}

enum send_result webhook_outcome(long status, const char *shown, struct str location, const char *id,
                                 char *why, size_t why_n)
{
    const char *suffix = strcmp(id, "_") == 0 ? "" : id, *line = *suffix ? "_" : "";
    why[0] = 0;
    if (status >= 200 && status <= 299)
        return SEND_OK;
    switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
        (void)snprintf(why, why_n, "%s answered %ld: it refuses this event", shown, status);
        return SEND_REJECT;
    case 401:
    case 403:
        (void)snprintf(why, why_n, "%s answered %ld: check MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN%s%s", shown,
                       status, line, suffix);
        return SEND_RETRY;
    case 407:
        (void)snprintf(why, why_n, "the proxy before %s answered 407: check user and password in HTTP_PROXY",
                       shown);
        return SEND_RETRY;
    case 404:
    case 405:
    case 410:
        (void)snprintf(why, why_n, "%s answered %ld: check the path in MINIO_NOTIFY_WEBHOOK_ENDPOINT%s%s",
                       shown, status, line, suffix);
        return SEND_RETRY;
    case 408:
    case 429:
    case 503:
        (void)snprintf(why, why_n, "%s answered %ld: it is too busy", shown, status);
        return SEND_RETRY;
    default:
        break;
    }
    if (status >= 300 && status <= 399 && location.n > 0)
        (void)snprintf(
            why, why_n,
            "%s answered %ld, it moved to %.*s: set MINIO_NOTIFY_WEBHOOK_ENDPOINT%s%s to where it is", shown,
            status, (int)(location.n < 90 ? location.n : 90), location.p, line, suffix);
    else
        (void)snprintf(why, why_n, "%s answered %ld: check the receiver", shown, status);
    return SEND_RETRY;
}

/* --- URLs --------------------------------------------------------------------------------------------------------- */

struct url {
    struct str scheme, host, port,
        rest; /* host without brackets' meaning: as written; rest: path and what follows */
};

static struct url split(struct str s)
{
    struct url u = {0};
    ptrdiff_t at = str_find(s, STR("://"));
    if (at < 0)
        return u;
    u.scheme = str_head(s, (size_t)at);
    s = str_from(s, (size_t)at + 3);
    size_t n = 0;
    while (n < s.n && !memchr("/?#", s.p[n], 3))
        n++;
    u.rest = str_from(s, n);
    u.host = str_head(s, n);
    while ((at = str_chr(u.host, '@')) >= 0)
        u.host = str_from(u.host, (size_t)at + 1);
    for (size_t i = u.host.n; i-- > 0 && u.host.p[i] != ']';) {
        if (u.host.p[i] == ':') {
            u.port = str_from(u.host, i + 1);
            u.host = str_head(u.host, i);
            break;
        }
    }
    return u;
}

void webhook_shown(struct str url, struct buf *out)
{
    struct url u = split(url);
    buf_str(out, u.scheme);
    buf_puts(out, "://");
    buf_str(out, u.host);
    if (u.port.n > 0) {
        buf_char(out, ':');
        buf_str(out, u.port);
    }
    for (size_t i = 0; i < u.rest.n && u.rest.p[i] != '?' && u.rest.p[i] != '#'; i++)
        buf_char(out, u.rest.p[i]);
}

static struct str port_of(const struct url *u)
{
    return u->port.n > 0 ? u->port : str_ieq(u->scheme, STR("https")) ? STR("443") : STR("80");
}

bool webhook_same_origin(struct str a, struct str b)
{
    struct url x = split(a), y = split(b);
    return str_ieq(x.scheme, y.scheme) && str_ieq(x.host, y.host) && str_eq(port_of(&x), port_of(&y));
}

bool webhook_is_loopback(struct str url)
{
    struct url u = split(url);
    if (str_ieq(u.host, STR("localhost")) || str_eq(u.host, STR("[::1]")))
        return true;
    struct str rest = u.host, part;
    unsigned parts = 0;
    while (str_cut(&rest, '.', &part)) {
        uint64_t v;
        if (!str_to_u64(part, &v) || v > 255 || (parts == 0 && v != 127))
            return false;
        parts++;
    }
    return parts == 4;
}
