/* SPDX-License-Identifier: Apache-2.0
 *
 * What the targets that are databases decide by themselves: connection strings, statements, what errors mean. (Batches:
 * test_sql_batch.c; the contract: test_target.c; against real servers: tests/integration/test_sql*.py.) */
#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target/mysql.h"
#include "target/postgres.h"

/* --- messages ----------------------------------------------------------------------------------------------------- */

static void test_shown(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secret, *want;
    } cases[] = {{"plain", "", "plain"},
                 {" two\n\tlines\x1b[2J ", NULL, "two lines [2J"},
                 {"user pw-1 and pw-1", "pw-1", "user *** and ***"},
                 {"0123456789012345678901234567890123456789", "", "0123456789012345678"},
                 {"", "x", ""}};
    char out[20];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        sql_shown(str_c(cases[i].text), cases[i].secret, out, sizeof(out));
        assert_string_equal(out, cases[i].want);
    }
}

static void test_ca_file(void **state)
{
    (void)state;
    char path[SQL_CA_PATH], text[64] = "";
    struct stat st;
    struct err e;
    setenv("SSL_CERT_FILE", "/dev/null", 1);
    int fd = sql_ca_file(STR("-----BEGIN"), path, &e);
    unsetenv("SSL_CERT_FILE");
    assert_true(fd >= 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, f), 11);
    assert_string_equal(text, "\n-----BEGIN");
    (void)fclose(f);
    (void)close(fd);
}

/* --- PostgreSQL: pure --------------------------------------------------------------------------------------------- */

static void test_logins(void **state)
{
    (void)state;
    static const struct {
        const char *text, *places, *keyword, *value;
    } good[] = {
        {"host=localhost port=5432 dbname=minio_events user=postgres password=password sslmode=disable",
         "localhost:5432", "sslmode", "disable"},
        {"host=h user=u", "h:5432", "sslmode", "require"},
        {"host=hostname port=2832 username=psqluser password=psqlpass database=bucketevents", "hostname:2832",
         "user", "psqluser"},
        {"database = 'a b' host=h", "h:5432", "dbname", "a b"},
        {"password='username=x \\' database=y' host=h", "h:5432", "password", "username=x ' database=y"},
        {"host=a,b port=1,2 target_session_attrs=read-write", "a:1 b:2", "target_session_attrs",
         "read-write"},
        {"host=a,b port=7", "a:7 b:7", NULL, NULL},
        {"host=a,,c", "a:5432 localhost:5432 c:5432", NULL, NULL},
        {"hostaddr=127.0.0.1,::1", "127.0.0.1:5432 [::1]:5432", NULL, NULL},
        {"host=/var/run/postgresql", "/var/run/postgresql:5432", NULL, NULL},
        {"dbname=x", "localhost:5432", NULL, NULL},
        {"postgres://u:p%40ss@h:1/db?sslmode=verify-full", "h:1", "password", "p@ss"},
        {"postgresql://u@[::1]:5433,b/db", "[::1]:5433 b:5432", "dbname", "db"},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct postgres_login l;
        struct err e = {0};
        char places[200] = "";
        if (!postgres_parse_login(str_c(good[i].text), &l, &e))
            fail_msg("%s: %s", good[i].text, e.text);
        for (unsigned k = 0; k < l.n_places; k++) {
            size_t n = strlen(places);
            (void)snprintf(places + n, sizeof(places) - n, "%s%s", k ? " " : "", l.place[k].shown);
        }
        assert_string_equal(places, good[i].places);
        if (good[i].keyword)
            assert_string_equal(postgres_login_value(&l, good[i].keyword), good[i].value);
        assert_string_equal(postgres_login_value(&l, "client_encoding"), "UTF8");
        assert_string_equal(postgres_login_value(&l, "gssencmode"), "disable");
        postgres_login_release(&l);
    }
}

