/* SPDX-License-Identifier: Apache-2.0
 *
 * The set of targets: their numbers, settings and senders, from start to stop. */
#include "event/delivery_impl.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define CA_FILE_MAX (1u << 20)

struct sender *delivery_sender(const struct delivery *d, uint32_t number)
{
    return number <= d->max_number ? d->by_number[number] : NULL;
}

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
    if (o == KV_FAILED)
        return kv_failed(d->kv, e) ? false : err_set(e, "the store takes no changes");
    return !n->damaged ||
           err_set(e, "the row of target %.*s:%.*s is damaged", STR_FMT(n->id), STR_FMT(n->type));
}

/* --- settings ----------------------------------------------------------------------------------------------------- */

/* Ids end up in ARNs, folders and rows. */
static bool id_ok(struct str id)
{
    if (id.n == 0 || id.n > 64)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
              c == '-' || (c == '.' && i > 0)))
            return false;
    }
    return true;
}

bool delivery_configure(struct delivery *d, struct sender *s, bool enabled_ok, struct err *e)
{
    struct target_common *conf = arena_zalloc(&s->arena, s->type->conf_size);
    struct err load = {0};
    s->conf = conf;
    bool ok = config_load(s->type->subsys, s->type->keys, s->id, conf, &s->arena, enabled_ok ? e : &load);
    conf->ca_pem = d->ca_pem;
    s->dead_limit = conf->dead_letter_limit > 0 ? conf->dead_letter_limit : d->dead_letter_limit;
    if (!enabled_ok || !ok || !s->type->check(conf, e))
        return false;
    if (conf->queue_dir[0] && !queue_dir_make(conf->queue_dir, e))
        return false;
    s->self = s->type->open(conf, s->id.p, e);
    return s->self != NULL;
}

