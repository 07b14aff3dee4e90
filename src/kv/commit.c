/* SPDX-License-Identifier: Apache-2.0
 *
 * The committer: one thread that runs what is waiting, writes it as one batch with one sync, and tells
 * everybody. While a batch is being synced the next closures gather in the queue: that is the whole group
 * commit. */
#include "kv/commit.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"

/* --- lists
 * -------------------------------------------------------------------------------------------------------- */

static void list_init(struct commit_list *l)
{
    l->first = NULL;
    l->last = &l->first;
    l->n = 0;
}

static void list_add(struct commit_list *l, struct kv_commit *c)
{
    c->next = NULL;
    *l->last = c;
    l->last = &c->next;
    l->n++;
}

static struct kv_commit *list_pop(struct commit_list *l)
{
    struct kv_commit *c = l->first;
    l->first = c->next;
    if (!l->first)
        l->last = &l->first;
    l->n--;
    return c;
}

/* Appends all of `from`, which is empty afterwards. */
static void list_move(struct commit_list *to, struct commit_list *from)
{
    if (from->n == 0)
        return;
    *to->last = from->first;
    to->last = from->last;
    to->n += from->n;
    list_init(from);
}

/* --- telling
 * ------------------------------------------------------------------------------------------------------ */

static void commit_told(struct task *t)
{
    struct kv_commit *c = CONTAINER_OF(t, struct kv_commit, task);
    c->done(c->ctx, c->outcome);
}

/* There are few loops (one a core); when there are more than these, the rest are woken one by one. */
#define TELL_LOOPS 16
struct mail {
    struct loop *loop;
    struct task *first, *last;
};

static struct mail *mail_for(struct mail *mail, size_t *n, struct loop *loop)
{
    for (size_t i = 0; i < *n; i++)
        if (mail[i].loop == loop)
            return &mail[i];
    if (*n == TELL_LOOPS)
        return NULL;
    mail[*n] = (struct mail){.loop = loop};
    return &mail[(*n)++];
}

/* Calls or posts every `done`. A commit may be gone as soon as its done was called, or its list posted. */
static void tell(struct commit_list *members)
{
    struct mail mail[TELL_LOOPS];
    size_t n = 0;
    struct commit_list here;
    list_init(&here);
    while (members->n > 0) {
        struct kv_commit *c = list_pop(members);
        if (!c->done)
            continue;
        if (!c->loop) {
            list_add(&here, c);
            continue;
        }
        c->task = (struct task){.fn = commit_told};
        struct mail *m = mail_for(mail, &n, c->loop);
        if (!m) {
            loop_post(c->loop, &c->task);
            continue;
        }
        if (m->last)
            m->last->next = &c->task;
        else
            m->first = &c->task;
        m->last = &c->task;
    }
    for (size_t i = 0; i < n; i++)
        loop_post_list(mail[i].loop, mail[i].first, mail[i].last);
    while (here.n > 0) {
        struct kv_commit *c = list_pop(&here);
        c->done(c->ctx, c->outcome);
    }
}

#define LOOK_MS 1000 /* between two looks of an idle committer whether something failed beside it */

/* --- batches
 * ------------------------------------------------------------------------------------------------------ */

/* Did the implementation fail in a thread of its own? Then writing tells whether it can go on: an idle store has to say so,
 * too. The row is never there. */
static void look(struct kv *kv)
{
    uint64_t n = kv->backend->trouble(kv->self);
    struct err e = {0};
    struct kv_op op = {.kind = KV_OP_DEL, .space = KV_META, .key = STR("mprobe")};
    if (n == kv->trouble || kv->read_only || atomic_load(&kv->failed))
        return;
    kv->trouble = n;
    if (!kv->backend->write(kv->self, &op, 1, false, &e))
        kv_refuse(kv, &e);
}

/* kv->mutex held. False: nothing came for a while. */
static bool wait_for_work(struct kv *kv)
{
    bool came = true;
    kv->asleep = true;
    if (kv->backend->trouble)
        came = cond_wait_until(&kv->work, &kv->mutex, clock_mono_ms() + LOOK_MS);
    else
        cond_wait(&kv->work, &kv->mutex);
    kv->asleep = false;
    return came;
}

/* Takes over what has been queued. `wait`: until there is something. False when nothing is left and nothing
 * will come. */
static bool collect(struct kv *kv, bool wait)
{
    mutex_lock(&kv->mutex);
    bool idle = kv->waiting_closures.n + kv->waiting_plains.n == 0;
    while (wait && idle && kv->closures.n + kv->plains.n == 0 && !kv->closing) {
        if (wait_for_work(kv))
            continue;
        mutex_unlock(&kv->mutex);
        look(kv);
        mutex_lock(&kv->mutex);
    }
    list_move(&kv->waiting_closures, &kv->closures);
    list_move(&kv->waiting_plains, &kv->plains);
    bool any = kv->waiting_closures.n + kv->waiting_plains.n > 0;
    mutex_unlock(&kv->mutex);
    return any;
}

