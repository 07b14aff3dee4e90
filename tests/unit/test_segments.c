/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: lines and rows; a backlog that moves into files and comes back, in order, whatever happens to the files. */
#include "sender_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS  10
#define KEEP  20
#define AFTER 1000

/* --- lines and rows ----------------------------------------------------------------------------------------------- */

static const struct segment_id ID = {.first = 100, .last = 2000, .id = 0x1234};

static struct str one_line(struct buf *b, uint32_t n, uint64_t seq, const struct outbox_row *row)
{
    buf_init(b, 1u << 20);
    segment_line(b, &ID, n, seq, row);
    assert_false(b->failed);
    assert_int_equal(b->p[b->len - 1], '\n');
    return str_n(b->p, b->len - 1);
}

static const struct {
    struct str name, bucket, key, record, read_back;
    bool stale;
    uint32_t attempts;
} lines[] = {
    {STR("s3:ObjectCreated:Put"), STR("b"), STR("k"), STR("{}"), STR("{}"), false, 0},
    {STR("s3:ObjectRemoved:Delete"), STR("b.c-d"), STR("a b/\"c\"\\\n\r\x01\xff+%41:\xc3\xa9"),
     STR("{\"a\":\"}\\n\"}"), STR("{\"a\":\"}\\n\"}"), true, 4000000000u},
    {STR("odd \"name\""), STR("B:u,c"), STR(""), STR("{\n \"a\": 1\r\n}"), STR("{  \"a\": 1  }"), false, 7},
};

static void test_lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct outbox_row row = {.stale = lines[i].stale,
                                 .attempts = lines[i].attempts,
                                 .name = lines[i].name,
                                 .bucket = lines[i].bucket,
                                 .key = lines[i].key,
                                 .record = lines[i].record};
        struct buf b;
        struct arena a;
        struct segment_line l;
        struct str line = one_line(&b, (uint32_t)i, 150 + i, &row);
        assert_true(str_chr(line, '\n') < 0);
        arena_init(&a);
        assert_true(segment_line_parse(line, &ID, &a, &l));
        assert_int_equal(l.n, i);
        assert_int_equal(l.seq, 150 + i);
        assert_int_equal(l.row.stale, row.stale);
        assert_int_equal(l.row.attempts, row.attempts);
        assert_true(str_eq(l.row.name, row.name) && str_eq(l.row.bucket, row.bucket) &&
                    str_eq(l.row.key, row.key));
        assert_true(str_eq(l.row.record, lines[i].read_back));
        /* of another segment, it is no event */
        assert_false(segment_line_parse(line, &(struct segment_id){100, 2000, 0x1235}, &a, &l));
        assert_false(segment_line_parse(line, &(struct segment_id){101, 2000, 0x1234}, &a, &l));
        arena_release(&a);
        buf_release(&b);
    }
}

/* No bit may flip, and nothing be cut, without being seen; the checksum itself may be written in capitals. */
static void test_flips(void **state)
{
    (void)state;
    struct outbox_row row = {
        .name = STR("s3:ObjectCreated:Put"), .bucket = STR("b"), .key = STR("k"), .record = STR("{\"a\":1}")};
    struct buf b;
    struct arena a;
    struct segment_line l;
    struct str line = one_line(&b, 3, 150, &row);
    arena_init(&a);
    for (size_t i = 0; i < line.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
            if (segment_line_parse(line, &ID, &a, &l))
                assert_true(i >= 8 && i < 16 && bit == 5);
            b.p[i] = (char)(b.p[i] ^ 1 << bit);
        }
        assert_false(segment_line_parse(str_head(line, i), &ID, &a, &l));
    }
    assert_true(segment_line_parse(line, &ID, &a, &l));
    arena_release(&a);
    buf_release(&b);
    /* a number that is not in it */
    line = one_line(&b, 3, 2001, &row);
    assert_false(segment_line_parse(line, &ID, &a, &l));
    arena_release(&a);
    buf_release(&b);
}

