/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's table: is it there, and will it take what is written? */
#include <stdio.h>

#include "base/log.h"
#include "target/postgres_impl.h"

static bool explained(const struct postgres *p, const struct sql_error *error, struct err *e)
{
    char text[SEND_WHY];
    if (error->code[0]) {
        postgres_explain(&p->names, error->code, str_c(error->text), text, sizeof(text));
        (void)err_set(e, "%s", text);
    }
    return false;
}

static bool probe(struct postgres *p, const struct patience *t, struct sql_error *error, struct err *e)
{
    const char *text = p->sql.text.p;
    return postgres_query(p, text + p->sql.probe, t, error, e) &&
           (!p->sql.probe_remove || postgres_query(p, text + p->sql.probe_remove, t, error, e));
}

static bool is_there(struct postgres *p, const struct patience *t, struct err *e)
{
    struct sql_error error, refused;
    if (probe(p, t, &error, e)) {
        p->existed = true;
        return true;
    }
    if (!p->c || postgres_judge(error.code) != SQL_MISSING)
        return explained(p, &error, e);
    bool made = postgres_query(p, p->sql.text.p + p->sql.create, t, &refused, e);
    /* Where it is refused, somebody else may have made it meanwhile. */
    if (!p->c || !probe(p, t, &error, e))
        return explained(p, made ? &error : &refused, e);
    if (made && p->existed)
        log_warn(p->label,
                 "the table %s at %s was gone, and is made anew: only what changes from now on will be in it",
                 p->conf->table, p->names.shown);
    else if (made)
        log_info(p->label, "the table %s at %s was not there, and is made", p->conf->table, p->names.shown);
    p->existed = true;
    return true;
}

/* Where the server does not say whether it takes arrays, rows do as well. False: the connection is lost. */
static bool takes_arrays(struct postgres *p, const struct patience *t, struct err *e)
{
    struct sql_error error;
    uint64_t types[2];
    enum plan_format format = (enum plan_format)p->conf->format;
    p->arrays = postgres_ask(p, postgres_types(format), p->conf->table, types, t, &error, e) &&
                postgres_array_statements(p->conf->table, format, types, &p->by_arrays);
    return p->c != NULL;
}

bool postgres_table(void *arg, const struct patience *t, struct err *e)
{
    struct postgres *p = arg;
    return is_there(p, t, e) && takes_arrays(p, t, e);
}
