/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored settings: opened, changed, asked. */
#include "config/store.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/thread.h"
#include "config/history.h"
#include "config/judge.h"
#include "config/show.h"

#define SETTINGS_KEY STR("kc")

struct config {
    struct kv *kv;
    const struct config_table *table;
    void (*apply)(void *ctx, const struct config_stored *now);
    void *apply_ctx;
    struct mutex change; /* held over a whole change, the hook included: one after the other */
    struct mutex mutex;  /* for what follows; only a change replaces it */
    struct config_stored *stored;
    struct history history;
};

/* --- life ----------------------------------------------------------------------------------------------------------- */

static struct config_stored *read_settings(struct kv *kv, struct err *e)
{
    struct kv_value v = {0};
    enum kv_result r = kv_get(kv, KV_META, SETTINGS_KEY, 0, &v, e);
    if (r == KV_MISSING)
        return stored_new();
    if (r != KV_FOUND)
        return NULL;
    struct config_stored *st = stored_decode(v.data);
    kv_value_release(&v);
    if (!st)
        (void)err_set(e, "the row of the settings is malformed");
    return st;
}

struct config *config_open(struct kv *kv, const struct config_table *table, struct err *e)
{
    struct config_stored *st = read_settings(kv, e);
    if (!st)
        return NULL;
    struct config *c = x_calloc(1, sizeof(*c));
    c->kv = kv;
    c->table = table;
    c->stored = st;
    if (!history_load(kv, &c->history, e)) {
        config_stored_free(st);
        free(c);
        return NULL;
    }
    mutex_init(&c->change, RANK_CONFIG);
    mutex_init(&c->mutex, RANK_CONFIG_STATE);
    return c;
}

void config_close(struct config *c)
{
    if (!c)
        return;
    config_stored_free(c->stored);
    mutex_release(&c->mutex);
    mutex_release(&c->change);
    free(c);
}

void config_on_change(struct config *c, void (*apply)(void *ctx, const struct config_stored *now), void *ctx)
{
    c->apply = apply;
    c->apply_ctx = ctx;
}

void config_apply_again(struct config *c)
{
    mutex_lock(&c->change);
    if (c->apply)
        c->apply(c->apply_ctx, c->stored); /* replaced only by who holds `change` */
    mutex_unlock(&c->change);
}

struct config_stored *config_snapshot(struct config *c)
{
    mutex_lock(&c->mutex);
    struct config_stored *st = stored_copy(c->stored);
    mutex_unlock(&c->mutex);
    return st;
}

/* --- the commit of a change ----------------------------------------------------------------------------------------- */

struct change {
    struct config *c;
    struct config_stored *next; /* NULL: settings stay */
    struct buf row;
    const struct str *text; /* becomes an entry; NULL: none */
    struct history_entry entry;
    uint64_t removed[CONFIG_HISTORY_MAX + 1]; /* entries that go */
    size_t n_removed;
};

static bool change_txn(struct kv_txn *t, void *ctx)
{
    struct change *ch = ctx;
    if (ch->next)
        kv_txn_put(t, KV_META, SETTINGS_KEY, buf_view(&ch->row));
    if (ch->text)
        history_txn_put(t, &ch->entry, *ch->text);
    for (size_t i = 0; i < ch->n_removed; i++)
        history_txn_del(t, ch->removed[i]);
    return true;
}

/* Takes over what was committed. */
static void change_done(struct change *ch)
{
    struct config *c = ch->c;
    struct config_stored *old = NULL;
    mutex_lock(&c->mutex);
    for (size_t i = 0; i < ch->n_removed; i++)
        history_remove(&c->history, ch->removed[i]);
    if (ch->text)
        c->history.v[c->history.n++] = ch->entry;
    if (ch->next) {
        old = c->stored;
        c->stored = ch->next;
    }
    mutex_unlock(&c->mutex);
    config_stored_free(old);
    if (ch->next && c->apply)
        c->apply(c->apply_ctx, c->stored);
    ch->next = NULL;
}

