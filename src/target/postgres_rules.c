/* SPDX-License-Identifier: Apache-2.0
 *
 * What postgres decides by looking at bytes alone: connection strings, names of tables, statements, what errors mean. */
#include <arpa/inet.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "target/postgres.h"

/* --- connection strings ------------------------------------------------------------------------------------------- */

#define CONNINFO_MAX 8192
#define UNREADABLE \
    "connection_string is not understood: it has to be key=value pairs (host=... port=... dbname=... " \
    "user=... " \
    "password=... sslmode=..., a value with blanks in '...') or postgres://user:password@host:port/dbname"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Where the value that begins at `at` ends: behind the closing quote, or at a blank. */
static size_t value_end(struct str in, size_t at)
{
    bool quoted = at < in.n && in.p[at] == '\'';
    for (at += quoted; at < in.n; at++) {
        if (in.p[at] == '\\' && at + 1 < in.n)
            at++;
        else if (quoted ? in.p[at] == '\'' : is_blank(in.p[at]))
            return at + quoted;
    }
    return at;
}

static size_t skip_blanks(struct str in, size_t at)
{
    while (at < in.n && is_blank(in.p[at]))
        at++;
    return at;
}

/* Copies key=value pairs with the guide's names of keys replaced by libpq's; what is malformed is left for libpq to find. */
static void rename_keys(struct str in, struct buf *out)
{
    static const struct {
        const char *theirs, *libpq;
    } names[] = {{"username", "user"}, {"database", "dbname"}};
    for (size_t at = skip_blanks(in, 0); at < in.n; at = skip_blanks(in, at)) {
        size_t begin = at;
        while (at < in.n && in.p[at] != '=' && !is_blank(in.p[at]))
            at++;
        struct str key = str_n(in.p + begin, at - begin);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (str_eq_c(key, names[i].theirs))
                key = str_c(names[i].libpq);
        buf_str(out, key);
        at = skip_blanks(in, at);
        if (at < in.n && in.p[at] == '=') {
            begin = skip_blanks(in, at + 1);
            at = value_end(in, begin);
            buf_char(out, '=');
            buf_str(out, str_n(in.p + begin, at - begin));
        }
        buf_char(out, ' ');
    }
    buf_char(out, 0);
}

static bool is_url(struct str text)
{
    return str_starts(text, STR("postgres://")) || str_starts(text, STR("postgresql://"));
}

/* Element i of a list a,b,c; an empty list has one empty element. */
static struct str element(const char *list, unsigned i, unsigned *count)
{
    struct str rest = str_c(list ? list : ""), head = {0}, found = {0};
    for (*count = 0; str_cut(&rest, ',', &head); (*count)++)
        if (*count == i)
            found = str_trim(head);
    return found;
}

static bool fits(struct str s, char *to, size_t n)
{
    if (s.n >= n || str_chr(s, 0) >= 0)
        return false;
    (void)snprintf(to, n, "%.*s", STR_FMT(s));
    return true;
}

static bool set_place(struct postgres_place *at, struct str host, struct str addr, struct str port,
                      struct err *e)
{
    uint64_t number = 5432;
    if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 || number > 65535))
        return err_set(e, "connection_string: a port has to be from 1 to 65535");
    if (host.n == 0)
        host = addr.n > 0 ? addr : STR("localhost");
    struct in6_addr any;
    if (!fits(host, at->host, sizeof(at->host)) || !fits(addr, at->hostaddr, sizeof(at->hostaddr)) ||
        (at->hostaddr[0] && inet_pton(AF_INET, at->hostaddr, &any) != 1 &&
         inet_pton(AF_INET6, at->hostaddr, &any) != 1))
        return err_set(e, "connection_string: host or hostaddr is none");
    (void)snprintf(at->port, sizeof(at->port), "%u", (unsigned)number);
    bool v6 = strchr(at->host, ':') != NULL;
    (void)snprintf(at->shown, sizeof(at->shown), "%s%s%s:%s", v6 ? "[" : "", at->host, v6 ? "]" : "",
                   at->port);
    return true;
}

