/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as text, and help as JSON. Everything is appended. Reads the environment. */
#ifndef BELFRY_CONFIG_SHOW_H
#define BELFRY_CONFIG_SHOW_H

#include "config/store.h"
#include "config/stored.h"

/* All targets of a sub-system, the default one first. `export`: with secrets, and what is off as a comment. */
void show_subsys(struct buf *b, const struct config_subsys *s, const struct config_stored *st, bool export);
/* One target; false: there is none of that id. */
bool show_target(struct buf *b, const struct config_subsys *s, const struct config_stored *st, struct str id);
void show_help_all(struct buf *b, const struct config_table *table);
/* key empty: all of them. False: there is no such key. */
bool show_help(struct buf *b, const struct config_subsys *s, struct str key, bool env);

#endif
