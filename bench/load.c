/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry-load: a load generator for S3 endpoints that costs little itself, so that it can stand beside the
 * server it measures. Options, and the report as one JSON object on standard output. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "load.h"

static const char usage[] =
    "usage: belfry-load [options]\n"
    "  --endpoint URL       http://host:port (http://127.0.0.1:9000)\n"
    "  --access-key KEY     (MINIO_ROOT_USER, else minioadmin)   --secret-key KEY   (MINIO_ROOT_PASSWORD, "
    "minioadmin)\n"
    "  --region NAME        (us-east-1)\n"
    "  --bucket NAME        (bench)                              --make-bucket      create it first, if it "
    "is not there\n"
    "  --op OP              put, get, head, delete, mixed, raw   --mix P,G,H,D      percent "
    "put,get,head,delete (30,50,15,5)\n"
    "  --connections N      (1)                                  --threads N        (1)\n"
    "  --requests N         or --seconds S, or both              --rate R           requests per second "
    "(unbounded)\n"
    "  --size BYTES         (1024)                               --timeout S        for one request (60)\n"
    "  --prefix TEXT        start of every key (k/)              --start N          number of the first key "
    "(0)\n"
    "  --keyspace N         get, head: choose among N keys; put: overwrite N keys; delete: stop after N; "
    "mixed: N keys\n"
    "  With --rate, latency counts from the time at which a request was due, not from when it was sent.\n"
    "  --unsigned-payload   x-amz-content-sha256: UNSIGNED-PAYLOAD\n"
    "  raw: --method M --key KEY --query Q --body-file FILE (- is standard input): one request, the reply's "
    "body goes to\n"
    "       standard output, its status to standard error\n"
    "Exit status: 0 every reply was 2xx, 1 bad use, 2 something failed.\n";

enum {
    OPT_ENDPOINT = 256,
    OPT_ACCESS,
    OPT_SECRET,
    OPT_REGION,
    OPT_BUCKET,
    OPT_MAKE,
    OPT_OP,
    OPT_MIX,
    OPT_CONNECTIONS,
    OPT_THREADS,
    OPT_REQUESTS,
    OPT_SECONDS,
    OPT_RATE,
    OPT_SIZE,
    OPT_TIMEOUT,
    OPT_PREFIX,
    OPT_START,
    OPT_KEYSPACE,
    OPT_UNSIGNED,
    OPT_METHOD,
    OPT_KEY,
    OPT_QUERY,
    OPT_BODY,
    OPT_HELP
};

static const struct option long_options[] = {
    {"endpoint", 1, NULL, OPT_ENDPOINT},
    {"access-key", 1, NULL, OPT_ACCESS},
    {"secret-key", 1, NULL, OPT_SECRET},
    {"region", 1, NULL, OPT_REGION},
    {"bucket", 1, NULL, OPT_BUCKET},
    {"make-bucket", 0, NULL, OPT_MAKE},
    {"op", 1, NULL, OPT_OP},
    {"mix", 1, NULL, OPT_MIX},
    {"connections", 1, NULL, OPT_CONNECTIONS},
    {"threads", 1, NULL, OPT_THREADS},
    {"requests", 1, NULL, OPT_REQUESTS},
    {"seconds", 1, NULL, OPT_SECONDS},
    {"rate", 1, NULL, OPT_RATE},
    {"size", 1, NULL, OPT_SIZE},
    {"timeout", 1, NULL, OPT_TIMEOUT},
    {"prefix", 1, NULL, OPT_PREFIX},
    {"start", 1, NULL, OPT_START},
    {"keyspace", 1, NULL, OPT_KEYSPACE},
    {"unsigned-payload", 0, NULL, OPT_UNSIGNED},
    {"method", 1, NULL, OPT_METHOD},
    {"key", 1, NULL, OPT_KEY},
    {"query", 1, NULL, OPT_QUERY},
    {"body-file", 1, NULL, OPT_BODY},
    {"help", 0, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static const char *const op_names[] = {"put", "get", "head", "delete", "mixed", "raw"};

static void bad_use(const char *what, const char *value)
{
    fprintf(stderr, "belfry-load: %s: %s\n%s", what, value, usage);
    exit(1);
}

static uint64_t whole(const char *text, uint64_t low, uint64_t high)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || value < low || value > high)
        bad_use("not a number in range", text);
    return value;
}

static double positive(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value > 0))
        bad_use("not a positive number", text);
    return value;
}

static enum load_op parse_op(const char *text)
{
    for (unsigned i = 0; i <= LOAD_RAW; i++)
        if (strcmp(text, op_names[i]) == 0)
            return (enum load_op)i;
    bad_use("unknown operation", text);
    return LOAD_RAW;
}

static void parse_mix(struct load_options *o, const char *text)
{
    unsigned *m = o->mix;
    if (sscanf(text, "%3u,%3u,%3u,%3u", &m[0], &m[1], &m[2], &m[3]) != 4 || m[0] + m[1] + m[2] + m[3] != 100)
        bad_use("a mix is four percentages with the sum 100", text);
}

