/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON and XML texts: escaping, and reading the documents of clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/xml.h"
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct text_case {
    struct str in, out;
};
#define CASE(in, out) \
    { \
        {in, sizeof(in) - 1}, \
        { \
            out, sizeof(out) - 1 \
        } \
    }

static const struct text_case json_cases[] = {
    CASE("", "\"\""),
    CASE("plain text", "\"plain text\""),
    CASE("\"\\", "\"\\\"\\\\\""),
    CASE("\b\f\n\r\t", "\"\\b\\f\\n\\r\\t\""),
    CASE("\0\x01\x1f\x7f", "\"\\u0000\\u0001\\u001f\x7f\""),
    CASE("<a>&b'/", "\"\\u003ca\\u003e\\u0026b'/\""),
    CASE("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\""),
    CASE("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa\""),
    CASE("\xff", "\"\\ufffd\""),
    CASE("a\xc3", "\"a\\ufffd\""),
    CASE("\xe2\x82z", "\"\\ufffd\\ufffdz\""),
    CASE("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""),
    CASE("\xc0\x80", "\"\\ufffd\\ufffd\""),
};

static void json(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(json_cases); i++) {
        struct buf b;
        buf_init(&b, 1000);
        json_quote(&b, json_cases[i].in);
        if (!str_eq(buf_view(&b), json_cases[i].out))
            fail_msg("case %zu: %.*s", i, STR_FMT(buf_view(&b)));
        buf_reset(&b);
        json_escape(&b, json_cases[i].in);
        assert_int_equal(b.len + 2, json_cases[i].out.n);
        buf_release(&b);
    }
}

static const struct text_case xml_cases[] = {
    CASE("", ""),
    CASE("plain", "plain"),
    CASE("a&b<c>d\"e'f", "a&amp;b&lt;c&gt;d&#34;e&#39;f"),
    CASE("\t\n\r", "&#x9;&#xA;&#xD;"),
    CASE("\0\x1f\v", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"),
    CASE("\xc3\xbc\xf0\x9f\x98\x80", "\xc3\xbc\xf0\x9f\x98\x80"),
    CASE("\xff\xc3", "\xef\xbf\xbd\xef\xbf\xbd"),
    CASE("\xef\xbf\xbe\xef\xbf\xbd", "\xef\xbf\xbd\xef\xbf\xbd"),
};

static void xml_writing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (size_t i = 0; i < COUNT(xml_cases); i++) {
        buf_reset(&b);
        xml_escape(&b, xml_cases[i].in);
        if (!str_eq(buf_view(&b), xml_cases[i].out))
            fail_msg("case %zu: %.*s", i, STR_FMT(buf_view(&b)));
    }
    buf_reset(&b);
    xml_elem(&b, "Key", STR("a<b"));
    xml_elem_u64(&b, "Size", UINT64_MAX);
    assert_true(str_eq(buf_view(&b), STR("<Key>a&lt;b</Key><Size>18446744073709551615</Size>")));
    buf_release(&b);
}

/* "name(text){children}" of a tree. */
static void show(struct buf *b, const struct xml_node *n)
{
    for (; n; n = n->next) {
        buf_str(b, n->name);
        if (n->text.n) {
            buf_char(b, '(');
            buf_str(b, n->text);
            buf_char(b, ')');
        }
        if (n->child) {
            buf_char(b, '{');
            show(b, n->child);
            buf_char(b, '}');
        }
        if (n->next)
            buf_char(b, ' ');
    }
}

static const struct {
    const char *doc, *tree; /* NULL: refused */
} xml_docs[] = {
    {"<a/>", "a"},
    {"<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<a>x</a>\n", "a(x)"},
    {"\xef\xbb\xbf<a>x</a>", "a(x)"},
    {"<a xmlns='u' b='c'><b>1</b><b>2</b>t<c><d/></c>u</a>", "a(tu){b(1) b(2) c{d}}"},
    {"<p:a xmlns:p='u'><p:b/></p:a>", "a{b}"},
    {"<a>&lt;&amp;&#65;&#x42;<![CDATA[<x>&]]></a>", "a(<&AB<x>&)"},
    {"<a><!-- no --><?pi x?>x</a>", "a(x)"},
    {"<a>\xc3\xbc</a>", "a(\xc3\xbc)"},
    {"<a><b><c><d><e>deep</e></d></c></b></a>", "a{b{c{d{e(deep)}}}}"},
    {"", NULL},
    {"text", NULL},
    {"<a>", NULL},
    {"<a></b>", NULL},
    {"<a/><b/>", NULL},
    {"<a/>x", NULL},
    {"<a>&nbsp;</a>", NULL},
    {"<a>\xff</a>", NULL},
    {"<a>\xed\xa0\x80</a>", NULL},
    {"<a>&#0;</a>", NULL},
    {"<a b='1' b='2'/>", NULL},
    {"<!DOCTYPE a><a/>", NULL},
    {"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", NULL},
    {"<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", NULL},
    {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>", NULL},
    {"<?xml version=\"1.0\" encoding=\"UTF-16\"?><a/>", NULL},
    {"<a><b/><b/><b/><b/><b/><b/></a>", NULL}, /* 7 elements; 6 are allowed */
};

static void xml_reading(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(xml_docs); i++) {
        struct arena a;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 1000);
        struct xml_node *n = xml_parse(&a, str_c(xml_docs[i].doc), 6);
        if ((n != NULL) != (xml_docs[i].tree != NULL))
            fail_msg("%s", xml_docs[i].doc);
        show(&b, n);
        if (n && !str_eq_c(buf_view(&b), xml_docs[i].tree))
            fail_msg("%s: %.*s", xml_docs[i].doc, STR_FMT(buf_view(&b)));
        buf_release(&b);
        arena_release(&a);
    }
}

static void xml_depth(void **state)
{
    (void)state;
    for (int depth = XML_MAX_DEPTH; depth <= XML_MAX_DEPTH + 1; depth++) {
        struct arena a;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 1000);
        for (int i = 0; i < depth; i++)
            buf_puts(&b, "<a>");
        for (int i = 0; i < depth; i++)
            buf_puts(&b, "</a>");
        assert_int_equal(xml_parse(&a, buf_view(&b), 1000) != NULL, depth == XML_MAX_DEPTH);
        buf_release(&b);
        arena_release(&a);
    }
}

static void xml_looking(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    struct xml_node *n = xml_parse(&a, STR("<r><a>1</a><b/><a>2</a></r>"), 10);
    struct xml_node *first = xml_child(n, "a");
    assert_true(str_eq(first->text, STR("1")));
    assert_true(str_eq(xml_next(first, "a")->text, STR("2")));
    assert_null(xml_next(xml_next(first, "a"), "a"));
    assert_null(xml_child(n, "c"));
    assert_null(xml_child(NULL, "c"));
    assert_null(xml_text(n, "c").p);
    assert_non_null(xml_text(n, "b").p);
    assert_true(str_eq(xml_text(n, "a"), STR("1")));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json),      cmocka_unit_test(xml_writing), cmocka_unit_test(xml_reading),
        cmocka_unit_test(xml_depth), cmocka_unit_test(xml_looking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
