/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of mc admin config set, reset and import (notifications.md 3.5): lines of "subsys[:target] key=value ...".
 *
 * mc joins its arguments with blanks after the shell took the quotes away, so that a value may hold blanks without quotes
 * around it: it ends where the next key of the sub-system stands, at the beginning of a word. Where a value begins with a
 * quote, it ends at the next one that is followed by a key or the end, and keys inside are part of it. Pure. */
#ifndef BELFRY_CONFIG_TEXT_H
#define BELFRY_CONFIG_TEXT_H

#include "config/store.h"

#define TEXT_LINE_MAX  65536
#define TEXT_LINES_MAX 2000

struct text_pair {
    const struct config_key *key; /* of the table, or config_enable_key */
    struct str value;             /* view of the text */
};
struct text_line {
    const struct config_subsys *subsys;
    struct str id; /* view of the text; CONFIG_DEFAULT_ID where none is given */
    struct text_pair *pairs;
    size_t n;
};
struct text {
    struct text_line *lines;
    size_t n;
    struct str *skipped; /* names of sub-systems that are not known */
    size_t n_skipped;
};

/* `lenient` (import): lines of unknown sub-systems and lines without keys are left out. Everything in the arena or a view
 * of the text. False and err; values are not in it. */
bool text_parse(struct arena *a, const struct config_table *table, struct str text, bool lenient,
                struct text *out, struct err *e);
/* Lines of "subsys[:target] [key ...]": pairs without values. *missing: it names a key that there is not. */
bool text_parse_reset(struct arena *a, const struct config_table *table, struct str text, struct text *out,
                      bool *missing, struct err *e);
/* "subsys", "subsys:" or "subsys:target". *id.p NULL: without a colon. NULL: no such sub-system. */
const struct config_subsys *text_name(const struct config_table *table, struct str text, struct str *id);

/* A key of mc admin config by its name (aliases not); NULL: there is none. */
const struct config_key *config_key_find(const struct config_subsys *s, struct str name);

#endif
