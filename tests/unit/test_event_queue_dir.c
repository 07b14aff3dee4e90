/* SPDX-License-Identifier: Apache-2.0
 *
 * The files that a MinIO left: parsing, order, a crash between commit and removal, what cannot be read. */
#include "sender_help.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD(key) \
    "{\"eventVersion\":\"2.0\",\"eventTime\":\"2026-02-01T10:20:30.123Z\",\"eventName\":\"s3:ObjectCreated:" \
    "Put\"," \
    "\"s3\":{\"bucket\":{\"name\":\"images\"},\"object\":{\"key\":\"" key "\"}}}"

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text, *key; /* NULL: refused */
    } cases[] = {
        {RECORD("a+b%2Fc%2Bd+%C3%BC.jpg"), "a b/c+d \xc3\xbc.jpg"},
        {"\n" RECORD("k") "\n", "k"},
        {RECORD(""), ""},
        {RECORD("k%"), NULL},
        {RECORD("k%00"), NULL},
        {"", NULL},
        {"  \n", NULL},
        {"null", NULL},
        {"[]", NULL},
        {RECORD("k") "x", NULL},
        {RECORD("k") RECORD("k"), NULL},
        {"{\"Records\":[" RECORD("k") "]}", NULL},
        {"{\"eventName\":1,\"s3\":{\"bucket\":{\"name\":\"b\"},\"object\":{\"key\":\"k\"}}}", NULL},
        {"{\"eventName\":\"s3:ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"\"},\"object\":{\"key\":"
         "\"k\"}}}",
         NULL},
        {"{\"eventName\":\"s3:ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},\"object\":{}}}", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct outbox_row row;
        arena_init(&a);
        bool ok = queue_dir_parse(&a, str_c(cases[i].text), &row);
        if (ok != (cases[i].key != NULL))
            fail_msg("%s", cases[i].text);
        if (ok) {
            assert_true(str_eq_c(row.key, cases[i].key));
            assert_true(str_eq(row.record, str_trim(str_c(cases[i].text))));
            assert_true(str_eq(row.name, STR("s3:ObjectCreated:Put")));
        }
        arena_release(&a);
    }
}

/* No key is so long; one that fills the file would be in the event twice, and in a closure that replays it four times. */
static void test_long_key(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct arena a;
        struct outbox_row row;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 1u << 20);
        buf_puts(&b, "{\"eventName\":\"s3:ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},\"object\":"
                     "{\"key\":\"");
        for (int k = 0; k < (i ? 200000 : 1024); k++)
            buf_char(&b, 'k');
        buf_puts(&b, "\"}}}");
        assert_int_equal(queue_dir_parse(&a, buf_view(&b), &row), i == 0);
        buf_release(&b);
        arena_release(&a);
    }
}

struct dir_bench {
    struct bench *b;
    char root[64], queue[96], folder[160];
};

static int setup(void **state)
{
    struct dir_bench *d = calloc(1, sizeof(*d));
    void *b;
    (void)bench_setup(&b);
    d->b = b;
    (void)snprintf(d->root, sizeof(d->root), "%.30s/belfry-queue-XXXXXX", temp_dir());
    assert_non_null(mkdtemp(d->root));
    (void)snprintf(d->queue, sizeof(d->queue), "%s/deep/queue", d->root);
    (void)snprintf(d->folder, sizeof(d->folder), "%s/minio-fake-t", d->queue);
    d->b->conf.queue_dir = d->queue;
    *state = d;
    return 0;
}

static void remove_all(const char *dir)
{
    char command[200];
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", dir);
    assert_int_equal(system(command), 0);
}

static int teardown(void **state)
{
    struct dir_bench *d = *state;
    remove_all(d->root);
    void *b = d->b;
    (void)bench_teardown(&b);
    free(d);
    return 0;
}

static void write_file(struct dir_bench *d, const char *name, const char *text, int64_t mtime_ns)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", d->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    struct timespec t[2] = {{.tv_sec = mtime_ns / 1000000000, .tv_nsec = mtime_ns % 1000000000}};
    t[1] = t[0];
    assert_int_equal(futimens(fd, t), 0);
    close(fd);
}

