/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the document of DeleteObjects. */
#include "base/xml.h"
#include "s3/deletes.h"
#include "s3/route.h"

static void parse_entry(const struct xml_node *n, struct delete_entry *e)
{
    struct str version = str_trim(xml_text(n, "VersionId"));
    e->key = xml_text(n, "Key");
    e->error = key_check(e->key);
    if (e->error == S3E_NONE && version.n && !str_eq(version, STR("null")))
        e->error = S3E_NO_SUCH_VERSION;
    if (e->error == S3E_NONE &&
        (xml_child(n, "ETag") || xml_child(n, "Size") || xml_child(n, "LastModifiedTime")))
        e->error = S3E_NOT_IMPLEMENTED;
}

bool deletes_parse(struct arena *a, struct str xml, struct delete_entry **entries, size_t *n, bool *quiet)
{
    struct xml_node *root = xml_parse(a, xml, 8 * DELETES_MAX + 16);
    if (!root || !str_eq(root->name, STR("Delete")))
        return false;
    *quiet = str_ieq(str_trim(xml_text(root, "Quiet")), STR("true"));
    *entries = ARENA_ARRAY(a, struct delete_entry, DELETES_MAX);
    *n = 0;
    for (struct xml_node *o = xml_child(root, "Object"); o; o = xml_next(o, "Object")) {
        if (*n == DELETES_MAX || !xml_child(o, "Key"))
            return false;
        parse_entry(o, &(*entries)[(*n)++]);
    }
    return *n > 0;
}
