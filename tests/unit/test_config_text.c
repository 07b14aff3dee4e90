/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of mc admin config set and reset: every example of the guide, with the quotes and without them, as mc sends them
 * after the shell took them away; and what is refused. */
#include "unit.h"

#include "config/text.h"
#include "subsys.h"

/* "subsys:id key=[value] ..." of all lines, or the error. */
static void render(struct str text, bool lenient, struct buf *out)
{
    struct arena a;
    struct text t;
    struct err e = {0};
    arena_init(&a);
    if (!text_parse(&a, subsys_table(), text, lenient, &t, &e)) {
        buf_printf(out, "! %s", e.text);
    } else {
        for (size_t i = 0; i < t.n; i++) {
            const struct text_line *l = &t.lines[i];
            buf_printf(out, "%s%s:%.*s", i ? " / " : "", l->subsys->name, STR_FMT(l->id));
            for (size_t k = 0; k < l->n; k++)
                buf_printf(out, " %s=[%.*s]", l->pairs[k].key->name, STR_FMT(l->pairs[k].value));
        }
        for (size_t i = 0; i < t.n_skipped; i++)
            buf_printf(out, " (skipped %.*s)", STR_FMT(t.skipped[i]));
    }
    arena_release(&a);
}

static void expect(const char *text, bool lenient, const char *want)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    render(str_c(text), lenient, &b);
    buf_char(&b, 0);
    assert_string_equal(b.p, want);
    buf_release(&b);
}

static void without_quotes(const char *from, char *to)
{
    for (; *from; from++)
        if (*from != '"')
            *to++ = *from;
    *to = 0;
}

static void test_guide(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"notify_amqp:1 exchange=\"bucketevents\" exchange_type=\"fanout\" mandatory=\"false\" "
         "no_wait=\"false\" "
         "url=\"amqp://myuser:mypassword@localhost:5672\" auto_deleted=\"false\" delivery_mode=\"0\" "
         "durable=\"false\" internal=\"false\" routing_key=\"bucketlogs\"",
         "notify_amqp:1 exchange=[bucketevents] exchange_type=[fanout] mandatory=[false] no_wait=[false] "
         "url=[amqp://myuser:mypassword@localhost:5672] auto_deleted=[false] delivery_mode=[0] "
         "durable=[false] "
         "internal=[false] routing_key=[bucketlogs]"},
        {"notify_mqtt:1 broker=\"tcp://localhost:1883\" password=\"\" queue_dir=\"\" queue_limit=\"0\" "
         "reconnect_interval=\"0s\" keep_alive_interval=\"0s\" qos=\"1\" topic=\"minio\" username=\"\"",
         "notify_mqtt:1 broker=[tcp://localhost:1883] password=[] queue_dir=[] queue_limit=[0] "
         "reconnect_interval=[0s] keep_alive_interval=[0s] qos=[1] topic=[minio] username=[]"},
        {"notify_elasticsearch:1 queue_limit=\"0\" url=\"http://127.0.0.1:9200\" format=\"namespace\" "
         "index=\"minio_events\" queue_dir=\"\"",
         "notify_elasticsearch:1 queue_limit=[0] url=[http://127.0.0.1:9200] format=[namespace] "
         "index=[minio_events] queue_dir=[]"},
        {"notify_redis:1 address=\"127.0.0.1:6379\" format=\"namespace\" key=\"bucketevents\" "
         "password=\"yoursecret\" queue_dir=\"\" queue_limit=\"0\"",
         "notify_redis:1 address=[127.0.0.1:6379] format=[namespace] key=[bucketevents] "
         "password=[yoursecret] "
         "queue_dir=[] queue_limit=[0]"},
        {"notify_nats:1 password=\"yoursecret\" streaming_max_pub_acks_in_flight=\"10\" subject=\"\" "
         "address=\"0.0.0.0:4222\" token=\"\" username=\"yourusername\" ping_interval=\"0\" "
         "queue_limit=\"0\" "
         "tls=\"off\" streaming_async=\"on\" queue_dir=\"\" streaming_cluster_id=\"test-cluster\" "
         "streaming_enable=\"on\"",
         "notify_nats:1 password=[yoursecret] streaming_max_pub_acks_in_flight=[10] subject=[] "
         "address=[0.0.0.0:4222] token=[] username=[yourusername] ping_interval=[0] queue_limit=[0] "
         "tls=[off] "
         "streaming_async=[on] queue_dir=[] streaming_cluster_id=[test-cluster] streaming=[on]"},
        {"notify_postgres:1 connection_string=\"host=localhost port=5432 dbname=minio_events user=postgres "
         "password=password sslmode=disable\" table=\"bucketevents\" format=\"namespace\"",
         "notify_postgres:1 connection_string=[host=localhost port=5432 dbname=minio_events user=postgres "
         "password=password sslmode=disable] table=[bucketevents] format=[namespace]"},
        {"notify_postgres:1 connection_string=\"host=hostname port=2832 username=psqluser password=psqlpass "
         "database=bucketevents\"",
         "notify_postgres:1 connection_string=[host=hostname port=2832 username=psqluser password=psqlpass "
         "database=bucketevents]"},
        {"notify_mysql:myinstance table=\"minio_images\" "
         "dsn_string=\"root:xxxx@tcp(172.17.0.1:3306)/miniodb\"",
         "notify_mysql:myinstance table=[minio_images] dsn_string=[root:xxxx@tcp(172.17.0.1:3306)/miniodb]"},
        {"notify_mysql:myinstance enable=off format=namespace host= port= username= password= database= "
         "dsn_string= table= queue_dir= queue_limit=0",
         "notify_mysql:myinstance enable=[off] format=[namespace] dsn_string=[] table=[] queue_dir=[] "
         "queue_limit=[0]"},
        {"notify_kafka:1 tls_skip_verify=\"off\" queue_dir=\"\" queue_limit=\"0\" sasl=\"off\" "
         "sasl_password=\"\" sasl_username=\"\" tls_client_auth=\"0\" tls=\"off\" client_tls_cert=\"\" "
         "client_tls_key=\"\" brokers=\"localhost:9092,localhost:9093\" topic=\"bucketevents\" version=\"\"",
         "notify_kafka:1 tls_skip_verify=[off] queue_dir=[] queue_limit=[0] sasl=[off] sasl_password=[] "
         "sasl_username=[] tls_client_auth=[0] tls=[off] client_tls_cert=[] client_tls_key=[] "
         "brokers=[localhost:9092,localhost:9093] topic=[bucketevents] version=[]"},
        {"notify_webhook:1 queue_limit=\"0\" endpoint=\"http://localhost:3000\" queue_dir=\"\"",
         "notify_webhook:1 queue_limit=[0] endpoint=[http://localhost:3000] queue_dir=[]"},
        {"notify_nsq:1 nsqd_address=\"127.0.0.1:4150\" queue_dir=\"\" queue_limit=\"0\" tls_enable=\"off\" "
         "tls_skip_verify=\"on\" topic=\"minio\"",
         "notify_nsq:1 nsqd_address=[127.0.0.1:4150] queue_dir=[] queue_limit=[0] tls=[off] "
         "tls_skip_verify=[on] topic=[minio]"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char plain[1024];
        expect(cases[i].text, false, cases[i].want);
        without_quotes(cases[i].text, plain);
        expect(plain, false, cases[i].want);
    }
}

