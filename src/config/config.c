/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and values of the variables of the environment, by the tables of keys of their sub-systems. */
#include "config/config_impl.h"

#include <stdio.h>
#include <stdlib.h>

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

bool config_id_ok(struct str id)
{
    if (id.n == 0 || id.n > CONFIG_ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              c == '-' || (c == '.' && i > 0)))
            return false;
    }
    return true;
}

static const char *env_name(struct arena *a, const char *subsys, struct str suffix, struct str id)
{
    if (strcmp(subsys, CONFIG_SERVER) == 0)
        return arena_strz(a, arena_printf(a, PREFIX "%.*s", STR_FMT(suffix)));
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

struct str config_unquoted(struct str s, bool *quoted)
{
    *quoted = s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0];
    return *quoted ? str_n(s.p + 1, s.n - 2) : s;
}

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

size_t config_sort_ids(struct str *ids, size_t n)
{
    size_t unique = 0;
    qsort(ids, n, sizeof(*ids), by_bytes);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !str_eq(ids[i], ids[unique - 1]))
            ids[unique++] = ids[i];
    return unique;
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
    size_t vars = 0, n = 0;
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
    return config_sort_ids(*ids, n);
}
