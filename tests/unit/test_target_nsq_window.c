/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's events on their way: commands that are out at once, what each answer means for them, and what goes again. nsqd is the
 * test itself, step by step, on the thread that calls the target. (Words and login: test_target_nsq.c; the contract:
 * test_target.c; against a real nsqd: tests/integration/test_nsq.py.) */
#include "nsq_help.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static struct rig *rig_open(void)
{
    return rig_with(0);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

/* An event on a connection where nothing is out goes by itself, at once. */
static void test_single(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    for (unsigned i = 0; i < 3; i++) {
        begin(g, 1);
        take_events(g, i, 1);
        say(g, NSQ_RESPONSE, "OK");
        await_done(g, i + 1);
    }
    assert_results(g, 0, 3, SEND_OK);
    rig_close(g);
}

/* Two commands are out at once, and answered in their order; what comes meanwhile gathers for the next one. */
static void test_two_commands(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    take_nothing(g);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, COMMAND);
    assert_results(g, 0, COMMAND, SEND_OK);
    begin(g, 3);
    take_events(g, PLACES, 3);
    begin(g, 1);
    take_nothing(g);
    begin(g, 10);
    take_nothing(g);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, PLACES);
    assert_results(g, COMMAND, COMMAND, SEND_OK);
    take_events(g, PLACES + 3, 11);
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, PLACES + 14);
    assert_results(g, PLACES, 14, SEND_OK);
    rig_close(g);
}

/* All that was handed over before a poll goes out in it. */
static void test_one_poll(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_open();
    begin(g, COMMAND + 7);
    (void)step(g);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(take_in_time(g, &c));
        assert_int_equal(c.n, i == 0 ? COMMAND : 7);
    }
    rig_close(g);
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* An error is about the first command, and nothing of the second was taken. */
static void test_error_on_the_first(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    refuse(g, "E_MPUB_FAILED MPUB failed write: no space left on device");
    await_done(g, PLACES);
    assert_results(g, 0, PLACES, SEND_RETRY);
    assert_non_null(strstr(g->reason, "its disk"));
    begin(g, 1); /* before it is connected again */
    await_done(g, PLACES + 1);
    assert_results(g, PLACES, 1, SEND_RETRY);
    assert_non_null(strstr(g->reason, "its disk"));
    connect_rig(g);
    begin(g, 1);
    take_events(g, PLACES + 1, 1);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, PLACES + 2);
    assert_results(g, PLACES + 1, 1, SEND_OK);
    rig_close(g);
}

/* What was confirmed comes first, and by itself, though the end of the connection was there, too. */
static void test_error_on_the_second(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    say_two(g, NSQ_ERROR, "E_MPUB_FAILED MPUB failed write");
    hang_up(g);
    int64_t until = clock_mono_ms() + PATIENCE;
    assert_int_equal(poll_until(g, until), COMMAND);
    assert_results(g, 0, COMMAND, SEND_OK);
    assert_int_equal(poll_until(g, until), COMMAND);
    assert_results(g, COMMAND, COMMAND, SEND_RETRY);
    rig_close(g);
}

