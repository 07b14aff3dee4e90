/* SPDX-License-Identifier: Apache-2.0
 *
 * Views of bytes. A `struct str` points at bytes that somebody else owns and is passed by value; it may hold
 * any byte, is not NUL-terminated, and is valid only while its owner keeps the bytes. Everything parsed is a str.
 * All functions are pure and may be called from any thread. */
#ifndef BELFRY_BASE_STR_H
#define BELFRY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For printf's "%.*s". */
#define STR_FMT(s) (int)(s).n, (s).p

static inline struct str str_n(const void *p, size_t n)
{
    return (struct str){(const char *)p, n};
}
static inline struct str str_c(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_eq_c(struct str a, const char *z)
{
    return str_eq(a, str_c(z));
}

/* ASCII case-insensitive equality. */
bool str_ieq(struct str a, struct str b);
/* memcmp order; a prefix sorts before the longer string. */
int str_cmp(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Index of the first byte c, or of the first occurrence of needle; -1 when absent. */
ptrdiff_t str_chr(struct str s, char c);
ptrdiff_t str_find(struct str s, struct str needle);
/* Bytes from index `from` (clipped) on; and at most n of them. */
struct str str_from(struct str s, size_t from);
struct str str_head(struct str s, size_t n);
/* Without leading and trailing blanks, tabs, CR and LF. */
struct str str_trim(struct str s);
/* Takes the text up to the next `sep` off the front of *rest into *head; false when *rest was used up
 * (rest->p == NULL). "a,,b" gives "a", "", "b"; "" gives one empty piece. */
bool str_cut(struct str *rest, char sep, struct str *head);
/* Strict decimal: digits only (to_i64: one leading '-' too), no blanks, no overflow. */
bool str_to_u64(struct str s, uint64_t *out);
bool str_to_i64(struct str s, int64_t *out);
/* Whole string is well-formed UTF-8 (RFC 3629: no surrogates, no overlongs). */
bool str_utf8_valid(struct str s);
/* Bytes (1 to 4) of the well-formed UTF-8 sequence that s begins with; 0 when it begins with none. */
size_t str_utf8_seq(struct str s);
/* malloc'd NUL-terminated copy, the caller frees. */
char *str_dupz(struct str s);

#endif