/* Under c->change. Commits, takes over, applies. */
static enum config_result commit(struct change *ch, struct err *why)
{
    struct config *c = ch->c;
    enum config_result r = CONFIG_FAILED;
    buf_init(&ch->row, STORED_MAX);
    if (ch->next)
        stored_encode(ch->next, &ch->row);
    if (ch->row.failed) {
        (void)err_set(why, "the settings are larger than %u bytes in all", STORED_MAX);
        r = CONFIG_REFUSED;
        goto out;
    }
    if (ch->text) {
        ch->entry = history_new_entry();
        if (c->history.n == CONFIG_HISTORY_MAX && ch->n_removed == 0)
            ch->removed[ch->n_removed++] = c->history.v[0].seq;
    }
    if (kv_commit_wait(c->kv, change_txn, ch, 0) != KV_COMMITTED) {
        struct err e;
        (void)err_set(why, "the settings cannot be written: %s",
                      kv_failed(c->kv, &e) ? e.text : "the store takes no changes");
        goto out;
    }
    crash_point(CRASH_CONFIG_WRITTEN);
    change_done(ch);
    r = CONFIG_OK;
out:
    config_stored_free(ch->next);
    buf_release(&ch->row);
    return r;
}

/* --- changing ------------------------------------------------------------------------------------------------------- */

/* on and off in one form, so that it is clear what get prints. */
static struct str normal(const struct text_pair *p)
{
    bool on;
    if (p->key == &config_enable_key && config_parse_onoff(p->value, &on))
        return on ? STR("on") : STR("off");
    return p->value;
}

static void merge(struct config_stored *st, const struct text *text)
{
    for (size_t i = 0; i < text->n; i++) {
        const struct text_line *l = &text->lines[i];
        struct stored_target *t = stored_add(st, str_c(l->subsys->name), l->id);
        if (l->subsys->type)
            stored_put(st, t, str_c(config_enable_key.name), STR("on"));
        for (size_t k = 0; k < l->n; k++)
            stored_put(st, t, str_c(l->pairs[k].key->name), normal(&l->pairs[k]));
    }
}

static enum config_result too_large(struct err *why)
{
    (void)err_set(why, "the text is longer than %d bytes", CONFIG_TEXT_MAX);
    return CONFIG_REFUSED;
}

static void tell_skipped(const struct text *text)
{
    for (size_t i = 0; i < text->n_skipped; i++) {
        struct str s = text->skipped[i];
        log_warn("config", "sub-system %.*s is not known here: its settings are not taken over",
                 (int)(s.n < 80 ? s.n : 80), s.p);
    }
}

/* What the forms of setting have in common. */
struct setting {
    struct str text;
    bool replace; /* what is stored is forgotten */
    bool lenient, all;
    const struct history_entry *restored; /* this entry goes, and none comes */
};

static enum config_result apply_text(struct config *c, const struct setting *s, struct err *why)
{
    struct arena a;
    struct text text;
    struct change ch = {.c = c, .text = s->restored ? NULL : &s->text};
    enum config_result r = CONFIG_REFUSED;
    arena_init(&a);
    if (!text_parse(&a, c->table, s->text, s->lenient, &text, why))
        goto out;
    if (text.n == 0 && !s->lenient) {
        (void)err_set(why, "there is nothing to set: a line is SUBSYSTEM[:TARGET] KEY=VALUE ...");
        goto out;
    }
    ch.next = s->replace ? stored_new() : stored_copy(c->stored);
    merge(ch.next, &text);
    r = judge(c->table, ch.next, s->all ? NULL : &text, why);
    if (r != CONFIG_OK) {
        config_stored_free(ch.next);
        goto out;
    }
    if (s->restored)
        ch.removed[ch.n_removed++] = s->restored->seq;
    tell_skipped(&text);
    r = commit(&ch, why);
out:
    arena_release(&a);
    return r;
}

