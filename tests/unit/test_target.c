/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract of target.h, over every kind of target there is, against a receiver that misbehaves. (What is sent to
 * each kind's receiver, and what has to become of it: target_rigs_*.c; what is a kind's own: test_target_KIND.c and others.) */
#include "target_rigs.h"

#include <signal.h>

#include "target/amqp.h"
#include "target/elastic.h"
#include "target/kafka.h"
#include "target/mqtt.h"
#include "target/mysql.h"
#include "target/nats.h"
#include "target/nsq.h"
#include "target/postgres.h"
#include "target/redis.h"
#include "target/webhook.h"

/* Of each kind: its receiver, an instance that sends there, and what has to become of what that answers. */
static const struct rig {
    const struct target_type *type;
    void (*start)(struct receiver *r);
    struct instance (*at)(const struct receiver *r);
    void (*run)(struct instance *in);
    unsigned login; /* requests of a connect */
} rigs[] = {{&target_amqp, receiver_start_amqp, amqp_at, amqp_cases_run, 7},
            {&target_mqtt, receiver_start_mqtt, mqtt_at, mqtt_cases_run, 1},
            {&target_nsq, receiver_start_nsq, nsq_at, nsq_cases_run, 2},
            {&target_webhook, receiver_start, webhook_at, webhook_cases_run, 0},
            {&target_redis, receiver_start_redis, redis_at, redis_cases_run, 2},
            {&target_kafka, receiver_start_kafka, kafka_at, kafka_cases_run, 2},
            {&target_postgres, receiver_start_postgres, postgres_at, postgres_cases_run, 5},
            {&target_mysql, receiver_start_mysql, mysql_at, mysql_cases_run, 6},
            {&target_nats, receiver_start_nats, nats_at, nats_cases_run, 2},
            {&target_elasticsearch, receiver_start_elastic, elastic_at, elastic_cases_run, 1}};

/* One kind, another server. */
static const struct rig rig_mariadb = {&target_mysql, receiver_start_mariadb, mysql_at, mysql_cases_run, 6},
                        rig_postgres_arrays = {&target_postgres, receiver_start_postgres_arrays, postgres_at,
                                               postgres_cases_run, 5};

static const struct rig *rig_of(const struct target_type *type)
{
    for (size_t i = 0; i < COUNT_OF(rigs); i++)
        if (rigs[i].type == type)
            return &rigs[i];
    fail_msg("%s has no receiver here", type->name);
    return NULL;
}

static void contract(const struct rig *rig)
{
    struct receiver r;
    rig->start(&r);
    struct instance in = rig->at(&r);
    rig->run(&in);
    /* and it works again afterwards */
    static const struct expected fine[] = {{"ok-1", SEND_OK, ""}, {"ok-2", SEND_OK, ""}};
    expect(&in, fine, COUNT_OF(fine), 10000);
    instance_close(&in);
    receiver_stop(&r);
}

static void contract_nobody_there(const struct rig *rig)
{
    struct receiver r;
    struct err e;
    struct batch b;
    rig->start(&r);
    struct instance in = rig->at(&r);
    assert_true(connect_within(&in, 5000, &e));
    receiver_stop(&r);
    send_keys(&in, &b, (const char *const[]){"ok"}, 1, 5000);
    assert_int_equal(b.out[0], SEND_RETRY);
    assert_true(b.e.text[0]);
    in.type->disconnect(in.self);
    assert_false(connect_within(&in, 5000, &e));
    assert_true(e.text[0]);
    instance_close(&in);
}

struct hastening {
    struct instance *in;
    struct receiver *r;
    unsigned requests;
};

static void *hasten(void *arg)
{
    struct hastening *h = arg;
    if (receiver_await(h->r, h->requests))
        h->in->type->hasten(h->in->self, clock_mono_ms() + 50);
    return NULL;
}

static void contract_stop(const struct rig *rig)
{
    struct receiver r;
    struct err e;
    struct batch b;
    rig->start(&r);
    struct instance in = rig->at(&r);
    assert_true(connect_within(&in, 5000, &e));
    struct hastening h = {&in, &r, rig->login + 1};
    pthread_t t = thread_start("hasten", hasten, &h);
    send_keys(&in, &b, (const char *const[]){"hang"}, 1, 60000);
    thread_join(t);
    assert_int_equal(b.out[0], SEND_RETRY);
    assert_true(b.took_ms < 10000);
    instance_close(&in);
    receiver_stop(&r);
}

static void test_contract(void **state)
{
    (void)state;
    for (const struct target_type *const *t = target_types; *t; t++) {
        assert_ptr_equal(target_type_find(str_c((*t)->name)), *t);
        assert_true((*t)->conf_size >= sizeof(struct target_common) && (*t)->max_batch >= 1);
        const struct rig *rig = rig_of(*t);
        contract(rig);
        contract_nobody_there(rig);
        contract_stop(rig);
    }
}

static void test_contract_of_arrays(void **state)
{
    (void)state;
    const struct rig *const others[] = {&rig_mariadb, &rig_postgres_arrays};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        contract(others[i]);
        contract_nobody_there(others[i]);
        contract_stop(others[i]);
    }
}

static bool any_request_has(const struct receiver *r, const char *part)
{
    for (unsigned i = 0; i < r->n_requests; i++)
        if (memmem(r->request[i], r->bytes[i], part, strlen(part)))
            return true;
    return false;
}