static bool is_there(struct dir_bench *d, const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", d->folder, name);
    return access(path, F_OK) == 0;
}

/* As at a start of the server. */
static void take(struct dir_bench *d)
{
    struct err e = {0};
    bench_stop(d->b);
    bench_start(d->b);
    if (!queue_dir_take(d->b->s, &e) || !sender_load(d->b->s, &e))
        fail_msg("%s", e.text);
}

static void make_folders(struct dir_bench *d)
{
    struct err e;
    assert_true(queue_dir_make(d->queue, &e));
    assert_true(queue_dir_make(d->queue, &e)); /* again is fine */
    assert_int_equal(mkdir(d->folder, 0770), 0);
}

static size_t taken_rows(struct dir_bench *d)
{
    struct kv_scan *scan = kv_scan_open(d->b->kv, KV_META, STR("f"), STR("g"));
    struct str key, value;
    size_t n = 0;
    while (kv_scan_next(scan, &key, &value))
        n++;
    kv_scan_close(scan);
    return n;
}

#define T0 INT64_C(1700000000000000000)

static void test_taken_in_order(void **state)
{
    struct dir_bench *d = *state;
    struct bench *b = d->b;
    make_folders(d);
    put(b, 9); /* queued by this server: later than all of them */
    for (int i = 0; i < 200; i++) {
        char name[32], text[300];
        (void)snprintf(name, sizeof(name), "%03d.event", (i * 77) % 200);
        (void)snprintf(text, sizeof(text), "%s", RECORD("k"));
        /* pairs share a time */
        write_file(d, name, text, T0 + (i * 77) % 200 / 2);
    }
    take(d);
    assert_int_equal(queued(b), 201);
    assert_int_equal(rows_with(b, 'q'), 201);
    assert_false(is_there(d, "000.event"));
    assert_false(is_there(d, "199.event"));
    /* the first row is the oldest file, the last one ours */
    struct row_key first = outbox_key(1, 0), end = outbox_key(2, 0);
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    uint64_t seq = 0, last = 0;
    assert_true(kv_scan_next(scan, &key, &value) && outbox_key_seq(key, &seq));
    assert_int_equal(seq, T0);
    while (kv_scan_next(scan, &key, &value))
        assert_true(outbox_key_seq(key, &last));
    assert_true(last > (uint64_t)T0 + 1000000000);
    kv_scan_close(scan);
    /* the names are forgotten when the files are gone */
    take(d);
    assert_int_equal(taken_rows(d), 0);
    assert_int_equal(queued(b), 201);
}

/* The server stops when this thread has looked at the clock so often. */
static struct {
    struct sender *s;
    int looks;
} stops;

static void stop_at_last_look(void)
{
    if (stops.looks-- == 0)
        sender_ask_stop(stops.s, now_ms() + 5000);
}

/* However many files there are, a stop ends it at the next one; what was not taken is, once, at the next start. */
static void test_stop(void **state)
{
    static const int looks[] = {0, 1, 10, 64, 70, 150};
    struct dir_bench *d = *state;
    struct bench *b = d->b;
    struct err e = {0};
    char name[32];
    int64_t before = 0;
    make_folders(d);
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        for (int k = 0; k < 200; k++) {
            (void)snprintf(name, sizeof(name), "%03d.event", k);
            write_file(d, name, RECORD("k"), T0 + ((int64_t)i * 1000 + k) * 1000);
        }
        bench_stop(b);
        bench_start(b);
        stops.s = b->s;
        stops.looks = looks[i];
        on_look = stop_at_last_look;
        bool ok = queue_dir_take(b->s, &e);
        on_look = NULL;
        assert_true(ok);
        int64_t taken = queued(b) - before;
        assert_int_equal(taken, looks[i]); /* one for each file */
        for (int k = 0; k < 200; k++) {
            (void)snprintf(name, sizeof(name), "%03d.event", k);
            assert_int_equal(is_there(d, name), k >= taken);
        }
        take(d);
        before += 200;
        assert_int_equal(queued(b), before);
        assert_int_equal(rows_with(b, 'q'), before);
        take(d);
        assert_int_equal(taken_rows(d), 0);
    }
}

