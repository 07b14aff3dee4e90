/* SPDX-License-Identifier: Apache-2.0
 *
 * What every HTTP target decides by looking at text alone: URLs, Retry-After. */
#include "base/clock.h"
#include "target/http.h"

#define RETRY_AFTER_MAX_S 86400

int64_t http_retry_after(struct str value, int64_t now_s)
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

void http_shown(struct str url, struct buf *out)
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

bool http_same_origin(struct str a, struct str b)
{
    struct url x = split(a), y = split(b);
    return str_ieq(x.scheme, y.scheme) && str_ieq(x.host, y.host) && str_eq(port_of(&x), port_of(&y));
}

bool http_is_loopback(struct str url)
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
