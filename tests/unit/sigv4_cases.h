/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of Signature Version 4 share: how a request is written, in the words of AWS's published examples. */
#ifndef BELFRY_TESTS_SIGV4_CASES_H
#define BELFRY_TESTS_SIGV4_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "auth/sigv4.h"
#include "auth_cases.h"

#define NS INT64_C(1000000000)

#define AUTHORIZATION(names, signature) \
    "Authorization: AWS4-HMAC-SHA256 Credential=" CRED ",SignedHeaders=" names ",Signature=" signature "\n"
#define BUCKET_HOST         "Host: examplebucket.s3.amazonaws.com\n"
#define BASIC_NAMES         "host;x-amz-content-sha256;x-amz-date"
#define BASIC(sha)          BUCKET_HOST "x-amz-date: " DATE "\nx-amz-content-sha256: " sha "\n"
#define LIFECYCLE_SIGNATURE "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
#define PRESIGNED_QUERY \
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" AK \
    "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=" DATE \
    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
#define PRESIGNED_SIGNATURE \
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
#define PUT_SHA "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define V4      "AWS4-HMAC-SHA256"

static inline struct auth_request request(const char *method, const char *path, const char *query,
                                          const struct headers *h)
{
    return (struct auth_request){.method = str_c(method),
                                 .path = str_c(path),
                                 .query = str_c(query),
                                 .headers = h,
                                 .now_ns = (T0 + 60) * NS};
}

#endif
