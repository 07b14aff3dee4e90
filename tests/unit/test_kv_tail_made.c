/* SPDX-License-Identifier: Apache-2.0
 *
 * Logs made by hand: what is found at the end of each, and what is cut off. */
#include "tail_help.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "kv/wal_record.h"

enum { ME = 7, OTHER = 9, ROOM = 100000 };

/* What a log holds, in order. Sequence numbers are relative to the MANIFEST's last one. */
struct piece {
    enum { NOTHING, BATCH, UNMARKED, GARBAGE, FAKE, NEXT_LOG } kind;
    int first, rows; /* of a batch */
    int synced;      /* its mark */
    size_t n;        /* bytes of it */
    uint64_t writer; /* 0: ME */
};
#define BATCH_(first, rows, synced) \
    { \
        BATCH, first, rows, synced, 300, 0 \
    }
#define UNMARKED_(first, rows) \
    { \
        UNMARKED, first, rows, 0, 300, 0 \
    }
#define GARBAGE_(n) \
    { \
        GARBAGE, 0, 0, 0, n, 0 \
    }
#define NEXT_ \
    { \
        NEXT_LOG, 0, 0, 0, 0, 0 \
    }
/* Of RocksDB, when it opens a store. */
#define OPENING_(first) \
    { \
        UNMARKED, first, 0, 0, 12, 0 \
    }
#define FAKE_(kind, first, synced, by) \
    { \
        kind, first, 1, synced, 300, by \
    }

