/* SPDX-License-Identifier: Apache-2.0
 *
 * cmocka, which wants these headers before its own. */
#ifndef BELFRY_TESTS_UNIT_H
#define BELFRY_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Where tests make folders: %.30s of it, for some paths are short. */
static inline const char *temp_dir(void)
{
    const char *dir = getenv("TMPDIR");
    return dir ? dir : "/tmp";
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