/* host, hostaddr and port are lists of the same length; only the port may be named once for all. */
static bool set_places(struct postgres_login *l, const char *hosts, const char *addrs, const char *ports,
                       struct err *e)
{
    unsigned n, n_addrs, n_ports, any;
    (void)element(hosts, 0, &n);
    (void)element(addrs, 0, &n_addrs);
    (void)element(ports, 0, &n_ports);
    if (addrs && addrs[0] && hosts && hosts[0] && n != n_addrs)
        return err_set(e, "connection_string: host and hostaddr name different numbers of servers");
    if (addrs && addrs[0])
        n = n_addrs;
    if (n > POSTGRES_PLACES)
        return err_set(e, "connection_string: more than %u hosts", POSTGRES_PLACES);
    if (n_ports != 1 && n_ports != n)
        return err_set(e, "connection_string: host and port name different numbers of servers");
    for (unsigned i = 0; i < n; i++)
        if (!set_place(&l->place[i], element(hosts, i, &any), element(addrs, i, &any),
                       element(ports, n_ports == 1 ? 0 : i, &any), e))
            return false;
    l->n_places = n;
    return true;
}

static void set_option(struct postgres_login *l, const char *keyword, const char *value)
{
    BUG_ON(l->n == POSTGRES_OPTIONS); /* libpq knows fewer */
    l->keyword[l->n] = keyword;
    l->value[l->n++] = value;
}

const char *postgres_login_value(const struct postgres_login *l, const char *keyword)
{
    for (unsigned i = 0; i < l->n; i++)
        if (strcmp(l->keyword[i], keyword) == 0)
            return l->value[i];
    return NULL;
}

static void set_default(struct postgres_login *l, const char *keyword, const char *value)
{
    if (!postgres_login_value(l, keyword))
        set_option(l, keyword, value);
}

/* What libpq would do otherwise: talk without TLS where the server has none (lib/pq, which MinIO uses, does not); ask Kerberos
 * first, which blocks; never notice that a peer is gone. */
static void set_defaults(struct postgres_login *l)
{
    set_default(l, "sslmode", "require");
    set_default(l, "gssencmode", "disable");
    set_default(l, "keepalives_idle", "10");
    set_default(l, "keepalives_interval", "5");
    set_default(l, "keepalives_count", "3");
    set_default(l, "tcp_user_timeout", "30000");
    set_default(l, "fallback_application_name", "Belfry");
    set_option(l, "client_encoding", "UTF8");
    const char *mode = postgres_login_value(l, "sslmode"), *root = postgres_login_value(l, "sslrootcert");
    l->needs_ca = strncmp(mode, "verify-", 7) == 0 && (!root || strcmp(root, "system") == 0);
}

/* Takes over what is set; NULL is left for what does not belong among the options. */
static bool take_options(struct postgres_login *l, struct err *e)
{
    const char *hosts = NULL, *addrs = NULL, *ports = NULL;
    l->secret = "";
    for (const PQconninfoOption *o = l->options; o->keyword; o++) {
        if (!o->val || !o->val[0])
            continue;
        if (strcmp(o->keyword, "host") == 0)
            hosts = o->val;
        else if (strcmp(o->keyword, "hostaddr") == 0)
            addrs = o->val;
        else if (strcmp(o->keyword, "port") == 0)
            ports = o->val;
        else if (strcmp(o->keyword, "service") == 0 || strcmp(o->keyword, "replication") == 0)
            return err_set(e, "connection_string: %s cannot be used here", o->keyword);
        else if (strcmp(o->keyword, "client_encoding") != 0)
            set_option(l, o->keyword, o->val);
        if (strcmp(o->keyword, "password") == 0)
            l->secret = o->val;
    }
    set_defaults(l);
    return set_places(l, hosts, addrs, ports, e);
}

bool postgres_parse_login(struct str text, struct postgres_login *out, struct err *e)
{
    struct buf b;
    *out = (struct postgres_login){.secret = ""};
    if (text.n > CONNINFO_MAX || str_chr(text, 0) >= 0)
        return err_set(e, "connection_string is longer than %u bytes", CONNINFO_MAX);
    if (str_trim(text).n == 0)
        return err_set(e, "connection_string is empty");
    buf_init(&b, 2 * CONNINFO_MAX + 16);
    if (is_url(text)) {
        buf_str(&b, text);
        buf_char(&b, 0);
    } else {
        rename_keys(text, &b);
    }
    char *error = NULL; /* it quotes what it does not understand, which may be the password */
    BUG_ON(b.failed);
    out->options = PQconninfoParse(b.p, &error);
    PQfreemem(error);
    buf_release(&b);
    if (!out->options)
        return err_set(e, UNREADABLE);
    return take_options(out, e);
}

