/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: listed, shown, forgotten, queued again. One call looks at one target and at a bounded number of rows; its
 * reply says behind which number the next one goes on ("next"; none: that was all). */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"

#include "admin/asked.h"
#include "admin/truth.h"

#define LOOK_MAX 20000 /* rows of one call */

static void put_seq(struct buf *b, uint64_t seq)
{
    char text[16];
    hex_u64(seq, text);
    buf_put(b, text, sizeof text);
}

struct page {
    struct admin_req *r;
    struct asked_target target;
    struct asked_letters asked;
    uint64_t next;
    size_t looked;
    bool more;
    uint64_t *seqs; /* of those that match, malloc'd */
    size_t n;
    bool list; /* write them into the reply */
};

static bool page_open(struct admin_req *r, struct page *p)
{
    struct err e;
    *p = (struct page){.r = r};
    if (!admin_target(r, &p->target))
        return false;
    if (!asked_letters(&r->query, &p->asked, &e)) {
        admin_set_argument(r, &e);
        return false;
    }
    p->next = p->asked.after;
    if (p->asked.only)
        p->asked.after = p->asked.only - 1;
    p->seqs = x_calloc(p->asked.max + 1, sizeof *p->seqs);
    return true;
}

static void put_letter(struct buf *b, const struct asked_target *t, const struct dead_letter *l)
{
    char time[CLOCK_ISO_MS_LEN];
    clock_iso_ms(l->row.dead_ns, time);
    buf_puts(b, "{\"id\":\"");
    put_seq(b, l->seq);
    buf_puts(b, "\",\"target\":");
    json_quote(b, t->text);
    buf_printf(b, ",\"time\":\"%.*s\",\"event\":", CLOCK_ISO_MS_LEN, time);
    json_quote(b, l->row.name);
    buf_puts(b, ",\"bucket\":");
    json_quote(b, l->row.bucket);
    buf_puts(b, ",\"key\":");
    json_quote(b, l->row.key);
    buf_printf(b, ",\"attempts\":%u,\"reason\":", l->row.attempts);
    json_quote(b, l->row.reason);
}

static bool look_at(void *ctx, const struct dead_letter *l)
{
    struct page *p = ctx;
    if (p->n == p->asked.max || p->looked == LOOK_MAX || (p->asked.only && l->seq != p->asked.only)) {
        p->more = !p->asked.only;
        return false;
    }
    p->looked++;
    p->next = l->seq;
    if (!dead_filter_matches(&p->asked.filter, &l->row))
        return true;
    if (p->list) {
        if (p->n)
            buf_char(&p->r->out, ',');
        put_letter(&p->r->out, &p->target, l);
        buf_char(&p->r->out, '}');
    }
    p->seqs[p->n++] = l->seq;
    return true;
}

static bool look(struct page *p)
{
    struct err e;
    if (dead_letters_scan(store_kv(p->r->admin->o.s3->store), p->target.number, p->asked.after, look_at, p,
                          &e))
        return true;
    log_error("event", "dead letters of %.*s cannot be read: %s", STR_FMT(p->target.text), e.text);
    admin_set_error(p->r, ADMIN_INTERNAL, NULL);
    return false;
}

static void put_next(struct page *p)
{
    struct buf *b = &p->r->out;
    if (p->more) {
        buf_puts(b, ",\"next\":\"");
        put_seq(b, p->next);
        buf_char(b, '"');
    }
    buf_puts(b, "}\n");
}

void call_dead_letters(struct admin_req *r)
{
    struct page p;
    if (!page_open(r, &p))
        return;
    p.list = true;
    buf_puts(&r->out, "{\"deadLetters\":[");
    if (look(&p)) {
        buf_char(&r->out, ']');
        put_next(&p);
    }
    free(p.seqs);
}

/* --- one of them, with its record --- */

static bool show(void *ctx, const struct dead_letter *l)
{
    struct page *p = ctx;
    if (l->seq != p->asked.only)
        return false;
    p->n = 1;
    put_letter(&p->r->out, &p->target, l);
    buf_puts(&p->r->out, ",\"record\":");
    buf_str(&p->r->out, l->row.record);
    buf_puts(&p->r->out, "}\n");
    return false;
}

void call_dead_letter(struct admin_req *r)
{
    struct page p;
    struct err e;
    if (!page_open(r, &p))
        return;
    if (!p.asked.only)
        admin_set_error(r, ADMIN_ARGUMENT,
                        "id must name the dead letter: 16 hex digits, as a listing has them.");
    else if (!dead_letters_scan(store_kv(r->admin->o.s3->store), p.target.number, p.asked.after, show, &p,
                                &e))
        admin_set_error(r, ADMIN_INTERNAL, NULL);
    else if (!p.n)
        admin_set_error(r, ADMIN_NO_LETTER, NULL);
    free(p.seqs);
}

/* --- taking them out --- */

enum taken { TAKEN, TAKEN_GONE, TAKEN_OFF, TAKEN_FULL, TAKEN_DAMAGED, TAKEN_FAILED };

