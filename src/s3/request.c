/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of a request: names, operation, signature, permission, body, operation. */
#include "base/clock.h"
#include "base/encode.h"
#include "s3/cors.h"
#include "s3/emit.h"
#include "s3/meta.h"
#include "s3/ops.h"
#include "s3/route.h"
#include "s3/upload.h"

#define HEADERS_LIMIT (8u << 10) /* AWS: 8 KiB of headers, 2 KiB of user metadata */
#define META_LIMIT    (2u << 10)
#define QUERY_MAX     128

struct str s3_header(const struct s3_req *r, const char *name)
{
    return header_value(&r->http->headers, str_c(name));
}

bool s3_query(const struct s3_req *r, const char *name, struct str *value)
{
    return query_get(&r->query, str_c(name), value);
}

/* --- work, commits, budget ------------------------------------------------------------------------------------------ */

static void job_back(struct task *t)
{
    struct s3_req *r = CONTAINER_OF(t, struct s3_req, job);
    r->job_done(r);
    http_release(r->http);
}

static void job_on_worker(struct task *t)
{
    struct s3_req *r = CONTAINER_OF(t, struct s3_req, job);
    r->job_run(r);
    t->fn = job_back;
    loop_post(r->http->loop, t);
}

void s3_work(struct s3_req *r, void (*run)(struct s3_req *r), void (*done)(struct s3_req *r))
{
    http_hold(r->http);
    r->job_run = run;
    r->job_done = done;
    r->job.fn = job_on_worker;
    work_submit(r->s3->work, &r->job);
}

static enum store_result look(const struct s3_req *r, struct str key, bool cached_only)
{
    struct arena a;
    struct object o;
    struct err why;
    arena_init(&a);
    enum store_result res = store_object_get(r->s3->store, r->bucket, key, cached_only, &a, &o, &why);
    arena_release(&a);
    return res;
}

bool s3_is_cold(const struct s3_req *r, struct str key)
{
    return look(r, key, true) == STORE_WOULD_BLOCK;
}

void s3_warm(const struct s3_req *r, struct str key)
{
    (void)look(r, key, false); /* the closure reads it again, and finds what is wrong with it */
}

struct commit_call {
    void (*done)(void *r, enum kv_outcome o);
    struct s3_req *r;
    bool (*fn)(struct kv_txn *t, void *r);
};

static bool commit_fn(struct kv_txn *t, void *ctx)
{
    struct commit_call *c = ctx;
    return c->fn(t, c->r);
}

static void commit_done(void *ctx, enum kv_outcome o)
{
    struct commit_call *c = ctx;
    struct http_req *h = c->r->http;
    c->done(c->r, o);
    http_release(h);
}

void s3_commit(struct s3_req *r, bool (*fn)(struct kv_txn *t, void *r),
               void (*done)(void *r, enum kv_outcome o), size_t bytes, unsigned flags)
{
    struct commit_call *c = ARENA_NEW(r->arena, struct commit_call);
    *c = (struct commit_call){.done = done, .r = r, .fn = fn};
    r->commit = (struct kv_commit){.fn = commit_fn,
                                   .done = commit_done,
                                   .ctx = c,
                                   .loop = r->http->loop,
                                   .flags = flags,
                                   .bytes = bytes};
    http_hold(r->http);
    kv_commit(store_kv(r->s3->store), &r->commit);
}

static void budget_turn(struct task *t)
{
    struct s3_req *r = CONTAINER_OF(t, struct s3_req, wait.task);
    r->job_run(r);
    http_release(r->http);
}

void s3_take_budget(struct s3_req *r, struct budget *b, size_t bytes, void (*go)(struct s3_req *r))
{
    BUG_ON(r->budget_of);
    r->budget_of = b;
    r->budget = bytes;
    r->wait = (struct budget_wait){.task.fn = budget_turn, .loop = r->http->loop};
    r->job_run = go;
    http_hold(r->http);
    if (budget_take(b, bytes, &r->wait)) {
        go(r);
        http_release(r->http);
    }
}

/* --- buckets -------------------------------------------------------------------------------------------------------- */

bool s3_need_bucket(struct s3_req *r)
{
    if (!r->bucket)
        r->bucket = store_bucket(r->s3->store, r->bucket_name);
    if (!r->bucket)
        s3_fail(r, S3E_NO_SUCH_BUCKET);
    return r->bucket != NULL;
}

bool s3_renew_bucket(struct s3_req *r)
{
    if (r->bucket)
        bucket_unref(r->bucket);
    r->bucket = NULL;
    r->listen_generation = 0; /* what follows is matched anew */
    return s3_need_bucket(r);
}

/* --- checks before the signature (s3-api.md 0.5) --------------------------------------------------------------------- */