static void test_rows(void **state)
{
    (void)state;
    char done[2] = {1, 2};
    struct segment_row row = {ID, 12, 10, 5000, STR("/q/f.jsonl"), str_n(done, 2)}, out;
    struct buf b;
    buf_init(&b, 4096);
    segment_row_encode(&row, &b);
    assert_true(segment_row_is(buf_view(&b)));
    assert_true(segment_row_decode(buf_view(&b), 100, &out));
    assert_memory_equal(&out.is, &row.is, sizeof(out.is));
    assert_int_equal(out.count, 12);
    assert_int_equal(out.left, 10);
    assert_int_equal(out.bytes, 5000);
    assert_true(str_eq(out.path, row.path) && str_eq(out.done, row.done));
    for (size_t n = 0; n < b.len; n++)
        assert_false(segment_row_decode(str_head(buf_view(&b), n), 100, &out));
    assert_false(segment_row_decode(buf_view(&b), 2001, &out)); /* begins behind its end */
    buf_reset(&b);
    outbox_row_encode(&(struct outbox_row){.name = STR("n")}, &b);
    assert_false(segment_row_is(buf_view(&b)));
    buf_release(&b);
}

/* --- a sender with a queue_dir ------------------------------------------------------------------------------------ */

struct files {
    struct bench *b;
    char dir[64], folder[128];
};

static void begin(struct files *f)
{
    bench_start(f->b);
    f->b->s->limits = (struct segment_limits){.rows = ROWS, .keep = KEEP, .after_ms = AFTER};
}

static void restart(struct files *f)
{
    struct err e = {0};
    bench_stop(f->b);
    begin(f);
    assert_true(segments_clean_start(f->b->s, &e));
}

static int setup(void **state)
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
static size_t each_file(const struct files *f, void (*fn)(const char *path))
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