struct taking {
    struct page *page;
    struct truth_source source;
    struct arena arena;
    uint64_t seq;
    bool replay, as_is;
    enum taken result;
};

/* What a target that mirrors objects is to be told: the old event where it is still true, else what is. False: that cannot be
 * read. */
static bool tell_truth(struct kv_txn *t, struct taking *k, const struct outbox_row *old,
                       struct outbox_row *out)
{
    struct bucket bucket;
    struct object o;
    enum event_name name;
    enum store_result res = store_txn_bucket_find(t, old->bucket, &bucket);
    if (res == STORE_OK)
        res = store_txn_object_get(t, &bucket, old->key, &k->arena, &o);
    if (res != STORE_OK && res != STORE_MISSING)
        return false;
    bool there = res == STORE_OK, removed = event_name_parse(old->name, &name) && event_removes(name);
    bool holds = there ? !removed && truth_sequencer(old->record) == o.seq : removed;
    *out = holds ? *old
                 : truth_row(&k->source, &k->arena, old->bucket, old->key, there ? &o : NULL,
                             there ? o.seq : kv_txn_sequence(t));
    return true;
}

static enum taken requeue(struct kv_txn *t, struct taking *k, const struct outbox_row *old)
{
    struct delivery *d = k->page->r->admin->o.s3->delivery;
    uint32_t number = k->page->target.number;
    struct outbox_row row = *old;
    enum requeue may = outbox_txn_may_requeue(t, d, number, 1);
    if (may != REQUEUE_OK)
        return may == REQUEUE_OFF ? TAKEN_OFF : TAKEN_FULL;
    if (!k->as_is && delivery_mirrors(d, number) && !tell_truth(t, k, old, &row))
        return TAKEN_DAMAGED;
    outbox_txn_requeue(t, d, number, &row);
    return TAKEN;
}

static bool take_txn(struct kv_txn *t, void *ctx)
{
    struct taking *k = ctx;
    uint32_t number = k->page->target.number;
    struct outbox_row old;
    size_t size;
    enum kv_result r = dead_letter_txn_get(t, number, k->seq, &k->arena, &old, &size);
    k->result = r == KV_FOUND ? TAKEN : r == KV_MISSING ? TAKEN_GONE : TAKEN_DAMAGED;
    if (k->result == TAKEN && k->replay)
        k->result = requeue(t, k, &old);
    if (k->result == TAKEN)
        dead_letter_txn_drop(t, k->page->r->admin->o.s3->delivery, number, k->seq, size);
    return k->result == TAKEN;
}

/* Without a sync: after a power cut it would be a dead letter again, and is not lost. */
static enum taken take_one(struct taking *k, uint64_t seq)
{
    arena_init(&k->arena);
    k->seq = seq;
    if (kv_commit_wait(store_kv(k->page->r->admin->o.s3->store), take_txn, k, KV_NOSYNC) == KV_FAILED)
        k->result = TAKEN_FAILED;
    arena_release(&k->arena);
    return k->result;
}

/* Those of a page, until one cannot be taken; then what was taken before is said all the same, and the next call begins with
 * that one. */
static size_t take_all(struct page *p, struct taking *k, const char **stopped)
{
    static const char *const why[] = {[TAKEN_OFF] = "the target is not enabled",
                                      [TAKEN_FULL] = "the target's queue has reached its queue_limit",
                                      [TAKEN_FAILED] =
                                          "the store takes no changes; the server's log says why"};
    size_t done = 0;
    *stopped = NULL;
    for (size_t i = 0; i < p->n && !*stopped; i++) {
        enum taken r = take_one(k, p->seqs[i]);
        done += r == TAKEN;
        *stopped = why[r];
    }
    return done;
}

static void take(struct admin_req *r, bool replay)
{
    struct page p;
    const char *stopped = NULL;
    if (!page_open(r, &p))
        return;
    struct taking k = {
        .page = &p,
        .source = {r->admin->o.s3, r->id.access_key, str_c(r->http->peer_ip), "belfry dead-letter replay"},
        .replay = replay,
        .as_is = p.asked.as_is};
    if (replay && !p.target.enabled) {
        admin_set_error(r, ADMIN_TARGET_OFF, NULL);
    } else if (look(&p)) {
        size_t n = take_all(&p, &k, &stopped);
        log_info("event", "%zu dead letters of %.*s %s, as %.*s asked from %s", n, STR_FMT(p.target.text),
                 replay ? "queued again" : "dropped", STR_FMT(r->id.access_key), r->http->peer_ip);
        buf_printf(&r->out, "{\"%s\":%zu", replay ? "replayed" : "dropped", n);
        if (stopped)
            buf_printf(&r->out, ",\"stopped\":\"%s\"", stopped);
        p.more = p.more && !stopped;
        put_next(&p);
    }
    free(p.seqs);
}

void call_dead_letters_drop(struct admin_req *r)
{
    take(r, false);
}

void call_dead_letters_replay(struct admin_req *r)
{
    take(r, true);
}
