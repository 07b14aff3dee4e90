/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the document of CompleteMultipartUpload. */
#include "base/xml.h"
#include "s3/multipart.h"

#define NODES_PER_PART 8

static struct str unquoted(struct str etag)
{
    etag = str_trim(etag);
    return etag.n >= 2 && etag.p[0] == '"' && etag.p[etag.n - 1] == '"' ? str_n(etag.p + 1, etag.n - 2)
                                                                        : etag;
}

static enum s3_error parse_part(const struct xml_node *n, struct complete_part *p)
{
    struct str number = str_trim(xml_text(n, "PartNumber"));
    unsigned value;
    if (!number.n || !xml_child(n, "ETag"))
        return S3E_MALFORMED_XML;
    for (size_t i = 0; i < number.n; i++)
        if (number.p[i] < '0' || number.p[i] > '9')
            return S3E_MALFORMED_XML;
    if (!part_number_parse(number, &value))
        return S3E_INVALID_PART;
    p->number = value;
    p->etag = unquoted(xml_text(n, "ETag"));
    for (const struct xml_node *c = n->child; c; c = c->next) {
        enum checksum_kind k = checksum_of_element(c->name);
        if (k == CHECKSUM_NONE || !c->text.n)
            continue;
        if (p->checksum || !checksum_parse(k, str_trim(c->text), p->checksum_value))
            return S3E_INVALID_PART;
        p->checksum = (uint8_t)k;
    }
    return S3E_NONE;
}

enum s3_error complete_parse(struct arena *a, struct str xml, struct complete_part **parts, size_t *n)
{
    struct xml_node *root = xml_parse(a, xml, NODES_PER_PART * OBJECT_PARTS + 16);
    if (!root || !str_eq(root->name, STR("CompleteMultipartUpload")))
        return S3E_MALFORMED_XML;
    size_t count = 0;
    for (struct xml_node *p = xml_child(root, "Part"); p; p = xml_next(p, "Part"))
        count++;
    if (count == 0 || count > OBJECT_PARTS)
        return S3E_MALFORMED_XML;
    *parts = ARENA_ARRAY(a, struct complete_part, count);
    *n = 0;
    for (struct xml_node *p = xml_child(root, "Part"); p; p = xml_next(p, "Part")) {
        enum s3_error e = parse_part(p, &(*parts)[*n]);
        if (e != S3E_NONE)
            return e;
        if (*n && (*parts)[*n].number <= (*parts)[*n - 1].number)
            return S3E_INVALID_PART_ORDER;
        ++*n;
    }
    return S3E_NONE;
}
