/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's data source names, in the format of the Go driver that MinIO uses. */
#include <stdio.h>

#include "target/mysql.h"

#define DSN_MAX 4096

static ptrdiff_t last_of(struct str s, char c)
{
    for (size_t i = s.n; i-- > 0;)
        if (s.p[i] == c)
            return (ptrdiff_t)i;
    return -1;
}

static bool fits(struct str s, char *to, size_t n)
{
    if (s.n >= n)
        return false;
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    to[s.n] = 0;
    return true;
}

static bool host_ok(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || host.p[i] == 0x7f || memchr("/@?#[]()", host.p[i], 8))
            return false;
    return host.n > 0;
}

/* host, host:port, [IPv6], [IPv6]:port, or nothing. */
static bool parse_tcp(struct str text, struct mysql_dsn *out, struct err *e)
{
    struct str host = text, port = {0};
    uint64_t number = 3306;
    if (text.n > 0 && text.p[0] == '[') {
        ptrdiff_t end = str_chr(text, ']');
        struct str rest = end < 0 ? (struct str){0} : str_from(text, (size_t)end + 1);
        if (end < 2 || (rest.n > 0 && rest.p[0] != ':'))
            return err_set(
                e, "dsn_string: the address has to be (host:port), such as (localhost:3306) or ([::1]:3306)");
        host = str_n(text.p + 1, (size_t)end - 1);
        port = str_from(rest, 1);
    } else if (str_chr(text, ':') >= 0) {
        host = str_head(text, (size_t)str_chr(text, ':'));
        port = str_from(text, host.n + 1);
    }
    if (host.n == 0)
        host = text.n == 0 ? STR("127.0.0.1") : STR("localhost");
    if (!host_ok(host) || !fits(host, out->host, sizeof(out->host)))
        return err_set(
            e, "dsn_string: the address has to be (host:port), such as (localhost:3306) or ([::1]:3306)");
    if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 || number > 65535))
        return err_set(e, "dsn_string: the port has to be from 1 to 65535");
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    bool v6 = strchr(out->host, ':') != NULL;
    (void)snprintf(out->shown, sizeof(out->shown), "%s%s%s:%s", v6 ? "[" : "", out->host, v6 ? "]" : "",
                   out->port);
    return true;
}

/* tcp(host:port), unix(/path), or nothing. */
static bool parse_net(struct str text, struct mysql_dsn *out, struct err *e)
{
    ptrdiff_t open = str_chr(text, '(');
    struct str net = open < 0 ? text : str_head(text, (size_t)open), address = {"", 0};
    if (open >= 0) {
        if (text.p[text.n - 1] != ')')
            return err_set(e, "dsn_string: the address lacks its closing parenthesis: "
                              "user:password@tcp(host:port)/database");
        address = str_n(text.p + open + 1, text.n - (size_t)open - 2);
    }
    if (net.n == 0 || str_eq_c(net, "tcp"))
        return parse_tcp(address, out, e);
    if (!str_eq_c(net, "unix"))
        return err_set(
            e, "dsn_string: the network has to be tcp or unix: user:password@tcp(host:port)/database");
    if (address.n == 0)
        address = STR("/tmp/mysql.sock");
    if (address.p[0] != '/' || !fits(address, out->socket, sizeof(out->socket)))
        return err_set(e, "dsn_string: unix(...) has to hold the absolute path of a socket");
    (void)snprintf(out->shown, sizeof(out->shown), "%s", out->socket);
    return true;
}

static bool parse_tls(struct str value, struct mysql_dsn *out, struct err *e)
{
    static const struct {
        const char *value;
        enum mysql_tls tls;
    } values[] = {{"true", MYSQL_TLS_ON},
                  {"1", MYSQL_TLS_ON},
                  {"TRUE", MYSQL_TLS_ON},
                  {"false", MYSQL_TLS_OFF},
                  {"0", MYSQL_TLS_OFF},
                  {"FALSE", MYSQL_TLS_OFF},
                  {"skip-verify", MYSQL_TLS_SKIP_VERIFY},
                  {"preferred", MYSQL_TLS_PREFERRED}};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        if (str_ieq(value, str_c(values[i].value))) {
            out->tls = values[i].tls;
            return true;
        }
    }
    return err_set(e, "dsn_string: tls has to be true, false, skip-verify or preferred");
}

