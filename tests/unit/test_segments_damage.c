/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments whose files are damaged, changed, away or gone: what cannot be read is lost and counted, and the rest is delivered, in
 * order. */
#include "segments_help.h"

#include <fcntl.h>
#include <sys/stat.h>

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

/* --- away, or given up -------------------------------------------------------------------------------------------- */

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

/* --- lines that are not ours, and files changed in use ------------------------------------------------------------ */

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

/* --- many long names ---------------------------------------------------------------------------------------------- */

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

int main(void)
{
#define WITH_FILES(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FILES(test_damage),         WITH_FILES(test_folder_away),       WITH_FILES(test_given_up),
        WITH_FILES(test_removed_in_use), WITH_FILES(test_all_given_up),      WITH_FILES(test_huge_line),
        WITH_FILES(test_many_given_up),  WITH_FILES(test_folder_made_again), WITH_FILES(test_moved_in_use),
        WITH_FILES(test_long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
