/* SPDX-License-Identifier: Apache-2.0
 *
 * Random mixes of requests, pipelined and cut into random pieces by one thread, their answers checked in order by
 * another, over several connections at once. The seed is printed and can be given in BELFRY_TEST_SEED. */
#include "http_rig.h"

#define CLIENTS  6
#define REQUESTS 150

static struct rig rig;

struct mix {
    struct client c;
    struct buf raw;
    uint64_t seed;
    struct wanted {
        int status;
        bool bodiless;
        size_t pattern; /* bytes of the pattern, when text is NULL */
        char text[40];
    } want[REQUESTS];
};

static uint64_t rnd(uint64_t *s, uint64_t below)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s % below;
}

static void put_pattern(struct buf *b, uint64_t from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        buf_char(b, pattern(from + i));
}

/* A request head and a body of n bytes of the pattern, with a length or in random chunks. */
static void put_body(struct mix *m, const char *path, uint64_t n)
{
    struct buf *b = &m->raw;
    buf_printf(b, "PUT %s HTTP/1.1\r\nHost: h\r\n", path);
    if (rnd(&m->seed, 2)) {
        buf_printf(b, "Content-Length: %llu\r\n\r\n", (unsigned long long)n);
        put_pattern(b, 0, n);
        return;
    }
    buf_puts(b, "Transfer-Encoding: chunked\r\n\r\n");
    for (uint64_t at = 0; at < n;) {
        uint64_t k = 1 + rnd(&m->seed, n - at < 30000 ? n - at : 30000);
        buf_printf(b, "%llx%s\r\n", (unsigned long long)k, rnd(&m->seed, 4) ? "" : ";x=y");
        put_pattern(b, at, k);
        buf_puts(b, "\r\n");
        at += k;
    }
    buf_puts(b, rnd(&m->seed, 4) ? "0\r\n\r\n" : "0\r\nTrailer: x\r\n\r\n");
}

static void put_stream(struct mix *m, struct wanted *w)
{
    static const char *const forms[] = {"", "&chunked", "&file", "&file&chunked", "&slow", "&slow&chunked"};
    w->pattern = rnd(&m->seed, 200000);
    w->bodiless = rnd(&m->seed, 5) == 0;
    buf_printf(&m->raw, "%s /stream?n=%zu%s HTTP/1.1\r\nHost: h\r\n\r\n", w->bodiless ? "HEAD" : "GET",
               w->pattern, forms[rnd(&m->seed, COUNT_OF(forms))]);
}

static void put_request(struct mix *m, struct wanted *w)
{
    uint64_t n = rnd(&m->seed, 3) ? rnd(&m->seed, 300) : rnd(&m->seed, 150000);
    w->status = 200;
    switch (rnd(&m->seed, 7)) {
    case 0:
        buf_str(&m->raw, GET_HELLO);
        (void)snprintf(w->text, sizeof w->text, "hello");
        break;
    case 1:
        put_body(m, "/echo", n);
        w->pattern = n;
        break;
    case 2:
        put_body(m, "/pause", n);
        (void)snprintf(w->text, sizeof w->text, "%llu whole", (unsigned long long)n);
        break;
    case 3: /* answered before its body is there */
        put_body(m, "/refused", n);
        w->status = 403;
        (void)snprintf(w->text, sizeof w->text, "refused");
        break;
    case 4:
        put_body(m, "/mid", n + 1);
        w->status = 400;
        (void)snprintf(w->text, sizeof w->text, "mid");
        break;
    case 5:
        buf_puts(&m->raw, "GET /held HTTP/1.1\r\nHost: h\r\n\r\n");
        (void)snprintf(w->text, sizeof w->text, "late");
        break;
    default:
        put_stream(m, w);
    }
}

static void *talk(void *arg)
{
    struct mix *m = arg;
    uint64_t s = m->seed;
    struct str rest = buf_view(&m->raw);
    while (rest.n > 0) {
        size_t n = rnd(&s, 3) ? (size_t)rnd(&s, 100) + 1 : (size_t)rnd(&s, 100000) + 1;
        if (!try_say(&m->c, str_head(rest, n)))
            break;
        rest = str_from(rest, n);
    }
    return NULL;
}

static void *check_answers(void *arg)
{
    struct mix *m = arg;
    uintptr_t wrong = 0;
    for (size_t i = 0; i < REQUESTS && !wrong; i++) {
        const struct wanted *w = &m->want[i];
        struct answer a = listen_to(&m->c, w->bodiless);
        size_t n = w->text[0] ? strlen(w->text) : w->bodiless ? 0 : w->pattern;
        bool ok = a.status == w->status && a.body.len == n && !a.ended;
        if (ok && w->text[0])
            ok = memcmp(a.body.p, w->text, n) == 0;
        else if (ok)
            ok = is_pattern(&a.body);
        if (!ok)
            print_message("answer %zu: status %d (want %d), %zu bytes (want %zu)\n", i, a.status, w->status,
                          a.body.len, n);
        wrong = ok ? 0 : i + 1;
        buf_release(&a.body);
    }
    return (void *)wrong;
}

static void test_mix(void **state)
{
    (void)state;
    static struct mix mix[CLIENTS];
    pthread_t talkers[CLIENTS], checkers[CLIENTS];
    const char *given = getenv("BELFRY_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_real_ns();
    print_message("BELFRY_TEST_SEED=%llu\n", (unsigned long long)seed);
    rig_open(&rig, (struct http_options){0});
    rig.release = true;
    for (size_t i = 0; i < CLIENTS; i++) {
        struct mix *m = &mix[i];
        int small = 65536; /* so that replies do not fit into the socket at once */
        m->seed = (seed ^ (i + 1) * 0x9e3779b97f4a7c15u) | 1;
        m->c = dial(&rig);
        if (i % 2)
            (void)setsockopt(m->c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        buf_init(&m->raw, 256 << 20);
        for (size_t k = 0; k < REQUESTS; k++)
            put_request(m, &m->want[k]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        talkers[i] = thread_start("talk", talk, &mix[i]);
        checkers[i] = thread_start("check", check_answers, &mix[i]);
    }
    bool ok = true;
    for (size_t i = 0; i < CLIENTS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(checkers[i], &wrong), 0);
        if (wrong)
            (void)shutdown(mix[i].c.fd, SHUT_RDWR);
        thread_join(talkers[i]);
        ok &= wrong == NULL;
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        hang_up(&mix[i].c, false);
        buf_release(&mix[i].raw);
    }
    rig_close(&rig);
    assert_true(ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
