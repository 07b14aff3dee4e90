/* SPDX-License-Identifier: Apache-2.0
 *
 * librdkafka's mock cluster as a process of its own, for what a single broker cannot do: change leaders.
 *
 *     kafka_mock BROKERS PARTITIONS TOPIC
 *
 * Prints the addresses, then carries out a command of each line and prints "ok" or "failed":
 *     leader PARTITION BROKER     BROKER: from 1 on
 *     down BROKER, up BROKER
 * The end of the input ends it. */
#include <rdkafka.h>
#include <rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    char verb[16];
    int v[2];
    int n; /* numbers there are */
};

static bool parse(const char *text, struct line *l)
{
    l->n = sscanf(text, "%15s %d %d", l->verb, &l->v[0], &l->v[1]) - 1;
    return l->n > 0;
}

static bool carry_out(rd_kafka_mock_cluster_t *c, const char *topic, const struct line *l)
{
    if (strcmp(l->verb, "leader") == 0 && l->n == 2)
        return !rd_kafka_mock_partition_set_leader(c, topic, l->v[0], l->v[1]);
    if (strcmp(l->verb, "down") == 0 && l->n == 1)
        return !rd_kafka_mock_broker_set_down(c, l->v[0]);
    if (strcmp(l->verb, "up") == 0 && l->n == 1)
        return !rd_kafka_mock_broker_set_up(c, l->v[0]);
    return false;
}

int main(int argc, char **argv)
{
    char text[512];
    struct line l;
    if (argc != 4) {
        fprintf(stderr, "usage: kafka_mock BROKERS PARTITIONS TOPIC\n");
        return 2;
    }
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    rd_kafka_mock_cluster_t *c = rk ? rd_kafka_mock_cluster_new(rk, (int)strtol(argv[1], NULL, 10)) : NULL;
    if (!c || rd_kafka_mock_topic_create(c, argv[3], (int)strtol(argv[2], NULL, 10), 3)) {
        fprintf(stderr, "kafka_mock: no cluster\n");
        return 1;
    }
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(c));
    fflush(stdout);
    while (fgets(text, sizeof(text), stdin))
        if (parse(text, &l)) {
            printf("%s\n", carry_out(c, argv[3], &l) ? "ok" : "failed");
            fflush(stdout);
        }
    rd_kafka_mock_cluster_destroy(c);
    rd_kafka_destroy(rk);
    return 0;
}