static void test_bad_logins(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "   ",
                                      "secret",
                                      "host",
                                      "host=h password=my secret",
                                      "host=h password='secret",
                                      "host=h secret=x",
                                      "host=a,b port=1,2,3",
                                      "host=a,b hostaddr=127.0.0.1",
                                      "host=h port=0",
                                      "host=h port=65536",
                                      "host=h port=secret",
                                      "hostaddr=secret",
                                      "service=secret",
                                      "replication=on host=h",
                                      "host=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
                                      "postgres://u:secret@h:x/db",
                                      "postgres://u:secret@h/db?secret=1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct postgres_login l;
        struct err e = {0};
        if (postgres_parse_login(str_c(bad[i]), &l, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_true(strncmp(e.text, "connection_string", 17) == 0);
        if (strstr(e.text, "secret"))
            fail_msg("%s", e.text);
        postgres_login_release(&l);
    }
}

static void test_needs_ca(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool want;
    } cases[] = {{"host=h", false},
                 {"host=h sslmode=verify-full", true},
                 {"host=h sslmode=verify-ca", true},
                 {"host=h sslmode=verify-full sslrootcert=/ca.crt", false},
                 {"host=h sslmode=verify-full sslrootcert=system", true},
                 {"host=h sslmode=disable", false}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct postgres_login l;
        struct err e = {0};
        assert_true(postgres_parse_login(str_c(cases[i].text), &l, &e));
        assert_int_equal(l.needs_ca, cases[i].want);
        postgres_login_release(&l);
    }
}

static void test_postgres_tables(void **state)
{
    (void)state;
    static const char *const good[] = {"bucketevents", "_x",  "a1$",         "\"Any Name; even this\"",
                                       "\"a\"\"b\"",   "s.t", "\"S\".\"T\"", "s.\"T.U\"",
                                       "t\xc3\xbc"};
    static const char *const bad[] = {"",   "1a",  "$a",   "a b",    "a;b", "a.b.c", "a.",
                                      ".a", "\"a", "\"\"", "\"a\"b", "a-b", "a'",    "a\"b\""};
    struct err e;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!postgres_check_table(str_c(good[i]), &e))
            fail_msg("'%s' was refused", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (postgres_check_table(str_c(bad[i]), &e))
            fail_msg("'%s' was taken", bad[i]);
}

static void test_postgres_statements(void **state)
{
    (void)state;
    struct postgres_sql s;
    postgres_statements("s.t", FORMAT_NAMESPACE, &s);
    assert_string_equal(s.text.p + s.insert,
                        "INSERT INTO s.t (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET "
                        "value = EXCLUDED.value");
    assert_string_equal(s.text.p + s.remove, "DELETE FROM s.t WHERE key = $1");
    assert_string_equal(s.text.p + s.create,
                        "CREATE TABLE IF NOT EXISTS s.t (key VARCHAR PRIMARY KEY, value JSONB)");
    buf_release(&s.text);
    postgres_statements("\"T\"", FORMAT_ACCESS, &s);
    assert_string_equal(s.text.p + s.insert, "INSERT INTO \"T\" (event_time, event_data) VALUES ($1, $2)");
    assert_string_equal(
        s.text.p + s.create,
        "CREATE TABLE IF NOT EXISTS \"T\" (event_time TIMESTAMP WITH TIME ZONE NOT NULL, event_data JSONB)");
    buf_release(&s.text);
}

