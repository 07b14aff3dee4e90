/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast PostgreSQL takes upserts from libpq alone: one connection, prepared once, pipelines of so many (or, with --arrays,
 * statements over two arrays of so many), each a transaction that is waited for. What Belfry's target is held against.
 *
 *     bare_postgres [--count N] [--size BYTES] [--batch N] [--arrays] CONNECTION_STRING TABLE
 *
 * TABLE (key VARCHAR PRIMARY KEY, value JSONB) is made and emptied. Prints events/s. */
#include <getopt.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record.h"

static PGconn *c;

static void die(const char *what)
{
    (void)fprintf(stderr, "%s: %s", what, PQerrorMessage(c));
    exit(1);
}

static void run(const char *fmt, const char *table)
{
    char sql[400];
    (void)snprintf(sql, sizeof(sql), fmt, table);
    PGresult *r = PQexec(c, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        die(sql);
    PQclear(r);
}

static void pipeline(long from, long n, char *value, size_t size)
{
    char key[RECORD_KEY];
    const char *values[2] = {key, value};
    if (!PQenterPipelineMode(c))
        die("pipeline");
    for (long i = from; i < from + n; i++) {
        record_key(key, (unsigned long)i);
        record_fill(value, size, (unsigned long)i);
        if (!PQsendQueryPrepared(c, "put", 2, values, NULL, NULL, 0))
            die("send");
    }
    if (!PQpipelineSync(c))
        die("sync");
    for (bool synced = false; !synced;) {
        PGresult *r = PQgetResult(c);
        ExecStatusType status = r ? PQresultStatus(r) : PGRES_COMMAND_OK;
        if (status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC)
            die("put");
        synced = status == PGRES_PIPELINE_SYNC;
        PQclear(r);
    }
    (void)PQexitPipelineMode(c);
}

static char *add32(char *at, size_t n)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        *at++ = (char)(n >> shift);
    return at;
}

/* The binary form of text[]: dimensions, whether there are NULLs, type of its elements, their number, the first index. */
#define ARRAY_HEAD 20
static char *array_head(char *at, size_t n)
{
    return add32(add32(add32(add32(add32(at, 1), 0), 25), n), 1);
}

static void arrays(long from, long n, char *keys, char *values, size_t size)
{
    char *k = array_head(keys, (size_t)n), *v = array_head(values, (size_t)n), key[RECORD_KEY];
    for (long i = from; i < from + n; i++) {
        record_key(key, (unsigned long)i);
        k = stpcpy(add32(k, strlen(key)), key);
        record_fill(v + 4, size, (unsigned long)i);
        v = add32(v, size) + size;
    }
    const int lengths[2] = {(int)(k - keys), (int)(v - values)}, binary[2] = {1, 1};
    PGresult *r = PQexecPrepared(c, "put", 2, (const char *const[]){keys, values}, lengths, binary, 0);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        die("put");
    PQclear(r);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'c'},
                                            {"size", 1, NULL, 's'},
                                            {"batch", 1, NULL, 'b'},
                                            {"arrays", 0, NULL, 'a'},
                                            {0}};
    long count = 200000, size = 950, batch = 256;
    bool as_arrays = false;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return 2;
        if (o == 'a')
            as_arrays = true;
        else
            *(o == 'c' ? &count : o == 's' ? &size : &batch) = strtol(optarg, NULL, 10);
    }
    if (argc - optind != 2 || count < 1 || size < RECORD_MIN || batch < 1) {
        (void)fputs("usage: bare_postgres [--count N] [--size BYTES] [--batch N] [--arrays] "
                    "CONNECTION_STRING TABLE\n",
                    stderr);
        return 2;
    }
    c = PQconnectdb(argv[optind]);
    if (PQstatus(c) != CONNECTION_OK)
        die("connect");
    const char *table = argv[optind + 1];
    run("CREATE TABLE IF NOT EXISTS %s (key VARCHAR PRIMARY KEY, value JSONB)", table);
    run("TRUNCATE %s", table);
    size_t each = as_arrays ? (size_t)batch : 1;
    char sql[400], *value = malloc(ARRAY_HEAD + each * ((size_t)size + 5)),
                   *keys = malloc(ARRAY_HEAD + each * (RECORD_KEY + 4));
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO %s (key, value) %s ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value", table,
        as_arrays ? "SELECT k, v::jsonb FROM unnest($1::text[], $2::text[]) AS u(k, v)" : "VALUES ($1, $2)");
    PGresult *r = PQprepare(c, "put", sql, 0, NULL);
    if (!value || !keys || PQresultStatus(r) != PGRES_COMMAND_OK)
        die("prepare");
    PQclear(r);
    struct timespec a, b;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    for (long i = 0; i < count; i += batch) {
        long n = count - i < batch ? count - i : batch;
        if (as_arrays)
            arrays(i, n, keys, value, (size_t)size);
        else
            pipeline(i, n, value, (size_t)size);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    (void)printf("%.0f\n",
                 (double)count / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9));
    free(keys);
    free(value);
    PQfinish(c);
    return 0;
}
