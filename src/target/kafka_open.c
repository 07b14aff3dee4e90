/* SPDX-License-Identifier: Apache-2.0
 *
 * Kafka's instance: the producer, and the question whether brokers and topic are there. What the library has to
 * tell comes to its queue, which rings wake_fd. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "target/kafka_impl.h"

#define ASK_MS         250  /* how long the library may wait for an answer; doubled twice */
#define ASK_AGAIN_MS   100  /* after an answer that may be another one soon */
#define TOPIC_MAKES_MS 3000 /* how long brokers may take to make the topic */
#define TROUBLE_MS     100  /* that no broker is left is heard of before the reason is */
#define END_MS         2000

void *kafka_open(const void *conf, const char *id, struct err *e)
{
    struct kafka *k = x_calloc(1, sizeof(*k));
    k->conf = conf;
    k->id = x_strdup(id);
    (void)snprintf(k->label, sizeof(k->label), "kafka:%.40s", id);
    buf_init(&k->key, 4096);
    buf_init(&k->value, KAFKA_EVENT_MAX);
    buf_init(&k->ca, 16u << 20);
    atomic_store(&k->hasten_ms, INT64_MAX);
    k->room = KAFKA_ROOM;
    k->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (k->wake_fd < 0)
        (void)err_errno(e, "no eventfd");
    if (k->wake_fd < 0 || !kafka_parse_brokers(str_c(k->conf->brokers), &k->brokers, e)) {
        kafka_close(k);
        return NULL;
    }
    k->names = (struct kafka_names){
        .id = k->id, .topic = k->conf->topic, .tls = k->conf->tls, .sasl = k->conf->sasl};
    (void)snprintf(k->names.shown, sizeof(k->names.shown), "%.90s%s", k->brokers.v[0].shown,
                   k->brokers.n > 1 ? ",..." : "");
    if (k->conf->tls)
        kafka_trust(k);
    return k;
}

/* --- the producer ------------------------------------------------------------------------------------------------- */

/* A producer on its way out. Its threads end at once, but for one that looks up a name. */
struct ending {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    _Atomic int refs; /* who waits, and the thread; the last of the two frees it */
    int done_fd;
};

static void ending_unref(struct ending *d)
{
    if (atomic_fetch_sub(&d->refs, 1) > 1)
        return;
    (void)close(d->done_fd);
    free(d);
}

