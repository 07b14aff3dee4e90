/* SPDX-License-Identifier: Apache-2.0
 *
 * A record as Belfry writes one, for the bare programs. */
#include "record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Up to the member whose length is free. */
static const char head[] =
    "{\"Records\":[{\"eventVersion\":\"2.0\",\"eventSource\":\"minio:s3\",\"awsRegion\":\"\",\"eventTime\":"
    "\"2026-02-01T10:%02lu:%02lu.%03luZ\",\"eventName\":\"s3:ObjectCreated:Put\",\"userIdentity\":{"
    "\"principalId\":\"benchuser\"},\"requestParameters\":{\"principalId\":\"benchuser\",\"region\":\"\","
    "\"sourceIPAddress\":\"127.0.0.1\"},\"responseElements\":{\"x-amz-request-id\":\"%016lX\","
    "\"x-minio-deployment-id\":\"24ea34bb-3baf-400c-b3e7-9870bebb9c69\",\"x-minio-origin-endpoint\":"
    "\"http://127.0.0.1:9000\",\"x-amz-id-2\":\"";
static const char tail[] =
    "\"},\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"Config\",\"bucket\":{\"name\":\"bench\","
    "\"ownerIdentity\":{\"principalId\":\"benchuser\"},\"arn\":\"arn:aws:s3:::bench\"},\"object\":{\"key\":"
    "\"k%%2F%08x\",\"size\":100,\"eTag\":\"9b36b2e89df94bc458d629499d38cf86\",\"contentType\":"
    "\"binary/octet-stream\",\"userMetadata\":{\"content-type\":\"binary/octet-stream\"},\"sequencer\":"
    "\"%016lX\"}},\"source\":{\"host\":\"127.0.0.1\",\"port\":\"\",\"userAgent\":\"\"}}]}";

static unsigned spread(unsigned long i)
{
    return (unsigned)i * 2654435761U;
}

void record_key(char out[RECORD_KEY], unsigned long i)
{
    (void)snprintf(out, RECORD_KEY, "bench/k/%08x", spread(i));
}

void record_fill(char *out, size_t size, unsigned long i)
{
    char end[sizeof(tail) + 32];
    unsigned long ms = i / 20, number = 0x18EB9A9E826AC5C4UL + i * 50000;
    int n = snprintf(out, size + 1, head, ms / 60000 % 60, ms / 1000 % 60, ms % 1000, number);
    int n_end = snprintf(end, sizeof(end), tail, spread(i), number);
    if (n < 0 || n_end < 0 || (size_t)n + (size_t)n_end > size)
        abort();
    memset(out + n, 'x', size - (size_t)n - (size_t)n_end);
    memcpy(out + size - n_end, end, (size_t)n_end + 1);
}

double record_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
