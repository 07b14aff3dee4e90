/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_mqtt --count N --size B [--window W] [--qos Q] [--topic NAME] URL
 *
 * What Paho's asynchronous client alone does: messages of B bytes, up to W of them not acknowledged yet. Prints messages per
 * second, from the first publish to the last acknowledgement. (Belfry does not use it: src/target/mqtt.h says why.) */
#include <MQTTAsync.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    unsigned long count, size, window;
    int qos;
    const char *topic;
} o = {200000, 800, 100, 1, "bare"};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned long done;

static void die(const char *what)
{
    (void)fprintf(stderr, "bare_mqtt: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void note(unsigned long *what)
{
    (void)pthread_mutex_lock(&mutex);
    (*what)++;
    (void)pthread_cond_signal(&cond);
    (void)pthread_mutex_unlock(&mutex);
}

static void on_connect(void *arg, MQTTAsync_successData *data)
{
    (void)data;
    note(arg);
}

static void on_sent(void *arg, MQTTAsync_successData *data)
{
    (void)data;
    note(arg);
}

static void on_failure(void *arg, MQTTAsync_failureData *data)
{
    (void)arg;
    die(data && data->message ? data->message : "it failed");
}

static void log_in(MQTTAsync client)
{
    unsigned long there = 0;
    MQTTAsync_connectOptions c = MQTTAsync_connectOptions_initializer;
    c.cleansession = 1;
    c.maxInflight = (int)o.window;
    c.onSuccess = on_connect;
    c.onFailure = on_failure;
    c.context = &there;
    if (MQTTAsync_connect(client, &c) != MQTTASYNC_SUCCESS)
        die("cannot connect");
    (void)pthread_mutex_lock(&mutex);
    while (!there)
        (void)pthread_cond_wait(&cond, &mutex);
    (void)pthread_mutex_unlock(&mutex);
}

static double run(MQTTAsync client)
{
    char *body = malloc(o.size);
    if (!body)
        die("no memory");
    memset(body, 'x', o.size);
    double begin = now();
    for (unsigned long i = 0; i < o.count; i++) {
        MQTTAsync_responseOptions r = MQTTAsync_responseOptions_initializer;
        r.onSuccess = on_sent;
        r.onFailure = on_failure;
        r.context = &done;
        (void)pthread_mutex_lock(&mutex);
        while (i - done >= o.window)
            (void)pthread_cond_wait(&cond, &mutex);
        (void)pthread_mutex_unlock(&mutex);
        if (MQTTAsync_send(client, o.topic, (int)o.size, body, o.qos, 0, &r) != MQTTASYNC_SUCCESS)
            die("it is not taken");
    }
    (void)pthread_mutex_lock(&mutex);
    while (done < o.count)
        (void)pthread_cond_wait(&cond, &mutex);
    (void)pthread_mutex_unlock(&mutex);
    free(body);
    return now() - begin;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'c'},  {"size", 1, NULL, 's'},
                                            {"window", 1, NULL, 'w'}, {"qos", 1, NULL, 'q'},
                                            {"topic", 1, NULL, 't'},  {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            o.count = strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.size = strtoul(optarg, NULL, 10);
        else if (c == 'w')
            o.window = strtoul(optarg, NULL, 10);
        else if (c == 'q')
            o.qos = (int)strtol(optarg, NULL, 10);
        else if (c == 't')
            o.topic = optarg;
        else
            return 2;
    }
    MQTTAsync client;
    if (optind + 1 != argc || !o.count || !o.size || !o.window)
        die("usage: bare_mqtt --count N --size B [--window W] [--qos Q] [--topic NAME] URL");
    if (MQTTAsync_create(&client, argv[optind], "bare", MQTTCLIENT_PERSISTENCE_NONE, NULL) !=
        MQTTASYNC_SUCCESS)
        die("the URL is none");
    log_in(client);
    (void)printf("%.0f\n", (double)o.count / run(client));
    MQTTAsync_destroy(&client);
    return 0;
}
