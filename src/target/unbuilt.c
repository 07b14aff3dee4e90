/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of targets that are not built into this server yet: their keys, so that settings of them are read, kept, shown
 * and explained. A kind that gets built takes its table along into its own file. Texts of `help` are those that mc shows of
 * any server. */
#include "target/keys.h"
#include "target/target.h"

const struct target_type *const target_types_unbuilt[] = {NULL};
