/* SPDX-License-Identifier: Apache-2.0
 *
 * The decoder of forms: a state machine that keeps one line, one value, and how much of a delimiter it has seen. */
#include "s3/form.h"

#define BOUNDARY_MAX 70   /* RFC 2046 */
#define LINE_MAX     8192 /* of a part's head */
#define FIRST_FIELDS 32

enum state { AFTER_DELIMITER, AFTER_DASH, AFTER_PADDING, AFTER_CR, HEAD, CONTENT, DONE, FAILED };

struct form {
    struct arena *arena;
    enum state state;
    enum form_result result; /* of DONE and FAILED */
    /* CR LF "--" boundary. Only its first byte is a CR, so that a match that fails can only begin anew at a CR. */
    char delimiter[BOUNDARY_MAX + 4];
    size_t delimiter_n, matched;
    size_t implied; /* bytes of the match that came before this content: the line end of the head */
    bool started;   /* the first delimiter was seen; before it there is nothing */
    size_t line_n, total, parts, fields_cap;
    struct str name; /* of this part; p == NULL: its head did not say yet */
    struct str filename;
    bool is_file;
    struct buf value;
    struct headers fields;
    char line[LINE_MAX];
};

struct form *form_new(struct arena *a, struct str boundary)
{
    struct form *f = ARENA_NEW(a, struct form);
    f->arena = a;
    f->state = CONTENT;
    memcpy(f->delimiter, "\r\n--", 4);
    memcpy(f->delimiter + 4, boundary.p, boundary.n);
    f->delimiter_n = 4 + boundary.n;
    f->matched = f->implied = 2; /* the first delimiter stands at the very beginning */
    return f;
}

void form_release(struct form *f)
{
    if (f)
        buf_release(&f->value);
}

const struct headers *form_fields(const struct form *f)
{
    return &f->fields;
}

struct str form_filename(const struct form *f)
{
    return f->filename;
}

static bool fail(struct form *f, enum form_result why)
{
    f->state = FAILED;
    f->result = why;
    return false;
}

/* Counts bytes that are kept. */
static bool keep(struct form *f, size_t n)
{
    f->total += n;
    return f->total <= FORM_FIELDS_MAX || fail(f, FORM_TOO_LARGE);
}

/* --- heads ------------------------------------------------------------------------------------------------------------ */

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_strz(a, s);
    for (size_t i = 0; i < s.n; i++)
        if (p[i] >= 'A' && p[i] <= 'Z')
            p[i] = (char)(p[i] + 32);
    return str_n(p, s.n);
}

static struct str base_name(struct str path)
{
    for (size_t i = path.n; i > 0; i--)
        if (path.p[i - 1] == '/' || path.p[i - 1] == '\\')
            return str_from(path, i);
    return path;
}

static bool head_line(struct form *f, struct str line)
{
    const struct str disposition = STR("content-disposition:");
    struct str name, filename;
    if (!keep(f, line.n))
        return false;
    if (!str_istarts(line, disposition))
        return true; /* a part's own Content-Type and the like mean nothing here */
    struct str value = str_trim(str_from(line, disposition.n));
    if (f->name.p || !str_istarts(value, STR("form-data")) ||
        !form_parameter(f->arena, value, STR("name"), &name) || !name.n)
        return fail(f, FORM_MALFORMED);
    f->name = lower(f->arena, name);
    f->is_file = str_eq(f->name, STR("file"));
    if (f->is_file && form_parameter(f->arena, value, STR("filename"), &filename))
        f->filename = base_name(filename);
    return true;
}

static bool head_end(struct form *f, const struct form_taker *taker)
{
    struct str value;
    if (!f->name.p || (!f->is_file && header_get(&f->fields, f->name, &value)))
        return fail(f, FORM_MALFORMED);
    f->state = CONTENT;
    f->matched = f->implied = 2;
    buf_init(&f->value, FORM_FIELD_MAX);
    return !f->is_file || taker->file(taker->ctx) || fail(f, FORM_STOPPED);
}

/* One line of a head at a time; CR LF, or LF alone, ends it. */
static bool head(struct form *f, struct str *in, const struct form_taker *taker)
{
    ptrdiff_t lf = str_chr(*in, '\n');
    size_t n = lf < 0 ? in->n : (size_t)lf;
    if (n > LINE_MAX - f->line_n)
        return fail(f, FORM_TOO_LARGE);
    if (n)
        memcpy(f->line + f->line_n, in->p, n);
    f->line_n += n;
    *in = str_from(*in, lf < 0 ? n : n + 1);
    if (lf < 0)
        return true;
    struct str line = str_n(f->line, f->line_n);
    f->line_n = 0;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line.n ? head_line(f, line) : head_end(f, taker);
}

/* --- contents --------------------------------------------------------------------------------------------------------- */

static void add_field(struct form *f)
{
    if (f->fields.n == f->fields_cap) {
        size_t cap = f->fields_cap ? 2 * f->fields_cap : FIRST_FIELDS;
        struct header *v = ARENA_ARRAY(f->arena, struct header, cap);
        if (f->fields.n)
            memcpy(v, f->fields.v, f->fields.n * sizeof *v);
        f->fields.v = v;
        f->fields_cap = cap;
    }
    f->fields.v[f->fields.n++] = (struct header){f->name, arena_dup(f->arena, buf_view(&f->value))};
}

static bool give(struct form *f, struct str data, const struct form_taker *taker)
{
    if (!data.n)
        return true;
    if (!f->started)
        return fail(f, FORM_MALFORMED);
    if (f->is_file) {
        taker->data(taker->ctx, data);
        return true;
    }
    buf_str(&f->value, data);
    return (!f->value.failed || fail(f, FORM_TOO_LARGE)) && keep(f, data.n);
}