static void remove_path(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static int teardown(void **state)
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

static int64_t in_files(struct bench *b)
{
    int64_t n[KV_COUNTERS];
    struct row_key k = segment_counter_key(1);
    assert_true(sender_settled(b->s) && kv_counters(b->kv, row_key_str(&k), n, NULL));
    return n[0];
}

static int64_t lost(struct bench *b)
{
    int64_t n[KV_COUNTERS];
    struct row_key k = segment_lost_key(1);
    assert_true(sender_settled(b->s) && kv_counters(b->kv, row_key_str(&k), n, NULL));
    return n[0];
}

static size_t findings;
static void finding(void *ctx, const char *text)
{
    (void)ctx;
    findings++;
    if (!strstr(text, "lost"))
        print_message("%s\n", text);
}
static size_t check(struct bench *b)
{
    findings = 0;
    assert_true(sender_settled(b->s));
    segments_check(b->kv, finding, NULL);
    return findings;
}

static size_t named_files(struct bench *b)
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
static void backlog(struct files *f, unsigned n, unsigned keys)
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
static void all_well(struct files *f, unsigned n)
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

static void test_there_and_back(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 2000, 7);
    /* all but the window, the newest, and less than a segment */
    assert_int_equal(in_files(b), 2000 - KEEP);
    assert_int_equal(each_file(f, NULL), 198);
    assert_int_equal(rows_with(b, 'q'), KEEP + 198);
    struct stat st;
    assert_int_equal(stat(f->folder, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    for (unsigned i = 0; i < 5; i++)
        put(b, i % 7);
    run_for(b, 60000);
    all_well(f, 2005);
}

static void test_not_yet(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    b->fake.down = true;
    for (unsigned i = 0; i < 500; i++)
        put(b, i % 7);
    run_for(b, AFTER / 2);
    assert_int_equal(in_files(b), 0);
    b->fake.down = false;
    run_for(b, 60000);
    assert_int_equal(queued(b), 0);
    /* few events stay where they are, however long it lasts; and so does all without a queue_dir */
    b->fake.down = true;
    for (unsigned i = 0; i < WINDOW_EVENTS + KEEP + ROWS - 1; i++)
        put(b, i % 7);
    run_for(b, 600000);
    assert_int_equal(in_files(b), 0);
    b->conf.queue_dir = NULL;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 7);
    run_for(b, 600000);
    assert_int_equal(in_files(b), 0);
}

/* Whenever it ends, the next process goes on where it was: nothing twice, nothing left out. */
static void test_restarts(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    restart(f);
    for (int i = 0; i < 2000 && queued(b) > 0; i++) {
        for (int k = 0; k < i % 4; k++)
            (void)sender_step(b->s, now_ms());
        assert_int_equal(check(b), 0);
        restart(f);
    }
    run_for(b, 60000);
    all_well(f, 1000);
}

/* It goes down again in the middle: what is read stays, more moves. */
static void test_again(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    while (b->fake.n_sent < 100) {
        advance(1000);
        (void)sender_step(b->s, now_ms());
    }
    assert_true(queued(b) > 500);
    b->fake.down = true;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(check(b), 0);
    b->fake.down = false;
    run_for(b, 60000);
    (void)check_order(&b->fake);
    assert_int_equal(queued(b), 0);
    assert_int_equal(each_file(f, NULL), 0);
}

/* Keys that fail wait in lanes while the rest of all segments goes through; the last of them go afterwards. */
static void test_lanes(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 || k == 4 ? SEND_RETRY : SEND_OK;
    run_for(b, 60000);
    assert_int_equal(queued(b), 200);
    assert_true(in_files(b) > 100);
    assert_int_equal(check(b), 0);
    b->fake.key_answer[3] = SEND_OK;
    run_for(b, 120000);
    assert_int_equal(queued(b), 100);
    restart(f);
    b->fake.key_answer[4] = SEND_OK;
    run_for(b, 120000);
    all_well(f, 1000);
}

/* What is refused for good becomes a dead letter, out of a segment too. */
static void test_dead_letters(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 600, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 ? SEND_REJECT : SEND_OK;
    run_for(b, 60000);
    all_well(f, 540);
    assert_int_equal(rows_with(b, 'd'), 60);
}

/* --- damage ------------------------------------------------------------------------------------------------------- */

static void flip(const char *path)
{
    char text[65536];
    int fd = open(path, O_RDWR);
    ssize_t n = read(fd, text, sizeof(text));
    assert_true(fd >= 0 && n > 100);
    text[n / 2] ^= 1;
    assert_int_equal(pwrite(fd, text, (size_t)n, 0), n);
    (void)close(fd);
}

static void cut(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
}

static void no_header(const char *path)
{
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "XX", 2, 3), 2);
    (void)close(fd);
}

static void doubled(const char *path)
{
    char text[65536];
    int fd = open(path, O_RDWR | O_APPEND);
    ssize_t n = read(fd, text, sizeof(text));
    assert_true(n > 0 && write(fd, "\n\n", 2) == 2 && write(fd, text, (size_t)n) == n);
    (void)close(fd);
}

static void test_damage(void **state)
{
    static const struct {
        void (*harm)(const char *path);
        int lost_least, lost_most; /* of 24 files with 10 events */
        size_t findings;
    } cases[] = {{flip, 24, 24, 24},
                 {cut, 24 * 4, 24 * 7, 24},
                 {remove_path, 240, 240, 24},
                 {no_header, 0, 0, 24},
                 {doubled, 0, 0, 0}};
    struct files *f = *state;
    struct bench *b = f->b;
    int64_t before = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        backlog(f, KEEP + 240, 5);
        assert_int_equal(each_file(f, cases[i].harm), 24);
        assert_int_equal(check(b), cases[i].findings);
        run_for(b, 60000);
        int64_t n = lost(b) - before;
        print_message("case %zu: %lld lost\n", i, (long long)n);
        assert_in_range(n, cases[i].lost_least, cases[i].lost_most);
        all_well(f, (unsigned)(KEEP + 240 - n));
        assert_int_equal(b->s->status, TARGET_ONLINE);
        assert_true(n == 0 || strstr(b->s->last_error, "lost"));
        b->s->last_error[0] = 0;
        before += n;
    }
}