/* Numbers and switches. */
static void take_number(struct load_options *o, int name, const char *value)
{
    switch (name) {
    case OPT_CONNECTIONS:
        o->connections = (unsigned)whole(value, 1, 10000);
        break;
    case OPT_THREADS:
        o->threads = (unsigned)whole(value, 1, 256);
        break;
    case OPT_REQUESTS:
        o->requests = whole(value, 1, UINT32_MAX);
        break;
    case OPT_SECONDS:
        o->seconds = positive(value);
        break;
    case OPT_RATE:
        o->rate = positive(value);
        break;
    case OPT_SIZE:
        o->size = whole(value, 0, 5ULL << 30);
        break;
    case OPT_TIMEOUT:
        o->timeout = positive(value);
        break;
    case OPT_START:
        o->start = whole(value, 0, UINT32_MAX);
        break;
    default:
        o->keyspace = whole(value, 1, UINT32_MAX);
        break;
    }
}

static void take_text(struct load_options *o, int name, const char *value)
{
    const char **const place[] = {
        [OPT_ENDPOINT - OPT_ENDPOINT] = &o->endpoint, [OPT_ACCESS - OPT_ENDPOINT] = &o->access_key,
        [OPT_SECRET - OPT_ENDPOINT] = &o->secret_key, [OPT_REGION - OPT_ENDPOINT] = &o->region,
        [OPT_BUCKET - OPT_ENDPOINT] = &o->bucket,     [OPT_PREFIX - OPT_ENDPOINT] = &o->prefix,
        [OPT_METHOD - OPT_ENDPOINT] = &o->method,     [OPT_KEY - OPT_ENDPOINT] = &o->key,
        [OPT_QUERY - OPT_ENDPOINT] = &o->query,       [OPT_BODY - OPT_ENDPOINT] = &o->body_file,
    };
    *place[name - OPT_ENDPOINT] = value;
}

static void take_option(struct load_options *o, int name, const char *value)
{
    switch (name) {
    case OPT_HELP:
        fputs(usage, stdout);
        exit(0);
    case OPT_MAKE:
        o->make_bucket = true;
        break;
    case OPT_UNSIGNED:
        o->unsigned_payload = true;
        break;
    case OPT_OP:
        o->op = parse_op(value);
        break;
    case OPT_MIX:
        parse_mix(o, value);
        break;
    case OPT_ENDPOINT:
    case OPT_ACCESS:
    case OPT_SECRET:
    case OPT_REGION:
    case OPT_BUCKET:
    case OPT_PREFIX:
    case OPT_METHOD:
    case OPT_KEY:
    case OPT_QUERY:
    case OPT_BODY:
        take_text(o, name, value);
        break;
    case '?':
        fputs(usage, stderr);
        exit(1);
    default:
        take_number(o, name, value);
        break;
    }
}

/* Splits http://host:port, writes the Host header and looks the address up. */
static void resolve(struct load_options *o)
{
    const char *rest = o->endpoint;
    if (strncasecmp(rest, "http://", 7) != 0)
        bad_use("an endpoint is http://host:port", o->endpoint);
    rest += 7;
    size_t n = strcspn(rest, "/");
    const char *colon = memrchr(rest, ':', n), *bracket = memrchr(rest, ']', n);
    if (colon != NULL && bracket != NULL && colon < bracket)
        colon = NULL;
    size_t host = colon != NULL ? (size_t)(colon - rest) : n, port = colon != NULL ? n - host - 1 : 0;
    if (host == 0 || host >= sizeof(o->host) || port >= sizeof(o->port) || rest[n + (rest[n] == '/')] != '\0')
        bad_use("an endpoint is http://host:port", o->endpoint);
    memcpy(o->authority, rest, n);
    if (rest[0] == '[' && bracket != NULL)
        memcpy(o->host, rest + 1, host - 2);
    else
        memcpy(o->host, rest, host);
    snprintf(o->port, sizeof(o->port), "%.*s", port > 0 ? (int)port : 2, port > 0 ? colon + 1 : "80");
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    int bad = getaddrinfo(o->host, o->port, &hints, &o->address);
    if (bad != 0)
        bad_use(gai_strerror(bad), o->endpoint);
}

static void check_options(struct load_options *o)
{
    if (o->op == LOAD_RAW)
        return;
    bool delete_all = o->op == LOAD_DELETE && o->keyspace != 0;
    if (o->requests == 0 && o->seconds <= 0 && !delete_all)
        bad_use("how much?", "--requests, --seconds or both are needed");
    if ((o->op == LOAD_GET || o->op == LOAD_HEAD) && o->keyspace == 0)
        o->keyspace = o->requests != 0 ? o->requests : 1;
    if (o->op == LOAD_MIXED && o->keyspace == 0)
        o->keyspace = 1000;
    if (o->threads > o->connections)
        o->threads = o->connections;
}

