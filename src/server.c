/* SPDX-License-Identifier: Apache-2.0
 *
 * The running server. The port is bound first (a second server must not touch the directory), then the directory opened,
 * then everything that uses it; nothing is accepted before all of it stands. */
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin.h"
#include "banner.h"
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "event/delivery.h"
#include "http/http.h"
#include "restart.h"
#include "s3/s3.h"
#include "store/store.h"
#include "subsys.h"

/* Of the 10 s that a stop may take: requests at hand, then sends at hand; the rest is for syncing. */
#define STOP_REQUESTS_MS 6000
#define STOP_SENDERS_MS  8000
#define STOP_MAX_S       10

/* Descriptors: RocksDB's tables (max_open_files in kv/rocks_setup.c) and logs, connections of targets, folders. */
#define STORE_FILES     320
#define CONNECTIONS_MAX 100000

/* The end is followed by a new beginning. Set before the alarm is. */
static volatile sig_atomic_t restarting;

struct server {
    _Atomic int asked; /* enum service_action that an administrator asked for */
    const struct cmdline *cmdline;
    const struct settings *settings;
    struct arena arena;
    struct admin admin;
    struct http_app app;
    struct work_pool *work;
    struct http_server *http;
    struct store *store;
    struct config *config;
    struct delivery *delivery;
    struct listen *listen;
    struct s3 *s3;
    const char *certs_dir; /* NULL: none */
    struct str *urls;
    size_t n_urls;
};

/* A failed start: one line, in the form that the log has. */
static int fail(int code, const char *text)
{
    if (log_is_json())
        log_error("server", "%s", text);
    else
        (void)fprintf(stderr, "belfry: %s\n", text);
    return code;
}

/* --- preparing the process --- */

static void stop_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGUSR1); /* our own: see service_asked */
}

/* Blocked before the first thread is made, so that every thread inherits it and only wait_for_end takes them. The alarm is
 * not, also where the program was started anew out of the handler of one, in which it is. */
static void prepare_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGALRM);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    stop_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore,
                    NULL); /* a file beyond RLIMIT_FSIZE is an error of that write (EFBIG) */
}

/* Connections are descriptors: all that we may have. */
static void raise_limits(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &l) != 0)
            log_warn("server", "cannot raise the limit of open files; it stays at %llu",
                     (unsigned long long)l.rlim_cur);
    }
}

/* Each connection has its socket, and may have the file of a body, read or written. Were there more of them than that leaves
 * room for, descriptors would run out in the middle: reads would fail, and a failed flush of the rows stops all writing. */
static unsigned connection_limit(void)
{
    struct rlimit l = {.rlim_cur = 1024};
    (void)getrlimit(RLIMIT_NOFILE, &l);
    rlim_t spare = l.rlim_cur > 2 * STORE_FILES ? l.rlim_cur - STORE_FILES : l.rlim_cur / 2;
    rlim_t most = spare > 2 * HTTP_OVER_LIMIT ? (spare - HTTP_OVER_LIMIT) / 2 : spare / 4 + 1;
    return most > CONNECTIONS_MAX ? CONNECTIONS_MAX : (unsigned)most;
}

static unsigned worker_count(void)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    return cpus < 1 ? 4 : cpus > 16 ? 64 : (unsigned)cpus * 4;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A folder that was named must be there: a misspelt one would turn TLS off without a word. */
static bool find_certs(struct server *v, struct err *e)
{
    static const char *const below[] = {".belfry/certs", ".minio/certs"};
    const char *home = getenv("HOME");
    if (v->cmdline->certs_dir) {
        v->certs_dir = v->cmdline->certs_dir;
        return is_folder(v->certs_dir) ||
               err_set(
                   e,
                   "--certs-dir %s is no directory; make it, or name the one with public.crt and private.key",
                   v->certs_dir);
    }
    for (size_t i = 0; home && *home && !v->certs_dir && i < sizeof below / sizeof below[0]; i++) {
        const char *dir = arena_printf(&v->arena, "%s/%s%c", home, below[i], 0).p;
        if (is_folder(dir))
            v->certs_dir = dir;
    }
    return true;
}

/* --- starting --- */

static const char *choose_address(const struct server *v)
{
    if (v->cmdline->address)
        return v->cmdline->address;
    return v->settings->default_credentials ? "127.0.0.1:" DEFAULT_PORT : ":" DEFAULT_PORT;
}

static void warn_credentials(const struct server *v)
{
    if (!v->settings->default_credentials)
        return;
    if (!v->cmdline->address)
        log_warn("server",
                 "the credentials are the default ones (minioadmin/minioadmin), so this server listens on "
                 "loopback only; set MINIO_ROOT_USER and MINIO_ROOT_PASSWORD to be reached from outside");
    else if (cmdline_is_loopback(v->cmdline->address))
        log_warn("server",
                 "the credentials are the default ones (minioadmin/minioadmin); set MINIO_ROOT_USER and "
                 "MINIO_ROOT_PASSWORD before others can reach this server");
    else
        log_warn("server",
                 "WARNING: anyone who reaches %s may read, change and delete everything: the credentials "
                 "are the default ones (minioadmin/minioadmin); set MINIO_ROOT_USER and "
                 "MINIO_ROOT_PASSWORD, or listen on loopback with --address 127.0.0.1:%s",
                 http_address(v->http), DEFAULT_PORT);
}

