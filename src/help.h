/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry help: pages that are made of the tables of flags, variables and keys. */
#ifndef BELFRY_HELP_H
#define BELFRY_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* topic NULL: the overview. False when there is no page of that name; nothing is printed then. */
bool help_print(FILE *f, const char *topic);

#endif
