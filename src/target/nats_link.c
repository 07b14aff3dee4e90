/* SPDX-License-Identifier: Apache-2.0
 *
 * A link to a NATS server: the thread that lives as long as the connection does, and the callbacks of cnats' threads. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/nats_impl.h"

static struct mutex pool_mutex = MUTEX_INIT(RANK_TARGET);
static struct nats_link *pool;

/* --- handing over ------------------------------------------------------------------------------------------------- */

static void signal_sender(struct nats_link *l)
{
    uint64_t one = 1;
    if (!l->waiting || l->abandoned)
        return;
    l->waiting = false;
    ssize_t n = write(l->wake_fd, &one, sizeof(one));
    (void)n;
}

void nats_judge(struct nats_link *l, struct nats_place *p, enum send_result r, const char *why)
{
    if (p->state == PLACE_OUT && l->mode == NATS_STREAMING)
        l->n_out--;
    l->n_queued -= p->state == PLACE_QUEUED;
    l->n_open--;
    l->judged[l->n_judged++] = (unsigned)(p - l->place);
    p->state = PLACE_JUDGED;
    p->result = r;
    p->asked = NULL;
    if (r != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%s", why);
    if (l->n_judged >= l->enough || l->n_open == 0)
        signal_sender(l);
}

/* mutex held. */
static void go_down(struct nats_link *l, const char *why)
{
    if (l->state == LINK_DOWN)
        return;
    l->state = LINK_DOWN;
    (void)snprintf(l->why, sizeof(l->why), "%s", why && *why ? why : NATS_HUNG_UP);
    signal_sender(l);
}

void nats_link_ask(struct nats_link *l)
{
    l->asked++;
    cond_signal(&l->cond);
}

/* mutex held. PONG: the server has read all that was published before. */
static void confirm(struct nats_link *l, uint64_t upto)
{
    l->confirmed = upto;
    for (size_t i = 0; i < NATS_MAX_BATCH && l->mode == NATS_CORE; i++)
        if (l->place[i].state == PLACE_OUT && l->place[i].serial <= upto)
            nats_judge(l, &l->place[i], SEND_OK, NULL);
}

/* What the connection says of itself: the server's last words, or why it broke; "": nothing but that it is closed. */
static void last_words(natsConnection *nc, natsStatus s, char *out, size_t n)
{
    const char *text = NULL;
    natsStatus last = natsConnection_GetLastError(nc, &text);
    s = last != NATS_OK ? last : s;
    if (s == NATS_OK || !text || !*text)
        text = natsStatus_GetText(s);
    bool closed = s == NATS_OK || s == NATS_CONNECTION_CLOSED || s == NATS_CONNECTION_DISCONNECTED;
    (void)snprintf(out, n, "%s", closed && strcmp(text, natsStatus_GetText(s)) == 0 ? "" : text);
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus s, void *arg)
{
    struct nats_link *l = arg;
    char why[NATS_WHY];
    (void)sub;
    last_words(nc, s, why, sizeof(why));
    mutex_lock(&l->mutex);
    if (l->nc == nc)
        go_down(l, why);
    mutex_unlock(&l->mutex);
}

static void on_end(natsConnection *nc, void *arg)
{
    on_error(nc, NULL, NATS_OK, arg);
}

static void on_stan_lost(stanConnection *sc, const char *why, void *arg)
{
    struct nats_link *l = arg;
    mutex_lock(&l->mutex);
    if (l->sc == sc)
        go_down(l, why);
    mutex_unlock(&l->mutex);
}

void nats_note_asked(struct nats_link *l, struct nats_place *p, const natsMsg *msg)
{
    p->asked = msg;
    if (l->asks_end - l->asks_at ==
        NATS_ASKED) /* of messages whose answer never came: then places are searched */
        l->asks_at++;
    l->asks[l->asks_end++ % NATS_ASKED] = (struct nats_asked){msg, (unsigned)(p - l->place)};
}

/* mutex held. The place whose answer this is; NULL: it was given up. */
static struct nats_place *asked_from(struct nats_link *l, const natsMsg *msg)
{
    struct nats_place *found = NULL;
    for (unsigned i = l->asks_at; i != l->asks_end && !found; i++) {
        struct nats_asked *a = &l->asks[i % NATS_ASKED];
        if (a->msg != msg)
            continue;
        a->msg = NULL;
        if (l->place[a->place].asked == msg) /* else another one was there before */
            found = &l->place[a->place];
    }
    while (l->asks_at != l->asks_end && !l->asks[l->asks_at % NATS_ASKED].msg)
        l->asks_at++;
    for (size_t i = 0; i < NATS_MAX_BATCH && !found; i++)
        if (l->place[i].asked == msg)
            found = &l->place[i];
    return found && found->state == PLACE_OUT ? found : NULL;
}

void nats_on_js_ack(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *error, void *arg)
{
    struct nats_link *l = arg;
    char why[NATS_WHY];
    (void)js;
    mutex_lock(&l->mutex);
    struct nats_place *p = asked_from(l, msg);
    enum send_result r = SEND_OK;
    /* The library takes any JSON for an ack. */
    if (p && (error || !ack || !ack->Stream || !ack->Stream[0] || ack->Sequence == 0))
        r = nats_js_outcome(l->names, error ? (unsigned)error->ErrCode : 0,
                            error && error->Err == NATS_NO_RESPONDERS ? natsStatus_GetText(error->Err)
                            : error                                   ? error->ErrText
                                                                      : "",
                            why, sizeof(why));
    if (p)
        nats_judge(l, p, r, why);
    mutex_unlock(&l->mutex);
    natsMsg_Destroy(msg);
}

void nats_on_stan_ack(const char *guid, const char *error, void *arg)
{
    struct nats_ticket *t = arg;
    struct nats_link *l = t->link;
    struct nats_place *p = &l->place[t->place];
    (void)guid;
    mutex_lock(&l->mutex);
    if (p->state == PLACE_OUT && p->serial == t->serial) {
        char why[NATS_WHY] = "";
        if (error)
            nats_explain(l->names, error, why, sizeof(why));
        nats_judge(l, p, error ? SEND_RETRY : SEND_OK, why);
    }
    mutex_unlock(&l->mutex);
    free(t);
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static void random_id(char out[40])
{
    unsigned char raw[12];
    static const char hex[] = "0123456789abcdef";
    int n = snprintf(out, 40, "belfry-");
    BUG_ON(getentropy(raw, sizeof(raw)) != 0);
    for (size_t i = 0; i < sizeof(raw); i++) {
        out[n++] = hex[raw[i] >> 4];
        out[n++] = hex[raw[i] & 15];
    }
    out[n] = 0;
}

static natsStatus connect_streaming(struct nats_link *l, stanConnection **sc, natsConnection **nc)
{
    stanConnOptions *o = NULL;
    char client[40];
    random_id(client);
    natsStatus s = stanConnOptions_Create(&o);
    if (s == NATS_OK)
        s = stanConnOptions_SetNATSOptions(o, l->options);
    if (s == NATS_OK)
        s = stanConnOptions_SetConnectionWait(o, NATS_CLOSE_MS);
    if (s == NATS_OK)
        s = stanConnOptions_SetPubAckWait(o, NATS_ANSWER_MS);
    if (s == NATS_OK)
        s = stanConnOptions_SetMaxPubAcksInflight(o, 2 * NATS_MAX_BATCH, 1.0f);
    if (s == NATS_OK)
        s = stanConnOptions_SetPings(o, 5, 3);
    if (s == NATS_OK)
        s = stanConnOptions_SetConnectionLostHandler(o, on_stan_lost, l);
    if (s == NATS_OK)
        s = stanConnection_Connect(sc, l->cluster, client, o);
    stanConnOptions_Destroy(o);
    return s == NATS_OK ? stanConnection_GetNATSConnection(*sc, nc) : s;
}

static natsStatus connect_jetstream(struct nats_link *l, natsConnection *nc, jsCtx **js)
{
    jsOptions o;
    natsStatus s = jsOptions_Init(&o);
    o.PublishAsync.AckHandler = nats_on_js_ack;
    o.PublishAsync.AckHandlerClosure = l;
    return s == NATS_OK ? natsConnection_JetStream(js, nc, &o) : s;
}

static void connect_link(struct nats_link *l)
{
    natsConnection *nc = NULL;
    stanConnection *sc = NULL;
    jsCtx *js = NULL;
    char why[NATS_WHY] = "";
    natsStatus s;
    if (l->mode == NATS_STREAMING) {
        s = connect_streaming(l, &sc, &nc);
    } else {
        s = natsConnection_Connect(&nc, l->options);
        if (s == NATS_OK && l->mode == NATS_JETSTREAM)
            s = connect_jetstream(l, nc, &js);
    }
    if (s != NATS_OK) {
        natsStatus last;
        const char *text = nats_GetLastError(&last);
        (void)snprintf(why, sizeof(why), "%s", text && *text ? text : natsStatus_GetText(s));
    }
    mutex_lock(&l->mutex);
    l->nc = nc;
    l->sc = sc;
    l->js = js;
    mutex_unlock(&l->mutex);
    /* From here on a callback tells that it is lost. */
    bool lost = s != NATS_OK || natsConnection_Status(nc) != NATS_CONN_STATUS_CONNECTED;
    mutex_lock(&l->mutex);
    if (lost)
        go_down(l, why);
    else if (l->state == LINK_CONNECTING)
        l->state = LINK_UP;
    signal_sender(l);
    mutex_unlock(&l->mutex);
}

/* mutex held. One round of PING and PONG. */
static void ask(struct nats_link *l)
{
    char why[NATS_WHY];
    uint64_t upto = l->published, round = l->asked;
    natsConnection *nc = l->nc;
    mutex_unlock(&l->mutex);
    natsStatus s = natsConnection_FlushTimeout(nc, NATS_ANSWER_MS);
    last_words(nc, s, why, sizeof(why)); /* what it did not allow comes before the PONG */
    mutex_lock(&l->mutex);
    l->answered = round;
    if (s == NATS_OK && !why[0] && l->state == LINK_UP)
        confirm(l, upto);
    else
        go_down(l, s == NATS_TIMEOUT ? "no answer in time" : why);
    if (l->idling)
        signal_sender(l);
}

static void end_link(struct nats_link *l, bool was_up)
{
    mutex_lock(&l->mutex);
    natsConnection *nc = l->nc;
    stanConnection *sc = l->sc;
    jsCtx *js = l->js;
    l->nc = NULL;
    l->sc = NULL;
    l->js = NULL;
    mutex_unlock(&l->mutex);
    if (sc) {
        if (!was_up)
            relay_cut(l->relay);
        stanConnection_ReleaseNATSConnection(sc);
        (void)stanConnection_Destroy(sc); /* calls back for every publish that is not acked */
        relay_cut(l->relay);
    } else {
        relay_cut(l->relay);
        jsCtx_Destroy(js);
        natsConnection_Destroy(nc);
    }
    relay_close(l->relay);
    natsOptions_Destroy(l->options);
    (void)close(l->wake_fd);
    nats_ReleaseThreadMemory();
    nats_link_unused(l);
}

static void *run(void *arg)
{
    struct nats_link *l = arg;
    connect_link(l);
    mutex_lock(&l->mutex);
    while (!l->abandoned) {
        bool more = l->asked > l->answered || l->published > l->confirmed;
        if (l->state == LINK_UP && more)
            ask(l);
        else
            cond_wait(&l->cond, &l->mutex);
    }
    bool was_up = l->state == LINK_UP;
    mutex_unlock(&l->mutex);
    end_link(l, was_up);
    return NULL;
}

/* --- for the instance --------------------------------------------------------------------------------------------- */

struct nats_link *nats_link_new(natsOptions *options)
{
    mutex_lock(&pool_mutex);
    struct nats_link *l = pool;
    if (l)
        pool = l->next;
    mutex_unlock(&pool_mutex);
    if (!l) {
        l = x_calloc(1, sizeof(*l));
        mutex_init(&l->mutex, RANK_TARGET);
        cond_init(&l->cond);
    }
    (void)natsOptions_SetErrorHandler(options, on_error, l);
    (void)natsOptions_SetDisconnectedCB(options, on_end, l);
    (void)natsOptions_SetClosedCB(options, on_end, l);
    return l;
}

void nats_link_unused(struct nats_link *l)
{
    mutex_lock(&pool_mutex);
    l->next = pool;
    pool = l;
    mutex_unlock(&pool_mutex);
}

void nats_link_start(struct nats_link *l, enum nats_mode mode, const char *cluster,
                     const struct nats_names *names, struct relay *relay, natsOptions *options, int wake_fd)
{
    mutex_lock(&l->mutex);
    l->mode = mode;
    l->names = names;
    l->relay = relay;
    l->options = options;
    (void)snprintf(l->cluster, sizeof(l->cluster), "%s", cluster);
    l->wake_fd = dup(wake_fd);
    l->state = LINK_CONNECTING;
    l->why[0] = 0;
    l->abandoned = l->idling = false;
    l->waiting = true;
    l->published = l->confirmed = l->serial; /* goes on: a late ticket of the last connection fits no event */
    l->asked = l->answered = 0;
    l->n_out = l->n_open = l->n_judged = l->n_queued = l->enough = 0;
    l->asks_at = l->asks_end = 0;
    l->look_ms = 0;
    memset(l->place, 0, sizeof(l->place));
    mutex_unlock(&l->mutex);
    pthread_t t = thread_start("nats", run, l);
    (void)pthread_detach(t);
}

void nats_link_abandon(struct nats_link *l)
{
    mutex_lock(&l->mutex);
    l->abandoned = true;
    l->names = NULL;
    memset(l->place, 0, sizeof(l->place)); /* what they point to is the caller's again */
    if (l->state != LINK_UP || l->mode != NATS_STREAMING)
        relay_cut(l->relay);
    cond_signal(&l->cond);
    mutex_unlock(&l->mutex);
}
