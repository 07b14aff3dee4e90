/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged rows: single bits that the checksum tells, what stands behind a cut, the place behind a damaged block, and opening
 * what kv_open refuses. */
#include "kv_help.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "kv/rescue.h"
#include "kv/wal_record.h"

/* --- records -------------------------------------------------------------------------------------------------------- */

static size_t add_record(char *block, size_t at, unsigned type, const char *data, size_t n)
{
    uint8_t *p = (uint8_t *)block + at;
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

/* Every bit of a record: found, and found right; two wrong bits are not taken for one. */
static void test_one_bit(void **state)
{
    (void)state;
    char block[512] = {0};
    size_t first = add_record(block, 0, WAL_FULL, "one", 3), bit;
    size_t end = add_record(block, first, WAL_FULL, "another record, somewhat longer", 31);
    struct wal_record r;
    assert_int_equal(wal_record(str_n(block, end), first, &r), WAL_SOUND);
    assert_int_equal(wal_record(str_n(block, end), end, &r), WAL_END);
    for (size_t i = first * 8; i < end * 8; i++) {
        size_t other = i / 8 == first + 20 ? first + 21 : first + 20;
        block[i / 8] = (char)(block[i / 8] ^ 1 << i % 8);
        assert_int_not_equal(wal_record(str_n(block, end), first, &r), WAL_SOUND);
        assert_true(wal_wrong_bit(str_n(block, end), first, &bit));
        assert_int_equal(bit, i);
        block[other] ^= 0x41;
        assert_false(wal_wrong_bit(str_n(block, end), first, &bit));
        block[other] ^= 0x41;
        block[i / 8] = (char)(block[i / 8] ^ 1 << i % 8);
    }
    for (size_t n = first + 1; n < end; n++) /* torn */
        assert_false(wal_wrong_bit(str_n(block, n), first, &bit));
    assert_true(wal_next_sound(str_n(block, end), 1, &bit));
    assert_int_equal(bit, first);
}

struct seen {
    char text[256];
};
static void see_row(void *ctx, const struct wal_row *row)
{
    struct seen *s = ctx;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%d/%d %.*s=%.*s;", row->kind, row->space, STR_FMT(row->key),
             STR_FMT(row->value));
}

