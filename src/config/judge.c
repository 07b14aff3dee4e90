/* SPDX-License-Identifier: Apache-2.0
 *
 * What is refused when settings are changed. A target that cannot be reached is none of it. */
#include "config/judge.h"

static const char *key_name(const struct config_subsys *s, struct str id, const char *key, struct arena *a)
{
    bool named = s->type && !str_eq(id, CONFIG_DEFAULT_ID);
    return arena_printf(a, "'%s' of %s%s%.*s%c", key, s->name, named ? ":" : "", named ? (int)id.n : 0, id.p,
                        0)
        .p;
}

/* What is stored is of the right form, whether it is enabled or not. */
static bool values_ok(const struct config_subsys *s, const struct stored_target *t, struct arena *a,
                      struct err *why)
{
    for (size_t i = 0; t && i < t->n; i++) {
        const struct config_key *key = config_key_find(s, t->pairs[i].key);
        if (key && !config_check_value(key, t->pairs[i].value, key_name(s, t->id, key->name, a), why))
            return false;
    }
    return true;
}

static bool required_ok(const struct config_subsys *s, const struct config_stored *st, struct str id,
                        struct arena *a, struct err *why)
{
    for (const struct config_key *k = s->keys; k->name; k++)
        if ((k->flags & CONFIG_REQUIRED) && config_value(st, s->name, k, id, a).text.n == 0)
            return err_set(why, "'%s' is not optional for '%s' sub-system, please check '%s' documentation",
                           k->name, s->name, s->name);
    return true;
}

/* The values of an enabled target, taken together. */
static enum config_result whole_ok(const struct config_subsys *s, const struct config_stored *st,
                                   struct str id, struct arena *a, struct err *why)
{
    struct err e = {0};
    void *conf = arena_zalloc(a, s->conf_size);
    if (!config_load_from(st, s->name, s->keys, id, conf, a, why))
        return CONFIG_REFUSED;
    if ((!s->check || s->check(conf, &e)) && (!s->prepare || s->prepare(conf, &e)))
        return CONFIG_OK;
    if (s->type)
        (void)err_set(why, "error (%.*s:%s): %s", STR_FMT(id), s->type, e.text);
    else
        (void)err_set(why, "%s", e.text);
    return CONFIG_BAD;
}

static enum config_result judge_one(const struct config_subsys *s, const struct config_stored *st,
                                    struct str id, struct arena *a, struct err *why)
{
    bool on = true;
    if (!values_ok(s, stored_find(st, str_c(s->name), id), a, why) ||
        (s->type && !config_enabled(st, s->name, id, &on, why)))
        return CONFIG_REFUSED;
    if (!on)
        return CONFIG_OK;
    return required_ok(s, st, id, a, why) ? whole_ok(s, st, id, a, why) : CONFIG_REFUSED;
}

static bool number_ok(const struct config_table *table, const struct config_stored *st, struct arena *a,
                      struct err *why)
{
    size_t enabled = 0;
    if (st->n > STORED_TARGETS_MAX)
        return err_set(why, "at most %d targets can be kept", STORED_TARGETS_MAX);
    for (size_t i = 0; i < table->n; i++) {
        struct str *ids;
        size_t n = table->v[i].type ? config_ids(st, table->v[i].name, a, &ids) : 0;
        for (size_t k = 0; k < n; k++) {
            bool on;
            enabled += config_enabled(st, table->v[i].name, ids[k], &on, NULL) && on;
        }
    }
    return enabled <= JUDGE_ENABLED_MAX ||
           err_set(why, "at most %d targets can be enabled", JUDGE_ENABLED_MAX);
}

enum config_result judge(const struct config_table *table, const struct config_stored *st,
                         const struct text *text, struct err *why)
{
    struct arena a;
    enum config_result r = CONFIG_OK;
    arena_init(&a);
    for (size_t i = 0; text && r == CONFIG_OK && i < text->n; i++)
        r = judge_one(text->lines[i].subsys, st, text->lines[i].id, &a, why);
    for (size_t i = 0; !text && r == CONFIG_OK && i < st->n; i++) {
        const struct config_subsys *s = config_find(table, st->v[i].subsys);
        if (s)
            r = judge_one(s, st, st->v[i].id, &a, why);
    }
    if (r == CONFIG_OK && !number_ok(table, st, &a, why))
        r = CONFIG_REFUSED;
    arena_release(&a);
    return r;
}
