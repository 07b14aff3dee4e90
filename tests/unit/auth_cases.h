/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of auth/ share: the credentials and dates of AWS's published examples, and heads from text. */
#ifndef BELFRY_TESTS_AUTH_CASES_H
#define BELFRY_TESTS_AUTH_CASES_H

#include "auth/auth.h"

#define AK    "AKIAIOSFODNN7EXAMPLE"
#define SK    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define SCOPE "20130524/us-east-1/s3/aws4_request"
#define CRED  AK "/" SCOPE
#define DATE  "20130524T000000Z"
#define E_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define T0    INT64_C(1369353600) /* DATE in seconds */

#define HEADER_LINES 32
struct head {
    struct header v[HEADER_LINES];
    struct headers h;
};

/* "Name: value\n" lines; the views point into text. */
static inline const struct headers *head_of(struct head *head, const char *text)
{
    struct str rest = str_c(text), line;
    head->h = (struct headers){.v = head->v};
    while (head->h.n < HEADER_LINES && str_cut(&rest, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon > 0)
            head->v[head->h.n++] =
                (struct header){str_head(line, (size_t)colon), str_trim(str_from(line, (size_t)colon + 1))};
    }
    return &head->h;
}

static inline struct auth *example_auth(const char *region)
{
    struct auth_config c = {STR(AK), STR(SK), str_c(region)};
    return auth_new(&c);
}

#endif
