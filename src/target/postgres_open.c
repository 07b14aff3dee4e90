/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's instance: settings, connection and login, and the look at the peer while there is nothing to send. Names are
 * looked up here, with a deadline, and libpq gets one address at a time: its own look-up blocks, and a server that does not
 * answer would keep it from the next. */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "target/postgres_impl.h"

bool postgres_check(const void *arg, struct err *e)
{
    const struct postgres_conf *c = arg;
    struct postgres_login login;
    bool ok = postgres_parse_login(str_c(c->connection_string), &login, e) &&
              postgres_check_table(str_c(c->table), e);
    postgres_login_release(&login);
    if (ok && c->max_open_connections < 0)
        return err_set(e, "max_open_connections must not be negative");
    return ok;
}

void *postgres_open(const void *conf, const char *id, struct err *e)
{
    struct postgres *p = x_calloc(1, sizeof(*p));
    p->conf = conf;
    p->id = x_strdup(id);
    (void)snprintf(p->label, sizeof(p->label), "postgresql:%.40s", id);
    sql_batch_init(&p->batch);
    buf_init(&p->by_arrays.text, POSTGRES_ARRAY_SQL);
    for (int i = 0; i < POSTGRES_COLUMNS; i++)
        buf_init(&p->array[i], SQL_CHUNK + 2 * PLAN_EVENT_MAX);
    atomic_store(&p->hasten_ms, INT64_MAX);
    postgres_statements(p->conf->table, (enum plan_format)p->conf->format, &p->sql);
    if (!postgres_parse_login(str_c(p->conf->connection_string), &p->login, e)) {
        postgres_close(p);
        return NULL;
    }
    p->names =
        (struct sql_names){p->login.place[0].shown, "POSTGRES", p->id, p->conf->table, p->login.secret};
    return p;
}

void postgres_disconnect(void *arg)
{
    struct postgres *p = arg;
    PQfinish(p->c);
    p->c = NULL;
}

void postgres_close(void *arg)
{
    struct postgres *p = arg;
    postgres_disconnect(p);
    for (size_t i = 0; i < POSTGRES_PLACES; i++)
        dialer_release(&p->dialer[i]);
    postgres_login_release(&p->login);
    buf_release(&p->sql.text);
    buf_release(&p->by_arrays.text);
    for (int i = 0; i < POSTGRES_COLUMNS; i++)
        buf_release(&p->array[i]);
    sql_batch_release(&p->batch);
    free(p->id);
    free(p);
}

void postgres_hasten(void *arg, int64_t deadline_ms)
{
    struct postgres *p = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&p->hasten_ms, deadline_ms);
}

void postgres_meanwhile(void *arg, struct meanwhile m)
{
    struct postgres *p = arg;
    p->meanwhile = m;
}

struct patience postgres_patience(struct postgres *p, int64_t deadline_ms, int64_t most_ms)
{
    int64_t until = clock_mono_ms() + most_ms;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &p->hasten_ms};
}

/* --- one address -------------------------------------------------------------------------------------------------- */

static void ignore(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

static PGconn *start(const struct postgres *p, const struct postgres_place *at, const char *addr,
                     const char *ca_path)
{
    const struct postgres_login *l = &p->login;
    const char *keyword[POSTGRES_OPTIONS + 8], *value[POSTGRES_OPTIONS + 8];
    size_t n = 0;
    for (unsigned i = 0; i < l->n; i++) {
        if (ca_path && strcmp(l->keyword[i], "sslrootcert") == 0)
            continue;
        keyword[n] = l->keyword[i];
        value[n++] = l->value[i];
    }
    const char *const more[][2] = {
        {"host", at->host}, {"hostaddr", addr}, {"port", at->port}, {"sslrootcert", ca_path}};
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        keyword[n] = more[i][0];
        value[n] = more[i][1];
        n += more[i][1] != NULL;
    }
    keyword[n] = NULL;
    value[n] = NULL;
    return PQconnectStartParams(keyword, value, 0);
}

static bool finish(struct postgres *p, const struct patience *t, struct err *e)
{
    for (PostgresPollingStatusType next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;) {
        if (next == PGRES_POLLING_FAILED || PQstatus(p->c) == CONNECTION_BAD) {
            postgres_explain_connection(p, e);
            return false;
        }
        if (!patience_poll(t, PQsocket(p->c), next == PGRES_POLLING_READING ? POLLIN : POLLOUT))
            return err_set(e, "%.60s: no answer in time", p->names.shown);
        next = PQconnectPoll(p->c);
    }
    return true;
}

