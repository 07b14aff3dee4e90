/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies into stages: the sinks that http feeds, the workers behind them, and what is left to give back. */
#include "s3/body.h"

#include <stdlib.h>

#include "base/log.h"

#define PIECE (512u << 10) /* one of the two buffers of a large body */

static struct body *body_of(struct s3_req *r)
{
    return CONTAINER_OF(r->upload, struct body, upload);
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static void discard_done(struct s3_req *r)
{
    (void)r; /* the stage is gone; what was to be said has been said */
}

static void discard_job(struct s3_req *r)
{
    struct body *b = body_of(r);
    stage_discard(b->stage);
    b->stage = NULL;
}

/* Over, for whatever reason: gives back what is still held. Discarding a file blocks, so a worker does it. */
void body_finish(struct s3_req *r, struct body *b)
{
    if (b->finished)
        return;
    b->finished = true;
    upload_release(&b->upload);
    free(b->fill);
    free(b->busy);
    b->fill = b->busy = NULL;
    if (b->stage && b->large)
        s3_work(r, discard_job, discard_done);
    else if (b->stage)
        discard_job(r);
}

static void body_fail(struct s3_req *r, enum s3_error e)
{
    struct body *b = body_of(r);
    if (b->upload.why.text[0])
        log_error("s3", "%s %.*s/%.*s: %s", r->op->name, STR_FMT(r->bucket_name), STR_FMT(r->key),
                  b->upload.why.text);
    s3_fail(r, e);
}

/* How long a form's file is only its end shows. */
static struct store_stage *body_stage(struct s3_req *r, struct upload *u, enum store_result *res)
{
    return stage_begin(r->s3->store, u->form ? -1 : (int64_t)u->size, res, &u->why);
}

/* --- small bodies ---------------------------------------------------------------------------------------------------- */

static bool small_data(struct http_req *h, const char *data, size_t n)
{
    struct s3_req *r = h->app;
    struct body *b = body_of(r);
    if (!b->finished && upload_feed(&b->upload, data, n) != S3E_NONE) {
        body_fail(r, b->upload.error);
        body_finish(r, b);
    }
    return true;
}

static void small_end(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct body *b = body_of(r);
    if (b->finished)
        return;
    enum s3_error e = upload_end(&b->upload);
    if (e == S3E_NONE)
        e = s3_store_error(stage_finish(b->stage, &b->upload.why));
    if (e == S3E_NONE) {
        b->ready(r);
        return;
    }
    body_fail(r, e);
    body_finish(r, b);
}

static void small_cut(struct http_req *h)
{
    body_finish(h->app, body_of(h->app));
}

static const struct http_sink small_sink = {small_data, small_end, small_cut};

/* --- large bodies ---------------------------------------------------------------------------------------------------- */

static void large_next(struct s3_req *r);

/* On a worker: the next bytes, and the end when there are no more. */
static void large_job(struct s3_req *r)
{
    struct body *b = body_of(r);
    struct upload *u = &b->upload;
    if (!b->stage && u->error == S3E_NONE) {
        enum store_result res;
        b->stage = u->stage = body_stage(r, u, &res);
        if (!u->stage)
            u->error = s3_store_error(res);
    }
    if (b->working)
        upload_feed(u, b->busy, b->working);
    else if (!b->cut && upload_end(u) == S3E_NONE)
        u->error = s3_store_error(stage_finish(u->stage, &u->why));
}

static void large_job_done(struct s3_req *r)
{
    struct body *b = body_of(r);
    bool was_end = b->working == 0;
    b->job = false;
    b->working = 0;
    if (b->upload.error != S3E_NONE)
        body_fail(r, b->upload.error);
    if (b->cut || b->upload.error != S3E_NONE) {
        body_finish(r, b);
        return;
    }
    if (was_end) {
        b->ready(r);
        return;
    }
    large_next(r);
    if (b->paused && b->filled < PIECE) {
        b->paused = false;
        http_resume(r->http);
    }
}

/* Starts the next job when none is running and there is enough to do. */
static void large_next(struct s3_req *r)
{
    struct body *b = body_of(r);
    if (b->job || (b->filled < PIECE && !b->ended))
        return;
    char *swap = b->busy;
    size_t swap_cap = b->busy_cap;
    b->busy = b->fill;
    b->busy_cap = b->fill_cap;
    b->fill = swap;
    b->fill_cap = swap_cap;
    b->working = b->filled;
    b->filled = 0;
    b->job = true;
    s3_work(r, large_job, large_job_done);
}

/* The last bytes before a pause may go beyond PIECE by one read of the socket. */
static bool large_data(struct http_req *h, const char *data, size_t n)
{
    struct s3_req *r = h->app;
    struct body *b = body_of(r);
    if (b->finished)
        return true;
    if (b->filled + n > b->fill_cap)
        b->fill = x_realloc(b->fill, b->fill_cap = b->filled + n);
    memcpy(b->fill + b->filled, data, n);
    b->filled += n;
    large_next(r);
    b->paused = b->filled >= PIECE;
    return !b->paused;
}

static void large_end(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct body *b = body_of(r);
    b->ended = true;
    if (!b->finished)
        large_next(r);
}

static void large_cut(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct body *b = body_of(r);
    b->cut = true;
    if (!b->job)
        body_finish(r, b);
}

static const struct http_sink large_sink = {large_data, large_end, large_cut};

/* --- the beginning --------------------------------------------------------------------------------------------------- */

static void body_go(struct s3_req *r)
{
    struct body *b = body_of(r);
    if (b->large) {
        b->fill = x_malloc(b->fill_cap = PIECE);
        b->busy = x_malloc(b->busy_cap = PIECE);
        http_read_body(r->http, &large_sink);
        return;
    }
    enum store_result res;
    b->stage = b->upload.stage = body_stage(r, &b->upload, &res);
    if (!b->stage) {
        body_fail(r, s3_store_error(res));
        body_finish(r, b);
        return;
    }
    http_read_body(r->http, &small_sink);
}

enum s3_error body_init(struct s3_req *r, struct body *b)
{
    r->upload = &b->upload;
    enum s3_error e = upload_init(&b->upload, r, true);
    if (e == S3E_NONE && b->upload.size > BODY_MAX)
        e = S3E_ENTITY_TOO_LARGE;
    if (e == S3E_NONE)
        e = s3_store_error(store_admit(r->s3->store, b->upload.size));
    return e;
}

enum s3_error body_init_form(struct s3_req *r, struct body *b, struct str boundary,
                             enum s3_error (*file)(struct s3_req *r))
{
    r->upload = &b->upload;
    enum s3_error e = upload_init_form(&b->upload, r, boundary, BODY_MAX, file);
    if (e == S3E_NONE && b->upload.coming > BODY_MAX + FORM_FIELDS_MAX)
        e = S3E_ENTITY_TOO_LARGE;
    return e == S3E_NONE ? s3_store_error(store_admit(r->s3->store, b->upload.coming)) : e;
}

void body_read(struct s3_req *r, struct body *b, void (*ready)(struct s3_req *r))
{
    b->ready = ready;
    const struct upload *u = &b->upload;
    b->large = u->coming > store_inline_max(r->s3->store);
    if (b->large)
        s3_take_budget(r, &r->s3->uploads, 2 * PIECE + (u->form ? FORM_FIELDS_MAX : 0), body_go);
    else
        s3_take_budget(r, &r->s3->bodies, u->coming, body_go);
}
