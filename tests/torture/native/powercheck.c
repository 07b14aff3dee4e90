/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens crash states as the server does and holds them against the journal of what was acknowledged.
 *
 *     powercheck JOURNAL
 *
 * Standard input: "FOLDER OWED MAY LOOK" a line: times as in powercheck.h; LOOK 1: belfry check before the start, too. For
 * each a line "P text" for what must not be, then ".". Each state has a process of its own, so that one that ends it (or
 * hangs) is a finding and not the end. */
#include "powercheck.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"
#include "store/store_internal.h"
#include "store/upload.h"

#define MOST_PROBLEMS 8
#define MOST_SECONDS  120

static int answers; /* standard output of old; the real one belongs to belfry check */

void problem(struct state *s, const char *fmt, ...)
{
    char text[1000] = "P ";
    va_list ap;
    if (s->problems++ >= MOST_PROBLEMS)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text + 2, sizeof text - 3, fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    size_t n = strlen(text);
    text[n] = '\n';
    if (write(answers, text, n + 1) < 0)
        _exit(1);
}

/* --- belfry check --- */

static void check_whole(struct state *s, const char *when)
{
    char path[64], line[1000];
    struct err e = {0};
    bool opened;
    (void)snprintf(path, sizeof path, "/dev/shm/powercheck-%d", getpid());
    FILE *out = freopen(path, "w+e", stdout);
    BUG_ON(!out);
    if (!store_check(s->dir, &opened, &e)) {
        problem(s, "%s belfry check: %s", when, e.text);
        rewind(out);
        while (opened && s->problems < MOST_PROBLEMS && fgets(line, sizeof line, out))
            if (!strstr(line, " objects, "))
                problem(s, "%s belfry check: %s", when, line);
    }
    (void)unlink(path);
}

/* --- objects --- */

static bool body_is(struct store_read *r, uint64_t content, uint64_t size)
{
    char seed[128], digits[24], hex[65];
    uint8_t digest[SHA256_LEN];
    struct err e;
    int d = snprintf(digits, sizeof digits, "%" PRIu64, content);
    hash_sha256(str_n(digits, (size_t)d), digest);
    hex_lower(digest, sizeof digest, hex);
    hex[64] = 0;
    size_t n = (size_t)snprintf(seed, sizeof seed, "%s:%s\n", digits, hex);
    char *body = x_malloc(size + 1);
    bool same = store_read_bytes(r, 0, body, size, &e);
    for (uint64_t at = 0; same && at < size; at += n)
        same = memcmp(body + at, seed, size - at < n ? size - at : n) == 0;
    free(body);
    return same;
}

static bool is_after(struct store_read *r, const struct op *op)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, op->writer);
    struct str tag = op->word ? str_c(op->word) : (struct str){0};
    return op->present && r->object.size == op->size &&
           str_eq_c(header_value(&r->object.meta, STR("X-Amz-Meta-Op")), number) &&
           (op->word ? str_eq(r->object.tags, tag) : r->object.tags.n == 0) &&
           body_is(r, op->content, op->size);
}

static void tell_object(struct state *s, const struct subject *k, int owed, int most, enum store_result r,
                        const struct store_read *read, const struct err *e)
{
    char is[600];
    if (r == STORE_OK)
        (void)snprintf(is, sizeof is,
                       "it is of op %.*s with %" PRIu64 " bytes and tags '%.*s', or its bytes are wrong",
                       STR_FMT(header_value(&read->object.meta, STR("X-Amz-Meta-Op"))), read->object.size,
                       STR_FMT(read->object.tags));
    else
        (void)snprintf(is, sizeof is, "%s", r == STORE_MISSING ? "it is not there" : e->text);
    problem(s, "%s/%s should be as after op %" PRIu64 " (or up to op %" PRIu64 "): %s", k->bucket, k->key,
            owed >= 0 ? k->ops.v[owed].number : 0, most >= 0 ? k->ops.v[most].number : 0, is);
}

static void check_key(struct state *s, const struct subject *k)
{
    struct store_read read;
    struct arena arena;
    struct err e = {0};
    int most, owed = owed_index(s, &k->ops, &most);
    bool *fits = x_calloc(k->ops.n + 2, sizeof *fits), any = false;
    struct bucket *b = store_bucket(s->store, str_c(k->bucket));
    arena_init(&arena);
    enum store_result r =
        b ? store_read_open(s->store, b, str_c(k->key), false, &arena, &read, &e) : STORE_MISSING;
    for (int i = owed; i <= most; i++) {
        bool absent = i < 0 || !k->ops.v[i].present;
        fits[i + 1] = absent ? r == STORE_MISSING : r == STORE_OK && is_after(&read, &k->ops.v[i]);
        any |= fits[i + 1];
    }
    if (!any)
        tell_object(s, k, owed, most, r, &read, &e);
    else
        check_events(s, k, fits, owed, most);
    if (r == STORE_OK)
        store_read_close(&read);
    arena_release(&arena);
    if (b)
        bucket_unref(b);
    free(fits);
}