void kv_refuse(struct kv *kv, const struct err *why)
{
    mutex_lock(&kv->mutex);
    bool first = !atomic_load(&kv->failed);
    if (first)
        kv->why = *why;
    atomic_store(&kv->failed, true);
    mutex_unlock(&kv->mutex);
    if (!first)
        return;
    log_error("kv",
              "the store cannot be written and refuses every change until the server is restarted: %s. Reads "
              "go on. "
              "Check the disk (space, dmesg), then restart; belfry check verifies the store",
              why->text);
}

static bool is_full(const struct kv *kv, const struct kv_commit *next, bool plain)
{
    const struct kv_batch *b = &kv->batch;
    return kv->members.n >= KV_BATCH_COMMITS || b->rows >= (plain ? KV_PLAIN_ROWS : KV_BATCH_ROWS) ||
           (kv->members.n > 0 && b->bytes + next->bytes > KV_BATCH_BYTES);
}

/* Runs one closure; true when it wants the batch synced. */
static bool run_one(struct kv *kv, struct kv_commit *c, bool plain)
{
    list_add(&kv->members, c);
    if (c->outcome == KV_FAILED || atomic_load(&kv->failed)) {
        c->outcome = KV_FAILED;
        return false;
    }
    struct kv_txn t = {.kv = kv, .batch = &kv->batch, .plain = plain};
    bool ok = c->fn(&t, c->ctx);
    if (!ok && t.wrote)
        BUG("a closure aborts after its first write");
    c->outcome = ok ? KV_COMMITTED : KV_ABORTED;
    if (ok)
        kv->delta.commits++;
    else
        kv->delta.aborts++;
    return ok && !(c->flags & KV_NOSYNC);
}

/* Writes what the members left in the batch. */
static bool write_batch(struct kv *kv, bool sync, bool plain, struct err *e)
{
    struct kv_batch *b = &kv->batch;
    if (b->broken) {
        *e = b->why;
        return false;
    }
    if (kv->delta.commits == 0)
        return true;
    txn_finish_batch(kv, plain);
    if (b->n_ops == 0)
        return true;
#ifdef BELFRY_MUTATE_NO_SYNC_COMMIT
    sync = false;
#endif
    crash_point(plain ? CRASH_PLAIN_BEFORE_WRITE : CRASH_BATCH_BEFORE_WRITE);
    if (!kv->backend->write(kv->self, b->ops, b->n_ops, sync, e))
        return false;
    crash_point(plain ? CRASH_PLAIN_WRITTEN : CRASH_BATCH_WRITTEN);
    kv->delta.batches = 1;
    kv->delta.syncs = sync;
    kv->delta.rows = b->n_ops;
    kv->delta.bytes = b->bytes;
    return true;
}

static void publish_stats(struct kv *kv)
{
    struct kv_stats *s = &kv->stats, *d = &kv->delta;
    mutex_lock(&kv->mutex);
    s->batches += d->batches;
    s->syncs += d->syncs;
    s->commits += d->commits;
    s->aborts += d->aborts;
    s->rows += d->rows;
    s->bytes += d->bytes;
    s->last_sequence = kv->last_sequence;
    s->waiting -= kv->members.n;
    mutex_unlock(&kv->mutex);
    *d = (struct kv_stats){0};
}

static void end_batch(struct kv *kv, bool sync, bool plain)
{
    struct kv_batch *b = &kv->batch;
    struct err e = {0};
    if (write_batch(kv, sync, plain, &e)) {
        for (size_t i = 0; i < b->n_hooks; i++)
            b->hooks[i].fn(b->hooks[i].arg);
    } else {
        /* An abort counts too: what it read may have been written by a member that failed. */
        kv->delta = (struct kv_stats){0};
        for (struct kv_commit *c = kv->members.first; c; c = c->next)
            c->outcome = KV_FAILED;
        kv_refuse(kv, &e);
    }
    publish_stats(kv);
    batch_reset(b);
    tell(&kv->members);
}

static void run_batch(struct kv *kv, struct commit_list *list, bool plain)
{
    if (list->n == 0)
        return;
    bool sync = false, full = false;
    /* What arrives while the closures run may still join. */
    do {
        while (list->n > 0 && !(full = is_full(kv, list->first, plain)))
            sync |= run_one(kv, list_pop(list), plain);
    } while (!full && collect(kv, false) && list->n > 0);
    end_batch(kv, sync, plain);
}

static void *committer(void *arg)
{
    struct kv *kv = arg;
    while (collect(kv, true)) {
        run_batch(kv, &kv->waiting_plains, true);
        run_batch(kv, &kv->waiting_closures, false);
    }
    return NULL;
}

/* --- from other threads
 * ------------------------------------------------------------------------------------------- */

