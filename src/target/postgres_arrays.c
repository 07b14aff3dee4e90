/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's batches as arrays: one statement for all that is written and one for all that is removed, which costs the server
 * much less than one for each row. What is pure of it: the statements, the arrays, and what an error of them means. */
#include <stdio.h>

#include "target/postgres.h"

/* Types that a text in a statement becomes just as a value without a type does, in the same way and with the same errors; by
 * their numbers, which are the same in every server (pg_type.dat). Any other type's values go one by one. */
static const struct {
    uint64_t oid;
    const char *name;
    bool text;
} types[] = {{25, "text", true},          {1043, "varchar", true}, {1042, "bpchar", true},
             {114, "json", false},        {3802, "jsonb", false},  {1114, "timestamp", false},
             {1184, "timestamptz", false}};

static bool find_type(uint64_t oid, size_t *at)
{
    for (*at = 0; *at < sizeof(types) / sizeof(types[0]); ++*at)
        if (types[*at].oid == oid)
            return true;
    return false;
}

/* A table that stores what is written, and tells nobody. */
#define PLAIN(name) \
    "c.oid = " name "::pg_catalog.regclass AND c.relkind = 'r' AND NOT c.relhasrules AND NOT " \
    "c.relhastriggers"

const char *postgres_types(enum plan_format format)
{
#define TYPES(first, second) \
    "SELECT a.atttypid::pg_catalog.int8, b.atttypid::pg_catalog.int8 FROM pg_catalog.pg_class AS c, " \
    "pg_catalog.pg_attribute AS a, pg_catalog.pg_attribute AS b WHERE " PLAIN( \
        "$1") " AND a.attrelid = c.oid AND " \
              "a.attname = '" first "' AND b.attrelid = c.oid AND b.attname = '" second "'"
    return format == FORMAT_NAMESPACE ? TYPES("key", "value") : TYPES("event_time", "event_data");
}

/* The table may become another while the connection lasts: then the statement fails (division by zero) and writes nothing. The
 * types are known to who reads the statement, without looking them up. */
#define IS(column) "pg_catalog.pg_typeof((NULL::%%)." column ") = %u::pg_catalog.regtype"
#define STILL(name, first, second) \
    "1 / (SELECT count(*) FROM pg_catalog.pg_class AS c WHERE " PLAIN(name) " AND " IS(first) " AND " IS( \
        second) ") = 1"
#define TEXTS "pg_catalog.text[]"
#define PAIRS " SELECT u.a::pg_catalog.%s, u.b::pg_catalog.%s FROM unnest($1::" TEXTS ", $2::" TEXTS ")"

bool postgres_array_statements(const char *table, enum plan_format format, const uint64_t oid[2],
                               struct postgres_sql *out)
{
    char insert[1024], remove[1024];
    size_t first, second;
    if (!find_type(oid[0], &first) || !find_type(oid[1], &second) ||
        (format == FORMAT_NAMESPACE && !types[first].text))
        return false;
    buf_reset(&out->text);
    /* An array's elements come in its order; that the rows are written in that order is only sure where it is asked for. */
    (void)snprintf(insert, sizeof(insert),
                   format == FORMAT_NAMESPACE
                       ? "INSERT INTO %% (key, value)" PAIRS " AS u (a, b) WHERE " STILL("$3", "key", "value")
                             POSTGRES_UPSERT
                       : "INSERT INTO %% (event_time, event_data)" PAIRS
                         " WITH ORDINALITY AS u (a, b, n) WHERE " STILL("$3", "event_time",
                                                                        "event_data") " ORDER BY u.n",
                   types[first].name, types[second].name, (unsigned)oid[0], (unsigned)oid[1]);
    out->insert = postgres_statement(&out->text, insert, table);
    /* The key is compared as one value without a type would be: as a text, but for CHAR(n), which ignores blanks at the end. */
    bool padded = types[first].oid == 1042;
    (void)snprintf(remove, sizeof(remove),
                   "DELETE FROM %% WHERE key = ANY ($1::" TEXTS "%s) AND " STILL("$2", "key", "value"),
                   padded ? "::pg_catalog.bpchar[]" : "", (unsigned)oid[0], (unsigned)oid[1]);
    out->remove = format == FORMAT_NAMESPACE ? postgres_statement(&out->text, remove, table) : 0;
    BUG_ON(out->text.failed);
    return true;
}

/* One dimension, no NULLs, elements of type text, which are numbered from 1. */
void postgres_array_begin(struct buf *b, size_t n)
{
    const uint32_t head[] = {1, 0, 25, (uint32_t)n, 1};
    buf_reset(b);
    for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
        buf_be32(b, head[i]);
}

void postgres_array_add(struct buf *b, struct str element)
{
    buf_be32(b, (uint32_t)element.n);
    buf_str(b, element);
}

/* By the beginning of the SQLSTATE. */
static const struct {
    const char *code;
    enum postgres_instead instead;
} insteads[] = {
    {"08", POSTGRES_NOTHING},    {"25", POSTGRES_NOTHING},
    {"28", POSTGRES_NOTHING},    {"40", POSTGRES_NOTHING},
    {"57", POSTGRES_NOTHING},    {"58", POSTGRES_NOTHING},
    {"55P03", POSTGRES_NOTHING}, {"22012", POSTGRES_ROWS_FROM_NOW}, /* the table has become another */
    {"21000", POSTGRES_ROWS},                                       /* two keys that are one to the column */
    {"22", POSTGRES_ROWS},       {"23", POSTGRES_ROWS},
    {"44", POSTGRES_ROWS},       {"54", POSTGRES_ROWS},
    {"P0", POSTGRES_ROWS},
};

enum postgres_instead postgres_instead(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof(insteads) / sizeof(insteads[0]); i++)
        if (str_starts(str_c(sqlstate), str_c(insteads[i].code)))
            return insteads[i].instead;
    return POSTGRES_ROWS_FROM_NOW;
}
