/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the kv tests. */
#include "kv_help.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

int setup_memory(void **state)
{
    struct fixture *f = x_calloc(1, sizeof(*f));
    f->kv = kv_open_memory();
    *state = f;
    return 0;
}

int setup_rocks(void **state)
{
    struct fixture *f = x_calloc(1, sizeof(*f));
    f->rocks = true;
    const char *tmp = getenv("TMPDIR");
    snprintf(f->dir, sizeof(f->dir), "%.40s/kv-XXXXXX", tmp ? tmp : "/tmp");
    struct err e;
    if (!mkdtemp(f->dir) || !(f->kv = kv_open(f->dir, NULL, &e)))
        return -1;
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void remove_dir(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int teardown(void **state)
{
    struct fixture *f = *state;
    kv_close(f->kv);
    if (f->rocks)
        remove_dir(f->dir);
    free(f);
    return 0;
}

void shut(struct fixture *f)
{
    kv_close(f->kv);
    f->kv = NULL;
}

void reopen(struct fixture *f)
{
    shut(f);
    struct err e = {0};
    f->kv = kv_open(f->dir, NULL, &e);
    if (!f->kv)
        fail_msg("reopen: %s", e.text);
}

/* --- script ------------------------------------------------------------------------------------------------------- */

static void step_get(struct kv_txn *t, struct step *s)
{
    struct kv_value v = {0};
    s->saw = kv_txn_get(t, s->space, str_c(s->key), &v);
    if (s->saw == KV_FOUND)
        snprintf(s->got, sizeof(s->got), "%.*s", STR_FMT(v.data));
    kv_value_release(&v);
}

bool run_script(struct kv_txn *t, void *ctx)
{
    for (struct step *s = ctx; s->kind != STEP_END; s++) {
        struct str key = str_c(s->key), value = str_c(s->value);
        switch (s->kind) {
        case GET:
            step_get(t, s);
            break;
        case PUT:
            kv_txn_put(t, s->space, key, value);
            break;
        case DEL:
            kv_txn_del(t, s->space, key);
            break;
        case RANGE:
            kv_txn_del_range(t, s->space, key, value);
            break;
        case ADD:
            kv_txn_add(t, key, s->delta);
            break;
        case COUNTERS:
            kv_txn_counters(t, key, s->counters);
            break;
        case SEQUENCE:
            s->sequence = kv_txn_sequence(t);
            break;
        case HOOK:
            kv_txn_on_commit(t, s->hook, s->arg);
            break;
        default:
            return false;
        }
    }
    return true;
}

enum kv_outcome run(struct kv *kv, struct step *steps, unsigned flags)
{
    return kv_commit_wait(kv, run_script, steps, flags);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

void assert_row(struct kv *kv, enum kv_space space, const char *key, const char *value)
{
    struct kv_value v = {0};
    struct err e = {0};
    assert_int_equal(kv_get(kv, space, str_c(key), 0, &v, &e), KV_FOUND);
    assert_true(str_eq_c(v.data, value));
    kv_value_release(&v);
}

void assert_no_row(struct kv *kv, enum kv_space space, const char *key)
{
    struct kv_value v = {0};
    struct err e = {0};
    assert_int_equal(kv_get(kv, space, str_c(key), 0, &v, &e), KV_MISSING);
}

void assert_scan(struct kv *kv, enum kv_space space, const char *first, const char *end, const char *want)
{
    struct buf b;
    buf_init(&b, 4096);
    struct kv_scan *s = kv_scan_open(kv, space, str_c(first), str_c(end));
    struct str key, value;
    while (kv_scan_next(s, &key, &value))
        buf_printf(&b, "%s%.*s=%.*s", b.len ? " " : "", STR_FMT(key), STR_FMT(value));
    struct err e;
    assert_false(kv_scan_failed(s, &e));
    kv_scan_close(s);
    buf_char(&b, 0);
    assert_string_equal(b.p, want);
    buf_release(&b);
}

void assert_counters(struct kv *kv, const char *key, int64_t first, int64_t second)
{
    int64_t v[KV_COUNTERS];
    struct err e;
    assert_true(kv_counters(kv, str_c(key), v, &e));
    assert_int_equal(v[0], first);
    assert_int_equal(v[1], second);
}

/* --- numbered changes --------------------------------------------------------------------------------------------- */

void numbered_key(char out[16], char id, unsigned n)
{
    snprintf(out, 16, "%c%08u", id, n);
}

bool write_numbered(struct kv_txn *t, void *ctx)
{
    struct writer *w = ctx;
    char key[16], body[700], sequence[24];
    numbered_key(key, w->id, w->n);
    memset(body, 'a' + (int)(w->n % 26), sizeof(body));
    snprintf(sequence, sizeof(sequence), "%020llu", (unsigned long long)kv_txn_sequence(t));
    kv_txn_put(t, KV_META, str_c(key), str_c(sequence));
    kv_txn_put(t, KV_DATA, str_c(key), str_n(body, sizeof(body)));
    kv_txn_put(t, KV_QUEUE, str_c(sequence), str_c(key));
    kv_txn_add(t, STR("n"), (int64_t[KV_COUNTERS]){1, 0});
    return true;
}

void write_many(struct kv *kv, unsigned n)
{
    struct writer w = {kv, 'a', 0};
    for (; w.n < n; w.n++)
        assert_int_equal(kv_commit_wait(kv, write_numbered, &w, KV_NOSYNC), KV_COMMITTED);
}

static void assert_whole(struct kv *kv, const char *key)
{
    struct kv_value row = {0}, body = {0};
    struct err e = {0};
    assert_int_equal(kv_get(kv, KV_META, str_c(key), 0, &row, &e), KV_FOUND);
    assert_int_equal(kv_get(kv, KV_DATA, str_c(key), 0, &body, &e), KV_FOUND);
    assert_int_equal(body.data.n, 700);
    struct kv_value queued = {0};
    assert_int_equal(kv_get(kv, KV_QUEUE, row.data, 0, &queued, &e), KV_FOUND);
    assert_true(str_eq_c(queued.data, key));
    kv_value_release(&row);
    kv_value_release(&body);
    kv_value_release(&queued);
}

void check_numbered(struct kv *kv, const char *acked, size_t size)
{
    for (size_t i = 0; i + 10 <= size; i += 10) {
        char key[16];
        snprintf(key, sizeof(key), "%.9s", acked + i);
        assert_whole(kv, key);
    }
    struct kv_scan *s = kv_scan_open(kv, KV_META, STR("a"), STR("e"));
    struct str key, value;
    int64_t rows = 0, counted[KV_COUNTERS];
    uint64_t last = 0;
    while (kv_scan_next(s, &key, &value)) {
        char text[16];
        uint64_t sequence;
        snprintf(text, sizeof(text), "%.*s", STR_FMT(key));
        assert_true(str_to_u64(value, &sequence));
        assert_whole(kv, text);
        last = sequence > last ? sequence : last;
        rows++;
    }
    kv_scan_close(s);
    struct err e;
    assert_true(kv_counters(kv, STR("n"), counted, &e));
    assert_int_equal(counted[0], rows);
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    assert_true(stats.last_sequence >= last);
}

/* --- gate and tally ----------------------------------------------------------------------------------------------- */

void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    mutex_init(&g->mutex, RANK_MAIN);
    cond_init(&g->cond);
}

void gate_release(struct gate *g)
{
    cond_release(&g->cond);
    mutex_release(&g->mutex);
}

static void await(struct mutex *m, struct cond *c, const bool *flag)
{
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    while (!*flag)
        if (!cond_wait_until(c, m, deadline))
            BUG("a test waited too long");
}

void gate_pass(struct gate *g)
{
    mutex_lock(&g->mutex);
    g->reached = true;
    cond_broadcast(&g->cond);
    await(&g->mutex, &g->cond, &g->open);
    mutex_unlock(&g->mutex);
}

void gate_await(struct gate *g)
{
    mutex_lock(&g->mutex);
    await(&g->mutex, &g->cond, &g->reached);
    mutex_unlock(&g->mutex);
}

void gate_open(struct gate *g)
{
    mutex_lock(&g->mutex);
    g->open = true;
    cond_broadcast(&g->cond);
    mutex_unlock(&g->mutex);
}

bool gate_closure(struct kv_txn *t, void *ctx)
{
    (void)t;
    gate_pass(ctx);
    return false;
}

void tally_init(struct tally *t)
{
    *t = (struct tally){0};
    mutex_init(&t->mutex, RANK_MAIN);
    cond_init(&t->cond);
}

void tally_release(struct tally *t)
{
    cond_release(&t->cond);
    mutex_release(&t->mutex);
}

void tally_done(void *ctx, enum kv_outcome outcome)
{
    struct tally *t = ctx;
    mutex_lock(&t->mutex);
    t->n++;
    t->outcomes[outcome]++;
    cond_broadcast(&t->cond);
    mutex_unlock(&t->mutex);
}

void tally_await(struct tally *t, unsigned n)
{
    int64_t deadline = clock_mono_ms() + WAIT_MS;
    mutex_lock(&t->mutex);
    while (t->n < n)
        if (!cond_wait_until(&t->cond, &t->mutex, deadline))
            BUG("a test waited too long");
    mutex_unlock(&t->mutex);
}

void hold_begin(struct held *h, struct kv *kv)
{
    gate_init(&h->gate);
    tally_init(&h->tally);
    h->n = 0;
    h->first = (struct kv_commit){.fn = gate_closure, .done = tally_done, .ctx = &h->gate};
    h->first.done = NULL;
    kv_commit(kv, &h->first);
    gate_await(&h->gate);
}

bool scripted_run(struct kv_txn *t, void *ctx)
{
    return run_script(t, ((struct scripted *)ctx)->steps);
}

void scripted_done(void *ctx, enum kv_outcome outcome)
{
    tally_done(((struct scripted *)ctx)->tally, outcome);
}

void hold_script(struct held *h, struct kv *kv, struct scripted *s, struct step *steps, unsigned flags)
{
    *s = (struct scripted){steps, &h->tally};
    struct kv_commit *c = &h->v[h->n++];
    *c = (struct kv_commit){.fn = scripted_run, .done = scripted_done, .ctx = s, .flags = flags};
    kv_commit(kv, c);
}

void hold_end(struct held *h)
{
    gate_open(&h->gate);
    tally_await(&h->tally, h->n);
    gate_release(&h->gate);
    tally_release(&h->tally);
}
