/* SPDX-License-Identifier: Apache-2.0
 *
 * Running on a worker, and replying. */
#include "admin/request.h"

#include "base/encode.h"
#include "base/json.h"

#define HEADERS_MAX (16u << 10)
#define ERROR_MAX \
    (256u << 10) /* a target of 16 KiB and a message as long as an encrypted body has room for, escaped */

static const struct {
    int status;
    const char *code, *message;
} rows[] = {
#define ADMIN_ERROR_ROW(id, status, code, message) [ADMIN_##id] = {status, code, message},
    ADMIN_ERRORS(ADMIN_ERROR_ROW)
#undef ADMIN_ERROR_ROW
};

struct admin_req *admin_req_new(struct admin *a, struct http_req *h)
{
    struct admin_req *r = ARENA_NEW(&h->arena, struct admin_req);
    r->admin = a;
    r->http = h;
    r->type = "application/json";
    r->extra = "";
    h->app = r;
    buf_init(&r->body, 0);
    buf_init(&r->out, ADMIN_REPLY_MAX);
    return r;
}

struct str admin_query(const struct admin_req *r, const char *name)
{
    struct str value;
    return query_get(&r->query, str_c(name), &value) ? value : STR("");
}

void admin_set_error(struct admin_req *r, enum admin_error e, const char *text)
{
    r->error = e;
    r->message = text;
}

/* --- errors: the keys are those that mc and madmin read --- */

static void fail(struct admin *a, struct http_req *h, int status, const char *code, const char *message)
{
    struct buf headers, body;
    char id[16];
    hex_u64((uint64_t)h->start_real_ns, id);
    buf_init(&headers, HEADERS_MAX);
    buf_init(&body, ERROR_MAX);
    s3_common_headers(a->o.s3, h, &headers);
    buf_puts(&headers, "Content-Type: application/json\r\n");
    buf_printf(&body, "{\"Code\":\"%s\",\"Message\":", code);
    json_quote(&body, str_c(message));
    buf_puts(&body, ",\"Resource\":");
    json_quote(&body, h->path);
    buf_puts(&body, ",\"RequestId\":\"");
    buf_put(&body, id, sizeof id);
    buf_puts(&body, "\",\"HostId\":\"");
    buf_put(&body, a->o.s3->host_id, sizeof a->o.s3->host_id);
    buf_puts(&body, "\"}\n");
    http_reply(h, status, buf_view(&headers), body.failed ? str_n(NULL, 0) : buf_view(&body));
    buf_release(&headers);
    buf_release(&body);
}

void admin_fail(struct admin *a, struct http_req *h, enum admin_error e, const char *text)
{
    fail(a, h, rows[e].status, rows[e].code, text ? text : rows[e].message);
}

void admin_fail_s3(struct admin *a, struct http_req *h, enum s3_error e)
{
    const struct s3_error_row *row = s3_error_row(e);
    fail(a, h, row->status, row->code, row->message);
}

/* --- running --- */

static void reply(struct admin_req *r)
{
    struct buf headers;
    if (r->out.failed && r->error == ADMIN_NONE)
        r->error = ADMIN_INTERNAL;
    if (r->error != ADMIN_NONE) {
        admin_fail(r->admin, r->http, r->error, r->message);
        return;
    }
    buf_init(&headers, HEADERS_MAX);
    s3_common_headers(r->admin->o.s3, r->http, &headers);
    if (r->out.len)
        buf_printf(&headers, "Content-Type: %s\r\n", r->type);
    buf_puts(&headers, r->extra);
    http_reply(r->http, 200, buf_view(&headers), buf_view(&r->out));
    buf_release(&headers);
}

static void back(struct task *t)
{
    struct admin_req *r = CONTAINER_OF(CONTAINER_OF(t, struct lane_job, task), struct admin_req, job);
    struct http_req *h = r->http;
    reply(r);
    http_release(h);
}

static void run_job(struct lane_job *job)
{
    struct admin_req *r = CONTAINER_OF(job, struct admin_req, job);
    r->run(r);
    job->task.fn = back;
    loop_post(r->http->loop, &job->task);
}

static void run_task(struct task *t)
{
    run_job(CONTAINER_OF(t, struct lane_job, task));
}

void admin_run(struct admin_req *r, struct lane *lane, void (*run)(struct admin_req *r))
{
    r->run = run;
    r->job.run = run_job;
    http_hold(r->http);
    if (!lane) {
        r->job.task.fn = run_task;
        work_submit(r->admin->o.s3->work, &r->job.task);
    } else if (!lane_submit(lane, &r->job)) {
        admin_fail(r->admin, r->http, ADMIN_BUSY, NULL);
        http_release(r->http);
    }
}