static const struct verdict_case {
    const char *code, *text;
    enum sql_verdict verdict;
    const char *part;
} postgres_errors[] = {
    {"42P01", "relation \"t\" does not exist", SQL_MISSING, "MINIO_NOTIFY_POSTGRES_TABLE_x"},
    {"42703", "column", SQL_STOP, "other columns"},
    {"42P10", "there is no unique", SQL_STOP, "PRIMARY KEY (key)"},
    {"42501", "permission denied for schema public", SQL_STOP, "GRANT CREATE"},
    {"42501", "permission denied for table t", SQL_STOP, "SELECT, INSERT, UPDATE and DELETE"},
    {"23514", "new row violates check constraint", SQL_NEVER, "constraint"},
    {"22P05", "unsupported Unicode escape", SQL_NEVER, "cannot hold"},
    {"54000", "index row size", SQL_NEVER, "index row size"},
    {"23503", "violates foreign key", SQL_ROW, "constraint"},
    {"P0001", "no", SQL_ROW, "trigger"},
    {"23502", "null value", SQL_STOP, "default"},
    {"25006", "cannot execute INSERT in a read-only transaction", SQL_STOP,
     "target_session_attrs=read-write"},
    {"53100", "could not extend file", SQL_STOP, "disk is full"},
    {"57014", "canceling statement due to statement timeout", SQL_STOP, "locked"},
    {"28P01", "password authentication failed for user \"pw\"", SQL_STOP,
     "\"***\"' 28P01: user or password is wrong"},
    {"", "password authentication failed", SQL_STOP,
     "user or password is wrong: MINIO_NOTIFY_POSTGRES_CONNECTION_STRING_x"},
    {"", "SSL error: certificate verify failed", SQL_STOP, "certs-dir/CAs"},
    {"", "server does not support SSL, but SSL was required", SQL_STOP, "sslmode=disable"},
    {"XX000", "does not exist", SQL_STOP, "h:1 answered 'does not exist' XX000"},
};
static const struct verdict_case mysql_errors[] = {
    {"1146", "Table 'd.t' doesn't exist", SQL_MISSING, "MINIO_NOTIFY_MYSQL_TABLE_x"},
    {"1054", "Unknown column 'value'", SQL_STOP, "other columns"},
    {"1045", "Access denied for user 'u'@'h' (using password: YES)", SQL_STOP,
     "MINIO_NOTIFY_MYSQL_DSN_STRING_x"},
    {"1406", "Data too long for column 'key_name' at row 1", SQL_NEVER, "cannot hold"},
    {"4025", "CONSTRAINT `CONSTRAINT_1` failed", SQL_NEVER, "constraint"},
    {"3819", "Check constraint 'c' is violated.", SQL_NEVER, "constraint"},
    {"1644", "no", SQL_ROW, "trigger"},
    {"1290", "--read-only", SQL_STOP, "primary"},
    {"1205", "Lock wait timeout exceeded", SQL_STOP, "locked"},
    {"14", "?", SQL_STOP, "h:1 answered '?' 14"},
    {"2026", "TLS/SSL error: unable to get local issuer certificate", SQL_STOP, "certs-dir/CAs"},
};

#define STILL(table, first, type, second, type2) \
    "1 / (SELECT count(*) FROM pg_catalog.pg_class AS c WHERE c.oid = " table \
    "::pg_catalog.regclass AND c.relkind " \
    "= 'r' AND NOT c.relhasrules AND NOT c.relhastriggers AND pg_catalog.pg_typeof((NULL::s.t)." first \
    ") = " type "::pg_catalog.regtype AND pg_catalog.pg_typeof((NULL::s.t)." second ") = " type2 \
    "::pg_catalog.regtype) = 1"

static void test_postgres_array_statements(void **state)
{
    (void)state;
    static const struct {
        enum plan_format format;
        uint64_t types[2];
        const char *insert, *remove; /* NULL: not by arrays */
    } cases[] = {
        {FORMAT_NAMESPACE,
         {1043, 3802},
         "INSERT INTO s.t (key, value) SELECT u.a::pg_catalog.varchar, u.b::pg_catalog.jsonb FROM "
         "unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS u (a, b) WHERE " STILL(
             "$3", "key", "1043", "value", "3802") " ON CONFLICT (key) DO UPDATE "
                                                   "SET value = EXCLUDED.value",
         "DELETE FROM s.t WHERE key = ANY ($1::pg_catalog.text[]) AND " STILL("$2", "key", "1043", "value",
                                                                              "3802")},
        {FORMAT_NAMESPACE,
         {1042, 25},
         "INSERT INTO s.t (key, value) SELECT u.a::pg_catalog.bpchar, u.b::pg_catalog.text FROM "
         "unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) AS u (a, b) WHERE " STILL(
             "$3", "key", "1042", "value", "25") " ON CONFLICT (key) DO UPDATE "
                                                 "SET value = EXCLUDED.value",
         "DELETE FROM s.t WHERE key = ANY ($1::pg_catalog.text[]::pg_catalog.bpchar[]) AND " STILL(
             "$2", "key", "1042", "value", "25")},
        {FORMAT_ACCESS,
         {1184, 114},
         "INSERT INTO s.t (event_time, event_data) SELECT u.a::pg_catalog.timestamptz, u.b::pg_catalog.json "
         "FROM unnest($1::pg_catalog.text[], $2::pg_catalog.text[]) WITH ORDINALITY AS u (a, b, n) "
         "WHERE " STILL("$3", "event_time", "1184", "event_data", "114") " ORDER BY u.n",
         ""},
        {FORMAT_NAMESPACE, {1184, 3802}, NULL, NULL}, /* a key that is no text */
        {FORMAT_NAMESPACE, {16385, 3802}, NULL, NULL},
        {FORMAT_ACCESS, {1184, 16385}, NULL, NULL},
        {FORMAT_NAMESPACE, {0, 0}, NULL, NULL},
    };
    struct postgres_sql sql = {0};
    buf_init(&sql.text, 2048);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        bool known = postgres_array_statements("s.t", cases[i].format, cases[i].types, &sql);
        assert_int_equal(known, cases[i].insert != NULL);
        if (!known)
            continue;
        assert_string_equal(sql.text.p + sql.insert, cases[i].insert);
        if (cases[i].format == FORMAT_NAMESPACE)
            assert_string_equal(sql.text.p + sql.remove, cases[i].remove);
    }
    buf_release(&sql.text);
    /* the longest name there may be */
    char longest[257] = "";
    memset(longest, 'x', sizeof(longest) - 1);
    buf_init(&sql.text, POSTGRES_ARRAY_SQL);
    assert_true(postgres_array_statements(longest, FORMAT_NAMESPACE, (const uint64_t[2]){1042, 1184}, &sql));
    buf_release(&sql.text);
}