static void test_batches(void **state)
{
    (void)state;
#define HEAD "\0\0\0\0\0\0\0\0\1\0\0\0"
    static const struct {
        const char *bytes;
        size_t n;
        bool ok;
        const char *rows;
    } cases[] = {
        {HEAD, 12, true, ""},
        {HEAD "\x01\x01k\x02vw", 18, true, "0/0 k=vw;"},
        {HEAD "\x05\x01\x01k\x01v", 18, true, "0/1 k=v;"},
        {HEAD "\x04\x02\x01k", 16, true, "1/2 k=;"},
        {HEAD "\x00\x01k", 15, true, "1/0 k=;"},
        {HEAD "\x0e\x01\x01k\x01z", 18, true, "2/1 k=z;"},
        {HEAD "\x03\x02xy\x01\x01k\x01v", 21, true, "0/0 k=v;"}, /* log data, then a row */
        {HEAD "\x05\x03\x01k\x01v", 18, false, ""},              /* a space that is none */
        {HEAD "\x01\x05k", 15, false, ""},
        {HEAD "\x02\x01k\x01v", 17, false, ""},
        {HEAD, 11, false, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct seen s = {""};
        assert_int_equal(wal_batch_rows(str_n(cases[i].bytes, cases[i].n), see_row, &s), cases[i].ok);
        assert_string_equal(s.text, cases[i].rows);
    }
}

static void see_batch(void *ctx, struct str batch)
{
    struct seen *s = ctx;
    size_t n = strlen(s->text);
    snprintf(s->text + n, sizeof s->text - n, "%.*s;", STR_FMT(batch));
}

/* Batches over two blocks. harm: bytes that are changed (-1: none), bit by bit or whole. */
static void test_walk(void **state)
{
    (void)state;
    static const struct {
        int block, at, with;
        const char *batches;
    } cases[] = {
        {0, -1, 0, "one;two!;three;"},    {0, 8, 0x10, "one;two!;three;"}, /* single bits */
        {0, 18, 0x01, "one;two!;three;"}, {1, 7, 0x80, "one;two!;three;"}, {0, 8, 0x55, "two!;three;"},
        {0, 18, 0x55, "one;three;"},      {1, 7, 0x55, "one;three;"},      {1, 15, 0x55, "one;three;"},
        {1, 24, 0x55, "one;two!;"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char block[2][64] = {{0}};
        struct seen s = {""};
        struct wal_walk w;
        size_t n[2];
        n[0] = add_record(block[0], add_record(block[0], 0, WAL_FULL, "one", 3), WAL_FIRST, "tw", 2);
        n[1] = add_record(block[1], 0, WAL_MIDDLE, "o", 1);
        n[1] = add_record(block[1], add_record(block[1], n[1], WAL_LAST, "!", 1), WAL_FULL, "three", 5);
        if (cases[i].at >= 0)
            block[cases[i].block][cases[i].at] ^= (char)cases[i].with;
        wal_walk_init(&w, see_batch, &s);
        for (int k = 0; k < 2; k++)
            wal_walk_block(&w, block[k], n[k], 0);
        wal_walk_release(&w);
        if (strcmp(s.text, cases[i].batches) != 0)
            fail_msg("case %zu: %s", i, s.text);
    }
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

static void change(const char *path, off_t at, const char *bytes, size_t n)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static void find_file(const char *dir, const char *ending, char *out, size_t size)
{
    char command[600];
    snprintf(command, sizeof command, "ls -S %s/*%s | head -1", dir, ending);
    FILE *f = popen(command, "r");
    assert_non_null(fgets(out, (int)size, f));
    pclose(f);
    out[strcspn(out, "\n")] = 0;
}

static unsigned count_rows(struct kv *kv)
{
    unsigned n = 0;
    for (unsigned i = 0; i < 300; i++) {
        char key[16];
        struct kv_value v = {0};
        numbered_key(key, 'a', i);
        n += kv_get(kv, KV_DATA, str_c(key), 0, &v, NULL) == KV_FOUND;
        kv_value_release(&v);
    }
    return n;
}

static void count_batch(void *ctx, struct str batch)
{
    (void)batch;
    ++*(unsigned *)ctx;
}

static void rescue(struct fixture *f, struct kv_rescue *r)
{
    char work[512];
    struct err e = {0};
    snprintf(work, sizeof work, "%s.work", f->dir);
    if (!kv_rescue_open(r, f->dir, work, &e))
        fail_msg("%s", e.text);
}

/* A bit is set right; more is cut off, and what stands behind it is told. The store itself stays as it is. */
static void test_log(void **state)
{
    struct fixture *f = *state;
    struct kv_rescue r;
    char log[512], was[64], now[64];
    write_many(f->kv, 300);
    shut(f);
    find_file(f->dir, ".log", log, sizeof log);
    int fd = open(log, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, was, sizeof was, 100000), sizeof was);
    memcpy(now, was, sizeof now);
    now[7] ^= 16;
    change(log, 100000, now, sizeof now);
    rescue(f, &r);
    assert_false(r.cut);
    assert_non_null(strstr(r.mended, ".log at byte "));
    assert_int_equal(count_rows(r.kv), 300);
    kv_rescue_close(&r);
    memset(now, 0x5a, sizeof now);
    change(log, 100000, now, sizeof now);
    rescue(f, &r);
    assert_true(r.cut);
    unsigned n = count_rows(r.kv), behind = 0;
    assert_in_range(n, 1, 299);
    wal_read_from(f->dir, &r.at, &(struct wal_reader){count_batch, &behind});
    assert_in_range(behind, 1, 300);
    kv_rescue_close(&r);
    change(log, 100000, was, sizeof was);
    /* What a crash leaves is no damage. */
    off_t end = lseek(fd, 0, SEEK_END);
    change(log, end, "\1\2\3\4\5\0\1a record that is none", 28);
    rescue(f, &r);
    assert_false(r.cut || r.rebuilt || r.current || r.mended[0]);
    assert_int_equal(count_rows(r.kv), 300);
    kv_rescue_close(&r);
    assert_int_equal(lseek(fd, 0, SEEK_END), end + 28);
    snprintf(log, sizeof log, "%s.work", f->dir);
    assert_int_equal(access(log, F_OK), -1);
    close(fd);
    f->kv = kv_open(f->dir, NULL, NULL);
    assert_int_equal(count_rows(f->kv), 300);
}

/* Without its log a store is refused; what was written out is saved. */
static void test_no_log(void **state)
{
    struct fixture *f = *state;
    struct kv_rescue r;
    struct err e = {0};
    char log[512];
    write_many(f->kv, 300);
    reopen(f);
    shut(f);
    find_file(f->dir, ".log", log, sizeof log);
    assert_int_equal(unlink(log), 0);
    assert_null(kv_open(f->dir, NULL, &e));
    assert_non_null(strstr(e.text, "is missing"));
    rescue(f, &r);
    assert_true(r.missing && r.cut && !r.rebuilt);
    assert_int_equal(count_rows(r.kv), 300);
    kv_rescue_close(&r);
}

/* Logs go by their numbers, which grow longer than six digits. */
static void test_million(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"000016.log", "999999.log", "1000000.log", "1000001.log"};
    struct wal_damage from = {.file = "999999.log"};
    char path[512], bytes[64];
    unsigned behind = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", f->dir, names[i]);
        FILE *log = fopen(path, "w");
        size_t n = add_record(bytes, 0, WAL_FULL, "a batch", 7);
        assert_int_equal(fwrite(bytes, 1, n, log), n);
        fclose(log);
    }
    wal_read_from(f->dir, &from, &(struct wal_reader){count_batch, &behind});
    assert_int_equal(behind, 3);
    assert_int_equal(wal_number("000016.log"), 16);
    assert_int_equal(wal_number("LOG"), 0);
    assert_int_equal(wal_number("x.log"), 0);
}

