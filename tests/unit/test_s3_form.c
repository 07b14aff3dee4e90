/* SPDX-License-Identifier: Apache-2.0
 *
 * multipart/form-data: each form whole and in pieces of every size, the bounds, and the values of headers. */
#include "unit.h"

#include <stdlib.h>

#include "s3/form.h"

#define TYPE               "multipart/form-data; boundary="
#define FIELD(name, value) "--XX\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_HEAD(filename) \
    "--XX\r\nContent-Disposition: form-data; name=\"file\"" filename "\r\nContent-Type: text/plain\r\n\r\n"

struct taken {
    struct buf file;
    unsigned files;
    bool stop;
};

static bool file(void *ctx)
{
    struct taken *t = ctx;
    t->files++;
    return !t->stop;
}

static void data(void *ctx, struct str piece)
{
    struct taken *t = ctx;
    assert_true(t->files == 1 && piece.n > 0);
    buf_str(&t->file, piece);
}

static enum form_result feed(struct form *f, struct str in, size_t piece, struct taken *t)
{
    const struct form_taker taker = {file, data, t};
    enum form_result r = FORM_MORE;
    for (; in.n; in = str_from(in, piece)) {
        struct str head = str_head(in, piece);
        char *copy = malloc(head.n); /* of exact size, for the address sanitizer */
        assert_non_null(copy);
        memcpy(copy, head.p, head.n);
        r = form_feed(f, str_n(copy, head.n), &taker);
        free(copy);
    }
    return r;
}

static const struct form_case {
    const char *in, *fields, *file, *filename; /* fields: "name=value;" each */
    enum form_result want;
} cases[] = {
    {FIELD("key", "a") FILE_HEAD("; filename=\"f.txt\"") "hello\r\n--XX--\r\n", "key=a;", "hello", "f.txt",
     FORM_DONE},
    {FIELD("KEY", "a") FILE_HEAD("") "hello\r\n--XX\r\n", "key=a;", "hello", "", FORM_DONE},
    {FILE_HEAD("") "\r\n--XX--", "", "", "", FORM_DONE},
    /* an empty part whose head's end is the delimiter's beginning */
    {FILE_HEAD("") "--XX--", "", "", "", FORM_DONE},
    {"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n--XX\r\nContent-Disposition: form-data; "
     "name=file\r\n\r\nx"
     "\r\n--XX",
     "a=;", "x", "", FORM_DONE},
    {"\r\n" FIELD("a", "") FILE_HEAD("") "x\r\n--XX--", "a=;", "x", "", FORM_DONE},
    {FIELD("a", "1\r\n2\n3\r") FILE_HEAD("") "x\r\n--XX--", "a=1\r\n2\n3\r;", "x", "", FORM_DONE},
    /* what looks like a delimiter for a while */
    {FILE_HEAD("") "\r\r\n\r\n-\r\n--\r\n--X\r\n--Y\r\n\r\n--XX--", "", "\r\r\n\r\n-\r\n--\r\n--X\r\n--Y\r\n",
     "", FORM_DONE},
    {FILE_HEAD("") "--XX\r\n--XX--", "", "", "", FORM_DONE},
    {FILE_HEAD("") "a--XX\r\n--XX--", "", "a--XX", "", FORM_DONE},
    /* everything behind the file is ignored */
    {FILE_HEAD("") "x\r\n--XX\r\nwhat\x01" FIELD("a", "1"), "", "x", "", FORM_DONE},
    /* padding, LF alone in heads, other headers, other case */
    {"--XX \t\r\ncontent-disposition:form-data;NAME=a\nX: y\n\n1\r\n" FILE_HEAD("") "x\r\n--XX", "a=1;", "x",
     "", FORM_DONE},
    /* names of files */
    {FILE_HEAD("; filename=\"C:\\\\dir\\\\a b.txt\"") "x\r\n--XX", "", "x", "a b.txt", FORM_DONE},
    {FILE_HEAD("; filename=\"C:\\dir\\a.txt\"") "x\r\n--XX", "", "x", "a.txt", FORM_DONE},
    {FILE_HEAD("; filename=\"/etc/passwd\"") "x\r\n--XX", "", "x", "passwd", FORM_DONE},
    {FILE_HEAD("; filename=\"a;b=\\\"c\\\".txt\"") "x\r\n--XX", "", "x", "a;b=\"c\".txt", FORM_DONE},
    {FILE_HEAD("; filename=\"\"") "x\r\n--XX", "", "x", "", FORM_DONE},
    /* not all there */
    {FIELD("a", "1") FILE_HEAD("") "x\r\n--X", "a=1;", "x", "", FORM_MORE},
    {FIELD("a", "1"), "a=1;", "", "", FORM_MORE}, /* only with the next delimiter: see below */
    {"--X", "", "", "", FORM_MORE},
    /* malformed */
    {"x" FILE_HEAD("") "x\r\n--XX", "", "", "", FORM_MALFORMED},
    {"preamble\r\n" FILE_HEAD("") "x\r\n--XX", "", "", "", FORM_MALFORMED},
    {"--XY\r\n", "", "", "", FORM_MALFORMED},
    {"--XXa\r\n", "", "", "", FORM_MALFORMED},
    {"--XX\rx", "", "", "", FORM_MALFORMED},
    {"--XX-x", "", "", "", FORM_MALFORMED},
    {"--XX--\r\n", "", "", "", FORM_MALFORMED},
    {FIELD("a", "1") "--XX--\r\n", "a=1;", "", "", FORM_MALFORMED},
    {FIELD("a", "1") FIELD("A", "1") FILE_HEAD("") "x\r\n--XX--\r\n", "a=1;", "", "", FORM_MALFORMED},
    {"--XX\r\n\r\nx\r\n--XX--", "", "", "", FORM_MALFORMED},
    {"--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--", "", "", "", FORM_MALFORMED},
    {"--XX\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nx\r\n--XX--", "", "", "", FORM_MALFORMED},
    {"--XX\r\nContent-Disposition: form-data; name=\"a\r\n\r\nx\r\n--XX--", "", "", "", FORM_MALFORMED},
    {"--XX\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\nx\r\n--XX--", "", "", "", FORM_MALFORMED},
    {"--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Disposition: form-data; "
     "name=b\r\n\r\nx\r\n--XX--",
     "", "", "", FORM_MALFORMED},
};