static void test_postgres_array(void **state)
{
    (void)state;
    static const char want[] = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\2\0\0\0\1"
                               "\0\0\0\5a,\"}\\\0\0\0\0";
    struct buf b;
    buf_init(&b, 1024);
    buf_puts(&b, "what was there before");
    postgres_array_begin(&b, 2);
    assert_int_equal(b.len, POSTGRES_ARRAY_HEAD);
    postgres_array_add(&b, STR("a,\"}\\"));
    postgres_array_add(&b, STR(""));
    assert_int_equal(b.len, sizeof(want) - 1);
    assert_memory_equal(b.p, want, b.len);
    buf_release(&b);
}

static void test_instead_of_arrays(void **state)
{
    (void)state;
    static const struct {
        const char *code;
        enum postgres_instead want;
    } cases[] = {{"22012", POSTGRES_ROWS_FROM_NOW}, {"22P02", POSTGRES_ROWS},
                 {"22P05", POSTGRES_ROWS},          {"23505", POSTGRES_ROWS},
                 {"21000", POSTGRES_ROWS},          {"P0001", POSTGRES_ROWS},
                 {"54000", POSTGRES_ROWS},          {"57014", POSTGRES_NOTHING},
                 {"57P01", POSTGRES_NOTHING},       {"40P01", POSTGRES_NOTHING},
                 {"25006", POSTGRES_NOTHING},       {"55P03", POSTGRES_NOTHING},
                 {"55000", POSTGRES_ROWS_FROM_NOW}, {"42883", POSTGRES_ROWS_FROM_NOW},
                 {"42P01", POSTGRES_ROWS_FROM_NOW}, {"0A000", POSTGRES_ROWS_FROM_NOW},
                 {"53400", POSTGRES_ROWS_FROM_NOW}, {"XX000", POSTGRES_ROWS_FROM_NOW},
                 {"?", POSTGRES_ROWS_FROM_NOW}};
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (postgres_instead(cases[i].code) != cases[i].want)
            fail_msg("%s", cases[i].code);
}

static void test_errors(void **state)
{
    (void)state;
    const struct sql_names p = {"h:1", "POSTGRES", "x", "t", "pw"}, m = {"h:1", "MYSQL", "x", "t", "pw"};
    char why[SEND_WHY];
    for (size_t i = 0; i < COUNT_OF(postgres_errors); i++) {
        const struct verdict_case *c = &postgres_errors[i];
        assert_int_equal(postgres_judge(c->code), c->verdict);
        postgres_explain(&p, c->code, str_c(c->text), why, sizeof(why));
        if (!strstr(why, c->part) || strncmp(why, "h:1 answered '", 14) != 0)
            fail_msg("%s: %s", c->code, why);
    }
    for (size_t i = 0; i < COUNT_OF(mysql_errors); i++) {
        const struct verdict_case *c = &mysql_errors[i];
        assert_int_equal(mysql_judge(c->code), c->verdict);
        mysql_explain(&m, c->code, str_c(c->text), why, sizeof(why));
        if (!strstr(why, c->part) || strncmp(why, "h:1 answered '", 14) != 0)
            fail_msg("%s: %s", c->code, why);
    }
}

