/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry backfill. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/client_impl.h"

#define PAGE      1000
#define FULL_MS   1000 /* between two tries while the queue is full */
#define BAR_MS    200
#define BAR_WIDTH 30

struct backfill {
    struct client *c;
    const char *bucket, *prefix, *target;
    const char *after; /* the last key that is queued */
    uint64_t rate;     /* a second; 0: no bound */
    long long queued, objects;
    int64_t begin_ms, shown_ms;
    bool bar;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void wait_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL); /* a signal ends it */
}

static void show(struct backfill *b, bool last, const char *state)
{
    int64_t now = clock_mono_ms(), took = now - b->begin_ms;
    if (!b->bar || (!last && now - b->shown_ms < BAR_MS))
        return;
    b->shown_ms = now;
    double part = b->prefix[0] || b->objects == 0 ? 0 : (double)b->queued / (double)b->objects;
    int filled = part >= 1 ? BAR_WIDTH : (int)(part * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = 0;
    (void)fprintf(stderr, "\r[%s] %lld queued, %lld/s%s\033[K%s", bar, b->queued,
                  b->queued * 1000 / (took > 0 ? took : 1), state, last ? "\n" : "");
}

static void keep_rate(struct backfill *b)
{
    int64_t due = b->rate ? b->begin_ms + b->queued * 1000 / (int64_t)b->rate : 0;
    int64_t now = clock_mono_ms();
    if (due > now && !interrupted)
        wait_ms(due - now);
}

/* One page. False and err; *more: something follows. */
static bool page(struct backfill *b, bool *more, struct err *e)
{
    char limit[16];
    uint64_t n = b->rate && b->rate < PAGE ? (b->rate + 9) / 10 : PAGE;
    (void)snprintf(limit, sizeof limit, "%llu", (unsigned long long)n);
    struct client_param query[] = {{"target", b->target}, {"bucket", b->bucket}, {"prefix", b->prefix},
                                   {"after", b->after},   {"limit", limit},      {NULL, NULL}};
    json_t *reply = client_call(b->c, "POST", "backfill", query, e);
    if (!reply)
        return false;
    b->queued += json_count(reply, "queued");
    b->objects = json_count(reply, "objects");
    *more = json_object_get(reply, "next") != NULL;
    if (*more)
        b->after = arena_strz(&b->c->arena, str_c(json_text(reply, "next")));
    bool full = json_object_get(reply, "stopped") != NULL;
    json_decref(reply);
    show(b, false, full ? "; the queue is full, waiting" : "");
    if (full)
        wait_ms(FULL_MS);
    return true;
}

static int go_on_with(const struct backfill *b)
{
    if (b->after && b->after[0])
        (void)fprintf(stderr, "%lld objects are queued; go on with: belfry backfill %s%s%s %s --after '%s'\n",
                      b->queued, b->bucket, b->prefix[0] ? "/" : "", b->prefix, b->target, b->after);
    return EXIT_FAILED;
}

static int run(struct backfill *b)
{
    bool more = true;
    struct err e;
    struct sigaction act = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    b->begin_ms = clock_mono_ms();
    while (more && !interrupted) {
        if (!page(b, &more, &e)) {
            show(b, true, "");
            (void)client_fail(&e);
            return go_on_with(b);
        }
        keep_rate(b);
    }
    show(b, true, "");
    if (more)
        return go_on_with(b);
    (void)printf(b->c->args.json ? "{\"queued\":%lld}\n" : "%lld objects queued\n", b->queued);
    return EXIT_OK;
}

int command_backfill(struct client *c)
{
    struct backfill b = {.c = c, .prefix = "", .after = c->args.after, .bar = isatty(STDERR_FILENO) == 1};
    if (c->args.n != 2)
        return client_usage("write 'belfry backfill BUCKET[/PREFIX] ID:TYPE'; see 'belfry help backfill'");
    if (c->args.rate && (!str_to_u64(str_c(c->args.rate), &b.rate) || b.rate == 0 || b.rate > 10000000))
        return client_usage("--rate %s must be a number of objects a second", c->args.rate);
    char *slash = strchr(c->args.words[0], '/');
    if (slash) {
        *slash = 0;
        b.prefix = slash + 1;
    }
    b.bucket = c->args.words[0];
    b.target = c->args.words[1];
    return run(&b);
}
