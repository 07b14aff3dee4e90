/* SPDX-License-Identifier: Apache-2.0
 *
 * XML: reading small documents of clients into a bounded tree (expat; DOCTYPE refused), and writing replies. */
#ifndef BELFRY_BASE_XML_H
#define BELFRY_BASE_XML_H

#include "base/arena.h"
#include "base/buf.h"

/* Element. Names are local names: namespace prefix and URI are dropped. Text is the concatenated character data
 * directly inside the element. All in the arena given to xml_parse. */
struct xml_node {
    struct str name, text;
    struct xml_node *child, *next, *last_child;
};

#define XML_MAX_DEPTH 32
/* Parses one document of at most `max_nodes` elements. NULL when malformed, not UTF-8 (or declared otherwise), deeper
 * than XML_MAX_DEPTH, larger, or with a DOCTYPE. */
struct xml_node *xml_parse(struct arena *a, struct str doc, size_t max_nodes);
/* First child of that name, or NULL; next sibling of the same name. */
struct xml_node *xml_child(const struct xml_node *n, const char *name);
struct xml_node *xml_next(const struct xml_node *n, const char *name);
/* Text of the first child of that name; empty with p == NULL when there is none. */
struct str xml_text(const struct xml_node *n, const char *name);

#define XML_PROLOG "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define XML_S3_NS  "http://s3.amazonaws.com/doc/2006-03-01/"
/* Appends s with & < > " ' escaped and tab, LF and CR as references. What XML 1.0 (2.2) cannot carry in any form (other control
 * characters, U+FFFE, U+FFFF, bytes that are not UTF-8) becomes U+FFFD: the document is well-formed whatever s holds. */
void xml_escape(struct buf *b, struct str s);
/* True when nothing of s would become U+FFFD: a reader of the document has s again. Pure. */
bool xml_carries(struct str s);
/* <name>escaped text</name> */
void xml_elem(struct buf *b, const char *name, struct str text);
void xml_elem_u64(struct buf *b, const char *name, uint64_t v);

#endif
