/* SPDX-License-Identifier: Apache-2.0
 *
 * One signed request. */
#include <stdlib.h>
#include <string.h>

#include "auth/auth.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"
#include "client/client_impl.h"
#include "config/config.h"

#define REPLY_MAX  (64u << 20)
#define TIMEOUT_MS 120000
#define SERVICE    "s3"

/* --- where ---------------------------------------------------------------------------------------------------------- */

bool client_open(struct client *c, struct err *e)
{
    const char *url = c->args.url ? c->args.url : "http://127.0.0.1:" DEFAULT_PORT;
    struct str s = str_c(url);
    if (!str_istarts(s, STR("http://")) && !str_istarts(s, STR("https://")))
        return err_set(e, "--url %s must begin with http:// or https://", url);
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    c->base = arena_strz(&c->arena, s);
    c->host = str_from(str_c(c->base), str_istarts(s, STR("https://")) ? 8 : 7);
    if (c->host.n == 0 || str_chr(c->host, '/') >= 0 || str_chr(c->host, '@') >= 0)
        return err_set(e, "--url %s must be SCHEME://HOST:PORT and nothing more", url);
    const char *user = config_env("MINIO_ROOT_USER"), *password = config_env("MINIO_ROOT_PASSWORD");
    c->access = str_c(user && *user ? user : "minioadmin");
    c->secret = str_c(password && *password ? password : "minioadmin");
    c->region = STR("us-east-1");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->curl = curl_easy_init()))
        return err_set(e, "libcurl cannot be used");
    return true;
}

void client_close(struct client *c)
{
    if (c->curl) {
        curl_easy_cleanup(c->curl);
        curl_global_cleanup();
    }
    arena_release(&c->arena);
}

/* --- signing -------------------------------------------------------------------------------------------------------- */

#define SIGNED "host;x-amz-content-sha256;x-amz-date"

static void canonical(struct buf *b, const struct client *c, const char *method, const char *path,
                      struct str query, const char *date, struct str payload)
{
    struct arena scratch;
    arena_init(&scratch);
    buf_printf(b, "%s\n", method);
    (void)auth_canon_path(b, str_c(path));
    buf_char(b, '\n');
    (void)auth_canon_query(b, query, &scratch);
    buf_printf(b, "\nhost:%.*s\nx-amz-content-sha256:%.*s\nx-amz-date:%s\n\n" SIGNED "\n%.*s",
               STR_FMT(c->host), STR_FMT(payload), date, STR_FMT(payload));
    arena_release(&scratch);
}

static void hex_sha256(struct str s, char out[2 * SHA256_LEN])
{
    uint8_t sum[SHA256_LEN];
    hash_sha256(s, sum);
    hex_lower(sum, sizeof sum, out);
}

void client_sign(struct buf *out, const struct client *c, const char *method, const char *path,
                 struct str query, struct str region, const char *date, struct str payload)
{
    struct buf request, text;
    char sum[2 * SHA256_LEN], signature[2 * SHA256_LEN];
    uint8_t key[32], mac[SHA256_LEN];
    buf_init(&request, 1u << 20);
    buf_init(&text, 4096);
    canonical(&request, c, method, path, query, date, payload);
    hex_sha256(buf_view(&request), sum);
    buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n%.8s/%.*s/" SERVICE "/aws4_request\n%.*s", date, date,
               STR_FMT(region), (int)sizeof sum, sum);
    auth_signing_key(c->secret, str_n(date, 8), region, STR(SERVICE), key);
    hash_hmac_sha256(str_n((const char *)key, sizeof key), buf_view(&text), mac);
    hex_lower(mac, sizeof mac, signature);
    buf_printf(out,
               "Authorization: AWS4-HMAC-SHA256 Credential=%.*s/%.8s/%.*s/" SERVICE
               "/aws4_request, SignedHeaders=" SIGNED ", Signature=%.*s",
               STR_FMT(c->access), date, STR_FMT(region), (int)sizeof signature, signature);
    buf_release(&request);
    buf_release(&text);
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static size_t take(char *p, size_t size, size_t n, void *ctx)
{
    struct buf *b = ctx;
    buf_put(b, p, size * n);
    return b->failed ? 0 : size * n;
}

static void put_query(struct buf *b, const struct client_param *query)
{
    for (const struct client_param *p = query; p && p->name; p++) {
        if (!p->value)
            continue;
        buf_puts(b, b->len ? "&" : "");
        pct_encode(b, str_c(p->name), PCT_QUERY);
        buf_char(b, '=');
        pct_encode(b, str_c(p->value), PCT_QUERY);
    }
}