/* What is to be known of a server before anything is sent to it. */
static bool get_ready(struct postgres *p, const struct patience *t, struct err *e)
{
    struct sql_error error;
    char text[64];
    const char *standby = PQparameterStatus(p->c, "in_hot_standby");
    int version = PQserverVersion(p->c);
    (void)PQsetnonblocking(p->c, 1);
    if (version < 90500)
        return err_set(e, "%.60s is PostgreSQL %d.%d: 9.5 or newer is needed", p->names.shown,
                       version / 10000, version / 100 % 100);
    if (standby && strcmp(standby, "on") == 0) {
        char why[SEND_WHY];
        postgres_explain(&p->names, "25006", STR("in_hot_standby: on"), why, sizeof(why));
        return err_set(e, "%s", why);
    }
    (void)snprintf(text, sizeof(text), "SET statement_timeout = %d", POSTGRES_STATEMENT_MS);
    (void)postgres_query(p, text, t, &error, e); /* one that refuses it is no worse than without */
    return p->c && postgres_table(p, t, e);
}

static bool attempt(struct postgres *p, const struct postgres_place *at, const char *addr,
                    const char *ca_path, const struct patience *t, struct err *e)
{
    p->names.shown = at->shown;
    p->c = start(p, at, addr, ca_path);
    BUG_ON(!p->c); /* only without memory */
    (void)PQsetNoticeReceiver(p->c, ignore, NULL);
    if (finish(p, t, e) && get_ready(p, t, e))
        return true;
    postgres_disconnect(p);
    return false;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

struct search {
    struct postgres *p;
    const char *ca_path;
    struct patience all;
    size_t left; /* places to try */
    struct err *e;
};

/* One's share of the time: those behind it get theirs. */
static struct patience share(const struct search *s, size_t among)
{
    int64_t span = patience_left(&s->all);
    return (struct patience){clock_mono_ms() + (span > 0 ? span / (int64_t)among : 0), s->all.hasten_ms};
}

static bool try_name(struct search *s, unsigned i)
{
    const struct postgres_place *at = &s->p->login.place[i];
    struct err why = {0};
    struct patience lookup = share(s, s->left);
    struct addrinfo *all = dialer_resolve(&s->p->dialer[i], at->host, at->port, &lookup, &why);
    size_t among = s->left - 1;
    bool ok = false;
    if (!all)
        return err_set(s->e, "%s: %s", at->shown, why.text);
    for (struct addrinfo *a = all; a; a = a->ai_next)
        among++;
    for (struct addrinfo *a = all; a && !ok; a = a->ai_next, among--) {
        char addr[NI_MAXHOST];
        struct patience t = share(s, among);
        if (getnameinfo(a->ai_addr, a->ai_addrlen, addr, sizeof(addr), NULL, 0, NI_NUMERICHOST) == 0)
            ok = attempt(s->p, at, addr, s->ca_path, &t, s->e);
    }
    freeaddrinfo(all);
    return ok;
}

static bool try_place(struct search *s, unsigned i)
{
    const struct postgres_place *at = &s->p->login.place[i];
    bool as_it_is = at->host[0] == '/' || at->host[0] == '@' || at->hostaddr[0];
    struct patience t = share(s, s->left);
    if (as_it_is)
        return attempt(s->p, at, at->hostaddr[0] ? at->hostaddr : NULL, s->ca_path, &t, s->e);
    return try_name(s, i);
}

bool postgres_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct postgres *p = arg;
    char path[SQL_CA_PATH];
    struct search s = {p, NULL, postgres_patience(p, deadline_ms, POSTGRES_CONNECT_MS), p->login.n_places, e};
    int ca = -1;
    bool ok = false;
    postgres_disconnect(p);
    if (p->login.needs_ca) {
        ca = sql_ca_file(p->conf->common.ca_pem, path, e);
        if (ca < 0)
            return false;
        s.ca_path = path;
    }
    for (unsigned i = 0; i < p->login.n_places && !ok; i++, s.left--)
        ok = try_place(&s, i);
    if (ca >= 0)
        (void)close(ca);
    return ok;
}

/* --- without work ------------------------------------------------------------------------------------------------- */

bool postgres_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct postgres *p = arg;
    struct patience t = postgres_patience(p, deadline_ms, POSTGRES_CONNECT_MS);
    struct sql_error error;
    if (!p->c)
        return postgres_connect(p, deadline_ms, e);
    if (!postgres_quiet(p, e))
        return false;
    if (postgres_query(p, "", &t, &error, e))
        return true;
    if (p->c) {
        char why[SEND_WHY];
        postgres_explain(&p->names, error.code, str_c(error.text), why, sizeof(why));
        (void)err_set(e, "%s", why);
    }
    return false;
}
