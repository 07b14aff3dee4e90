/* SPDX-License-Identifier: Apache-2.0
 *
 * What is pure about listening: the filter, the text of a position, the record with its raw key. */
#include "base/encode.h"
#include "base/err.h"
#include "base/json.h"
#include "event/listen.h"
#include "event/rules_impl.h"

/* --- filter ---------------------------------------------------------------------------------------------------------- */

/* The one value of a name that may be given once; *twice: it was given more often. */
static struct str single(const struct headers *query, struct str name, bool *twice)
{
    struct str value = STR("");
    size_t n = 0;
    for (size_t i = 0; i < query->n; i++) {
        if (!str_eq(query->v[i].name, name))
            continue;
        value = query->v[i].value;
        n++;
    }
    *twice = n > 1;
    return value;
}

static bool add_events(const struct headers *query, struct listen_filter *out, const char **message)
{
    for (size_t i = 0; i < query->n; i++) {
        if (!str_eq(query->v[i].name, STR("events")))
            continue;
        uint64_t mask = event_mask(query->v[i].value);
        out->mask |= mask;
        if (mask == 0) {
            *message = rules_bad_event;
            return false;
        }
    }
    return out->mask != 0;
}

bool listen_filter_parse(const struct headers *query, struct arena *a, struct listen_filter *out,
                         const char **message)
{
    bool two_prefixes, two_suffixes;
    struct str prefix = single(query, STR("prefix"), &two_prefixes),
               suffix = single(query, STR("suffix"), &two_suffixes);
    *out = (struct listen_filter){.bucket = STR("")};
    *message = two_prefixes                     ? rules_two_prefixes
               : !rules_filter_value_ok(prefix) ? rules_bad_filter_value
               : two_suffixes                   ? rules_two_suffixes
               : !rules_filter_value_ok(suffix) ? rules_bad_filter_value
                                                : NULL;
    if (*message)
        return false;
    *message = rules_bad_event;
    out->pattern = rules_pattern(a, prefix, suffix);
    return add_events(query, out, message);
}

bool listen_filter_matches(const struct listen_filter *f, enum event_name name, struct str bucket,
                           struct str key)
{
    return (f->mask >> name & 1) && (f->bucket.n == 0 || str_eq(f->bucket, bucket)) &&
           (str_eq(f->pattern, STR("*")) || rules_wildcard(f->pattern, key));
}

/* --- positions ------------------------------------------------------------------------------------------------------- */

void listen_position_write(struct buf *b, const struct listen_position *p)
{
    buf_printf(b, "%016llX-%llX", (unsigned long long)p->seq, (unsigned long long)p->count);
}

static bool parse_hex(struct str text, uint64_t *out)
{
    char digits[16];
    uint8_t bytes[8];
    if (text.n == 0 || text.n > sizeof(digits))
        return false;
    memset(digits, '0', sizeof(digits));
    memcpy(digits + sizeof(digits) - text.n, text.p, text.n);
    if (!hex_decode(str_n(digits, sizeof(digits)), bytes, sizeof(bytes)))
        return false;
    struct str be = str_n(bytes, sizeof(bytes));
    return take_be64(&be, out);
}

bool listen_position_parse(struct str text, struct listen_position *out)
{
    ptrdiff_t dash = str_chr(text, '-');
    return dash == 16 && parse_hex(str_head(text, 16), &out->seq) &&
           parse_hex(str_from(text, 17), &out->count);
}

/* --- records --------------------------------------------------------------------------------------------------------- */

void listen_record(struct buf *b, struct str record, struct str key, size_t *seq_at)
{
    /* These bytes are nowhere else: within a string each quotation mark has a backslash before it. */
    static const char mark[] = "\"object\":{\"key\":\"";
    ptrdiff_t found = str_find(record, str_n(mark, sizeof(mark) - 1));
    BUG_ON(found < 0);
    size_t start = (size_t)found + sizeof(mark) - 1;
    ptrdiff_t escaped = str_chr(str_from(record, start), '"'); /* no escape holds one */
    BUG_ON(escaped < 0);
    size_t begin = b->len;
    buf_str(b, str_head(record, start));
    json_escape(b, key);
    size_t end = start + (size_t)escaped;
    *seq_at = *seq_at - end + (b->len - begin);
    buf_str(b, str_from(record, end));
}

void listen_line(struct buf *b, struct str record)
{
    buf_puts(b, "{\"Records\":[");
    buf_str(b, record);
    buf_puts(b, "]}\n");
}
