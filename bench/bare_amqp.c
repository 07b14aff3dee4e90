/* SPDX-License-Identifier: Apache-2.0
 *
 * bare_amqp --count N --size B [--window W] [--exchange NAME] [--routing-key KEY] [--mandatory] URL
 *
 * What librabbitmq alone does: persistent messages of B bytes to an exchange that is there (without: the default one), up to W
 * of them not confirmed yet. They are what Belfry's are to a broker: two headers and a message id, which cost it a sixth of its
 * time. Prints messages per second, from the first publish to the last confirm. */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    unsigned long count, size, window;
    const char *exchange, *key;
    int mandatory;
} o = {.count = 200000, .size = 800, .window = 1000, .exchange = "", .key = ""};

static void die(const char *what)
{
    (void)fprintf(stderr, "bare_amqp: %s\n", what);
    exit(1);
}

static void must(amqp_rpc_reply_t r, const char *what)
{
    if (r.reply_type != AMQP_RESPONSE_NORMAL)
        die(what);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static amqp_connection_state_t log_in(char *url)
{
    struct amqp_connection_info i;
    if (amqp_parse_url(url, &i) != AMQP_STATUS_OK)
        die("the URL is none");
    amqp_connection_state_t c = amqp_new_connection();
    amqp_socket_t *s = amqp_tcp_socket_new(c);
    if (!s || amqp_socket_open(s, i.host, i.port) != AMQP_STATUS_OK)
        die("cannot connect");
    must(amqp_login(c, i.vhost, 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, i.user, i.password), "no login");
    if (!amqp_channel_open(c, 1) || !amqp_confirm_select(c, 1))
        die("no channel with confirms");
    return c;
}

/* Takes the next confirm; returns the highest tag that is confirmed with all before it, as far as it is known. */
static unsigned long confirmed(amqp_connection_state_t c, unsigned long before)
{
    amqp_frame_t f;
    if (amqp_simple_wait_frame(c, &f) != AMQP_STATUS_OK)
        die("the connection is lost");
    if (f.frame_type != AMQP_FRAME_METHOD || f.payload.method.id != AMQP_BASIC_ACK_METHOD)
        die("something else than an ack");
    const amqp_basic_ack_t *ack = f.payload.method.decoded;
    unsigned long n = ack->multiple ? ack->delivery_tag : before + 1;
    amqp_maybe_release_buffers(c);
    return n > before ? n : before;
}

static amqp_table_entry_t header(const char *name, const char *value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(name),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static double run(amqp_connection_state_t c)
{
    char *body = malloc(o.size), id[32];
    unsigned long done = 0;
    if (!body)
        die("no memory");
    memset(body, 'x', o.size);
    amqp_table_entry_t headers[] = {header("minio-bucket", "bench"),
                                    header("minio-event", "s3:ObjectCreated:Put")};
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG |
                                           AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
                                 .content_type = amqp_cstring_bytes("application/json"),
                                 .headers = {2, headers},
                                 .delivery_mode = 2};
    double begin = now();
    for (unsigned long i = 1; i <= o.count; i++) {
        (void)snprintf(id, sizeof(id), "%016lX", i);
        p.message_id = amqp_cstring_bytes(id);
        if (amqp_basic_publish(c, 1, amqp_cstring_bytes(o.exchange), amqp_cstring_bytes(o.key), o.mandatory,
                               0, &p, (amqp_bytes_t){o.size, body}) != AMQP_STATUS_OK)
            die("it is not taken");
        while (i - done >= o.window || (i == o.count && done < i))
            done = confirmed(c, done);
    }
    double took = now() - begin;
    free(body);
    return took;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"count", 1, NULL, 'c'},    {"size", 1, NULL, 's'},        {"window", 1, NULL, 'w'},
        {"exchange", 1, NULL, 'e'}, {"routing-key", 1, NULL, 'k'}, {"mandatory", 0, NULL, 'm'},
        {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'c')
            o.count = strtoul(optarg, NULL, 10);
        else if (c == 's')
            o.size = strtoul(optarg, NULL, 10);
        else if (c == 'w')
            o.window = strtoul(optarg, NULL, 10);
        else if (c == 'e')
            o.exchange = optarg;
        else if (c == 'k')
            o.key = optarg;
        else if (c == 'm')
            o.mandatory = 1;
        else
            return 2;
    }
    if (optind + 1 != argc || !o.count || !o.size || !o.window)
        die("usage: bare_amqp --count N --size B [--window W] [--exchange NAME] [--routing-key KEY] "
            "[--mandatory] URL");
    amqp_connection_state_t c = log_in(argv[optind]);
    double took = run(c);
    (void)printf("%.0f\n", (double)o.count / took);
    (void)amqp_connection_close(c, AMQP_REPLY_SUCCESS);
    (void)amqp_destroy_connection(c);
    return 0;
}
