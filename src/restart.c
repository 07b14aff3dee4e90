/* SPDX-License-Identifier: Apache-2.0
 *
 * Running the program anew. */
#include "restart.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

#define SELF "/proc/self/exe"

extern char **environ;
static char path[PATH_MAX];
static char **words;

void restart_prepare(int argc, char **argv)
{
    ssize_t n = readlink(SELF, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    words = x_calloc((size_t)argc + 1, sizeof *words);
    memcpy(words, argv, (size_t)argc * sizeof *words);
}

void restart_now(void)
{
    (void)alarm(0); /* it would outlive the exec */
    (void)execve(path, words, environ);
    (void)execve(SELF, words, environ); /* the file was moved or removed: what runs still can be run */
}
