/* SPDX-License-Identifier: Apache-2.0
 *
 * XML: expat's events into a bounded tree, and the escaping of replies. */
#include "base/xml.h"

#include <expat.h>
#include <limits.h>

struct reading {
    struct arena *arena;
    XML_Parser parser;
    struct xml_node *root, *open[XML_MAX_DEPTH];
    struct buf text[XML_MAX_DEPTH]; /* of the element open at that depth */
    unsigned depth;
    size_t nodes, max_nodes;
    bool refused;
};

static void refuse(struct reading *r)
{
    r->refused = true;
    (void)XML_StopParser(r->parser, XML_FALSE);
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct reading *r = arg;
    (void)attributes;
    const char *colon = strrchr(name, ':'), *local = colon ? colon + 1 : name;
    /* expat looks at no namespaces: "a:" is a name to it, but of nothing. */
    if (r->refused || !*local || r->depth == XML_MAX_DEPTH || r->nodes == r->max_nodes) {
        refuse(r);
        return;
    }
    r->nodes++;
    struct xml_node *n = ARENA_NEW(r->arena, struct xml_node);
    n->name = arena_dup(r->arena, str_c(local));
    if (r->depth == 0) {
        r->root = n;
    } else {
        struct xml_node *up = r->open[r->depth - 1];
        if (up->last_child)
            up->last_child->next = n;
        else
            up->child = n;
        up->last_child = n;
    }
    r->open[r->depth] = n;
    buf_reset(&r->text[r->depth]);
    r->depth++;
}

static void on_end(void *arg, const char *name)
{
    struct reading *r = arg;
    (void)name;
    if (r->refused)
        return;
    r->depth--;
    r->open[r->depth]->text = arena_dup(r->arena, buf_view(&r->text[r->depth]));
}

static void on_text(void *arg, const char *text, int n)
{
    struct reading *r = arg;
    if (!r->refused)
        buf_put(&r->text[r->depth - 1], text, (size_t)n);
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(arg);
}

static void on_declaration(void *arg, const char *version, const char *encoding, int standalone)
{
    (void)version;
    (void)standalone;
    if (encoding && !str_ieq(str_c(encoding), STR("UTF-8")))
        refuse(arg);
}

struct xml_node *xml_parse(struct arena *a, struct str doc, size_t max_nodes)
{
    if (doc.n == 0 || doc.n > INT_MAX)
        return NULL;
    struct reading r = {.arena = a, .max_nodes = max_nodes};
    for (size_t i = 0; i < XML_MAX_DEPTH; i++)
        buf_init(&r.text[i], doc.n + 1); /* text never grows in decoding */
    /* The encoding given here wins over the document's: what is not UTF-8 is malformed. */
    r.parser = XML_ParserCreate("UTF-8");
    if (!r.parser)
        return NULL;
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, on_start, on_end);
    XML_SetCharacterDataHandler(r.parser, on_text);
    XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
    XML_SetXmlDeclHandler(r.parser, on_declaration);
    bool good = XML_Parse(r.parser, doc.p, (int)doc.n, 1) == XML_STATUS_OK && !r.refused;
    XML_ParserFree(r.parser);
    for (size_t i = 0; i < XML_MAX_DEPTH; i++) {
        good = good && !r.text[i].failed;
        buf_release(&r.text[i]);
    }
    return good ? r.root : NULL;
}

static struct xml_node *find(struct xml_node *n, const char *name)
{
    while (n && !str_eq_c(n->name, name))
        n = n->next;
    return n;
}

struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    return n ? find(n->child, name) : NULL;
}

struct xml_node *xml_next(const struct xml_node *n, const char *name)
{
    return n ? find(n->next, name) : NULL;
}

struct str xml_text(const struct xml_node *n, const char *name)
{
    const struct xml_node *child = xml_child(n, name);
    return child ? child->text : (struct str){NULL, 0};
}

/* 1: has to be looked at. */
static const uint8_t special[256] = {
    [0 ... 0x1f] = 1, ['"'] = 1, ['&'] = 1, ['\''] = 1, ['<'] = 1, ['>'] = 1, [0x80 ... 0xff] = 1,
};

static void put_ascii(struct buf *b, unsigned char c)
{
    switch (c) {
    case '&':
        buf_str(b, STR("&amp;"));
        break;
    case '<':
        buf_str(b, STR("&lt;"));
        break;
    case '>':
        buf_str(b, STR("&gt;"));
        break;
    case '"':
        buf_str(b, STR("&#34;"));
        break;
    case '\'':
        buf_str(b, STR("&#39;"));
        break;
    case '\t':
    case '\n':
    case '\r': /* readers normalise line ends, but not references to them */
        buf_printf(b, "&#x%X;", c);
        break;
    default:
        /* XML 1.0 has no other control character, not even as a reference. AWS and MinIO write one all the same, and then one
         * key makes a whole listing unreadable; who wants the true name asks for encoding-type=url. */
        buf_str(b, STR("\xef\xbf\xbd"));
    }
}

/* Length of the UTF-8 character at s if XML 1.0 can carry it (not U+FFFE, U+FFFF), else 0. */
static size_t xml_char(struct str s)
{
    size_t n = str_utf8_seq(s);
    if (n == 3 && (memcmp(s.p, "\xef\xbf\xbe", 3) == 0 || memcmp(s.p, "\xef\xbf\xbf", 3) == 0))
        return 0;
    return n;
}

void xml_escape(struct buf *b, struct str s)
{
    while (s.n) {
        size_t run = 0;
        while (run < s.n && !special[(uint8_t)s.p[run]])
            run++;
        buf_put(b, s.p, run);
        s = str_from(s, run);
        if (s.n == 0)
            return;
        size_t n = 1;
        if ((uint8_t)s.p[0] < 0x80) {
            put_ascii(b, (uint8_t)s.p[0]);
        } else if ((n = xml_char(s)) > 0) {
            buf_put(b, s.p, n);
        } else {
            buf_str(b, STR("\xef\xbf\xbd"));
            n = str_utf8_seq(s) ? 3 : 1;
        }
        s = str_from(s, n);
    }
}

bool xml_carries(struct str s)
{
    while (s.n) {
        uint8_t c = (uint8_t)s.p[0];
        size_t n = c >= 0x80 ? xml_char(s) : c >= ' ' || c == '\t' || c == '\n' || c == '\r';
        if (n == 0)
            return false;
        s = str_from(s, n);
    }
    return true;
}

void xml_elem(struct buf *b, const char *name, struct str text)
{
    size_t n = strlen(name);
    buf_char(b, '<');
    buf_put(b, name, n);
    buf_char(b, '>');
    xml_escape(b, text);
    buf_str(b, STR("</"));
    buf_put(b, name, n);
    buf_char(b, '>');
}

void xml_elem_u64(struct buf *b, const char *name, uint64_t v)
{
    struct buf digits;
    buf_init(&digits, 20);
    buf_u64(&digits, v);
    xml_elem(b, name, buf_view(&digits));
    buf_release(&digits);
}