static bool add_sender(struct delivery *d, const struct target_type *type, struct str id, struct err *e)
{
    bool on;
    struct err bad = {0};
    bool enabled_ok = config_env_enabled(type->subsys, id, &on, &bad);
    if (enabled_ok && !on)
        return true;
    if (!id_ok(id)) {
        log_error(
            "event",
            "%s: a target cannot be called '%.*s': up to 64 letters, digits, _ - and . may be used; it is "
            "ignored",
            type->subsys, (int)(id.n < 80 ? id.n : 80), id.p);
        return true;
    }
    if (d->n_senders == TARGETS_MAX) {
        log_error("event", "%s:%.*s is ignored: at most %d targets can be enabled", type->subsys, STR_FMT(id),
                  TARGETS_MAX);
        return true;
    }
    struct numbering n = {.type = str_c(type->name), .id = id};
    if (!give_number(d, &n, e))
        return false;
    struct sender *s = sender_new(d, d->kv, type, id, n.number);
    d->senders = x_realloc(d->senders, (d->n_senders + 1) * sizeof(*d->senders));
    d->senders[d->n_senders++] = s;
    if (!delivery_configure(d, s, enabled_ok, &bad)) {
        s->status = TARGET_BROKEN;
        (void)snprintf(s->reason, sizeof(s->reason), "%.*s", (int)sizeof(s->reason) - 1, bad.text);
        log_error(
            s->label,
            "its settings are wrong, nothing is sent; its events are queued until they are right and the "
            "server is started again: %s",
            bad.text);
    }
    return true;
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

/* The certificates in certs-dir/CAs, one after the other. */
static void read_cas(struct delivery *d, const char *certs_dir)
{
    struct buf all;
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/CAs", certs_dir);
    DIR *dir = opendir(path);
    if (!dir)
        return;
    buf_init(&all, CA_FILE_MAX);
    for (struct dirent *f; (f = readdir(dir));) {
        int n = snprintf(path, sizeof(path), "%s/CAs/%s", certs_dir, f->d_name);
        if (f->d_name[0] != '.' && n > 0 && (size_t)n < sizeof(path))
            read_ca_file(&all, path);
    }
    (void)closedir(dir);
    if (all.failed)
        log_warn("event", "%s/CAs holds more than %u bytes: not all of its certificates are trusted",
                 certs_dir, CA_FILE_MAX);
    d->ca_pem = arena_dup(&d->arena, buf_view(&all));
    buf_release(&all);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* Targets that have a number and are not enabled now. */
static bool find_orphans(struct delivery *d, struct err *e)
{
    struct kv_scan *scan = kv_scan_open(d->kv, KV_META, TARGET_NUMBER_FIRST, TARGET_NUMBER_END);
    struct str key, value;
    while (kv_scan_next(scan, &key, &value)) {
        uint32_t number;
        ptrdiff_t colon = str_chr(key, ':');
        if (!take_be32(&value, &number) || colon < 1 || delivery_sender(d, number))
            continue;
        struct str type = arena_dup(&d->arena, str_n(key.p + 1, (size_t)colon - 1));
        d->orphans = x_realloc(d->orphans, (d->n_orphans + 1) * sizeof(*d->orphans));
        d->orphans[d->n_orphans++] =
            (struct orphan){arena_dup(&d->arena, str_from(key, (size_t)colon + 1)), type, number};
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

static void number_senders(struct delivery *d)
{
    for (size_t i = 0; i < d->n_senders; i++)
        if (d->senders[i]->number > d->max_number)
            d->max_number = d->senders[i]->number;
    d->by_number = x_calloc((size_t)d->max_number + 1, sizeof(*d->by_number));
    for (size_t i = 0; i < d->n_senders; i++)
        d->by_number[d->senders[i]->number] = d->senders[i];
}

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
    for (size_t i = 0; i < d->n_senders; i++) {
        struct sender *s = d->senders[i];
        int64_t rows = sender_queued(s);
        if (rows > 0)
            log_info(s->label, "%lld events queued", (long long)rows);
    }
    for (size_t i = 0; i < d->n_orphans; i++) {
        const struct orphan *o = &d->orphans[i];
        int64_t rows = rows_of(d->kv, outbox_counter_key(o->number), NULL);
        if (rows > 0)
            log_warn("event",
                     "%lld events are queued for %.*s:%.*s, which is not enabled: they stay until it is "
                     "enabled again",
                     (long long)rows, STR_FMT(o->type), STR_FMT(o->id));
    }
}

struct delivery *delivery_open(struct kv *kv, const struct delivery_options *o, struct err *e)
{
    struct delivery *d = x_calloc(1, sizeof(*d));
    d->kv = kv;
    arena_init(&d->arena);
    d->region = arena_dup(&d->arena, o->region);
    d->dead_letter_limit = o->dead_letter_limit > 0 ? o->dead_letter_limit : 100000;
    atomic_store(&d->generation, 1);
    if (o->certs_dir)
        read_cas(d, o->certs_dir);
    bool ok = true;
    for (const struct target_type *const *type = target_types; ok && *type; type++) {
        struct str *ids;
        size_t n = config_env_ids((*type)->subsys, &d->arena, &ids);
        for (size_t i = 0; ok && i < n; i++)
            ok = add_sender(d, *type, ids[i], e);
    }
    number_senders(d);
    ok = ok && find_orphans(d, e);
    for (size_t i = 0; ok && i < d->n_senders; i++)
        ok = queue_dir_take(d->senders[i], e) && sender_load(d->senders[i], e);
    if (!ok) {
        delivery_free(d);
        return NULL;
    }
    tell_queued(d);
    return d;
}

void delivery_start(struct delivery *d)
{
    for (size_t i = 0; i < d->n_senders; i++)
        if (d->senders[i]->self)
            sender_start(d->senders[i]);
    d->running = true;
}

void delivery_stop(struct delivery *d, int64_t deadline_ms)
{
    if (!d || !d->running)
        return;
    for (size_t i = 0; i < d->n_senders; i++)
        sender_ask_stop(d->senders[i], deadline_ms);
    for (size_t i = 0; i < d->n_senders; i++)
        sender_join(d->senders[i]);
    d->running = false;
}

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    delivery_stop(d, clock_mono_ms());
    for (size_t i = 0; i < d->n_senders; i++)
        sender_free(d->senders[i]);
    free(d->senders);
    free(d->by_number);
    free(d->orphans);
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
    for (size_t i = 0; i < d->n_senders; i++) {
        const struct sender *s = d->senders[i];
        if (str_eq(s->id, id) && str_eq_c(type, s->type->name)) {
            *number = s->number;
            return true;
        }
    }
    return false;
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
    *out = ARENA_ARRAY(a, struct str, d->n_senders + 1);
    for (size_t i = 0; i < d->n_senders; i++)
        (*out)[i] = arena_printf(a, "arn:minio:sqs:%.*s:%.*s:%s", STR_FMT(d->region),
                                 STR_FMT(d->senders[i]->id), d->senders[i]->type->name);
    qsort(*out, d->n_senders, sizeof(**out), by_text);
    return d->n_senders;
}

static void fill_names(const struct delivery *d, struct str id, struct str type, uint32_t number,
                       struct target_info *out)
{
    *out = (struct target_info){.number = number, .status = TARGET_OFF};
    (void)snprintf(out->id, sizeof(out->id), "%.*s", STR_FMT(id));
    (void)snprintf(out->type, sizeof(out->type), "%.*s", STR_FMT(type));
    (void)snprintf(out->arn, sizeof(out->arn), "arn:minio:sqs:%.*s:%.*s:%.*s", STR_FMT(d->region),
                   STR_FMT(id), STR_FMT(type));
    out->queued = rows_of(d->kv, outbox_counter_key(number), &out->queued_bytes);
    out->dead_letters = rows_of(d->kv, dead_letter_counter_key(number), NULL);
}

static void fill_sender(struct sender *s, struct target_info *out)
{
    out->sent = atomic_load(&s->sent);
    out->retries = atomic_load(&s->retries);
    out->rejected = atomic_load(&s->rejected);
    out->dropped = atomic_load(&s->dropped);
    mutex_lock(&s->mutex);
    out->status = s->status;
    memcpy(out->reason, s->reason, sizeof(out->reason));
    mutex_unlock(&s->mutex);
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

size_t delivery_info(struct delivery *d, struct target_info *out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_senders && n < max; i++) {
        struct sender *s = d->senders[i];
        fill_names(d, s->id, str_c(s->type->name), s->number, &out[n]);
        fill_sender(s, &out[n]);
        mutex_lock(&s->mutex);
        uint64_t cursor = s->oldest;
        mutex_unlock(&s->mutex);
        if (out[n].queued > 0)
            out[n].oldest_ns = oldest_of(d, s->number, cursor);
        n++;
    }
    for (size_t i = 0; i < d->n_orphans && n < max; i++) {
        const struct orphan *o = &d->orphans[i];
        fill_names(d, o->id, o->type, o->number, &out[n]);
        if (out[n].queued == 0 && out[n].dead_letters == 0)
            continue;
        out[n].oldest_ns = oldest_of(d, o->number, 0);
        n++;
    }
    return n;
}
