/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_redis [--count N] [--size B] [--batch K] [--pipeline P] HOST PORT KEY
 *
 * What hiredis alone does: HSET of K fields of one hash in a command, P commands sent before their replies are read. Prints
 * events per second. */
#include <getopt.h>
#include <hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

static struct {
    unsigned long count, size, batch, pipeline;
} o = {200000, 950, 256, 1};

static void die(const char *what)
{
    (void)fprintf(stderr, "bare_redis: %s\n", what);
    exit(1);
}

static void *some(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p)
        die("no memory");
    return p;
}

struct command {
    const char **argv;
    size_t *len;
    char *text; /* per event: its key, and its record */
};

static struct command command_new(const char *key)
{
    size_t args = 2 + 2 * o.batch;
    struct command c = {some(args, sizeof(char *)), some(args, sizeof(size_t)),
                        some(o.batch, RECORD_KEY + o.size + 1)};
    c.argv[0] = "HSET", c.len[0] = 4;
    c.argv[1] = key, c.len[1] = strlen(key);
    return c;
}

static void command_free(struct command *c)
{
    free(c->argv);
    free(c->len);
    free(c->text);
}

static void append(redisContext *r, struct command *c, unsigned long first, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        char *at = c->text + i * (RECORD_KEY + o.size + 1);
        record_key(at, first + i);
        c->len[2 + 2 * i] = strlen(at);
        c->argv[2 + 2 * i] = at;
        record_fill(at + RECORD_KEY, o.size, first + i);
        c->argv[3 + 2 * i] = at + RECORD_KEY;
        c->len[3 + 2 * i] = o.size;
    }
    if (redisAppendCommandArgv(r, (int)(2 + 2 * n), c->argv, c->len) != REDIS_OK)
        die(r->errstr);
}

static void answer(redisContext *r)
{
    redisReply *reply = NULL;
    if (redisGetReply(r, (void **)&reply) != REDIS_OK)
        die(r->errstr);
    if (reply->type != REDIS_REPLY_INTEGER)
        die(reply->str);
    freeReplyObject(reply);
}

static double run(redisContext *r, const char *key)
{
    struct command c = command_new(key);
    unsigned long out = 0;
    double begin = record_now();
    for (unsigned long i = 0; i < o.count; i += o.batch) {
        append(r, &c, i, o.count - i < o.batch ? o.count - i : o.batch);
        if (++out == o.pipeline)
            for (; out > 0; out--)
                answer(r);
    }
    for (; out > 0; out--)
        answer(r);
    double took = record_now() - begin;
    command_free(&c);
    return took;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"count", 1, NULL, 'c'},
                                            {"size", 1, NULL, 's'},
                                            {"batch", 1, NULL, 'b'},
                                            {"pipeline", 1, NULL, 'p'},
                                            {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == '?')
            return 2;
        *(c == 'c'   ? &o.count
          : c == 's' ? &o.size
          : c == 'b' ? &o.batch
                     : &o.pipeline) = strtoul(optarg, NULL, 10);
    }
    if (optind + 3 != argc || !o.count || o.size < RECORD_MIN || !o.batch || o.batch > 100000 || !o.pipeline)
        die("usage: bare_redis [--count N] [--size B] [--batch K] [--pipeline P] HOST PORT KEY");
    redisContext *r = redisConnect(argv[optind], (int)strtol(argv[optind + 1], NULL, 10));
    if (!r || r->err)
        die(r ? r->errstr : "no memory");
    (void)printf("%.0f\n", (double)o.count / run(r, argv[optind + 2]));
    redisFree(r);
    return 0;
}