static void test_values(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", ""},
        {"\n# a comment\n  # another\r\n\n", ""},
        {"notify_webhook endpoint=http://h", "notify_webhook:_ endpoint=[http://h]"},
        {"notify_webhook: endpoint=http://h", "notify_webhook:_ endpoint=[http://h]"},
        {"  notify_webhook:a   endpoint=http://h\t queue_limit=1  ",
         "notify_webhook:a endpoint=[http://h] queue_limit=[1]"},
        {"notify_webhook:a endpoint=http://h\r\nnotify_webhook:b enable=off\n",
         "notify_webhook:a endpoint=[http://h] / notify_webhook:b enable=[off]"},
        {"notify_postgresql:1 table=t", "notify_postgres:1 table=[t]"},
        /* a key inside a word, of a URL for example, is part of the value */
        {"notify_webhook:1 endpoint=http://h/?queue_dir=1 queue_dir=/x",
         "notify_webhook:1 endpoint=[http://h/?queue_dir=1] queue_dir=[/x]"},
        /* unless quotes say otherwise, a key at the beginning of a word ends the value */
        {"notify_webhook:1 comment=thumbnails for the shop queue_limit=5",
         "notify_webhook:1 comment=[thumbnails for the shop] queue_limit=[5]"},
        {"notify_webhook:1 comment=\"see queue_limit=5 there\" queue_limit=6",
         "notify_webhook:1 comment=[see queue_limit=5 there] queue_limit=[6]"},
        {"notify_webhook:1 comment='it is \"so\" indeed' queue_limit=6",
         "notify_webhook:1 comment=[it is \"so\" indeed] queue_limit=[6]"},
        {"notify_webhook:1 comment=\"a \"b\" c\" queue_limit=6",
         "notify_webhook:1 comment=[a \"b\" c] queue_limit=[6]"},
        {"notify_webhook:1 comment=\"open queue_limit=6",
         "notify_webhook:1 comment=[\"open] queue_limit=[6]"},
        {"notify_webhook:1 comment=it's queue_limit=6", "notify_webhook:1 comment=[it's] queue_limit=[6]"},
        {"notify_webhook:1 comment=\"\"", "notify_webhook:1 comment=[]"},
        {"notify_webhook:1 comment=\"", "notify_webhook:1 comment=[\"]"},
        {"notify_webhook:1 comment=a=b c=d", "notify_webhook:1 comment=[a=b c=d]"},
        {"notify_webhook:1 client_cert= client_key= ", "notify_webhook:1 client_cert=[] client_key=[]"},
        {"notify_webhook:1 auth_token= a  b  queue_limit=1",
         "notify_webhook:1 auth_token=[a  b] queue_limit=[1]"},
        {"notify_webhook:1 queue_full=reject dead_letter_limit=7",
         "notify_webhook:1 queue_full=[reject] dead_letter_limit=[7]"},
        {"notify_nats:1 tls_enable=on streaming=off", "notify_nats:1 tls=[on] streaming=[off]"},
        {"belfry disk_reserve=2G listen_history=5", "belfry:_ disk_reserve=[2G] listen_history=[5]"},
        {"notify_mysql:1 host= table=t", "notify_mysql:1 table=[t]"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect(cases[i].text, false, cases[i].want);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"notify_nope:1 a=b", "! unknown sub-system notify_nope:1"},
        {"notify_webhook:1", "! sub-system 'notify_webhook' must have key"},
        {"notify_webhook:1 nothing here", "! sub-system 'notify_webhook' cannot have empty keys"},
        {"notify_webhook:1 endpont=http://secret@h",
         "! 'endpont' is no key of 'notify_webhook' sub-system, please check 'notify_webhook' documentation"},
        {"notify_webhook:1 comment=\"a\" endpont=x queue_limit=1",
         "notify_webhook:1 comment=[\"a\" endpont=x] queue_limit=[1]"},
        {"notify_webhook:1 queue_limit=1 queue_limit=2",
         "! key 'queue_limit' of 'notify_webhook' is given twice in one line"},
        {"notify_nsq:1 tls=on tls_enable=off", "! key 'tls' of 'notify_nsq' is given twice in one line"},
        {"notify_postgres:1 table=t host=localhost",
         "! 'host' of 'notify_postgres' is removed; use connection_string"},
        {"notify_postgres:1 port=1", "! 'port' of 'notify_postgres' is removed; use connection_string"},
        {"notify_mysql:1 database=d", "! 'database' of 'notify_mysql' is removed; use dsn_string"},
        {"notify_amqp:1 immediate=on",
         "! 'immediate' is no key of 'notify_amqp' sub-system, please check 'notify_amqp' documentation"},
        {"notify_webhook:a/b endpoint=http://h",
         "! 'a/b' cannot be the name of a target: up to 64 letters, digits, _ - and . may be used"},
        {"belfry:x disk_reserve=1", "! sub-system 'belfry' has no targets"},
        {"belfry enable=on",
         "! 'enable' is no key of 'belfry' sub-system, please check 'belfry' documentation"},
        {"notify_webhook:1 comment=a\x01", "! the text holds a control character"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect(cases[i].text, false, cases[i].want);
}

static void test_bounds(void **state)
{
    struct buf b;
    struct arena a;
    struct text t;
    struct err e;
    (void)state;
    buf_init(&b, 1 << 20);
    arena_init(&a);
    buf_puts(&b, "notify_webhook:1 comment=");
    while (b.len <= TEXT_LINE_MAX)
        buf_char(&b, 'x');
    assert_false(text_parse(&a, subsys_table(), buf_view(&b), false, &t, &e));
    assert_string_equal(e.text, "a line is longer than 65536 bytes");
    buf_reset(&b);
    for (int i = 0; i <= TEXT_LINES_MAX; i++)
        buf_puts(&b, "notify_webhook:1 comment=x\n");
    assert_false(text_parse(&a, subsys_table(), buf_view(&b), false, &t, &e));
    assert_string_equal(e.text, "the text has more than 2000 lines");
    arena_release(&a);
    buf_release(&b);
}

static void test_import(void **state)
{
    (void)state;
    expect("subnet license= api_key= proxy= \n# callhome enable=off \nsite name= region= \n"
           "notify_webhook:1 endpoint=http://h \nnotify_webhook:env \n",
           true, "notify_webhook:1 endpoint=[http://h] (skipped subnet) (skipped site)");
}

static void test_reset(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"notify_webhook:1", "notify_webhook:1"},
        {"notify_webhook", "notify_webhook:_"},
        {"notify_webhook:1 endpoint  queue_limit endpoint", "notify_webhook:1 endpoint queue_limit"},
        {"notify_nsq:1 tls_enable", "notify_nsq:1 tls"},
        {"notify_webhook:1 nope", "? key nope doesn't exist"},
        {"notify_nope", "! unknown sub-system notify_nope"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct text t;
        struct err e;
        struct buf b;
        bool missing;
        arena_init(&a);
        buf_init(&b, 4096);
        if (!text_parse_reset(&a, subsys_table(), str_c(cases[i].text), &t, &missing, &e)) {
            buf_printf(&b, "%c %s", missing ? '?' : '!', e.text);
        } else {
            buf_printf(&b, "%s:%.*s", t.lines[0].subsys->name, STR_FMT(t.lines[0].id));
            for (size_t k = 0; k < t.lines[0].n; k++)
                buf_printf(&b, " %s", t.lines[0].pairs[k].key->name);
        }
        buf_char(&b, 0);
        assert_string_equal(b.p, cases[i].want);
        buf_release(&b);
        arena_release(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guide),  cmocka_unit_test(test_values), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_import), cmocka_unit_test(test_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
