/* SPDX-License-Identifier: Apache-2.0
 *
 * From settings to senders: which targets there are, under which numbers, and how one set of them follows another while
 * events are queued and sent.
 *
 * A new set is made beside the old one and takes its place on the committer's thread, between two batches: so every closure
 * sees one of them, the whole of it, and its generation with it. Then the senders that are not in the new set any more are
 * stopped, and only then those that are new begin to read: one number has one sender at a time, and the second begins where
 * the first one ended. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"
#include "event/delivery_impl.h"

/* What a send at hand may take before its sender is replaced; what is unclear then is sent again. */
#define REPLACE_MS 3000

/* --- numbers ------------------------------------------------------------------------------------------------------ */

struct numbering {
    struct str type, id;
    uint32_t number;
    bool damaged;
};

static bool get_number(struct kv_txn *t, struct str key, uint32_t *out, bool *damaged)
{
    struct kv_value v = {0};
    enum kv_result r = kv_txn_get(t, KV_META, key, &v);
    if (r == KV_MISSING)
        return false;
    struct str in = v.data;
    if (r != KV_FOUND || !take_be32(&in, out) || *out == 0)
        *damaged = true;
    if (r == KV_FOUND)
        kv_value_release(&v);
    return !*damaged;
}

/* The number of a type and id: the one it has had before, or the next. */
static bool number_txn(struct kv_txn *t, void *ctx)
{
    struct numbering *n = ctx;
    struct buf key, value;
    uint32_t last = 0;
    buf_init(&key, 4096);
    buf_init(&value, 4);
    target_number_key(&key, n->type, n->id);
    bool write = !get_number(t, buf_view(&key), &n->number, &n->damaged) && !n->damaged;
    if (write) {
        (void)get_number(t, TARGET_LAST_NUMBER_KEY, &last, &n->damaged);
        write = !n->damaged;
    }
    if (write) {
        n->number = last + 1;
        buf_be32(&value, n->number);
        kv_txn_put(t, KV_META, buf_view(&key), buf_view(&value));
        kv_txn_put(t, KV_META, TARGET_LAST_NUMBER_KEY, buf_view(&value));
    }
    buf_release(&key);
    buf_release(&value);
    return write;
}