static void keep_body(void *ctx, struct str key, struct str value)
{
    assert_true(key.n > 0 && value.n > 0);
    ++*(unsigned *)ctx;
}

static uint32_t masked(const void *p, size_t n)
{
    uint32_t crc = hash_crc32c(0, p, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static size_t add_body(char *file, size_t at, const char *key, const char *value, size_t n)
{
    uint64_t lengths[3] = {strlen(key), n, 0};
    char *p = file + at;
    memcpy(p, lengths, sizeof lengths); /* little-endian, as this machine is */
    memcpy(p + 32, key, lengths[0]);
    memcpy(p + 32 + lengths[0], value, n);
    memcpy(p + 24, &(uint32_t){masked(p, 24)}, 4);
    memcpy(p + 28, &(uint32_t){masked(p + 32, lengths[0] + n)}, 4);
    return at + 32 + lengths[0] + n;
}

static void last_of_key(void *ctx, struct str key, struct str value)
{
    if (str_eq(key, STR("victim")))
        snprintf(ctx, 16, "%.*s", STR_FMT(value));
}

/* A client's body that holds what looks like somebody else's is not taken for it, wherever it is met. */
static void test_forged_body(void **state)
{
    struct fixture *f = *state;
    for (int order = 0; order < 2; order++) {
        struct kv_rescue r = {.dir = f->dir};
        char inner[100], forged[400] = {0}, sound[400] = {0}, path[512], said[16] = "";
        size_t in = add_body(inner, 0, "victim", "forged", 6);
        size_t n = add_body(forged, 30, "mine", inner, in);
        n = add_body(forged, n, "after", "x", 1);
        forged[30] ^= 1;
        size_t m = add_body(sound, 30, "victim", "true", 4);
        snprintf(path, sizeof path, "%s/00000%d.blob", f->dir, 1 + order);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, forged, n), n);
        close(fd);
        snprintf(path, sizeof path, "%s/00000%d.blob", f->dir, 2 - order);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, sound, m), m);
        close(fd);
        kv_rescue_bodies(&r, last_of_key, said);
        assert_string_equal(said, "true");
    }
}

/* Without a MANIFEST the tables are put together again; bodies come out of the blob files. */
static void test_manifest(void **state)
{
    struct fixture *f = *state;
    struct kv_rescue r;
    char path[512];
    unsigned bodies = 0;
    write_many(f->kv, 300);
    reopen(f);
    write_many(f->kv, 1); /* and something in the log */
    shut(f);
    find_file(f->dir, "MANIFEST-*", path, sizeof path);
    change(path, 10, "\x5a\x5a\x5a\x5a\x5a\x5a\x5a\x5a", 8);
    assert_null(kv_open(f->dir, NULL, NULL));
    rescue(f, &r);
    assert_true(r.rebuilt);
    int64_t n[KV_COUNTERS];
    assert_true(kv_counters(r.kv, STR("n"), n, NULL));
    assert_int_equal(n[0], 301);
    kv_rescue_bodies(&r, keep_body, &bodies);
    assert_in_range(count_rows(r.kv) + bodies, 299, 10000);
    kv_rescue_close(&r);
    find_file(f->dir, "CURRENT", path, sizeof path);
    change(path, 0, "NONSENSE", 8);
    rescue(f, &r);
    kv_rescue_close(&r);
}

