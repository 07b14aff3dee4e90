/* SPDX-License-Identifier: Apache-2.0
 *
 * What the world (disk, network, operator) did wrong, in words for the log or the operator; and the checks on
 * ourselves. Errors of S3 clients are `enum s3_error` instead. */
#ifndef BELFRY_BASE_ERR_H
#define BELFRY_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err {
    char text[480];
    int64_t retry_after_ms; /* a receiver named a time to wait; 0: none */
};

/* Sets the text (printf form; cut at the size). `e` may be NULL. Returns false, for `return err_set(...)`. */
bool err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with ": <strerror(errno)>" appended. */
bool err_errno(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A broken promise inside this program: prints the place and aborts, in release builds too. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_ON(cond) \
    do { \
        if (__builtin_expect(!!(cond), 0)) \
            BUG("%s", #cond); \
    } while (0)
_Noreturn void bug_at(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Allocation that does not fail: prints a message and ends the process; crash safety does the rest. */
void *x_malloc(size_t n);
void *x_calloc(size_t n, size_t size);
void *x_realloc(void *p, size_t n);
char *x_strdup(const char *z);

#endif
