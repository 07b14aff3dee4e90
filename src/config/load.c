/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as they are in force: variable, else stored, else default. */
#include "base/log.h"
#include "config/config_impl.h"
#include "config/stored.h"
#include "config/value.h"

const struct config_key config_enable_key = {.name = "enable", .type = CONFIG_ONOFF, .fallback = "off"};

struct config_value config_value(const struct config_stored *st, const char *subsys,
                                 const struct config_key *key, struct str id, struct arena *a)
{
    const char *name = config_env_name(a, subsys, key, id);
    const char *value = config_env(name);
    if (value) {
        struct config_value v = {.variable = name};
        v.text = key->flags & CONFIG_QUOTED ? str_c(value) : config_unquoted(str_c(value), &v.quoted);
        return v;
    }
    const struct stored_target *t = st ? stored_find(st, str_c(subsys), id) : NULL;
    struct str text;
    if (t && !(key->flags & CONFIG_ENV_ONLY) && stored_get(t, str_c(key->name), &text) &&
        (text.n > 0 || value_is_text(key)))
        return (struct config_value){.text = text, .stored = true};
    return (struct config_value){.text = str_c(key->fallback ? key->fallback : "")};
}

size_t config_ids(const struct config_stored *st, const char *subsys, struct arena *a, struct str **ids)
{
    struct str *env;
    size_t n = config_env_ids(subsys, a, &env), max = n + (st ? st->n : 0);
    *ids = ARENA_ARRAY(a, struct str, max + 1);
    if (n > 0)
        memcpy(*ids, env, n * sizeof(*env));
    for (size_t i = 0; st && i < st->n; i++)
        if (str_eq_c(st->v[i].subsys, subsys))
            (*ids)[n++] = st->v[i].id;
    return config_sort_ids(*ids, n);
}

/* How a message calls a value: its variable, or target and key. */
static const char *value_name(const struct config_value *v, const char *subsys, const struct config_key *key,
                              struct str id, struct arena *a)
{
    if (!v->stored)
        return v->variable ? v->variable : config_env_name(a, subsys, key, id);
    if (str_eq(id, CONFIG_DEFAULT_ID))
        return arena_printf(a, "%s of %s%c", key->name, subsys, 0).p;
    return arena_printf(a, "%s of %s:%.*s%c", key->name, subsys, STR_FMT(id), 0).p;
}

bool config_enabled(const struct config_stored *st, const char *subsys, struct str id, bool *enabled,
                    struct err *e)
{
    struct arena a;
    arena_init(&a);
    struct config_value v = config_value(st, subsys, &config_enable_key, id, &a);
    *enabled = false;
    bool ok = config_parse_onoff(v.text, enabled) ||
              value_refuse(&config_enable_key, v.text, value_name(&v, subsys, &config_enable_key, id, &a), e);
    arena_release(&a);
    return ok;
}

bool config_env_enabled(const char *subsys, struct str id, bool *enabled, struct err *e)
{
    return config_enabled(NULL, subsys, id, enabled, e);
}

static bool load_key(const struct config_stored *st, const char *subsys, const struct config_key *key,
                     struct str id, void *conf, struct arena *a, struct err *e)
{
    void *member = (char *)conf + key->offset;
    const char *fallback = key->fallback ? key->fallback : "";
    if (!value_store(key, str_c(fallback), member, a))
        BUG("default of %s.%s", subsys, key->name);
    struct config_value v = config_value(st, subsys, key, id, a);
    if (v.quoted)
        log_warn("config", "%s: the quotes around the value are not part of it and are ignored; remove them",
                 v.variable);
    if (v.text.n == 0 && (key->flags & CONFIG_REQUIRED))
        return err_set(e, "%s is not set: it must be %s", value_name(&v, subsys, key, id, a),
                       value_wanted(key));
    if ((!v.variable && !v.stored) || value_store(key, v.text, member, a))
        return true;
    return value_refuse(key, v.text, value_name(&v, subsys, key, id, a), e);
}

bool config_load_from(const struct config_stored *st, const char *subsys, const struct config_key *keys,
                      struct str id, void *conf, struct arena *a, struct err *e)
{
    bool ok = true;
    for (const struct config_key *k = keys; k->name; k++)
        if (!load_key(st, subsys, k, id, conf, a, ok ? e : NULL))
            ok = false;
    return ok;
}

bool config_load(const char *subsys, const struct config_key *keys, struct str id, void *conf,
                 struct arena *a, struct err *e)
{
    return config_load_from(NULL, subsys, keys, id, conf, a, e);
}

void config_fingerprint(const struct config_stored *st, const char *subsys, const struct config_key *keys,
                        struct str id, struct buf *out)
{
    struct arena a;
    arena_init(&a);
    buf_lstr(out, config_value(st, subsys, &config_enable_key, id, &a).text);
    for (const struct config_key *k = keys; k->name; k++)
        buf_lstr(out, config_value(st, subsys, k, id, &a).text);
    arena_release(&a);
}