static void check_bucket(struct state *s, const struct subject *k)
{
    int most, owed = owed_index(s, &k->ops, &most);
    struct bucket *b = store_bucket(s->store, str_c(k->bucket));
    bool any = false;
    for (int i = owed; i <= most; i++) {
        const struct op *op = i < 0 ? NULL : &k->ops.v[i];
        bool present = op && op->present;
        any |= present ? b && (op->word ? str_find(b->rules, str_c(op->word)) >= 0 : b->rules.n == 0) : !b;
    }
    if (!any)
        problem(s, "bucket %s is not as after its change %d (or up to %d): %s, rules of %zu bytes", k->bucket,
                owed + 1, most + 1, b ? "there" : "not there", b ? b->rules.n : 0);
    if (b)
        bucket_unref(b);
}

/* --- uploads --- */

static void check_parts(struct state *s, const struct upload *u, const struct bucket *b, struct arena *a)
{
    struct store_part *parts;
    bool truncated;
    size_t n = 0;
    struct err e;
    if (store_upload_parts(s->store, b, str_c(u->key), str_c(u->id), 0, 1000, a, &parts, &n, &truncated,
                           &e) != STORE_OK)
        n = 0;
    for (size_t i = 0; i < u->parts.n; i++) {
        const struct op *p = &u->parts.v[i];
        size_t at = 0;
        while (at < n && parts[at].number != p->number)
            at++;
        if (p->acked <= s->owed && (at == n || parts[at].object.size != p->size))
            problem(s, "part %" PRIu64 " of an upload of %s is lost", p->number, u->key);
        if (p->sent > s->may && at < n)
            problem(s, "part %" PRIu64 " of an upload of %s was never sent", p->number, u->key);
    }
}

void check_uploads(struct state *s)
{
    for (size_t i = 0; i < s->journal->n_uploads; i++) {
        const struct upload *u = &s->journal->uploads[i];
        struct bucket *b = store_bucket(s->store, str_c(u->bucket));
        struct store_upload found;
        struct arena a;
        struct err e;
        if (!b)
            continue;
        arena_init(&a);
        enum store_result r =
            store_upload_get(s->store, b, str_c(u->key), str_c(u->id), false, &a, &found, &e);
        if (u->acked <= s->owed && u->over_sent > s->may && r != STORE_OK)
            problem(s, "an upload of %s is lost", u->key);
        if ((u->over_acked <= s->owed || u->sent > s->may) && r == STORE_OK)
            problem(s, "an upload of %s is open that is over, or was never begun", u->key);
        if (r == STORE_OK)
            check_parts(s, u, b, &a);
        arena_release(&a);
        bucket_unref(b);
    }
}

/* --- a state --- */

static void check_state(struct state *s, bool look)
{
    struct store_options o = {.memory = 2u << 20};
    struct err e = {0};
    struct stat st;
    char *last =
        folder_path(s->dir, "blobs/ff"); /* else its birth was cut short: there is nothing to look at */
    if (look && stat(last, &st) == 0)
        check_whole(s, "before the start,");
    free(last);
    s->store = store_open(s->dir, &o, &e);
    if (!s->store) {
        problem(s, "the start is refused: %s", e.text);
        return;
    }
    if (!janitor_wait(s->store, clock_mono_ms() + 60000))
        problem(s, "the janitor does not come to an end");
    check_outbox(s);
    for (size_t i = 0; i < s->journal->n_buckets; i++)
        check_bucket(s, &s->journal->buckets[i]);
    for (size_t i = 0; i < s->journal->n_keys; i++)
        check_key(s, &s->journal->keys[i]);
    check_uploads(s);
    check_settings(s);
    check_taken(s);
    check_high_water(s);
    store_close(s->store);
    check_whole(s, "after the start,");
}

static void in_a_process(struct state *s, bool look)
{
    pid_t child = fork();
    int status = 0;
    if (child == 0) {
        (void)alarm(MOST_SECONDS);
        check_state(s, look);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        problem(s, "the process that opened the state ended with %x", (unsigned)status);
    s->problems = 0;
}

int main(int argc, char **argv)
{
    static struct journal journal;
    char line[4200], dir[4096];
    if (argc != 2 || !journal_read(&journal, argv[1])) {
        (void)fprintf(stderr, "powercheck: cannot read the journal\n");
        return 2;
    }
    answers = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 100);
    while (fgets(line, sizeof line, stdin)) {
        struct state s = {.journal = &journal, .dir = dir};
        int look;
        if (sscanf(line, "%4000s %" SCNu64 " %" SCNu64 " %d", dir, &s.owed, &s.may, &look) != 4)
            return 2;
        in_a_process(&s, look);
        if (write(answers, ".\n", 2) != 2)
            return 2;
    }
    return 0;
}
