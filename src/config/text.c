/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the text of mc admin config. */
#include "config/text.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str skip_blanks(struct str s)
{
    while (s.n > 0 && is_blank(s.p[0]))
        s = str_from(s, 1);
    return s;
}

/* --- names --------------------------------------------------------------------------------------------------------- */

const struct config_subsys *config_find(const struct config_table *table, struct str name)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct config_subsys *s = &table->v[i];
        if (str_eq_c(name, s->name) || (s->alias && str_eq_c(name, s->alias)))
            return s;
    }
    return NULL;
}

const struct config_key *config_key_find(const struct config_subsys *s, struct str name)
{
    if (s->type && str_eq_c(name, config_enable_key.name))
        return &config_enable_key;
    for (const struct config_key *k = s->keys; k->name; k++)
        if (!(k->flags & CONFIG_ENV_ONLY) && str_eq_c(name, k->name))
            return k;
    return NULL;
}

static const struct config_alias *find_alias(const struct config_subsys *s, struct str name)
{
    for (const struct config_alias *al = s->aliases; al && al->name; al++)
        if (str_eq_c(name, al->name))
            return al;
    return NULL;
}

const struct config_subsys *text_name(const struct config_table *table, struct str text, struct str *id)
{
    ptrdiff_t colon = str_chr(text, ':');
    *id = (struct str){NULL, 0};
    if (colon >= 0) {
        *id = str_from(text, (size_t)colon + 1);
        if (id->n == 0)
            *id = CONFIG_DEFAULT_ID;
        text = str_head(text, (size_t)colon);
    }
    return config_find(table, text);
}

/* --- words that are keys ------------------------------------------------------------------------------------------- */

struct word {
    struct str name;
    const struct config_key *key;    /* NULL: not one of the sub-system's */
    const struct config_alias *gone; /* it had such a key */
};

/* "name=" at the front of s; false when there is no such form. */
static bool word_at(const struct config_subsys *sub, struct str s, struct word *out)
{
    size_t n = 0;
    while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= '0' && s.p[n] <= '9') || s.p[n] == '_'))
        n++;
    if (n == 0 || n == s.n || s.p[n] != '=')
        return false;
    *out = (struct word){.name = str_head(s, n)};
    out->key = config_key_find(sub, out->name);
    const struct config_alias *al = out->key ? NULL : find_alias(sub, out->name);
    if (al && al->key)
        out->key = config_key_find(sub, str_c(al->key));
    else
        out->gone = al;
    return true;
}

/* Does a key of the sub-system stand here? A connection string (in_login) has words of its own that were once keys. */
static bool key_at(const struct config_subsys *sub, bool in_login, struct str s)
{
    struct word w;
    return word_at(sub, s, &w) && (w.key || (w.gone && !in_login));
}

/* Bytes of s, which begins right behind the '=' of a key, before the next key. */
static size_t plain_length(const struct config_subsys *sub, bool in_login, struct str s)
{
    for (size_t i = 1; i < s.n; i++)
        if (is_blank(s.p[i - 1]) && !is_blank(s.p[i]) && key_at(sub, in_login, str_from(s, i)))
            return i;
    return s.n;
}

/* s begins with a quote: the length up to and with the one that ends the value; 0: there is none. */
static size_t quoted_length(const struct config_subsys *sub, bool in_login, struct str s)
{
    for (size_t i = 1; i < s.n; i++) {
        if (s.p[i] != s.p[0] || (i + 1 < s.n && !is_blank(s.p[i + 1])))
            continue;
        struct str rest = skip_blanks(str_from(s, i + 1));
        if (rest.n == 0 || key_at(sub, in_login, rest))
            return i + 1;
    }
    return 0;
}

/* Takes a value off the front of *rest. */
static struct str take_value(const struct config_subsys *sub, bool in_login, struct str *rest)
{
    struct str s = skip_blanks(*rest);
    if (s.n > 0 && (s.p[0] == '"' || s.p[0] == '\'')) {
        size_t n = quoted_length(sub, in_login, s);
        if (n > 0) {
            *rest = str_from(s, n);
            return str_n(s.p + 1, n - 2);
        }
    }
    size_t n = plain_length(sub, in_login, *rest);
    struct str value = str_trim(str_head(*rest, n));
    *rest = str_from(*rest, n);
    return value;
}

/* --- lines --------------------------------------------------------------------------------------------------------- */

static bool refuse_word(const struct config_subsys *sub, struct str rest, struct err *e)
{
    struct word w;
    if (!word_at(sub, rest, &w))
        return err_set(e, "sub-system '%s' cannot have empty keys", sub->name);
    int n = (int)(w.name.n < 60 ? w.name.n : 60);
    if (w.gone)
        return err_set(e, "'%.*s' of '%s' is %s", n, w.name.p, sub->name, w.gone->why);
    return err_set(e, "'%.*s' is no key of '%s' sub-system, please check '%s' documentation", n, w.name.p,
                   sub->name, sub->name);
}

static bool has_key(const struct text_line *line, const struct config_key *key)
{
    for (size_t i = 0; i < line->n; i++)
        if (line->pairs[i].key == key)
            return true;
    return false;
}

/* At most each key once. */
static size_t pairs_max(const struct config_subsys *sub)
{
    size_t n = 1;
    for (const struct config_key *k = sub->keys; k->name; k++)
        n++;
    return n;
}

