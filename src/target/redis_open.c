/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis' instance: settings, connection and login, and the look at the peer while there is nothing to send. */
#include "target/redis_impl.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define CLIENT_NAME "Belfry" /* in CLIENT LIST */

bool redis_check(const void *arg, struct err *e)
{
    const struct redis_conf *c = arg;
    struct target_address address;
    if (!redis_parse_address(str_c(c->address), &address, e))
        return false;
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e,
            "client_cert and client_key (MINIO_NOTIFY_REDIS_CLIENT_CERT and _KEY) have to be set together");
    if (c->client_cert[0] && !c->tls)
        return err_set(e, "client_cert is of use only with tls=on (MINIO_NOTIFY_REDIS_TLS)");
    return true;
}

void *redis_open(const void *conf, const char *id, struct err *e)
{
    struct redis *r = x_calloc(1, sizeof(*r));
    r->conf = conf;
    r->id = x_strdup(id);
    (void)snprintf(r->label, sizeof(r->label), "redis:%.40s", id);
    buf_init(&r->bytes, REDIS_CHUNK + 2 * PLAN_EVENT_MAX + 4096);
    r->chunk = REDIS_CHUNK;
    atomic_store(&r->hasten_ms, INT64_MAX);
    if (!redis_parse_address(str_c(r->conf->address), &r->address, e)) {
        redis_close(r);
        return NULL;
    }
    r->names = (struct redis_names){r->address.shown, r->id, r->conf->key, (enum plan_format)r->conf->format};
    return r;
}

void redis_disconnect(void *arg)
{
    struct redis *r = arg;
    if (r->c)
        redisFree(r->c); /* its socket and TLS too */
    r->c = NULL;
    r->ssl = NULL;
}

void redis_close(void *arg)
{
    struct redis *r = arg;
    redis_disconnect(r);
    dialer_release(&r->dialer);
    buf_release(&r->bytes);
    free(r->id);
    free(r);
}

void redis_hasten(void *arg, int64_t deadline_ms)
{
    struct redis *r = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&r->hasten_ms, deadline_ms);
}

void redis_meanwhile(void *arg, struct meanwhile m)
{
    struct redis *r = arg;
    r->meanwhile = m;
}

struct patience redis_patience(struct redis *r, int64_t deadline_ms, int64_t most_ms)
{
    int64_t until = clock_mono_ms() + most_ms;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &r->hasten_ms};
}

/* --- login -------------------------------------------------------------------------------------------------------- */

/* One command with one reply, the caller's to free; NULL and err when there is none, or it is an error that is not
 * forgiven. */
static redisReply *ask(struct redis *r, int argc, const char **argv, const char *forgiven,
                       const struct patience *p, struct err *e)
{
    redisReply *reply = NULL;
    BUG_ON(redisAppendCommandArgv(r->c, argc, argv, NULL) != REDIS_OK);
    if (!redis_exchange(r, 1, &reply, p, e))
        return NULL;
    if (reply->type != REDIS_REPLY_ERROR)
        return reply;
    struct str error = str_n(reply->str, reply->len);
    if (forgiven && str_starts(error, str_c(forgiven)))
        return reply;
    redis_explain(&r->names, error, e->text, sizeof(e->text));
    freeReplyObject(reply);
    return NULL;
}

static bool authenticate(struct redis *r, const struct patience *p, struct err *e)
{
    const struct redis_conf *c = r->conf;
    if (!c->user[0] && !c->password[0])
        return true;
    const char *with_user[] = {"AUTH", c->user, c->password}, *without[] = {"AUTH", c->password};
    redisReply *reply = ask(r, c->user[0] ? 3 : 2, c->user[0] ? with_user : without, NULL, p, e);
    bool ok = reply && (reply->type == REDIS_REPLY_STATUS ||
                        err_set(e, "%s: an answer that is none of Redis' to AUTH", r->address.shown));
    freeReplyObject(reply);
    return ok;
}

/* For those who look at CLIENT LIST; not worth a failure. */
static bool set_name(struct redis *r, const struct patience *p, struct err *e)
{
    redisReply *reply = ask(r, 3, (const char *[]){"CLIENT", "SETNAME", CLIENT_NAME}, "", p, e);
    freeReplyObject(reply);
    return reply != NULL;
}

