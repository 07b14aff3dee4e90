/* SPDX-License-Identifier: Apache-2.0
 *
 * How a batch for a database goes on when rows of it are refused, when a key waits, and when the server is slow. (What becomes of
 * each event in the target contract: test_target.c; against real servers: tests/integration/test_sql*.py.) */
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "target/sql_batch.h"

/* A database that refuses rows: keys that begin with N never, with R now; it names the row, or not. */
struct fake {
    bool names_row, missing, lost;
    unsigned applied, tables;
    char log[256]; /* keys, in the order in which they are committed */
};

static const char *fake_put(void *self, struct sql_batch *b, size_t i)
{
    (void)self;
    return b->ev[i].key.p[0] == 'X' ? "cannot be held" : NULL;
}

static bool fake_apply(void *self, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                       struct err *e)
{
    struct fake *f = self;
    f->applied++;
    if (f->lost)
        return err_set(e, "gone");
    if (f->missing) {
        *error = (struct sql_error){.at = SQL_WHOLE, .code = "M"};
        return false;
    }
    for (size_t i = from; i < from + n; i++) {
        char kind = b->ev[b->index[i]].key.p[0];
        if (kind != 'N' && kind != 'R' && kind != 'S')
            continue;
        *error = (struct sql_error){.at = f->names_row ? i : SQL_WHOLE, .code = {kind, 0}};
        return false;
    }
    for (size_t i = from; i < from + n; i++) {
        struct str key = b->ev[b->index[i]].key;
        size_t len = strlen(f->log);
        (void)snprintf(f->log + len, sizeof(f->log) - len, "%s%.*s ",
                       b->steps[b->index[i]].part == PLAN_DELETE ? "-" : "", STR_FMT(key));
    }
    return true;
}

static enum sql_verdict fake_judge(const char *code)
{
    return code[0] == 'N' ? SQL_NEVER : code[0] == 'R' ? SQL_ROW : code[0] == 'M' ? SQL_MISSING : SQL_STOP;
}

static void fake_explain(void *self, const struct sql_error *error, char *why, size_t why_n)
{
    (void)self;
    (void)snprintf(why, why_n, "because of %s", error->code);
}

static bool fake_table(void *self, const struct patience *p, struct err *e)
{
    struct fake *f = self;
    (void)p;
    f->missing = false;
    return ++f->tables < 2 || err_set(e, "cannot be made");
}

static const struct sql_kind fake_together = {false,      fake_put,     fake_apply,
                                              fake_judge, fake_explain, fake_table};
static const struct sql_kind fake_apart = {true, fake_put, fake_apply, fake_judge, fake_explain, fake_table};

static void test_refused_rows(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *want, *log; /* "-k": removed; want: O, R (retry) or X (reject) for each */
        enum plan_format format;
        bool missing, lost;
    } cases[] = {
        {"a b c", "OOO", "a b c ", FORMAT_NAMESPACE, false, false},
        {"a -b c -d", "OOOO", "a c -b -d ", FORMAT_NAMESPACE, false, false},
        {"a N1 b", "OXO", "a b ", FORMAT_NAMESPACE, false, false},
        {"N1 N2 N3 N4 N5", "XXXXX", "", FORMAT_NAMESPACE, false, false},
        {"N1 a -N2 -b", "XOXO", "a -b ", FORMAT_NAMESPACE, false, false},
        {"a R1 b R2 c", "ORORO", "a b c ", FORMAT_ACCESS, false, false},
        {"a X1 b", "OXO", "a b ", FORMAT_ACCESS, false, false},
        {"a S1 b", "RRR", "", FORMAT_ACCESS, false, false},
        {"a b", "OO", "a b ", FORMAT_ACCESS, true, false},
        {"a b", "RR", "", FORMAT_ACCESS, false, true},
        {"N1 a N1 b", "XOXO", "a b ", FORMAT_ACCESS, false, false},
        {"R1 a R1 b", "RORO", "a b ", FORMAT_ACCESS, false, false},
    };
    struct sql_batch *b = x_calloc(1, sizeof(*b));
    sql_batch_init(b);
    for (size_t i = 0; i < 4 * COUNT_OF(cases); i++) {
        size_t c = i / 4;
        struct fake f = {.names_row = i % 2, .missing = cases[c].missing, .lost = cases[c].lost};
        struct event_ref ev[8] = {0};
        char why[8][SEND_WHY] = {0};
        enum send_result out[8];
        struct str rest = str_c(cases[c].keys), one;
        struct err e = {0};
        size_t n = 0;
        for (; str_cut(&rest, ' ', &one); n++)
            ev[n] = (struct event_ref){.bucket = STR("b"),
                                       .key = one.p[0] == '-' ? str_from(one, 1) : one,
                                       .record = STR("{}"),
                                       .removed = one.p[0] == '-',
                                       .why = why[n]};
        sql_begin(b, ev, n, out, cases[c].format);
        sql_send(i % 4 < 2 ? &fake_together : &fake_apart, &f, b, &e);
        for (size_t k = 0; k < n; k++) {
            enum send_result want = cases[c].want[k] == 'O'   ? SEND_OK
                                    : cases[c].want[k] == 'R' ? SEND_RETRY
                                                              : SEND_REJECT;
            /* Where the server stops and does not say at which row, what was before it may be in already. */
            if (out[k] != want)
                fail_msg("%s: %zu is %d", cases[c].keys, k, (int)out[k]);
            assert_int_equal(why[k][0] == 0, want == SEND_OK);
        }
        assert_string_equal(f.log, cases[c].log);
    }
    sql_batch_release(b);
    free(b);
}