/* For tests, which cannot wait for the real ones. */
static void shorten_limits(struct http_options *o)
{
    const char *text = getenv("BELFRY_TEST_TIME_LIMITS_MS");
    long long idle, head, body;
    if (text && sscanf(text, "%lld,%lld,%lld", &idle, &head, &body) == 3 && idle > 0 && head > 0 &&
        body > 0) {
        o->idle_ms = idle;
        o->head_ms = head;
        o->body_ms = body;
    }
}

static int open_http(struct server *v)
{
    struct err e;
    if (!find_certs(v, &e))
        return fail(EXIT_LISTEN, e.text);
    v->app = admin_app(&v->admin);
    struct http_options o = {
        .address = choose_address(v), .certs_dir = v->certs_dir, .max_connections = connection_limit()};
    shorten_limits(&o);
    v->http = http_open(&o, &v->app, v->work, &e);
    if (!v->http) {
        bool taken = str_find(str_c(e.text), STR("in use")) >= 0;
        struct str text = arena_printf(
            &v->arena, "%s%s%c", e.text,
            taken ? "; end the program that listens there, or give another port with --address" : "", 0);
        return fail(EXIT_LISTEN, text.p);
    }
    if (v->cmdline->certs_dir && !http_is_tls(v->http))
        log_warn("server", "%s holds no public.crt and private.key: this server speaks plain HTTP",
                 v->certs_dir);
    v->n_urls = banner_urls(&v->arena, http_address(v->http), http_is_tls(v->http), &v->urls);
    return EXIT_OK;
}

/* The server's own keys. */
static struct server_conf apply_server(struct server *v, const struct config_stored *now)
{
    struct server_conf conf;
    struct err e;
    if (!subsys_server_load(now, &conf, &e))
        log_error("config", "the default is in force instead: %s", e.text);
    store_set_reserve(v->store, conf.disk_reserve);
    if (v->delivery)
        delivery_set_reserve(v->delivery, conf.disk_reserve);
    if (v->listen)
        listen_set_history(v->listen, conf.listen_history);
    return conf;
}

/* After every change of the settings, on the thread that made it. */
static void apply(void *ctx, const struct config_stored *now)
{
    struct server *v = ctx;
    struct err e;
    uint64_t before = delivery_generation(v->delivery);
    (void)apply_server(v, now);
    if (!delivery_reconfigure(v->delivery, now, &e))
        log_error("config", "the change is stored, but in force only after the next start: %s", e.text);
    if (delivery_generation(v->delivery) != before)
        s3_warn_lost_rules(v->s3);
}

static bool open_settings(struct server *v, struct err *e)
{
    v->config = config_open(store_kv(v->store), subsys_table(), e);
    if (!v->config)
        return false;
    struct config_stored *now = config_snapshot(v->config);
    struct server_conf conf = apply_server(v, now);
    struct delivery_options d = {.region = str_c(v->settings->region),
                                 .certs_dir = v->certs_dir,
                                 .settings = now,
                                 .disk_reserve = conf.disk_reserve};
    struct listen_options l = {.history = conf.listen_history};
    v->delivery = delivery_open(store_kv(v->store), &d, e);
    config_stored_free(now);
    if (!v->delivery)
        return false;
    v->listen = listen_new(store_kv(v->store), &l, e);
    return v->listen != NULL;
}

static int open_store(struct server *v)
{
    struct err e;
    struct store_options so = {.disk_reserve = v->settings->disk_reserve,
                               .rules_compile = s3_rules_compile,
                               .rules_free = s3_rules_free};
    v->store = store_open(v->cmdline->dir, &so, &e);
    if (!v->store)
        return fail(EXIT_DIRECTORY, e.text);
    if (open_settings(v, &e))
        return EXIT_OK;
    store_advise(v->cmdline->dir, &e);
    return fail(EXIT_DIRECTORY, e.text);
}

/* On an I/O thread: wakes the main thread, which waits for signals. */
static void service_asked(void *ctx, enum service_action action)
{
    struct server *v = ctx;
    v->asked = action;
    (void)kill(getpid(), SIGUSR1);
}

static void open_s3(struct server *v)
{
    struct s3_options o = {
        .access_key = str_c(v->settings->root_user),
        .secret_key = str_c(v->settings->root_password),
        .region = str_c(v->settings->region),
        .domains = str_c(v->settings->domain),
        .cors_origins = str_c(v->settings->cors_origins),
        .server_url = str_c(v->settings->server_url),
    };
    v->s3 = s3_new(&o, v->store, v->delivery, v->work, v->urls[0], str_c(http_address(v->http)));
    v->s3->listen = v->listen;
    struct admin_options a = {
        .s3 = v->s3,
        .http = v->http,
        .config = v->config,
        .dir = v->cmdline->dir,
        .node = http_address(v->http),
        .metrics_public = v->settings->metrics_public,
        .started_real = clock_real_ns(),
        .started_ms = clock_mono_ms(),
        .service = service_asked,
        .ctx = v,
    };
    admin_init(&v->admin, &a);
    config_on_change(v->config, apply, v);
    s3_warn_lost_rules(v->s3);
}

