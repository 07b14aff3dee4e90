/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check --salvage, and what check says of rows that do not fit: each finding is a change of the rows, and the line that
 * must be there. */
#include "store_help.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "queue_help.h"
#include "store/check.h"

/* --- running it --------------------------------------------------------------------------------------------------- */

struct said {
    char out[32768];
    struct err e;
    bool ok, done;
};

static void salvage(struct fixture *f, bool dry, struct said *s)
{
    char file[80];

    *s = (struct said){.ok = false};
    snprintf(file, sizeof file, "%s.out", f->dir);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), to = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(saved >= 0 && to >= 0 && dup2(to, STDOUT_FILENO) >= 0);
    s->ok = store_salvage(f->dir, dry, &queue_events, &s->done, &s->e);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    assert_true(pread(to, s->out, sizeof s->out - 1, 0) >= 0);
    close(to);
    unlink(file);
    if (!s->done)
        fail_msg("%s", s->e.text);
}

static void assert_said(const struct said *s, const char *words)
{
    if (!strstr(s->out, words))
        fail_msg("'%s' is not in '%s'", words, s->out);
}

static void shut(struct fixture *f)
{
    store_close(f->store);
    f->store = NULL;
}

static void start(struct fixture *f)
{
    struct err e = {0};
    f->store = store_open(f->dir, &f->options, &e);
    if (!f->store)
        fail_msg("%s", e.text);
}

/* --- rows ----------------------------------------------------------------------------------------------------------- */

struct rows {
    uint64_t bucket;
    const char *what;
};

/* A target with three events and a dead letter, and right counters. */
static bool put_queue(struct kv_txn *t, void *ctx)
{
    size_t bytes = 0;
    (void)ctx;
    queue_put_target(t, 7, 9);
    for (unsigned i = 1; i <= 3; i++)
        bytes += queue_put_event(t, 7, i, false);
    queue_put_counter(t, 7, false, 3, bytes);
    queue_put_counter(t, 7, true, 1, queue_put_event(t, 7, 1, true));
    queue_put_cursor(t, 7, 2);
    return true;
}

static bool spoil(struct kv_txn *t, void *ctx)
{
    const struct rows *r = ctx;
    struct row_key k;
    const char *w = r->what;

    if (strcmp(w, "object") == 0)
        kv_txn_put(t, KV_META, row_key_object(&k, r->bucket, STR("spoilt")), STR("\x02"));
    else if (strcmp(w, "escape") == 0)
        kv_txn_put(t, KV_META, row_key_object(&k, r->bucket, STR("\x1b[2J\nk\x7f")), STR("\x02"));
    else if (strcmp(w, "homeless") == 0)
        kv_txn_put(t, KV_META, row_key_object(&k, r->bucket + 1000, STR("k")), STR("\x01"));
    else if (strcmp(w, "bucket") == 0)
        kv_txn_put(t, KV_META, STR("bb"), STR("\x02"));
    else if (strcmp(w, "upload") == 0)
        kv_txn_put(t, KV_META, STR("u\1"), STR("\x02"));
    else if (strcmp(w, "body") == 0)
        kv_txn_put(t, KV_DATA, row_key_data(&k, 77), STR("of nobody"));
    else if (strcmp(w, "counter") == 0)
        queue_put_counter(t, 7, false, 4, 4);
    else if (strcmp(w, "dead counter") == 0)
        queue_put_counter(t, 7, true, 2, 2);
    else if (strcmp(w, "no target") == 0)
        queue_put_event(t, 8, 1, false);
    else if (strcmp(w, "queue key") == 0)
        kv_txn_put(t, KV_QUEUE, STR("q\1"), STR("x"));
    else if (strcmp(w, "bucket counter") == 0)
        kv_txn_del(t, KV_META, row_key_id(&k, 'n', r->bucket));
    return true;
}

