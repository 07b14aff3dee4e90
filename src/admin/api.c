/* SPDX-License-Identifier: Apache-2.0
 *
 * /minio/admin/v3: the calls, their signature, their body. */
#include "base/clock.h"
#include "base/hash.h"

#include "admin/crypt.h"
#include "admin/request.h"

#define BASE      "/minio/admin/"
#define VERSION   "v3"
#define QUERY_MAX 32

#define CONFIG "admin:ConfigUpdate"

static const struct admin_route routes[] = {
    {"GET", "get-config-kv", NULL, CONFIG, SEALED_REPLY, call_config_get},
    {"PUT", "set-config-kv", NULL, CONFIG, SEALED_BODY, call_config_set},
    {"DELETE", "del-config-kv", NULL, CONFIG, SEALED_BODY, call_config_del},
    {"GET", "help-config-kv", NULL, CONFIG, 0, call_config_help},
    {"GET", "config", NULL, CONFIG, SEALED_REPLY, call_config_export},
    {"PUT", "config", NULL, CONFIG, SEALED_BODY, call_config_import},
    {"GET", "list-config-history-kv", NULL, CONFIG, SEALED_REPLY, call_history_list},
    {"DELETE", "clear-config-history-kv", NULL, CONFIG, IN_TURN, call_history_clear},
    {"PUT", "restore-config-history-kv", NULL, CONFIG, IN_TURN, call_history_restore},
    {"GET", "targets", NULL, "admin:ServerInfo", 0, call_targets},
    {"POST", "target-test", NULL, CONFIG, 0, call_target_test},
    {"POST", "target-pause", NULL, CONFIG, 0, call_target_pause},
    {"POST", "target-resume", NULL, CONFIG, 0, call_target_resume},
    {"GET", "dead-letters", NULL, CONFIG, 0, call_dead_letters},
    {"GET", "dead-letter", NULL, CONFIG, 0, call_dead_letter},
    {"POST", "dead-letters-drop", NULL, CONFIG, 0, call_dead_letters_drop},
    {"POST", "dead-letters-replay", NULL, CONFIG, 0, call_dead_letters_replay},
    {"POST", "backfill", NULL, CONFIG, 0, call_backfill},
    {"GET", "info", NULL, "admin:ServerInfo", 0, call_info},
    {"POST", "service", "action=restart", "admin:ServiceRestart", 0, call_restart},
    {"POST", "service", "action=stop", "admin:ServiceStop", 0, call_stop},
    {"POST", "service", "action=freeze", "admin:ServiceFreeze", 0, call_no_freeze},
    {"POST", "service", "action=unfreeze", "admin:ServiceFreeze", 0, call_no_freeze},
};

/* --- which call --- */

static bool has_query(const struct admin_req *r, const char *condition)
{
    struct str rest = str_c(condition), name, value;
    (void)str_cut(&rest, '=', &name);
    return query_get(&r->query, name, &value) && str_eq(value, rest);
}

static const struct admin_route *find_route(const struct admin_req *r, struct str name)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct admin_route *t = &routes[i];
        if (str_eq_c(r->http->method, t->method) && str_eq_c(name, t->name) &&
            (!t->query || has_query(r, t->query)))
            return t;
    }
    return NULL;
}

/* 426 is what makes clients fall back to an older version of the interface, and say so when there is none. */
static void no_such_call(struct admin_req *r, struct str rest, bool version)
{
    struct str shown = str_head(rest, 64);
    const char *text =
        version ? arena_printf(&r->http->arena,
                               "This server has version " VERSION " of the admin interface, not '%.*s'%c",
                               STR_FMT(shown), 0)
                      .p
                : arena_printf(&r->http->arena,
                               "This version of the server does not have the admin call %.*s '%.*s'%c",
                               STR_FMT(r->http->method), STR_FMT(shown), 0)
                      .p;
    admin_fail(r->admin, r->http, ADMIN_VERSION, text);
}

/* --- who --- */