/* What nobody asked for, and what is no answer to a publish. */
static void test_wrong_answers(void **state)
{
    (void)state;
    static const struct {
        unsigned kind, ok; /* events that are taken before */
        const char *text, *why;
    } cases[] = {{NSQ_RESPONSE, 0, "FINE", "none of nsqd's"},
                 {NSQ_RESPONSE, 5, "OKAY", "none of nsqd's"},
                 {NSQ_MESSAGE, 5, "OK", "does not answer as nsqd does"},
                 {NSQ_ERROR, 5, "E_BAD_MESSAGE MPUB message too big", "--max-msg-size"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rig *g = rig_open();
        begin(g, 5);
        take_events(g, 0, 5);
        begin(g, 5);
        take_events(g, 5, 5);
        if (cases[i].ok)
            say(g, NSQ_RESPONSE, "OK");
        say(g, cases[i].kind, cases[i].text);
        await_done(g, 10);
        assert_results(g, 0, cases[i].ok, SEND_OK);
        assert_results(g, cases[i].ok, 10 - cases[i].ok, SEND_RETRY);
        if (!strstr(g->reason, cases[i].why))
            fail_msg("%zu: %s", i, g->reason);
        rig_close(g);
    }
}

static void test_unasked(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    struct err e = {0};
    assert_true(target_nsq.idle(g->self, clock_mono_ms() + PATIENCE, &e));
    begin(g, 1);
    take_events(g, 0, 1);
    say_two(g, NSQ_RESPONSE, "OK");
    await_done(g, 1);
    assert_results(g, 0, 1, SEND_OK);
    begin(g, 1);
    await_done(g, 2);
    assert_results(g, 1, 1, SEND_RETRY);
    assert_non_null(strstr(g->reason, "nobody asked for"));
    rig_close(g);
}

/* Answers, and heartbeats between them, however the network cuts them. */
static void test_split_answers(void **state)
{
    (void)state;
    unsigned seed = 1, beats = 0;
    static struct command c;
    struct rig *g = rig_open();
    struct buf b;
    buf_init(&b, 1u << 16);
    for (unsigned round = 0; round < 100; round++) {
        unsigned before = g->n_done;
        begin(g, 1 + (unsigned)rand_r(&seed) % 40);
        unsigned cut = g->n_begun;
        (void)step(g);
        begin(g, 1 + (unsigned)rand_r(&seed) % 40);
        take_events(g, before, cut - before);
        take_events(g, cut, g->n_begun - cut);
        buf_reset(&b);
        for (unsigned i = 0; i < 2; i++) {
            for (unsigned k = (unsigned)rand_r(&seed) % 3; k > 0; k--, beats++)
                put_frame(&b, NSQ_RESPONSE, "_heartbeat_");
            put_frame(&b, NSQ_RESPONSE, "OK");
        }
        for (size_t at = 0, n; at < b.len; at += n) {
            n = 1 + (size_t)rand_r(&seed) % 30;
            n = n < b.len - at ? n : b.len - at;
            say_bytes(g, str_n(b.p + at, n));
            (void)step(g);
        }
        await_done(g, g->n_begun);
        for (; beats > 0; beats--)
            take_named(g, &c, "NOP");
    }
    assert_results(g, 0, g->n_begun, SEND_OK);
    take_nothing(g);
    buf_release(&b);
    rig_close(g);
}

/* --- half of a command -------------------------------------------------------------------------------------------- */

/* Eight events of one MiB are handed over, and nsqd reads nothing: of the two commands, of 3 MiB each, no more goes than
 * sockets hold. */
static struct rig *rig_stuck(void)
{
    struct rig *g = rig_with(4096);
    g->padded = 1u << 20;
    g->padding = x_malloc(g->padded);
    memset(g->padding, '0', g->padded);
    begin(g, 8); /* they are one buffer, so all have the last one's number */
    (void)step(g);
    return g;
}

/* The answer to a heartbeat goes behind the command, not into it. */
static void test_nop_behind(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_stuck();
    say(g, NSQ_RESPONSE, "_heartbeat_");
    for (unsigned i = 0; i < 10; i++)
        (void)poll_until(g, clock_mono_ms() + 1);
    for (unsigned i = 0; i < 2; i++) {
        take_named(g, &c, "MPUB");
        assert_int_equal(c.n, 3);
    }
    take_named(g, &c, "NOP");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 3);
    take_named(g, &c, "MPUB");
    assert_int_equal(c.n, 2);
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 8);
    assert_results(g, 0, 8, SEND_OK);
    rig_close(g);
}

/* An answer to what it cannot have read is none. */
static void test_early_answer(void **state)
{
    (void)state;
    struct rig *g = rig_stuck();
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 8);
    assert_int_equal(g->result[7], SEND_RETRY);
    assert_non_null(strstr(g->reason, "before it has the whole command"));
    rig_close(g);
}

