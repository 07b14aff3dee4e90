/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of keys: from text into the struct of their sub-system, judged, and shown. Pure. */
#include "config/value.h"

static bool parse_choice(const char *choices, struct str s, int *out)
{
    struct str rest = str_c(choices), word;
    for (int i = 0; str_cut(&rest, '|', &word); i++) {
        if (str_ieq(word, s)) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool value_store(const struct config_key *key, struct str s, void *member, struct arena *a)
{
    uint64_t u;
    switch (key->type) {
    case CONFIG_ONOFF:
        return config_parse_onoff(s, member);
    case CONFIG_NUMBER:
        if (s.n == 0) {
            *(int64_t *)member = 0;
            return true;
        }
        if (!str_to_u64(s, &u) || u > INT64_MAX)
            return false;
        *(int64_t *)member = (int64_t)u;
        return true;
    case CONFIG_DURATION:
        return config_parse_duration(s, member);
    case CONFIG_SIZE:
        *(int64_t *)member = -1;
        return s.n == 0 || config_parse_size(s, member);
    case CONFIG_CHOICE:
        return parse_choice(key->choices, s, member);
    case CONFIG_PATH:
        if (s.n > 0 && s.p[0] != '/')
            return false;
        break;
    case CONFIG_URL:
        if (s.n > 0 && !config_is_url(s))
            return false;
        break;
    case CONFIG_STRING:
    case CONFIG_SENTENCE:
        break;
    }
    *(char **)member = arena_strz(a, s);
    return true;
}

bool value_is_text(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_STRING:
    case CONFIG_SENTENCE:
    case CONFIG_PATH:
    case CONFIG_URL:
        return true;
    default:
        return false;
    }
}

const char *value_wanted(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_ONOFF:
        return "on or off";
    case CONFIG_NUMBER:
        return "a whole number, 0 or more";
    case CONFIG_DURATION:
        return "a duration such as 30s or 1m30s";
    case CONFIG_SIZE:
        return "a number of bytes, or one with K, M, G or T, as in 512M";
    case CONFIG_PATH:
        return "an absolute path, beginning with /";
    case CONFIG_URL:
        return "a URL such as http://host:port/path";
    case CONFIG_CHOICE:
        return key->choices;
    case CONFIG_STRING:
    case CONFIG_SENTENCE:
        break;
    }
    return "text";
}

/* No secret in a message: a URL or a DSN may hold one. */
static bool may_be_shown(const struct config_key *key, struct str value)
{
    return !(key->flags & (CONFIG_SECRET | CONFIG_LOGIN)) &&
           !(key->type == CONFIG_URL && str_chr(value, '@') >= 0);
}

bool value_refuse(const struct config_key *key, struct str value, const char *name, struct err *e)
{
    if (!may_be_shown(key, value))
        return err_set(e, "%s: the value must be %s", name, value_wanted(key));
    return err_set(e, "%s is '%.*s': it must be %s", name, (int)(value.n < 100 ? value.n : 100), value.p,
                   value_wanted(key));
}

bool config_check_value(const struct config_key *key, struct str value, const char *name, struct err *e)
{
    struct arena a;
    union {
        int64_t number;
        char *text;
        bool on;
        int choice;
    } member;
    if (value.n == 0 && !value_is_text(key))
        return true;
    arena_init(&a);
    bool ok = value_store(key, value, &member, &a) || value_refuse(key, value, name, e);
    arena_release(&a);
    return ok;
}

/* --- passwords inside a value --------------------------------------------------------------------------------------- */

#define MASK "***"

/* user:PASSWORD@ before a host, with or without a scheme in front. */
static struct str mask_login(struct str s, struct arena *a)
{
    ptrdiff_t scheme = str_find(s, STR("://"));
    size_t from = scheme < 0 ? 0 : (size_t)scheme + 3, at = s.n;
    while (at > from && s.p[at - 1] != '@')
        at--;
    ptrdiff_t colon = at > from ? str_chr(str_n(s.p + from, at - 1 - from), ':') : -1;
    if (colon < 0)
        return s;
    return arena_printf(a, "%.*s:" MASK "%.*s", (int)(from + (size_t)colon), s.p, (int)(s.n - at + 1),
                        s.p + at - 1);
}

/* The end of a value in "key=value key='va\'lue'" (libpq, connection strings). */
static size_t dsn_value_end(struct str s, size_t i)
{
    bool quoted = i < s.n && s.p[i] == '\'';
    for (i += quoted; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        else if (quoted ? s.p[i] == '\'' : s.p[i] == ' ' || s.p[i] == '&')
            return i + quoted;
    }
    return s.n;
}

/* password=..., also as part of sslpassword=. */
static struct str mask_pairs(struct str s, struct arena *a)
{
    struct str word = STR("password");
    struct buf b;
    size_t done = 0;
    buf_init(&b, s.n * 2 + 64);
    for (ptrdiff_t at; (at = str_find(str_from(s, done), word)) >= 0;) {
        size_t i = done + (size_t)at + word.n;
        while (i < s.n && s.p[i] == ' ')
            i++;
        bool pair = i < s.n && s.p[i] == '=';
        i += pair;
        while (pair && i < s.n && s.p[i] == ' ')
            i++;
        buf_put(&b, s.p + done, i - done);
        done = i;
        if (pair) {
            buf_puts(&b, MASK);
            done = dsn_value_end(s, i);
        }
    }
    buf_str(&b, str_from(s, done));
    struct str out = arena_dup(a, buf_view(&b));
    buf_release(&b);
    return out;
}

struct str config_shown(const struct config_key *key, struct str value, struct arena *a)
{
    if (key->flags & CONFIG_SECRET)
        return value.n ? STR(MASK) : value;
    if (key->type == CONFIG_URL)
        return mask_login(value, a);
    return key->flags & CONFIG_LOGIN ? mask_pairs(mask_login(value, a), a) : value;
}