/* A whole delimiter was read: it ends what was before it. */
static bool delimited(struct form *f)
{
    if (f->started && f->is_file) {
        f->state = DONE;
        f->result = FORM_DONE;
        return false;
    }
    if (f->started)
        add_field(f);
    buf_release(&f->value);
    f->started = true;
    f->name = str_n(NULL, 0);
    f->state = AFTER_DELIMITER;
    return ++f->parts <= FORM_PARTS_MAX || fail(f, FORM_MALFORMED);
}

/* As much content as goes without a look at single bytes, or one byte of a possible delimiter. */
static bool content(struct form *f, struct str *in, const struct form_taker *taker)
{
    if (f->matched == 0) {
        ptrdiff_t cr = str_chr(*in, '\r');
        struct str data = cr < 0 ? *in : str_head(*in, (size_t)cr);
        *in = str_from(*in, cr < 0 ? in->n : (size_t)cr + 1);
        f->matched = cr >= 0;
        f->implied = 0;
        return give(f, data, taker);
    }
    if (in->p[0] == f->delimiter[f->matched]) {
        *in = str_from(*in, 1);
        return ++f->matched < f->delimiter_n || delimited(f);
    }
    /* No delimiter after all: what looked like one is content. */
    struct str data = str_n(f->delimiter + f->implied, f->matched - f->implied);
    f->matched = 0;
    return give(f, data, taker);
}

/* Behind a delimiter: "--" ends the form, blanks and CR LF begin a part. */
static bool after(struct form *f, struct str *in)
{
    char c = in->p[0];
    *in = str_from(*in, 1);
    switch (f->state) {
    case AFTER_DELIMITER:
        if (c == '-') {
            f->state = AFTER_DASH;
            return true;
        }
        f->state = AFTER_PADDING;
        /* fall through */
    case AFTER_PADDING:
        if (c == '\r')
            f->state = AFTER_CR;
        return c == '\r' || c == ' ' || c == '\t' || fail(f, FORM_MALFORMED);
    case AFTER_CR:
        f->state = HEAD;
        return c == '\n' || fail(f, FORM_MALFORMED);
    default: /* the end, and no file came */
        return fail(f, FORM_MALFORMED);
    }
}

enum form_result form_feed(struct form *f, struct str in, const struct form_taker *taker)
{
    bool more = true;
    while (in.n && more && f->state != DONE && f->state != FAILED)
        more = f->state == HEAD      ? head(f, &in, taker)
               : f->state == CONTENT ? content(f, &in, taker)
                                     : after(f, &in);
    if (f->state == DONE || f->state == FAILED) {
        buf_release(&f->value);
        return f->result;
    }
    return FORM_MORE;
}

/* --- header values ---------------------------------------------------------------------------------------------------- */

/* Takes a value off the front of *rest: a token, or a quoted string in which a backslash only escapes a quote or a
 * backslash, since old browsers send Windows paths. */
static bool take_value(struct arena *a, struct str *rest, struct str *out)
{
    if (!rest->n || rest->p[0] != '"') {
        size_t n = 0;
        while (n < rest->n && rest->p[n] != ';')
            n++;
        *out = str_trim(str_head(*rest, n));
        *rest = str_from(*rest, n);
        return true;
    }
    char *text = arena_alloc(a, rest->n);
    size_t n = 0, i = 1;
    for (; i < rest->n && rest->p[i] != '"'; i++) {
        if (rest->p[i] == '\\' && i + 1 < rest->n && (rest->p[i + 1] == '"' || rest->p[i + 1] == '\\'))
            i++;
        text[n++] = rest->p[i];
    }
    if (i >= rest->n)
        return false;
    *out = str_n(text, n);
    *rest = str_from(*rest, i + 1);
    return true;
}

bool form_parameter(struct arena *a, struct str value, struct str name, struct str *out)
{
    ptrdiff_t semicolon = str_chr(value, ';');
    struct str rest = semicolon < 0 ? str_n(NULL, 0) : str_from(value, (size_t)semicolon);
    while (rest.n) {
        struct str text;
        if (rest.p[0] != ';')
            return false;
        rest = str_trim(str_from(rest, 1));
        if (!rest.n)
            return false; /* a semicolon at the end */
        ptrdiff_t eq = str_chr(rest, '=');
        if (eq < 0)
            return false;
        struct str key = str_trim(str_head(rest, (size_t)eq));
        rest = str_trim(str_from(rest, (size_t)eq + 1));
        if (!take_value(a, &rest, &text))
            return false;
        if (str_ieq(key, name)) {
            *out = text;
            return true;
        }
        rest = str_trim(rest);
    }
    return false;
}

bool form_boundary(struct str content_type, struct str *boundary)
{
    struct arena a;
    struct str text;
    bool good = str_istarts(content_type, STR("multipart/form-data"));
    arena_init(&a);
    good =
        good && form_parameter(&a, content_type, STR("boundary"), &text) && text.n && text.n <= BOUNDARY_MAX;
    for (size_t i = 0; good && i < text.n; i++)
        good = text.p[i] >= ' ' && text.p[i] <= '~';
    /* A view of the header and not of the arena: a boundary has nothing to escape. */
    ptrdiff_t at = good ? str_find(content_type, text) : -1;
    if (at >= 0)
        *boundary = str_n(content_type.p + at, text.n);
    arena_release(&a);
    return at >= 0;
}
