/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_webhook [--count N] [--size B] [--window W] URL
 *
 * What libcurl alone does: a POST for each event over W connections that are kept (the multi interface, one thread). Prints
 * events per second. */
#include <curl/curl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "record.h"

#define MOST 256

static struct {
    unsigned long count, size, window;
} o = {200000, 950, 16};

static struct {
    CURL *easy;
    char *body;
} slots[MOST];
static CURLM *multi;
static unsigned long begun, done;

static void die(const char *what)
{
    (void)fprintf(stderr, "bare_webhook: %s\n", what);
    exit(1);
}

static size_t ignore(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    (void)arg;
    return size * n;
}

static void slot_init(size_t i, const char *url, struct curl_slist *headers)
{
    CURL *c = slots[i].easy = curl_easy_init();
    slots[i].body = malloc(o.size + 1);
    if (!c || !slots[i].body)
        die("no memory");
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, ignore);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)o.size);
}

static void send_next(size_t i)
{
    record_fill(slots[i].body, o.size, begun++);
    curl_easy_setopt(slots[i].easy, CURLOPT_POSTFIELDS, slots[i].body);
    if (curl_multi_add_handle(multi, slots[i].easy) != CURLM_OK)
        die("it is not taken");
}

/* Looks at what has ended, and puts the next event in its place. */
static void take_done(void)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(multi, &left));) {
        CURL *c = m->easy_handle;
        long status = 0;
        (void)curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
        if (m->data.result != CURLE_OK || status < 200 || status > 299)
            die(m->data.result != CURLE_OK ? curl_easy_strerror(m->data.result) : "not 2xx");
        (void)curl_multi_remove_handle(multi, c);
        done++;
        for (size_t i = 0; i < o.window; i++)
            if (slots[i].easy == c && begun < o.count)
                send_next(i);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", 1, NULL, 'c'}, {"size", 1, NULL, 's'}, {"window", 1, NULL, 'w'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?')
            return 2;
        *(c == 'c' ? &o.count : c == 's' ? &o.size : &o.window) = strtoul(optarg, NULL, 10);
    }
    if (optind + 1 != argc || !o.count || o.size < RECORD_MIN || !o.window || o.window > MOST)
        die("usage: bare_webhook [--count N] [--size B] [--window W] URL");
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    (void)curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)o.window);
    for (size_t i = 0; i < o.window; i++)
        slot_init(i, argv[optind], headers);
    double begin = record_now();
    for (size_t i = 0; i < o.window && begun < o.count; i++)
        send_next(i);
    for (int running = 0; done < o.count;) {
        unsigned long before = done;
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            die("it fails");
        take_done();
        if (done == before && curl_multi_poll(multi, NULL, 0, 100, NULL) != CURLM_OK)
            die("it cannot wait");
    }
    (void)printf("%.0f\n", (double)o.count / (record_now() - begin));
    for (size_t i = 0; i < o.window; i++) {
        curl_easy_cleanup(slots[i].easy);
        free(slots[i].body);
    }
    curl_slist_free_all(headers);
    (void)curl_multi_cleanup(multi);
    return 0;
}