/* After everything was delivered the cursor is ahead of the files: it comes back to them. */
static void test_cursor_comes_back(void **state)
{
    struct dir_bench *d = *state;
    struct bench *b = d->b;
    make_folders(d);
    put(b, 1);
    run_steps(b);
    assert_int_equal(queued(b), 0);
    write_file(d, "a.event", RECORD("k"), T0);
    take(d);
    assert_int_equal(queued(b), 1);
    assert_int_equal(b->s->cursor, T0);
}

/* A time to come must not hide what is queued meanwhile. */
static void test_future(void **state)
{
    struct dir_bench *d = *state;
    make_folders(d);
    write_file(d, "a.event", RECORD("k"), INT64_C(4000000000000000000));
    take(d);
    struct row_key first = outbox_key(1, 0), end = outbox_key(1, (uint64_t)INT64_C(3900000000000000000));
    struct kv_scan *scan = kv_scan_open(d->b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    assert_true(kv_scan_next(scan, &key, &value));
    kv_scan_close(scan);
}

static bool remember(struct kv_txn *t, void *ctx)
{
    kv_txn_put(t, KV_META, buf_view(ctx), STR("\0\0\0\0\0\0\0\1"));
    return true;
}

/* The file is there again, as after a crash between the commit and the removal. */
static void test_not_twice(void **state)
{
    struct dir_bench *d = *state;
    make_folders(d);
    write_file(d, "a.event", RECORD("k"), T0);
    bench_stop(d->b);
    bench_start(d->b);
    struct err e = {0};
    char kept[300], path[300];
    (void)snprintf(path, sizeof(path), "%s/a.event", d->folder);
    (void)snprintf(kept, sizeof(kept), "%s/kept", d->queue);
    assert_int_equal(link(path, kept), 0);
    assert_true(queue_dir_take(d->b->s, &e));
    assert_int_equal(rows_with(d->b, 'q'), 1);
    assert_int_equal(taken_rows(d), 0);
    /* put the memory back too: that is the state a crash leaves */
    assert_int_equal(rename(kept, path), 0);
    struct buf k;
    buf_init(&k, 64);
    taken_file_key(&k, 1, STR("a.event"));
    assert_int_equal(kv_commit_wait(d->b->kv, remember, &k, 0), KV_COMMITTED);
    buf_release(&k);
    take(d);
    assert_int_equal(rows_with(d->b, 'q'), 1);
    assert_int_equal(taken_rows(d), 0);
    assert_false(is_there(d, "a.event"));
}

/* All of one time and one key, behind rows that have their numbers already: the order of their names stays. */
static void test_order_within_a_time(void **state)
{
    struct dir_bench *d = *state;
    struct bench *b = d->b;
    make_folders(d);
    for (int start = 0; start < 2; start++) {
        for (int i = 0; i < 150; i++) {
            char name[32], text[400];
            (void)snprintf(name, sizeof(name), "%d-%03d.event", start, i);
            (void)snprintf(text, sizeof(text), "{\"n\":%d,%s", start * 150 + i, &RECORD("k")[1]);
            /* the second time: some begin where numbers are free, some where they are not */
            write_file(d, name, text, start == 0 || i < 75 ? T0 : T0 + 120);
        }
        take(d);
    }
    assert_int_equal(queued(b), 300);
    struct row_key first = outbox_key(1, 0), end = outbox_key(2, 0);
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    struct outbox_row row;
    for (int i = 0; kv_scan_next(scan, &key, &value); i++) {
        char want[24];
        (void)snprintf(want, sizeof(want), "{\"n\":%d,", i);
        assert_true(outbox_row_decode(value, &row));
        if (!str_starts(row.record, str_c(want)))
            fail_msg("row %d is %.*s", i, 12, row.record.p);
    }
    kv_scan_close(scan);
}

/* Rows that are long count for the limits of a closure when a file looks for a free number. */
static void test_long_files_of_one_time(void **state)
{
    struct dir_bench *d = *state;
    struct buf text;
    make_folders(d);
    buf_init(&text, 256u << 10);
    buf_puts(&text, "{\"long\":\"");
    for (int i = 0; i < 250000; i++)
        buf_char(&text, 'x');
    buf_printf(&text, "\",%s%c", &RECORD("k")[1], 0);
    assert_false(text.failed);
    for (int start = 0; start < 2; start++) {
        for (int i = 0; i < 6; i++) {
            char name[32];
            (void)snprintf(name, sizeof(name), "%d-%03d.event", start, i);
            write_file(d, name, text.p, T0);
        }
        take(d);
    }
    assert_int_equal(queued(d->b), 12);
    buf_release(&text);
}

/* The number of a dead letter is its own: a file of the same time must not become the same one. */
static void test_number_of_a_dead_letter(void **state)
{
    struct dir_bench *d = *state;
    struct bench *b = d->b;
    make_folders(d);
    b->fake.answer = answer_by_key;
    b->fake.key_answer[3] = SEND_REJECT;
    for (int i = 0; i < 2; i++) {
        char text[400];
        (void)snprintf(text, sizeof(text), "{\"n\":%d,%s", i, &RECORD("k3")[1]);
        write_file(d, i ? "b.event" : "a.event", text, T0);
        take(d);
        run_steps(b);
    }
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 2);
}

