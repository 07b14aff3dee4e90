/* SPDX-License-Identifier: Apache-2.0
 *
 * Many logs made by chance: of what a power cut may leave nothing is said to be damaged, and nothing is cut off that was synced;
 * and what was synced and is not there any more is not said to be torn. Bodies hold what looks like batches all over. */
#include "kv_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "kv/tail.h"
#include "kv/wal_record.h"

enum {
    LOGS = 3,
    BATCHES = 24,
    BATCH_HEAD = 12,
    LOG_DATA = 3,
    ROOM = 4 << 20,
    SECTOR = 512,
    FIRST_LOG = 900001
};
enum { ROUNDS = 400 };

struct batch {
    int log;
    size_t begin, end;
    uint64_t first, synced; /* its mark */
    bool sync;
};
struct sim {
    uint64_t chance, last, writer; /* last: sequence number */
    uint64_t first_log;
    char *log[LOGS];
    size_t n[LOGS];
    int logs;
    struct batch v[BATCHES];
    int batches;
};

static uint64_t chance(struct sim *s, uint64_t below)
{
    s->chance ^= s->chance << 13;
    s->chance ^= s->chance >> 7;
    s->chance ^= s->chance << 17;
    return s->chance % below;
}

static void put_le(char *p, uint64_t n, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (char)(n >> (8 * i));
}

static size_t add_record(char *log, size_t at, unsigned type, const char *data, size_t n)
{
    char *p = log + at;
    put_le(p + 4, n, 2);
    p[6] = (char)type;
    memcpy(p + WAL_HEADER, data, n);
    uint32_t crc = hash_crc32c(0, p + 6, n + 1);
    put_le(p, ((crc >> 15) | (crc << 17)) + 0xa282ead8u, 4);
    return at + WAL_HEADER + n;
}

static size_t front(char *out, uint64_t first, uint32_t rows, const struct tail_mark *m)
{
    put_le(out, first, 8);
    put_le(out + 8, rows, 4);
    if (!m)
        return BATCH_HEAD;
    out[BATCH_HEAD] = LOG_DATA;
    out[BATCH_HEAD + 1] = TAIL_MARK;
    tail_mark(m, out + BATCH_HEAD + 2);
    return BATCH_HEAD + 2 + TAIL_MARK;
}

/* As RocksDB does: in as many records as there are blocks. */
static size_t add_batch(char *log, size_t at, const char *data, size_t n)
{
    for (bool first = true, last = false; !last; first = false) {
        size_t left = WAL_BLOCK - at % WAL_BLOCK;
        if (left < WAL_HEADER) {
            memset(log + at, 0, left);
            at += left;
            left = WAL_BLOCK;
        }
        size_t take = n < left - WAL_HEADER ? n : left - WAL_HEADER;
        last = take == n;
        at = add_record(log, at,
                        first && last ? WAL_FULL
                        : first       ? WAL_FIRST
                        : last        ? WAL_LAST
                                      : WAL_MIDDLE,
                        data, take);
        data += take;
        n -= take;
    }
    return at;
}

/* Rows of a client who knows how a log is made, and nearly where it is. */
static void fill_body(struct sim *s, char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)chance(s, 256);
    for (size_t at = chance(s, 60); at + 200 < n; at += 60 + chance(s, 4000)) {
        char fake[100] = {0};
        struct tail_mark m = {s->last + chance(s, 100), chance(s, 1000000), chance(s, 2) ? s->writer + 2 : 0};
        size_t k = front(fake, s->last + chance(s, 30), 1, chance(s, 3) ? &m : NULL);
        add_record(p, at, WAL_FULL, fake, k + chance(s, 20));
    }
}

/* Now and then it begins a few bytes before the end of a block. */
static size_t size_by_chance(struct sim *s, size_t at)
{
    static const size_t sizes[] = {1, 50, 300, 5000, 33000, 100000};
    if (chance(s, 3) == 0) {
        size_t left = WAL_BLOCK - at % WAL_BLOCK, lead = 2 * WAL_HEADER + BATCH_HEAD + 2 + TAIL_MARK + 20;
        if (left > lead)
            return left - lead + chance(s, 20) + 1;
    }
    return sizes[chance(s, sizeof sizes / sizeof *sizes)] + chance(s, 40);
}

static void add_by_chance(struct sim *s)
{
    static char body[ROOM / 8];
    int log = s->logs - 1;
    struct batch *b = &s->v[s->batches++];
    uint32_t rows = 1 + (uint32_t)chance(s, 5);
    uint64_t synced = b == s->v || b[-1].sync ? s->last : b[-1].synced;
    /* The first one is the server's own, by which it takes numbers for the objects to come. */
    *b = (struct batch){log, s->n[log], 0, s->last + 1, synced, b == s->v || chance(s, 2) == 0};
    size_t n = front(body, b->first, rows, &(struct tail_mark){b->synced, s->first_log, s->writer});
    size_t more = size_by_chance(s, b->begin);
    fill_body(s, body + n, more);
    b->end = s->n[log] = add_batch(s->log[log], b->begin, body, n + more);
    s->last += rows;
}

static void make(struct sim *s, uint64_t last)
{
    char opening[BATCH_HEAD];
    s->last = last;
    s->writer = chance(s, UINT64_MAX) | 1;
    s->logs = 1;
    s->batches = 0;
    s->n[0] = add_batch(s->log[0], 0, opening, front(opening, last + 1, 0, NULL));
    int batches = 2 + (int)chance(s, BATCHES - 2);
    while (s->batches < batches) {
        if (s->logs < LOGS && s->batches > 0 && s->v[s->batches - 1].log == s->logs - 1 && chance(s, 6) == 0)
            s->n[s->logs++] = 0;
        add_by_chance(s);
    }
}

