/* SPDX-License-Identifier: Apache-2.0
 *
 * The set of targets from start to stop, and what can be asked of it. */
#include "event/delivery_impl.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define CA_FILE_MAX   (1u << 20)
#define DISK_HANGS_MS 10000 /* a call to a disk that takes so long is shown */

struct sender *delivery_sender(const struct delivery *d, uint32_t number)
{
    return number <= d->now.max_number ? d->now.by_number[number] : NULL;
}

static void read_ca_file(struct buf *out, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        log_warn("event", "%s cannot be read: %m", path);
        return;
    }
    for (;;) {
        char *p = buf_reserve(out, 4096);
        size_t n = p ? fread(p, 1, 4096, f) : 0;
        if (n == 0)
            break;
        out->len += n;
    }
    (void)fclose(f);
    buf_char(out, '\n');
}

/* The certificates in certs-dir/CAs, one after the other; malloc'd. In one order, whatever the folder's: else what is the same
 * would look like something new. A folder that is not there has none. */
static struct str read_cas(const char *certs_dir)
{
    struct buf all;
    struct dirent **found = NULL;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/CAs", certs_dir);
    int count = scandir(path, &found, NULL, alphasort);
    buf_init(&all, CA_FILE_MAX);
    for (int i = 0; i < count; i++) {
        int n = snprintf(path, sizeof(path), "%s/CAs/%s", certs_dir, found[i]->d_name);
        if (found[i]->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(path))
            read_ca_file(&all, path);
        free(found[i]);
    }
    free(found);
    if (all.failed)
        log_warn("event", "%s/CAs holds more than %u bytes: not all of its certificates are trusted",
                 certs_dir, CA_FILE_MAX);
    struct str pem = str_n(str_dupz(buf_view(&all)), all.len);
    buf_release(&all);
    return pem;
}

size_t delivery_reload_cas(struct delivery *d)
{
    if (!d->certs_dir)
        return 0;
    struct str pem = read_cas(d->certs_dir);
    mutex_lock(&d->change);
    struct str before = d->ca_pem;
    d->ca_pem = pem;
    mutex_unlock(&d->change);
    free((char *)before.p);
    return pem.n;
}

/* --- life ---------------------------------------------------------------------------------------------------------- */

static int64_t rows_of(struct kv *kv, struct row_key k, int64_t *bytes)
{
    int64_t c[KV_COUNTERS] = {0};
    if (!kv_counters(kv, row_key_str(&k), c, NULL))
        return 0;
    if (bytes)
        *bytes = c[1];
    return c[0];
}

static void tell_queued(struct delivery *d)
{
    for (size_t i = 0; i < d->now.n_senders; i++) {
        struct sender *s = d->now.senders[i];
        int64_t rows = sender_queued(s);
        if (rows > 0)
            log_info(s->label, "%lld events queued", (long long)rows);
    }
    for (size_t i = 0; i < d->now.n_orphans; i++) {
        const struct orphan *o = &d->now.orphans[i];
        int64_t rows = rows_of(d->kv, outbox_counter_key(o->number), NULL);
        if (rows > 0)
            log_warn("event",
                     "%lld events are queued for %s:%s, which is not enabled: they stay until it is "
                     "enabled again",
                     (long long)rows, o->type, o->id);
    }
}

struct delivery *delivery_open(struct kv *kv, const struct delivery_options *o, struct err *e)
{
    struct delivery *d = x_calloc(1, sizeof(*d));
    d->kv = kv;
    arena_init(&d->arena);
    d->region = arena_dup(&d->arena, o->region);
    d->dead_letter_limit = o->dead_letter_limit > 0 ? o->dead_letter_limit : 100000;
    atomic_store(&d->disk_reserve, o->disk_reserve);
    atomic_store(&d->generation, 1);
    d->certs_dir = o->certs_dir;
    mutex_init(&d->change, RANK_DELIVERY_CHANGE);
    mutex_init(&d->mutex, RANK_DELIVERY);
    (void)delivery_reload_cas(d);
    bool ok = roster_make(d, o->settings, &d->now, e);
    for (size_t i = 0; ok && i < d->now.n_senders; i++)
        ok = sender_load(d->now.senders[i], e);
    if (!ok || !roster_start(d, NULL, PREPARE_MS, e)) {
        delivery_free(d);
        return NULL;
    }
    tell_queued(d);
    return d;
}