/* --- findings ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *what, *said;
    bool rows; /* a salvage writes the rows anew, and the next one finds nothing to do */
} findings[] = {
    {"object", "object b/spoilt: its row is damaged", true},
    {"escape", "object b/\\x1b[2J\\x0ak\\x7f: its row is damaged", true},
    {"homeless", "object k belongs to bucket", true},
    {"bucket", "bucket b: its row is damaged", true},
    {"upload", "a row of an upload has a key that means nothing", true},
    {"body", "inline body 000000000000004d (9 bytes) belongs to nothing: leaked", true},
    {"counter", "webhook:1 (target number 7): its counters say 4 queued events, 4 bytes; there are 3,", true},
    {"dead counter", "webhook:1 (target number 7): its counters say 2 dead letters, 2 bytes; there are 1,",
     true},
    {"no target", "1 events wait for target number 8, whose row is lost", false},
    {"queue key", "a queued event has a key that means nothing", true},
    {"bucket counter", "bucket b: its counters say 0 objects, 0 bytes; there are 2,", true},
};

static void fill(struct fixture *f, uint64_t *bucket)
{
    struct bucket *b = need_bucket(f->store, "b");
    put(f->store, b, "file", 200000, 1);
    put(f->store, b, "small", 800, 2);
    *bucket = b->id;
    bucket_unref(b);
    assert_int_equal(kv_commit_wait(store_kv(f->store), put_queue, NULL, KV_PLAIN), KV_COMMITTED);
}

/* A copy of a store may come without the file that is its lock. */
static void test_no_lock(void **state)
{
    struct fixture *f = *state;
    struct said s;
    char path[100];
    shut(f);
    snprintf(path, sizeof path, "%s/lock", f->dir);
    assert_int_equal(unlink(path), 0);
    salvage(f, true, &s);
    assert_true(s.ok);
}

static void test_sound(void **state)
{
    struct fixture *f = *state;
    struct said s;
    uint64_t bucket;
    fill(f, &bucket);
    shut(f);
    for (int dry = 0; dry < 2; dry++) {
        salvage(f, dry, &s);
        assert_true(s.ok);
        assert_said(&s, "nothing to salvage");
        assert_said(&s, "2 objects, 0 MiB: 0 findings");
    }
}

static unsigned count_asides(const char *dir)
{
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += str_starts(str_c(e->d_name), STR("salvage"));
    closedir(d);
    return n;
}

static void test_finding(struct fixture *f, size_t i)
{
    struct said s;
    struct rows r = {.what = findings[i].what};
    fill(f, &r.bucket);
    assert_int_equal(kv_commit_wait(store_kv(f->store), spoil, &r, KV_PLAIN), KV_COMMITTED);
    shut(f);
    salvage(f, true, &s);
    assert_false(s.ok);
    assert_said(&s, findings[i].said);
    assert_said(&s, findings[i].rows ? "a salvage would write the rows anew" : "nothing to salvage");
    assert_int_equal(count_asides(f->dir), 0);
    salvage(f, false, &s);
    assert_said(&s, findings[i].said);
    assert_int_equal(count_asides(f->dir), findings[i].rows);
    salvage(f, false, &s);
    if (findings[i].rows && !strstr(s.out, "nothing to salvage"))
        fail_msg("%s: salvaged twice: %s", r.what, s.out);
    start(f);
    struct bucket *b = store_bucket(f->store, STR("b"));
    assert_int_equal(b == NULL, strcmp(r.what, "bucket") == 0);
    if (b) {
        assert_object(f->store, b, "file", 200000, 1);
        assert_object(f->store, b, "small", 800, 2);
        bucket_unref(b);
    }
}

static void test_findings(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(findings); i++) {
        void *fixture;
        assert_int_equal(setup_rocks(&fixture), 0);
        test_finding(fixture, i);
        assert_int_equal(teardown(&fixture), 0);
    }
}

/* --- what goes on --------------------------------------------------------------------------------------------------- */

/* Objects of a bucket whose row is lost are in one that is named after its id; ids and numbers go on above those before; the
 * counters are right, and the queue begins at its front. */
