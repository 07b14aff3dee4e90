/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries of the calls that only this server has. */
#include "admin/asked.h"

#include "base/clock.h"
#include "base/encode.h"

struct str asked_text(const struct headers *q, const char *name)
{
    struct str value;
    return query_get(q, str_c(name), &value) ? value : STR("");
}

bool asked_target_name(struct str text, struct str *id, struct str *type, struct err *e)
{
    *type = text;
    return (str_cut(type, ':', id) && id->n > 0 && type->n > 0) ||
           err_set(e, "The target must be named as ID:TYPE, such as target=primary:webhook.");
}

bool asked_number(const struct headers *q, const char *name, uint64_t most, uint64_t *out, struct err *e)
{
    struct str text = asked_text(q, name);
    *out = most;
    return text.n == 0 || (str_to_u64(text, out) && *out >= 1 && *out <= most) ||
           err_set(e, "%s must be a number from 1 to %llu.", name, (unsigned long long)most);
}

static bool take_time(const struct headers *q, const char *name, int64_t *out, struct err *e)
{
    struct str text = asked_text(q, name);
    *out = 0;
    return text.n == 0 || clock_parse_iso(text, out) ||
           err_set(e, "%s must be a time such as 2026-02-01T10:20:30Z.", name);
}

/* A number as listings have it; 0 is none of any event. */
static bool take_seq(const struct headers *q, const char *name, uint64_t *out, struct err *e)
{
    struct str text = asked_text(q, name);
    uint8_t bytes[8];
    *out = 0;
    if (text.n == 0)
        return true;
    if (text.n == 2 * sizeof bytes && hex_decode(text, bytes, sizeof bytes))
        for (size_t i = 0; i < sizeof bytes; i++)
            *out = *out << 8 | bytes[i];
    return *out != 0 || err_set(e, "%s must be 16 hex digits, as a listing has them.", name);
}

bool asked_letters(const struct headers *q, struct asked_letters *out, struct err *e)
{
    uint64_t max;
    *out = (struct asked_letters){0};
    if (!take_time(q, "since", &out->filter.since_ns, e) ||
        !take_time(q, "until", &out->filter.until_ns, e) || !take_seq(q, "after", &out->after, e) ||
        !take_seq(q, "id", &out->only, e) || !asked_number(q, "limit", ASKED_LETTERS_MAX, &max, e))
        return false;
    out->filter.bucket = asked_text(q, "bucket");
    out->filter.prefix = asked_text(q, "prefix");
    out->filter.reason = asked_text(q, "reason");
    out->as_is = str_eq(asked_text(q, "as-is"), STR("true"));
    out->max = (size_t)max;
    return true;
}
