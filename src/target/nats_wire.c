/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' protocol (docs.nats.io, "Client Protocol"): lines, and behind those of messages so many bytes as they say. Pure. */
#include <jansson.h>
#include <stdio.h>

#include "base/json.h"
#include "target/nats.h"

/* --- what a server says ------------------------------------------------------------------------------------------- */

static struct str word(struct str *line)
{
    size_t from = 0, to;
    while (from < line->n && (line->p[from] == ' ' || line->p[from] == '\t'))
        from++;
    for (to = from; to < line->n && line->p[to] != ' ' && line->p[to] != '\t';)
        to++;
    struct str w = str_n(line->p + from, to - from);
    *line = str_from(*line, to);
    return w;
}

/* "NATS/1.0 503 No Responders" begins a header that is no more than that. */
static struct str header_status(struct str header)
{
    struct str line;
    (void)str_cut(&header, '\n', &line);
    (void)word(&line);
    return str_trim(word(&line));
}

/* The rest of the line of a message, "subject sid [reply] [bytes of header] bytes", and what follows in *in. */
static enum nats_found take_message(struct str *in, struct str line, bool headers, struct nats_op *out)
{
    struct str words[6];
    size_t n = 0, fixed = headers ? 4 : 3;
    uint64_t head = 0, size;
    while (n < 6 && (words[n] = word(&line)).n > 0)
        n++;
    if (n < fixed || n > fixed + 1 || !str_to_u64(words[n - 1], &size) || size > NATS_LINE_MAX ||
        (headers && (!str_to_u64(words[n - 2], &head) || head > size)))
        return NATS_GARBAGE;
    if (in->n < size + 2)
        return NATS_PARTIAL;
    if (in->p[size] != '\r' || in->p[size + 1] != '\n')
        return NATS_GARBAGE;
    out->kind = NATS_MSG;
    out->subject = words[0];
    out->reply = n > fixed ? words[2] : (struct str){0};
    out->status = headers ? header_status(str_head(*in, head)) : (struct str){0};
    out->body = str_from(str_head(*in, size), head);
    *in = str_from(*in, size + 2);
    return NATS_WHOLE;
}

static struct str unquoted(struct str s)
{
    s = str_trim(s);
    if (s.n >= 2 && s.p[0] == '\'' && s.p[s.n - 1] == '\'')
        s = str_n(s.p + 1, s.n - 2);
    return s;
}

enum nats_found nats_take_op(struct str *in, struct nats_op *out)
{
    static const struct {
        struct str name;
        enum nats_op_kind kind;
        bool headers;
    } ops[] = {{STR("MSG"), NATS_MSG, false},   {STR("HMSG"), NATS_MSG, true},
               {STR("PONG"), NATS_PONG, false}, {STR("PING"), NATS_PING, false},
               {STR("+OK"), NATS_OK, false},    {STR("-ERR"), NATS_ERR, false},
               {STR("INFO"), NATS_INFO, false}};
    ptrdiff_t end = str_chr(str_head(*in, NATS_LINE_MAX), '\n');
    if (end < 0)
        return in->n >= NATS_LINE_MAX ? NATS_GARBAGE : NATS_PARTIAL;
    struct str line = str_head(*in, (size_t)end), rest = str_from(*in, (size_t)end + 1);
    if (str_ends(line, STR("\r")))
        line.n--;
    struct str name = word(&line);
    *out = (struct nats_op){0};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (!str_ieq(name, ops[i].name))
            continue;
        out->kind = ops[i].kind;
        out->text = out->kind == NATS_ERR ? unquoted(line) : str_trim(line);
        enum nats_found found =
            out->kind == NATS_MSG ? take_message(&rest, line, ops[i].headers, out) : NATS_WHOLE;
        if (found == NATS_WHOLE)
            *in = rest;
        return found;
    }
    return NATS_GARBAGE;
}

bool nats_read_info(struct str text, struct nats_info *out)
{
    json_t *o = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
    const char *nonce = json_string_value(json_object_get(o, "nonce"));
    bool ok = json_is_object(o) && (!nonce || strlen(nonce) < sizeof(out->nonce));
    *out = (struct nats_info){.headers = json_is_true(json_object_get(o, "headers")),
                              .tls_required = json_is_true(json_object_get(o, "tls_required")),
                              .tls_available = json_is_true(json_object_get(o, "tls_available")),
                              .max_payload = json_integer_value(json_object_get(o, "max_payload"))};
    if (ok && nonce)
        (void)snprintf(out->nonce, sizeof(out->nonce), "%s", nonce);
    json_decref(o);
    return ok;
}

/* --- what we say -------------------------------------------------------------------------------------------------- */

static void put_member(struct buf *b, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buf_printf(b, ",\"%s\":", name);
    json_quote(b, value);
}

void nats_put_connect(struct buf *b, const struct nats_login *l)
{
    buf_printf(
        b,
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":%s,\"name\":\"Belfry\",\"lang\":"
        "\"belfry\",\"version\":\"" BELFRY_VERSION
        "\",\"protocol\":1,\"echo\":false,\"headers\":true,\"no_responders\":true",
        l->tls ? "true" : "false");
    put_member(b, "user", str_c(l->user));
    put_member(b, "pass", str_c(l->pass));
    put_member(b, "auth_token", str_c(l->token));
    put_member(b, "jwt", l->jwt);
    put_member(b, "nkey", str_c(l->nkey));
    put_member(b, "sig", str_c(l->sig));
    buf_puts(b, "}\r\n");
}

void nats_put_sub(struct buf *b, const char *inbox)
{
    buf_printf(b, "SUB %s.* 1\r\n", inbox);
}

static void put_addresses(struct buf *b, struct str command, struct str subject, struct str reply)
{
    buf_str(b, command);
    buf_str(b, subject);
    buf_char(b, ' ');
    if (reply.n > 0) {
        buf_str(b, reply);
        buf_char(b, ' ');
    }
}

void nats_put_pub(struct buf *b, struct str subject, struct str reply, struct str body)
{
    put_addresses(b, STR("PUB "), subject, reply);
    buf_u64(b, body.n);
    buf_str(b, STR("\r\n"));
    buf_str(b, body);
    buf_str(b, STR("\r\n"));
}

size_t nats_put_hpub(struct buf *b, struct str subject, struct str reply, struct str id, struct str body)
{
    const struct str begin = STR("NATS/1.0\r\nNats-Msg-Id: "), end = STR("\r\n\r\n");
    size_t head = begin.n + id.n + end.n;
    put_addresses(b, STR("HPUB "), subject, reply);
    buf_u64(b, head);
    buf_char(b, ' ');
    buf_u64(b, head + body.n);
    buf_str(b, STR("\r\n"));
    buf_str(b, begin);
    buf_str(b, id);
    buf_str(b, end);
    buf_str(b, body);
    buf_str(b, STR("\r\n"));
    return head + body.n;
}