static void check_case(const struct form_case *c, size_t piece)
{
    struct arena a;
    struct buf fields;
    struct taken t = {0};
    arena_init(&a);
    buf_init(&fields, 4096);
    buf_init(&t.file, 4096);
    struct form *f = form_new(&a, STR("XX"));
    enum form_result got = feed(f, str_c(c->in), piece, &t);
    if (got != c->want)
        fail_msg("%s by %zu: %d instead of %d", c->in, piece, (int)got, (int)c->want);
    for (size_t i = 0; i < form_fields(f)->n; i++)
        buf_printf(&fields, "%.*s=%.*s;", STR_FMT(form_fields(f)->v[i].name),
                   STR_FMT(form_fields(f)->v[i].value));
    if (got != FORM_MORE || t.files)
        assert_true(str_eq_c(buf_view(&fields), c->fields));
    assert_true(str_eq_c(form_filename(f), c->filename));
    if (got == FORM_DONE)
        assert_true(str_eq_c(buf_view(&t.file), c->file));
    if (got != FORM_MORE) {
        const struct form_taker taker = {file, data, &t};
        assert_int_equal(form_feed(f, STR("more"), &taker), got); /* it sticks */
    }
    form_release(f);
    form_release(f);
    buf_release(&fields);
    buf_release(&t.file);
    arena_release(&a);
}

static void forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t piece = 1; piece < 80; piece++)
            check_case(&cases[i], piece == 79 ? 100000 : piece);
}

static void stopped(void **state)
{
    (void)state;
    struct arena a;
    struct taken t = {.stop = true};
    arena_init(&a);
    struct form *f = form_new(&a, STR("XX"));
    assert_int_equal(feed(f, STR(FIELD("a", "1") FILE_HEAD("") "hello\r\n--XX--"), 1000, &t), FORM_STOPPED);
    assert_int_equal(t.files, 1);
    form_release(f);
    arena_release(&a);
}