/* As fake_put and fake_apply; L is so large that it fills what goes in at once, and R is refused once. */
static const char *large_put(void *self, struct sql_batch *b, size_t i)
{
    (void)self;
    for (size_t n = 0; b->ev[i].key.p[0] == 'L' && n < SQL_CHUNK; n += 8)
        buf_puts(&b->bytes, "12345678");
    return NULL;
}

static bool once_apply(void *self, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                       struct err *e)
{
    struct fake *f = self;
    if (!f->missing && b->ev[b->index[from]].key.p[0] == 'R') {
        f->missing = true;
        *error = (struct sql_error){.at = from, .code = "R"};
        return false;
    }
    for (size_t i = from; i < from + n; i++)
        f->applied++;
    (void)e;
    return true;
}

/* Of a key one of whose events has to wait nothing goes in, in what follows of the batch neither. */
static void test_waits_with_its_key(void **state)
{
    (void)state;
    static const struct sql_kind kind = {false, large_put, once_apply, fake_judge, fake_explain, fake_table};
    static const enum send_result want[] = {SEND_RETRY, SEND_OK, SEND_OK, SEND_RETRY};
    const struct str keys[] = {STR("R"), STR("L"), STR("a"), STR("R")};
    struct event_ref ev[4] = {0};
    enum send_result out[4];
    struct fake f = {0};
    struct err e = {0};
    struct sql_batch *b = x_calloc(1, sizeof(*b));
    sql_batch_init(b);
    for (size_t i = 0; i < 4; i++)
        ev[i] = (struct event_ref){.bucket = STR("b"), .key = keys[i], .record = STR("{}")};
    sql_begin(b, ev, 4, out, FORMAT_ACCESS);
    sql_send(&kind, &f, b, &e);
    assert_memory_equal(out, want, sizeof(want));
    assert_int_equal(f.applied, 2);
    sql_batch_release(b);
    free(b);
}

/* A server that takes so long for each event, and 30 s at most. */
static int64_t slow_now_ns, slow_each_ms;
static size_t slow_longest;

static int64_t slow_mono_ns(void)
{
    return slow_now_ns;
}

static bool slow_apply(void *self, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                       struct err *e)
{
    int64_t took_ms = (int64_t)n * slow_each_ms, left_ms = patience_left(&b->patience);
    (void)self;
    (void)from;
    (void)error;
    slow_longest = n > slow_longest ? n : slow_longest;
    slow_now_ns += (took_ms < left_ms ? took_ms : left_ms) * 1000000;
    return took_ms < left_ms || err_set(e, "no answer in time");
}

/* How many of 1,000 events go through in one batch. */
static size_t slow_batch(struct sql_batch *b)
{
    static const struct sql_kind slow = {false, fake_put, slow_apply, fake_judge, fake_explain, fake_table};
    static struct event_ref ev[SQL_MAX_BATCH];
    static enum send_result out[SQL_MAX_BATCH];
    struct err e = {0};
    size_t ok = 0;
    for (size_t i = 0; i < SQL_MAX_BATCH; i++)
        ev[i] = (struct event_ref){.bucket = STR("b"), .key = STR("k"), .record = STR("{}")};
    slow_longest = 0;
    b->patience = (struct patience){clock_mono_ms() + 30000, NULL};
    sql_begin(b, ev, SQL_MAX_BATCH, out, FORMAT_ACCESS);
    sql_send(&slow, NULL, b, &e);
    while (ok < SQL_MAX_BATCH && out[ok] == SEND_OK)
        ok++;
    for (size_t i = ok; i < SQL_MAX_BATCH; i++)
        assert_int_equal(out[i], SEND_RETRY);
    return ok;
}

/* A batch that takes longer than it may is no batch that is tried for ever. */
static void test_slow_server(void **state)
{
    (void)state;
    int64_t (*before)(void) = clock_mono_ns;
    struct sql_batch *b = x_calloc(1, sizeof(*b));
    clock_mono_ns = slow_mono_ns;
    sql_batch_init(b);
    slow_each_ms = 40;
    assert_int_equal(slow_batch(b), 0);
    assert_int_equal(slow_batch(b), 500);
    slow_each_ms = 20000;
    for (size_t i = 0; i < 9; i++)
        (void)slow_batch(b);
    assert_int_equal(slow_batch(b), 1);
    slow_each_ms = 1;
    for (size_t i = 0; i < 3; i++) /* 1, 2, 4 and so on, until a batch is one transaction again */
        assert_int_equal(slow_batch(b), SQL_MAX_BATCH);
    assert_int_equal(slow_longest, SQL_MAX_BATCH);
    sql_batch_release(b);
    free(b);
    clock_mono_ns = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_rows),
        cmocka_unit_test(test_waits_with_its_key),
        cmocka_unit_test(test_slow_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
