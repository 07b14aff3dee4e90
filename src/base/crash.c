/* SPDX-License-Identifier: Apache-2.0
 *
 * Crash points: counting passes of the one that is armed. */
#include "base/crash.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

static const char *const names[CRASH_COUNT] = {
#define CRASH_NAME(id, name) [CRASH_##id] = name,
    CRASH_POINTS(CRASH_NAME)
#undef CRASH_NAME
};

bool crash_armed;
static enum crash_point armed_point;
static uint64_t passes_left; /* atomic */

bool crash_init(void)
{
    const char *z = getenv("BELFRY_CRASH_AT");
    if (!z || !*z)
        return true;
    struct str rest = str_c(z), name;
    uint64_t n = 1;
    (void)str_cut(&rest, ':', &name);
    if (rest.p && (!str_to_u64(rest, &n) || n == 0))
        return false;
    for (unsigned i = 0; i < CRASH_COUNT; i++)
        if (str_eq_c(name, names[i])) {
            armed_point = (enum crash_point)i;
            passes_left = n;
            crash_armed = true;
            return true;
        }
    return false;
}

const char *crash_point_name(enum crash_point p)
{
    return names[p];
}

void crash_check(enum crash_point p)
{
    if (p != armed_point || __atomic_sub_fetch(&passes_left, 1, __ATOMIC_RELAXED) != 0)
        return;
    (void)kill(getpid(), SIGKILL);
    for (;;) /* the signal may reach another thread first: go no further */
        (void)pause();
}