void delivery_set_reserve(struct delivery *d, int64_t bytes)
{
    atomic_store(&d->disk_reserve, bytes);
}

void delivery_start(struct delivery *d)
{
    mutex_lock(&d->change);
    for (size_t i = 0; i < d->now.n_senders; i++)
        sender_go(d->now.senders[i]);
    d->running = true;
    mutex_unlock(&d->change);
}

bool delivery_stop(struct delivery *d, int64_t deadline_ms)
{
    if (!d)
        return true;
    mutex_lock(&d->change); /* a change at hand takes seconds at most */
    d->stopped = true;
    for (size_t i = 0; i < d->now.n_senders; i++)
        sender_ask_stop(d->now.senders[i], deadline_ms);
    bool all = true;
    for (size_t i = 0; i < d->now.n_senders; i++)
        all = sender_join(d->now.senders[i], deadline_ms + LEAVE_MS) && all;
    for (size_t i = 0; i < d->n_leaving; i++)
        all = sender_join(d->leaving[i], deadline_ms + LEAVE_MS) && all;
    d->running = false;
    mutex_unlock(&d->change);
    return all;
}

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    while (!delivery_stop(d, clock_mono_ms())) /* its memory and the rows are still in use */
        continue;
    for (size_t i = 0; i < d->now.n_senders; i++)
        sender_free(d->now.senders[i]);
    for (size_t i = 0; i < d->n_leaving; i++)
        sender_free(d->leaving[i]);
    free(d->leaving);
    roster_release(&d->now);
    mutex_release(&d->mutex);
    mutex_release(&d->change);
    free((char *)d->ca_pem.p);
    arena_release(&d->arena);
    free(d);
}

/* --- asking ------------------------------------------------------------------------------------------------------- */

uint64_t delivery_generation(struct delivery *d)
{
    return atomic_load_explicit(&d->generation, memory_order_relaxed);
}

bool delivery_resolve(struct delivery *d, struct str id, struct str type, uint32_t *number)
{
    bool found = false;
    mutex_lock(&d->mutex);
    for (size_t i = 0; !found && i < d->now.n_senders; i++) {
        const struct sender *s = d->now.senders[i];
        found = str_eq(s->id, id) && str_eq_c(type, s->type->name);
        if (found)
            *number = s->number;
    }
    mutex_unlock(&d->mutex);
    return found;
}

