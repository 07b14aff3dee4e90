/* SPDX-License-Identifier: Apache-2.0
 *
 * GetObject and HeadObject. What the block cache answers is answered here; the rest goes to a worker. Every block of a file
 * is verified before it leaves, the first one before the head. */
#include <stdio.h>

#include "base/log.h"
#include "s3/emit.h"
#include "s3/meta.h"
#include "s3/multipart.h"
#include "s3/ops.h"

#define PIECE_MAX (1u << 20)

struct get {
    struct store_read read;
    struct object object; /* HEAD: the row alone */
    bool open, head, partial;
    unsigned part; /* partNumber; 0: not asked for */
    enum store_result res;
    struct err why;
    uint64_t first, length, sent; /* range to send, and how far we are */
    struct store_piece piece;     /* the one that was verified last; n == 0: none */
    bool piece_ok;
};

static const struct object *get_object(const struct get *g)
{
    return g->head ? &g->object : &g->read.object;
}

static void get_free(struct s3_req *r)
{
    struct get *g = r->op_state;
    if (g->open)
        store_read_close(&g->read);
    g->open = false;
}

/* --- sending -------------------------------------------------------------------------------------------------------- */

static void piece_job(struct s3_req *r)
{
    struct get *g = r->op_state;
    uint64_t max = g->length - g->sent < PIECE_MAX ? g->length - g->sent : PIECE_MAX;
    g->piece_ok = store_read_piece(&g->read, g->first + g->sent, max, &g->piece, &g->why);
}

static void damaged(struct s3_req *r)
{
    struct get *g = r->op_state;
    log_error("store", "GetObject %.*s/%.*s: %s; restore it from a copy and run 'belfry check'",
              STR_FMT(r->bucket_name), STR_FMT(r->key), g->why.text);
}

static void inline_free(void *arg)
{
    (void)arg; /* the body is released with the request */
}

static void push_piece(struct s3_req *r)
{
    struct get *g = r->op_state;
    if (!g->piece_ok) {
        damaged(r);
        http_push_fail(r->http);
        return;
    }
    struct store_piece p = g->piece;
    g->sent += p.n;
    g->piece.n = 0;
    if (p.fd < 0)
        http_push_pinned(r->http, str_n(p.p, (size_t)p.n), inline_free, NULL);
    else
        http_push_file(r->http, p.fd, p.fd_off, p.n);
}

static void piece_done(struct s3_req *r)
{
    if (!r->http->gone)
        push_piece(r);
}

static void more(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct get *g = r->op_state;
    if (g->piece.n) /* the first one, verified before the head */
        push_piece(r);
    else if (g->sent == g->length)
        http_push_end(h);
    else
        s3_work(r, piece_job, piece_done);
}

static void stop(struct http_req *h)
{
    (void)h; /* the readers are closed with the request: a worker may still be reading */
}

static const struct http_producer producer = {more, stop};

/* Of GET and HEAD by partNumber: how many parts there are, and this one's own checksum. */
static void part_headers(struct s3_req *r, const struct get *g, struct buf *h)
{
    const struct object *o = get_object(g);
    buf_printf(h, "X-Amz-Mp-Parts-Count: %u\r\n", o->parts);
    const struct object_part *p = g->part <= o->n_part_list ? &o->part_list[g->part - 1] : NULL;
    if (!p || !g->partial || p->checksum != (uint8_t)o->checksum || !p->checksum ||
        !str_ieq(s3_header(r, "x-amz-checksum-mode"), STR("ENABLED")))
        return;
    part_checksum_header(h, o->checksum, p->checksum_value);
    buf_printf(h, "X-Amz-Checksum-Type: %s\r\n", o->checksum_full ? "FULL_OBJECT" : "COMPOSITE");
}

static void get_send(struct s3_req *r)
{
    struct get *g = r->op_state;
    const struct object *o = get_object(g);
    struct buf h;
    buf_init(&h, 64u << 10);
    s3_headers(r, &h);
    meta_to_headers(r, o, !g->partial || (g->part && !o->parts), &h);
    if (g->part && o->parts)
        part_headers(r, g, &h);
    if (g->partial)
        buf_printf(&h, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)g->first,
                   (unsigned long long)(g->first + g->length - 1), (unsigned long long)o->size);
    int status = g->partial ? 206 : 200;
    if (g->head)
        http_reply_empty(r->http, status, buf_view(&h), (int64_t)g->length);
    else if (g->read.is_inline || g->length == 0)
        http_reply_pinned(r->http, status, buf_view(&h),
                          str_head(str_from(g->read.body.data, g->first), g->length), inline_free, NULL);
    else
        http_reply_stream(r->http, status, buf_view(&h), (int64_t)g->length, &producer);
    buf_release(&h);
}

/* Everything is known, and the first block is good. Events of reads are committed after the reply, when nothing slows the
 * client down any more: while too many of them wait for the committer, those that would make more wait here. */
