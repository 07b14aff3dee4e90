/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of keys as text, inside config/. Pure. */
#ifndef BELFRY_CONFIG_VALUE_H
#define BELFRY_CONFIG_VALUE_H

#include "config/config.h"

/* Puts the value of text s into its member; false when it is none. */
bool value_store(const struct config_key *key, struct str s, void *member, struct arena *a);
/* Is any text a value, the empty one too? Of the other types an empty text stands for the default. */
bool value_is_text(const struct config_key *key);
/* What a value has to be, in words. */
const char *value_wanted(const struct config_key *key);
/* false and err: "name is 'value': it must be ..."; without the value where it may hold a secret. */
bool value_refuse(const struct config_key *key, struct str value, const char *name, struct err *e);

#endif