/* Of the driver's parameters these have no meaning here: what they are about is settled. */
static bool is_settled(struct str name)
{
    static const char *const names[] = {"allowAllFiles",
                                        "allowFallbackToPlaintext",
                                        "allowNativePasswords",
                                        "allowOldPasswords",
                                        "charset",
                                        "checkConnLiveness",
                                        "clientFoundRows",
                                        "collation",
                                        "columnsWithAlias",
                                        "compress",
                                        "connectionAttributes",
                                        "interpolateParams",
                                        "loc",
                                        "maxAllowedPacket",
                                        "multiStatements",
                                        "parseTime",
                                        "readTimeout",
                                        "rejectReadOnly",
                                        "serverPubKey",
                                        "sql_mode",
                                        "time_zone",
                                        "timeTruncate",
                                        "timeout",
                                        "writeTimeout"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq_c(name, names[i]))
            return true;
    return false;
}

static bool parse_parameters(struct str rest, struct mysql_dsn *out, struct err *e)
{
    struct str one;
    while (str_cut(&rest, '&', &one)) {
        ptrdiff_t equals = str_chr(one, '=');
        if (equals < 0)
            continue; /* as the driver does */
        struct str name = str_head(one, (size_t)equals), value = str_from(one, (size_t)equals + 1);
        if (str_eq_c(name, "tls")) {
            if (!parse_tls(value, out, e))
                return false;
        } else if (str_eq_c(name, "allowCleartextPasswords")) {
            out->cleartext = str_ieq(value, STR("true")) || str_eq_c(value, "1");
        } else if (!is_settled(name)) {
            char shown[40];
            sql_shown(name, NULL, shown, sizeof(shown));
            return err_set(e, "dsn_string: the parameter %s is not known", shown);
        }
    }
    return true;
}

static bool parse_login(struct str text, struct mysql_dsn *out, struct err *e)
{
    ptrdiff_t colon = str_chr(text, ':');
    struct str user = colon < 0 ? text : str_head(text, (size_t)colon);
    struct str password = colon < 0 ? (struct str){"", 0} : str_from(text, (size_t)colon + 1);
    return (fits(user, out->user, sizeof(out->user)) &&
            fits(password, out->password, sizeof(out->password))) ||
           err_set(e, "dsn_string: user or password is too long");
}

bool mysql_parse_dsn(struct str text, struct mysql_dsn *out, struct err *e)
{
    memset(out, 0, sizeof(*out));
    if (text.n == 0)
        return err_set(e, "dsn_string is empty: it has to be user:password@tcp(host:port)/database");
    if (text.n > DSN_MAX || str_chr(text, 0) >= 0)
        return err_set(e, "dsn_string is longer than %u bytes", DSN_MAX);
    /* From behind: the password may hold any of these characters, but for the slash within parameters. */
    ptrdiff_t slash = last_of(text, '/');
    if (slash < 0)
        return err_set(
            e, "dsn_string lacks the slash before the database: user:password@tcp(host:port)/database");
    struct str front = str_head(text, (size_t)slash), database = str_from(text, (size_t)slash + 1),
               parameters = {0};
    ptrdiff_t mark = str_chr(database, '?');
    if (mark >= 0) {
        parameters = str_from(database, (size_t)mark + 1);
        database = str_head(database, (size_t)mark);
    }
    ptrdiff_t at = last_of(front, '@');
    if (at >= 0 && !parse_login(str_head(front, (size_t)at), out, e))
        return false;
    if (!fits(database, out->database, sizeof(out->database)) || database.n == 0)
        return err_set(e, "dsn_string names no database: user:password@tcp(host:port)/database");
    return parse_net(at < 0 ? front : str_from(front, (size_t)at + 1), out, e) &&
           parse_parameters(parameters, out, e);
}
