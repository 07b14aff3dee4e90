/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings out of the environment, by the tables of keys of their sub-systems. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

extern char **environ;

#define PREFIX     "MINIO_"
#define OUR_PREFIX "BELFRY_"

const char *config_env(const char *minio_name)
{
    const char *v = NULL;
    if (strncmp(minio_name, PREFIX, strlen(PREFIX)) == 0) {
        char ours[256];
        int n = snprintf(ours, sizeof(ours), OUR_PREFIX "%s", minio_name + strlen(PREFIX));
        if (n > 0 && (size_t)n < sizeof(ours))
            v = getenv(ours);
    }
    if (!v || !*v)
        v = getenv(minio_name);
    return v && *v ? v : NULL;
}

static struct str upper(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - 'a' + 'A' : s.p[i]);
    p[s.n] = 0;
    return str_n(p, s.n);
}

static const char *env_name(struct arena *a, const char *subsys, struct str suffix, struct str id)
{
    struct str sub = upper(a, str_c(subsys));
    bool named = !str_eq(id, STR("_"));
    struct str name = arena_printf(a, PREFIX "%.*s_%.*s%s%.*s", STR_FMT(sub), STR_FMT(suffix),
                                   named ? "_" : "", named ? (int)id.n : 0, id.p);
    return arena_strz(a, name);
}

const char *config_env_name(struct arena *a, const char *subsys, const struct config_key *key, struct str id)
{
    return env_name(a, subsys, key->env ? str_c(key->env) : upper(a, str_c(key->name)), id);
}

/* The value without quotes that enclose the whole of it: nothing that reads env files strips them, and no value of ours
 * begins and ends with one (minio/minio#21295). */
static struct str unquoted(const char *name, const char *value)
{
    struct str s = str_c(value);
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0]) {
        log_warn("config", "%s: the quotes around the value are not part of it and are ignored; remove them",
                 name);
        s = str_n(s.p + 1, s.n - 2);
    }
    return s;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The id in the name of an ENABLE variable of the sub-system; false for any other variable. */
static bool enable_id(struct str var, struct str base, struct str *id)
{
    struct str name;
    if (str_starts(var, STR(PREFIX)))
        name = str_from(var, strlen(PREFIX));
    else if (str_starts(var, STR(OUR_PREFIX)))
        name = str_from(var, strlen(OUR_PREFIX));
    else
        return false;
    if (!str_starts(name, base))
        return false;
    name = str_from(name, base.n);
    if (name.n == 0)
        *id = STR("_");
    else if (name.p[0] == '_' && name.n > 1 && !str_eq(name, STR("__")))
        *id = str_from(name, 1);
    else
        return false;
    return true;
}

size_t config_env_ids(const char *subsys, struct arena *a, struct str **ids)
{
    struct str sub = upper(a, str_c(subsys));
    struct str base = arena_printf(a, "%.*s_ENABLE", STR_FMT(sub));
    size_t vars = 0, n = 0, unique = 0;
    while (environ && environ[vars])
        vars++;
    *ids = ARENA_ARRAY(a, struct str, vars + 1);
    for (size_t i = 0; i < vars; i++) {
        struct str var = str_c(environ[i]), id;
        ptrdiff_t eq = str_chr(var, '=');
        if (eq <= 0 || (size_t)eq + 1 == var.n || !enable_id(str_head(var, (size_t)eq), base, &id))
            continue;
        (*ids)[n++] = arena_dup(a, id);
    }
    qsort(*ids, n, sizeof(**ids), by_bytes);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !str_eq((*ids)[i], (*ids)[unique - 1]))
            (*ids)[unique++] = (*ids)[i];
    return unique;
}

bool config_env_enabled(const char *subsys, struct str id, bool *enabled, struct err *e)
{
    struct arena a;
    arena_init(&a);
    const char *name = env_name(&a, subsys, STR("ENABLE"), id);
    const char *value = config_env(name);
    bool ok = true;
    *enabled = false;
    if (value) {
        struct str s = unquoted(name, value);
        ok = config_parse_onoff(s, enabled) ||
             err_set(e, "%s is '%.*s': it must be on or off", name, (int)(s.n < 60 ? s.n : 60), s.p);
    }
    arena_release(&a);
    return ok;
}

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

/* Puts the value of text s into its member; false when it is none. */
static bool store_value(const struct config_key *key, struct str s, void *member, struct arena *a)
{
    uint64_t u;
    switch (key->type) {
    case CONFIG_ONOFF:
        return config_parse_onoff(s, member);
    case CONFIG_NUMBER:
        if (!str_to_u64(s, &u) || u > INT64_MAX)
            return false;
        *(int64_t *)member = (int64_t)u;
        return true;
    case CONFIG_DURATION:
        return config_parse_duration(s, member);
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

static const char *wanted(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_ONOFF:
        return "on or off";
    case CONFIG_NUMBER:
        return "a whole number, 0 or more";
    case CONFIG_DURATION:
        return "a duration such as 30s or 1m30s";
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

static bool load_key(const char *subsys, const struct config_key *key, struct str id, void *conf,
                     struct arena *a, struct err *e)
{
    void *member = (char *)conf + key->offset;
    const char *fallback = key->fallback ? key->fallback : "";
    if (!store_value(key, str_c(fallback), member, a))
        BUG("default of %s.%s", subsys, key->name);
    const char *name = config_env_name(a, subsys, key, id);
    const char *value = config_env(name);
    if (!value) {
        if ((key->flags & CONFIG_REQUIRED) && !*fallback)
            return err_set(e, "%s is not set: it must be %s", name, wanted(key));
        return true;
    }
    struct str s = unquoted(name, value);
    if (store_value(key, s, member, a))
        return true;
    if ((key->flags & CONFIG_SECRET) || (key->type == CONFIG_URL && str_chr(s, '@') >= 0))
        return err_set(e, "%s: the value must be %s", name, wanted(key));
    return err_set(e, "%s is '%.*s': it must be %s", name, (int)(s.n < 100 ? s.n : 100), s.p, wanted(key));
}

bool config_load(const char *subsys, const struct config_key *keys, struct str id, void *conf,
                 struct arena *a, struct err *e)
{
    bool ok = true;
    for (const struct config_key *k = keys; k->name; k++)
        if (!load_key(subsys, k, id, conf, a, ok ? e : NULL))
            ok = false;
    return ok;
}
