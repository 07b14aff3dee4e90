/* SPDX-License-Identifier: Apache-2.0
 *
 * ListenNotification: a reply that never ends, with one line per event (docs/listen.md). A listener is a place in the order
 * of events (event/listen.h); whenever its connection takes bytes, it is given what is behind that place.
 *
 * The listeners of a loop form a group. When there is something new the group makes a *pass* over them, in slices of a
 * millisecond, and leaves the loop to others for several times as long after each: however many listen, requests go on. For
 * the same reason only one of a group reads rows on a worker at a time. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "s3/ops.h"

#define CHUNK       (32u << 10) /* bytes of lines that are handed to a connection at a time */
#define CHUNK_MAX   (1u << 20)  /* with the last line, whatever its length */
#define TAKE        32          /* events looked at in one step ... */
#define LOOK_MAX    1024        /* ... and before others have their turn */
#define TICK_MS     100
#define BLANK_MS    500   /* without ping: one blank so often, as old clients expect */
#define POSITION_MS 10000 /* and the place so often */
#define PING_MAX_S  86400
#define SLICE_NS    1000000
#define PASS_SHARE  4       /* from a slice to the next: so many times as long as it took ... */
#define PASS_GAP_NS 5000000 /* ... and from a pass to the next this, at least */
#define MISSED_LINE "{\"Records\":null,\"Missed\":%llu}\n"

struct group {
    struct listen_station station;
    struct s3 *s3;
    uv_timer_t tick, later;
    struct stream *first, *next, *beaten; /* next: of the pass, beaten: of the tick that is under way */
    size_t n;
    struct buf lines; /* being gathered */
    int64_t next_slice_ns;
    struct stream *waiting,
        **waiting_last; /* for the rows: one of a group reads at a time, whoever else wants a worker */
    bool reading;
    bool news; /* there is something that the pass at hand may not have seen */
};

#define TOLD_NONE UINT64_MAX

struct stream {
    struct listen_reader reader;
    struct s3_req *r;
    struct group *group;
    struct stream *prev, *after;
    int64_t ping_ms, next_beat_ms, told_ms; /* ping 0: blanks */
    uint64_t told;                          /* the place that the client knows, or TOLD_NONE */
    bool asked;                             /* http wants bytes */
    bool reading;                           /* a worker reads rows for it */
    bool waits;                             /* it is in the group's line for that */
    struct stream *behind;                  /* who is next in that line */
    bool entered, over;
    bool resume;
    struct listen_position resume_at;
    struct listen_read read;
};

static struct stream *stream_of(struct s3_req *r)
{
    return r->op_state;
}

/* --- giving ---------------------------------------------------------------------------------------------------------- */

/* What the client has to know beside events: what it missed, and where it is. */
static void put_missed(struct buf *b, uint64_t missed)
{
    if (missed > 0)
        buf_printf(b, MISSED_LINE, (unsigned long long)missed);
}

static void put_position(struct stream *s, struct buf *b, struct listen_position at)
{
    if (at.seq == s->told)
        return;
    s->told = at.seq;
    s->told_ms = clock_mono_ms();
    buf_puts(b, "{\"Records\":null,\"Position\":\"");
    listen_position_write(b, &at);
    buf_puts(b, "\"}\n");
}

static void push(struct stream *s, struct str bytes)
{
    s->asked = false;
    http_push(s->r->http, bytes);
}

static void read_wanted(struct stream *s);

static void beat(struct stream *s, int64_t now);

static void schedule(struct group *g);

/* Lines of the next events that match, up to a chunk, and the place behind them. */
static void gather(struct stream *s, struct buf *b, struct listen_position *at)
{
    struct listen *l = s->r->s3->listen;
    size_t looked = 0, n, used;
    bool behind;
    do {
        struct listen_event *ev[TAKE];
        n = listen_take(l, &s->reader, ev, TAKE, &behind);
        for (used = 0; used < n && b->len < CHUNK; used++)
            if (listen_filter_matches(&s->reader.filter, ev[used]->name, ev[used]->row.bucket,
                                      ev[used]->row.key))
                listen_line(b, ev[used]->row.record);
        if (used > 0) {
            *at = ev[used - 1]->at;
            listen_advance(l, &s->reader, *at);
        }
        for (size_t i = 0; i < n; i++)
            listen_event_unref(ev[i]);
        looked += n;
    } while (n == TAKE && b->len < CHUNK && looked < LOOK_MAX);
    if (n == TAKE && b->len == 0) { /* else it goes on once these bytes are sent */
        s->group->news = true;
        schedule(s->group);
    }
}

/* Gives the stream what there is for it, when it can take it. */
static void serve(struct stream *s)
{
    struct listen *l = s->r->s3->listen;
    struct buf *b = &s->group->lines;
    uint64_t missed;
    bool behind;
    if (!s->asked || s->reading || s->over)
        return;
    buf_reset(b);
    (void)listen_take(l, &s->reader, NULL, 0, &behind);
    struct listen_position at = listen_at(l, &s->reader, &missed);
    put_missed(b, missed);
    if (!behind)
        gather(s, b, &at);
    if (b->len > 0 || s->told == TOLD_NONE) {
        put_position(s, b, at);
        push(s, buf_view(b));
    } else if (behind) {
        read_wanted(s);
    }
}

