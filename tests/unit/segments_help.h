/* SPDX-License-Identifier: Apache-2.0
 *
 * A sender with a queue_dir, whose backlog moves into files there: what the tests of segments share. */
#ifndef BELFRY_TESTS_SEGMENTS_HELP_H
#define BELFRY_TESTS_SEGMENTS_HELP_H

#include "sender_help.h"

#include <dirent.h>
#include <unistd.h>

#define ROWS  10
#define KEEP  20
#define AFTER 1000

struct files {
    struct bench *b;
    char dir[64], folder[128];
};

static inline void begin(struct files *f)
{
    bench_start(f->b);
    f->b->s->limits = (struct segment_limits){.rows = ROWS, .keep = KEEP, .after_ms = AFTER};
}

static inline void restart(struct files *f)
{
    struct err e = {0};
    bench_stop(f->b);
    begin(f);
    assert_true(segments_clean_start(f->b->s, &e));
}

static inline int setup(void **state)
{
    struct files *f = calloc(1, sizeof(*f));
    void *b;
    (void)bench_setup(&b);
    f->b = b;
    (void)snprintf(f->dir, sizeof(f->dir), "%.30s/belfry-segments-XXXXXX", temp_dir());
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->folder, sizeof(f->folder), "%s/belfry-fake-t", f->dir);
    f->b->conf.queue_dir = f->dir;
    f->b->s->limits = (struct segment_limits){.rows = ROWS, .keep = KEEP, .after_ms = AFTER};
    *state = f;
    return 0;
}

/* Calls fn with the path of each file; returns their number. */
static inline size_t each_file(const struct files *f, void (*fn)(const char *path))
{
    size_t n = 0;
    DIR *d = opendir(f->folder);
    for (struct dirent *x; d && (x = readdir(d));) {
        char path[600];
        if (x->d_name[0] == '.')
            continue;
        n++;
        (void)snprintf(path, sizeof(path), "%s/%s", f->folder, x->d_name);
        if (fn)
            fn(path);
    }
    if (d)
        (void)closedir(d);
    return n;
}

static inline void remove_path(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static inline int teardown(void **state)
{
    struct files *f = *state;
    void *b = f->b;
    (void)bench_teardown(&b);
    (void)each_file(f, remove_path);
    (void)rmdir(f->folder);
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static inline int64_t in_files(struct bench *b)
{
    int64_t n[KV_COUNTERS] = {0};
    struct row_key k = segment_counter_key(1);
    assert_true(sender_settled(b->s) && kv_counters(b->kv, row_key_str(&k), n, NULL));
    return n[0];
}

static inline int64_t lost(struct bench *b)
{
    int64_t n[KV_COUNTERS] = {0};
    struct row_key k = segment_lost_key(1);
    assert_true(sender_settled(b->s) && kv_counters(b->kv, row_key_str(&k), n, NULL));
    return n[0];
}

static size_t findings;
static inline void finding(void *ctx, const char *text)
{
    (void)ctx;
    findings++;
    if (!strstr(text, "lost"))
        print_message("%s\n", text);
}
static inline size_t check(struct bench *b)
{
    findings = 0;
    assert_true(sender_settled(b->s));
    segments_check(b->kv, finding, NULL);
    return findings;
}

static inline size_t named_files(struct bench *b)
{
    struct kv_scan *scan = kv_scan_open(b->kv, KV_META, SEGMENT_FILE_FIRST, SEGMENT_FILE_END);
    struct str key, value;
    size_t n = 0;
    while (kv_scan_next(scan, &key, &value))
        n++;
    kv_scan_close(scan);
    return n;
}

/* n events of the first `keys` keys for a target that is down, long enough for all that may move to move. */
static inline void backlog(struct files *f, unsigned n, unsigned keys)
{
    struct bench *b = f->b;
    restart(f); /* it has read nothing yet */
    b->fake.down = true;
    for (unsigned i = 0; i < n; i++)
        assert_true(put(b, i % keys));
    run_for(b, 120000);
    assert_int_equal(queued(b), n);
    assert_int_equal(check(b), 0);
    assert_int_equal(named_files(b), 0);
    b->fake.down = false;
    b->fake.n_sent = 0;
}

/* All of them were delivered once and in order, and nothing is left. */
static inline void all_well(struct files *f, unsigned n)
{
    struct bench *b = f->b;
    assert_int_equal(check_order(&b->fake), n);
    assert_int_equal(queued(b), 0);
    assert_int_equal(in_files(b), 0);
    assert_int_equal(rows_with(b, 'q'), 0);
    assert_int_equal(check(b), 0);
    assert_int_equal(each_file(f, NULL), 0);
    assert_int_equal(named_files(b), 0);
}

#endif