static void test_goes_on(void **state)
{
    struct fixture *f = *state;
    struct said s;
    struct rows r = {.what = "bucket"};
    struct kv_stats before, after;
    char name[40];
    fill(f, &r.bucket);
    assert_int_equal(kv_commit_wait(store_kv(f->store), spoil, &r, KV_PLAIN), KV_COMMITTED);
    kv_get_stats(store_kv(f->store), &before);
    uint64_t next_id = atomic_load(&f->store->next_id);
    shut(f);
    salvage(f, false, &s);
    start(f);
    snprintf(name, sizeof name, "salvaged-%016llx", (unsigned long long)r.bucket);
    struct bucket *b = need_bucket(f->store, name);
    assert_object(f->store, b, "file", 200000, 1);
    assert_object(f->store, b, "small", 800, 2);
    assert_counters(f->store, b, 2, 200800);
    bucket_unref(b);
    assert_true(atomic_load(&f->store->next_id) > next_id);
    kv_get_stats(store_kv(f->store), &after);
    assert_true(after.last_sequence > before.last_sequence);
    assert_int_equal(queue_counted(store_kv(f->store), 7), 3);
    assert_int_equal(count_rows(f->store, KV_QUEUE, "q"), 3);
    assert_int_equal(count_rows(f->store, KV_QUEUE, "d"), 1);
    assert_false(queue_has_cursor(store_kv(f->store), 7));
    assert_int_equal(queue_last_number(store_kv(f->store)), 9); /* though no target has it */
}

/* --- behind a damaged log --------------------------------------------------------------------------------------------- */

static void log_of(const char *dir, char out[400])
{
    char folder[300];
    snprintf(folder, sizeof folder, "%s/kv", dir);
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(str_c(e->d_name), STR(".log")))
            snprintf(out, 400, "%.200s/%.100s", folder, e->d_name);
    closedir(d);
}

static bool deliver(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    queue_remove(t, 7, 1, 3);
    return true;
}

static void test_lost(void **state)
{
    struct fixture *f = *state;
    struct said s;
    char log[400];
    uint64_t bucket;
    struct stat st;
    struct bucket *b = need_bucket(f->store, "a");
    put(f->store, b, "first", 100, 1);
    run_janitor(f->store); /* whose first pass writes a row, too */
    log_of(f->dir, log);
    assert_int_equal(stat(log, &st), 0);
    off_t at = st.st_size;
    put(f->store, b, "damaged", 100, 1);
    fill(f, &bucket);
    assert_int_equal(del(f->store, b, "first"), STORE_OK);
    assert_int_equal(kv_commit_wait(store_kv(f->store), deliver, NULL, KV_PLAIN), KV_COMMITTED);
    bucket_unref(b);
    shut(f);
    int fd = open(log, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "this is not what stood there", 28, at + 20), 28);
    close(fd);
    salvage(f, true, &s);
    assert_false(s.ok);
    assert_said(&s, ".log at byte ");
    assert_said(&s, "lost: bucket b: its making");
    assert_said(&s, "lost: object b/small (800 bytes)");
    assert_said(&s, "lost: the removal of object a/first: it is there again");
    assert_said(&s, "lost: 1 queued events of "); /* two of three were delivered */
    assert_null(strstr(s.out, "object a/damaged"));
    assert_said(&s, "what the damaged place itself held cannot be told");
    salvage(f, false, &s);
    start(f);
    b = need_bucket(f->store, "a");
    assert_object(f->store, b, "first", 100, 1);
    assert_absent(f->store, b, "damaged");
    bucket_unref(b);
    assert_int_equal(count_files(f->store), 0); /* b's body is set aside */
}

/* What happened behind the damage, one write a letter: e an event is queued, D the oldest row goes, S(1) the rows from that number
 * on move into a segment, P(n) of which n are left, F none is. */