struct made {
    const char *what;
    struct piece pieces[8];
    enum tail_state state;
    int log; /* of the bad place */
    int at;  /* piece in front of which it is; -1: at the beginning of the log */
};
static const struct made mades[] = {
    {"whole", {BATCH_(1, 2, 0), BATCH_(3, 1, 2), NEXT_, BATCH_(4, 0, 3), BATCH_(4, 1, 3)}, TAIL_WHOLE, 0, 0},
    {"no marks", {UNMARKED_(1, 2), UNMARKED_(3, 1), NEXT_, UNMARKED_(4, 1)}, TAIL_WHOLE, 0, 0},
    {"no marks, torn", {UNMARKED_(1, 2), GARBAGE_(500)}, TAIL_TORN, 0, 1},
    {"no marks, damaged", {UNMARKED_(1, 2), GARBAGE_(500), UNMARKED_(4, 1)}, TAIL_DAMAGED, 0, 1},
    {"torn", {BATCH_(1, 2, 0), GARBAGE_(500)}, TAIL_TORN, 0, 1},
    {"torn before a batch", {BATCH_(1, 2, 0), GARBAGE_(500), BATCH_(5, 1, 2)}, TAIL_TORN, 0, 1},
    {"damaged", {BATCH_(1, 2, 0), GARBAGE_(500), BATCH_(5, 1, 3)}, TAIL_DAMAGED, 0, 1},
    {"damaged, as the batch after that says",
     {BATCH_(1, 2, 0), GARBAGE_(500), BATCH_(5, 1, 2), BATCH_(6, 1, 5)},
     TAIL_DAMAGED,
     0,
     1},
    {"a batch is missing", {BATCH_(1, 2, 0), BATCH_(4, 1, 2)}, TAIL_TORN, 0, 1},
    {"a batch is missing that was synced", {BATCH_(1, 2, 0), BATCH_(4, 1, 3)}, TAIL_DAMAGED, 0, 1},
    {"the next log goes on", {BATCH_(1, 2, 0), GARBAGE_(500), NEXT_, BATCH_(5, 1, 2)}, TAIL_TORN, 0, 1},
    {"the next log proves", {BATCH_(1, 2, 0), GARBAGE_(500), NEXT_, BATCH_(5, 1, 3)}, TAIL_DAMAGED, 0, 1},
    {"the next log is short, the bad place long",
     {BATCH_(1, 2, 0), GARBAGE_(60000), NEXT_, BATCH_(3000, 1, 3)},
     TAIL_DAMAGED,
     0,
     1},
    {"the next log has a gap before it", {BATCH_(1, 2, 0), NEXT_, BATCH_(4, 1, 2)}, TAIL_TORN, 1, -1},
    {"that had been synced", {BATCH_(1, 2, 0), NEXT_, BATCH_(4, 1, 3)}, TAIL_DAMAGED, 1, -1},
    {"the first log is empty", {NEXT_, BATCH_(1, 1, -1)}, TAIL_TORN, 0, -1},
    {"and had been synced", {NEXT_, BATCH_(1, 1, 0)}, TAIL_DAMAGED, 0, -1},
    {"the last log is empty", {BATCH_(1, 1, 0), NEXT_, NEXT_}, TAIL_WHOLE, 0, 0},
    {"a log is missing", {BATCH_(3, 1, 0)}, TAIL_TORN, 0, -1},
    {"and had been synced", {BATCH_(3, 1, 2)}, TAIL_DAMAGED, 0, -1},
    {"several are bad at the front", {GARBAGE_(500), BATCH_(5, 1, 0), BATCH_(6, 1, 0)}, TAIL_TORN, 0, -1},
    {"and the first of them had been synced", {GARBAGE_(500), BATCH_(5, 1, 2)}, TAIL_DAMAGED, 0, -1},
    {"it overlaps with the tables", {BATCH_(-2, 3, -3), BATCH_(1, 1, 0)}, TAIL_WHOLE, 0, 0},
    {"a client's batch without a mark",
     {BATCH_(1, 2, 0), GARBAGE_(50), FAKE_(UNMARKED, 4, 0, 0), GARBAGE_(50)},
     TAIL_TORN,
     0,
     1},
    {"a client's batch with a mark",
     {BATCH_(1, 2, 0), GARBAGE_(50), FAKE_(BATCH, 4, 100, OTHER), GARBAGE_(50)},
     TAIL_TORN,
     0,
     1},
    {"the next log's first batch is bad, and a client's behind it",
     {BATCH_(1, 2, 0), NEXT_, GARBAGE_(50), FAKE_(UNMARKED, 4, 0, 0), FAKE_(BATCH, 4, 100, OTHER)},
     TAIL_TORN,
     1,
     -1},
    {"and the server's own", {BATCH_(1, 2, 0), NEXT_, GARBAGE_(50), BATCH_(4, 1, 3)}, TAIL_DAMAGED, 1, -1},
    {"an opening goes before it",
     {BATCH_(1, 2, 0), NEXT_, OPENING_(3), GARBAGE_(50), FAKE_(UNMARKED, 4, 0, 0)},
     TAIL_TORN,
     1,
     3},
    {"an opening behind it proves nothing",
     {BATCH_(1, 2, 0), GARBAGE_(50), NEXT_, OPENING_(3)},
     TAIL_TORN,
     0,
     1},
    {"nor behind an empty log", {NEXT_, OPENING_(1)}, TAIL_TORN, 0, -1},
    {"a log is cut short, the next one holds little, but proves", /* many rows are missing */
     {BATCH_(1, 2, 0), NEXT_, BATCH_(70000, 1, 69999)},
     TAIL_DAMAGED,
     1,
     -1},
    {"the same, in mid-batch",
     {BATCH_(1, 2, 0), GARBAGE_(50), NEXT_, BATCH_(70000, 1, 69999)},
     TAIL_DAMAGED,
     0,
     1},
    {"another server's log behind it",
     {BATCH_(1, 2, 0), GARBAGE_(50), NEXT_, FAKE_(BATCH, 9, 8, OTHER)},
     TAIL_DAMAGED,
     0,
     1},
    {"a batch within what is none", /* what seems to be a batch of 700 bytes holds one that proves */
     {BATCH_(1, 2, 0), GARBAGE_(50), {FAKE, 4, 1, 3, 700, 0}},
     TAIL_DAMAGED,
     0,
     1},
};