static enum s3_error check_headers(const struct s3_req *r)
{
    size_t total = 0, meta = 0;
    for (size_t i = 0; i < r->http->headers.n; i++) {
        struct header h = r->http->headers.v[i];
        total += h.name.n + h.value.n;
        if (str_istarts(h.name, STR("x-amz-meta-")) || str_istarts(h.name, STR("x-minio-meta-")))
            meta += h.name.n + h.value.n;
        if (str_istarts(h.name, STR("x-minio-internal-")))
            return S3E_INVALID_ARGUMENT;
    }
    return total > HEADERS_LIMIT || meta > META_LIMIT ? S3E_METADATA_TOO_LARGE : S3E_NONE;
}

/* Of one value; a second one would be the one that somebody else on the way goes by. */
static bool is_single(struct str name)
{
    static const char *const others[] = {"authorization", "content-md5", "content-type", "date", "range"};
    if (str_istarts(name, STR("x-amz-")))
        return !str_istarts(name, STR("x-amz-meta-")) && !str_ieq(name, STR("x-amz-object-attributes"));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (str_ieq(name, str_c(others[i])))
            return true;
    return false;
}

static enum s3_error check_repeated(const struct s3_req *r)
{
    const struct headers *h = &r->http->headers;
    for (size_t i = 0; i < h->n; i++) {
        if (!is_single(h->v[i].name))
            continue;
        for (size_t k = i + 1; k < h->n; k++)
            if (str_ieq(h->v[i].name, h->v[k].name))
                return S3E_REPEATED_HEADER;
    }
    return S3E_NONE;
}

enum s3_error s3_check_unbuilt(const struct headers *headers)
{
    static const char *const prefixes[] = {
        "x-amz-server-side-encryption",
        "x-amz-copy-source-server-side-encryption",
        "x-amz-object-lock-",
        "x-amz-grant-",
        "x-amz-website-redirect-location",
        "x-amz-bypass-governance-retention",
    };
    for (size_t i = 0; i < headers->n; i++) {
        struct header h = headers->v[i];
        for (size_t k = 0; k < sizeof prefixes / sizeof prefixes[0]; k++)
            if (str_istarts(h.name, str_c(prefixes[k])))
                return S3E_NOT_IMPLEMENTED;
        if (str_ieq(h.name, STR("x-amz-acl")) && !str_eq(h.value, STR("private")) &&
            !str_eq(h.value, STR("bucket-owner-full-control")))
            return S3E_NOT_IMPLEMENTED;
        if (str_ieq(h.name, STR("x-amz-bucket-object-lock-enabled")) && !str_ieq(h.value, STR("false")))
            return S3E_NOT_IMPLEMENTED;
    }
    return S3E_NONE;
}

static enum s3_error check_names(struct s3_req *r)
{
    if (has_dot_segment(r->bucket_name))
        return S3E_INVALID_RESOURCE_NAME;
    if (r->scope == SCOPE_OBJECT) {
        enum s3_error e = key_check(r->key);
        if (e != S3E_NONE)
            return e;
    }
    for (size_t i = 0; i < r->query.n; i++)
        if (!str_eq(r->query.v[i].name, STR("delimiter")) && has_dot_segment(r->query.v[i].value))
            return S3E_INVALID_RESOURCE_NAME;
    return S3E_NONE;
}

static enum s3_error route(struct s3_req *r)
{
    struct http_req *h = r->http;
    enum s3_error e =
        route_path(r->arena, h->path, h->host, r->s3->domains, &r->scope, &r->bucket_name, &r->key);
    if (e == S3E_NONE && !query_parse(r->arena, h->query, QUERY_MAX, &r->query))
        e = S3E_INVALID_ARGUMENT;
    if (e == S3E_NONE)
        e = check_headers(r);
    if (e == S3E_NONE)
        e = check_repeated(r);
    if (e == S3E_NONE)
        e = check_names(r);
    if (e != S3E_NONE)
        return e;
    r->op = route_op(h->method, r->scope, &r->query, &h->headers);
    if (!r->op) {
        r->message = arena_printf(r->arena, "An unsupported API call for method: %.*s at '%.*s'%c",
                                  STR_FMT(h->method), STR_FMT(h->path), 0)
                         .p;
        return S3E_BAD_REQUEST;
    }
    return S3E_NONE;
}

/* A presigned SigV2 URL signs only some names of its query: its holder must not turn a request into another operation by one
 * of the rest. (list-type only lists in another form.) */
static bool v2_signs_op(const struct s3_op *op)
{
    struct str rest = str_c(op->query), name;
    while (rest.p && str_cut(&rest, '&', &name))
        if (!auth_v2_signs(name) && !str_eq(name, STR("list-type")))
            return false;
    return true;
}

/* The policy of a form signs its fields and none of these headers: whoever fills it in must not add meaning to it, least of all
 * that nobody is to hear of it. */
static enum s3_error form_headers(const struct s3_req *r)
{
    for (size_t i = 0; i < r->http->headers.n; i++)
        if (str_istarts(r->http->headers.v[i].name, STR("x-minio-")))
            return S3E_UNSIGNED_HEADERS;
    return S3E_NONE;
}

