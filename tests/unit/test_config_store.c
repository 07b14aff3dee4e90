/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored settings over rows in memory: set, get, reset, which value wins, and how they are explained. (History, export and import:
 * test_config_history.c.) */
#include "config_house.h"

/* What mc prints of a server on which nothing was set. */
static void test_defaults(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *key, *want;
    } cases[] = {
        {"notify_webhook", WEBHOOK_DEFAULT},
        {"notify_webhook:", WEBHOOK_DEFAULT},
        {"notify_webhook:_", WEBHOOK_DEFAULT},
        {"notify_amqp",
         "notify_amqp enable=off url= exchange= exchange_type= routing_key= mandatory=off durable=off "
         "no_wait=off internal=off auto_deleted=off delivery_mode=0 publisher_confirms=off "
         "queue_limit=0 queue_dir= \n"},
        {"notify_kafka",
         "notify_kafka enable=off topic= brokers= sasl_username= sasl_password= sasl_mechanism=plain "
         "client_tls_cert= client_tls_key= tls_client_auth=0 sasl=off tls=off tls_skip_verify=off "
         "queue_limit=0 queue_dir= version= batch_size=0 batch_commit_timeout=0s compression_codec= "
         "compression_level= \n"},
        {"notify_mqtt",
         "notify_mqtt enable=off broker= topic= password= username= qos=0 keep_alive_interval=0s "
         "reconnect_interval=0s queue_dir= queue_limit=0 \n"},
        {"notify_nats",
         "notify_nats enable=off address= subject= username= password= token= tls=off "
         "tls_skip_verify=off cert_authority= client_cert= client_key= ping_interval=0 jetstream=off "
         "streaming=off streaming_async=off streaming_max_pub_acks_in_flight=0 queue_dir= "
         "queue_limit=0 \n"},
        {"notify_nsq", "notify_nsq enable=off nsqd_address= topic= tls=off tls_skip_verify=off queue_dir= "
                       "queue_limit=0 \n"},
        {"notify_mysql",
         "notify_mysql enable=off format=namespace dsn_string= table= queue_dir= queue_limit=0 "
         "max_open_connections=2 \n"},
        {"notify_postgres",
         "notify_postgres enable=off format=namespace connection_string= table= queue_dir= "
         "queue_limit=0 max_open_connections=2 \n"},
        {"notify_postgresql",
         "notify_postgres enable=off format=namespace connection_string= table= queue_dir= "
         "queue_limit=0 max_open_connections=2 \n"},
        {"notify_elasticsearch", "notify_elasticsearch enable=off url= format=namespace index= queue_dir= "
                                 "queue_limit=0 username= password= \n"},
        {"notify_redis", "notify_redis enable=off format=namespace address= key= password= user= queue_dir= "
                         "queue_limit=0 \n"},
        {"belfry", "belfry disk_reserve= listen_history=100000 \n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_get(h, cases[i].key, cases[i].want);
    assert_int_equal(config_get(h->c, STR("notify_nope"), &h->out, &h->why), CONFIG_REFUSED);
    assert_string_equal(h->why.text, "unknown subsystem: notify_nope");
    assert_int_equal(config_get(h->c, STR("notify_webhook:9"), &h->out, &h->why), CONFIG_REFUSED);
    assert_string_equal(h->why.text, "there is no target `9` for subsystem `notify_webhook`");
}

#define ONE \
    "notify_webhook:1 endpoint=http://127.0.0.1:9333/hook queue_limit=0 queue_dir= client_cert= " \
    "client_key= " \
    "comment=\"thumbnails for the shop\" \n"

static void test_set_get(void **state)
{
    struct house *h = *state;
    set(h,
        "notify_webhook:1 endpoint=http://127.0.0.1:9333/hook auth_token=secret-token comment=thumbnails for "
        "the shop");
    assert_int_equal(h->applied, 1);
    expect_get(h, "notify_webhook:1", ONE);
    expect_get(h, "notify_webhook", WEBHOOK_DEFAULT ONE);
    /* what is set later is merged, and enables again */
    set(h, "notify_webhook:1 enable=FALSE queue_limit=7 queue_full=reject");
    expect_get(h, "notify_webhook:1",
               "notify_webhook:1 enable=off endpoint=http://127.0.0.1:9333/hook queue_limit=7 queue_dir= "
               "client_cert= client_key= comment=\"thumbnails for the shop\" queue_full=reject \n");
    set(h, "notify_webhook:1 comment=\nnotify_webhook:0 endpoint=http://u:pass@h/\n");
    expect_get(h, "notify_webhook",
               WEBHOOK_DEFAULT
               "notify_webhook:0 endpoint=http://u:***@h/ auth_token= queue_limit=0 queue_dir= client_cert= "
               "client_key= \n"
               "notify_webhook:1 endpoint=http://127.0.0.1:9333/hook queue_limit=7 queue_dir= client_cert= "
               "client_key= queue_full=reject \n");
    /* all of it after a restart */
    config_close(h->c);
    open_config(h);
    const char *text = export(h);
    assert_non_null(
        strstr(text, "# " WEBHOOK_DEFAULT "notify_webhook:0 endpoint=http://u:pass@h/ auth_token= "));
    assert_non_null(strstr(text,
                           "notify_webhook:1 endpoint=http://127.0.0.1:9333/hook auth_token=secret-token "
                           "queue_limit=7 "));
    assert_non_null(strstr(text, "\n# notify_amqp enable=off "));
    assert_non_null(strstr(text, "\nbelfry disk_reserve= listen_history=100000 \n"));
}

static void test_refused(void **state)
{
    struct house *h = *state;
    static const struct {
        const char *text, *why;
        enum config_result r;
    } cases[] = {
        {"notify_webhook:2 auth_token=x",
         "'endpoint' is not optional for 'notify_webhook' sub-system, please check 'notify_webhook' "
         "documentation",
         CONFIG_REFUSED},
        {"notify_nope:1 a=b", "unknown sub-system notify_nope:1", CONFIG_REFUSED},
        {"notify_webhook:2 endpoint=ftp://h",
         "'endpoint' of notify_webhook:2 is 'ftp://h': it must be a URL such as http://host:port/path",
         CONFIG_REFUSED},
        {"notify_webhook:2 endpoint=ftp://u:hush@h",
         "'endpoint' of notify_webhook:2: the value must be a URL such as http://host:port/path",
         CONFIG_REFUSED},
        {"notify_webhook:2 enable=off queue_limit=many",
         "'queue_limit' of notify_webhook:2 is 'many': it must be a whole number, 0 or more", CONFIG_REFUSED},
        {"notify_webhook:2 endpoint=http://h queue_dir=rel",
         "'queue_dir' of notify_webhook:2 is 'rel': it must be an absolute path, beginning with /",
         CONFIG_REFUSED},
        {"notify_webhook:2 enable=perhaps endpoint=http://h",
         "'enable' of notify_webhook:2 is 'perhaps': it must be on or off", CONFIG_REFUSED},
        {"notify_webhook:2 endpoint=http://h client_cert=/c",
         "error (2:webhook): client_cert and client_key (MINIO_NOTIFY_WEBHOOK_CLIENT_CERT and _KEY) have to "
         "be set "
         "together",
         CONFIG_BAD},
        {"notify_mqtt:1 broker=tcp://h:1 topic=a/#",
         "error (1:mqtt): topic must be a name to publish to: 1 to 1024 bytes, without # and + "
         "(MINIO_NOTIFY_MQTT_TOPIC)",
         CONFIG_BAD},
        {"belfry listen_history=100000001",
         "listen_history is 100000001: at most 100000000 events can be kept", CONFIG_BAD},
        {"belfry disk_reserve=10%",
         "'disk_reserve' of belfry is '10%': it must be a number of bytes, or one with K, M, G or T, as in "
         "512M",
         CONFIG_REFUSED},
        {"# nothing", "there is nothing to set: a line is SUBSYSTEM[:TARGET] KEY=VALUE ...", CONFIG_REFUSED},
        /* one line that is wrong undoes those before it */
        {"notify_webhook:3 endpoint=http://h\nnotify_webhook:4 endpoint=",
         "'endpoint' is not optional for 'notify_webhook' sub-system, please check 'notify_webhook' "
         "documentation",
         CONFIG_REFUSED},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        refuse_set(h, cases[i].text, cases[i].r, cases[i].why);
    expect_get(h, "notify_webhook", WEBHOOK_DEFAULT);
    /* one that is switched off is kept */
    set(h, "notify_mqtt:1 enable=off broker=tcp://me:secret@h:1 topic=t password=x");
    expect_get(
        h, "notify_mqtt:1",
        "notify_mqtt:1 enable=off broker=tcp://me:***@h:1 topic=t username= qos=0 keep_alive_interval=0s "
        "reconnect_interval=0s queue_dir= queue_limit=0 \n");
    for (int i = 0; i < 64; i++) {
        char text[80];
        (void)snprintf(text, sizeof(text), "notify_webhook:n%d endpoint=http://h", i);
        set(h, text);
    }
    refuse_set(h, "notify_webhook:n64 endpoint=http://h", CONFIG_REFUSED,
               "at most 64 targets can be enabled");
}

static void test_reset(void **state)
{
    struct house *h = *state;
    set(h, "notify_webhook:1 endpoint=http://h queue_limit=7\nnotify_webhook endpoint=http://d");
    assert_int_equal(config_del(h->c, STR("notify_webhook:1 queue_limit"), &h->why), CONFIG_OK);
    assert_int_equal(h->applied, 2);
    expect_get(h, "notify_webhook:1",
               "notify_webhook:1 endpoint=http://h auth_token= queue_limit=0 queue_dir= "
               "client_cert= client_key= \n");
    assert_int_equal(config_del(h->c, STR("notify_webhook:1 endpoint"), &h->why), CONFIG_REFUSED);
    assert_non_null(strstr(h->why.text, "'endpoint' is not optional"));
    assert_int_equal(config_del(h->c, STR("notify_webhook:1 nope"), &h->why), CONFIG_MISSING);
    assert_string_equal(h->why.text, "key nope doesn't exist");
    assert_int_equal(config_del(h->c, STR("notify_webhook:1"), &h->why), CONFIG_OK);
    assert_int_equal(config_del(h->c, STR("notify_webhook:1"), &h->why), CONFIG_MISSING);
    assert_string_equal(h->why.text, "sub-system notify_webhook:1 already deleted or does not exist");
    assert_int_equal(config_del(h->c, STR("notify_webhook"), &h->why), CONFIG_OK);
    expect_get(h, "notify_webhook", WEBHOOK_DEFAULT);
    assert_int_equal(config_del(h->c, STR("notify_nope"), &h->why), CONFIG_REFUSED);
}

static void test_environment(void **state)
{
    struct house *h = *state;
    struct arena a;
    set(h, "notify_webhook:1 endpoint=http://stored queue_limit=5");
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_1", "http://u:hush@variable", 1);
    setenv("MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_1", "hush", 1);
    setenv("BELFRY_NOTIFY_WEBHOOK_ENABLE_env", "on", 1);
    expect_get(h, "notify_webhook",
               WEBHOOK_DEFAULT
               "# MINIO_NOTIFY_WEBHOOK_ENDPOINT_1=http://u:***@variable\n"
               "notify_webhook:1 endpoint=http://stored auth_token= queue_limit=5 queue_dir= client_cert= "
               "client_key= \n"
               "# MINIO_NOTIFY_WEBHOOK_ENABLE_env=on\n"
               "notify_webhook:env \n");
    /* variable, else stored, else default */
    arena_init(&a);
    struct config_stored *st = config_snapshot(h->c);
    const struct config_key *keys = config_find(subsys_table(), STR("notify_webhook"))->keys;
    assert_true(str_eq(config_value(st, "notify_webhook", &keys[0], STR("1"), &a).text,
                       STR("http://u:hush@variable")));
    assert_true(str_eq(config_value(st, "notify_webhook", &keys[2], STR("1"), &a).text, STR("5")));
    assert_true(str_eq(config_value(st, "notify_webhook", &keys[2], STR("env"), &a).text, STR("0")));
    struct str *ids;
    bool on;
    assert_int_equal(config_ids(st, "notify_webhook", &a, &ids), 2);
    assert_true(str_eq(ids[0], STR("1")) && str_eq(ids[1], STR("env")));
    assert_true(config_enabled(st, "notify_webhook", ids[0], &on, &h->why) && on);
    setenv("MINIO_NOTIFY_WEBHOOK_ENABLE_1", "off", 1);
    assert_true(config_enabled(st, "notify_webhook", ids[0], &on, &h->why) && !on);
    config_stored_free(st);
    arena_release(&a);
    /* a required key may come from a variable alone */
    setenv("MINIO_NOTIFY_WEBHOOK_ENDPOINT_2", "http://h", 1);
    set(h, "notify_webhook:2 queue_limit=1");
}

static void expect_help(struct house *h, const char *subsys, const char *key, bool env, const char *want)
{
    buf_reset(&h->out);
    assert_int_equal(config_help(h->c, str_c(subsys), str_c(key), env, &h->out, &h->why), CONFIG_OK);
    assert_string_equal(shown(h), want);
}

#define ENABLE_ROW(name) \
    "{\"key\":\"" name \
    "\",\"type\":\"on|off\",\"description\":\"enable notify_redis target, default is 'off'\"," \
    "\"optional\":false,\"multipleTargets\":false}"
#define REDIS \
    "{\"subSys\":\"notify_redis\",\"description\":\"publish bucket notifications to Redis datastores\"," \
    "\"multipleTargets\":true,\"keysHelp\":["

static void test_help(void **state)
{
    struct house *h = *state;
    expect_help(
        h, "notify_redis:1", "format", false,
        REDIS ENABLE_ROW(
            "enable") ",{\"key\":\"format\",\"type\":\"namespace*|access\",\"description\":\"'namespace' "
                      "reflects current "
                      "bucket/object list and 'access' reflects a journal of object operations, defaults to "
                      "'namespace'\",\"optional\":false,\"multipleTargets\":false}]}\n");
    expect_help(h, "notify_redis", "enable", true, REDIS ENABLE_ROW("MINIO_NOTIFY_REDIS_ENABLE") "]}\n");
    assert_int_equal(config_help(h->c, STR("notify_redis"), STR("nope"), false, &h->out, &h->why),
                     CONFIG_REFUSED);
    assert_int_equal(config_help(h->c, STR("nope"), STR(""), false, &h->out, &h->why), CONFIG_REFUSED);
    buf_reset(&h->out);
    assert_int_equal(config_help(h->c, STR(""), STR(""), false, &h->out, &h->why), CONFIG_OK);
    assert_non_null(strstr(
        shown(h), "{\"subSys\":\"\",\"description\":\"\",\"multipleTargets\":false,\"keysHelp\":[{\"key\":"
                  "\"notify_webhook\",\"type\":\"\",\"description\":\"publish bucket notifications to "
                  "webhook endpoints\",\"optional\":false,\"multipleTargets\":true},{\"key\":"
                  "\"notify_amqp\""));
}

/* Every table says in which order its keys are explained, all of MinIO's are in it, and defaults are values. */
static void test_tables(void **state)
{
    (void)state;
    struct arena a;
    struct err e;
    arena_init(&a);
    for (size_t i = 0; i < subsys_table()->n; i++) {
        const struct config_subsys *s = &subsys_table()->v[i];
        const struct config_key **keys;
        size_t n = config_help_keys(s, true, &a, &keys), rows = 0;
        bool ours = false, listed = true;
        for (const struct config_key *k = s->keys; k->name; k++, rows++) {
            bool last = k->flags & (CONFIG_OURS | CONFIG_ENV_ONLY);
            assert_true(k->help && k->help[0]);
            if (ours && !last)
                fail_msg("%s %s: ours come after MinIO's", s->name, k->name);
            ours = ours || last;
            if (k->fallback && !config_check_value(k, str_c(k->fallback), k->name, &e))
                fail_msg("%s %s", s->name, e.text);
        }
        assert_int_equal(n, rows);
        for (size_t k = 0; s->type && k < n; k++) {
            bool last = keys[k]->flags & (CONFIG_OURS | CONFIG_ENV_ONLY);
            if (!listed && !last)
                fail_msg("%s %s is not in the order of help", s->name, keys[k]->name);
            listed = listed && !last;
        }
    }
    arena_release(&a);
}

static void test_shown(void **state)
{
    (void)state;
    static const struct config_key login = {.name = "l", .flags = CONFIG_LOGIN}, url = {.type = CONFIG_URL};
    static const struct {
        const struct config_key *key;
        const char *value, *want;
    } cases[] = {
        {&login, "amqp://u:p@h:1/v", "amqp://u:***@h:1/v"},
        {&login, "amqp://u@h:1/v", "amqp://u@h:1/v"},
        {&login, "root:p:@x@tcp(h:1)/d", "root:***@tcp(h:1)/d"},
        {&login, "host=h password=p x=y", "host=h password=*** x=y"},
        {&login, "password = 'a \\' b' x=y", "password = *** x=y"},
        {&login, "postgres://u:p@h/d?sslpassword=x&a=b", "postgres://u:***@h/d?sslpassword=***&a=b"},
        {&login, "a password here", "a password here"},
        {&login, "password=", "password=***"},
        {&url, "http://h:1/a?b@c", "http://h:***@c"}, /* rather too much than too little */
        {&url, "http://h:1/", "http://h:1/"},
    };
    struct arena a;
    arena_init(&a);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct str got = config_shown(cases[i].key, str_c(cases[i].value), &a);
        assert_string_equal(arena_strz(&a, got), cases[i].want);
    }
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_defaults),    T(test_set_get), T(test_refused), T(test_reset),
        T(test_environment), T(test_help),    T(test_tables),  T(test_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