/* What the log says meanwhile, malloc'd. */
static char *said_while_it_runs(struct bench *b, int64_t ms)
{
    FILE *t = tmpfile();
    int before = dup(STDERR_FILENO);
    assert_true(t && before >= 0 && dup2(fileno(t), STDERR_FILENO) >= 0);
    run_for(b, ms);
    assert_true(dup2(before, STDERR_FILENO) >= 0);
    (void)close(before);
    char *text = calloc(1, 1u << 20);
    rewind(t);
    assert_true(fread(text, 1, (1u << 20) - 1, t) > 0);
    (void)fclose(t);
    return text;
}

/* A folder that is away is a disk that is away: the target waits for it. */
static void test_folder_away(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    char away[140];
    (void)snprintf(away, sizeof(away), "%s.away", f->folder);
    backlog(f, 1000, 9);
    restart(f);
    assert_int_equal(rename(f->folder, away), 0);
    char *text = said_while_it_runs(b, 120000);
    assert_non_null(strstr(text, "is its disk mounted?"));
    assert_null(strstr(text, "salvage")); /* which is of no use there */
    free(text);
    assert_int_equal(b->fake.n_sent, 0);
    assert_int_equal(b->s->status, TARGET_OFFLINE);
    assert_non_null(strstr(b->s->reason, "mounted"));
    /* nor is it made again for more of them, which would say that those are given up */
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(access(f->folder, F_OK), -1);
    assert_int_equal(rename(away, f->folder), 0);
    run_for(b, 120000);
    assert_int_equal(lost(b), 0);
    all_well(f, 1100);
}

static void test_given_up(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    int64_t n = in_files(b);
    (void)each_file(f, remove_path);
    run_for(b, 120000);
    assert_int_equal(lost(b), n);
    all_well(f, (unsigned)(1000 - n));
}

/* Its folder was away, and then what was in it is given up: nothing is left to be sent, and nothing is wrong any more. */
static void test_all_given_up(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    restart(f);
    b->s->limits.keep = 0;
    b->fake.down = true;
    for (unsigned i = 0; i < 100; i++)
        assert_true(put(b, i % 9));
    run_for(b, 120000);
    assert_int_equal(in_files(b), 100);
    restart(f);
    b->fake.down = false;
    (void)each_file(f, remove_path);
    assert_int_equal(rmdir(f->folder), 0);
    run_for(b, 120000);
    assert_int_equal(b->s->status, TARGET_OFFLINE);
    assert_int_equal(mkdir(f->folder, 0700), 0);
    run_for(b, 120000);
    assert_int_equal(lost(b), 100);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_string_equal(b->s->reason, "");
    all_well(f, 0);
}

/* However many events are lost at once, they are taken out of the rows as they are found. */
static void test_many_given_up(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 6000, 9);
    int64_t n = in_files(b);
    (void)each_file(f, remove_path);
    run_for(b, 120000);
    assert_int_equal(lost(b), n);
    assert_true(b->s->cap_out <= 4096);
    all_well(f, (unsigned)(6000 - n));
}

/* A folder of which nothing is left is made again: there is nothing in it to be missed. */
static void test_folder_made_again(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    run_for(b, 120000);
    all_well(f, 1000);
    assert_int_equal(rmdir(f->folder), 0);
    b->fake.down = true;
    for (unsigned i = 0; i < WINDOW_EVENTS + 1000; i++) /* what is in memory stays there */
        assert_true(put(b, i % 9));
    run_for(b, 120000);
    assert_true(in_files(b) > 500);
    b->fake.down = false;
    run_for(b, 120000);
    all_well(f, WINDOW_EVENTS + 2000);
}