static size_t add_bytes(char *log, size_t at, unsigned type, const char *data, size_t n)
{
    uint8_t *p = (uint8_t *)log + at;
    p[4] = (uint8_t)n;
    p[5] = (uint8_t)(n >> 8);
    p[6] = (uint8_t)type;
    memcpy(p + WAL_HEADER, data, n);
    uint32_t crc = hash_crc32c(0, p + 6, n + 1);
    crc = ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(crc >> (8 * i));
    return at + WAL_HEADER + n;
}

static size_t batch_bytes(const struct piece *p, uint64_t last, char *out)
{
    uint64_t first = last + (uint64_t)p->first;
    memset(out, 'x', p->n);
    for (int i = 0; i < 8; i++)
        out[i] = (char)(first >> (8 * i));
    for (int i = 0; i < 4; i++)
        out[8 + i] = (char)(p->rows >> (8 * i));
    struct tail_mark m = {last + (uint64_t)p->synced, 0, p->writer ? p->writer : ME};
    if (p->kind == BATCH) {
        out[12] = 3;
        out[13] = TAIL_MARK;
        tail_mark(&m, out + 14);
    }
    return p->n;
}

static size_t add_piece(char *log, size_t at, const struct piece *p, uint64_t last)
{
    char batch[1024];
    if (p->kind == GARBAGE) {
        for (size_t i = 0; i < p->n; i++)
            log[at + i] = (char)(i * i * 31 + i * 7919 + 5);
        return at + p->n;
    }
    if (p->kind == FAKE) { /* of another writer, with a true one in it */
        struct piece outer = {BATCH, p->first, 1, 2, p->n, OTHER},
                     inner = {BATCH, p->first + 1, 1, p->synced, 300, 0};
        char in[300];
        batch_bytes(&outer, last, batch);
        add_bytes(batch, 100, WAL_FULL, in, batch_bytes(&inner, last, in));
        return add_bytes(log, at, WAL_FULL, batch, p->n);
    }
    return add_bytes(log, at, WAL_FULL, batch, batch_bytes(p, last, batch));
}