/* --- from the rows ----------------------------------------------------------------------------------------------------- */

static void read_job(struct s3_req *r)
{
    struct stream *s = stream_of(r);
    listen_read(r->s3->listen, &s->reader, &s->read);
}

static void line_up(struct group *g, struct stream *s)
{
    s->waits = true;
    s->behind = NULL;
    *g->waiting_last = s;
    g->waiting_last = &s->behind;
}

static void leave_line(struct group *g, struct stream *s)
{
    struct stream **at = &g->waiting;
    if (!s->waits)
        return;
    while (*at != s)
        at = &(*at)->behind;
    *at = s->behind;
    if (g->waiting_last == &s->behind)
        g->waiting_last = at;
    s->waits = false;
}

/* The next one's turn. Who cannot take bytes now comes again when it can. */
static void read_next(struct group *g)
{
    while (!g->reading && g->waiting) {
        struct stream *s = g->waiting;
        leave_line(g, s);
        serve(s);
    }
}

static void read_done(struct s3_req *r)
{
    struct stream *s = stream_of(r);
    struct group *g = s->group;
    struct listen_read read = s->read; /* the push may begin the next one */
    s->reading = false;
    if (!s->over && listen_settle(r->s3->listen, &s->reader, &read) && read.lines.len > 0) {
        put_position(s, &read.lines, read.to);
        push(s, buf_view(&read.lines));
    }
    buf_release(&read.lines);
    /* Who looks through much that is not for it shows a sign of life between. */
    int64_t now = clock_mono_ms();
    if (s->asked && !s->over && now >= s->next_beat_ms)
        beat(s, now);
    else
        serve(s);
    g->reading = false;
    read_next(g);
}

static void read_wanted(struct stream *s)
{
    if (s->group->reading) {
        if (!s->waits)
            line_up(s->group, s);
        return;
    }
    s->group->reading = s->reading = true;
    s->read = (struct listen_read){.enough = CHUNK};
    buf_init(&s->read.lines, CHUNK_MAX);
    s3_work(s->r, read_job, read_done);
}

/* --- groups ---------------------------------------------------------------------------------------------------------- */

static void slice(struct group *g)
{
    int64_t start = clock_mono_ns(), took = 0;
    while (g->next && took < SLICE_NS) {
        struct stream *s = g->next;
        g->next = s->after;
        serve(s);
        took = clock_mono_ns() - start;
    }
    int64_t pause = PASS_SHARE * took;
    if (!g->next && pause < PASS_GAP_NS)
        pause = PASS_GAP_NS;
    g->next_slice_ns = start + pause;
}

static void run(struct group *g)
{
    if (clock_mono_ns() >= g->next_slice_ns) {
        if (!g->next && g->news) {
            g->news = false;
            listen_station_ready(g->s3->listen, &g->station);
            g->next = g->first;
        }
        slice(g);
    }
    if (g->next || g->news)
        schedule(g);
}

static void on_later(uv_timer_t *t)
{
    run(t->data);
}

static void schedule(struct group *g)
{
    int64_t wait = g->next_slice_ns - clock_mono_ns();
    (void)uv_timer_start(&g->later, on_later, wait > 0 ? (uint64_t)(wait + 999999) / 1000000 : 0, 0);
}

static void on_news(struct task *t)
{
    struct group *g = CONTAINER_OF(t, struct group, station.task);
    g->news = true;
    run(g);
}

/* A sign of life, and the place where it has moved. */
static void beat(struct stream *s, int64_t now)
{
    uint64_t missed;
    struct buf *b = &s->group->lines;
    struct listen_position at = listen_at(s->r->s3->listen, &s->reader, &missed);
    buf_reset(b);
    put_missed(b, missed);
    buf_puts(b, s->ping_ms ? "{\"Records\":null}\n" : " ");
    if (s->ping_ms || now - s->told_ms >= POSITION_MS)
        put_position(s, b, at);
    s->next_beat_ms = now + (s->ping_ms ? s->ping_ms : BLANK_MS);
    push(s, buf_view(b));
}

static void end(struct stream *s)
{
    if (!s->asked || s->reading) {
        http_cut(s->r->http);
        return;
    }
    s->asked = false;
    s->over = true;
    http_push_end(s->r->http);
}

static void on_tick(uv_timer_t *t)
{
    struct group *g = t->data;
    int64_t now = clock_mono_ms();
    for (struct stream *s = g->first; s; s = g->beaten) {
        g->beaten = s->after;
        if (g->s3->stopping)
            end(s);
        else if (s->asked && !s->reading && !s->over && now >= s->next_beat_ms)
            beat(s, now);
    }
}