/* One head or field, repeated; then the file. */
static enum form_result feed_many(const char *part, size_t times, const char *last)
{
    struct arena a;
    struct buf in;
    struct taken t = {0};
    arena_init(&a);
    buf_init(&in, 8u << 20);
    buf_init(&t.file, 4096);
    for (size_t i = 0; i < times; i++)
        buf_printf(&in, part, i);
    buf_puts(&in, last);
    struct form *f = form_new(&a, STR("XX"));
    enum form_result r = feed(f, buf_view(&in), 5000, &t);
    form_release(f);
    buf_release(&in);
    buf_release(&t.file);
    arena_release(&a);
    return r;
}

static void bounds(void **state)
{
    (void)state;
    const char *end = FILE_HEAD("") "x\r\n--XX--";
    assert_int_equal(feed_many(FIELD("f%zu", "v"), FORM_PARTS_MAX - 1, end), FORM_DONE);
    assert_int_equal(feed_many(FIELD("f%zu", "v"), FORM_PARTS_MAX, end), FORM_MALFORMED);
    const char *line = "--XX\r\nContent-Disposition: form-data; name=a\r\nX: ";
    char *long_line = malloc(9001);
    memset(long_line, 'y', 9000);
    long_line[9000] = 0;
    struct buf b;
    buf_init(&b, 3u << 20);
    buf_printf(&b, "%s%s\r\n\r\n", line, long_line);
    buf_char(&b, 0);
    assert_int_equal(feed_many("", 0, b.p), FORM_TOO_LARGE);
    free(long_line);
    for (size_t n = FORM_FIELD_MAX - 1; n <= FORM_FIELD_MAX + 1; n++) {
        buf_reset(&b);
        buf_puts(&b, "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n");
        memset(buf_reserve(&b, n), 'v', n);
        b.len += n;
        buf_printf(&b, "\r\n%s", end);
        buf_char(&b, 0);
        assert_int_equal(feed_many("", 0, b.p), n <= FORM_FIELD_MAX ? FORM_DONE : FORM_TOO_LARGE);
    }
    buf_release(&b);
    /* many fields, none too long */
    struct buf part;
    buf_init(&part, 40000);
    buf_puts(&part, "--XX\r\nContent-Disposition: form-data; name=f%zu\r\n\r\n");
    memset(buf_reserve(&part, 30000), 'v', 30000);
    part.len += 30000;
    buf_puts(&part, "\r\n");
    buf_char(&part, 0);
    assert_int_equal(feed_many(part.p, 60, end), FORM_DONE);
    assert_int_equal(feed_many(part.p, 80, end), FORM_TOO_LARGE);
    buf_release(&part);
}

static void boundaries(void **state)
{
    (void)state;
    static const struct {
        const char *type, *want; /* NULL: none */
    } types[] = {
        {TYPE "abc", "abc"},
        {TYPE "\"a b\"", "a b"},
        {"Multipart/Form-Data;charset=utf-8; Boundary=----WebKit7MA4YWxk", "----WebKit7MA4YWxk"},
        {TYPE "1234567890123456789012345678901234567890123456789012345678901234567890",
         "1234567890123456789012345678901234567890123456789012345678901234567890"},
        {TYPE "12345678901234567890123456789012345678901234567890123456789012345678901", NULL},
        {TYPE, NULL},
        {TYPE "\"\"", NULL},
        {TYPE "\"abc", NULL},
        {TYPE "\"a\\\"b\"", NULL},
        {"multipart/form-data", NULL},
        {"multipart/form-data;", NULL},
        {"multipart/form-data; x", NULL},
        {"multipart/mixed; boundary=abc", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct str b;
        bool got = form_boundary(str_c(types[i].type), &b);
        if (got != (types[i].want != NULL) || (got && !str_eq_c(b, types[i].want)))
            fail_msg("%s", types[i].type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(stopped),
        cmocka_unit_test(bounds),
        cmocka_unit_test(boundaries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