static struct curl_slist *headers(struct client *c, const char *method, const char *path, struct str query,
                                  struct str body)
{
    char date[32], payload[2 * SHA256_LEN];
    struct buf line;
    struct curl_slist *list = NULL;
    clock_amz(clock_real_ns(), date);
    date[16] = 0;
    hex_sha256(body, payload);
    buf_init(&line, 8192);
    client_sign(&line, c, method, path, query, c->region, date, str_n(payload, sizeof payload));
    buf_char(&line, 0);
    list = curl_slist_append(list, line.p);
    buf_reset(&line);
    buf_printf(&line, "x-amz-date: %s%c", date, 0);
    list = curl_slist_append(list, line.p);
    buf_reset(&line);
    buf_printf(&line, "x-amz-content-sha256: %.*s%c", (int)sizeof payload, payload, 0);
    list = curl_slist_append(list, line.p);
    list = curl_slist_append(list, "Expect:");
    list = curl_slist_append(list, "Content-Type: application/octet-stream");
    buf_release(&line);
    return list;
}

static bool explain(const struct client *c, CURLcode code, const char *detail, struct err *e)
{
    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return err_set(e, "no server answers at %s (%s): start it, or name another with --url", c->base,
                       detail);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(e, "the name in %s is not known (%s): check --url", c->base, detail);
    case CURLE_PEER_FAILED_VERIFICATION:
        return err_set(e, "the certificate of %s is not trusted (%s): name its authority with --ca FILE",
                       c->base, detail);
    default:
        return err_set(e, "%s: %s", c->base, detail[0] ? detail : curl_easy_strerror(code));
    }
}

bool client_request(struct client *c, const char *method, const char *path, const struct client_param *query,
                    struct str body, struct client_reply *reply, struct err *e)
{
    char detail[CURL_ERROR_SIZE] = "";
    struct buf q, url;
    buf_init(&q, 1u << 18);
    buf_init(&url, 1u << 19);
    put_query(&q, query);
    buf_printf(&url, "%s%s%s", c->base, path, q.len ? "?" : "");
    buf_str(&url, buf_view(&q));
    buf_char(&url, 0);
    struct curl_slist *list = headers(c, method, path, buf_view(&q), body);
    *reply = (struct client_reply){0};
    buf_init(&reply->body, REPLY_MAX);
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_URL, url.p);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &reply->body);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, 10000L);
    if (strcmp(method, "GET") != 0) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.p ? body.p : "");
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
    }
    if (c->args.ca)
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->args.ca);
    if (c->args.insecure) {
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_slist_free_all(list);
    buf_release(&q);
    buf_release(&url);
    if (code == CURLE_OK)
        return true;
    buf_release(&reply->body);
    return explain(c, code, detail, e);
}

/* --- what comes back ------------------------------------------------------------------------------------------------ */

static struct str between(struct str s, struct str begin, struct str end)
{
    ptrdiff_t at = str_find(s, begin);
    struct str rest = at < 0 ? STR("") : str_from(s, (size_t)at + begin.n);
    ptrdiff_t stop = str_find(rest, end);
    return stop < 0 ? STR("") : str_head(rest, (size_t)stop);
}

void client_error(const struct client_reply *reply, struct err *e)
{
    struct str body = buf_view(&reply->body);
    json_t *o = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
    const char *text = o ? json_text(o, "Message") : "";
    struct str xml = between(body, STR("<Message>"), STR("</Message>"));
    const char *advice = "";
    if (reply->status == 403)
        advice = "; set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD to those of the server";
    if (reply->status == 426)
        advice = "; is it a Belfry, and as new as this program?";
    if (text[0])
        (void)err_set(e, "the server answers %ld: %s%s", reply->status, text, advice);
    else if (xml.n)
        (void)err_set(e, "the server answers %ld: %.*s%s", reply->status, STR_FMT(xml), advice);
    else
        (void)err_set(e, "the server answers %ld%s", reply->status, advice);
    json_decref(o);
}

json_t *client_call(struct client *c, const char *method, const char *call, const struct client_param *query,
                    struct err *e)
{
    struct client_reply reply;
    json_error_t why;
    json_t *o = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "/minio/admin/v3/%s", call);
    if (!client_request(c, method, path, query, STR(""), &reply, e))
        return NULL;
    if (reply.status != 200)
        client_error(&reply, e);
    else if (!(o = json_loadb(reply.body.p, reply.body.len, 0, &why)))
        (void)err_set(e, "the server's answer is no JSON: %s", why.text);
    buf_release(&reply.body);
    return o;
}

const char *json_text(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

long long json_count(const json_t *o, const char *name)
{
    return (long long)json_number_value(json_object_get(o, name));
}
