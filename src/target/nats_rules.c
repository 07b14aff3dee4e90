/* SPDX-License-Identifier: Apache-2.0
 *
 * What nats decides by looking at bytes alone: addresses, subjects, ids, what errors and JetStream's answers mean. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "target/nats.h"

/* --- addresses and subjects --------------------------------------------------------------------------------------- */

bool nats_parse_address(struct str text, struct target_address *out, struct err *e)
{
    static const struct address_words words = {
        "address", "4222", "localhost:4222",
        ", without a scheme such as nats:// (for TLS set tls=on; login by username and password, token, "
        "nkey_seed or user_credentials)"};
    return target_address_parse(text, &words, out, e);
}

bool nats_subject_ok(struct str subject, struct err *e)
{
    bool begin = true;
    for (size_t i = 0; i < subject.n; i++) {
        unsigned char c = (unsigned char)subject.p[i];
        bool last = i + 1 == subject.n || subject.p[i + 1] == '.';
        if (c <= ' ' || c == 0x7f || (begin && c == '.'))
            return err_set(e, "subject must be words between dots, such as bucketevents or events.images");
        if (begin && last && (c == '*' || c == '>'))
            return err_set(e, "subject must not hold the wildcards * and >: events are published to it");
        begin = c == '.';
    }
    if (subject.n == 0 || begin || subject.n > 255)
        return err_set(e, "subject must be words between dots, such as bucketevents (255 bytes at most)");
    return true;
}

/* --- ids ---------------------------------------------------------------------------------------------------------- */

static uint64_t hash_more(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
    return (h ^ 0xff) * UINT64_C(0x100000001b3); /* an end that no UTF-8 has */
}

void nats_message_id(struct buf *b, const struct event_ref *ev, const char *target_id, const char *subject)
{
    /* The sequencer is a change's own; the hash keeps apart servers and targets that write into the same stream. */
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    char hex[16];
    h = hash_more(h, str_c(subject));
    h = hash_more(h, ev->event_name);
    h = hash_more(h, ev->bucket);
    h = hash_more(h, ev->key);
    buf_puts(b, "belfry-");
    buf_str(b, str_head(str_c(target_id), 64));
    buf_char(b, '-');
    hex_u64(ev->sequencer, hex);
    buf_put(b, hex, sizeof(hex));
    buf_char(b, '-');
    hex_u64(h, hex);
    buf_put(b, hex, sizeof(hex));
}

/* --- what went wrong ---------------------------------------------------------------------------------------------- */

/* The first row whose text the message holds (in any case) says what to do, and in which variables where it is in our
 * hands. */
static const struct {
    const char *part, *advice, *variables;
} errors[] = {
    {"expired", "the login has expired", "USER_CREDENTIALS"},
    {"revoked", "the login was revoked", "USER_CREDENTIALS"},
    {"authorization", "the login is refused", "USERNAME, _PASSWORD, _TOKEN, _NKEY_SEED or _USER_CREDENTIALS"},
    {"authentication", "the login is refused",
     "USERNAME, _PASSWORD, _TOKEN, _NKEY_SEED or _USER_CREDENTIALS"},
    {"nonce", "the server does not ask for a signature: it knows no NKeys", "NKEY_SEED"},
    {"nkeys not supported", "the server knows no NKeys", "NKEY_SEED"},
    {"violation for subscription", "allow the user to subscribe to _INBOX.>", "USERNAME"},
    {"permissions violation", "allow the user to publish to the subject", "SUBJECT"},
    {"secure connection not available", "the server speaks no TLS", "TLS"},
    {"within the login", "perhaps it asks for a certificate", "CLIENT_CERT and _CLIENT_KEY"},
    {"certificate required", "it asks for a certificate", "CLIENT_CERT and _CLIENT_KEY"},
    {"bad certificate", "it does not take this client's certificate, or misses one",
     "CLIENT_CERT and _CLIENT_KEY"},
    {"unknown ca", "it does not trust this client's certificate", "CLIENT_CERT and _CLIENT_KEY"},
    {"maximum payload", "raise max_payload there", NULL},
    {"maximum connections", "it has too many clients: raise max_connections there", NULL},
    {"maximum account", "its account has too many clients", NULL},
    {"client registered", "another client has this id: trying again with another one", NULL},
    {"no streaming server", "it is no NATS Streaming, or its cluster has another id", "STREAMING_CLUSTER_ID"},
    {"connect request timeout", "no NATS Streaming of this cluster id answers there", "STREAMING_CLUSTER_ID"},
    {"invalid publish request", "it does not know this client any more, or the subject is not allowed",
     "SUBJECT"},
    {"no longer registered", "it has forgotten this client, which joins again", NULL},
    {"too many channels", "it has too many channels: raise max_channels there", NULL},
    {"stale connection", "it did not answer in time", NULL},
    {"no responders", "no stream takes this subject: add one there, or JetStream is off", "SUBJECT"},
};

