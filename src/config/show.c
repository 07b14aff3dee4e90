/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as text: get and export (notifications.md 3.6), and help as JSON (8.3). */
#include "config/show.h"

#include "base/json.h"
#include "config/text.h"

static bool has_blank(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ')
            return true;
    return false;
}

/* A variable may hold a line break, a line of this text may not. */
static void put_line_text(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_char(b, (unsigned char)s.p[i] < ' ' ? ' ' : s.p[i]);
}

static void put_variable(struct buf *b, const struct config_subsys *s, const struct config_key *key,
                         struct str id, struct arena *a)
{
    const char *name = config_env_name(a, s->name, key, id);
    const char *value = config_env(name);
    if (!value || (key->flags & CONFIG_SECRET))
        return;
    buf_printf(b, "# %s=", name);
    put_line_text(b, config_shown(key, str_c(value), a));
    buf_char(b, '\n');
}

/* What may stand around a value so that it is read as it is: what begins with a quote would lose it, and one that a blank
 * follows may end the value. */
static const char *quote_for(struct str value)
{
    bool odd = value.n > 0 && (value.p[0] == '"' || value.p[0] == '\'');
    if (!odd && !has_blank(value))
        return "";
    return str_find(value, STR("\" ")) >= 0 && str_chr(value, '\'') < 0 ? "'" : "\"";
}

static void put_pair(struct buf *b, const char *key, struct str value)
{
    const char *quote = quote_for(value);
    buf_printf(b, "%s=%s", key, quote);
    put_line_text(b, value);
    buf_printf(b, "%s ", quote);
}

static struct str stored_or_default(const struct stored_target *t, const struct config_key *key)
{
    struct str value;
    return t && stored_get(t, str_c(key->name), &value) ? value : str_c(key->fallback ? key->fallback : "");
}

static void put_key(struct buf *b, const struct stored_target *t, const struct config_key *key, bool secrets,
                    struct arena *a)
{
    struct str value = stored_or_default(t, key), any;
    bool when_set = key->type == CONFIG_SENTENCE || (key->flags & CONFIG_OURS);
    if ((key->flags & CONFIG_ENV_ONLY) || (value.n == 0 && (key->flags & CONFIG_HIDDEN)))
        return;
    if (when_set && (value.n == 0 || !t || !stored_get(t, str_c(key->name), &any)))
        return;
    if (!secrets && value.n > 0 && (key->flags & CONFIG_SECRET))
        return;
    put_pair(b, key->name, secrets ? value : config_shown(key, value, a));
}

static void put_target(struct buf *b, const struct config_subsys *s, const struct config_stored *st,
                       struct str id, bool export)
{
    struct arena a;
    const struct stored_target *t = stored_find(st, str_c(s->name), id);
    bool is_default = str_eq(id, CONFIG_DEFAULT_ID), on = false;
    arena_init(&a);
    if (s->type)
        put_variable(b, s, &config_enable_key, id, &a);
    for (const struct config_key *k = s->keys; k->name; k++)
        put_variable(b, s, k, id, &a);
    struct str enable = stored_or_default(t, &config_enable_key);
    bool known = config_parse_onoff(enable, &on);
    if (export && s->type && known && !on && (t || is_default))
        buf_puts(b, "# ");
    buf_puts(b, s->name);
    if (!is_default)
        buf_printf(b, ":%.*s", STR_FMT(id));
    buf_char(b, ' ');
    if (s->type && !on && (t || is_default))
        put_pair(b, config_enable_key.name, enable);
    for (const struct config_key *k = s->keys; (t || is_default) && k->name; k++)
        put_key(b, t, k, export, &a);
    buf_char(b, '\n');
    arena_release(&a);
}

void show_subsys(struct buf *b, const struct config_subsys *s, const struct config_stored *st, bool export)
{
    struct arena a;
    struct str *ids;
    arena_init(&a);
    put_target(b, s, st, CONFIG_DEFAULT_ID, export);
    size_t n = s->type ? config_ids(st, s->name, &a, &ids) : 0;
    for (size_t i = 0; i < n; i++)
        if (!str_eq(ids[i], CONFIG_DEFAULT_ID))
            put_target(b, s, st, ids[i], export);
    arena_release(&a);
}

bool show_target(struct buf *b, const struct config_subsys *s, const struct config_stored *st, struct str id)
{
    struct arena a;
    struct str *ids;
    bool found = str_eq(id, CONFIG_DEFAULT_ID);
    arena_init(&a);
    size_t n = s->type ? config_ids(st, s->name, &a, &ids) : 0;
    for (size_t i = 0; i < n; i++)
        found = found || str_eq(ids[i], id);
    if (found)
        put_target(b, s, st, id, false);
    arena_release(&a);
    return found;
}