void kv_commit(struct kv *kv, struct kv_commit *c)
{
    mutex_lock(&kv->mutex);
    c->outcome = kv->closing || kv->read_only ? KV_FAILED : KV_COMMITTED;
    list_add(c->flags & KV_PLAIN ? &kv->plains : &kv->closures, c);
    kv->stats.waiting++;
    bool wake = kv->asleep;
    kv->asleep = false;
    mutex_unlock(&kv->mutex);
    /* After the unlock: a committer that wakes into a held mutex goes back to sleep, which costs two switches. */
    if (wake)
        cond_signal(&kv->work);
}

struct waiter {
    struct kv *kv;
    struct kv_commit commit;
    bool told;
    void *ctx;
    bool (*fn)(struct kv_txn *t, void *ctx);
};

static bool waiter_run(struct kv_txn *t, void *ctx)
{
    struct waiter *w = ctx;
    return w->fn(t, w->ctx);
}

static void waiter_done(void *ctx, enum kv_outcome outcome)
{
    struct waiter *w = ctx;
    struct kv *kv = w->kv;
    (void)outcome; /* it is in w->commit as well */
    mutex_lock(&kv->mutex);
    w->told = true;
    cond_broadcast(&kv->waited);
    mutex_unlock(&kv->mutex);
}

enum kv_outcome kv_commit_wait(struct kv *kv, bool (*fn)(struct kv_txn *t, void *ctx), void *ctx,
                               unsigned flags)
{
    BUG_ON(pthread_equal(pthread_self(), kv->thread));
    struct waiter w = {.kv = kv, .fn = fn, .ctx = ctx};
    w.commit = (struct kv_commit){.fn = waiter_run, .done = waiter_done, .ctx = &w, .flags = flags};
    kv_commit(kv, &w.commit);
    mutex_lock(&kv->mutex);
    while (!w.told)
        cond_wait(&kv->waited, &kv->mutex);
    mutex_unlock(&kv->mutex);
    return w.commit.outcome;
}

bool kv_failed(struct kv *kv, struct err *why)
{
    if (!atomic_load(&kv->failed))
        return false;
    mutex_lock(&kv->mutex);
    if (why)
        *why = kv->why;
    mutex_unlock(&kv->mutex);
    return true;
}

void kv_get_stats(struct kv *kv, struct kv_stats *out)
{
    mutex_lock(&kv->mutex);
    *out = kv->stats;
    out->damaged = atomic_load(&kv->damaged);
    mutex_unlock(&kv->mutex);
}

/* --- life
 * ---------------------------------------------------------------------------------------------------------
 */

static bool read_high_water(struct kv *kv, struct err *e)
{
#ifndef BELFRY_MUTATE_NO_HIGH_WATER
    struct kv_value v = {0};
    switch (kv->backend->get(kv->self, KV_META, KV_HIGH_WATER, 0, &v, e)) {
    case KV_MISSING:
        return true;
    case KV_FOUND:
        break;
    default:
        return false;
    }
    struct str in = v.data;
    bool ok =
        (take_be64(&in, &kv->last_sequence) && in.n == 0) || err_set(e, "the high-water row is malformed");
    kv_value_release(&v);
    kv->stats.last_sequence = kv->last_sequence;
    return ok;
#else
    (void)kv;
    (void)e;
    return true;
#endif
}

struct kv *kv_start(const struct kv_backend *backend, void *self, bool read_only, struct err *e)
{
    struct kv *kv = x_calloc(1, sizeof(*kv));
    kv->backend = backend;
    kv->self = self;
    kv->read_only = read_only;
    if (!read_high_water(kv, e)) {
        backend->close(self);
        free(kv);
        return NULL;
    }
    mutex_init(&kv->mutex, RANK_COMMITTER);
    cond_init(&kv->work);
    cond_init(&kv->waited);
    list_init(&kv->closures);
    list_init(&kv->plains);
    list_init(&kv->waiting_closures);
    list_init(&kv->waiting_plains);
    list_init(&kv->members);
    batch_init(&kv->batch);
    kv->thread = thread_start("committer", committer, kv);
    return kv;
}

void kv_close(struct kv *kv)
{
    if (!kv)
        return;
    mutex_lock(&kv->mutex);
    kv->closing = true;
    cond_signal(&kv->work);
    mutex_unlock(&kv->mutex);
    thread_join(kv->thread);
#ifndef BELFRY_MUTATE_NO_SYNC_CLOSE
    struct err e = {0};
    if (!kv->read_only && !atomic_load(&kv->failed) && !kv->backend->sync(kv->self, &e))
        log_error("kv", "the last sync failed: %s", e.text);
#endif
    kv->backend->close(kv->self);
    batch_release(&kv->batch);
    cond_release(&kv->waited);
    cond_release(&kv->work);
    mutex_release(&kv->mutex);
    free(kv);
}