/* What is left of a MANIFEST may be a state, but one that is older than what there is. */
static void test_manifest_older(void **state)
{
    struct fixture *f = *state;
    char path[512], harm[600];
    struct stat st;
    write_many(f->kv, 300);
    reopen(f);
    write_many(f->kv, 1);
    shut(f);
    find_file(f->dir, "MANIFEST-*", path, sizeof path);
    assert_int_equal(stat(path, &st), 0);
    memset(harm, 0xa5, sizeof harm);
    for (off_t at = st.st_size - 16; at > 160; at -= 29) { /* in what the second opening wrote */
        struct kv_rescue r;
        int64_t n[KV_COUNTERS];
        change(path, at, harm, (size_t)(st.st_size - at));
        rescue(f, &r);
        if (!r.rebuilt || r.cut || !kv_counters(r.kv, STR("n"), n, NULL) || n[0] != 301)
            fail_msg("byte %ld: %ld of 301", (long)at, (long)n[0]);
        kv_rescue_close(&r);
    }
}

/* Nor one that names a table that is gone: what was made of it may be there. */
static void test_manifest_compacted(void **state)
{
    struct fixture *f = *state;
    struct kv_rescue r;
    char path[512], table[512], made[600];
    write_many(f->kv, 300);
    reopen(f);
    shut(f);
    find_file(f->dir, "MANIFEST-*", path, sizeof path);
    FILE *manifest = fopen(path, "a");
    fputs("an edit that is damaged", manifest);
    fclose(manifest);
    find_file(f->dir, ".sst", table, sizeof table);
    snprintf(made, sizeof made, "%s/000999.sst", f->dir);
    assert_int_equal(rename(table, made), 0);
    rescue(f, &r);
    assert_true(r.rebuilt);
    assert_counters(r.kv, "n", 300, 0);
    kv_rescue_close(&r);
}

/* --- past a damaged block ------------------------------------------------------------------------------------------- */

static bool put_rows(struct kv_txn *t, void *ctx)
{
    const unsigned *from = ctx;
    for (unsigned i = *from; i < *from + 1000; i++) {
        char key[16], value[100];
        snprintf(key, sizeof key, "k%06u", i);
        for (size_t k = 0; k < sizeof value; k++)
            value[k] = (char)(i * 31 + k * k);
        kv_txn_put(t, KV_META, str_c(key), str_n(value, sizeof value));
    }
    return true;
}

static void test_skip(void **state)
{
    struct fixture *f = *state;
    char table[512], last[16] = "k";
    for (unsigned i = 0; i < 10000; i += 1000)
        assert_int_equal(kv_commit_wait(f->kv, put_rows, &i, KV_PLAIN), KV_COMMITTED);
    reopen(f);
    shut(f);
    find_file(f->dir, ".sst", table, sizeof table);
    change(table, 200000, "ZZZZ", 4);
    change(table, 500000, "ZZZZ", 4);
    f->kv = kv_open(f->dir, NULL, NULL);
    unsigned rows = 0, gaps = 0;
    struct buf next;
    struct str key, value;
    buf_init(&next, 4096);
    buf_puts(&next, "k");
    bool more = true;
    while (more) {
        struct kv_scan *s = kv_scan_open(f->kv, KV_META, buf_view(&next), STR("l"));
        for (; kv_scan_next(s, &key, &value); rows++)
            snprintf(last, sizeof last, "%.*s", STR_FMT(key));
        more = kv_scan_failed(s, NULL);
        kv_scan_close(s);
        if (more && (gaps++, !kv_scan_skip(f->kv, KV_META, str_c(last), STR("l"), &next)))
            break;
    }
    buf_release(&next);
    assert_string_equal(last, "k009999");
    assert_in_range(gaps, 1, 4);
    assert_in_range(rows, 9700, 9999); /* a block has some 40 */
}

int main(void)
{
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) \
    { \
#t, t, setup_rocks, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_bit),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_walk),
        TEST(test_log),
        TEST(test_no_log),
        TEST(test_million),
        TEST(test_forged_body),
        TEST(test_manifest),
        TEST(test_manifest_older),
        TEST(test_manifest_compacted),
        TEST(test_skip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
