/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast PostgreSQL takes upserts from libpq alone: one connection, prepared once, pipelines of so many, each a transaction
 * that is waited for. What Belfry's target is held against.
 *
 *     bare_postgres [--count N] [--size BYTES] [--batch N] CONNECTION_STRING TABLE
 *
 * TABLE (key VARCHAR PRIMARY KEY, value JSONB) is made and emptied. Prints events/s. */
#include <getopt.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

static void pipeline(long from, long n, const char *value)
{
    char key[64];
    const char *values[2] = {key, value};
    if (!PQenterPipelineMode(c))
        die("pipeline");
    for (long i = from; i < from + n; i++) {
        (void)snprintf(key, sizeof(key), "bench/object-%ld", i);
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

/* A record as Belfry writes it, with as much in its last member as makes it that long: a database parses what it takes. */
static void fill(char *value, size_t size)
{
    static const char begin[] =
        "{\"Records\":[{\"eventVersion\":\"2.0\",\"eventSource\":\"minio:s3\",\"awsRegion\":\"\","
        "\"eventTime\":"
        "\"2026-02-01T10:20:30.123Z\",\"eventName\":\"s3:ObjectCreated:Put\",\"userIdentity\":{"
        "\"principalId\":\"minio\"},"
        "\"requestParameters\":{\"principalId\":\"minio\",\"region\":\"\",\"sourceIPAddress\":\"127.0.0.1\"},"
        "\"responseElements\":{\"x-amz-id-2\":\"c05f\",\"x-amz-request-id\":\"18EB9A9E826AC5C4\"},\"s3\":{"
        "\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"Config\",\"bucket\":{\"name\":\"bench\","
        "\"ownerIdentity\":{"
        "\"principalId\":\"minio\"},\"arn\":\"arn:aws:s3:::bench\"},\"object\":{\"key\":\"k\",\"size\":100,"
        "\"eTag\":"
        "\"5d41\",\"sequencer\":\"18EB9A9E826AC5C4\"}},\"source\":{\"host\":\"127.0.0.1\",\"port\":\"\","
        "\"userAgent\":\"";
    size_t n = sizeof(begin) - 1;
    memcpy(value, begin, n);
    memset(value + n, 'x', size - n - 5);
    memcpy(value + size - 5, "\"}}]}", 6);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", 1, NULL, 'c'}, {"size", 1, NULL, 's'}, {"batch", 1, NULL, 'b'}, {0}};
    long count = 200000, size = 800, batch = 256;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?')
            return 2;
        *(o == 'c' ? &count : o == 's' ? &size : &batch) = strtol(optarg, NULL, 10);
    }
    if (argc - optind != 2 || count < 1 || size < 700 || batch < 1) {
        (void)fputs("usage: bare_postgres [--count N] [--size BYTES] [--batch N] CONNECTION_STRING TABLE\n",
                    stderr);
        return 2;
    }
    c = PQconnectdb(argv[optind]);
    if (PQstatus(c) != CONNECTION_OK)
        die("connect");
    const char *table = argv[optind + 1];
    run("CREATE TABLE IF NOT EXISTS %s (key VARCHAR PRIMARY KEY, value JSONB)", table);
    run("TRUNCATE %s", table);
    char sql[400], *value = malloc((size_t)size + 1);
    (void)snprintf(
        sql, sizeof(sql),
        "INSERT INTO %s (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
        table);
    PGresult *r = PQprepare(c, "put", sql, 0, NULL);
    if (!value || PQresultStatus(r) != PGRES_COMMAND_OK)
        die("prepare");
    PQclear(r);
    fill(value, (size_t)size);
    struct timespec a, b;
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    for (long i = 0; i < count; i += batch)
        pipeline(i, count - i < batch ? count - i : batch, value);
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    (void)printf("%.0f\n",
                 (double)count / ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9));
    free(value);
    PQfinish(c);
    return 0;
}