static void *end_producer(void *arg)
{
    struct ending *d = arg;
    uint64_t one = 1;
    rd_kafka_queue_io_event_enable(d->queue, -1, NULL, 0); /* it rings nowhere from here on */
    rd_kafka_queue_destroy(d->queue);
    (void)rd_kafka_purge(d->rk,
                         RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    rd_kafka_topic_destroy(d->topic);
    rd_kafka_destroy(d->rk);
    ssize_t n = write(d->done_fd, &one, sizeof(one));
    BUG_ON(n != sizeof(one));
    ending_unref(d);
    return NULL;
}

static void drop_producer(struct kafka *k)
{
    if (!k->rk)
        return;
    struct ending *d = x_calloc(1, sizeof(*d));
    *d = (struct ending){.rk = k->rk, .topic = k->topic, .queue = k->queue, .refs = 2};
    d->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    BUG_ON(d->done_fd < 0);
    k->rk = NULL;
    k->topic = NULL;
    k->queue = NULL;
    k->spoilt = k->doubt = false;
    k->down_ms = 0;
    kafka_forget_messages(k);
    (void)pthread_detach(thread_start("kafka-end", end_producer, d));
    struct patience p = {clock_mono_ms() + END_MS, NULL};
    if (!patience_poll(&p, d->done_fd, POLLIN))
        log_debug(k->label, "the last connection takes long to end");
    ending_unref(d);
}

static bool make_producer(struct kafka *k, struct err *e)
{
    static const uint64_t one = 1;
    char text[400];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    if (!kafka_configure(k, c, e)) {
        rd_kafka_conf_destroy(c);
        return false;
    }
    k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, c, text, sizeof(text));
    if (!k->rk) {
        rd_kafka_conf_destroy(c);
        kafka_explain_setup(k->conf, text, e);
        return false;
    }
    k->topic = rd_kafka_topic_new(k->rk, k->conf->topic, NULL);
    if (!k->topic) { /* nothing has begun yet: it ends at once */
        (void)err_set(e, "topic '%.100s' cannot be used: %s", k->conf->topic,
                      rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_destroy(k->rk);
        k->rk = NULL;
        return false;
    }
    k->queue = rd_kafka_queue_get_main(k->rk);
    rd_kafka_queue_io_event_enable(k->queue, k->wake_fd, &one, sizeof(one));
    return true;
}

/* Is there anything that only this producer knows? */
static bool in_use(const struct kafka *k)
{
    return !k->spoilt && (k->n_under_way > 0 || k->doubt);
}

void kafka_disconnect(void *arg)
{
    struct kafka *k = arg;
    kafka_give_up_places(k);
    if (!in_use(k))
        drop_producer(k);
}

void kafka_close(void *arg)
{
    struct kafka *k = arg;
    kafka_give_up_places(k);
    drop_producer(k);
    dialer_release(&k->dialer);
    buf_release(&k->key);
    buf_release(&k->value);
    buf_release(&k->ca);
    if (k->wake_fd >= 0)
        (void)close(k->wake_fd);
    free(k->id);
    free(k);
}

void kafka_hasten(void *arg, int64_t deadline_ms)
{
    struct kafka *k = arg; /* whoever waits looks at it several times a second */
    atomic_store(&k->hasten_ms, deadline_ms);
}

/* --- is somebody there? ------------------------------------------------------------------------------------------- */

/* One of the brokers takes connections: what is wrong with that, the resolver and the system say best, and at once. */
static bool reach(struct kafka *k, const struct patience *p, struct err *e)
{
    for (unsigned i = 0; i < k->brokers.n; i++) {
        const struct target_address *b = &k->brokers.v[i];
        int64_t left = patience_left(p);
        struct patience share = {clock_mono_ms() + left / (k->brokers.n - i), p->hasten_ms};
        struct err why = {0};
        int fd = dial(&k->dialer, b->host, b->port, &share, &why);
        if (fd >= 0) {
            (void)close(fd);
            return true;
        }
        if (i == 0)
            (void)err_set(e, "%.100s: %.200s%s", b->shown, why.text,
                          k->brokers.n > 1 ? "; nor is another of the brokers there" : "");
    }
    return false;
}

/* Lets a little time pass, and hears what the library has to tell meanwhile. */
static void listen_for(struct kafka *k, const struct patience *p, int64_t span_ms)
{
    struct patience some = {clock_mono_ms() + span_ms, p->hasten_ms};
    while (patience_left(p) > 0 && patience_left(&some) > 0 && patience_poll(&some, k->wake_fd, POLLIN)) {
        uint64_t count;
        ssize_t n = read(k->wake_fd, &count, sizeof(count));
        (void)n;
        kafka_serve(k);
    }
}

/* Asks whichever broker is there for the topic. The library waits for its answer in one piece, so it gets little time at
 * first, in case the answer is trouble, and never much, in case we are hastened. 0, or an error. */
static rd_kafka_resp_err_t ask(struct kafka *k, const struct patience *p, unsigned turn)
{
    const struct rd_kafka_metadata *md = NULL;
    int64_t left = patience_left(p), span = turn < 2 ? ASK_MS << turn : ASK_MS << 2;
    span = span < left ? span : left;
    rd_kafka_resp_err_t err = rd_kafka_metadata(k->rk, 0, k->topic, &md, (int)(span < 1 ? 1 : span));
    kafka_serve(k);
    if (err)
        return err;
    err = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    rd_kafka_metadata_destroy(md);
    return err;
}

/* May the answer be another one soon? Brokers that make topics when they are asked for them need a moment. */
static bool may_change(rd_kafka_resp_err_t err, int64_t since_ms)
{
    bool absent = err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                  err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
    bool lost = err == RD_KAFKA_RESP_ERR__TRANSPORT || err == RD_KAFKA_RESP_ERR__TIMED_OUT ||
                err == RD_KAFKA_RESP_ERR__DESTROY_BROKER;
    return lost || (absent && since_ms < TOPIC_MAKES_MS);
}

static bool explain_silence(struct kafka *k, const struct patience *p, struct err *e)
{
    if (!k->trouble[0] && k->down_ms > 0)
        listen_for(k, p, TROUBLE_MS);
    if (k->trouble[0])
        return err_set(e, "%s", k->trouble);
    if (k->down_ms == 0)
        return err_set(e, "%s: no answer in time", k->names.shown);
    kafka_explain_closed(&k->names, e->text, sizeof(e->text));
    return false;
}

/* Brokers and topic are there. */
static bool look(struct kafka *k, const struct patience *p, struct err *e)
{
    int64_t begun = clock_mono_ms();
    for (unsigned turn = 0; patience_left(p) > 0; turn++) {
        rd_kafka_resp_err_t err = ask(k, p, turn);
        if (!err && !k->spoilt)
            return true;
        if (k->spoilt || k->down_ms > 0)
            break;
        if (!may_change(err, clock_mono_ms() - begun)) {
            (void)kafka_outcome(&k->names, err, false, k->trouble, e->text, sizeof(e->text));
            return false;
        }
        listen_for(k, p, ASK_AGAIN_MS);
    }
    return explain_silence(k, p, e);
}

static struct patience patience_of(struct kafka *k, int64_t deadline_ms)
{
    int64_t until = clock_mono_ms() + KAFKA_CONNECT_MS;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &k->hasten_ms};
}

bool kafka_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct kafka *k = arg;
    struct patience p = patience_of(k, deadline_ms);
    kafka_serve(k);
    if (!in_use(k))
        drop_producer(k);
    k->trouble[0] = 0;
    k->down_ms = 0;
    bool ok = reach(k, &p, e) && (k->rk || make_producer(k, e)) && look(k, &p, e);
    if (!ok && !in_use(k))
        drop_producer(k);
    k->down_ms = ok ? 0 : k->down_ms;
    return ok;
}

bool kafka_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct kafka *k = arg;
    struct patience p = patience_of(k, deadline_ms);
    if (!k->rk)
        return true;
    kafka_serve(k);
    k->down_ms = 0; /* a connection that was lost is made again when there is something to ask */
    bool ok = !k->spoilt && look(k, &p, e);
    if (!ok && !e->text[0])
        (void)err_set(e, "%s", k->trouble[0] ? k->trouble : "the producer has failed");
    return ok;
}
