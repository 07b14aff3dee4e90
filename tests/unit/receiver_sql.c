/* SPDX-License-Identifier: Apache-2.0
 *
 * The receivers that speak PostgreSQL's protocol (version 3) and MySQL's: enough of them for a login, for probes of the table
 * and for batches; in these they behave as the key of an event asks. "b/e23514" is refused with that code. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/err.h"
#include "receiver.h"

static bool say(struct visit *v, const struct buf *b)
{
    return send(v->fd, b->p, b->len, MSG_NOSIGNAL) == (ssize_t)b->len;
}

static const char *find(const char *q, size_t n, const char *part)
{
    return memmem(q, n, part, strlen(part));
}

/* What is done instead of an answer, where the key asks for it. */
static bool misbehaves(struct visit *v, const char *q, bool *going)
{
    *going = false;
    if (find(q, v->n, "b/hang"))
        receiver_hang(v);
    else if (find(q, v->n, "b/garbage"))
        (void)receiver_say(v->fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    else if (find(q, v->n, "b/half"))
        (void)receiver_say(v->fd, "C");
    else if (!find(q, v->n, "b/close"))
        return false;
    return true;
}

/* --- PostgreSQL --------------------------------------------------------------------------------------------------- */

static size_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
}

/* Up to a query, or the Sync that ends a pipeline. */
static size_t postgres_complete(struct buf *in)
{
    if (in->len >= 4 && in->p[0] == 0)
        return be32(in->p) <= in->len ? be32(in->p) : 0;
    for (size_t at = 0; in->len - at >= 5;) {
        char type = in->p[at];
        size_t n = 1 + be32(in->p + at + 1);
        if (n > in->len - at)
            return 0;
        at += n;
        if (type == 'Q' || type == 'S' || type == 'X')
            return at;
    }
    return 0;
}

static void message(struct buf *b, char type, const char *p, size_t n)
{
    buf_char(b, type);
    buf_be32(b, (uint32_t)n + 4);
    buf_put(b, p, n);
}

static void refusal(struct buf *b, const char *code)
{
    char text[64];
    int n = snprintf(text, sizeof(text), "SERROR%cC%.5s%cMrefused%c%c", 0, code, 0, 0, 0);
    message(b, 'E', text, (size_t)n);
}

#define TAG(tag) tag, sizeof(tag)

/* What a pipeline is about, as far as it was read. */
struct course {
    bool types, arrays; /* asks for the types of columns; has a statement over arrays */
    uint32_t rows;
    const char *refused;
};

/* The types of a table that takes arrays: VARCHAR and JSONB. */
static void say_types(struct buf *b, bool row)
{
    if (row)
        message(b, 'D',
                "\0\2"
                "\0\0\0\4"
                "1043"
                "\0\0\0\4"
                "3802",
                18);
    else
        message(b, 'T',
                "\0\2"
                "a\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0"
                "b\0\0\0\0\0\0\0\0\0\0\x14\0\x08\xff\xff\xff\xff\0\0",
                42);
}

/* The number of elements of the first array: behind the names of portal and statement, the formats and their number, the number
 * of the values, its length, its dimensions, whether it has NULLs, and its type. */
static uint32_t elements(const char *bind)
{
    const char *at = bind + 5 + 1 + 1;
    size_t formats = (size_t)(unsigned char)at[1];
    return (uint32_t)be32(at + 2 + 2 * formats + 2 + 4 + 12);
}

static const char *refusal_of(const struct course *c, const char *q, size_t n)
{
    const char *code = find(q, n, "b/e");
    if (c->arrays && find(q, n, "b/text"))
        return "42883";
    return code ? code + 3 : NULL;
}

static void complete_command(struct buf *b, const struct course *c)
{
    char tag[32];
    int n = snprintf(tag, sizeof(tag), "INSERT 0 %u", c->rows);
    message(b, 'C', tag, (size_t)n + 1);
}