struct behind {
    unsigned before; /* queued before the damage */
    const char *happens;
    const char *said; /* NULL: nothing of events */
    uint64_t first;   /* of the segment */
    unsigned event, row;
    char step;
};
static const struct behind behind[] = {
    {0, "eeeS", "lost: 3 queued events of webhook:1 that were not delivered, 3 of them in files", 1},
    {0, "eeeSe", "lost: 4 queued events of webhook:1 that were not delivered, 3 of them in files", 1},
    {0, "eeeSP1", "lost: 1 queued events of webhook:1 that were not delivered, 1 of them in files", 1},
    {0, "eeeSF", NULL, 1},
    {0, "eDeeeS", "lost: 3 queued events of webhook:1 that were not delivered, 3 of them in files", 2},
    {3, "S", NULL, 1},
    {3, "SP1", NULL, 1},
    {3, "eeeS", "lost: 3 queued events of webhook:1 that were not delivered, 3 of them in files", 1},
    {3, "eeeSP4", "lost: up to 3 queued events of webhook:1 that were not delivered, 3 of them in files", 1},
    {3, "eeeSP5", "lost: up to 3 queued events of webhook:1 that were not delivered, 3 of them in files", 1},
    {3, "eeeSe", "lost: 4 queued events of webhook:1 that were not delivered, 3 of them in files", 1},
};

static bool happen(struct kv_txn *t, void *ctx)
{
    struct behind *b = ctx;
    switch (b->step) {
    case 'e':
        queue_put_event(t, 7, ++b->event, false);
        break;
    case 'D':
        b->row++;
        queue_remove(t, 7, b->row, b->row + 1);
        break;
    case 'S':
        queue_put_segment(t, 7, b->first, b->event, (uint32_t)(b->event - b->first) + 1);
        break;
    case 'F':
        queue_remove(t, 7, b->first, b->first + 1);
        break;
    case 'T':
        queue_put_target(t, 7, 9);
        break;
    default: /* of the segment that was made last, this many are left */
        queue_put_segment(t, 7, b->first, b->row, (uint32_t)(b->step - '0'));
    }
    return true;
}

static void step_of(struct fixture *f, struct behind *b, char step)
{
    b->step = step;
    assert_int_equal(kv_commit_wait(store_kv(f->store), happen, b, KV_PLAIN), KV_COMMITTED);
}

static void test_lost_segments(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        void *own = NULL;
        struct behind b = behind[i];
        struct said s;
        struct stat st;
        char log[400];
        assert_int_equal(setup_rocks(&own), 0);
        struct fixture *f = own;
        step_of(f, &b, 'T');
        while (b.event < b.before)
            step_of(f, &b, 'e');
        struct bucket *bucket = need_bucket(f->store, "a");
        put(f->store, bucket, "first", 100, 1);
        run_janitor(f->store);
        log_of(f->dir, log);
        assert_int_equal(stat(log, &st), 0);
        put(f->store, bucket, "damaged", 100, 1);
        bucket_unref(bucket);
        for (const char *c = b.happens; *c; c++) {
            if (*c == 'S')
                step_of(f, &b, *c), b.row = b.event;
            else if (*c != 'P')
                step_of(f, &b, *c);
        }
        shut(f);
        int fd = open(log, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "this is not what stood there", 28, st.st_size + 20), 28);
        close(fd);
        salvage(f, true, &s);
        const char *said = strstr(s.out, "queued events of webhook:1 that");
        if (b.said ? !strstr(s.out, b.said) : said != NULL)
            fail_msg("%u, then %s: '%s' is not in '%s'", b.before, b.happens, b.said ? b.said : "nothing",
                     s.out);
        assert_int_equal(teardown(&own), 0);
    }
}

