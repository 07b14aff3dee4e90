/* SPDX-License-Identifier: Apache-2.0
 *
 * Documents of clients of which only one value can be asked for: the location of a new bucket, an ACL. Pure. Internal to s3/. */
#ifndef BELFRY_S3_DOCUMENTS_H
#define BELFRY_S3_DOCUMENTS_H

#include "base/arena.h"
#include "s3/error.h"

/* CreateBucketConfiguration (AWS API reference, CreateBucket): *where is its LocationConstraint, in the arena; empty where there
 * is none, or no body. S3E_NONE or S3E_MALFORMED_XML. */
enum s3_error location_from_xml(struct arena *a, struct str body, struct str *where);
/* AccessControlPolicy (AWS API reference, PutBucketAcl): S3E_NONE when it says what everything has, FULL_CONTROL of the owner
 * alone; S3E_NOT_IMPLEMENTED for any other ACL, S3E_MALFORMED_XML for what is none. */
enum s3_error acl_from_xml(struct arena *a, struct str body);

#endif