/* --- help ---------------------------------------------------------------------------------------------------------- */

struct str config_help_type(const struct config_key *key, struct arena *a)
{
    static const char *const names[] = {
        [CONFIG_STRING] = "string",     [CONFIG_ONOFF] = "on|off", [CONFIG_NUMBER] = "number",
        [CONFIG_DURATION] = "duration", [CONFIG_PATH] = "path",    [CONFIG_URL] = "url",
        [CONFIG_SENTENCE] = "sentence", [CONFIG_CHOICE] = NULL,    [CONFIG_SIZE] = "size",
    };
    if (key->help_type)
        return str_c(key->help_type);
    if (key->type != CONFIG_CHOICE)
        return str_c(names[key->type]);
    /* The default with a star: "namespace*|access". */
    struct buf b;
    struct str rest = str_c(key->choices), word;
    buf_init(&b, 256);
    while (str_cut(&rest, '|', &word)) {
        buf_str(&b, word);
        buf_puts(&b, key->fallback && str_eq_c(word, key->fallback) ? "*" : "");
        buf_puts(&b, rest.p ? "|" : "");
    }
    struct str out = arena_dup(a, buf_view(&b));
    buf_release(&b);
    return out;
}

size_t config_help_keys(const struct config_subsys *s, bool env, struct arena *a,
                        const struct config_key ***out)
{
    size_t n = 0, max = 0;
    while (s->keys[max].name)
        max++;
    *out = ARENA_ARRAY(a, const struct config_key *, max + 1);
    struct str rest = str_c(s->help_order), name;
    while (s->help_order && str_cut(&rest, ' ', &name)) {
        const struct config_key *key = config_key_find(s, name);
        BUG_ON(!key);
        (*out)[n++] = key;
    }
    size_t ordered = n;
    for (const struct config_key *k = s->keys; k->name; k++) {
        bool there = (k->flags & CONFIG_ENV_ONLY) && !env;
        for (size_t i = 0; i < ordered; i++)
            there = there || (*out)[i] == k;
        if (!there)
            (*out)[n++] = k;
    }
    return n;
}

static void put_row(struct buf *b, bool *first, struct str key, struct str type, struct str text,
                    bool optional, bool targets)
{
    buf_puts(b, *first ? "" : ",");
    *first = false;
    buf_puts(b, "{\"key\":");
    json_quote(b, key);
    buf_puts(b, ",\"type\":");
    json_quote(b, type);
    buf_puts(b, ",\"description\":");
    json_quote(b, text);
    buf_printf(b, ",\"optional\":%s,\"multipleTargets\":%s}", optional ? "true" : "false",
               targets ? "true" : "false");
}

void show_help_all(struct buf *b, const struct config_table *table)
{
    bool first = true;
    buf_puts(b, "{\"subSys\":\"\",\"description\":\"\",\"multipleTargets\":false,\"keysHelp\":[");
    for (size_t i = 0; i < table->n; i++)
        put_row(b, &first, str_c(table->v[i].name), STR(""), str_c(table->v[i].help), false,
                table->v[i].type != NULL);
    buf_puts(b, "]}\n");
}

static void put_key_help(struct buf *b, bool *first, const struct config_subsys *s,
                         const struct config_key *key, bool env, struct arena *a)
{
    const char *name = env ? config_env_name(a, s->name, key, CONFIG_DEFAULT_ID) : key->name;
    bool required = key == &config_enable_key || (key->flags & CONFIG_REQUIRED);
    struct str text = key == &config_enable_key
                          ? arena_printf(a, "enable %s target, default is 'off'", s->name)
                          : str_c(key->help);
    put_row(b, first, str_c(name), config_help_type(key, a), text, !required, false);
}

bool show_help(struct buf *b, const struct config_subsys *s, struct str key, bool env)
{
    struct arena a;
    const struct config_key **keys;
    bool first = true, found = key.n == 0 || (s->type && str_eq_c(key, config_enable_key.name));
    arena_init(&a);
    buf_puts(b, "{\"subSys\":");
    json_quote(b, str_c(s->name));
    buf_puts(b, ",\"description\":");
    json_quote(b, str_c(s->help));
    buf_printf(b, ",\"multipleTargets\":%s,\"keysHelp\":[", s->type ? "true" : "false");
    if (s->type)
        put_key_help(b, &first, s, &config_enable_key, env, &a);
    size_t n = config_help_keys(s, env, &a, &keys);
    for (size_t i = 0; i < n; i++) {
        if (key.n > 0 && !str_eq_c(key, keys[i]->name))
            continue;
        put_key_help(b, &first, s, keys[i], env, &a);
        found = true;
    }
    buf_puts(b, "]}\n");
    arena_release(&a);
    return found;
}
