/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of filters: '*' is any run of bytes, '?' any one byte. One oddity is kept because rules rely on it: where a '?'
 * meets the end of the text, the whole pattern matches, whatever would follow.
 *
 * The pattern is taken as pieces between stars. Finding each piece as far left as possible leaves the most text to the
 * rest, so nothing is ever tried twice; the oddity is looked for at each piece against the end of the text. */
#include "event/rules_impl.h"

static bool piece_at(struct str piece, const char *text)
{
    for (size_t i = 0; i < piece.n; i++)
        if (piece.p[i] != '?' && piece.p[i] != text[i])
            return false;
    return true;
}

/* Does the text end inside the piece, right before one of its '?'? (anchored: the piece begins where the text does) */
static bool ends_at_question(struct str piece, struct str text, bool anchored)
{
    for (size_t i = 0; i < piece.n && i <= text.n; i++) {
        if (piece.p[i] != '?' || (anchored && i != text.n))
            continue;
        if (piece_at(str_head(piece, i), text.p + (text.n - i)))
            return true;
    }
    return false;
}

/* Index of the leftmost place of the piece in the text; -1 when there is none. */
static ptrdiff_t find_piece(struct str piece, struct str text)
{
    if (piece.n > text.n)
        return -1;
    if (str_chr(piece, '?') < 0)
        return str_find(text, piece);
    for (size_t i = 0; i + piece.n <= text.n; i++)
        if (piece_at(piece, text.p + i))
            return (ptrdiff_t)i;
    return -1;
}

bool rules_wildcard(struct str pattern, struct str text)
{
    bool first = true;
    for (;;) {
        ptrdiff_t star = str_chr(pattern, '*');
        struct str piece = star < 0 ? pattern : str_head(pattern, (size_t)star);
        if (ends_at_question(piece, text, first))
            return true;
        if (star < 0) { /* the last piece has to end with the text */
            return piece.n <= text.n && (!first || piece.n == text.n) &&
                   piece_at(piece, text.p + (text.n - piece.n));
        }
        ptrdiff_t at =
            first ? (piece.n <= text.n && piece_at(piece, text.p) ? 0 : -1) : find_piece(piece, text);
        if (at < 0)
            return false;
        text = str_from(text, (size_t)at + piece.n);
        pattern = str_from(pattern, (size_t)star + 1);
        first = false;
    }
}

struct str rules_pattern(struct arena *a, struct str prefix, struct str suffix)
{
    char *p = arena_alloc(a, prefix.n + suffix.n + 3);
    size_t n = 0, kept = 0;
    if (prefix.n > 0) {
        memcpy(p, prefix.p, prefix.n);
        n = prefix.n;
        if (p[n - 1] != '*')
            p[n++] = '*';
    }
    if (suffix.n > 0) {
        if (suffix.p[0] != '*')
            p[n++] = '*';
        memcpy(p + n, suffix.p, suffix.n);
        n += suffix.n;
    }
    if (n == 0)
        p[n++] = '*';
    for (size_t i = 0; i < n; i++) /* stars in a row are one */
        if (p[i] != '*' || kept == 0 || p[kept - 1] != '*')
            p[kept++] = p[i];
    return str_n(p, kept);
}
