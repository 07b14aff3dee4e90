/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of settings from their text. Pure. */
#include "config/config.h"

bool config_parse_onoff(struct str s, bool *out)
{
    static const struct {
        const char *text;
        bool on;
    } words[] = {{"on", true},   {"true", true},   {"t", true},  {"1", true},  {"enabled", true},
                 {"off", false}, {"false", false}, {"f", false}, {"0", false}, {"disabled", false}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (str_ieq(s, str_c(words[i].text))) {
            *out = words[i].on;
            return true;
        }
    }
    return false;
}

#define DURATION_MAX_MS (100LL * 365 * 86400 * 1000)

/* Takes digits[.digits] off the front, as a whole number of millionths. */
static bool take_decimal(struct str *s, int64_t *millionths)
{
    int64_t v = 0, scale = 1000000;
    size_t i = 0, digits = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, digits++) {
        if (v > DURATION_MAX_MS)
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    if (v > INT64_MAX / 1000000)
        return false;
    v *= 1000000;
    if (i < s->n && s->p[i] == '.') {
        for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, digits++) {
            scale /= 10;
            v += (s->p[i] - '0') * scale;
        }
    }
    if (digits == 0)
        return false;
    *s = str_from(*s, i);
    *millionths = v;
    return true;
}

static bool take_unit(struct str *s, double *ms)
{
    static const struct {
        const char *text;
        double ms;
    } units[] = {{"ns", 1e-6},  {"us", 1e-3},   {"\xc2\xb5s", 1e-3}, {"\xce\xbcs", 1e-3}, {"ms", 1},
                 {"s", 1000.0}, {"m", 60000.0}, {"h", 3600000.0},    {"d", 86400000.0}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_starts(*s, str_c(units[i].text))) {
            *s = str_from(*s, strlen(units[i].text));
            *ms = units[i].ms;
            return true;
        }
    }
    return false;
}

bool config_parse_duration(struct str s, int64_t *ms)
{
    uint64_t plain;
    if (str_to_u64(s, &plain)) {
        if (plain > DURATION_MAX_MS / 1000)
            return false;
        *ms = (int64_t)plain * 1000;
        return true;
    }
    double total = 0;
    if (s.n == 0)
        return false;
    while (s.n > 0) {
        int64_t millionths;
        double unit;
        if (!take_decimal(&s, &millionths) || !take_unit(&s, &unit))
            return false;
        total += (double)millionths * 1e-6 * unit;
        if (total > (double)DURATION_MAX_MS)
            return false;
    }
    *ms = (int64_t)(total + 0.5);
    return true;
}

bool config_parse_size(struct str s, int64_t *bytes)
{
    static const char units[] = "KMGT";
    size_t digits = 0;
    uint64_t n;
    unsigned shift = 0;
    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    struct str unit = str_from(s, digits);
    if (unit.n) {
        char c = (char)(unit.p[0] >= 'a' && unit.p[0] <= 'z' ? unit.p[0] - 'a' + 'A' : unit.p[0]);
        const char *u = c ? strchr(units, c) : NULL;
        struct str tail = str_from(unit, 1);
        if (!u || (tail.n && !str_ieq(tail, STR("iB")) && !str_ieq(tail, STR("B"))))
            return false;
        shift = 10 * (unsigned)(u - units + 1);
    }
    if (!str_to_u64(str_head(s, digits), &n) || n > ((uint64_t)INT64_MAX >> shift))
        return false;
    *bytes = (int64_t)(n << shift);
    return true;
}

bool config_is_url(struct str s)
{
    struct str rest;
    if (str_istarts(s, STR("http://")))
        rest = str_from(s, 7);
    else if (str_istarts(s, STR("https://")))
        rest = str_from(s, 8);
    else
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    size_t n = 0;
    while (n < rest.n && !memchr("/?#", rest.p[n], 3))
        n++;
    struct str host = str_head(rest, n);
    ptrdiff_t at;
    while ((at = str_chr(host, '@')) >= 0)
        host = str_from(host, (size_t)at + 1);
    return host.n > 0 && host.p[0] != ':';
}