static bool parse_pairs(struct arena *a, struct str rest, struct text_line *line, struct err *e)
{
    line->pairs = ARENA_ARRAY(a, struct text_pair, pairs_max(line->subsys));
    while ((rest = skip_blanks(rest)).n > 0) {
        struct word w;
        if (!word_at(line->subsys, rest, &w) || !(w.key || w.gone))
            return refuse_word(line->subsys, rest, e);
        if (w.key && has_key(line, w.key))
            return err_set(e, "key '%s' of '%s' is given twice in one line", w.key->name, line->subsys->name);
        struct str from = rest;
        rest = str_from(rest, w.name.n + 1);
        struct str value = take_value(line->subsys, w.key && (w.key->flags & CONFIG_LOGIN), &rest);
        if (w.key)
            line->pairs[line->n++] = (struct text_pair){w.key, value};
        else if (value.n > 0) /* old settings name such keys without a value */
            return refuse_word(line->subsys, from, e);
    }
    return true;
}

/* The next line that says something; false: there is none, or (err set) it cannot be one. */
static bool next_line(struct str *text, struct str *line, bool *bad, struct err *e)
{
    *bad = false;
    while (text->p && str_cut(text, '\n', line)) {
        if (line->n > TEXT_LINE_MAX) {
            *bad = true;
            return err_set(e, "a line is longer than %d bytes", TEXT_LINE_MAX);
        }
        if (line->n > 0 && line->p[line->n - 1] == '\r')
            line->n--;
        for (size_t i = 0; i < line->n; i++)
            if (((unsigned char)line->p[i] < ' ' && line->p[i] != '\t') || line->p[i] == 0x7f) {
                *bad = true;
                return err_set(e, "the text holds a control character");
            }
        *line = str_trim(*line);
        if (line->n > 0 && line->p[0] != '#')
            return true;
    }
    return false;
}

/* Takes "subsys[:target]" off the front; the line's sub-system is NULL when it is not known. */
static bool parse_name(const struct config_table *table, struct str *line, struct text_line *out,
                       struct str *name, struct err *e)
{
    size_t n = 0;
    while (n < line->n && !is_blank(line->p[n]))
        n++;
    *name = str_head(*line, n);
    *line = skip_blanks(str_from(*line, n));
    *out = (struct text_line){0};
    const struct config_subsys *sub = out->subsys = text_name(table, *name, &out->id);
    if (!sub)
        return true;
    bool named = out->id.p && !str_eq(out->id, CONFIG_DEFAULT_ID);
    if (!out->id.p)
        out->id = CONFIG_DEFAULT_ID;
    if (named && !sub->type)
        return err_set(e, "sub-system '%s' has no targets", sub->name);
    if (!config_id_ok(out->id))
        return err_set(
            e, "'%.*s' cannot be the name of a target: up to %d letters, digits, _ - and . may be used",
            (int)(out->id.n < 80 ? out->id.n : 80), out->id.p, CONFIG_ID_MAX);
    return true;
}

static bool refuse_subsys(struct str name, struct err *e)
{
    return err_set(e, "unknown sub-system %.*s", (int)(name.n < 100 ? name.n : 100), name.p);
}

static void begin(struct arena *a, struct text *out)
{
    *out = (struct text){.lines = ARENA_ARRAY(a, struct text_line, TEXT_LINES_MAX),
                         .skipped = ARENA_ARRAY(a, struct str, TEXT_LINES_MAX)};
}

static bool full(const struct text *out, struct err *e)
{
    return (out->n == TEXT_LINES_MAX || out->n_skipped == TEXT_LINES_MAX) &&
           !err_set(e, "the text has more than %d lines", TEXT_LINES_MAX);
}

bool text_parse(struct arena *a, const struct config_table *table, struct str text, bool lenient,
                struct text *out, struct err *e)
{
    struct str line, name;
    bool bad;
    begin(a, out);
    while (next_line(&text, &line, &bad, e)) {
        struct text_line l;
        if (full(out, e) || !parse_name(table, &line, &l, &name, e))
            return false;
        if (!l.subsys && !lenient)
            return refuse_subsys(name, e);
        if (!l.subsys) {
            out->skipped[out->n_skipped++] = name;
            continue;
        }
        if (line.n == 0 && !lenient)
            return err_set(e, "sub-system '%s' must have key", l.subsys->name);
        if (line.n == 0)
            continue;
        if (!parse_pairs(a, line, &l, e))
            return false;
        out->lines[out->n++] = l;
    }
    return !bad;
}

static bool parse_keys(struct arena *a, struct str rest, struct text_line *line, bool *missing, struct err *e)
{
    line->pairs = ARENA_ARRAY(a, struct text_pair, pairs_max(line->subsys));
    while ((rest = skip_blanks(rest)).n > 0) {
        size_t n = 0;
        while (n < rest.n && !is_blank(rest.p[n]))
            n++;
        struct str name = str_head(rest, n);
        const struct config_key *key = config_key_find(line->subsys, name);
        const struct config_alias *al = key ? NULL : find_alias(line->subsys, name);
        if (al && al->key)
            key = config_key_find(line->subsys, str_c(al->key));
        if (!key) {
            *missing = true;
            return err_set(e, "key %.*s doesn't exist", (int)(n < 60 ? n : 60), name.p);
        }
        rest = str_from(rest, n);
        if (!has_key(line, key))
            line->pairs[line->n++].key = key;
    }
    return true;
}

bool text_parse_reset(struct arena *a, const struct config_table *table, struct str text, struct text *out,
                      bool *missing, struct err *e)
{
    struct str line, name;
    bool bad;
    *missing = false;
    begin(a, out);
    while (next_line(&text, &line, &bad, e)) {
        struct text_line l;
        if (full(out, e) || !parse_name(table, &line, &l, &name, e))
            return false;
        if (!l.subsys)
            return refuse_subsys(name, e);
        if (!parse_keys(a, line, &l, missing, e))
            return false;
        out->lines[out->n++] = l;
    }
    return !bad;
}