/* A line that is good by its sum, and larger than any row: somebody made it. */
static void make_huge(const char *path)
{
    struct segment_id is;
    struct buf b, record;
    struct outbox_row row = {.name = STR("s3:ObjectCreated:Put"), .bucket = STR("b"), .key = STR("k")};
    assert_int_equal(sscanf(strrchr(path, '/') + 1, "%16lx-%16lx-%16lx", &is.first, &is.last, &is.id), 3);
    buf_init(&record, 8u << 20);
    buf_init(&b, 8u << 20);
    buf_puts(&record, "{\"a\":\"");
    memset(buf_reserve(&record, 2u << 20), 'x', 2u << 20);
    record.len += 2u << 20;
    buf_puts(&record, "\"}");
    row.record = buf_view(&record);
    segment_line(&b, &is, 0, is.first, &row);
    assert_false(b.failed);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(b.p, 1, b.len, file), b.len);
    assert_int_equal(fclose(file), 0);
    buf_release(&b);
    buf_release(&record);
}

static void test_huge_line(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 9);
    int64_t n = in_files(b);
    (void)each_file(f, make_huge);
    run_for(b, 120000);
    assert_int_equal(lost(b), n);
    all_well(f, (unsigned)(1000 - n));
}

/* A file that is removed while keys of it wait in lanes. */
static void test_removed_in_use(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 ? SEND_RETRY : SEND_OK;
    run_for(b, 60000);
    assert_int_equal(queued(b), 100);
    int64_t n = in_files(b);
    (void)each_file(f, remove_path);
    b->fake.key_answer[3] = SEND_OK;
    run_for(b, 120000);
    assert_true(lost(b) >= n - 1); /* the first of the lane is in memory */
    all_well(f, (unsigned)(1000 - lost(b)));
}

/* Somebody takes a line out of a file in use, so that others of the same length stand where their neighbours were. */
static void without_third_line(const char *path)
{
    char text[65536], *line = text;
    int fd = open(path, O_RDWR);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(fd >= 0 && n > 100);
    text[n] = 0;
    for (int i = 0; i < 2; i++)
        line = strchr(line, '\n') + 1;
    char *next = strchr(line, '\n') + 1;
    size_t rest = (size_t)(text + n - next);
    assert_int_equal(pwrite(fd, next, rest, line - text), rest);
    assert_int_equal(ftruncate(fd, (line - text) + (off_t)rest), 0);
    (void)close(fd);
}

static void test_moved_in_use(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    backlog(f, 1000, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 ? SEND_RETRY : SEND_OK;
    run_for(b, 60000);
    assert_int_equal(queued(b), 100);
    (void)each_file(f, without_third_line);
    size_t before = b->fake.n_sent;
    b->fake.key_answer[3] = SEND_OK;
    run_for(b, 120000);
    for (size_t i = before; i < b->fake.n_sent; i++)
        assert_int_equal(b->fake.sent[i].key, 3); /* the others were delivered */
    assert_true(lost(b) > 0);
    all_well(f, (unsigned)(1000 - lost(b)));
}

/* The row of each names its file; of many at once more than fits in one write. */
static void make_long(struct files *f, char path[4000], bool make)
{
    char *slash = path + snprintf(path, 4000, "%s", f->dir);
    for (int i = 0; i < 14; i++) {
        slash += snprintf(slash, 260, "/%0248d", i);
        if (make)
            assert_int_equal(mkdir(path, 0700), 0);
    }
    for (; !make && slash > path + strlen(f->dir); *slash = 0) {
        assert_int_equal(rmdir(path), 0);
        slash = strrchr(path, '/');
    }
}

static void test_long_names(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    char path[4000];
    make_long(f, path, true);
    b->conf.queue_dir = path;
    backlog(f, 4000, 10);
    b->fake.answer = answer_by_key;
    for (unsigned k = 0; k < 10; k++)
        b->fake.key_answer[k] = k == 3 ? SEND_RETRY : SEND_OK;
    run_for(b, 60000);
    assert_int_equal(queued(b), 400);
    (void)snprintf(f->folder, sizeof(f->folder), "%s", "/");
    char *folder = malloc(5000);
    (void)snprintf(folder, 5000, "%s/belfry-fake-t", path);
    DIR *d = opendir(folder);
    for (struct dirent *x; (x = readdir(d));)
        if (x->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(d), x->d_name, 0), 0);
    (void)closedir(d);
    b->fake.key_answer[3] = SEND_OK;
    run_for(b, 120000);
    assert_true(lost(b) > 300);
    assert_int_equal(queued(b), 0);
    assert_int_equal(in_files(b), 0);
    assert_int_equal(named_files(b), 0);
    assert_int_equal(rmdir(folder), 0);
    free(folder);
    make_long(f, path, false);
    (void)snprintf(f->folder, sizeof(f->folder), "%s/belfry-fake-t", f->dir);
    b->conf.queue_dir = f->dir;
}