/* As a text to MySQL; to MariaDB as arrays of values, their statement is prepared once. */
static void test_arrays(void **state)
{
    (void)state;
    static const char *const keys[] = {"ok-1", "it's"};
    static const struct {
        void (*start)(struct receiver *r);
        const char *there, *not_there;
        unsigned requests;
    } cases[] = {{receiver_start_mysql, "'b/it\\'s'", "(?,?)", 6 + 2},
                 {receiver_start_mariadb, "{\"Records\":[{\"eventName\":\"", "'b/", 6 + 1 + 2}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct receiver r;
        struct batch b;
        struct err e;
        cases[i].start(&r);
        struct instance in = mysql_at(&r);
        assert_true(connect_within(&in, 5000, &e));
        for (int k = 0; k < 2; k++) {
            send_keys(&in, &b, keys, 2, 5000);
            assert_int_equal(b.out[0], SEND_OK);
            assert_int_equal(b.out[1], SEND_OK);
        }
        assert_int_equal(receiver_requests(&r), cases[i].requests);
        assert_true(any_request_has(&r, cases[i].there));
        assert_false(any_request_has(&r, cases[i].not_there));
        instance_close(&in);
        receiver_stop(&r);
    }
}

static unsigned count_requests(const struct receiver *r, const char *part)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->n_requests; i++)
        n += memmem(r->request[i], r->bytes[i], part, strlen(part)) != NULL;
    return n;
}

/* Two batches of two events: which of them go to PostgreSQL as arrays, and which row by row? */
static void test_postgres_arrays(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        void (*start)(struct receiver *r);
        unsigned arrays, rows;
        enum send_result other, result;
    } cases[] = {
        {"it's", receiver_start_postgres_arrays, 2, 0, SEND_OK, SEND_OK},
        {"it's", receiver_start_postgres, 0, 2, SEND_OK, SEND_OK},
        /* about a row: the rows find it, and the next batch goes as arrays again */
        {"e23514", receiver_start_postgres_arrays, 2, 4, SEND_OK, SEND_REJECT},
        {"e21000", receiver_start_postgres_arrays, 2, 2, SEND_RETRY, SEND_RETRY},
        /* about the statement, or not as PostgreSQL answers: not again */
        {"text", receiver_start_postgres_arrays, 1, 2, SEND_OK, SEND_OK},
        {"count", receiver_start_postgres_arrays, 1, 2, SEND_OK, SEND_OK},
        /* about the server: rows would be told the same */
        {"e57P01", receiver_start_postgres_arrays, 2, 0, SEND_RETRY, SEND_RETRY},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct receiver r;
        struct batch b;
        struct err e;
        cases[i].start(&r);
        struct instance in = postgres_at(&r);
        assert_true(connect_within(&in, 5000, &e));
        for (int k = 0; k < 2; k++) {
            send_keys(&in, &b, (const char *const[]){"ok-1", cases[i].key}, 2, 5000);
            assert_int_equal(b.out[0], cases[i].other);
            assert_int_equal(b.out[1], cases[i].result);
        }
        if (count_requests(&r, "FROM unnest(") != cases[i].arrays ||
            count_requests(&r, "VALUES ($1, $2)") != cases[i].rows)
            fail_msg("%s: %u as arrays, %u row by row", cases[i].key, count_requests(&r, "FROM unnest("),
                     count_requests(&r, "VALUES ($1, $2)"));
        instance_close(&in);
        receiver_stop(&r);
    }
}

/* It reads no more in the middle of a batch: the deadline holds, and what the library had made for it is freed. */
static void test_deaf_database(void **state)
{
    (void)state;
    static char record[PLAN_EVENT_MAX];
    memset(record, 'x', sizeof(record));
    for (int maria = 0; maria < 2; maria++) {
        struct receiver r;
        struct batch b;
        struct err e;
        (maria ? receiver_start_mariadb : receiver_start_mysql)(&r);
        struct instance in = mysql_at(&r);
        assert_true(connect_within(&in, 5000, &e));
        send_keys(&in, &b, (const char *const[]){"deaf"}, 1, 5000);
        assert_int_equal(b.out[0], SEND_OK);
        for (size_t i = 0; i < BATCH; i++) {
            (void)snprintf(b.key[i], sizeof(b.key[i]), "%zu", i);
            b.ev[i] = b.ev[0];
            b.ev[i].key = str_c(b.key[i]);
            b.ev[i].record = str_n(record, sizeof(record));
            b.ev[i].why = b.why[i];
        }
        int64_t begin = clock_mono_ms();
        send_batch(&in, &b, BATCH, begin + 300);
        assert_true(clock_mono_ms() - begin <
                    10000); /* nobody ever answers; 16 MiB are made into a statement first */
        for (size_t i = 0; i < BATCH; i++) {
            assert_int_equal(b.out[i], SEND_RETRY);
            assert_non_null(strstr(b.why[i], "in time"));
        }
        instance_close(&in);
        receiver_stop(&r);
    }
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN); /* as the server does */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contract),      cmocka_unit_test(test_contract_of_arrays),
        cmocka_unit_test(test_arrays),        cmocka_unit_test(test_postgres_arrays),
        cmocka_unit_test(test_deaf_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
