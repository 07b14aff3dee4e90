/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's table: is it there, and will it take what is written? */
#include <stdio.h>

#include "base/log.h"
#include "target/mysql_impl.h"

static const struct event_ref nothing = {.record = {"", 0}};

static bool explained(const struct mysql_target *t, const struct sql_error *error, struct err *e)
{
    char why[SEND_WHY];
    if (error->code[0]) {
        mysql_explain(&t->names, error->code, str_c(error->text), why, sizeof(why));
        (void)err_set(e, "%s", why);
    }
    return false;
}

/* EXPLAIN finds out what is wrong with a statement without doing it. */
static bool probe_insert(struct mysql_target *t, const struct patience *p, struct sql_error *error,
                         struct err *e)
{
    static const struct event_ref sample = {.event_time = {"2000-01-01T00:00:00Z", 20}, .record = {"", 0}};
    struct buf *b = &t->statement;
    buf_reset(b);
    buf_puts(b, "EXPLAIN ");
    mysql_insert_begin(b, &t->shape);
    mysql_insert_values(b, &t->shape, &sample);
    mysql_insert_end(b, &t->shape);
    return mysql_run(t, buf_view(b), p, NULL, NULL, error, e);
}

static bool probe_remove(struct mysql_target *t, bool hashed, const struct patience *p,
                         struct sql_error *error, struct err *e)
{
    struct buf *b = &t->statement;
    t->shape.hashed = hashed;
    buf_reset(b);
    buf_puts(b, "EXPLAIN ");
    mysql_remove_begin(b, &t->shape);
    mysql_remove_values(b, &t->shape, &nothing);
    mysql_remove_end(b);
    return mysql_run(t, buf_view(b), p, NULL, NULL, error, e);
}

/* Without a unique key every change would add a row. */
static bool has_key(struct mysql_target *t, const struct patience *p, struct err *e)
{
    struct sql_error error;
    uint64_t rows = 0;
    struct buf *b = &t->statement;
    buf_reset(b);
    buf_printf(b,
               "SHOW INDEX FROM %s WHERE Non_unique = 0 AND Seq_in_index = 1 AND Column_name IN ('key_name', "
               "'key_hash')",
               t->shape.table);
    if (!mysql_run(t, buf_view(b), p, &rows, NULL, &error, e))
        return t->m != NULL && explained(t, &error, e);
    if (rows > 0)
        return true;
    char variable[112];
    sql_variable(&t->names, "TABLE", variable, sizeof(variable));
    return err_set(
        e, "the table %.60s at %.60s has no unique key on key_name or key_hash: add one, or name another: %s",
        t->conf->table, t->names.shown, variable);
}

static bool probe(struct mysql_target *t, const struct patience *p, struct sql_error *error, struct err *e)
{
    if (!probe_insert(t, p, error, e))
        return false;
    if (t->shape.format == FORMAT_ACCESS)
        return true;
    if (!probe_remove(t, true, p, error, e) &&
        (strcmp(error->code, "1054") != 0 || !probe_remove(t, false, p, error, e)))
        return false;
    return has_key(t, p, e);
}

/* MariaDB knows no generated column as primary key. */
static bool create(struct mysql_target *t, const struct patience *p, struct sql_error *error, struct err *e)
{
    struct buf *b = &t->statement;
    bool maria = strstr(mysql_get_server_info(t->m), "MariaDB") != NULL;
    for (int primary = !maria; primary >= 0; primary--) {
        buf_reset(b);
        mysql_create(b, &t->shape, primary);
        if (mysql_run(t, buf_view(b), p, NULL, NULL, error, e))
            return true;
        if (!t->m || !str_eq_c(str_c(error->code), "1064"))
            return false;
    }
    return false;
}

bool mysql_table(void *arg, const struct patience *p, struct err *e)
{
    struct mysql_target *t = arg;
    struct sql_error error = {0}, refused = {0};
    if (probe(t, p, &error, e)) {
        t->existed = true;
        return true;
    }
    if (!t->m || mysql_judge(error.code) != SQL_MISSING)
        return explained(t, &error, e);
    bool made = create(t, p, &refused, e);
    /* Where it is refused, somebody else may have made it meanwhile. */
    if (!t->m || !probe(t, p, &error, e))
        return explained(t, made ? &error : &refused, e);
    if (made && t->existed)
        log_warn(t->label,
                 "the table %s at %s was gone, and is made anew: only what changes from now on will be in it",
                 t->conf->table, t->names.shown);
    else if (made)
        log_info(t->label, "the table %s at %s was not there, and is made", t->conf->table, t->names.shown);
    t->existed = true;
    return true;
}