enum config_result config_set(struct config *c, struct str text, struct err *why)
{
    if (text.n > CONFIG_TEXT_MAX)
        return too_large(why);
    mutex_lock(&c->change);
    enum config_result r = apply_text(c, &(struct setting){.text = text}, why);
    mutex_unlock(&c->change);
    return r;
}

enum config_result config_import(struct config *c, struct str text, struct err *why)
{
    if (text.n > CONFIG_TEXT_MAX)
        return too_large(why);
    mutex_lock(&c->change);
    enum config_result r =
        apply_text(c, &(struct setting){.text = text, .replace = true, .lenient = true, .all = true}, why);
    mutex_unlock(&c->change);
    return r;
}

static enum config_result reset_line(struct config_stored *st, const struct text_line *l, struct err *why)
{
    struct str subsys = str_c(l->subsys->name);
    if (!stored_find(st, subsys, l->id)) {
        (void)err_set(why, "sub-system %s:%.*s already deleted or does not exist", l->subsys->name,
                      STR_FMT(l->id));
        return CONFIG_MISSING;
    }
    if (l->n == 0)
        (void)stored_remove(st, subsys, l->id);
    for (size_t i = 0; i < l->n; i++)
        stored_unset(stored_add(st, subsys, l->id), str_c(l->pairs[i].key->name));
    return CONFIG_OK;
}

static enum config_result reset(struct config *c, struct str body, struct err *why)
{
    struct arena a;
    struct text text;
    bool missing;
    struct change ch = {.c = c};
    enum config_result r = CONFIG_OK;
    arena_init(&a);
    if (!text_parse_reset(&a, c->table, body, &text, &missing, why)) {
        r = missing ? CONFIG_MISSING : CONFIG_REFUSED;
    } else if (text.n == 0) {
        (void)err_set(why, "there is nothing to reset: a line is SUBSYSTEM[:TARGET] [KEY ...]");
        r = CONFIG_REFUSED;
    }
    if (r == CONFIG_OK) {
        ch.next = stored_copy(c->stored);
        for (size_t i = 0; r == CONFIG_OK && i < text.n; i++)
            r = reset_line(ch.next, &text.lines[i], why);
        if (r == CONFIG_OK)
            r = judge(c->table, ch.next, &text, why);
        if (r == CONFIG_OK)
            r = commit(&ch, why);
        else
            config_stored_free(ch.next);
    }
    arena_release(&a);
    return r;
}

enum config_result config_del(struct config *c, struct str text, struct err *why)
{
    if (text.n > CONFIG_TEXT_MAX)
        return too_large(why);
    mutex_lock(&c->change);
    enum config_result r = reset(c, text, why);
    mutex_unlock(&c->change);
    return r;
}

/* --- asking --------------------------------------------------------------------------------------------------------- */

static enum config_result written(const struct buf *out, struct err *why)
{
    if (!out->failed)
        return CONFIG_OK;
    (void)err_set(why, "the answer is too long");
    return CONFIG_FAILED;
}

static enum config_result unknown_subsys(struct str name, struct err *why)
{
    (void)err_set(why, "unknown subsystem: %.*s", (int)(name.n < 100 ? name.n : 100), name.p);
    return CONFIG_REFUSED;
}

enum config_result config_get(struct config *c, struct str key, struct buf *out, struct err *why)
{
    struct str id;
    const struct config_subsys *s = text_name(c->table, key, &id);
    if (!s)
        return unknown_subsys(key, why);
    mutex_lock(&c->mutex);
    bool found = true;
    if (!id.p)
        show_subsys(out, s, c->stored, false);
    else
        found = show_target(out, s, c->stored, id);
    mutex_unlock(&c->mutex);
    if (found)
        return written(out, why);
    (void)err_set(why, "there is no target `%.*s` for subsystem `%s`", (int)(id.n < 80 ? id.n : 80), id.p,
                  s->name);
    return CONFIG_REFUSED;
}

