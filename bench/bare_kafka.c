/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_kafka: what librdkafka alone reaches with the confirmations that Belfry asks for: an idempotent producer, acks=all,
 * a delivery report of each message.
 *
 *     bare_kafka [--count N] [--size B] [--window W] [--linger MS] HOST:PORT[,...] TOPIC
 *
 * prints messages per second. --window: how many may be unconfirmed at once (default 100000, the library's own). */
#include <getopt.h>
#include <rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long confirmed, failed;

static void on_report(rd_kafka_t *rk, const rd_kafka_message_t *m, void *arg)
{
    (void)rk;
    (void)arg;
    if (m->err)
        failed++;
    else
        confirmed++;
}

static void set(rd_kafka_conf_t *c, const char *name, const char *value)
{
    char text[200];
    if (rd_kafka_conf_set(c, name, value, text, sizeof(text)) == RD_KAFKA_CONF_OK)
        return;
    (void)fprintf(stderr, "%s\n", text);
    exit(2);
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static rd_kafka_t *producer(const char *brokers, const char *linger)
{
    char text[200];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    set(c, "bootstrap.servers", brokers);
    set(c, "enable.idempotence", "true");
    set(c, "acks", "all");
    set(c, "linger.ms", linger);
    set(c, "partitioner", "fnv1a");
    rd_kafka_conf_set_dr_msg_cb(c, on_report);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
    if (!rk) {
        (void)fprintf(stderr, "%s\n", text);
        exit(2);
    }
    return rk;
}

static void produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, long count, size_t size, long window)
{
    char *value = calloc(1, size + 1), key[64];
    if (!value)
        exit(2);
    memset(value, 'x', size);
    for (long i = 0; i < count; i++) {
        while (i - confirmed - failed >= window)
            (void)rd_kafka_poll(rk, 100);
        int n = snprintf(key, sizeof(key), "bucket/key-%08ld", i);
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size, key,
                                (size_t)n, NULL) != 0)
            (void)rd_kafka_poll(rk, 100);
        (void)rd_kafka_poll(rk, 0);
    }
    while (confirmed + failed < count)
        (void)rd_kafka_poll(rk, 100);
    free(value);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"size", required_argument, NULL, 's'},
                                            {"window", required_argument, NULL, 'w'},
                                            {"linger", required_argument, NULL, 'l'},
                                            {NULL, 0, NULL, 0}};
    long count = 200000, size = 800, window = 100000;
    const char *linger = "5";
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
        if (o == 'c')
            count = strtol(optarg, NULL, 10);
        else if (o == 's')
            size = strtol(optarg, NULL, 10);
        else if (o == 'w')
            window = strtol(optarg, NULL, 10);
        else if (o == 'l')
            linger = optarg;
        else
            return 2;
    }
    if (argc - optind != 2 || count < 1 || size < 1 || window < 1) {
        (void)fprintf(stderr,
                      "usage: bare_kafka [--count N] [--size B] [--window W] [--linger MS] BROKERS TOPIC\n");
        return 2;
    }
    rd_kafka_t *rk = producer(argv[optind], linger);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, argv[optind + 1], NULL);
    long before = confirmed;
    produce(rk, topic, 1, (size_t)size, 1); /* the connection is made */
    confirmed = before;
    double begun = now_s();
    produce(rk, topic, count, (size_t)size, window);
    double took = now_s() - begun;
    (void)printf("%.0f\n", (double)confirmed / took);
    if (failed)
        (void)fprintf(stderr, "%ld failed\n", failed);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    return failed ? 1 : 0;
}
