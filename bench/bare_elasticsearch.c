/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast an Elasticsearch takes documents from libcurl alone: the measure of what Belfry's target reaches.
 *
 *     bare_elasticsearch [--count N] [--size BYTES] [--batch N] [--connections N] URL INDEX
 *
 * Each connection sends _bulk requests one after the other, with ids and versions as Belfry does, and waits for each reply.
 * Prints events per second. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record.h"

#define ID 44

static struct {
    long count, size, batch, connections;
    const char *url, *index;
    atomic_long next;
    atomic_bool failed;
} job = {.count = 200000, .size = 950, .batch = 256, .connections = 1};

struct reply {
    char *p;
    size_t n;
};

static size_t keep(char *p, size_t size, size_t n, void *arg)
{
    struct reply *r = arg;
    char *more = realloc(r->p, r->n + size * n + 1);
    if (!more)
        return 0;
    r->p = more;
    memcpy(r->p + r->n, p, size * n);
    r->n += size * n;
    r->p[r->n] = 0;
    return size * n;
}

/* A document's id as Belfry has it, 32 bytes of a hash as base64: spread over all of them (splitmix64), for ids that rise are less
 * work to Elasticsearch than those of real objects. */
static void document_id(char out[ID + 1], long number)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t state = (uint64_t)number * 8, bits = 0;
    for (unsigned i = 0; i < ID - 1; i++, bits >>= 6) {
        if (i % 8 == 0) {
            bits = state += UINT64_C(0x9e3779b97f4a7c15);
            bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
            bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
            bits ^= bits >> 31;
        }
        out[i] = digits[bits & 63];
    }
    out[ID - 1] = '=';
    out[ID] = 0;
}

/* Documents first to last-1 as the body of a _bulk. */
static size_t fill(char *body, size_t room, long first, long last)
{
    size_t n = 0;
    char id[ID + 1];
    for (long i = first; i < last; i++) {
        document_id(id, i);
        n += (size_t)snprintf(body + n, room - n,
                              "{\"index\":{\"_id\":\"%s\",\"version\":%ld,\"version_type\":"
                              "\"external_gte\"}}\n",
                              id, i + 1);
        record_fill(body + n, (size_t)job.size, (unsigned long)i);
        n += (size_t)job.size;
        body[n++] = '\n';
    }
    return n;
}

static void *send_all(void *arg)
{
    size_t room = (size_t)job.batch * ((size_t)job.size + 200);
    char url[1024], *body = malloc(room);
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/x-ndjson");
    (void)arg;
    if (!body || !c)
        abort();
    (void)snprintf(url, sizeof(url), "%s/%s/_bulk?filter_path=errors,items.*._id,items.*.status", job.url,
                   job.index);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
    for (long first; (first = atomic_fetch_add(&job.next, job.batch)) < job.count && !job.failed;) {
        long last = first + job.batch < job.count ? first + job.batch : job.count;
        struct reply r = {0};
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)fill(body, room, first, last));
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &r);
        CURLcode code = curl_easy_perform(c);
        if (code != CURLE_OK || !r.p || !strstr(r.p, "\"errors\":false")) {
            (void)fprintf(stderr, "%s: %.300s\n", curl_easy_strerror(code), r.p ? r.p : "");
            job.failed = true;
        }
        free(r.p);
    }
    curl_easy_cleanup(c);
    curl_slist_free_all(headers);
    free(body);
    return NULL;
}

static void arguments(int argc, char **argv)
{
    const struct {
        const char *name;
        long *value;
    } options[] = {{"--count", &job.count},
                   {"--size", &job.size},
                   {"--batch", &job.batch},
                   {"--connections", &job.connections}};
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2)
        for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++)
            if (strcmp(argv[i], options[k].name) == 0)
                *options[k].value = strtol(argv[i + 1], NULL, 10);
    if (argc - i != 2 || job.count < 1 || job.size < RECORD_MIN || job.batch < 1 || job.connections < 1 ||
        job.connections > 64) {
        (void)fprintf(
            stderr,
            "usage: bare_elasticsearch [--count N] [--size BYTES] [--batch N] [--connections N] URL INDEX\n");
        exit(2);
    }
    job.url = argv[i];
    job.index = argv[i + 1];
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    struct timespec a, b;
    arguments(argc, argv);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    (void)clock_gettime(CLOCK_MONOTONIC, &a);
    for (long i = 0; i < job.connections; i++)
        if (pthread_create(&threads[i], NULL, send_all, NULL) != 0)
            abort();
    for (long i = 0; i < job.connections; i++)
        (void)pthread_join(threads[i], NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &b);
    double took = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    if (job.failed)
        return 1;
    printf("%.0f events/s (%ld of %ld bytes, batches of %ld, %ld connections, %.1f s)\n",
           (double)job.count / took, job.count, job.size, job.batch, job.connections, took);
    return 0;
}
