/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls about targets that only this server has: what each does now, trying, pausing. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include "admin/asked.h"
#include "admin/request.h"
#include "admin/targets.h"

void admin_set_argument(struct admin_req *r, const struct err *e)
{
    admin_set_error(r, ADMIN_ARGUMENT, arena_printf(&r->http->arena, "%s%c", e->text, 0).p);
}

bool admin_target(struct admin_req *r, struct asked_target *out)
{
    struct str text = admin_query(r, "target");
    struct err e;
    out->text = text;
    if (!asked_target_name(text, &out->id, &out->type, &e)) {
        admin_set_argument(r, &e);
        return false;
    }
    if (delivery_number(r->admin->o.s3->delivery, out->id, out->type, &out->number, &out->enabled))
        return true;
    admin_set_error(r, ADMIN_NO_TARGET,
                    arena_printf(&r->http->arena,
                                 "There is no target %.*s here, enabled or with events left; 'belfry target "
                                 "status' lists those there are.%c",
                                 STR_FMT(str_head(text, text.n < 160 ? text.n : 160)), 0)
                        .p);
    return false;
}

bool admin_number(struct admin_req *r, const char *name, uint64_t most, uint64_t *out)
{
    struct err e;
    if (asked_number(&r->query, name, most, out, &e))
        return true;
    admin_set_argument(r, &e);
    return false;
}

/* --- status --- */

static void put_time(struct buf *b, const char *name, int64_t ns)
{
    char text[CLOCK_ISO_MS_LEN];
    if (ns == 0)
        return;
    clock_iso_ms(ns, text);
    buf_printf(b, ",\"%s\":\"%.*s\"", name, CLOCK_ISO_MS_LEN, text);
}

static const char *status_text(const struct target_info *t)
{
    static const char *const texts[] = {[TARGET_ONLINE] = "online",
                                        [TARGET_OFFLINE] = "offline",
                                        [TARGET_BROKEN] = "broken",
                                        [TARGET_OFF] = "off"};
    return t->paused ? "paused" : texts[t->status];
}

static void put_text(struct buf *b, const char *name, const char *text)
{
    if (!text[0])
        return;
    buf_printf(b, ",\"%s\":", name);
    json_quote(b, str_c(text));
}

static void put_target(struct buf *b, const struct target_info *t)
{
    char name[sizeof t->id + sizeof t->type + 1];
    (void)snprintf(name, sizeof name, "%s:%s", t->id, t->type);
    buf_puts(b, "{\"target\":");
    json_quote(b, str_c(name));
    put_text(b, "arn", t->arn);
    buf_printf(b, ",\"status\":\"%s\"", status_text(t));
    put_time(b, "since", t->since_ns);
    put_text(b, "reason", t->reason);
    put_text(b, "lastError", t->last_error);
    put_time(b, "lastErrorTime", t->last_error_ns);
    buf_printf(b, ",\"queued\":%lld,\"queuedBytes\":%lld,\"queuedInFiles\":%lld,\"sending\":%u",
               (long long)t->queued, (long long)t->queued_bytes, (long long)t->in_segments, t->sending);
    put_time(b, "oldestEvent", t->oldest_ns);
    buf_printf(b, ",\"rate\":%.1f,\"accepted\":%llu,\"delivered\":%llu,\"retries\":%llu,\"dropped\":%llu",
               t->rate, (unsigned long long)t->accepted, (unsigned long long)t->sent,
               (unsigned long long)t->retries, (unsigned long long)t->dropped);
    buf_printf(b, ",\"deadLetters\":%lld,\"lost\":%lld}", (long long)t->dead_letters, (long long)t->lost);
}

void call_targets(struct admin_req *r)
{
    struct target_info *t;
    size_t n = targets_now(r->admin->o.s3->delivery, &t);
    buf_puts(&r->out, "{\"targets\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(&r->out, ',');
        put_target(&r->out, &t[i]);
    }
    buf_puts(&r->out, "]}\n");
    free(t);
}

/* --- pausing --- */

static void set_paused(struct admin_req *r, bool paused)
{
    struct asked_target t;
    if (!admin_target(r, &t))
        return;
    switch (delivery_pause(r->admin->o.s3->delivery, t.number, paused)) {
    case KV_COMMITTED:
        log_info("event", "%.*s %s, as %.*s asked from %s", STR_FMT(t.text), paused ? "paused" : "resumed",
                 STR_FMT(r->id.access_key), r->http->peer_ip);
        buf_puts(&r->out, "{\"target\":");
        json_quote(&r->out, t.text);
        buf_printf(&r->out, ",\"paused\":%s}\n", paused ? "true" : "false");
        return;
    case KV_ABORTED:
        admin_set_error(r, ADMIN_TARGET_OFF, "The target is not enabled, so nothing is sent to it anyway.");
        return;
    default:
        admin_set_error(r, ADMIN_STORE, NULL);
    }
}

void call_target_pause(struct admin_req *r)
{
    set_paused(r, true);
}

void call_target_resume(struct admin_req *r)
{
    set_paused(r, false);
}

/* --- trying --- */

void call_target_test(struct admin_req *r)
{
    struct asked_target t;
    struct target_trial trial;
    if (!admin_target(r, &t))
        return;
    struct config_stored *now = config_snapshot(r->admin->o.config);
    bool found = delivery_try(r->admin->o.s3->delivery, now, t.id, t.type, &trial);
    config_stored_free(now);
    if (!found) {
        admin_set_error(r, ADMIN_TARGET_OFF, "The target is not enabled: there are no settings to try.");
        return;
    }
    buf_puts(&r->out, "{\"target\":");
    json_quote(&r->out, t.text);
    buf_printf(&r->out, ",\"ok\":%s,\"settingsRefused\":%s,\"milliseconds\":%lld",
               trial.ok ? "true" : "false", trial.settings ? "true" : "false", (long long)trial.took_ms);
    put_text(&r->out, "reason", trial.text);
    buf_puts(&r->out, "}\n");
}
