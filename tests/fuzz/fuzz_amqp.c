/* SPDX-License-Identifier: Apache-2.0
 *
 * What an AMQP broker says, through a whole session: nothing is a success that was not published, and whatever it says can
 * be shown on one line. And the URL in the settings. */
#include "fuzz.h"

#include "target/amqp_impl.h"

#define EVENTS 4

static char word[] = "events", none[] = "";
static const struct rabbit_conf conf = {
    .exchange = word, .exchange_type = word, .routing_key = none, .client_cert = none, .client_key = none};
static const struct rabbit_names names = {
    .shown = "host:5672", .id = "x", .vhost = "/", .exchange = word, .routing_key = none};

static void one_line(const char *text, size_t n)
{
    size_t len = strnlen(text, n);
    CHECK(len < n);
    for (size_t i = 0; i < len; i++)
        CHECK((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

static void words(struct str in)
{
    struct rabbit_address a;
    struct err e;
    char why[SEND_WHY];
    rabbit_explain(&names, 406, in, why, sizeof(why));
    one_line(why, sizeof(why));
    (void)rabbit_size_limit(in);
    if (rabbit_parse_url(in, &a, &e))
        CHECK(a.host[0] && a.port[0] && a.vhost[0] && strlen(a.shown) > strlen(a.host));
}

/* Feeds in small pieces; as soon as the session is ready, some events are out. */
static void session(struct rabbit_session *s, struct str in)
{
    static struct event_ref ev[EVENTS];
    static char why[EVENTS][SEND_WHY];
    bool published = false;
    size_t at = 0;
    for (size_t end = 0; end < in.n && s->state != RABBIT_LOST;) {
        end = end + 11 < in.n ? end + 11 : in.n;
        at += rabbit_session_take(s, str_n(in.p + at, end - at));
        CHECK(at <= end);
        for (unsigned i = 0; s->state == RABBIT_READY && !published && i < EVENTS; i++) {
            ev[i] = (struct event_ref){.bucket = STR("b"), .sequencer = i + 1, .why = why[i]};
            why[i][0] = 0;
            rabbit_session_publish(s, i, &ev[i], 1);
        }
        published |= s->state == RABBIT_READY;
    }
    for (unsigned i = 0; i < RABBIT_IN_FLIGHT; i++) {
        const struct rabbit_flight *f = &s->flight[i];
        CHECK(!f->judged || (published && i < EVENTS && !f->busy));
        if (f->judged && f->result != SEND_OK)
            one_line(why[i], SEND_WHY);
    }
    CHECK(s->n_order <= EVENTS && !s->out.failed);
    one_line(s->lost, sizeof(s->lost));
    one_line(s->blocked_why, sizeof(s->blocked_why));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rabbit_session s;
    static struct rabbit_address address;
    struct str in = str_n(data, size);
    words(in);
    memset(&s, 0, sizeof(s));
    s.conf = &conf;
    s.address = &address;
    s.names = names;
    rabbit_session_init(&s);
    rabbit_session_start(&s);
    session(&s, in);
    rabbit_session_release(&s);
    return 0;
}