/* A bucket of the name that a salvage would give is a client's, and stays what it is. */
static void test_name_in_use(void **state)
{
    struct fixture *f = *state;
    struct said s;
    struct rows r = {.what = "bucket"};
    char name[48];
    fill(f, &r.bucket);
    snprintf(name, sizeof name, "salvaged-%016llx", (unsigned long long)r.bucket);
    struct bucket *b = need_bucket(f->store, name);
    put(f->store, b, "mine", 900, 3);
    bucket_unref(b);
    assert_int_equal(kv_commit_wait(store_kv(f->store), spoil, &r, KV_PLAIN), KV_COMMITTED);
    shut(f);
    salvage(f, false, &s);
    start(f);
    b = need_bucket(f->store, name);
    assert_object(f->store, b, "mine", 900, 3);
    assert_absent(f->store, b, "small");
    bucket_unref(b);
    snprintf(name, sizeof name, "salvaged-%016llx-2", (unsigned long long)r.bucket);
    b = need_bucket(f->store, name);
    assert_object(f->store, b, "file", 200000, 1);
    assert_object(f->store, b, "small", 800, 2);
    bucket_unref(b);
}

/* Bodies may be on a file system of their own: files that no row names are set aside on it. */
static void test_blobs_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct said s;
    struct rows r = {.what = "object"};
    struct stat here, there;
    char elsewhere[sizeof "/dev/shm/belfry-blobs-XXXXXX"], blobs[100], command[400];
    assert_int_equal(stat(f->dir, &here), 0);
    bool same = stat("/dev/shm", &there) != 0 || here.st_dev == there.st_dev;
    if (same && (stat("/var/tmp", &there) != 0 || here.st_dev == there.st_dev))
        skip();
    memcpy(elsewhere, same ? "/var/tmp/belfry-blobs-XXXXXX" : "/dev/shm/belfry-blobs-XXXXXX",
           sizeof elsewhere);
    assert_non_null(mkdtemp(elsewhere));
    fill(f, &r.bucket);
    assert_int_equal(kv_commit_wait(store_kv(f->store), spoil, &r, KV_PLAIN), KV_COMMITTED);
    shut(f);
    snprintf(blobs, sizeof blobs, "%s/blobs", f->dir);
    snprintf(command, sizeof command,
             "mv %s/* %s && rmdir %s && ln -s %s %s && cp %s/*/0* %s/ff/00000000000000ff", blobs, elsewhere,
             blobs, elsewhere, blobs, elsewhere, elsewhere);
    assert_int_equal(system(command), 0);
    salvage(f, false, &s);
    assert_said(&s, "set aside: 1 files that no row names are in ");
    snprintf(command, sizeof command, "ls %s/salvage-*/ff/00000000000000ff >/dev/null && rm -r %s/salvage-*",
             elsewhere, elsewhere);
    assert_int_equal(system(command), 0);
    salvage(f, false, &s);
    assert_said(&s, "nothing to salvage");
    start(f);
    struct bucket *b = need_bucket(f->store, "b");
    assert_object(f->store, b, "file", 200000, 1);
    bucket_unref(b);
    shut(f);
    snprintf(command, sizeof command, "rm -r %s", elsewhere);
    assert_int_equal(system(command), 0);
}

/* Every two seconds, on standard error; the first time it only looks at the clock. */
static void test_progress(void **state)
{
    struct fixture *f = *state;
    struct check c = {.objects = 5, .bytes = 3 << 20};
    char file[80], out[256] = "";
    snprintf(file, sizeof file, "%s.err", f->dir);
    fflush(stderr);
    int saved = dup(STDERR_FILENO), to = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(dup2(to, STDERR_FILENO) >= 0);
    check_progress(&c);
    check_progress(&c);
    off_t early = lseek(to, 0, SEEK_END);
    c.next_progress = 1;
    check_progress(&c);
    check_progress(&c);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_true(pread(to, out, sizeof out - 1, 0) > 0);
    close(to);
    unlink(file);
    assert_int_equal(early, 0);
    assert_string_equal(out, "checked 5 objects, 3 MiB\n");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup_rocks, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_sound),
        TEST(test_no_lock),
        cmocka_unit_test(test_findings),
        TEST(test_goes_on),
        TEST(test_lost),
        cmocka_unit_test(test_lost_segments),
        TEST(test_name_in_use),
        TEST(test_blobs_elsewhere),
        TEST(test_progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