static void print_banner(struct server *v)
{
    struct str *arns;
    struct buf b;
    size_t n = delivery_arns(v->delivery, &v->arena, &arns);
    buf_init(&b, 1u << 20);
    if (log_is_json())
        banner_json(&b, v->urls, v->n_urls, arns, n, clock_real_ns());
    else
        banner_text(&b, v->urls, v->n_urls, arns, n);
    if (!log_is_quiet()) {
        (void)fwrite(b.p, 1, b.len, stdout);
        (void)fflush(stdout);
    }
    buf_release(&b);
}

static int start(struct server *v)
{
    v->work = work_new(worker_count());
    int code = open_http(v);
    if (code == EXIT_OK)
        code = open_store(v);
    if (code != EXIT_OK)
        return code;
    open_s3(v);
    warn_credentials(v);
    delivery_start(v->delivery);
    http_start(v->http);
    print_banner(v);
    return EXIT_OK;
}

/* --- running and ending --- */

static void reload(struct server *v)
{
    struct err e;
    if (!http_is_tls(v->http))
        log_info("server", "SIGHUP: no certificates to load, this server speaks plain HTTP");
    else if (http_reload(v->http, &e))
        log_info("server", "SIGHUP: certificates in %s loaded", v->certs_dir);
    else
        log_error("server", "SIGHUP: the certificates stay as they were: %s", e.text);
    /* What targets trust; each sender is made anew when that has changed. */
    (void)delivery_reload_cas(v->delivery);
    config_apply_again(v->config);
    if (v->certs_dir)
        log_info("server", "SIGHUP: certificates of authorities in %s/CAs loaded", v->certs_dir);
}

static void wait_for_end(struct server *v)
{
    sigset_t set;
    int number;
    stop_signals(&set);
    for (;;) {
        if (sigwait(&set, &number) != 0)
            continue;
        if (number == SIGHUP)
            reload(v);
        else if (number != SIGUSR1 || v->asked != SERVICE_NONE)
            break;
    }
    restarting = number == SIGUSR1 && v->asked == SERVICE_RESTART;
    if (number == SIGUSR1)
        log_info("server", "%s", restarting ? "stopping, to start again" : "stopping");
    else
        log_info("server", "%s: stopping", number == SIGINT ? "SIGINT" : "SIGTERM");
}

/* A disk or a library that does not come back must not hold the end of the process: what was acknowledged is durable
 * already. */
static void on_alarm(int number)
{
    static const char text[] =
        "belfry: the stop took too long; ending at once, nothing acknowledged is lost\n";
    (void)number;
    if (restarting)
        restart_now();
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(EXIT_FAILED);
}

static void bound_the_stop(void)
{
    struct sigaction act = {.sa_handler = on_alarm};
    (void)sigaction(SIGALRM, &act, NULL);
    (void)alarm(STOP_MAX_S);
}

/* Everything that was opened, in the order in which nobody is left to call what goes next. */
static void finish(struct server *v)
{
    int64_t now = clock_mono_ms();
    struct http_stats stats = {0};
    if (v->s3)
        v->s3->stopping = true;
    if (v->http) {
        http_stop(v->http, now + STOP_REQUESTS_MS);
        http_get_stats(v->http, &stats);
    }
    bool stopped = delivery_stop(v->delivery, now + STOP_SENDERS_MS);
    crash_point(CRASH_STOPPING);
    if (stats.requests_in_flight || !stopped) {
        /* Their workers or commits are still out and may use anything: nothing can be taken apart. What was
         * acknowledged is durable, and what was written without a sync is with the kernel. */
        if (stats.requests_in_flight)
            log_warn("server", "%u requests did not end in time", stats.requests_in_flight);
        if (!stopped)
            log_warn("server", "a target did not end in time: the disk of its queue_dir does not answer");
        if (restarting)
            restart_now();
        _exit(EXIT_OK);
    }
    work_free(v->work);
    if (v->delivery)
        delivery_free(v->delivery);
    if (v->http)
        http_free(v->http);
    admin_release(&v->admin);
    if (v->s3)
        s3_free(v->s3);
    listen_free(v->listen);
    config_close(v->config);
    if (v->store)
        store_close(v->store);
    arena_release(&v->arena);
}

int server_run(const struct cmdline *c, const struct settings *s)
{
    struct server v = {.cmdline = c, .settings = s};
    arena_init(&v.arena);
    (void)umask(0077); /* the store holds the passwords of targets */
    prepare_signals();
    raise_limits();
    int code = start(&v);
    if (code == EXIT_OK)
        wait_for_end(&v);
    bound_the_stop();
    finish(&v);
    if (code == EXIT_OK)
        log_info("server", "stopped");
    if (restarting) {
        restart_now();
        return fail(EXIT_FAILED, "the server cannot start its program again; it is stopped");
    }
    return code;
}
