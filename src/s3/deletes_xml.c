/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the document of DeleteObjects; conditions of removals. */
#include "base/clock.h"
#include "base/xml.h"
#include "s3/deletes.h"
#include "s3/meta.h"
#include "s3/route.h"

bool delete_condition_any(const struct delete_condition *c)
{
    return c->etag.p || c->has_mtime || c->has_size;
}

bool delete_condition_mtime(struct delete_condition *c, struct str text)
{
    int64_t ns;
    c->has_mtime = true;
    if (clock_parse_http(text, &c->mtime))
        return true;
    if (!clock_parse_iso(text, &ns))
        return false;
    c->mtime = ns / 1000000000;
    return true;
}

bool delete_condition_holds(const struct delete_condition *c, const struct object *o)
{
    return (!c->etag.p || etag_listed(c->etag, o)) &&
           (!c->has_mtime || c->mtime == o->mtime_ns / 1000000000) && (!c->has_size || c->size == o->size);
}

static enum s3_error parse_condition(const struct xml_node *n, struct delete_condition *c)
{
    if (xml_child(n, "ETag")) {
        c->etag = str_trim(xml_text(n, "ETag"));
        if (!c->etag.p)
            c->etag = STR("");
    }
    if (xml_child(n, "LastModifiedTime") &&
        !delete_condition_mtime(c, str_trim(xml_text(n, "LastModifiedTime"))))
        return S3E_INVALID_ARGUMENT;
    c->has_size = xml_child(n, "Size") != NULL;
    if (c->has_size && !str_to_u64(str_trim(xml_text(n, "Size")), &c->size))
        return S3E_INVALID_ARGUMENT;
    return S3E_NONE;
}

static void parse_entry(const struct xml_node *n, struct delete_entry *e)
{
    struct str version = str_trim(xml_text(n, "VersionId"));
    *e = (struct delete_entry){.key = xml_text(n, "Key")};
    e->error = key_check(e->key);
    if (e->error == S3E_NONE && version.n && !str_eq(version, STR("null")))
        e->error = S3E_NO_SUCH_VERSION;
    if (e->error == S3E_NONE)
        e->error = parse_condition(n, &e->condition);
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