enum config_result config_export(struct config *c, struct buf *out, struct err *why)
{
    mutex_lock(&c->mutex);
    for (size_t i = 0; i < c->table->n; i++)
        show_subsys(out, &c->table->v[i], c->stored, true);
    mutex_unlock(&c->mutex);
    return written(out, why);
}

enum config_result config_help(struct config *c, struct str subsys, struct str key, bool env, struct buf *out,
                               struct err *why)
{
    struct str id;
    if (subsys.n == 0) {
        show_help_all(out, c->table);
        return written(out, why);
    }
    const struct config_subsys *s = text_name(c->table, subsys, &id);
    if (!s)
        return unknown_subsys(subsys, why);
    if (show_help(out, s, key, env))
        return written(out, why);
    (void)err_set(why, "key %.*s doesn't exist", (int)(key.n < 60 ? key.n : 60), key.p);
    return CONFIG_REFUSED;
}

/* --- history -------------------------------------------------------------------------------------------------------- */

static bool put_entry(struct config *c, const struct history_entry *entry, bool first, struct buf *out,
                      struct err *why)
{
    char time[CLOCK_ISO_MS_LEN];
    char *text = history_text(c->kv, entry->seq, why);
    if (!text)
        return false;
    clock_iso_ms(entry->time_ns, time);
    buf_printf(out, "%s{\"restoreId\":\"%.*s\",\"createTime\":\"%.*s\",\"data\":", first ? "" : ",",
               HISTORY_ID_LEN, entry->id, CLOCK_ISO_MS_LEN, time);
    json_quote(out, str_c(text));
    buf_char(out, '}');
    free(text);
    return true;
}

enum config_result config_history_list(struct config *c, size_t count, struct buf *out, struct err *why)
{
    bool ok = true;
    mutex_lock(&c->change); /* its rows stay while they are read */
    size_t n = c->history.n, from = count > 0 && count < n ? n - count : 0;
    buf_char(out, '[');
    for (size_t i = from; ok && i < n; i++)
        ok = put_entry(c, &c->history.v[i], i == from, out, why);
    buf_char(out, ']');
    mutex_unlock(&c->change);
    return ok ? written(out, why) : CONFIG_FAILED;
}

static enum config_result no_entry(struct str id, struct err *why)
{
    (void)err_set(why, "there is no entry '%.*s' in the history", (int)(id.n < 60 ? id.n : 60), id.p);
    return CONFIG_MISSING;
}

enum config_result config_history_clear(struct config *c, struct str id, struct err *why)
{
    struct change ch = {.c = c};
    mutex_lock(&c->change);
    bool all = str_eq(id, STR("all"));
    for (size_t i = 0; i < c->history.n; i++)
        if (all || str_eq(id, str_n(c->history.v[i].id, HISTORY_ID_LEN)))
            ch.removed[ch.n_removed++] = c->history.v[i].seq;
    enum config_result r = CONFIG_OK;
    if (ch.n_removed > 0)
        r = commit(&ch, why);
    else if (!all)
        r = no_entry(id, why);
    mutex_unlock(&c->change);
    return r;
}

enum config_result config_history_restore(struct config *c, struct str id, struct err *why)
{
    enum config_result r;
    char *text = NULL;
    mutex_lock(&c->change);
    const struct history_entry *entry = history_find(&c->history, id);
    if (!entry) {
        r = no_entry(id, why);
    } else if (!(text = history_text(c->kv, entry->seq, why))) {
        r = CONFIG_FAILED;
    } else {
        r = apply_text(
            c, &(struct setting){.text = str_c(text), .lenient = true, .all = true, .restored = entry}, why);
    }
    free(text);
    mutex_unlock(&c->change);
    return r;
}
