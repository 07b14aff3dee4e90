/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast MariaDB takes upserts from libmariadb alone: one connection, statements of many rows (or, with --bulk, prepared
 * with an array of values, which only MariaDB takes), each waited for. What Belfry's target is held against.
 *
 *     bare_mysql [--count N] [--size BYTES] [--batch N] [--bulk] HOST PORT USER PASSWORD DATABASE TABLE
 *
 * TABLE is made as Belfry makes it on MariaDB, and emptied. Prints events/s. */
#include <getopt.h>
#include <mysql.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record.h"

#define END " ON DUPLICATE KEY UPDATE value = VALUES(value)"

static MYSQL *m;

static void die(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, mysql_error(m));
    exit(1);
}

static void run(const char *fmt, const char *table)
{
    char sql[600];
    (void)snprintf(sql, sizeof(sql), fmt, table);
    if (mysql_query(m, sql) != 0)
        die(sql);
}

/* The statement's text is made within the time that is measured, as any client has to. */
static void rows(long from, long n, const char *table, char *value, size_t size, char *sql, size_t cap)
{
    size_t len = (size_t)snprintf(sql, cap, "INSERT INTO %s (key_name, value) VALUES ", table);
    for (long i = from; i < from + n; i++) {
        char key[RECORD_KEY];
        record_key(key, (unsigned long)i);
        record_fill(value, size, (unsigned long)i);
        len += (size_t)snprintf(sql + len, cap - len, "%s('%s','", i > from ? "," : "", key);
        len += mysql_real_escape_string(m, sql + len, value, size);
        len += (size_t)snprintf(sql + len, cap - len, "')");
    }
    len += (size_t)snprintf(sql + len, cap - len, END);
    if (mysql_real_query(m, sql, len) != 0)
        die("put");
}

static void bulk(MYSQL_STMT *s, long from, long n, size_t size)
{
    size_t one = RECORD_KEY + size + 1;
    char *text = calloc((size_t)n, one);
    char **keys = calloc((size_t)n, sizeof(*keys)), **values = calloc((size_t)n, sizeof(*values));
    unsigned long *key_n = calloc((size_t)n, sizeof(*key_n)), *value_n = calloc((size_t)n, sizeof(*value_n));
    unsigned count = (unsigned)n;
    if (!text || !keys || !values || !key_n || !value_n)
        die("memory");
    for (long i = 0; i < n; i++) {
        keys[i] = text + (size_t)i * one;
        values[i] = keys[i] + RECORD_KEY;
        record_key(keys[i], (unsigned long)(from + i));
        record_fill(values[i], size, (unsigned long)(from + i));
        key_n[i] = strlen(keys[i]);
        value_n[i] = size;
    }
    MYSQL_BIND bind[2] = {{.buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)keys, .length = key_n},
                          {.buffer_type = MYSQL_TYPE_STRING, .buffer = (void *)values, .length = value_n}};
    (void)mysql_stmt_attr_set(s, STMT_ATTR_ARRAY_SIZE, &count);
    if (mysql_stmt_bind_param(s, bind) || mysql_stmt_execute(s))
        die(mysql_stmt_error(s));
    free(text);
    free(keys);
    free(values);
    free(key_n);
    free(value_n);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'c'},
                                            {"size", 1, NULL, 's'},
                                            {"batch", 1, NULL, 'b'},
                                            {"bulk", 0, NULL, 'u'},
                                            {0}};
    long count = 200000, size = 950, batch = 256;
    bool as_bulk = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return 2;
        if (o == 'u')
            as_bulk = true;
        else
            *(o == 'c' ? &count : o == 's' ? &size : &batch) = strtol(optarg, NULL, 10);
    }
    if (argc - optind != 6 || count < 1 || size < RECORD_MIN || batch < 1) {
        (void)fputs("usage: bare_mysql [--count N] [--size BYTES] [--batch N] [--bulk] HOST PORT USER "
                    "PASSWORD DATABASE TABLE\n",
                    stderr);
        return 2;
    }
    char **a = argv + optind;
    m = mysql_init(NULL);
    (void)mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (!mysql_real_connect(m, a[0], a[2], a[3], a[4], (unsigned)strtoul(a[1], NULL, 10), NULL, 0))
        die("connect");
    run("CREATE TABLE IF NOT EXISTS %s (key_name VARCHAR(3072) NOT NULL, key_hash CHAR(64) GENERATED ALWAYS "
        "AS (SHA2(key_name, 256)) "
        "STORED, value JSON, UNIQUE KEY (key_hash)) CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin ROW_FORMAT "
        "= Dynamic",
        a[5]);
    run("TRUNCATE %s", a[5]);
    size_t cap = (size_t)batch * ((size_t)size * 2 + 256) + 1024;
    char sql[600], *text = malloc(cap), *value = malloc((size_t)size + 1);
    MYSQL_STMT *s = mysql_stmt_init(m);
    int n = snprintf(sql, sizeof(sql), "INSERT INTO %s (key_name, value) VALUES (?, ?)" END, a[5]);
    if (!text || !value || mysql_stmt_prepare(s, sql, (unsigned long)n))
        die("prepare");
    struct timespec from, to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    for (long i = 0; i < count; i += batch) {
        long these = count - i < batch ? count - i : batch;
        if (as_bulk)
            bulk(s, i, these, (size_t)size);
        else
            rows(i, these, a[5], value, (size_t)size, text, cap);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    (void)printf("%.0f\n", (double)count / ((double)(to.tv_sec - from.tv_sec) +
                                            (double)(to.tv_nsec - from.tv_nsec) / 1e9));
    free(text);
    free(value);
    (void)mysql_stmt_close(s);
    mysql_close(m);
    return 0;
}
