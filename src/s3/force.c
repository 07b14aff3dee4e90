/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteObject with x-minio-force-delete: the object, and everything below it as if it were a folder; "a/b" takes "a/b" and
 * "a/b/c", not "a/bc". A page of the listing at a time, each removed by closures that carry their events; so it takes the
 * memory of a page, and whenever it ends, what is gone and what was said about it agree. A client that goes away ends it
 * after the page in hand. What is written behind the listing meanwhile stays. */
#include "base/log.h"
#include "s3/deletes.h"
#include "s3/ops.h"

#define PAGE 256

struct force {
    struct delete_run run;
    struct arena arena; /* of a page: the request's own would grow with every key */
    struct str below;   /* prefix of everything below */
    struct buf marker;
    bool self, last; /* the object itself comes first */
    enum store_result res;
    struct err why;
};

static void force_free(struct s3_req *r)
{
    struct force *f = r->op_state;
    r->arena = &r->http->arena;
    arena_release(&f->arena);
    buf_release(&f->marker);
}

static void take_page(struct force *f, const struct list_page *page)
{
    f->run.n = 0;
    for (size_t i = 0; i < page->n; i++)
        f->run.entries[f->run.n++] = (struct delete_entry){.key = arena_dup(&f->arena, page->entries[i].key)};
    f->last = !page->truncated;
    buf_reset(&f->marker);
    buf_str(&f->marker, page->next);
}

static void page_job(struct s3_req *r)
{
    struct force *f = r->op_state;
    struct arena rows;
    struct list_page page;
    struct list_query q = {.prefix = f->below, .after = buf_view(&f->marker), .max = PAGE};
    arena_init(&rows);
    f->res = store_list(r->s3->store, r->bucket, &q, &rows, &page, &f->why);
    if (f->res == STORE_OK)
        take_page(f, &page);
    arena_release(&rows);
}

static void next_page(struct s3_req *r);

static void page_listed(struct s3_req *r)
{
    struct force *f = r->op_state;
    if (f->res != STORE_OK) {
        log_error("s3", "removing %.*s/%.*s: %s", STR_FMT(r->bucket_name), STR_FMT(r->key), f->why.text);
        s3_fail(r, s3_store_error(f->res));
        return;
    }
    deletes_run(r, &f->run);
}

static void page_done(struct s3_req *r, enum s3_error e)
{
    struct force *f = r->op_state;
    if (e != S3E_NONE)
        s3_fail(r, e);
    else if (f->last)
        s3_reply(r, 204, str_n(NULL, 0), str_n(NULL, 0));
    else if (!r->http->gone)
        next_page(r);
}

static void next_page(struct s3_req *r)
{
    struct force *f = r->op_state;
    arena_release(&f->arena);
    f->run.entries = ARENA_ARRAY(&f->arena, struct delete_entry, PAGE);
    if (f->self) { /* it sorts before what is below it, but not next to it */
        f->self = false;
        f->run.entries[0] = (struct delete_entry){.key = r->key};
        f->run.n = 1;
        deletes_run(r, &f->run);
        return;
    }
    s3_work(r, page_job, page_listed);
}

void force_delete(struct s3_req *r)
{
    struct force *f = ARENA_NEW(r->arena, struct force);
    bool folder = r->key.p[r->key.n - 1] == '/';
    f->below = folder ? r->key : arena_printf(r->arena, "%.*s/", STR_FMT(r->key));
    f->self = !folder;
    f->run.existing_only = true;
    f->run.done = page_done;
    buf_init(&f->marker, 4096);
    arena_init(&f->arena);
    r->op_state = f;
    r->op_free = force_free;
    r->arena = &f->arena;
    next_page(r);
}
