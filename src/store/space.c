/* SPDX-License-Identifier: Apache-2.0
 *
 * Free space: whether data may still be added. The file system is asked at most every 250 ms while there is
 * room; what was admitted since is subtracted. Before anything is refused it is asked again. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "store/store_internal.h"

#define SPACE_AGE_MS     250
#define RECLAIM_EVERY_MS 4000
#define RECLAIM_PAUSE    10 /* times as long as it took */
#define SPACE_RESERVE    ((uint64_t)1 << 30)
#define SPACE_RESERVE_PC 5
/* What writing the rows out and compacting them may take for a while, so that it does not fail on a full disk: two memory
 * tables of each kind, and a level of tables beside the new one. */
#define SPACE_NEEDED ((uint64_t)256 << 20)

static uint64_t reserve_of(const struct store *s, uint64_t total)
{
    if (s->options.disk_reserve >= 0)
        return (uint64_t)s->options.disk_reserve;
    uint64_t part = total / 100 * SPACE_RESERVE_PC;
    if (part < SPACE_NEEDED)
        part = total / 2 < SPACE_NEEDED ? total / 2 : SPACE_NEEDED;
    return part < SPACE_RESERVE ? part : SPACE_RESERVE;
}

static void space_ask(struct store *s, int64_t max_age_ms)
{
    struct space *sp = &s->space;
    struct err e = {0};

    mutex_lock(&sp->mutex);
    int64_t now = clock_mono_ms();
    if (now - atomic_load(&sp->asked_ms) >= max_age_ms) {
        if (blobs_space(s->blobs, &sp->free, &sp->total, &e)) {
            sp->reserve = reserve_of(s, sp->total);
            int64_t free = (int64_t)(sp->free > INT64_MAX ? INT64_MAX : sp->free);
            int64_t reserve = (int64_t)(sp->reserve > INT64_MAX ? INT64_MAX : sp->reserve);
            atomic_store(&sp->room, free - reserve);
        } else {
            log_warn("store", "%s", e.text);
        }
        atomic_store(&sp->asked_ms, now);
    }
    mutex_unlock(&sp->mutex);
}

void space_init(struct store *s)
{
    atomic_store(&s->space.asked_ms, clock_mono_ms() - 2 * SPACE_AGE_MS);
    space_ask(s, 0);
}

void store_set_reserve(struct store *s, int64_t bytes)
{
    mutex_lock(&s->space.mutex);
    s->options.disk_reserve = bytes;
    mutex_unlock(&s->space.mutex);
    space_ask(s, 0);
}

static bool space_take(struct space *sp, uint64_t bytes)
{
    long long room = atomic_load(&sp->room);

    do {
        if (room < 0 || (uint64_t)room < bytes)
            return false;
    } while (!atomic_compare_exchange_weak(&sp->room, &room, room - (long long)bytes));
    return true;
}

static enum store_result full(struct store *s)
{
    mutex_lock(&s->space.mutex);
    uint64_t reserve = s->space.reserve;
    mutex_unlock(&s->space.mutex);
    log_warn("store", "the disk of %s is full up to its reserve of %llu MiB: what adds data is refused",
             s->folder.dir, (unsigned long long)(reserve >> 20));
    return STORE_FULL;
}

enum store_result store_admit(struct store *s, uint64_t bytes)
{
    if (kv_failed(s->kv, NULL) || blobs_failed(s->blobs, NULL))
        return STORE_FAILED;
    if (clock_mono_ms() - atomic_load(&s->space.asked_ms) >= SPACE_AGE_MS)
        space_ask(s, SPACE_AGE_MS);
    if (space_take(&s->space, bytes))
        return STORE_OK;
    space_ask(s, 1);
    return space_take(&s->space, bytes) ? STORE_OK : full(s);
}

enum store_result space_left(struct store *s)
{
    if (kv_failed(s->kv, NULL) || blobs_failed(s->blobs, NULL))
        return STORE_FAILED;
    space_ask(s, 1);
    return space_take(&s->space, 0) ? STORE_OK : full(s);
}

/* Writing rows out takes time from everybody, so it is done for a small part of the time. */
void space_reclaim(struct store *s)
{
    struct err e = {0};
    int64_t begun = clock_mono_ms();

    if (begun < s->space.reclaim_ms || kv_failed(s->kv, NULL))
        return;
    space_ask(s, SPACE_AGE_MS);
    if (atomic_load(&s->space.room) >= 0)
        return;
    if (!kv_reclaim(s->kv, &e))
        log_error("store", "no space comes back: %s", e.text);
    int64_t now = clock_mono_ms();
    s->space.reclaim_ms = now + RECLAIM_EVERY_MS + RECLAIM_PAUSE * (now - begun);
}

void store_bucket_usage(struct store *s, const struct bucket *b, uint64_t *objects, uint64_t *bytes)
{
    struct row_key k;
    int64_t c[KV_COUNTERS] = {0};
    (void)kv_counters(s->kv, row_key_id(&k, 'n', b->id), c, NULL);
    *objects = (uint64_t)c[0];
    *bytes = (uint64_t)c[1];
}

void store_get_stats(struct store *s, struct store_stats *out)
{
    struct bucket **v;

    *out = (struct store_stats){0};
    out->buckets = store_buckets(s, &v);
    for (size_t i = 0; i < out->buckets; i++) {
        uint64_t objects, bytes;
        store_bucket_usage(s, v[i], &objects, &bytes);
        out->objects += objects;
        out->bytes += bytes;
        bucket_unref(v[i]);
    }
    free(v);
    space_ask(s, SPACE_AGE_MS);
    mutex_lock(&s->space.mutex);
    out->disk_free = s->space.free;
    out->disk_total = s->space.total;
    out->reserve = s->space.reserve;
    mutex_unlock(&s->space.mutex);
    out->full = atomic_load(&s->space.room) < 0;
    struct kv_stats kv;
    kv_get_stats(s->kv, &kv);
    out->damaged = kv.damaged + blobs_damaged(s->blobs);
    out->failed = kv_failed(s->kv, NULL) || blobs_failed(s->blobs, NULL);
}
