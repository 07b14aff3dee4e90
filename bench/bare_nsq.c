/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_nsq --count N --size B [--batch K] [--topic NAME] HOST:PORT
 *
 * What nsqd takes of a client that does nothing else: messages of B bytes by MPUB, K at a time, each command after the OK to
 * the one before. (There is no client library; so this is the protocol and a blocking socket.) Prints messages per second. */
#include <arpa/inet.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct {
    unsigned long count, size, batch;
    const char *topic;
} o = {200000, 800, 512, "bare"};

static void die(const char *what)
{
    (void)fprintf(stderr, "bare_nsq: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(char *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char *port = strrchr(address, ':');
    int one = 1;
    if (!port)
        die("the address is none");
    *port = 0;
    if (getaddrinfo(address, port + 1, &hints, &found) != 0)
        die("no such host");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die("cannot connect");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    freeaddrinfo(found);
    return fd;
}

static void say(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done <= 0)
            die("the connection is lost");
        p += done;
        n -= (size_t)done;
    }
}

static void hear(int fd, char *p, size_t n)
{
    while (n > 0) {
        ssize_t got = read(fd, p, n);
        if (got <= 0)
            die("the connection is lost");
        p += got;
        n -= (size_t)got;
    }
}

/* The next answer must be OK; heartbeats are answered. */
static void hear_ok(int fd)
{
    char data[64];
    uint32_t head[2];
    for (;;) {
        hear(fd, (char *)head, 8);
        size_t n = ntohl(head[0]) - 4;
        if (n > sizeof(data))
            die("an answer that is too long");
        hear(fd, data, n);
        if (n == 2 && memcmp(data, "OK", 2) == 0)
            return;
        if (n != 11 || memcmp(data, "_heartbeat_", 11) != 0)
            die("it is not taken");
        say(fd, "NOP\n", 4);
    }
}

static char *put_u32(char *p, unsigned long v)
{
    uint32_t n = htonl((uint32_t)v);
    memcpy(p, &n, 4);
    return p + 4;
}

static void publish(int fd, char *command, unsigned long n)
{
    char *p = command + snprintf(command, 128, "MPUB %.64s\n", o.topic);
    p = put_u32(p, 4 + n * (4 + o.size));
    p = put_u32(p, n);
    for (unsigned long i = 0; i < n; i++) {
        p = put_u32(p, o.size);
        memset(p, 'x', o.size);
        p += o.size;
    }
    say(fd, command, (size_t)(p - command));
    hear_ok(fd);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'c'},
                                            {"size", 1, NULL, 's'},
                                            {"batch", 1, NULL, 'b'},
                                            {"topic", 1, NULL, 't'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            o.count = strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.size = strtoul(optarg, NULL, 10);
        else if (c == 'b')
            o.batch = strtoul(optarg, NULL, 10);
        else if (c == 't')
            o.topic = optarg;
        else
            return 2;
    }
    if (optind + 1 != argc || !o.count || !o.size || !o.batch)
        die("usage: bare_nsq --count N --size B [--batch K] [--topic NAME] HOST:PORT");
    char *command = malloc(128 + 8 + o.batch * (4 + o.size));
    int fd = dial(argv[optind]);
    if (!command)
        die("no memory");
    say(fd, "  V2", 4);
    double begin = now();
    for (unsigned long left = o.count; left > 0; left -= left < o.batch ? left : o.batch)
        publish(fd, command, left < o.batch ? left : o.batch);
    (void)printf("%.0f\n", (double)o.count / (now() - begin));
    free(command);
    (void)close(fd);
    return 0;
}