static void answer_message(struct buf *b, struct course *c, bool knows_arrays, const char *q, size_t n)
{
    if (q[0] == 'P') {
        c->types = knows_arrays && find(q, n, "SELECT a.atttypid");
        c->arrays = find(q, n, "unnest") != NULL;
        message(b, '1', "", 0);
    } else if (q[0] == 'B') {
        c->refused = refusal_of(c, q, n);
        c->rows = !c->arrays ? 1 : find(q, n, "b/count") ? 0 : elements(q);
        if (c->refused)
            refusal(b, c->refused);
        else
            message(b, '2', "", 0);
    } else if (q[0] == 'D' && c->types) {
        say_types(b, false);
    } else if (q[0] == 'D') {
        message(b, 'n', "", 0);
    } else if (q[0] == 'E') {
        if (c->types)
            say_types(b, true);
        complete_command(b, c);
    }
}

/* One answer to each message; after an error only to the last. */
static void pipeline(struct buf *b, bool knows_arrays, const char *q, size_t n)
{
    struct course c = {0};
    for (size_t at = 0; at < n; at += 1 + be32(q + at + 1)) {
        if (q[at] == 'S')
            message(b, 'Z', "I", 1);
        else if (!c.refused)
            answer_message(b, &c, knows_arrays, q + at, 1 + be32(q + at + 1));
    }
}

static bool postgres_says(struct visit *v, bool knows_arrays, const char *q)
{
    struct buf b;
    bool going = true;
    if (q[0] == 'P' && misbehaves(v, q, &going))
        return going;
    if (q[0] == 'X')
        return false;
    buf_init(&b, 1u << 20);
    if (q[0] == 0) {
        message(&b, 'R', "\0\0\0\0", 4);
        message(&b, 'S',
                TAG("server_version\0"
                    "15.0"));
        message(&b, 'S',
                TAG("client_encoding\0"
                    "UTF8"));
        message(&b, 'Z', "I", 1);
    } else if (q[0] == 'Q') {
        message(&b, 'C', TAG("SET"));
        message(&b, 'Z', "I", 1);
    } else {
        pipeline(&b, knows_arrays, q, v->n);
    }
    bool ok = true;
    for (size_t i = 0; i < b.len && ok && find(q, v->n, "b/slow");
         i++) /* a byte at a time, then nothing is left */
        ok = send(v->fd, b.p + i, 1, MSG_NOSIGNAL) == 1;
    if (!find(q, v->n, "b/slow"))
        ok = say(v, &b);
    buf_release(&b);
    return ok;
}

static bool postgres_answer(struct visit *v, const char *q)
{
    return postgres_says(v, false, q);
}

static bool postgres_answer_arrays(struct visit *v, const char *q)
{
    return postgres_says(v, true, q);
}

void receiver_start_postgres_arrays(struct receiver *r)
{
    static const struct protocol postgres = {.complete = postgres_complete, .answer = postgres_answer_arrays};
    receiver_start_as(r, &postgres);
}

void receiver_start_postgres(struct receiver *r)
{
    static const struct protocol postgres = {.complete = postgres_complete, .answer = postgres_answer};
    receiver_start_as(r, &postgres);
}

/* --- MySQL -------------------------------------------------------------------------------------------------------- */

static size_t mysql_complete(struct buf *in)
{
    const unsigned char *u = (const unsigned char *)in->p;
    size_t n = in->len < 4 ? 0 : 4 + ((size_t)u[0] | (size_t)u[1] << 8 | (size_t)u[2] << 16);
    return n <= in->len ? n : 0;
}

static void packet(struct buf *b, unsigned char *number, const char *p, size_t n)
{
    const char head[4] = {(char)n, (char)(n >> 8), (char)(n >> 16), (char)(*number)++};
    buf_put(b, head, 4);
    buf_put(b, p, n);
}

#define BYTES(text) text, sizeof(text) - 1
#define OK_PACKET   "\0\0\0\2\0\0\0"
#define END_PACKET  "\xfe\0\0\2\0"

