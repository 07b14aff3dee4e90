/* SPDX-License-Identifier: Apache-2.0
 *
 * Policies of forms: JSON (jansson), conditions one by one, then the fields that no condition named. */
#include "s3/policy_form.h"

#include <jansson.h>

#include "base/clock.h"
#include "base/encode.h"

struct check {
    struct arena *arena;
    const struct headers *fields;
    struct str bucket;
    struct policy_limits *limits;
    const char **message;
    bool *named; /* per field: a condition is about it */
    bool bucket_named;
};

static enum s3_error malformed(struct check *c, const char *why)
{
    *c->message = arena_printf(c->arena, "Invalid Policy: %s%c", why, 0).p;
    return S3E_INVALID_POLICY_DOCUMENT;
}

static enum s3_error denied(struct check *c, const char *why, struct str what)
{
    if (!str_utf8_valid(what) || what.n > 256)
        what = STR("?");
    *c->message = arena_printf(c->arena, "Invalid according to Policy: %s%.*s%c", why, STR_FMT(what), 0).p;
    return S3E_ACCESS_DENIED;
}

/* The value of a field that a condition is about; a field that is not there is empty. */
static struct str field_value(struct check *c, struct str name)
{
    if (str_ieq(name, STR("bucket"))) {
        c->bucket_named = true;
        return c->bucket;
    }
    for (size_t i = 0; i < c->fields->n; i++)
        if (str_ieq(c->fields->v[i].name, name)) {
            c->named[i] = true;
            return c->fields->v[i].value;
        }
    return STR("");
}

static struct str text_of(const json_t *j)
{
    return str_n(json_string_value(j), json_string_length(j));
}

static enum s3_error compare(struct check *c, bool starts, struct str name, struct str wanted)
{
    struct str value = field_value(c, name);
    bool good = starts ? str_starts(value, wanted) : str_eq(value, wanted);
    return good ? S3E_NONE : denied(c, "Policy Condition failed: $", name);
}

/* A number, or its digits as a string. */
static bool size_of(const json_t *j, uint64_t *out)
{
    if (json_is_integer(j) && json_integer_value(j) >= 0) {
        *out = (uint64_t)json_integer_value(j);
        return true;
    }
    return json_is_string(j) && str_to_u64(text_of(j), out);
}

/* {"field": "value", ...} */
static enum s3_error check_object(struct check *c, json_t *o)
{
    const char *name;
    json_t *value;
    enum s3_error e = S3E_NONE;
    if (json_object_size(o) == 0)
        return malformed(c, "a condition is empty.");
    json_object_foreach(o, name, value)
    {
        struct str wanted;
        if (json_is_string(value))
            wanted = text_of(value);
        else if (json_is_integer(value)) /* success_action_status: 201 */
            wanted = arena_printf(c->arena, "%lld", (long long)json_integer_value(value));
        else
            return malformed(c, "a condition's value is no string.");
        e = compare(c, false, str_c(name), wanted);
        if (e != S3E_NONE)
            break;
    }
    return e;
}

static enum s3_error check_range(struct check *c, const json_t *a)
{
    uint64_t min, max;
    if (!size_of(json_array_get(a, 1), &min) || !size_of(json_array_get(a, 2), &max) || min > max)
        return malformed(c, "content-length-range needs two numbers, the smaller one first.");
    if (min > c->limits->min)
        c->limits->min = min;
    if (max < c->limits->max)
        c->limits->max = max;
    return S3E_NONE;
}

/* ["eq", "$field", "value"], ["starts-with", ...], ["content-length-range", min, max] */
static enum s3_error check_array(struct check *c, const json_t *a)
{
    const json_t *first = json_array_get(a, 0), *name = json_array_get(a, 1), *value = json_array_get(a, 2);
    if (json_array_size(a) != 3 || !json_is_string(first))
        return malformed(c, "a condition must have three parts.");
    struct str op = text_of(first);
    if (str_ieq(op, STR("content-length-range")))
        return check_range(c, a);
    bool eq = str_ieq(op, STR("eq"));
    if (!eq && !str_ieq(op, STR("starts-with")))
        return malformed(c, "a condition's operator is unknown.");
    if (!json_is_string(name) || !json_is_string(value) || !str_starts(text_of(name), STR("$")))
        return malformed(c, "a condition must name a field, as $field, and a string.");
    return compare(c, !eq, str_from(text_of(name), 1), text_of(value));
}

static enum s3_error check_conditions(struct check *c, json_t *conditions)
{
    size_t i;
    json_t *one;
    if (!json_is_array(conditions) || json_array_size(conditions) == 0)
        return malformed(c, "conditions are missing.");
    json_array_foreach(conditions, i, one)
    {
        enum s3_error e = json_is_object(one)  ? check_object(c, one)
                          : json_is_array(one) ? check_array(c, one)
                                               : malformed(c, "a condition is neither a list nor an object.");
        if (e != S3E_NONE)
            return e;
    }
    return S3E_NONE;
}

/* What cannot be a condition: the policy itself, and what signs it. */
static bool needs_no_condition(struct str name)
{
    static const char *const names[] = {"awsaccesskeyid", "file", "policy", "signature", "x-amz-signature"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eq_c(name, names[i]))
            return true;
    return str_starts(name, STR("x-ignore-"));
}

static enum s3_error check_extra(struct check *c)
{
    struct str bucket;
    if (!c->bucket_named)
        return denied(c, "Policy Condition failed: $", STR("bucket"));
    if (header_get(c->fields, STR("bucket"), &bucket) && !str_eq(bucket, c->bucket))
        return denied(c, "Policy Condition failed: $", STR("bucket"));
    for (size_t i = 0; i < c->fields->n; i++) {
        struct str name = c->fields->v[i].name;
        if (!c->named[i] && !needs_no_condition(name) && !str_eq(name, STR("bucket")))
            return denied(c, "Extra input fields: ", name);
    }
    return S3E_NONE;
}

static enum s3_error check_policy(struct check *c, json_t *policy, int64_t now_ns)
{
    int64_t expires;
    json_t *expiration = json_object_get(policy, "expiration");
    if (!json_is_string(expiration) || !clock_parse_iso(text_of(expiration), &expires))
        return malformed(c, "expiration is missing or no ISO 8601 date.");
    enum s3_error e = check_conditions(c, json_object_get(policy, "conditions"));
    if (e == S3E_INVALID_POLICY_DOCUMENT)
        return e;
    if (expires <= now_ns)
        return denied(c, "Policy expired.", STR(""));
    return e == S3E_NONE ? check_extra(c) : e;
}

enum s3_error policy_form_check(struct arena *a, struct str base64, const struct headers *fields,
                                struct str bucket, int64_t now_ns, struct policy_limits *limits,
                                const char **message)
{
    struct check c = {.arena = a, .fields = fields, .bucket = bucket, .limits = limits, .message = message};
    char *text = arena_alloc(a, base64.n + 1);
    size_t n;
    *limits = (struct policy_limits){.max = UINT64_MAX};
    c.named = ARENA_ARRAY(a, bool, fields->n + 1);
    if (!base64_decode(base64, text, base64.n + 1, &n))
        return malformed(&c, "it is not base64.");
    json_error_t why;
    json_t *policy = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    enum s3_error e =
        json_is_object(policy) ? check_policy(&c, policy, now_ns) : malformed(&c, "it is not a JSON object.");
    json_decref(policy);
    return e;
}