static void get_reply(struct s3_req *r)
{
    struct get *g = r->op_state;
    const struct object *o = get_object(g);
    r->read_event = emit_match(r, g->head ? EVENT_ACCESSED_HEAD : EVENT_ACCESSED_GET, r->key);
    if (!r->read_event) {
        get_send(r);
        return;
    }
    emit_record(r, r->read_event, o, (int64_t)g->length);
    r->read_seq = o->seq;
    s3_take_budget(r, &r->s3->reads, 1, get_send);
}

static void first_piece_done(struct s3_req *r)
{
    struct get *g = r->op_state;
    if (g->piece_ok) {
        get_reply(r);
        return;
    }
    damaged(r);
    s3_fail(r, S3E_DAMAGED);
}

/* --- deciding ------------------------------------------------------------------------------------------------------- */

static void fail_with_validators(struct s3_req *r, enum s3_error e, const struct object *o)
{
    struct buf h;
    buf_init(&h, 16u << 10); /* what is kept of a head is bounded by half of it */
    meta_validators(o, &h);
    s3_fail_headers(r, e, buf_view(&h));
    buf_release(&h);
}

/* Parts are numbered from 1 in the order in which they lie in the object, whatever numbers they were uploaded under: so a
 * client that goes from 1 to the count it was told gets all of them. An object of one PUT is its own part 1. */
static bool part_range(struct get *g)
{
    const struct object *o = get_object(g);
    if (g->part > (o->n_part_list ? o->n_part_list : 1))
        return false;
    for (unsigned i = 0; o->n_part_list && i < g->part; i++) {
        g->first += i ? o->part_list[i - 1].size : 0;
        g->length = o->part_list[i].size;
    }
    g->partial = g->length > 0;
    return true;
}

static bool get_range(struct s3_req *r)
{
    struct get *g = r->op_state;
    uint64_t size = get_object(g)->size;
    g->first = 0;
    g->length = size;
    struct str range = s3_header(r, "range");
    if (g->part)
        return part_range(g);
    if (!range.n)
        return true;
    switch (range_parse(range, size, &g->first, &g->length)) {
    case RANGE_NONE:
        g->first = 0;
        g->length = size;
        return true;
    case RANGE_OK:
        g->partial = true;
        return true;
    default:
        return false;
    }
}

static void range_fail(struct s3_req *r)
{
    const struct object *o = get_object(r->op_state);
    char line[64];
    int n = snprintf(line, sizeof line, "Content-Range: bytes */%llu\r\n", (unsigned long long)o->size);
    r->range_size = (int64_t)o->size;
    bool part = ((const struct get *)r->op_state)->part != 0;
    s3_fail_headers(r, part ? S3E_INVALID_PART_NUMBER : S3E_INVALID_RANGE, str_n(line, (size_t)n));
}

static void get_found(struct s3_req *r)
{
    struct get *g = r->op_state;
    if (g->res != STORE_OK) {
        if (g->res == STORE_DAMAGED)
            damaged(r);
        s3_fail(r, s3_store_error(g->res));
        return;
    }
    const struct object *o = get_object(g);
    enum s3_error e = condition_check(r, &conditions_read, o);
    if (e != S3E_NONE) {
        fail_with_validators(r, e, o);
        return;
    }
    if (!get_range(r)) {
        range_fail(r);
        return;
    }
    if (g->head || g->read.is_inline || g->length == 0)
        get_reply(r);
    else
        s3_work(r, piece_job, first_piece_done);
}

static void lookup(struct s3_req *r, bool cached_only)
{
    struct get *g = r->op_state;
    if (g->head) {
        g->res = (g->part ? store_object_get_parts : store_object_get)(
            r->s3->store, r->bucket, r->key, cached_only, r->arena, &g->object, &g->why);
    } else {
        g->res = store_read_open(r->s3->store, r->bucket, r->key, cached_only, r->arena, &g->read, &g->why);
        g->open = g->res == STORE_OK;
    }
}

static void lookup_job(struct s3_req *r)
{
    lookup(r, false);
}

static void get_begin(struct s3_req *r, bool head)
{
    struct str v;
    unsigned part = 0;
    bool has_part = s3_query(r, "partNumber", &v);
    if (has_part && !part_number_parse(v, &part)) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, PART_NUMBER_WRONG);
        return;
    }
    if (has_part && s3_header(r, "range").n) {
        s3_fail_msg(r, S3E_INVALID_REQUEST,
                    "Cannot specify both Range header and partNumber query parameter");
        return;
    }
    if (!s3_need_bucket(r))
        return;
    struct get *g = ARENA_NEW(r->arena, struct get);
    g->part = part;
    r->op_state = g;
    r->op_free = get_free;
    g->head = head;
    lookup(r, true);
    if (g->res == STORE_WOULD_BLOCK)
        s3_work(r, lookup_job, get_found);
    else
        get_found(r);
}

void op_get_object(struct s3_req *r)
{
    get_begin(r, false);
}

void op_head_object(struct s3_req *r)
{
    get_begin(r, true);
}
