/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored settings. (Outline: the calls exist so that others can be written against them.) */
#include "config/store.h"

#include <stdlib.h>

struct config {
    struct kv *kv;
    const struct config_table *table;
};

const struct config_subsys *config_find(const struct config_table *table, struct str name)
{
    for (size_t i = 0; i < table->n; i++) {
        const struct config_subsys *s = &table->v[i];
        if (str_eq_c(name, s->name) || (s->alias && str_eq_c(name, s->alias)))
            return s;
    }
    return NULL;
}

struct config *config_open(struct kv *kv, const struct config_table *table, struct err *e)
{
    (void)e;
    struct config *c = x_calloc(1, sizeof(*c));
    c->kv = kv;
    c->table = table;
    return c;
}

void config_close(struct config *c)
{
    free(c);
}

static enum config_result not_yet(struct err *why)
{
    (void)err_set(why, "not built yet");
    return CONFIG_FAILED;
}

enum config_result config_set(struct config *c, struct str text, struct err *why)
{
    (void)c, (void)text;
    return not_yet(why);
}

enum config_result config_del(struct config *c, struct str text, struct err *why)
{
    (void)c, (void)text;
    return not_yet(why);
}

enum config_result config_import(struct config *c, struct str text, struct err *why)
{
    (void)c, (void)text;
    return not_yet(why);
}

enum config_result config_get(struct config *c, struct str key, struct buf *out, struct err *why)
{
    (void)c, (void)key, (void)out;
    return not_yet(why);
}

enum config_result config_export(struct config *c, struct buf *out, struct err *why)
{
    (void)c, (void)out;
    return not_yet(why);
}

enum config_result config_help(struct config *c, struct str subsys, struct str key, bool env, struct buf *out,
                               struct err *why)
{
    (void)c, (void)subsys, (void)key, (void)env, (void)out;
    return not_yet(why);
}

enum config_result config_history_list(struct config *c, size_t count, struct buf *out, struct err *why)
{
    (void)c, (void)count, (void)out;
    return not_yet(why);
}

enum config_result config_history_clear(struct config *c, struct str id, struct err *why)
{
    (void)c, (void)id;
    return not_yet(why);
}

enum config_result config_history_restore(struct config *c, struct str id, struct err *why)
{
    (void)c, (void)id;
    return not_yet(why);
}