/* The same before the connection is reset: what could not be written any more was not taken. */
static void test_early_answers_and_reset(void **state)
{
    (void)state;
    struct rig *g = rig_with(4096);
    struct linger at_once = {.l_onoff = 1};
    g->padded = 1u << 20;
    g->padding = x_malloc(g->padded);
    memset(g->padding, '0', g->padded);
    begin(g, 8);
    (void)step(g);
    say_two(g, NSQ_RESPONSE, "OK");
    assert_int_equal(setsockopt(g->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    hang_up(g);
    await_done(g, 8);
    assert_results(g, 0, 8, SEND_RETRY);
    rig_close(g);
}

/* --- refused for its size ----------------------------------------------------------------------------------------- */

/* What fits goes again without what does not, behind a login that takes longer than the polls; nothing of it twice. */
static void test_slow_reconnect(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_open();
    begin(g, 12);
    take_events(g, 0, 12); /* 10 and 11 have a digit more */
    begin(g, 3);
    take_events(g, 12, 3);
    refuse(g, "E_BAD_MESSAGE MPUB message too big 50 > 49");
    accept_one(g);
    assert_int_equal(g->n_done, 0);
    for (unsigned i = 0; i < 3; i++) { /* it keeps its times, and hears who wakes it */
        int64_t begin_ms = clock_mono_ms();
        assert_int_equal(poll_until(g, begin_ms + 30), 0);
        assert_in_range(clock_mono_ms() - begin_ms, 30, 5000);
    }
    target_nsq.wake(g->self);
    assert_int_equal(poll_until(g, clock_mono_ms() + 60000), 0);
    begin(g, 1);
    take_named(g, &c, "");
    take_named(g, &c, "IDEN");
    say(g, NSQ_RESPONSE, "{}");
    take_named(g, &c, "MPUB");
    assert_int_equal(c.n, 14);
    for (unsigned i = 0; i < 14; i++)
        assert_int_equal(c.number[i], i < 10 ? i : i + 2);
    take_nothing(g);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 16);
    assert_results(g, 0, 10, SEND_OK);
    assert_results(g, 10, 2,
                   SEND_REJECT); /* with those that went: alone they would look as if nothing could */
    assert_non_null(strstr(g->reason, "--max-msg-size"));
    assert_results(g, 12, 4, SEND_OK);
    rig_close(g);
}

/* Where that fails, all of it is to be sent again, and is told why. */
static void test_failed_reconnect(void **state)
{
    (void)state;
    static struct command c;
    static const char *const whys[] = {"refused", "closed the connection", "E_INVALID", "no answer in time",
                                       "none of nsqd's to IDENTIFY"};
    for (size_t i = 0; i < COUNT_OF(whys); i++) {
        struct rig *g = rig_open();
        begin(g, 12);
        take_events(g, 0, 12);
        if (i == 3)
            g->deadline_ms = clock_mono_ms() + 200;
        begin(g, 3);
        if (i == 0)
            (void)close(g->listener);
        refuse(g, "E_BAD_MESSAGE MPUB message too big 50 > 49");
        if (i > 0) {
            accept_one(g);
            take_named(g, &c, "");
            take_named(g, &c, "IDEN");
        }
        if (i == 1)
            hang_up(g);
        if (i == 2)
            refuse(g, "E_INVALID cannot IDENTIFY");
        if (i == 4)
            say(g, NSQ_RESPONSE, "OK");
        await_done(g, 15);
        assert_results(g, 0, 10, SEND_RETRY);
        assert_results(g, 10, 2, SEND_REJECT);
        assert_results(g, 12, 3, SEND_RETRY);
        if (!strstr(g->reason, whys[i]))
            fail_msg("%zu: %s", i, g->reason);
        if (i == 0)
            g->listener = listen_on(0, 0);
        rig_close(g);
    }
}

/* Commands that are too large for it become smaller, and all events come in their order, none twice. */
static void test_smaller_commands(void **state)
{
    (void)state;
    static struct command c;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    refuse(g, "E_BAD_BODY MPUB body too big 20000 > 10000");
    welcome_again(g);
    unsigned next = 0, commands = 0;
    while (next < PLACES) {
        take(g, &c);
        if (c.bytes > 10000) { /* what it says of the limit does not count what stands before the events */
            refuse(g, "E_BAD_BODY MPUB body too big 10004 > 10000");
            welcome_again(g);
            continue;
        }
        for (unsigned i = 0; i < c.n; i++)
            assert_int_equal(c.number[i], next++);
        say(g, NSQ_RESPONSE, "OK");
        commands++;
    }
    await_done(g, PLACES);
    assert_results(g, 0, PLACES, SEND_OK);
    assert_in_range(commands, 6, 12);
    rig_close(g);
}

/* It refuses the only event there is; the next finds a connection of its own. */
static void test_refused_told_in_time(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    int64_t later = g->deadline_ms;
    begin(g, 10);
    g->deadline_ms = clock_mono_ms() + 400;
    begin(g, 1);
    g->deadline_ms = later;
    take_events(g, 0, 11);
    refuse(g, "E_BAD_MESSAGE MPUB message too big 50 > 49"); /* the last, which has a digit more */
    welcome_again(g);
    take_events(g, 0, 10);
    await_done(g, 1);
    assert_results(g, 10, 1, SEND_REJECT);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 11);
    assert_results(g, 0, 10, SEND_OK);
    rig_close(g);
}

