/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the policy of a form. Up to a NUL: fields, "name=value" lines; the rest is the JSON. */
#include "base/encode.h"
#include "fuzz.h"
#include "s3/policy_form.h"

#define FIELDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str json = str_n(data, size), lines = {0}, line;
    struct header v[FIELDS_MAX];
    struct headers fields = {.v = v};
    (void)str_cut(&json, 0, &lines);
    while (fields.n < FIELDS_MAX && lines.n && str_cut(&lines, '\n', &line)) {
        ptrdiff_t eq = str_chr(line, '=');
        if (eq > 0)
            v[fields.n++] = (struct header){str_head(line, (size_t)eq), str_from(line, (size_t)eq + 1)};
    }
    struct arena a;
    struct buf policy;
    struct policy_limits limits;
    const char *message = NULL;
    arena_init(&a);
    buf_init(&policy, 2 * size + 8);
    base64_encode(&policy, json);
    enum s3_error e = policy_form_check(&a, buf_view(&policy), &fields, STR("b"),
                                        INT64_C(1500000000000000000), &limits, &message);
    CHECK(e == S3E_NONE ? limits.min <= UINT64_MAX && !message : message && strlen(message) < 1024);
    CHECK(e == S3E_NONE || e == S3E_INVALID_POLICY_DOCUMENT || e == S3E_ACCESS_DENIED);
    buf_release(&policy);
    arena_release(&a);
    return 0;
}