void postgres_login_release(struct postgres_login *login)
{
    PQconninfoFree(login->options);
    login->options = NULL;
}

/* --- tables and statements ---------------------------------------------------------------------------------------- */

/* Takes one name off the front. */
static bool take_name(struct str *in)
{
    size_t at = 0;
    if (in->n > 0 && in->p[0] == '"') {
        for (at = 1; at < in->n; at++) {
            if (in->p[at] != '"')
                continue;
            if (at + 1 == in->n || in->p[at + 1] != '"')
                break;
            at++; /* two of them stand for one */
        }
        if (at >= in->n || at < 2)
            return false;
        *in = str_from(*in, at + 1);
        return true;
    }
    for (; at < in->n; at++) {
        unsigned char c = (unsigned char)in->p[at];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', digit = c >= '0' && c <= '9';
        if (!(letter || c == '_' || c >= 0x80 || (at > 0 && (digit || c == '$'))))
            break;
    }
    *in = str_from(*in, at);
    return at > 0;
}

bool postgres_check_table(struct str table, struct err *e)
{
    bool ok = table.n <= 256 && str_chr(table, 0) < 0 && take_name(&table);
    if (ok && table.n > 0 && table.p[0] == '.') {
        table = str_from(table, 1);
        ok = take_name(&table);
    }
    return (ok && table.n == 0) ||
           err_set(e,
                   "table has to be a name (letters, digits, _ and $), \"a name in quotes\", or schema.name");
}

size_t postgres_statement(struct buf *b, const char *fmt, const char *table)
{
    size_t begin = b->len;
    for (const char *at = strchr(fmt, '%'); at; at = strchr(fmt, '%')) {
        buf_put(b, fmt, (size_t)(at - fmt));
        buf_puts(b, table);
        fmt = at + 1;
    }
    buf_puts(b, fmt);
    buf_char(b, 0);
    return begin;
}

void postgres_statements(const char *table, enum plan_format format, struct postgres_sql *out)
{
    struct buf *b = &out->text;
    buf_init(b, 8192);
    /* Values without a type take that of their column, whatever it is; EXPLAIN finds out what is wrong without doing it. */
    if (format == FORMAT_NAMESPACE) {
        out->insert =
            postgres_statement(b, "INSERT INTO % (key, value) VALUES ($1, $2)" POSTGRES_UPSERT, table);
        out->remove = postgres_statement(b, "DELETE FROM % WHERE key = $1", table);
        out->create = postgres_statement(
            b, "CREATE TABLE IF NOT EXISTS % (key VARCHAR PRIMARY KEY, value JSONB)", table);
        out->probe = postgres_statement(
            b, "EXPLAIN INSERT INTO % (key, value) VALUES ('', '{}')" POSTGRES_UPSERT, table);
        out->probe_remove = postgres_statement(b, "EXPLAIN DELETE FROM % WHERE key = ''", table);
    } else {
        out->insert = postgres_statement(b, "INSERT INTO % (event_time, event_data) VALUES ($1, $2)", table);
        out->remove = 0;
        out->create =
            postgres_statement(b,
                               "CREATE TABLE IF NOT EXISTS % (event_time TIMESTAMP WITH TIME ZONE NOT NULL, "
                               "event_data JSONB)",
                               table);
        out->probe = postgres_statement(
            b, "EXPLAIN INSERT INTO % (event_time, event_data) VALUES ('2000-01-01', '{}')", table);
        out->probe_remove = 0;
    }
    BUG_ON(b->failed);
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* By the beginning of the SQLSTATE (PostgreSQL manual, appendix A). */
static const struct {
    const char *code;
    enum sql_verdict verdict;
} verdicts[] = {
    {"22", SQL_NEVER},    /* data: not in the database's encoding, not JSON to it, too long, ... */
    {"23505", SQL_NEVER}, /* a unique index beside ours */
    {"23514", SQL_NEVER}, /* a check of the table */
    {"23P01", SQL_NEVER}, /* an exclusion constraint */
    {"44", SQL_NEVER},    /* a view with a check */
    {"54000", SQL_NEVER}, /* larger than an index takes */
    {"23503", SQL_ROW},   /* what it refers to may come to be there */
    {"P0001", SQL_ROW},   /* a trigger says so, and why only its author knows */
    {"42P01", SQL_MISSING},
};

enum sql_verdict postgres_judge(const char *sqlstate)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (str_starts(str_c(sqlstate), str_c(verdicts[i].code)))
            return verdicts[i].verdict;
    return SQL_STOP;
}

