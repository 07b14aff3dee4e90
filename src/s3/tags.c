/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading, checking and writing tags. */
#include "s3/tags.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/header.h"
#include "base/xml.h"

#define PAIRS_MAX 4096 /* a longer list is not looked at: it has too many tags in any case */

/* Letters, digits and separators of any script. Of what is beyond ASCII only the control characters, and the two that XML
 * forbids, are none of these that could do harm; a table of Unicode's classes is not worth it. */
static bool text_valid(struct str s, size_t max)
{
    size_t chars = 0;
    for (size_t i = 0; i < s.n; chars++) {
        size_t n = str_utf8_seq(str_from(s, i));
        unsigned char c = (unsigned char)s.p[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!n || (n == 1 && !alnum && (!c || !strchr(" +-=._:/@", c))))
            return false;
        if (n == 2 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
            return false;
        if (n == 3 && c == 0xef && (unsigned char)s.p[i + 1] == 0xbf && (unsigned char)s.p[i + 2] >= 0xbe)
            return false; /* U+FFFE, U+FFFF: GetObjectTagging could not answer with them */
        i += n;
    }
    return chars <= max;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct header *)a)->name, ((const struct header *)b)->name);
}

static void put_escaped(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (memchr(" %&+=", s.p[i], 5))
            buf_printf(b, "%%%02X", (unsigned char)s.p[i]);
        else
            buf_char(b, s.p[i]);
}

static enum s3_error store(struct arena *a, struct headers *tags, struct str *stored)
{
    struct buf b;
    if (tags->n > TAGS_MAX)
        return S3E_INVALID_TAG;
    if (tags->n)
        qsort(tags->v, tags->n, sizeof tags->v[0], by_name);
    for (size_t i = 0; i < tags->n; i++) {
        struct header t = tags->v[i];
        if (!t.name.n || !text_valid(t.name, TAG_KEY_MAX) || !text_valid(t.value, TAG_VALUE_MAX) ||
            str_istarts(t.name, STR("aws:")) || (i && str_eq(t.name, tags->v[i - 1].name)))
            return S3E_INVALID_TAG;
    }
    buf_init(&b, TAGS_BYTES_MAX);
    for (size_t i = 0; i < tags->n; i++) {
        if (i)
            buf_char(&b, '&');
        put_escaped(&b, tags->v[i].name);
        buf_char(&b, '=');
        put_escaped(&b, tags->v[i].value);
    }
    BUG_ON(b.failed); /* an escaped character takes three bytes, one beyond ASCII at most four */
    *stored = arena_dup(a, buf_view(&b));
    buf_release(&b);
    return S3E_NONE;
}

enum s3_error tags_from_header(struct arena *a, struct str text, struct str *stored)
{
    struct headers tags;
    *stored = str_n(NULL, 0);
    if (!query_parse(a, text, PAIRS_MAX, &tags))
        return S3E_INVALID_TAGGING;
    return store(a, &tags, stored);
}

enum s3_error tags_from_xml(struct arena *a, struct str doc, struct str *stored)
{
    struct xml_node *root = xml_parse(a, doc, 3 * PAIRS_MAX + 2);
    struct xml_node *set = root && str_eq(root->name, STR("Tagging")) ? xml_child(root, "TagSet") : NULL;
    *stored = str_n(NULL, 0);
    if (!set)
        return S3E_MALFORMED_XML;
    struct headers tags = {.v = ARENA_ARRAY(a, struct header, TAGS_MAX + 1)};
    for (struct xml_node *t = xml_child(set, "Tag"); t && tags.n <= TAGS_MAX; t = xml_next(t, "Tag")) {
        if (!xml_child(t, "Key") || !xml_child(t, "Value"))
            return S3E_MALFORMED_XML;
        tags.v[tags.n++] = (struct header){xml_text(t, "Key"), xml_text(t, "Value")};
    }
    return store(a, &tags, stored);
}

void tags_to_xml(struct arena *a, struct str stored, struct buf *out)
{
    struct headers tags = {0};
    BUG_ON(!query_parse(a, stored, PAIRS_MAX, &tags)); /* our own form; the row's checksum vouches for it */
    buf_puts(out, XML_PROLOG "<Tagging xmlns=\"" XML_S3_NS "\"><TagSet>");
    for (size_t i = 0; i < tags.n; i++) {
        buf_puts(out, "<Tag>");
        xml_elem(out, "Key", tags.v[i].name);
        xml_elem(out, "Value", tags.v[i].value);
        buf_puts(out, "</Tag>");
    }
    buf_puts(out, "</TagSet></Tagging>");
}

size_t tags_count(struct str stored)
{
    size_t n = stored.n ? 1 : 0;
    for (size_t i = 0; i < stored.n; i++)
        n += stored.p[i] == '&';
    return n;
}
