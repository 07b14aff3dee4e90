/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the settings of targets that are databases, and what a server's errors become: what is taken fits where it is kept
 * and cannot leave its quotes; what is refused does not show the text, which may hold the password. */
#include <string.h>

#include "fuzz.h"
#include "target/mysql.h"
#include "target/postgres.h"

/* The text of an escaped string has no quote that is not behind a backslash. */
static void check_escaped(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        CHECK(s.p[i] != '\'' && s.p[i] != 0);
        if (s.p[i] == '\\')
            CHECK(++i < s.n);
    }
}

static void check_tables(struct str in)
{
    struct buf b;
    struct err e = {0};
    buf_init(&b, 4096);
    if (mysql_quote_table(in, &b, &e)) {
        bool inside = false;
        CHECK(!b.failed && b.len >= 3);
        for (size_t i = 0; i < b.len; i++) {
            inside ^= b.p[i] == '`';
            CHECK(inside || b.p[i] == '`' || b.p[i] == '.');
        }
        CHECK(!inside);
    }
    buf_release(&b);
    if (postgres_check_table(in, &e)) {
        bool inside = false;
        for (size_t i = 0; i < in.n; i++) {
            inside ^= in.p[i] == '"';
            CHECK(inside || !memchr(" ;'()-\n", in.p[i], 7));
        }
        CHECK(!inside);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(size ? data : (const uint8_t *)"", size);
    struct postgres_login login;
    struct mysql_dsn dsn;
    struct err e = {0};
    struct buf b;
    char why[240];
    if (postgres_parse_login(in, &login, &e))
        CHECK(login.n_places > 0 && login.n_places <= POSTGRES_PLACES && login.place[0].shown[0] &&
              login.secret);
    else
        CHECK(e.text[0]);
    postgres_login_release(&login);
    e = (struct err){0};
    if (mysql_parse_dsn(in, &dsn, &e))
        CHECK(dsn.database[0] && dsn.shown[0] && !dsn.host[0] == !!dsn.socket[0]);
    else
        CHECK(strncmp(e.text, "dsn_string", 10) == 0);
    check_tables(in);
    buf_init(&b, 4 * size + 64);
    mysql_escape(&b, in);
    CHECK(!b.failed);
    check_escaped(buf_view(&b));
    buf_release(&b);
    const struct sql_names names = {"h:1", "MYSQL", "_", "t", "pw"};
    mysql_explain(&names, "1045", in, why, sizeof(why));
    CHECK(!strstr(why, "pw"));
    postgres_explain(&names, "", in, why, sizeof(why));
    CHECK(!strstr(why, "pw"));
    return 0;
}