static void parse(struct load_options *o, int argc, char **argv)
{
    const char *user = getenv("MINIO_ROOT_USER"), *password = getenv("MINIO_ROOT_PASSWORD");
    *o = (struct load_options){.endpoint = "http://127.0.0.1:9000",
                               .access_key = user != NULL ? user : "minioadmin",
                               .secret_key = password != NULL ? password : "minioadmin",
                               .region = "us-east-1",
                               .bucket = "bench",
                               .prefix = "k/",
                               .connections = 1,
                               .threads = 1,
                               .timeout = 60,
                               .size = 1024,
                               .mix = {30, 50, 15, 5},
                               .method = "GET",
                               .query = ""};
    int name;
    while ((name = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        take_option(o, name, optarg);
    if (optind < argc)
        bad_use("what is this", argv[optind]);
    resolve(o);
    check_options(o);
}

static char *read_file(const char *name, size_t *n)
{
    FILE *f = name == NULL ? NULL : strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    char *data = NULL;
    size_t cap = 0;
    *n = 0;
    if (name != NULL && f == NULL)
        bad_use("cannot read", name);
    for (size_t got = 1; f != NULL && got > 0; *n += got) {
        if (*n == cap && (data = realloc(data, cap += 65536)) == NULL)
            bad_use("too large", name);
        got = fread(data + *n, 1, cap - *n, f);
    }
    if (f != NULL && f != stdin)
        fclose(f);
    return data;
}

static int run_raw(const struct load_options *o)
{
    char raw[1300], path[3900], query[2048];
    int len = snprintf(raw, sizeof(raw), "/%s%s%s", o->bucket, o->key != NULL ? "/" : "",
                       o->key != NULL ? o->key : "");
    if (len < 0 || (size_t)len >= sizeof(raw) || sign_path(raw, path, sizeof(path)) == 0 ||
        !sign_query(o->query, query, sizeof(query)))
        bad_use("too long", "key or query");
    size_t n;
    char *body = read_file(o->body_file, &n);
    int status = load_once(o, o->method, path, query, body != NULL ? body : "", n, stdout);
    free(body);
    fprintf(stderr, "%d\n", status);
    return status >= 200 && status < 300 ? 0 : 2;
}

/* True if the bucket is there afterwards. */
static bool make_bucket(const struct load_options *o)
{
    char path[300];
    snprintf(path, sizeof(path), "/%s", o->bucket);
    int status = load_once(o, "PUT", path, "", "", 0, NULL);
    if (status == 200 || (status == 409 && load_once(o, "HEAD", path, "", "", 0, NULL) == 200))
        return true;
    fprintf(stderr, "belfry-load: cannot make bucket %s: status %d\n", o->bucket, status);
    return false;
}

static void report(const struct load_options *o, const struct load_tally *t, double elapsed, uint64_t used)
{
    struct rusage self;
    getrusage(RUSAGE_SELF, &self);
    double cpu = (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec) +
                 (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec) / 1e6;
    const struct hist *h = &t->latency;
    uint64_t errors = t->done - t->ok + t->transport, limit = o->requests != 0 ? o->requests : used;
    if (o->op == LOAD_DELETE && o->keyspace != 0 && o->keyspace < limit)
        limit = o->keyspace;
    printf("{\"op\":\"%s\",\"connections\":%u,\"size\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"ok\":%" PRIu64
           ",\"errors\":%" PRIu64 ",\"transport_errors\":%" PRIu64 ",\"wrong_body\":%" PRIu64
           ",\"reconnects\":%" PRIu64 ",\"keys_used\":%" PRIu64
           ",\"seconds\":%.4f,\"rate\":%.1f,\"status\":{",
           op_names[o->op], o->connections, o->size, t->done, t->ok, errors, t->transport, t->wrong_body,
           t->reconnects, used < limit ? used : limit, elapsed, (double)t->ok / elapsed);
    const char *comma = "";
    for (int i = 0; i < 600; i++)
        if (t->status[i] > 0) {
            printf("%s\"%d\":%" PRIu64, comma, i, t->status[i]);
            comma = ",";
        }
    printf("},\"latency_us\":{\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"max\":%.1f},\"cpu_"
           "seconds\":%.4f,"
           "\"cpu_us_per_request\":%.2f}\n",
           h->count > 0 ? (double)h->sum / (double)h->count / 1e3 : 0.0, (double)hist_percentile(h, 50) / 1e3,
           (double)hist_percentile(h, 90) / 1e3, (double)hist_percentile(h, 99) / 1e3, (double)h->max / 1e3,
           cpu, t->done > 0 ? cpu * 1e6 / (double)t->done : 0.0);
}

int main(int argc, char **argv)
{
    static struct load_tally total;
    struct load_options o;
    struct load_bodies bodies;
    double elapsed;
    uint64_t used;
    parse(&o, argc, argv);
    if (o.make_bucket && !make_bucket(&o))
        return 2;
    if (o.op == LOAD_RAW) {
        int status = run_raw(&o);
        freeaddrinfo(o.address);
        return status;
    }
    load_bodies_init(&bodies, &o);
    bool ok = load_run(&o, &bodies, &total, &elapsed, &used);
    report(&o, &total, elapsed, used);
    load_bodies_release(&bodies);
    freeaddrinfo(o.address);
    return ok && total.ok == total.done && total.transport == 0 ? 0 : 2;
}