/* A folder that cannot be looked into may hold its files still: that they were taken in is not forgotten. */
static void test_folder_that_cannot_be_read(void **state)
{
    struct dir_bench *d = *state;
    struct err e = {0};
    struct buf k;
    assert_true(queue_dir_make(d->queue, &e));
    close(open(d->folder, O_CREAT | O_WRONLY, 0600));
    buf_init(&k, 64);
    taken_file_key(&k, 1, STR("a.event"));
    assert_int_equal(kv_commit_wait(d->b->kv, remember, &k, 0), KV_COMMITTED);
    buf_release(&k);
    take(d);
    assert_int_equal(taken_rows(d), 1);
    assert_int_equal(unlink(d->folder), 0);
    take(d);
    assert_int_equal(taken_rows(d), 0);
}

static void test_unreadable_stays(void **state)
{
    struct dir_bench *d = *state;
    make_folders(d);
    write_file(d, "empty.event", "", T0);
    write_file(d, "torn.event", "{\"eventName\":", T0);
    write_file(d, "3:batch.event.snappy", "binary", T0);
    write_file(d, "other.txt", RECORD("k"), T0);
    write_file(d, "good.event", RECORD("k"), T0);
    take(d);
    assert_int_equal(queued(d->b), 1);
    assert_true(is_there(d, "empty.event") && is_there(d, "torn.event") &&
                is_there(d, "3:batch.event.snappy"));
    assert_true(is_there(d, "other.txt"));
    assert_false(is_there(d, "good.event"));
}

static void test_folders(void **state)
{
    struct dir_bench *d = *state;
    struct err e = {0};
    char path[200];
    take(d); /* nothing there: fine */
    assert_true(queue_dir_make(d->queue, &e));
    struct stat st;
    assert_int_equal(stat(d->queue, &st), 0);
    (void)snprintf(path, sizeof(path), "%s/file", d->root);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_false(queue_dir_make(path, &e));
    (void)snprintf(path, sizeof(path), "%s/file/below", d->root);
    assert_false(queue_dir_make(path, &e));
    assert_true(e.text[0]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_long_key),
        CASE(test_taken_in_order),
        CASE(test_stop),
        CASE(test_cursor_comes_back),
        CASE(test_future),
        CASE(test_not_twice),
        CASE(test_unreadable_stays),
        CASE(test_folders),
        CASE(test_order_within_a_time),
        CASE(test_long_files_of_one_time),
        CASE(test_number_of_a_dead_letter),
        CASE(test_folder_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