/* --- disks -------------------------------------------------------------------------------------------------------- */

static void test_cannot_write(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    int fd = open(f->folder, O_CREAT | O_WRONLY, 0600); /* a file where the folder should be */
    (void)close(fd);
    b->fake.down = true;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(in_files(b), 0);
    assert_int_equal(queued(b), 1000);
    assert_int_equal(named_files(b), 0);
    assert_int_equal(unlink(f->folder), 0);
    run_for(b, 120000); /* moves as soon as it can */
    assert_true(in_files(b) > 0);
    b->fake.down = false;
    b->fake.n_sent = 0;
    run_for(b, 60000);
    all_well(f, 1000);
}

static void test_reserve(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    atomic_store(&b->delivery.disk_reserve, INT64_MAX / 2);
    b->fake.down = true;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % 9);
    run_for(b, 120000);
    assert_int_equal(in_files(b), 0);
    assert_int_equal(each_file(f, NULL), 0);
    b->fake.down = false;
    b->fake.n_sent = 0;
    run_for(b, 60000);
    all_well(f, 1000);
}

/* A file of MinIO's whose time lies within a segment comes behind it: the segment's events stand together. */
static void test_taken_in(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    struct err e = {0};
    struct segment_row row;
    char minio[200], path[220];
    static const char record[] =
        "{\"n\":9999,\"eventName\":\"s3:ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},"
        "\"object\":{\"key\":\"k63\"}}}";
    backlog(f, KEEP + 30, 5);
    struct row_key first = outbox_key(1, 0), end = outbox_key(2, 0);
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    uint64_t seq = 0;
    assert_true(kv_scan_next(scan, &key, &value) && outbox_key_seq(key, &seq));
    assert_true(segment_row_decode(value, seq, &row));
    uint64_t last = row.is.last;
    kv_scan_close(scan);

    (void)snprintf(minio, sizeof(minio), "%s/minio-fake-t", f->dir);
    (void)snprintf(path, sizeof(path), "%s/a.event", minio);
    assert_int_equal(mkdir(minio, 0700), 0);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, record, sizeof(record) - 1), sizeof(record) - 1);
    struct timespec at = {(time_t)((seq + 1) / 1000000000), (long)((seq + 1) % 1000000000)};
    assert_int_equal(futimens(fd, (struct timespec[]){at, at}), 0);
    (void)close(fd);
    assert_true(queue_dir_take(b->s, &e));
    assert_int_equal(rmdir(minio), 0);
    struct kv_value v = {0};
    struct row_key k = outbox_key(1, last + 1);
    assert_int_equal(kv_get(b->kv, KV_QUEUE, row_key_str(&k), 0, &v, &e), KV_FOUND);
    kv_value_release(&v);
    restart(f);
    run_for(b, 60000);
    assert_int_equal(b->fake.n_sent, KEEP + 31);
    assert_int_equal(queued(b), 0);
    assert_int_equal(check(b), 0);
}

