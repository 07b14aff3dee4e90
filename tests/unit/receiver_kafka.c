/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiver that speaks Kafka's protocol: the library's own mock cluster of one broker, behind a proxy that misbehaves as
 * the key of an event in a Produce request asks. In what the cluster says of itself, the proxy's port stands for its own. */
#include <arpa/inet.h>
#include <errno.h>
#include <rdkafka.h>
#include <rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "receiver.h"

#define PRODUCE 0

static rd_kafka_t *host;
static rd_kafka_mock_cluster_t *cluster;
static uint16_t cluster_port;
static int upstream[4096]; /* by the descriptor of the visit; 0: none yet */

static void end(void)
{
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(host);
}

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void start_cluster(void)
{
    char text[200];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(c, no_log);
    host = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
    cluster = host ? rd_kafka_mock_cluster_new(host, 1) : NULL;
    if (!cluster || rd_kafka_mock_topic_create(cluster, "events", 1, 1) != RD_KAFKA_RESP_ERR_NO_ERROR)
        BUG("no mock cluster");
    cluster_port = (uint16_t)strtoul(strrchr(rd_kafka_mock_cluster_bootstraps(cluster), ':') + 1, NULL, 10);
    (void)atexit(end);
}

static uint32_t be32(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return ntohl(v);
}

static size_t complete(struct buf *in)
{
    size_t n = in->len < 4 ? 0 : 4 + (size_t)be32(in->p);
    return n > 4 && n <= in->len ? n : 0;
}

static bool send_all(int fd, const char *p, size_t n)
{
    for (ssize_t w; n > 0; p += w, n -= (size_t)w)
        if ((w = send(fd, p, n, MSG_NOSIGNAL)) <= 0)
            return false;
    return true;
}

static bool read_all(int fd, char *p, size_t n)
{
    return n == 0 || recv(fd, p, n, MSG_WAITALL) == (ssize_t)n;
}

static int dial_cluster(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(cluster_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
        BUG("no connection to the mock cluster: %s", strerror(errno));
    return fd;
}

/* The cluster's reply to the request, with its size in front; the caller's to free. NULL: none. */
static char *ask(struct visit *v, const char *request, size_t n, size_t *reply_n)
{
    char head[4];
    int *fd = &upstream[v->fd];
    if (*fd == 0)
        *fd = dial_cluster();
    if (!send_all(*fd, request, n) || !read_all(*fd, head, 4))
        return NULL;
    *reply_n = 4 + (size_t)be32(head);
    char *reply = x_malloc(*reply_n);
    memcpy(reply, head, 4);
    if (!read_all(*fd, reply + 4, *reply_n - 4)) {
        free(reply);
        return NULL;
    }
    uint32_t theirs = htonl(cluster_port), ours = htonl(v->r->port);
    for (char *p; (p = memmem(reply, *reply_n, &theirs, 4));)
        memcpy(p, &ours, 4);
    return reply;
}

static bool holds(const char *request, size_t n, const char *part)
{
    return memmem(request, n, part, strlen(part)) != NULL;
}

/* What a broker answers to the whole request. */
static const struct {
    const char *key;
    rd_kafka_resp_err_t code;
} answers[] = {
    {"b/large", RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE},
    {"b/invalid", RD_KAFKA_RESP_ERR_INVALID_RECORD},
    {"b/forbidden", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED},
    {"b/codec", RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE},
    {"b/odd", RD_KAFKA_RESP_ERR_POLICY_VIOLATION},
};

/* True: the connection is to be closed. */
static bool misbehaves(struct visit *v, const char *request, size_t n)
{
    if (holds(request, n, "b/hang"))
        return receiver_hang(v), true;
    if (holds(request, n, "b/close"))
        return true;
    if (holds(request, n, "b/half"))
        return (void)send_all(v->fd, "\0\0\0\x40\0\0", 6), true;
    if (holds(request, n, "b/garbage"))
        return (void)receiver_say(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n"), true;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
        if (holds(request, n, answers[i].key))
            rd_kafka_mock_push_request_errors(cluster, PRODUCE, 1, answers[i].code);
    return false;
}

static bool answer(struct visit *v, const char *request)
{
    size_t n = 4 + (size_t)be32(request), reply_n = 0;
    bool produce = request[4] == 0 && request[5] == PRODUCE;
    bool going = !produce || !misbehaves(v, request, n);
    char *reply = going ? ask(v, request, n, &reply_n) : NULL;
    going = reply != NULL;
    size_t step = produce && holds(request, n, "b/slow") ? 1 : reply_n;
    for (size_t at = 0; going && at < reply_n; at += step)
        going = send_all(v->fd, reply + at, step);
    free(reply);
    if (!going && upstream[v->fd]) {
        (void)close(upstream[v->fd]);
        upstream[v->fd] = 0;
    }
    return going;
}

void receiver_start_kafka(struct receiver *r)
{
    static const struct protocol kafka = {.complete = complete, .answer = answer};
    if (!cluster)
        start_cluster();
    receiver_start_as(r, &kafka);
}