/* Is the key of the kind that the format writes, or not there yet? A user who may not ask is told by the first write. */
static bool check_type(struct redis *r, const struct patience *p, struct err *e)
{
    redisReply *reply = ask(r, 2, (const char *[]){"TYPE", r->conf->key}, "NOPERM", p, e);
    if (!reply)
        return false;
    struct str found = str_n(reply->str, reply->str ? reply->len : 0);
    bool ok = true;
    if (reply->type == REDIS_REPLY_STATUS && str_eq(found, STR("none")))
        redis_watch(r, 0, 0);
    else if (reply->type == REDIS_REPLY_STATUS &&
             !str_eq_c(found, r->names.format == FORMAT_ACCESS ? "list" : "hash")) {
        redis_explain_type(&r->names, found, e->text, sizeof(e->text));
        ok = false;
    } else if (reply->type != REDIS_REPLY_STATUS && reply->type != REDIS_REPLY_ERROR) {
        ok = err_set(e, "%s: an answer that is none of Redis' to TYPE", r->address.shown);
    }
    freeReplyObject(reply);
    return ok;
}

static bool open_context(struct redis *r, int fd, const struct patience *p, struct err *e)
{
    redisOptions o = {.type = REDIS_CONN_USERFD, .endpoint.fd = fd, .options = REDIS_OPT_NONBLOCK};
    r->c = redisConnectWithOptions(&o);
    BUG_ON(!r->c || r->c->err);     /* there is nothing in it that could fail but memory */
    r->c->reader->maxelements = 16; /* no answer of ours is an array: room for many is not made */
    return !r->conf->tls || redis_handshake(r, p, e);
}

/* A server that hangs up during the login often does so because it expects what is not set here. */
static bool explain_cut(const struct redis *r, const struct err *why, struct err *e)
{
    bool named = strcmp(r->id, "_") != 0;
    const char *line = named ? "_" : "", *id = named ? r->id : "";
    if (r->cut && !r->conf->tls)
        return err_set(e, "%.300s (if it expects TLS, set MINIO_NOTIFY_REDIS_TLS%s%s=on)", why->text, line,
                       id);
    if (r->cut && !r->conf->client_cert[0])
        return err_set(
            e, "%.300s (if it asks for a certificate, set MINIO_NOTIFY_REDIS_CLIENT_CERT%s%s and _KEY)",
            why->text, line, id);
    return err_set(e, "%s", why->text);
}

bool redis_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct redis *r = arg;
    struct patience p = redis_patience(r, deadline_ms, REDIS_CONNECT_MS);
    struct err why = {0};
    redis_disconnect(r);
    r->cut = false;
    int fd = dial(&r->dialer, r->address.host, r->address.port, &p, &why);
    if (fd < 0)
        return err_set(e, "%s: %s", r->address.shown, why.text);
    if (open_context(r, fd, &p, &why) && authenticate(r, &p, &why) && set_name(r, &p, &why) &&
        check_type(r, &p, &why))
        return true;
    redis_disconnect(r);
    return explain_cut(r, &why, e);
}

/* --- without work ------------------------------------------------------------------------------------------------- */

void redis_watch(struct redis *r, int64_t before, int64_t after)
{
    if (r->entries > 0 && before == 0)
        log_warn(r->label,
                 "the key '%s' at %s is gone, with %lld entries: it was deleted there, or Redis lost its "
                 "data; only "
                 "what changes from now on will be in it",
                 r->conf->key, r->address.shown, (long long)r->entries);
    r->entries = after;
}

bool redis_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct redis *r = arg;
    struct patience p = redis_patience(r, deadline_ms, REDIS_CONNECT_MS);
    if (!r->c)
        return redis_connect(r, deadline_ms, e);
    if (!redis_quiet(r, e))
        return false;
    redisReply *reply = ask(r, 1, (const char *[]){"PING"}, "NOPERM", &p, e);
    if (!reply)
        return false;
    freeReplyObject(reply);
    if (r->names.format == FORMAT_ACCESS)
        return true;
    reply = ask(r, 2, (const char *[]){"HLEN", r->conf->key}, "NOPERM", &p, e);
    if (reply && reply->type == REDIS_REPLY_INTEGER)
        redis_watch(r, reply->integer, reply->integer);
    freeReplyObject(reply);
    return reply != NULL;
}