static void test_refused_alone(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 1);
    take_events(g, 0, 1);
    refuse(g, "E_BAD_MESSAGE PUB message too big 49 > 48");
    await_done(g, 1);
    assert_results(g, 0, 1, SEND_REJECT);
    (void)step(g);
    begin(g, 1);
    (void)step(g);
    welcome_again(g);
    take_events(g, 1, 1);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 2);
    assert_results(g, 1, 1, SEND_OK);
    rig_close(g);
}

/* --- time --------------------------------------------------------------------------------------------------------- */

/* The clock, some time from now. */
static int64_t ahead_ns;
static int64_t (*true_clock)(void);
static int64_t clock_ahead(void)
{
    return true_clock() + ahead_ns;
}

/* nsqd comes to a command when it has answered the one before: its time begins then. */
static void test_one_after_the_other(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    true_clock = clock_mono_ns;
    ahead_ns = 0;
    clock_mono_ns = clock_ahead;
    g->deadline_ms = clock_mono_ms() + 600000;
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    take_events(g, COMMAND, COMMAND);
    for (unsigned i = 1; i <= 2; i++) {
        ahead_ns += INT64_C(20000000000);
        (void)step(g);
        assert_int_equal(g->n_done, (i - 1) * COMMAND);
        say(g, NSQ_RESPONSE, "OK");
        await_done(g, i * COMMAND);
    }
    assert_results(g, 0, PLACES, SEND_OK);
    begin(g, 1);
    take_events(g, PLACES, 1);
    ahead_ns += INT64_C(31000000000);
    await_done(g, PLACES + 1);
    assert_results(g, PLACES, 1, SEND_RETRY);
    clock_mono_ns = true_clock;
    rig_close(g);
}

/* An event whose time is over before it goes out does not go out. */
static void test_late_before_it_goes(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    int64_t later = g->deadline_ms;
    g->deadline_ms = clock_mono_ms() - 1;
    begin(g, 1);
    g->deadline_ms = later;
    begin(g, 2);
    await_done(g, 1);
    assert_results(g, 0, 1, SEND_RETRY);
    take_events(g, 1, 2);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 3);
    rig_close(g);
}

static void *wake(void *arg)
{
    struct rig *g = arg;
    target_nsq.wake(g->self);
    return NULL;
}

static void test_wake(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    for (unsigned out = 0; out < 2; out++) {
        int64_t begin_ms = clock_mono_ms();
        target_nsq.wake(g->self);
        assert_int_equal(poll_until(g, begin_ms + 50000), 0);
        pthread_t t = thread_start("wake", wake, g);
        assert_int_equal(poll_until(g, begin_ms + 50000), 0);
        thread_join(t);
        assert_true(clock_mono_ms() < begin_ms + 20000);
        begin_ms = clock_mono_ms(); /* once is once */
        assert_int_equal(poll_until(g, begin_ms + 30), 0);
        assert_true(clock_mono_ms() >= begin_ms + 30);
        begin(g, 1);
    }
    rig_close(g);
}

/* No answer by its deadline: that ends the connection, for what came later would be taken for another's. */
static void test_deadline(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 2);
    take_events(g, 0, 2);
    int64_t begin_ms = clock_mono_ms();
    g->deadline_ms = begin_ms + 100;
    begin(g, 1);
    take_events(g, 2, 1);
    assert_int_equal(poll_until(g, begin_ms + 50000), 3);
    assert_in_range(clock_mono_ms() - begin_ms, 100, 10000);
    assert_results(g, 0, 3, SEND_RETRY);
    assert_non_null(strstr(g->reason, "no answer in time"));
    while (hear(g, PATIENCE))
        ;
    char c;
    assert_int_equal(recv(g->fd, &c, 1, MSG_DONTWAIT), 0);
    rig_close(g);
}