static void write_log(const char *dir, int number, const char *bytes, size_t n)
{
    char path[400];
    snprintf(path, sizeof path, "%.300s/%06d.log", dir, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}

/* Two logs, or one, in the place of the store's own. */
static void make_logs(const char *dir, const struct made *m, const struct tail_manifest *from,
                      struct tail_end *expected)
{
    static char log[ROOM];
    size_t n = 0, count = sizeof m->pieces / sizeof *m->pieces;
    int number = (int)from->oldest_log;
    *expected = (struct tail_end){.state = m->state};
    snprintf(expected->at.file, sizeof expected->at.file, "%06d.log", number + m->log);
    for (size_t i = 0; i < count && m->pieces[i].kind != NOTHING; i++) {
        if (m->at >= 0 && (size_t)m->at == i)
            expected->at.offset = n;
        if (m->pieces[i].kind != NEXT_LOG) {
            n = add_piece(log, n, &m->pieces[i], from->last);
            continue;
        }
        write_log(dir, number++, log, n);
        n = 0;
    }
    write_log(dir, number, log, n);
}

static void test_made(void **state)
{
    struct fixture *f = *state;
    reopened(f);
    shut(f);
    struct tail_manifest from = read_manifest(f->dir);
    for (size_t i = 0; i < sizeof mades / sizeof *mades; i++) {
        struct tail_ends ends;
        struct tail_end expected;
        struct err e = {0};
        remove_logs(f->dir);
        make_logs(f->dir, &mades[i], &from, &expected);
        assert_true(tail_look(f->dir, &ends, &e));
        if (ends.manifest.state != TAIL_WHOLE || ends.log.state != expected.state ||
            (expected.state != TAIL_WHOLE &&
             (strcmp(ends.log.at.file, expected.at.file) != 0 || ends.log.at.offset != expected.at.offset)))
            fail_msg("%s: it is said to be %d at %s:%llu", mades[i].what, ends.log.state, ends.log.at.file,
                     (unsigned long long)ends.log.at.offset);
    }
    remove_logs(f->dir);
}

/* What is behind the bad place is cut off, in the logs behind it too. */
static void test_cut(void **state)
{
    static const struct made m = {
        "", {BATCH_(1, 2, 0), GARBAGE_(500), NEXT_, BATCH_(5, 1, 2)}, TAIL_TORN, 0, 1};
    struct fixture *f = *state;
    struct tail_ends ends;
    struct tail_end expected;
    struct err e = {0};
    char path[400];
    reopened(f);
    shut(f);
    struct tail_manifest from = read_manifest(f->dir);
    remove_logs(f->dir);
    make_logs(f->dir, &m, &from, &expected);
    assert_true(tail_look(f->dir, &ends, &e) && tail_cut(f->dir, &ends, &e));
    snprintf(path, sizeof path, "%.300s/%06d.log", f->dir, (int)from.oldest_log);
    assert_int_equal(size_of(path), expected.at.offset);
    snprintf(path, sizeof path, "%.300s/%06d.log", f->dir, (int)from.oldest_log + 1);
    assert_int_equal(size_of(path), 0);
    assert_true(tail_look(f->dir, &ends, &e) && ends.log.state == TAIL_WHOLE);
    remove_logs(f->dir);
}

/* What is behind the last record of a block is not read, whatever it is. */
static void test_trailer(void **state)
{
    static char log[2 * WAL_BLOCK];
    static char body[WAL_BLOCK];
    struct tail_walk w = {.most = 1};
    struct piece p = {BATCH, 1, 1, 0, 300, 0}, second = {BATCH, 2, 1, 1, 300, 0};
    size_t at = 0, bad = 0;
    (void)state;
    batch_bytes(&p, 0, body);
    size_t n = add_bytes(log, 0, WAL_FULL, body, WAL_BLOCK - WAL_HEADER - 5);
    memcpy(log + n, "junk!", 5);
    n = add_piece(log, n + 5, &second, 0);
    assert_true(tail_follow(str_n(log, n), &w, &at, &bad));
    assert_int_equal(w.wanted, 3);
}

/* What proves may itself be cut by the end of a block, anywhere in its front. */
static void test_proof_over_blocks(void **state)
{
    static char log[3 * WAL_BLOCK];
    static const struct piece before = {BATCH, 1, 1, 0, 300, 0}, proof = {BATCH, 3, 1, 2, 300, 0};
    char batch[300];
    (void)state;
    for (size_t in_front = 0; in_front <= sizeof batch; in_front++) {
        struct tail_walk w = {.most = 1};
        size_t at = 0, bad = 0, end = WAL_BLOCK - WAL_HEADER - in_front;
        memset(log, 0xa5, sizeof log);
        size_t n = add_piece(log, 0, &before, 0);
        assert_true(n < end);
        batch_bytes(&proof, 0, batch);
        n = add_bytes(log, end, in_front == sizeof batch ? WAL_FULL : WAL_FIRST, batch, in_front);
        assert_int_equal(n, WAL_BLOCK);
        if (in_front < sizeof batch)
            n = add_bytes(log, n, WAL_LAST, batch + in_front, sizeof batch - in_front);
        assert_false(tail_follow(str_n(log, n), &w, &at, &bad));
        assert_int_equal(w.wanted, 2);
        if (!tail_proves(str_n(log, n), at, n - at, &w))
            fail_msg("%zu bytes of it before the end of the block", in_front);
    }
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_rocks, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_made),
        TEST(test_cut),
        cmocka_unit_test(test_trailer),
        cmocka_unit_test(test_proof_over_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