static bool give_number(struct delivery *d, struct numbering *n, struct err *e)
{
    enum kv_outcome o = kv_commit_wait(d->kv, number_txn, n, 0);
    if (o == KV_COMMITTED)
        crash_point(CRASH_TARGET_NUMBERED);
    if (o == KV_FAILED)
        return kv_failed(d->kv, e) ? false : err_set(e, "the store takes no changes");
    return !n->damaged ||
           err_set(e, "the row of target %.*s:%.*s is damaged", STR_FMT(n->id), STR_FMT(n->type));
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

bool target_settings(struct delivery *d, const struct config_stored *st, const struct target_type *type,
                     struct str id, struct arena *a, struct target_common **out, struct err *e)
{
    struct target_common *conf = *out = arena_zalloc(a, type->conf_size);
    bool on, ok = config_load_from(st, type->subsys, type->keys, id, conf, a, e);
    conf->ca_pem = arena_dup(a, d->ca_pem);
    return config_enabled(st, type->subsys, id, &on, e) && ok && type->check(conf, e);
}

/* Settings of a sender's target, and its instance. False and err: it stays without one. */
static bool configure(struct delivery *d, const struct config_stored *st, struct sender *s, struct err *e)
{
    struct target_common *conf;
    bool ok = target_settings(d, st, s->type, s->id, &s->arena, &conf, e);
    s->conf = conf;
    s->dead_limit = conf->dead_letter_limit > 0 ? conf->dead_letter_limit : d->dead_letter_limit;
    if (!ok)
        return false;
    sender_set_batch(s, s->type->places ? s->type->places(conf) : s->type->max_batch);
    s->self = s->type->open(conf, s->id.p, e);
    if (s->self && s->type->meanwhile)
        s->type->meanwhile(s->self, (struct meanwhile){queue_read_ahead, s});
    return s->self != NULL;
}

/* Everything that a sender is made from: its settings, and the certificates that it trusts. */
static void fingerprint(const struct delivery *d, const struct config_stored *st,
                        const struct target_type *type, struct str id, struct buf *b)
{
    uint8_t sum[SHA256_LEN];
    hash_sha256(d->ca_pem, sum);
    buf_init(b, 4u << 20);
    config_fingerprint(st, type->subsys, type->keys, id, b);
    buf_str(b, str_n((const char *)sum, sizeof(sum)));
}

/* --- a set of targets --------------------------------------------------------------------------------------------- */

static struct sender *find(const struct roster *r, const struct target_type *type, struct str id)
{
    for (size_t i = 0; i < r->n_senders; i++)
        if (r->senders[i]->type == type && str_eq(r->senders[i]->id, id))
            return r->senders[i];
    return NULL;
}

static bool is_in(const struct roster *r, const struct sender *s)
{
    return s->number <= r->max_number && r->by_number[s->number] == s;
}

static void add(struct roster *r, struct sender *s)
{
    r->senders = x_realloc(r->senders, (r->n_senders + 1) * sizeof(*r->senders));
    r->senders[r->n_senders++] = s;
}

static bool may_be_added(const struct roster *r, const struct target_type *type, struct str id)
{
    if (!config_id_ok(id)) {
        log_error(
            "event",
            "%s: a target cannot be called '%.*s': up to 64 letters, digits, _ - and . may be used; it is "
            "ignored",
            type->subsys, (int)(id.n < 80 ? id.n : 80), id.p);
        return false;
    }
    if (r->n_senders == TARGETS_MAX) {
        log_error("event", "%s:%.*s is ignored: at most %d targets can be enabled", type->subsys, STR_FMT(id),
                  TARGETS_MAX);
        return false;
    }
    return true;
}

static bool make_sender(struct delivery *d, const struct config_stored *st, struct roster *r,
                        const struct target_type *type, struct str id, struct str print, struct err *e)
{
    struct err bad = {0};
    struct numbering n = {.type = str_c(type->name), .id = id};
    if (!give_number(d, &n, e))
        return false;
    struct sender *s = sender_new(d, d->kv, type, id, n.number);
    s->fingerprint = arena_dup(&s->arena, print);
    add(r, s);
    if (!configure(d, st, s, &bad))
        sender_unfit(s, bad.text);
    return true;
}

/* The sender that there is, when nothing of its settings has changed; else a new one. */
static bool add_target(struct delivery *d, const struct config_stored *st, struct roster *r,
                       const struct target_type *type, struct str id, struct err *e)
{
    bool on;
    if ((config_enabled(st, type->subsys, id, &on, NULL) && !on) || !may_be_added(r, type, id))
        return true;
    struct buf print;
    fingerprint(d, st, type, id, &print);
    struct sender *s = find(&d->now, type, id);
    bool same = s && !print.failed && str_eq(s->fingerprint, buf_view(&print)), ok = true;
    if (same)
        add(r, s);
    else
        ok = make_sender(d, st, r, type, id, buf_view(&print), e);
    buf_release(&print);
    return ok;
}

static void number_senders(struct roster *r)
{
    for (size_t i = 0; i < r->n_senders; i++)
        if (r->senders[i]->number > r->max_number)
            r->max_number = r->senders[i]->number;
    r->by_number = x_calloc((size_t)r->max_number + 1, sizeof(*r->by_number));
    for (size_t i = 0; i < r->n_senders; i++)
        r->by_number[r->senders[i]->number] = r->senders[i];
}

/* Targets that have a number and are not enabled now. */
static bool find_orphans(struct delivery *d, struct roster *r, struct err *e)
{
    struct kv_scan *scan = kv_scan_open(d->kv, KV_META, TARGET_NUMBER_FIRST, TARGET_NUMBER_END);
    struct str key, value;
    while (kv_scan_next(scan, &key, &value)) {
        uint32_t number;
        ptrdiff_t colon = str_chr(key, ':');
        if (!take_be32(&value, &number) || colon < 1 ||
            (number <= r->max_number && r->by_number[number] != NULL))
            continue;
        struct orphan o = {.number = number};
        (void)snprintf(o.type, sizeof(o.type), "%.*s", (int)colon - 1, key.p + 1);
        (void)snprintf(o.id, sizeof(o.id), "%.*s", STR_FMT(str_from(key, (size_t)colon + 1)));
        r->orphans = x_realloc(r->orphans, (r->n_orphans + 1) * sizeof(*r->orphans));
        r->orphans[r->n_orphans++] = o;
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

bool roster_make(struct delivery *d, const struct config_stored *st, struct roster *r, struct err *e)
{
    struct arena a;
    bool ok = true;
    arena_init(&a);
    for (const struct target_type *const *type = target_types; ok && *type; type++) {
        struct str *ids;
        size_t n = config_ids(st, (*type)->subsys, &a, &ids);
        for (size_t i = 0; ok && i < n; i++)
            ok = add_target(d, st, r, *type, ids[i], e);
    }
    arena_release(&a);
    number_senders(r);
    return ok && find_orphans(d, r, e);
}

void roster_release(struct roster *r)
{
    free(r->senders);
    free(r->by_number);
    free(r->orphans);
    *r = (struct roster){0};
}

/* --- one set after another ---------------------------------------------------------------------------------------- */

struct switching {
    struct delivery *d;
    struct roster next; /* afterwards: the one before */
};

/* On the committer's thread. */
static void switch_over(void *arg)
{
    struct switching *w = arg;
    struct delivery *d = w->d;
    mutex_lock(&d->mutex);
    struct roster before = d->now;
    d->now = w->next;
    w->next = before;
    atomic_fetch_add(&d->generation, 1);
    mutex_unlock(&d->mutex);
}

static bool switch_txn(struct kv_txn *t, void *ctx)
{
    kv_txn_on_commit(t, switch_over, ctx);
    return true;
}

/* Ends the senders of `before` that have no place any more. They are not freed: their successors want their numbers. */
static void stop_former(struct delivery *d, const struct roster *before)
{
    int64_t deadline = clock_mono_ms() + REPLACE_MS;
    for (size_t i = 0; i < before->n_senders; i++)
        if (!is_in(&d->now, before->senders[i]))
            sender_ask_stop(before->senders[i], deadline);
    for (size_t i = 0; i < before->n_senders; i++)
        if (!is_in(&d->now, before->senders[i]) && !sender_join(before->senders[i], deadline + LEAVE_MS))
            log_warn(before->senders[i]->label,
                     "it does not end: does the disk of its queue_dir hang? Who comes after it waits");
}

/* Who has the queue of s and has not ended: the sender before it, or one that this one waits for. */
static struct sender *former_of(const struct delivery *d, const struct roster *before, const struct sender *s)
{
    struct sender *from = before ? find(before, s->type, s->id) : NULL;
    if (from && from->running)
        return from;
    for (size_t i = 0; i < d->n_leaving; i++)
        if (d->leaving[i]->running && d->leaving[i]->number == s->number)
            return d->leaving[i];
    return NULL;
}

bool roster_start(struct delivery *d, const struct roster *before, int64_t span_ms, struct err *e)
{
    int64_t until = clock_mono_ms() + span_ms;
    bool ok = true;
    for (size_t i = 0; i < d->now.n_senders; i++)
        if (!before || !is_in(before, d->now.senders[i]))
            sender_start(d->now.senders[i], former_of(d, before, d->now.senders[i]));
    for (size_t i = 0; i < d->now.n_senders; i++) {
        if ((before && is_in(before, d->now.senders[i])) || sender_prepared(d->now.senders[i], until, e))
            continue;
        sender_offline(d->now.senders[i], e->text);
        ok = false;
    }
    return ok;
}

static void inherit(struct sender *s, const struct sender *from)
{
    atomic_fetch_add(&s->accepted, atomic_load(&from->accepted));
    atomic_fetch_add(&s->sent, atomic_load(&from->sent));
    atomic_fetch_add(&s->retries, atomic_load(&from->retries));
    atomic_fetch_add(&s->rejected, atomic_load(&from->rejected));
    atomic_fetch_add(&s->dropped, atomic_load(&from->dropped));
}

/* Nobody else changes the set, so it may be read without the mutex. */
static bool begin_new(struct delivery *d, const struct roster *before, struct err *e)
{
    bool ok = true;
    for (size_t i = 0; i < d->now.n_senders; i++) {
        struct sender *s = d->now.senders[i], *from = find(before, s->type, s->id);
        if (from && from != s)
            inherit(s, from);
        ok = (from == s || sender_load(s, e)) && ok;
    }
    ok = roster_start(d, before, REPLACE_MS, e) && ok;
    for (size_t i = 0; i < d->now.n_senders; i++) {
        struct sender *s = d->now.senders[i], *from = find(before, s->type, s->id);
        if (from == s)
            continue;
        log_info(s->label,
                 from ? "its settings have changed, %lld events queued" : "enabled, %lld events queued",
                 (long long)sender_queued(s));
        if (d->running)
            sender_go(s);
    }
    return ok;
}

static void leave(struct delivery *d, struct sender *s)
{
    d->leaving = x_realloc(d->leaving, (d->n_leaving + 1) * sizeof(struct sender *));
    d->leaving[d->n_leaving++] = s;
}

static void free_former(struct delivery *d, struct roster *before)
{
    for (size_t i = 0; i < before->n_senders; i++) {
        struct sender *s = before->senders[i];
        if (is_in(&d->now, s))
            continue;
        if (!find(&d->now, s->type, s->id))
            log_info(s->label, "not enabled any more, %lld events stay queued", (long long)sender_queued(s));
        if (s->running)
            leave(d, s);
        else
            sender_free(s);
    }
    roster_release(before);
}

static bool is_awaited(const struct delivery *d, const struct sender *s)
{
    bool awaited = false;
    for (size_t i = 0; i < d->now.n_senders; i++)
        awaited |= atomic_load(&d->now.senders[i]->former) == s;
    for (size_t i = 0; i < d->n_leaving; i++)
        awaited |= atomic_load(&d->leaving[i]->former) == s;
    return awaited;
}

/* Those that have ended meanwhile. */
static void free_left(struct delivery *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n_leaving; i++) {
        struct sender *s = d->leaving[i];
        if (is_awaited(d, s) || !sender_join(s, clock_mono_ms()))
            d->leaving[kept++] = s;
        else
            sender_free(s);
    }
    d->n_leaving = kept;
}

static bool same_senders(const struct roster *a, const struct roster *b)
{
    bool same = a->n_senders == b->n_senders;
    for (size_t i = 0; same && i < a->n_senders; i++)
        same = a->senders[i] == b->senders[i];
    return same;
}

/* What was made for a set that did not come to be. */
static void drop_new(struct delivery *d, struct roster *r)
{
    for (size_t i = 0; i < r->n_senders; i++)
        if (!find(&d->now, r->senders[i]->type, r->senders[i]->id) || !is_in(&d->now, r->senders[i]))
            sender_free(r->senders[i]);
    roster_release(r);
}

static bool reconfigure(struct delivery *d, const struct config_stored *st, struct err *e)
{
    struct switching w = {.d = d};
    free_left(d);
    bool ok = roster_make(d, st, &w.next, e);
    if (!ok || same_senders(&d->now, &w.next)) {
        drop_new(d, &w.next);
        return ok;
    }
    if (kv_commit_wait(d->kv, switch_txn, &w, KV_NOSYNC) != KV_COMMITTED) {
        drop_new(d, &w.next);
        return kv_failed(d->kv, e) ? false : err_set(e, "the store takes no changes");
    }
    crash_point(CRASH_TARGETS_SWITCHED);
    stop_former(d, &w.next);
    crash_point(CRASH_TARGETS_STOPPED);
    ok = begin_new(d, &w.next, e);
    free_former(d, &w.next);
    return ok;
}

bool delivery_reconfigure(struct delivery *d, const struct config_stored *settings, struct err *e)
{
    mutex_lock(&d->change);
    bool ok = d->stopped || reconfigure(d, settings, e);
    mutex_unlock(&d->change);
    return ok;
}
