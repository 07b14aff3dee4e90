/* SPDX-License-Identifier: Apache-2.0
 *
 * Error texts, broken promises, and allocation that does not fail. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool err_set(struct err *e, const char *fmt, ...)
{
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return false;
}

bool err_errno(struct err *e, const char *fmt, ...)
{
    int number = errno;
    if (!e)
        return false;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(e->text)) {
        char text[128];
        (void)snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s",
                       strerror_r(number, text, sizeof(text)));
    }
    errno = number;
    return false;
}

void bug_at(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "BUG at %s:%d: %s\n", file, line, text);
    abort();
}

static _Noreturn void out_of_memory(size_t n)
{
    (void)fprintf(stderr, "out of memory: %zu bytes wanted; ending (nothing that was confirmed is lost)\n",
                  n);
    _Exit(70);
}

void *x_malloc(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

void *x_calloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        out_of_memory(n * size);
    return p;
}

void *x_realloc(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p)
        out_of_memory(n);
    return p;
}

char *x_strdup(const char *z)
{
    size_t n = strlen(z) + 1;
    return memcpy(x_malloc(n), z, n);
}
