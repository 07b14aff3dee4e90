/* SPDX-License-Identifier: Apache-2.0
 *
 * What others see of a sender: its status with the reason, and the lines in the log when that changes. */
#include <stdio.h>

#include "base/log.h"
#include "event/sender.h"

int64_t sender_queued(struct sender *s)
{
    int64_t rows[KV_COUNTERS] = {0};
    struct row_key k = outbox_counter_key(s->number);
    return kv_counters(s->kv, row_key_str(&k), rows, NULL) ? rows[0] : 0;
}

/* Sets both; true when the status is another one than before. */
static bool set_status(struct sender *s, enum target_status status, const char *reason)
{
    mutex_lock(&s->mutex);
    bool changed = s->status != status;
    s->status = status;
    (void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
    mutex_unlock(&s->mutex);
    return changed;
}

void sender_set_reason(struct sender *s, const char *reason)
{
    mutex_lock(&s->mutex);
    (void)snprintf(s->reason, sizeof(s->reason), "%s", reason);
    mutex_unlock(&s->mutex);
}

void sender_offline(struct sender *s, const char *reason)
{
    bool first = !s->told_offline;
    s->told_offline = true;
    if (set_status(s, TARGET_OFFLINE, reason) || first)
        log_warn(s->label,
                 "offline: %s. %lld events wait in the queue; trying again until they are delivered", reason,
                 (long long)sender_queued(s));
}

void sender_online(struct sender *s)
{
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