/* An event that is in no command yet is given up by itself. */
static void test_deadline_in_line(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 1);
    take_events(g, 0, 1);
    begin(g, 1);
    take_events(g, 1, 1);
    begin(g, 1);
    int64_t later = g->deadline_ms;
    g->deadline_ms = clock_mono_ms() + 50;
    begin(g, 1);
    g->deadline_ms = later;
    begin(g, 1);
    assert_int_equal(poll_until(g, later), 1);
    assert_results(g, 3, 1, SEND_RETRY);
    begin(g, 1);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 2);
    static struct command c;
    take_named(g, &c, "MPUB");
    assert_int_equal(c.n, 3);
    assert_int_equal(c.number[0], 2);
    assert_int_equal(c.number[1], 4);
    assert_int_equal(c.number[2], 5);
    say(g, NSQ_RESPONSE, "OK");
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 6);
    assert_results(g, 4, 2, SEND_OK);
    rig_close(g);
}

static void *hasten(void *arg)
{
    struct rig *g = arg;
    target_nsq.hasten(g->self, clock_mono_ms() + 50);
    return NULL;
}

static void test_hasten(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, 2);
    take_events(g, 0, 2);
    int64_t begin_ms = clock_mono_ms();
    pthread_t t = thread_start("hasten", hasten, g);
    assert_int_equal(poll_until(g, begin_ms + 50000), 2);
    thread_join(t);
    assert_true(clock_mono_ms() < begin_ms + 20000);
    assert_results(g, 0, 2, SEND_RETRY);
    rig_close(g);
}

/* What was out when the connection was given up gets no outcome, and its places are free. */
static void test_disconnect(void **state)
{
    (void)state;
    struct rig *g = rig_open();
    begin(g, PLACES);
    take_events(g, 0, COMMAND);
    target_nsq.disconnect(g->self);
    hang_up(g);
    assert_int_equal(poll_until(g, clock_mono_ms() + 20), 0);
    memset(g->out, 0, sizeof(g->out));
    connect_rig(g);
    begin(g, 4);
    take_events(g, PLACES, 4);
    say(g, NSQ_RESPONSE, "OK");
    await_done(g, 4);
    assert_results(g, PLACES, 4, SEND_OK);
    take_nothing(g);
    rig_close(g);
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

/* Events come and are answered by chance; they are published in the order in which they came, each once. */
static void test_chance(void **state)
{
    (void)state;
    static struct command c;
    unsigned seed = 7, next = 0, unanswered = 0;
    struct rig *g = rig_open();
    while (g->n_done < EVENTS - PLACES) {
        unsigned room = PLACES - g->n_out, most = (unsigned)rand_r(&seed) % 4 == 0 ? 400 : 4;
        unsigned n = (unsigned)rand_r(&seed) % (most + 1);
        begin(g, n < room ? n : room);
        (void)step(g);
        (void)hear(g, 0);
        while (take_some(g, &c)) {
            for (unsigned i = 0; i < c.n; i++)
                assert_int_equal(c.number[i], next++);
            assert_true(++unanswered <= 2 && c.n <= COMMAND);
        }
        if (unanswered > 0 && (unsigned)rand_r(&seed) % 3 > 0) {
            say(g, NSQ_RESPONSE, "OK");
            unanswered--;
        }
    }
    assert_results(g, 0, g->n_done, SEND_OK);
    rig_close(g);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single),
        cmocka_unit_test(test_two_commands),
        cmocka_unit_test(test_one_poll),
        cmocka_unit_test(test_error_on_the_first),
        cmocka_unit_test(test_error_on_the_second),
        cmocka_unit_test(test_wrong_answers),
        cmocka_unit_test(test_unasked),
        cmocka_unit_test(test_split_answers),
        cmocka_unit_test(test_nop_behind),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_slow_reconnect),
        cmocka_unit_test(test_failed_reconnect),
        cmocka_unit_test(test_smaller_commands),
        cmocka_unit_test(test_refused_alone),
        cmocka_unit_test(test_wake),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_in_line),
        cmocka_unit_test(test_hasten),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_chance),
        cmocka_unit_test(test_refused_told_in_time),
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_late_before_it_goes),
        cmocka_unit_test(test_early_answers_and_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
