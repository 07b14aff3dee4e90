/* SPDX-License-Identifier: Apache-2.0
 *
 * What others see of a sender: its status with the reason, and the lines in the log when that changes. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "event/sender.h"

int64_t sender_queued(struct sender *s)
{
    int64_t rows[KV_COUNTERS] = {0};
    struct row_key k = outbox_counter_key(s->number);
    return kv_counters(s->kv, row_key_str(&k), rows, NULL) ? rows[0] : 0;
}

/* s->mutex held. What went wrong last stays known after it went right again. */
static void set_reason(struct sender *s, const char *reason)
{
    (void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
    if (!reason[0])
        return;
    (void)snprintf(s->last_error, sizeof(s->last_error), "%s", reason);
    s->last_error_ns = clock_real_ns();
}

/* Sets both; true when the status is another one than before. */
static bool set_status(struct sender *s, enum target_status status, const char *reason)
{
    mutex_lock(&s->mutex);
    bool changed = s->status != status;
    s->status = status;
    if (changed || s->since_ns == 0)
        s->since_ns = clock_real_ns();
    set_reason(s, reason);
    mutex_unlock(&s->mutex);
    return changed;
}

void sender_set_reason(struct sender *s, const char *reason)
{
    mutex_lock(&s->mutex);
    set_reason(s, reason);
    mutex_unlock(&s->mutex);
}

/* Whether the log has this reason of this outage already. Not more than some of them: there may be a clock in the text. */
static bool is_news(struct sender *s, const char *reason)
{
    uint32_t sum = hash_crc32c(0, reason, strlen(reason));
    for (unsigned i = 0; i < s->n_told; i++)
        if (s->told[i] == sum)
            return false;
    if (s->n_told == TOLD_REASONS)
        return false;
    s->told[s->n_told++] = sum;
    return true;
}

void sender_offline(struct sender *s, const char *reason)
{
    if (!s->told_offline)
        s->n_told = 0;
    s->told_offline = true;
    bool changed = set_status(s, TARGET_OFFLINE, reason);
    if (is_news(s, reason) || changed)
        log_warn(s->label,
                 "offline: %s. %lld events wait in the queue; trying again until they are delivered", reason,
                 (long long)sender_queued(s));
}

void sender_unfit(struct sender *s, const char *reason)
{
    (void)set_status(s, TARGET_BROKEN, reason);
    log_error(s->label,
              "its settings are wrong, nothing is sent; its events are queued until they are right: %s",
              reason);
}

void sender_online(struct sender *s)
{
    mover_online(s);
    if (!set_status(s, TARGET_ONLINE, ""))
        return;
    if (s->told_offline)
        log_info(s->label, "back online, %lld events queued", (long long)sender_queued(s));
    else
        log_info(s->label, "online, %lld events queued", (long long)sender_queued(s));
    s->told_offline = false;
}

void sender_break(struct sender *s, const char *what, const char *reason)
{
    s->broken = true;
    s->told_offline = true;
    s->streak = 0;
    if (set_status(s, TARGET_BROKEN, reason))
        log_error(s->label,
                  "broken, %s%s. %lld events wait in the queue; trying again with a few of them until one is "
                  "taken",
                  what, reason, (long long)sender_queued(s));
}

/* --- rate --------------------------------------------------------------------------------------------------------- */

/* s->mutex held. Empties the spans that have begun since. */
static void turn(struct sender_rate *r, int64_t now_ms)
{
    int64_t span = now_ms / RATE_MS;
    for (int i = 0; i < RATE_SPANS && r->span < span; i++) {
        r->span = span - r->span > RATE_SPANS ? span - RATE_SPANS + 1 : r->span + 1;
        r->n[r->span % RATE_SPANS] = 0;
    }
}

void sender_count_sent(struct sender *s, size_t n)
{
    atomic_fetch_add(&s->sent, n);
    mutex_lock(&s->mutex);
    turn(&s->rate, clock_mono_ms());
    s->rate.n[s->rate.span % RATE_SPANS] += n;
    mutex_unlock(&s->mutex);
}

double sender_rate(struct sender *s)
{
    uint64_t n = 0;
    mutex_lock(&s->mutex);
    int64_t now_ms = clock_mono_ms();
    turn(&s->rate, now_ms);
    for (int i = 0; i < RATE_SPANS; i++)
        n += s->rate.n[i];
    mutex_unlock(&s->mutex);
    /* the newest span is not over yet */
    int64_t covered_ms = (RATE_SPANS - 1) * RATE_MS + now_ms % RATE_MS + 1;
    return (double)n * 1000 / (double)covered_ms;
}