static enum s3_error authenticate(struct s3_req *r)
{
    struct http_req *h = r->http;
    struct auth_request a = {
        .method = h->method,
        .path = h->path,
        .query = h->query,
        .headers = &h->headers,
        .host_bucket = route_host_bucket(h->host, r->s3->domains),
        .now_ns = clock_real_ns(),
        .region_free =
            !r->op->run || r->op->scope == SCOPE_ROOT || str_eq_c(STR("s3:GetBucketLocation"), r->op->action),
        .has_body = h->content_length != 0,
    };
    if (r->op->body == BODY_FORM)
        return auth_is_claimed(&a) ? S3E_TWO_MECHANISMS : form_headers(r);
    enum auth_result res = auth_verify(r->s3->auth, &a, r->arena, &r->id, &r->payload);
    if (res == AUTH_WRONG_REGION)
        r->message =
            arena_printf(r->arena,
                         "The authorization header is malformed; the region is wrong; expecting '%.*s'%c",
                         STR_FMT(r->s3->region), 0)
                .p;
    if (res != AUTH_OK)
        return s3_auth_error(res);
    if (r->id.presigned_v2 && !v2_signs_op(r->op))
        return S3E_SIGNATURE_DOES_NOT_MATCH;
    struct str resource =
        arena_printf(r->arena, "%.*s%s%.*s", STR_FMT(r->bucket_name), r->key.n ? "/" : "", STR_FMT(r->key));
    if (!r->id.access_key.n && meta_overrides(r))
        return S3E_ANONYMOUS_OVERRIDES;
    return allowed(&r->id, str_c(r->op->action), resource, NULL) ? S3E_NONE : S3E_ACCESS_DENIED;
}

/* versionId names the only version there is ("null"), or none. Removing one that is not there is no error. */
static enum s3_error check_version(const struct s3_req *r)
{
    struct str v;
    if (r->scope != SCOPE_OBJECT || !s3_query(r, "versionId", &v) || !v.n || str_eq(v, STR("null")))
        return S3E_NONE;
    if (!version_id_valid(v))
        return S3E_INVALID_VERSION_ID;
    return r->op->run == op_delete_object ? S3E_NONE : S3E_NO_SUCH_VERSION;
}

/* Is there such an operation here? Who meets this is somebody new, so the answer names what is missing. */
static enum s3_error check_built(struct s3_req *r)
{
    if (!r->op->run) {
        r->message = arena_printf(r->arena, "This version does not have %s yet%c", r->op->name, 0).p;
        return S3E_NOT_IMPLEMENTED;
    }
    return route_strays(r->op, r->http->method, &r->query) ? S3E_NOT_IMPLEMENTED : S3E_NONE;
}

static enum s3_error prepare(struct s3_req *r)
{
    enum s3_error e = route(r);
    if (e == S3E_NONE)
        e = authenticate(r);
    if (e == S3E_NONE && r->scope != SCOPE_ROOT && !bucket_name_valid(r->bucket_name))
        e = S3E_INVALID_BUCKET_NAME;
    if (e == S3E_NONE)
        e = check_built(r);
    if (e == S3E_NONE)
        e = s3_check_unbuilt(&r->http->headers);
    if (e == S3E_NONE)
        e = check_version(r);
    return e;
}

void s3_head(void *ctx, struct http_req *h)
{
    struct s3_req *r = ARENA_NEW(&h->arena, struct s3_req);
    r->s3 = ctx;
    r->http = h;
    r->arena = &h->arena;
    h->app = r;
    hex_u64((uint64_t)h->start_real_ns, r->request_id);
    if (str_eq(h->method, STR("OPTIONS"))) {
        cors_preflight(r);
        return;
    }
    enum s3_error e = prepare(r);
    if (e != S3E_NONE)
        s3_fail(r, e);
    else if (r->op->body == BODY_XML)
        upload_collect(r, r->op->run);
    else
        r->op->run(r);
}

/* Read events go out once the whole reply was sent (notifications.md 1.2). */
void s3_done(void *ctx, struct http_req *h, int status, bool ok, uint64_t body_sent)
{
    (void)ctx;
    (void)body_sent;
    struct s3_req *r = h->app;
    if (!r)
        return;
    if (ok && r->read_event && (status == 200 || status == 206)) {
        r->read_budget = r->arena->total;
        budget_force(&r->s3->reads, r->read_budget);
        emit_read(r);
    }
}

/* Last of all: http is about to free the request. */
void s3_gone(void *ctx, struct http_req *h)
{
    (void)ctx;
    struct s3_req *r = h->app;
    if (!r)
        return;
    if (r->op_free)
        r->op_free(r);
    if (r->upload)
        upload_release(r->upload);
    if (r->bucket)
        bucket_unref(r->bucket);
    if (r->budget_of)
        budget_give(r->budget_of, r->budget);
    if (r->read_budget)
        budget_give(&r->s3->reads, r->read_budget);
    buf_release(&r->xml);
}
