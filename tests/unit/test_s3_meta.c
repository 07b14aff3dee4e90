/* SPDX-License-Identifier: Apache-2.0
 *
 * Conditions, ranges and metadata of objects, without a server: requests are made of headers alone. */
#include "s3/meta.h"

#include "base/clock.h"
#include "unit.h"

#define HELLO_MD5 "\x5d\x41\x40\x2a\xbc\x4b\x2a\x76\xb9\x71\x9d\x91\x10\x17\xc5\x92"
#define HELLO     "5d41402abc4b2a76b9719d911017c592"
#define MTIME     1369353600 /* Fri, 24 May 2013 00:00:00 GMT */

struct fake {
    struct arena arena;
    struct header headers[8];
    struct http_req http;
    struct s3 s3;
    struct s3_req r;
};

static void fake_init(struct fake *f)
{
    *f = (struct fake){.http.headers.v = f->headers};
    f->http.headers.v = f->headers;
    arena_init(&f->arena);
    f->r.http = &f->http;
    f->r.s3 = &f->s3;
    f->r.arena = &f->arena;
}

static void fake_header(struct fake *f, const char *name, const char *value)
{
    f->headers[f->http.headers.n++] = (struct header){str_c(name), str_c(value)};
}

static struct object hello(void)
{
    struct object o = {.size = 5, .mtime_ns = MTIME * 1000000000ll};
    memcpy(o.md5, HELLO_MD5, 16);
    return o;
}

struct cond_case {
    const char *name, *value, *name2, *value2;
    enum s3_error error;
};

static const struct cond_case reads[] = {
    {"If-None-Match", "\"" HELLO "\"", NULL, NULL, S3E_NOT_MODIFIED},
    {"If-None-Match", HELLO, NULL, NULL, S3E_NOT_MODIFIED},
    {"If-None-Match", "W/\"" HELLO "\"", NULL, NULL, S3E_NOT_MODIFIED},
    {"If-None-Match", "\"x\", \"" HELLO "\"", NULL, NULL, S3E_NOT_MODIFIED},
    {"If-None-Match", "*", NULL, NULL, S3E_NOT_MODIFIED},
    {"If-None-Match", "\"x\"", NULL, NULL, S3E_NONE},
    {"If-Match", "\"" HELLO "\"", NULL, NULL, S3E_NONE},
    {"If-Match", "\"x\"", NULL, NULL, S3E_PRECONDITION_FAILED},
    {"If-Match", "*", NULL, NULL, S3E_NONE},
    {"If-Modified-Since", "Fri, 24 May 2013 00:00:00 GMT", NULL, NULL, S3E_NOT_MODIFIED},
    {"If-Modified-Since", "Thu, 23 May 2013 23:59:59 GMT", NULL, NULL, S3E_NONE},
    {"If-Modified-Since", "nonsense", NULL, NULL, S3E_NONE},
    {"If-Unmodified-Since", "Fri, 24 May 2013 00:00:00 GMT", NULL, NULL, S3E_NONE},
    {"If-Unmodified-Since", "Thu, 23 May 2013 23:59:59 GMT", NULL, NULL, S3E_PRECONDITION_FAILED},
    {"If-Match", "\"" HELLO "\"", "If-Unmodified-Since", "Thu, 23 May 2013 23:59:59 GMT", S3E_NONE},
    {"If-None-Match", "\"x\"", "If-Modified-Since", "Fri, 24 May 2013 00:00:00 GMT", S3E_NONE},
};

static void test_read_conditions(void **state)
{
    (void)state;
    struct object o = hello();
    for (size_t i = 0; i < COUNT_OF(reads); i++) {
        struct fake f;
        fake_init(&f);
        fake_header(&f, reads[i].name, reads[i].value);
        if (reads[i].name2)
            fake_header(&f, reads[i].name2, reads[i].value2);
        enum s3_error e = condition_check(&f.r, &conditions_read, &o);
        if (e != reads[i].error)
            fail_msg("%s: %s gives %d", reads[i].name, reads[i].value, e);
        arena_release(&f.arena);
    }
}

