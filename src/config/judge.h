/* SPDX-License-Identifier: Apache-2.0
 *
 * May settings be stored like this? Looks at the tables, the values and the environment, and makes the folders that are
 * named; asks nothing outside. */
#ifndef BELFRY_CONFIG_JUDGE_H
#define BELFRY_CONFIG_JUDGE_H

#include "config/stored.h"
#include "config/text.h"

#define JUDGE_ENABLED_MAX 64 /* targets at once; TARGETS_MAX of event/ */

/* Judges the targets that `text` names; text NULL: all. The first fault is in why. */
enum config_result judge(const struct config_table *table, const struct config_stored *st,
                         const struct text *text, struct err *why);

#endif
