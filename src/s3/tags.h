/* SPDX-License-Identifier: Apache-2.0
 *
 * Tags of an object: from the header x-amz-tagging or the document of PutObjectTagging to the stored form, and back. The
 * stored form is x-amz-tagging's own ("key=value&key=value"), in order of key, with only ' ' % & + = escaped. Rules: AWS,
 * "Categorizing your storage using tags". Pure. Internal to s3/. */
#ifndef BELFRY_S3_TAGS_H
#define BELFRY_S3_TAGS_H

#include "base/buf.h"
#include "s3/error.h"

struct arena;

#define TAGS_MAX       10
#define TAG_KEY_MAX    128 /* characters, not bytes */
#define TAG_VALUE_MAX  256
#define TAGS_BYTES_MAX (TAGS_MAX * (4 * (TAG_KEY_MAX + TAG_VALUE_MAX) + 2)) /* of the stored form */

/* Each gives the stored form, in the arena (empty: no tags). S3E_INVALID_TAG: more than TAGS_MAX, a key twice, empty, too
 * long, reserved ("aws:"), or characters that are not letters, digits, blanks and + - = . _ : / @.
 * The header's text is a query string; S3E_INVALID_TAGGING when an escape is broken. */
enum s3_error tags_from_header(struct arena *a, struct str text, struct str *stored);
/* <Tagging><TagSet><Tag><Key/><Value/></Tag>...</TagSet></Tagging>, else S3E_MALFORMED_XML. */
enum s3_error tags_from_xml(struct arena *a, struct str doc, struct str *stored);
/* The document that GetObjectTagging answers with; the arena is scratch. */
void tags_to_xml(struct arena *a, struct str stored, struct buf *out);
size_t tags_count(struct str stored);

#endif