bool delivery_knows(void *ctx, const struct arn *arn)
{
    uint32_t number;
    return delivery_resolve(ctx, arn->id, arn->type, &number);
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

size_t delivery_arns(struct delivery *d, struct arena *a, struct str **out)
{
    mutex_lock(&d->mutex);
    size_t n = d->now.n_senders;
    *out = ARENA_ARRAY(a, struct str, n + 1);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = arena_printf(a, "arn:minio:sqs:%.*s:%.*s:%s", STR_FMT(d->region),
                                 STR_FMT(d->now.senders[i]->id), d->now.senders[i]->type->name);
    mutex_unlock(&d->mutex);
    qsort(*out, n, sizeof(**out), by_text);
    return n;
}

static void fill_names(const struct delivery *d, struct str id, const char *type, uint32_t number,
                       struct target_info *out)
{
    *out = (struct target_info){.number = number, .status = TARGET_OFF};
    (void)snprintf(out->id, sizeof(out->id), "%.*s", STR_FMT(id));
    (void)snprintf(out->type, sizeof(out->type), "%s", type);
    (void)snprintf(out->arn, sizeof(out->arn), "arn:minio:sqs:%.*s:%.*s:%s", STR_FMT(d->region), STR_FMT(id),
                   type);
}

/* out->oldest_ns: of what it has in memory. */
static void fill_sender(struct sender *s, struct target_info *out, uint64_t *cursor)
{
    out->accepted = atomic_load(&s->accepted);
    out->sending = atomic_load(&s->sending);
    out->paused = atomic_load(&s->paused);
    out->rate = sender_rate(s);
    out->sent = atomic_load(&s->sent);
    out->retries = atomic_load(&s->retries);
    out->rejected = atomic_load(&s->rejected);
    out->dropped = atomic_load(&s->dropped);
    mutex_lock(&s->mutex);
    out->status = s->status;
    memcpy(out->reason, s->reason, sizeof(out->reason));
    *cursor = s->oldest;
    out->oldest_ns = (int64_t)s->oldest_event;
    memcpy(out->last_error, s->last_error, sizeof(out->last_error));
    out->since_ns = s->since_ns;
    out->last_error_ns = s->last_error_ns;
    mutex_unlock(&s->mutex);
    int64_t disk_ms = atomic_load(&s->disk_ms), now_ms = clock_mono_ms();
    if (disk_ms > 0 && now_ms - disk_ms >= DISK_HANGS_MS) {
        out->status = TARGET_OFFLINE;
        (void)snprintf(out->reason, sizeof(out->reason),
                       "the disk of its queue_dir has not answered for %lld s",
                       (long long)(now_ms - disk_ms) / 1000);
    }
}

/* The number of the oldest row is the time it was queued at. */
static int64_t oldest_of(const struct delivery *d, uint32_t number, uint64_t cursor)
{
    struct row_key first = outbox_key(number, cursor), end = outbox_key(number + 1, 0);
    struct kv_scan *scan = kv_scan_open(d->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    uint64_t seq = 0;
    if (kv_scan_next(scan, &key, &value))
        (void)outbox_key_seq(key, &seq);
    kv_scan_close(scan);
    return (int64_t)seq;
}

/* What is in memory; cursors[i]: where to look for the oldest row of out[i]. */
static size_t take_info(struct delivery *d, struct target_info *out, uint64_t *cursors, size_t max)
{
    size_t n = 0;
    mutex_lock(&d->mutex);
    for (size_t i = 0; i < d->now.n_senders && n < max; i++, n++) {
        struct sender *s = d->now.senders[i];
        fill_names(d, s->id, s->type->name, s->number, &out[n]);
        fill_sender(s, &out[n], &cursors[n]);
    }
    for (size_t i = 0; i < d->now.n_orphans && n < max; i++, n++) {
        const struct orphan *o = &d->now.orphans[i];
        fill_names(d, str_c(o->id), o->type, o->number, &out[n]);
        cursors[n] = 0;
    }
    mutex_unlock(&d->mutex);
    return n;
}

size_t delivery_info(struct delivery *d, struct target_info *out, size_t max)
{
    uint64_t *cursors = x_calloc(max + 1, sizeof(*cursors));
    size_t n = take_info(d, out, cursors, max), kept = 0;
    for (size_t i = 0; i < n; i++) { /* the rows, without the mutex: they may be on the disk */
        struct target_info info = out[i];
        info.queued = rows_of(d->kv, outbox_counter_key(info.number), &info.queued_bytes);
        info.dead_letters = rows_of(d->kv, dead_letter_counter_key(info.number), NULL);
        info.in_segments = rows_of(d->kv, segment_counter_key(info.number), NULL);
        info.lost = rows_of(d->kv, segment_lost_key(info.number), NULL);
        if (info.status == TARGET_OFF && info.queued == 0 && info.dead_letters == 0)
            continue;
        /* A segment's row has the number of its first event, which may have been delivered. */
        int64_t row = info.queued > 0 ? oldest_of(d, info.number, cursors[i]) : 0;
        info.oldest_ns = row > 0 && row < info.oldest_ns ? info.oldest_ns : row;
        out[kept++] = info;
    }
    free(cursors);
    return kept;
}
