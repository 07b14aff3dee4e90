/* SPDX-License-Identifier: Apache-2.0
 *
 * What the library alone does with the confirmations that the target waits for:
 *
 *     bare_nats --count N --size B [--mode core|jetstream|streaming] [--window W] [--subject S] [--cluster C] HOST:PORT
 *
 * core: a flush (PING, PONG) after every W messages (4,096). jetstream, streaming: acks awaited in a window of W (1,000).
 * Prints messages per second. */
#include <getopt.h>
#include <nats/nats.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long count = 200000, failed, window;
static int size = 800;
static const char *mode = "core", *subject = "bench", *cluster = "test-cluster";
static char *body;

static void must(natsStatus s, const char *what)
{
    if (s == NATS_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(s));
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void core(natsConnection *nc)
{
    for (long i = 0; i < count; i++) {
        must(natsConnection_Publish(nc, subject, body, size), "publish");
        if ((i + 1) % window == 0)
            must(natsConnection_FlushTimeout(nc, 10000), "flush");
    }
    must(natsConnection_FlushTimeout(nc, 10000), "flush");
}

static void on_error(jsCtx *js, jsPubAckErr *error, void *arg)
{
    (void)js;
    (void)arg;
    (void)fprintf(stderr, "not stored: %s\n",
                  error->ErrText ? error->ErrText : natsStatus_GetText(error->Err));
    exit(1);
}

static void jetstream(natsConnection *nc)
{
    jsCtx *js = NULL;
    jsOptions o;
    (void)jsOptions_Init(&o);
    o.PublishAsync.MaxPending = window;
    o.PublishAsync.ErrHandler = on_error;
    o.PublishAsync.StallWait = 10000;
    must(natsConnection_JetStream(&js, nc, &o), "JetStream");
    for (long i = 0; i < count; i++) {
        natsMsg *msg = NULL;
        char id[48];
        (void)snprintf(id, sizeof(id), "bare-%016lx-%016lx", (long)time(NULL), i);
        must(natsMsg_Create(&msg, subject, NULL, body, size), "message");
        must(natsMsgHeader_Set(msg, "Nats-Msg-Id", id), "header");
        must(js_PublishMsgAsync(js, &msg, NULL), "publish");
    }
    must(js_PublishAsyncComplete(js, NULL), "complete");
    jsCtx_Destroy(js);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long acked;

static void on_ack(const char *guid, const char *error, void *arg)
{
    (void)guid;
    (void)arg;
    (void)pthread_mutex_lock(&mutex);
    acked++;
    failed += error != NULL;
    (void)pthread_cond_signal(&cond);
    (void)pthread_mutex_unlock(&mutex);
}

static double streaming(natsOptions *options)
{
    stanConnOptions *o = NULL;
    stanConnection *sc = NULL;
    must(stanConnOptions_Create(&o), "options");
    must(stanConnOptions_SetNATSOptions(o, options), "options");
    must(stanConnOptions_SetMaxPubAcksInflight(o, (int)window, 1.0f), "options");
    must(stanConnection_Connect(&sc, cluster, "bare", o), "connect");
    double begin = now();
    for (long i = 0; i < count; i++)
        must(stanConnection_PublishAsync(sc, subject, body, size, on_ack, NULL), "publish");
    (void)pthread_mutex_lock(&mutex);
    while (acked < count)
        (void)pthread_cond_wait(&cond, &mutex);
    (void)pthread_mutex_unlock(&mutex);
    double took = now() - begin;
    (void)stanConnection_Destroy(sc);
    stanConnOptions_Destroy(o);
    return took;
}

static double plain(natsOptions *options)
{
    natsConnection *nc = NULL;
    must(natsConnection_Connect(&nc, options), "connect");
    double begin = now();
    if (strcmp(mode, "jetstream") == 0)
        jetstream(nc);
    else
        core(nc);
    double took = now() - begin;
    natsConnection_Destroy(nc);
    return took;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'n'},   {"size", 1, NULL, 's'},
                                            {"mode", 1, NULL, 'm'},    {"window", 1, NULL, 'w'},
                                            {"subject", 1, NULL, 'u'}, {"cluster", 1, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    natsOptions *o = NULL;
    char url[256];
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n')
            count = strtol(optarg, NULL, 10);
        else if (c == 's')
            size = (int)strtol(optarg, NULL, 10);
        else if (c == 'w')
            window = strtol(optarg, NULL, 10);
        else if (c == 'm')
            mode = optarg;
        else if (c == 'u')
            subject = optarg;
        else if (c == 'c')
            cluster = optarg;
        else
            return 2;
    }
    if (window == 0)
        window = strcmp(mode, "core") == 0 ? 4096 : 1000;
    if (optind + 1 != argc || count < 1 || window < 1 || window > 100000 || size < 1 || size > 1 << 20) {
        (void)fprintf(stderr,
                      "usage: bare_nats --count N --size B [--mode core|jetstream|streaming] [--window W] "
                      "[--subject S] [--cluster C] HOST:PORT\n");
        return 2;
    }
    body = malloc((size_t)size);
    if (!body)
        return 1;
    memset(body, 'x', (size_t)size);
    (void)snprintf(url, sizeof(url), "nats://%.200s", argv[optind]);
    must(natsOptions_Create(&o), "options");
    must(natsOptions_SetURL(o, url), "address");
    double took = strcmp(mode, "streaming") == 0 ? streaming(o) : plain(o);
    (void)printf("%.0f\n", (double)(count - failed) / took);
    natsOptions_Destroy(o);
    nats_Close();
    free(body);
    return failed > 0;
}