/* A text for messages: one line, not too long. */
static void shown_text(struct str text, char *out, size_t n)
{
    size_t len = text.n < n - 1 ? text.n : n - 1;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f ? ' ' : text.p[i]);
    out[len] = 0;
}

static bool holds(struct str text, const char *part)
{
    for (struct str p = str_c(part); text.n >= p.n; text = str_from(text, 1))
        if (str_istarts(text, p))
            return true;
    return false;
}

/* "MINIO_NOTIFY_NATS_TOKEN_x"; several: each but the first is written shortly, as it stands in the table. */
static void put_variables(const struct nats_names *names, const char *variables, char *out, size_t n)
{
    bool named = strcmp(names->id, "_") != 0;
    int first = (int)strcspn(variables, ", ");
    (void)snprintf(out, n, " (MINIO_NOTIFY_NATS_%.*s%s%.40s%s)", first, variables, named ? "_" : "",
                   named ? names->id : "", variables + first);
}

void nats_explain(const struct nats_names *names, struct str text, char *why, size_t why_n)
{
    char said[72], variables[160] = "";
    const char *advice = NULL;
    shown_text(text, said, sizeof(said));
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]) && !advice; i++) {
        if (!holds(text, errors[i].part))
            continue;
        advice = errors[i].advice;
        if (errors[i].variables)
            put_variables(names, errors[i].variables, variables, sizeof(variables));
    }
    (void)snprintf(why, why_n, "%.60s: %s%s%s%s", names->shown, said, advice ? ": " : "",
                   advice ? advice : "", variables);
}

/* --- JetStream's answers ------------------------------------------------------------------------------------------ */

/* err_code (nats-server's errors.json). */
#define JS_MESSAGE_TOO_BIG 10054 /* "message size exceeds maximum allowed": the stream's max_msg_size */

/* What a server says of most events, {"stream":"S", "seq":7}, without reading it as JSON. */
static bool plainly_stored(struct str s)
{
    const struct str begin = STR("{\"stream\":\""), seq = STR("\"seq\":");
    uint64_t n;
    if (!str_starts(s, begin) || !str_ends(s, STR("}")))
        return false;
    s = str_from(str_head(s, s.n - 1), begin.n);
    ptrdiff_t end = str_chr(s, '"');
    if (end <= 0 || str_chr(str_head(s, (size_t)end), '\\') >= 0)
        return false;
    s = str_from(s, (size_t)end + 1);
    if (!str_starts(s, STR(",")))
        return false;
    s = str_trim(str_from(s, 1));
    return str_starts(s, seq) && str_to_u64(str_from(s, seq.n), &n) && n > 0;
}

static enum send_result refused(const struct nats_names *names, const json_t *error, char *why, size_t why_n)
{
    const char *text = json_string_value(json_object_get(error, "description"));
    if (json_integer_value(json_object_get(error, "err_code")) == JS_MESSAGE_TOO_BIG) {
        (void)snprintf(why, why_n,
                       "%.60s: the stream of '%.60s' does not take events of this size: raise "
                       "its max_msg_size",
                       names->shown, names->subject);
        return SEND_REJECT;
    }
    nats_explain(names, text && *text ? str_c(text) : STR("an answer without a reason"), why, why_n);
    return SEND_RETRY;
}

enum send_result nats_judge_ack(const struct nats_names *names, struct str status, struct str body, char *why,
                                size_t why_n)
{
    if (status.n > 0) {
        nats_explain(names, str_eq_c(status, "503") ? STR("no responders") : status, why, why_n);
        return SEND_RETRY;
    }
    if (plainly_stored(body))
        return SEND_OK;
    json_t *o = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const char *stream = json_string_value(json_object_get(o, "stream"));
    json_t *error = json_object_get(o, "error");
    bool stored = !error && stream && *stream && json_integer_value(json_object_get(o, "seq")) > 0;
    enum send_result r = stored ? SEND_OK : refused(names, error, why, why_n);
    json_decref(o);
    return r;
}