struct counting {
    struct row_key key;
    int64_t by[KV_COUNTERS];
};
static bool count_txn(struct kv_txn *t, void *ctx)
{
    struct counting *c = ctx;
    kv_txn_add(t, row_key_str(&c->key), c->by);
    return true;
}

/* Counters of a queue without rows, and of one that never had any, are looked at, too. */
static void test_counters(void **state)
{
    struct files *f = *state;
    struct bench *b = f->b;
    struct counting cases[] = {{outbox_counter_key(1), {3, 100}}, {outbox_counter_key(1), {0, 1}},
                               {segment_counter_key(1), {0, 1}},  {segment_counter_key(1), {5, 0}},
                               {outbox_counter_key(7), {1, 50}},  {segment_counter_key(7), {1, 1}}};
    backlog(f, 200, 9);
    for (int empty = 0; empty < 2; empty++) {
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            assert_int_equal(kv_commit_wait(b->kv, count_txn, &cases[i], 0), KV_COMMITTED);
            assert_int_equal(check(b), 1);
            for (size_t k = 0; k < KV_COUNTERS; k++)
                cases[i].by[k] = -cases[i].by[k];
            assert_int_equal(kv_commit_wait(b->kv, count_txn, &cases[i], 0), KV_COMMITTED);
            assert_int_equal(check(b), 0);
        }
        run_for(b, 60000);
    }
    all_well(f, 200);
}

struct naming {
    const char *path;
};
static bool name_txn(struct kv_txn *t, void *ctx)
{
    const struct naming *n = ctx;
    struct row_key k = segment_file_key(1, 77);
    kv_txn_put(t, KV_META, row_key_str(&k), str_c(n->path));
    return true;
}

/* What a process left that was killed: a file without events, named by a row. Its folder may be away. */
static void test_left_behind(void **state)
{
    struct files *f = *state;
    struct err e = {0};
    char path[200];
    struct naming n = {path};
    assert_int_equal(mkdir(f->folder, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/half.jsonl", f->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    assert_int_equal(kv_commit_wait(f->b->kv, name_txn, &n, 0), KV_COMMITTED);
    assert_true(segments_clean_start(f->b->s, &e));
    assert_int_equal(each_file(f, NULL), 0);
    assert_int_equal(named_files(f->b), 0);
    (void)snprintf(path, sizeof(path), "%s/away/half.jsonl", f->folder);
    assert_int_equal(kv_commit_wait(f->b->kv, name_txn, &n, 0), KV_COMMITTED);
    assert_true(segments_clean_start(f->b->s, &e));
    assert_int_equal(named_files(f->b), 1);
}

int main(void)
{
#define WITH_FILES(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),    cmocka_unit_test(test_flips),   cmocka_unit_test(test_rows),
        WITH_FILES(test_there_and_back), WITH_FILES(test_not_yet),       WITH_FILES(test_restarts),
        WITH_FILES(test_again),          WITH_FILES(test_lanes),         WITH_FILES(test_dead_letters),
        WITH_FILES(test_damage),         WITH_FILES(test_folder_away),   WITH_FILES(test_given_up),
        WITH_FILES(test_removed_in_use), WITH_FILES(test_cannot_write),  WITH_FILES(test_reserve),
        WITH_FILES(test_left_behind),    WITH_FILES(test_taken_in),      WITH_FILES(test_all_given_up),
        WITH_FILES(test_huge_line),      WITH_FILES(test_many_given_up), WITH_FILES(test_folder_made_again),
        WITH_FILES(test_moved_in_use),   WITH_FILES(test_long_names),    WITH_FILES(test_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