/* --- MySQL: pure -------------------------------------------------------------------------------------------------- */

static void test_dsns(void **state)
{
    (void)state;
    static const struct {
        const char *text, *user, *password, *shown, *database;
        enum mysql_tls tls;
    } good[] = {
        {"root:xxxx@tcp(172.17.0.1:3306)/miniodb", "root", "xxxx", "172.17.0.1:3306", "miniodb",
         MYSQL_TLS_OFF},
        {"mysqluser:mysqlpass@tcp(localhost:2832)/bucketevents", "mysqluser", "mysqlpass", "localhost:2832",
         "bucketevents", MYSQL_TLS_OFF},
        {"u:p@ss:w/rd@(h)@tcp(h)/d?tls=true", "u", "p@ss:w/rd@(h)", "h:3306", "d", MYSQL_TLS_ON},
        {"u@tcp([::1]:7)/d?tls=skip-verify&timeout=5s", "u", "", "[::1]:7", "d", MYSQL_TLS_SKIP_VERIFY},
        {"u:p@unix(/run/mysqld/mysqld.sock)/d?charset=utf8mb4,utf8", "u", "p", "/run/mysqld/mysqld.sock", "d",
         MYSQL_TLS_OFF},
        {"u@unix/d", "u", "", "/tmp/mysql.sock", "d", MYSQL_TLS_OFF},
        {"/d", "", "", "127.0.0.1:3306", "d", MYSQL_TLS_OFF},
        {"u@/d?tls=preferred", "u", "", "127.0.0.1:3306", "d", MYSQL_TLS_PREFERRED},
        {"u@tcp/d", "u", "", "127.0.0.1:3306", "d", MYSQL_TLS_OFF},
        {"u@(h:1)/d?parseTime=True&junk", "u", "", "h:1", "d", MYSQL_TLS_OFF},
        {"u@tcp(:3307)/d", "u", "", "localhost:3307", "d", MYSQL_TLS_OFF},
    };
    struct mysql_dsn d;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct err e = {0};
        if (!mysql_parse_dsn(str_c(good[i].text), &d, &e))
            fail_msg("%s: %s", good[i].text, e.text);
        assert_string_equal(d.user, good[i].user);
        assert_string_equal(d.password, good[i].password);
        assert_string_equal(d.shown, good[i].shown);
        assert_string_equal(d.database, good[i].database);
        assert_int_equal(d.tls, good[i].tls);
    }
    static const char *const bad[] = {"",
                                      "u:secret@tcp(h:1)",
                                      "u:secret@tcp(h:1/d",
                                      "u:secret@tcp(h:0)/d",
                                      "u:secret@tcp(h:65536)/d",
                                      "u:secret@tcp(h:1)/",
                                      "u:secret@udp(h:1)/d",
                                      "u:secret@tcp([::1)/d",
                                      "u:secret@tcp([::1]x)/d",
                                      "u:secret@tcp(h h)/d",
                                      "u:secret@unix(relative)/d",
                                      "u:secret@tcp(h:1)/d?tls=maybe",
                                      "u:secret@tcp(h:1)/d?unknown=1"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct err e = {0};
        if (mysql_parse_dsn(str_c(bad[i]), &d, &e))
            fail_msg("'%s' was taken", bad[i]);
        assert_true(strncmp(e.text, "dsn_string", 10) == 0);
        assert_null(strstr(e.text, "secret"));
    }
}

static void test_mysql_tables(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"minio_images", "`minio_images`"},
                                           {"d.t", "`d`.`t`"},
                                           {"`a b`", "`a b`"},
                                           {"`a``b`.t", "`a``b`.`t`"},
                                           {"1a-b$", "`1a-b$`"}};
    static const char *const bad[] = {"", "a b", "a;b", "`a", "``", "a.b.c", "a.", ".a", "a`b", "`a`b", "a'"};
    struct buf b;
    struct err e;
    buf_init(&b, 1024);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_reset(&b);
        if (!mysql_quote_table(str_c(cases[i][0]), &b, &e))
            fail_msg("'%s' was refused", cases[i][0]);
        assert_true(str_eq_c(buf_view(&b), cases[i][1]));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (mysql_quote_table(str_c(bad[i]), &b, &e))
            fail_msg("'%s' was taken", bad[i]);
    buf_release(&b);
}

