/* SPDX-License-Identifier: Apache-2.0
 *
 * Small documents of clients. */
#include "s3/documents.h"

#include "base/xml.h"
#include "s3/owner.h"

enum s3_error location_from_xml(struct arena *a, struct str body, struct str *where)
{
    body = str_trim(body);
    *where = STR("");
    if (!body.n)
        return S3E_NONE;
    struct xml_node *root = xml_parse(a, body, 64);
    if (!root || !(str_eq(root->name, STR("CreateBucketConfiguration")) ||
                   str_eq(root->name, STR("CreateBucketRequest"))))
        return S3E_MALFORMED_XML;
    *where = str_trim(xml_text(root, "LocationConstraint"));
    return S3E_NONE;
}

/* Clients send back what they were given; MinIO's gives no ID, so none is taken for the owner's, too. */
enum s3_error acl_from_xml(struct arena *a, struct str body)
{
    struct xml_node *root = xml_parse(a, body, 1024);
    struct xml_node *list =
        root && str_eq(root->name, STR("AccessControlPolicy")) ? xml_child(root, "AccessControlList") : NULL;
    if (!list)
        return S3E_MALFORMED_XML;
    struct xml_node *grant = xml_child(list, "Grant");
    struct xml_node *grantee = grant ? xml_child(grant, "Grantee") : NULL;
    if (!grantee || xml_next(grant, "Grant") || xml_child(grantee, "URI") ||
        xml_child(grantee, "EmailAddress") ||
        !str_eq(str_trim(xml_text(grant, "Permission")), STR("FULL_CONTROL")))
        return S3E_NOT_IMPLEMENTED;
    struct str id = str_trim(xml_text(grantee, "ID"));
    return !id.n || str_eq(id, STR(S3_OWNER_ID)) ? S3E_NONE : S3E_NOT_IMPLEMENTED;
}