#define STRING "CONNECTION_STRING"
static const struct sql_advice advices[] = {
    {"28P01", NULL, "user or password is wrong", STRING},
    {"28", NULL, "it does not let this user in: see its pg_hba.conf", STRING},
    {"3D000", NULL, "make the database there, or name another", STRING},
    {"42P01", NULL, "the table is not there and cannot be made: make it there, or name another", "TABLE"},
    {"42703", NULL,
     "the table has other columns: key and value for format namespace, event_time and event_data for access",
     "TABLE"},
    {"42P10", NULL, "add PRIMARY KEY (key) to the table, or name another", "TABLE"},
    {"42804", NULL, "a column has another type: it has to take JSON, or event_time a time", "TABLE"},
    {"42809", NULL, "that is no table: name another", "TABLE"},
    {"42601", NULL, "is its name a word of SQL? Write it in quotes", "TABLE"},
    {"3F000", NULL, "make the schema there, or name another", "TABLE"},
    {"42501", "permission denied for schema",
     "allow the user to make tables in it (GRANT CREATE, USAGE ON SCHEMA), or make the table", "TABLE"},
    {"42501", NULL, "allow the user SELECT, INSERT, UPDATE and DELETE (GRANT) on the table", "TABLE"},
    {"23502", NULL, "the table has another column that must not be null: give it a default", "TABLE"},
    {"25006", NULL,
     "it takes no writes, as a standby does: name the primary, or add target_session_attrs=read-write",
     STRING},
    {"53100", NULL, "its disk is full", NULL},
    {"53300", NULL, "it has too many connections: raise max_connections there", NULL},
    {"55P03", NULL, "the table is locked by another session", NULL},
    {"57014", NULL, "it took too long: is the table locked by another session?", NULL},
    {"57P03", NULL, "it is starting or stopping", NULL},
    {"57P", NULL, "it is being shut down, or an administrator ended the session", NULL},
    {"40", NULL, "it was in the way of another transaction", NULL},
    {"22", NULL, "the table cannot hold this record", NULL},
    {"23", NULL, "a constraint of the table refuses this record", NULL},
    {"P0001", NULL, "a trigger of the table refuses this record", NULL},
    {"", "password authentication failed", "user or password is wrong", STRING},
    {"", "no password supplied", "it asks for a password", STRING},
    {"", "connection requires a valid client certificate",
     "it asks for a client certificate: add sslcert and sslkey", STRING},
    {"", "pg_hba.conf", "it does not let this user, database or address in: see its pg_hba.conf, or sslmode",
     STRING},
    {"", "role \"", "make the user there, or name another", STRING},
    {"", "does not exist", "make the database there, or name another", STRING},
    {"", "does not support SSL", "switch TLS on there (ssl = on), or set sslmode=disable", STRING},
    {"", "certificate verify failed",
     "put the certificate of its CA into certs-dir/CAs, or name it with sslrootcert", STRING},
    {"", "does not match host name", "its certificate does not name this host", STRING},
    {"", "root certificate", "the file of sslrootcert cannot be used", STRING},
    {"", "could not load private key", "the file of sslkey cannot be used", STRING},
    {"", "could not read certificate file", "the file of sslcert cannot be used", STRING},
    {"", "private key file", "the file of sslkey must be its owner's alone (0600)", STRING},
    {"", "certificate required", "it asks for a client certificate: add sslcert and sslkey", STRING},
    {"", "session is", "no server of those named is what target_session_attrs asks for", STRING},
    {"", "too many", "it has too many connections: raise max_connections there", NULL},
    {"", "starting up", "it is starting", NULL},
    {"", "shutting down", "it is being shut down", NULL},
    {NULL, NULL, NULL, NULL},
};

void postgres_explain(const struct sql_names *names, const char *sqlstate, struct str text, char *why,
                      size_t why_n)
{
    sql_explain(names, advices, sqlstate, text, why, why_n);
}