static void write_logs(const struct sim *s, const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        if (wal_number(e->d_name))
            assert_int_equal(unlinkat(dirfd(d), e->d_name, 0), 0);
    for (int i = 0; i < s->logs; i++) {
        char name[32];
        snprintf(name, sizeof name, "%06d.log", (int)s->first_log + i);
        int fd = openat(dirfd(d), name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, s->log[i], s->n[i]), s->n[i]);
        close(fd);
    }
    closedir(d);
}

/* What is behind `at` was not synced: each sector of it is there, or zeros, or an old block; and then there is an end. */
static void lose(struct sim *s, int log, size_t at)
{
    if (chance(s, 3) == 0)
        s->n[log] = at + chance(s, s->n[log] - at + 1);
    for (unsigned kept = (unsigned)chance(s, 4); at < s->n[log];) {
        size_t end = at - at % SECTOR + SECTOR < s->n[log] ? at - at % SECTOR + SECTOR : s->n[log];
        uint64_t fate = chance(s, 4) < kept ? 2 : chance(s, 2);
        for (; at < end; at++)
            s->log[log][at] = fate == 2 ? s->log[log][at] : fate == 1 ? 0 : (char)chance(s, 256);
    }
}

static const char *cut(struct sim *s, const char *dir)
{
    int last = -1;
    struct tail_ends ends;
    struct err e = {0};
    for (int i = 0; i < s->batches; i++)
        last = s->v[i].sync ? i : last;
    int log = last < 0 ? 0 : s->v[last].log;
    size_t sure = last < 0 ? WAL_HEADER + BATCH_HEAD : s->v[last].end;
    for (int i = log; i < s->logs; i++)
        lose(s, i, i == log ? sure : 0);
    if (s->logs - 1 > log && chance(s, 3) == 0)
        s->logs--;
    write_logs(s, dir);
    assert_true(tail_look(dir, &ends, &e));
    if (ends.log.state == TAIL_DAMAGED)
        return "a cut is said to be damage";
    int at = (int)(wal_number(ends.log.at.file) - s->first_log);
    if (ends.log.state == TAIL_TORN && (at < log || (at == log && ends.log.at.offset < sure)))
        return "what was synced is cut off";
    return NULL;
}

/* A batch that a later one says was synced, and that is not the last of them. */
static const char *damage(struct sim *s, const char *dir)
{
    struct tail_ends ends;
    struct err e = {0};
    int i = (int)chance(s, (uint64_t)s->batches), proof = i + 1;
    while (proof < s->batches && s->v[proof].synced < s->v[i].first)
        proof++;
    if (proof >= s->batches)
        return NULL;
    struct batch *b = &s->v[i], *until = &s->v[i + (int)chance(s, (uint64_t)(proof - i))];
    size_t at = b->begin + chance(s, b->end - b->begin);
    size_t end = until->log == b->log ? until->end : s->n[b->log];
    if (s->v[proof].log != b->log && chance(s, 2)) {
        s->n[b->log] = at; /* the rest of this log is gone */
    } else {
        size_t n = 1 + chance(s, end - at);
        for (size_t k = at; k < at + (chance(s, 2) ? 1 : n); k++)
            s->log[b->log][k] ^= (char)(1 + chance(s, 255));
    }
    write_logs(s, dir);
    assert_true(tail_look(dir, &ends, &e));
    return ends.log.state == TAIL_DAMAGED ? NULL : "damage is not noticed";
}

static void read_manifest(struct sim *s, const char *dir, uint64_t *last)
{
    char path[400], name[64] = "";
    static char bytes[1 << 16];
    struct tail_manifest m;
    snprintf(path, sizeof path, "%.300s/CURRENT", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, name, sizeof name - 1) > 0);
    close(fd);
    name[strcspn(name, "\n")] = 0;
    snprintf(path, sizeof path, "%.300s/%s", dir, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, bytes, sizeof bytes);
    close(fd);
    tail_read_manifest(str_n(bytes, (size_t)n), &m);
    assert_true(m.whole && m.begun && m.oldest_log > 0);
    *last = m.last;
    s->first_log = m.oldest_log;
}

static void many(struct fixture *f, const char *(*harm)(struct sim *s, const char *dir))
{
    struct sim s = {0};
    const char *wanted = getenv("ROUNDS");
    uint64_t rounds = ROUNDS;
    if (wanted)
        assert_true(str_to_u64(str_c(wanted), &rounds));
    write_many(f->kv, 3);
    reopen(f);
    shut(f);
    uint64_t last;
    read_manifest(&s, f->dir, &last);
    for (int i = 0; i < LOGS; i++)
        s.log[i] = x_malloc(ROOM);
    for (uint64_t i = 0; i < rounds; i++) {
        s.chance = 88172645463325252ULL + i * 7919;
        for (int k = 0; k < 20; k++)
            (void)chance(&s, 2);
        make(&s, last);
        const char *wrong = harm(&s, f->dir);
        if (wrong)
            fail_msg("round %d: %s", (int)i, wrong);
    }
    for (int i = 0; i < LOGS; i++)
        free(s.log[i]);
}

static void test_cuts(void **state)
{
    many(*state, cut);
}

static void test_damages(void **state)
{
    many(*state, damage);
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_rocks, teardown)
    const struct CMUnitTest tests[] = {TEST(test_cuts), TEST(test_damages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
