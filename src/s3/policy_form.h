/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy of a form (AWS: "Creating an HTML form", "POST policy"): what its maker allows whoever has it to upload. Pure.
 * Internal to s3/. */
#ifndef BELFRY_S3_POLICY_FORM_H
#define BELFRY_S3_POLICY_FORM_H

#include "base/header.h"
#include "s3/error.h"

struct policy_limits {
    uint64_t min, max; /* bytes of the file: content-length-range; 0 and UINT64_MAX without one */
};
/* base64: the field `policy`. fields: of the form, names in lower case, `key` as it will be used. bucket: of the request.
 * S3E_NONE when the policy has not expired, every condition holds, and every field but those that cannot be conditions is
 * named by one. Otherwise S3E_INVALID_POLICY_DOCUMENT (not well-formed) or S3E_ACCESS_DENIED, and *message (in the arena)
 * says why. */
enum s3_error policy_form_check(struct arena *a, struct str base64, const struct headers *fields,
                                struct str bucket, int64_t now_ns, struct policy_limits *limits,
                                const char **message);

#endif