static bool mysql_greet(struct visit *v)
{
    struct buf b;
    unsigned char number = 0;
    buf_init(&b, 4096);
    /* protocol 10, version, thread, 8 bytes of salt, capabilities (MySQL, 4.1, secure, plugins), charset, status, more of them */
    packet(&b, &number,
           BYTES("\x0a"
                 "8.0.30\0"
                 "\1\0\0\0"
                 "12345678\0"
                 "\x0d\xa2"
                 "\x2d"
                 "\2\0"
                 "\x08\0"
                 "\x15"
                 "\0\0\0\0\0\0\0\0\0\0"
                 "123456789012\0"
                 "mysql_native_password\0"));
    bool ok = say(v, &b);
    buf_release(&b);
    return ok;
}

/* The same without the capability that means MySQL, so that those of MariaDB count: arrays. */
static bool mariadb_greet(struct visit *v)
{
    struct buf b;
    unsigned char number = 0;
    buf_init(&b, 4096);
    packet(&b, &number,
           BYTES("\x0a"
                 "5.5.5-10.11.0-MariaDB\0"
                 "\1\0\0\0"
                 "12345678\0"
                 "\x0c\xa2"
                 "\x2d"
                 "\2\0"
                 "\x08\0"
                 "\x15"
                 "\0\0\0\0\0\0\4\0\0\0"
                 "123456789012\0"
                 "mysql_native_password\0"));
    bool ok = say(v, &b);
    buf_release(&b);
    return ok;
}

/* A statement of two values, without a result. */
static void prepared(struct buf *b, unsigned char *number)
{
    packet(b, number, BYTES("\0\1\0\0\0\0\0\2\0\0\0\0"));
    for (int i = 0; i < 2; i++)
        packet(b, number, BYTES("\3def\0\0\0\1?\1?\x0c\x2d\0\0\0\0\0\xfd\0\0\0\0\0"));
    packet(b, number, BYTES(END_PACKET));
}

/* One column and one row. */
static void result(struct buf *b, unsigned char *number)
{
    packet(b, number, BYTES("\1"));
    packet(b, number, BYTES("\3def\0\0\0\1x\1x\x0c\x3f\0\x14\0\0\0\x08\0\0\0\0\0"));
    packet(b, number, BYTES(END_PACKET));
    packet(b, number,
           BYTES("\x08"
                 "16777216"));
    packet(b, number, BYTES(END_PACKET));
}

static bool mysql_answer(struct visit *v, const char *q)
{
    struct buf b;
    unsigned char number = (unsigned char)(q[3] + 1);
    bool going = true, arrays = (unsigned char)q[4] == 0xfa, deaf = find(q, v->n, "b/deaf");
    const char *code = arrays && find(q, v->n, "b/text") ? "b/e4033" : find(q, v->n, "b/e");
    if (q[4] == 1 && q[3] == 0)
        return false;
    if (misbehaves(v, q, &going))
        return going;
    buf_init(&b, 65536);
    if (code) {
        char text[64];
        unsigned long error = strtoul(code + 3, NULL, 10);
        int n = snprintf(text, sizeof(text), "\xff%c%c#HY000refused", (int)(error & 0xff), (int)(error >> 8));
        packet(&b, &number, text, (size_t)n);
    } else if (q[4] == 0x16) {
        prepared(&b, &number);
    } else if (find(q, v->n, "SELECT") || find(q, v->n, "EXPLAIN") || find(q, v->n, "SHOW")) {
        result(&b, &number);
    } else {
        packet(&b, &number, BYTES(OK_PACKET));
    }
    bool ok = say(v, &b);
    buf_release(&b);
    if (deaf)
        receiver_hang(v);
    return ok && !deaf;
}

void receiver_start_mariadb(struct receiver *r)
{
    static const struct protocol mariadb = {
        .complete = mysql_complete, .answer = mysql_answer, .greet = mariadb_greet};
    receiver_start_as(r, &mariadb);
}

void receiver_start_mysql(struct receiver *r)
{
    static const struct protocol mysql = {
        .complete = mysql_complete, .answer = mysql_answer, .greet = mysql_greet};
    receiver_start_as(r, &mysql);
}