static void test_write_conditions(void **state)
{
    (void)state;
    struct object o = hello();
    static const struct {
        const char *name, *value;
        bool exists;
        enum s3_error error;
    } cases[] = {
        {"If-None-Match", "*", true, S3E_PRECONDITION_FAILED},
        {"If-None-Match", "*", false, S3E_NONE},
        {"If-None-Match", "\"" HELLO "\"", true, S3E_PRECONDITION_FAILED},
        {"If-None-Match", "\"x\"", true, S3E_NONE},
        {"If-Match", "\"" HELLO "\"", true, S3E_NONE},
        {"If-Match", "\"x\"", true, S3E_PRECONDITION_FAILED},
        {"If-Match", "\"x\"", false, S3E_NO_SUCH_KEY},
        {"If-Match", "*", true, S3E_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fake f;
        fake_init(&f);
        fake_header(&f, cases[i].name, cases[i].value);
        assert_int_equal(condition_write(&f.r, cases[i].exists ? &o : NULL), cases[i].error);
        arena_release(&f.arena);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        enum range_result res;
        uint64_t first, length;
    } cases[] = {
        {"bytes=0-0", 5, RANGE_OK, 0, 1},
        {"bytes=1-2", 5, RANGE_OK, 1, 2},
        {"bytes=1-", 5, RANGE_OK, 1, 4},
        {"bytes=0-99", 5, RANGE_OK, 0, 5},
        {"bytes=-2", 5, RANGE_OK, 3, 2},
        {"bytes=-9", 5, RANGE_OK, 0, 5},
        {"Bytes=4-4", 5, RANGE_OK, 4, 1},
        {"bytes=5-", 5, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", 5, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-1", 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=3-2", 5, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=0-1,3-4", 5, RANGE_NONE, 0, 0},
        {"bytes=", 5, RANGE_NONE, 0, 0},
        {"bytes=-", 5, RANGE_NONE, 0, 0},
        {"bytes=a-b", 5, RANGE_NONE, 0, 0},
        {"bytes=1", 5, RANGE_NONE, 0, 0},
        {"items=0-1", 5, RANGE_NONE, 0, 0},
        {"bytes=0-18446744073709551615", 5, RANGE_OK, 0, 5},
        {"bytes=0-18446744073709551616", 5, RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t first = 0, length = 0;
        enum range_result res = range_parse(str_c(cases[i].value), cases[i].size, &first, &length);
        if (res != cases[i].res ||
            (res == RANGE_OK && (first != cases[i].first || length != cases[i].length)))
            fail_msg("%s of %d: %d %d+%d", cases[i].value, (int)cases[i].size, res, (int)first, (int)length);
    }
}

static const char *stored(const struct object *o, const char *name)
{
    static char text[64];
    struct str v;
    if (!header_get(&o->meta, str_c(name), &v))
        return NULL;
    snprintf(text, sizeof text, "%.*s", STR_FMT(v));
    return text;
}

static void test_meta_in(void **state)
{
    (void)state;
    struct fake f;
    struct object o = {0};
    fake_init(&f);
    fake_header(&f, "Content-Encoding", "aws-chunked, gzip");
    fake_header(&f, "x-amz-META-foo-BAR", "one");
    fake_header(&f, "X-Amz-Meta-Foo-Bar", "two");
    fake_header(&f, "x-amz-meta-empty", "");
    fake_header(&f, "X-Amz-Storage-Class", "REDUCED_REDUNDANCY");
    assert_int_equal(meta_from_request(&f.r, &o), S3E_NONE);
    assert_string_equal(stored(&o, "content-type"), "binary/octet-stream");
    assert_string_equal(stored(&o, "content-encoding"), "gzip");
    assert_string_equal(stored(&o, "X-Amz-Meta-Foo-Bar"), "one,two");
    assert_string_equal(stored(&o, "X-Amz-Meta-Empty"), "");
    assert_string_equal(stored(&o, "x-amz-storage-class"), "REDUCED_REDUNDANCY");
    assert_int_equal(o.meta.n, 5);
    arena_release(&f.arena);

    fake_init(&f);
    fake_header(&f, "Content-Encoding", "aws-chunked");
    fake_header(&f, "x-amz-storage-class", "STANDARD");
    o = (struct object){0};
    assert_int_equal(meta_from_request(&f.r, &o), S3E_NONE);
    assert_int_equal(o.meta.n, 1);
    arena_release(&f.arena);

    fake_init(&f);
    fake_header(&f, "x-amz-storage-class", "GLACIER");
    assert_int_equal(meta_from_request(&f.r, &o), S3E_INVALID_STORAGE_CLASS);
    arena_release(&f.arena);
}

/* A stored value or an override must not be able to end a header line. */
static void test_meta_out(void **state)
{
    (void)state;
    struct fake f;
    fake_init(&f);
    struct object o = hello();
    struct header meta[] = {{STR("content-type"), STR("text/plain")},
                            {STR("X-Amz-Meta-A"), STR("b\r\nEvil: 1")}};
    o.meta = (struct headers){meta, 2};
    struct header query[] = {{STR("response-content-type"), STR("x/y\r\nSet-Cookie: z")}};
    f.r.query = (struct headers){query, 1};
    struct buf b;
    buf_init(&b, 4096);
    meta_to_headers(&f.r, &o, true, &b);
    buf_char(&b, 0);
    assert_string_equal(b.p, "Content-Type: x/y  Set-Cookie: z\r\n"
                             "ETag: \"" HELLO "\"\r\nLast-Modified: Fri, 24 May 2013 00:00:00 GMT\r\n"
                             "x-amz-meta-a: b  Evil: 1\r\n");
    buf_release(&b);
    arena_release(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_conditions), cmocka_unit_test(test_write_conditions),
        cmocka_unit_test(test_ranges),          cmocka_unit_test(test_meta_in),
        cmocka_unit_test(test_meta_out),
    };
    return cmocka_run_group_tests_name("s3_meta", tests, NULL, NULL);
}
