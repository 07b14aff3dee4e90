/* SPDX-License-Identifier: Apache-2.0
 *
 * What nats decides by looking at bytes alone: addresses, subjects, ids, what errors mean, the key that a seed belongs to. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

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

void nats_message_id(const struct event_ref *ev, const char *target_id, const char *subject,
                     char out[NATS_ID_MAX])
{
    /* The sequencer is a change's own; the hash keeps apart servers and targets that write into the same stream. */
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    h = hash_more(h, str_c(subject));
    h = hash_more(h, ev->event_name);
    h = hash_more(h, ev->bucket);
    h = hash_more(h, ev->key);
    (void)snprintf(out, NATS_ID_MAX, "belfry-%.64s-%016llX-%016llX", target_id,
                   (unsigned long long)ev->sequencer, (unsigned long long)h);
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
    {"hostname mismatch", "its certificate does not name this host", "ADDRESS"},
    {"ip address mismatch", "its certificate does not name this address", "ADDRESS"},
    {"got ''", "it closed the connection within the login; perhaps it asks for a certificate",
     "CLIENT_CERT and _CLIENT_KEY"},
    {"certificate required", "it asks for a certificate", "CLIENT_CERT and _CLIENT_KEY"},
    {"bad certificate", "it does not take this client's certificate, or misses one",
     "CLIENT_CERT and _CLIENT_KEY"},
    {"certificate", "put the certificate of its CA into certs-dir/CAs", "CERT_AUTHORITY"},
    {"unknown ca", "it does not trust this client's certificate", "CLIENT_CERT and _CLIENT_KEY"},
    {"maximum payload", "raise max_payload there", NULL},
    {"maximum connections", "it has too many clients: raise max_connections there", NULL},
    {"maximum account", "its account has too many clients", NULL},
    {"client registered", "another client has this id: trying again with another one", NULL},
    {"no streaming server", "it is no NATS Streaming, or its cluster has another id", "STREAMING_CLUSTER_ID"},
    {"connect request timeout", "no NATS Streaming of this cluster id answers there", "STREAMING_CLUSTER_ID"},
    {"invalid publish request", "it does not know this client any more, or the subject is not allowed",
     "SUBJECT"},
    {"too many channels", "it has too many channels: raise max_channels there", NULL},
    {"stale connection", "it did not answer in time", NULL},
    {"no responders", "no stream takes this subject: add one there, or JetStream is off", "SUBJECT"},
};

/* Without the place in the library that stands before it: "(conn.c:1905): ". */
static const char *without_place(const char *text)
{
    const char *end = text[0] == '(' ? strstr(text, "): ") : NULL;
    return end ? end + 3 : text;
}

/* A text for messages: one line, not too long. */
static void shown_text(const char *text, char *out, size_t n)
{
    size_t len = strnlen(text, n - 1);
    for (size_t i = 0; i < len; i++)
        out[i] = (char)((unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
    out[len] = 0;
}

static bool holds(const char *text, const char *part)
{
    size_t n = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, n) == 0)
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

void nats_explain(const struct nats_names *names, const char *text, char *why, size_t why_n)
{
    char said[72], variables[160] = "";
    const char *advice = NULL;
    shown_text(without_place(text), said, sizeof(said));
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

/* err_code of JetStream's answers (nats-server's errors.json). */
#define JS_MESSAGE_TOO_BIG 10054 /* "message size exceeds maximum allowed": the stream's max_msg_size */

enum send_result nats_js_outcome(const struct nats_names *names, unsigned code, const char *text, char *why,
                                 size_t why_n)
{
    if (code == JS_MESSAGE_TOO_BIG) {
        (void)snprintf(why, why_n,
                       "%.60s: the stream of '%.60s' does not take events of this size: raise "
                       "its max_msg_size",
                       names->shown, names->subject);
        return SEND_REJECT;
    }
    nats_explain(names, text && *text ? text : "an answer without a reason", why, why_n);
    return SEND_RETRY;
}

/* --- keys ----------------------------------------------------------------------------------------------------------- */

#define SEED_TEXT   58 /* base32 of two bytes of prefix, 32 of seed, 2 of CRC */
#define PUBLIC_TEXT 56 /* of one byte of prefix, 32 of key, 2 of CRC */
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static bool base32_decode(struct str in, unsigned char *out, size_t n)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    size_t have = 0;
    for (size_t i = 0; i < in.n && have < n; i++) {
        const char *at = in.p[i] ? strchr(alphabet, in.p[i]) : NULL;
        if (!at)
            return false;
        acc = (acc << 5 | (uint32_t)(at - alphabet)) & 0xfff;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            out[have++] = (unsigned char)(acc >> bits);
        }
    }
    return have == n;
}

static void base32_encode(const unsigned char *in, size_t n, char *out)
{
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        acc = (acc << 8 | in[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            *out++ = alphabet[acc >> (bits - 5) & 31];
    }
    if (bits > 0)
        *out++ = alphabet[acc << (5 - bits) & 31];
    *out = 0;
}

static uint16_t crc16(const unsigned char *p, size_t n) /* CCITT, polynomial 0x1021, from 0 */
{
    uint16_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        crc = (uint16_t)(crc ^ p[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static bool derive(const unsigned char seed[32], unsigned char public_key[32])
{
    size_t n = 32;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, public_key, &n) == 1 && n == 32;
    EVP_PKEY_free(key);
    return ok;
}

bool nats_public_key(struct str text, char out[NATS_KEY_MAX], struct err *e)
{
    struct str line;
    unsigned char raw[36], public_key[35];
    bool ok = false;
    while (!ok && str_cut(&text, '\n', &line)) {
        line = str_trim(line);
        /* prefix: seed (18 << 3) of a user (20 << 3), the five bits of the second one split over both bytes */
        ok = line.n == SEED_TEXT && str_starts(line, STR("SU")) && base32_decode(line, raw, sizeof(raw)) &&
             crc16(raw, 34) == (uint16_t)(raw[34] | raw[35] << 8) && derive(raw + 2, public_key + 1);
    }
    OPENSSL_cleanse(raw, sizeof(raw));
    if (!ok)
        return err_set(e, "nkey_seed names a file without the seed of a user (a line 'SU...')");
    public_key[0] = 20 << 3;
    uint16_t crc = crc16(public_key, 33);
    public_key[33] = (unsigned char)crc;
    public_key[34] = (unsigned char)(crc >> 8);
    base32_encode(public_key, sizeof(public_key), out);
    return true;
}