static struct group *group_of(struct s3 *s3, struct loop *loop)
{
    struct listen_station *st = listen_station_of(s3->listen, loop);
    if (st)
        return CONTAINER_OF(st, struct group, station);
    struct group *g = x_calloc(1, sizeof *g);
    g->s3 = s3;
    g->station = (struct listen_station){.loop = loop, .task.fn = on_news};
    g->waiting_last = &g->waiting;
    buf_init(&g->lines, CHUNK_MAX);
    BUG_ON(uv_timer_init(&loop->uv, &g->tick) != 0 || uv_timer_init(&loop->uv, &g->later) != 0);
    g->tick.data = g->later.data = g;
    listen_station_add(s3->listen, &g->station);
    return g;
}

void s3_listen_release(struct s3 *s3)
{
    struct listen_station *st;
    while (s3->listen && (st = listen_station_pop(s3->listen))) {
        struct group *g = CONTAINER_OF(st, struct group, station);
        buf_release(&g->lines);
        free(g);
    }
}

static void group_add(struct group *g, struct stream *s)
{
    s->group = g;
    s->reader.station = &g->station;
    s->after = g->first;
    if (s->after)
        s->after->prev = s;
    g->first = s;
    if (g->n++ == 0)
        (void)uv_timer_start(&g->tick, on_tick, TICK_MS, TICK_MS);
}

static void group_remove(struct group *g, struct stream *s)
{
    leave_line(g, s);
    if (s->prev)
        s->prev->after = s->after;
    else
        g->first = s->after;
    if (s->after)
        s->after->prev = s->prev;
    if (g->next == s)
        g->next = s->after;
    if (g->beaten == s)
        g->beaten = s->after;
    if (--g->n == 0)
        (void)uv_timer_stop(&g->tick);
}

/* --- the stream ------------------------------------------------------------------------------------------------------ */

static void more(struct http_req *h)
{
    struct stream *s = stream_of(h->app);
    s->asked = true;
    serve(s);
}

static void stop(struct http_req *h)
{
    struct stream *s = stream_of(h->app);
    s->over = true;
    group_remove(s->group, s);
    listen_part(s->r->s3->listen, &s->reader);
}

static const struct http_producer producer = {more, stop};

static void start(struct s3_req *r)
{
    struct stream *s = stream_of(r);
    struct buf h;
    if (r->http->gone)
        return;
    group_add(group_of(r->s3, r->http->loop), s);
    listen_join(r->s3->listen, &s->reader, s->resume ? &s->resume_at : NULL);
    s->told = TOLD_NONE;
    s->told_ms = clock_mono_ms();
    s->next_beat_ms = s->told_ms + (s->ping_ms ? s->ping_ms : BLANK_MS);
    buf_init(&h, 16u << 10);
    buf_puts(&h, "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no\r\n");
    s3_headers(r, &h);
    http_stream_patient(r->http);
    http_reply_stream(r->http, 200, buf_view(&h), -1, &producer);
    buf_release(&h);
}

/* --- interest -------------------------------------------------------------------------------------------------------- */

static bool interest_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    listen_txn_interest(t, r->s3->listen, stream_of(r)->reader.filter.mask);
    return true;
}

static void interest_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    if (outcome == KV_COMMITTED)
        start(r);
    else
        s3_fail(r, S3E_SLOW_DOWN_WRITE);
}

static void leave(struct s3_req *r)
{
    if (stream_of(r)->entered)
        listen_leave(r->s3->listen);
}

/* The query's numbers: ping, which MinIO checks after all else, and resume, which is ours. */
static bool parse_rest(struct s3_req *r, struct stream *s)
{
    struct str v;
    uint64_t ping;
    if (s3_query(r, "ping", &v)) {
        if (!str_to_u64(v, &ping) || ping < 1) {
            s3_fail_msg(r, S3E_AUTHORIZATION_QUERY_PARAMETERS,
                        "ping must be a whole number of seconds, 1 or more.");
            return false;
        }
        s->ping_ms = (int64_t)(ping < PING_MAX_S ? ping : PING_MAX_S) * 1000;
    }
    s->resume = s3_query(r, "resume", &v) && v.n > 0;
    if (s->resume && !listen_position_parse(v, &s->resume_at)) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, "resume must be a Position that a listener was told.");
        return false;
    }
    return true;
}

void op_listen(struct s3_req *r)
{
    struct stream *s = ARENA_NEW(r->arena, struct stream);
    const char *message;
    s->r = r;
    r->op_state = s;
    r->op_free = leave;
    if (!listen_filter_parse(&r->query, r->arena, &s->reader.filter, &message)) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, message);
        return;
    }
    s->reader.filter.bucket = r->bucket_name;
    if ((r->scope == SCOPE_BUCKET && !s3_need_bucket(r)) || !parse_rest(r, s))
        return;
    if (r->s3->stopping) {
        s3_fail(r, S3E_SHUTTING_DOWN);
        return;
    }
    listen_enter(r->s3->listen);
    s->entered = true;
    if (listen_covers(r->s3->listen, s->reader.filter.mask))
        start(r);
    else
        s3_commit(r, interest_txn, interest_done, 16u << 10, 0);
}