#define CHECK_TEXT(b, want) \
    do { \
        if (!str_eq_c(buf_view(b), want)) \
            fail_msg("%.*s", STR_FMT(buf_view(b))); \
        buf_reset(b); \
    } while (0)

static void test_mysql_statements(void **state)
{
    (void)state;
    const struct mysql_shape names = {"`t`", FORMAT_NAMESPACE, true}, two = {"`t`", FORMAT_NAMESPACE, false},
                             journal = {"`t`", FORMAT_ACCESS, false};
    const struct event_ref ev = {.bucket = STR("b"),
                                 .key = STR("it's \\ \"\n\r\x1a"
                                            "\0;"),
                                 .record = STR("{\"k\":\"\\u0000\"}"),
                                 .event_time = STR("2026-02-01T10:20:30.123Z")};
    struct buf b;
    buf_init(&b, 4096);
    mysql_create(&b, &names, true);
    CHECK_TEXT(
        &b,
        "CREATE TABLE IF NOT EXISTS `t` (key_name VARCHAR(3072) NOT NULL, key_hash CHAR(64) GENERATED ALWAYS "
        "AS "
        "(SHA2(key_name, 256)) STORED NOT NULL PRIMARY KEY, value JSON) CHARACTER SET = utf8mb4 COLLATE = "
        "utf8mb4_bin ROW_FORMAT = Dynamic");
    mysql_create(&b, &names, false);
    CHECK_TEXT(
        &b,
        "CREATE TABLE IF NOT EXISTS `t` (key_name VARCHAR(3072) NOT NULL, key_hash CHAR(64) GENERATED ALWAYS "
        "AS "
        "(SHA2(key_name, 256)) STORED, value JSON, UNIQUE KEY (key_hash)) CHARACTER SET = utf8mb4 COLLATE = "
        "utf8mb4_bin ROW_FORMAT = Dynamic");
    mysql_create(&b, &journal, false);
    CHECK_TEXT(&b, "CREATE TABLE IF NOT EXISTS `t` (event_time DATETIME NOT NULL, event_data JSON) "
                   "ROW_FORMAT = Dynamic");
    mysql_insert_begin(&b, &names);
    mysql_insert_values(&b, &names, &ev);
    mysql_insert_end(&b, &names);
    CHECK_TEXT(&b,
               "INSERT INTO `t` (key_name, value) VALUES ('b/it\\'s \\\\ \\\"\\n\\r\\Z\\0;','{\"Records\":["
               "{\\\"k\\\":\\\"\\\\u0000\\\"}]}') ON DUPLICATE KEY UPDATE value = VALUES(value)");
    mysql_insert_begin(&b, &journal);
    mysql_insert_values(&b, &journal, &ev);
    mysql_insert_end(&b, &journal);
    CHECK_TEXT(&b,
               "INSERT INTO `t` (event_time, event_data) VALUES ('2026-02-01 10:20:30.123','{\"Records\":["
               "{\\\"k\\\":\\\"\\\\u0000\\\"}]}')");
    const struct event_ref gone = {.bucket = STR("b"), .key = STR("k")};
    mysql_remove_begin(&b, &names);
    mysql_remove_values(&b, &names, &gone);
    mysql_remove_end(&b);
    CHECK_TEXT(&b, "DELETE FROM `t` WHERE key_hash IN (SHA2('b/k',256))");
    mysql_remove_begin(&b, &two);
    mysql_remove_values(&b, &two, &gone);
    mysql_remove_end(&b);
    CHECK_TEXT(&b, "DELETE FROM `t` WHERE key_name IN ('b/k')");
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown),
        cmocka_unit_test(test_ca_file),
        cmocka_unit_test(test_logins),
        cmocka_unit_test(test_bad_logins),
        cmocka_unit_test(test_needs_ca),
        cmocka_unit_test(test_postgres_tables),
        cmocka_unit_test(test_postgres_statements),
        cmocka_unit_test(test_postgres_array_statements),
        cmocka_unit_test(test_postgres_array),
        cmocka_unit_test(test_instead_of_arrays),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_dsns),
        cmocka_unit_test(test_mysql_tables),
        cmocka_unit_test(test_mysql_statements),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