/* By a signature in the head over the whole body, nothing weaker. */
static enum s3_error authenticate(struct admin_req *r)
{
    struct http_req *h = r->http;
    struct auth_request a = {
        .method = h->method,
        .path = h->path,
        .query = h->query,
        .headers = &h->headers,
        .now_ns = clock_real_ns(),
        .region_free = true, /* clients sign for the empty region */
        .has_body = h->content_length != 0,
    };
    if (!str_starts(str_trim(header_value(&h->headers, STR("authorization"))), STR("AWS4-HMAC-SHA256")))
        return S3E_ACCESS_DENIED;
    enum auth_result res = auth_verify(r->admin->o.s3->auth, &a, &h->arena, &r->id, &r->payload);
    if (res != AUTH_OK)
        return s3_auth_error(res);
    if (r->payload.mode != PAYLOAD_SIGNED)
        return S3E_CONTENT_SHA256_MISMATCH;
    return allowed(&r->id, str_c(r->route->action), STR(""), NULL) ? S3E_NONE : S3E_ACCESS_DENIED;
}

/* --- running: on a worker --- */

static enum admin_error sealed(enum crypt_result res)
{
    return res == CRYPT_OK ? ADMIN_NONE : res == CRYPT_BAD ? ADMIN_NOT_SEALED : ADMIN_BUSY;
}

/* Replaces b by what `with` makes of it under the secret key of who asks. */
static enum admin_error transform(struct admin_req *r, struct buf *b,
                                  enum crypt_result (*with)(struct str, struct str, struct buf *), size_t max)
{
    struct buf out;
    buf_init(&out, max);
    enum crypt_result res = with(auth_secret(r->admin->o.s3->auth, &r->id), buf_view(b), &out);
    buf_release(b);
    *b = out;
    return sealed(res);
}

static void run_call(struct admin_req *r)
{
    if (r->route->flags & SEALED_BODY)
        r->error = transform(r, &r->body, crypt_decrypt, CRYPT_BODY_MAX);
    if (r->error == ADMIN_NONE)
        r->route->run(r);
    if (r->error == ADMIN_NONE && !r->out.failed && r->route->flags & SEALED_REPLY)
        r->error = transform(r, &r->out, crypt_encrypt, crypt_size(r->out.len));
}

static void body_is_here(struct admin_req *r)
{
    uint8_t sha[SHA256_LEN];
    hash_sha256(buf_view(&r->body), sha);
    if (!hash_equal(sha, r->payload.sha256, sizeof sha)) {
        admin_fail_s3(r->admin, r->http, S3E_CONTENT_SHA256_MISMATCH);
        return;
    }
    admin_run(r, r->route->flags ? &r->admin->keys : NULL, run_call);
}

/* --- body --- */

static bool take_data(struct http_req *h, const char *p, size_t n)
{
    struct admin_req *r = h->app;
    buf_put(&r->body, p, n);
    if (r->body.failed)
        admin_fail(r->admin, h, ADMIN_TOO_LARGE, NULL);
    return true;
}

static void take_end(struct http_req *h)
{
    body_is_here(h->app);
}

static void take_cut(struct http_req *h)
{
    (void)h;
}

static void take_body(struct admin_req *r)
{
    static const struct http_sink sink = {.data = take_data, .end = take_end, .cut = take_cut};
    int64_t n = r->http->content_length;
    /* Clients that send nothing may do so in chunks. What is sealed is measured beforehand, as MinIO does. */
    if (n > CRYPT_BODY_MAX || (n < 0 && r->route->flags & SEALED_BODY)) {
        admin_fail(r->admin, r->http, ADMIN_TOO_LARGE, NULL);
        return;
    }
    buf_init(&r->body, n < 0 ? CRYPT_BODY_MAX : (size_t)n);
    if (n)
        http_read_body(r->http, &sink);
    else
        body_is_here(r);
}

void api_head(struct admin *a, struct http_req *h)
{
    struct admin_req *r = admin_req_new(a, h);
    struct str rest = str_from(h->path, strlen(BASE)), version;
    (void)str_cut(&rest, '/', &version);
    if (!str_eq_c(version, VERSION)) {
        no_such_call(r, version, true);
        return;
    }
    if (!query_parse(&h->arena, h->query, QUERY_MAX, &r->query)) {
        admin_fail(a, h, ADMIN_ARGUMENT, NULL);
        return;
    }
    r->route = find_route(r, rest);
    if (!r->route) {
        no_such_call(r, rest, false);
        return;
    }
    enum s3_error e = authenticate(r);
    if (e != S3E_NONE)
        admin_fail_s3(a, h, e);
    else
        take_body(r);
}
