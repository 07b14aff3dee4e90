/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry import minio: settings, pending events and rules of a MinIO. Each thing is taken over by itself and told of in a line;
 * what cannot be does not keep the rest from it. */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/crypt.h"
#include "base/clock.h"
#include "client/client_impl.h"

#define FILE_MAX (4u << 20)

struct import {
    struct client *c;
    size_t done, failed;
};

static void did(struct import *i, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void could_not(struct import *i, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void did(struct import *i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("ok      ", stdout);
    (void)vprintf(fmt, args);
    (void)fputc('\n', stdout);
    va_end(args);
    i->done++;
}

static void could_not(struct import *i, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)fputs("FAILED  ", stdout);
    (void)vprintf(fmt, args);
    (void)fputc('\n', stdout);
    va_end(args);
    i->failed++;
}

static bool read_file(const char *path, struct buf *out, struct err *e)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!f)
        return err_errno(e, "%s cannot be read", path);
    buf_init(out, FILE_MAX);
    for (;;) {
        char *p = buf_reserve(out, 65536);
        size_t n = p ? fread(p, 1, 65536, f) : 0;
        if (n == 0)
            break;
        out->len += n;
    }
    bool bad = ferror(f) != 0;
    if (f != stdin)
        (void)fclose(f);
    if (bad || out->failed) {
        buf_release(out);
        return err_set(e, bad ? "%s cannot be read" : "%s is larger than 4 MiB", path);
    }
    return true;
}

/* --- settings ------------------------------------------------------------------------------------------------------- */

/* A line of mc admin config set, sealed as the interface wants it. */
static bool set_config(struct client *c, struct str line, struct err *e)
{
    struct buf sealed;
    struct client_reply reply;
    buf_init(&sealed, crypt_size(line.n));
    bool ok = crypt_encrypt(c->secret, line, &sealed) == CRYPT_OK || err_set(e, "it cannot be encrypted");
    ok = ok && client_request(c, "PUT", "/minio/admin/v3/set-config-kv", NULL, buf_view(&sealed), &reply, e);
    buf_release(&sealed);
    if (!ok)
        return false;
    if (reply.status != 200)
        client_error(&reply, e);
    ok = reply.status == 200;
    buf_release(&reply.body);
    return ok;
}

static bool is_off(struct str line)
{
    return str_find(line, STR(" enable=off")) >= 0 || str_find(line, STR(" enable=\"off\"")) >= 0;
}

static void import_line(struct import *i, struct str line, size_t *skipped)
{
    struct err e;
    struct str rest = line, name;
    (void)str_cut(&rest, ' ', &name);
    if (!str_starts(name, STR("notify_"))) {
        ++*skipped;
        return;
    }
    if (is_off(line))
        return;
    if (set_config(i->c, line, &e))
        did(i, "settings of %.*s", STR_FMT(name));
    else
        could_not(i, "settings of %.*s: %s", STR_FMT(name), e.text);
}

static void import_config(struct import *i, const char *path)
{
    struct err e;
    struct buf text;
    size_t skipped = 0;
    if (!read_file(path, &text, &e)) {
        could_not(i, "%s", e.text);
        return;
    }
    struct str rest = buf_view(&text), line;
    while (rest.n && str_cut(&rest, '\n', &line)) {
        line = str_trim(line);
        if (line.n && line.p[0] != '#') /* what a variable of MinIO's had set is a comment there */
            import_line(i, line, &skipped);
    }
    if (skipped)
        (void)printf("        %zu lines are not about targets and are left out\n", skipped);
    buf_release(&text);
}

/* --- pending events -------------------------------------------------------------------------------------------------- */

struct pending {
    size_t events, batches;
};

static struct pending count_pending(const char *path)
{
    struct pending p = {0};
    DIR *d = opendir(path);
    for (struct dirent *f; d && (f = readdir(d));) {
        struct str name = str_c(f->d_name);
        p.events += str_ends(name, STR(".event"));
        p.batches += str_ends(name, STR(".event.snappy"));
    }
    if (d)
        (void)closedir(d);
    return p;
}

#define TAKE_MS 60000

/* The server removes each file once its event is queued. */
static size_t wait_until_taken(const char *path)
{
    int64_t end_ms = clock_mono_ms() + TAKE_MS;
    size_t left = count_pending(path).events, before;
    do {
        before = left;
        struct timespec t = {.tv_nsec = 100000000};
        (void)nanosleep(&t, NULL);
        left = count_pending(path).events;
    } while (left > 0 && (left < before || clock_mono_ms() < end_ms));
    return left;
}

/* DIR/minio-TYPE-ID */
static void import_folder(struct import *i, const char *dir, const char *folder)
{
    struct arena *a = &i->c->arena;
    struct str rest = str_from(str_c(folder), strlen("minio-")), type;
    const char *path = arena_printf(a, "%s/%s%c", dir, folder, 0).p;
    struct pending p = count_pending(path);
    struct err e;
    if (!str_cut(&rest, '-', &type) || (!p.events && !p.batches))
        return;
    if (p.batches)
        could_not(i, "%s holds %zu batches (*.event.snappy), which cannot be read: let MinIO deliver them",
                  path, p.batches);
    if (!p.events)
        return;
    /* One name of a type is another one in settings. */
    struct str subsys = str_eq(type, STR("postgresql")) ? STR("postgres") : type;
    struct str line =
        arena_printf(a, "notify_%.*s:%.*s queue_dir=\"%s\"", STR_FMT(subsys), STR_FMT(rest), dir);
    if (!set_config(i->c, line, &e)) {
        could_not(i, "%zu events of %.*s:%.*s in %s: %s", p.events, STR_FMT(rest), STR_FMT(type), path,
                  e.text);
        return;
    }
    size_t left = wait_until_taken(path);
    if (left)
        could_not(i,
                  "%zu of %zu events of %.*s:%.*s are still in %s: is it a folder of the server's machine, "
                  "which it may "
                  "write to? Its log says more",
                  left, p.events, STR_FMT(rest), STR_FMT(type), path);
    else
        did(i, "%zu events of %.*s:%.*s are queued", p.events, STR_FMT(rest), STR_FMT(type));
}

static void import_queue_dir(struct import *i, const char *given)
{
    char *dir = realpath(given, NULL);
    struct dirent **found = NULL;
    int n = dir ? scandir(dir, &found, NULL, alphasort) : -1;
    if (n < 0)
        could_not(i, "%s cannot be read: %s", given, strerror(errno));
    for (int k = 0; k < n; k++) {
        if (str_starts(str_c(found[k]->d_name), STR("minio-")))
            import_folder(i, dir, found[k]->d_name);
        free(found[k]);
    }
    free(found);
    free(dir);
}

/* --- rules ------------------------------------------------------------------------------------------------------------ */

static bool put(struct client *c, const char *path, const struct client_param *query, struct str body,
                long also, struct err *e)
{
    struct client_reply reply;
    if (!client_request(c, "PUT", path, query, body, &reply, e))
        return false;
    bool ok = reply.status == 200 || reply.status == also;
    if (!ok)
        client_error(&reply, e);
    buf_release(&reply.body);
    return ok;
}

static void import_rules(struct import *i, const char *dir, const char *file)
{
    struct arena *a = &i->c->arena;
    struct err e;
    struct buf xml = {0};
    struct client_param query[] = {{"notification", ""}, {NULL, NULL}};
    const char *bucket = arena_strz(a, str_head(str_c(file), strlen(file) - strlen(".xml")));
    const char *path = arena_printf(a, "/%s%c", bucket, 0).p;
    if (!read_file(arena_printf(a, "%s/%s%c", dir, file, 0).p, &xml, &e)) {
        could_not(i, "%s", e.text);
        return;
    }
    /* 409: it is there, and ours. */
    if (put(i->c, path, NULL, STR(""), 409, &e) && put(i->c, path, query, buf_view(&xml), 200, &e))
        did(i, "rules of bucket %s", bucket);
    else
        could_not(i, "rules of bucket %s: %s", bucket, e.text);
    buf_release(&xml);
}

static void import_notifications(struct import *i, const char *dir)
{
    struct dirent **found = NULL;
    int n = scandir(dir, &found, NULL, alphasort);
    if (n < 0)
        could_not(i, "%s cannot be read: %s", dir, strerror(errno));
    for (int k = 0; k < n; k++) {
        struct str name = str_c(found[k]->d_name);
        if (name.n > 4 && str_ends(name, STR(".xml")))
            import_rules(i, dir, found[k]->d_name);
        free(found[k]);
    }
    free(found);
}

/* Requests of S3 are signed for the server's own region. */
static bool learn_region(struct client *c, struct err *e)
{
    json_t *info = client_call(c, "GET", "info", NULL, e);
    if (!info)
        return false;
    const char *region = json_text(info, "region");
    if (region[0])
        c->region = arena_dup(&c->arena, str_c(region));
    json_decref(info);
    return true;
}

int command_import(struct client *c)
{
    struct import i = {.c = c};
    const struct client_args *a = &c->args;
    struct err e;
    if (a->n != 1 || strcmp(a->words[0], "minio") != 0 || (!a->config && !a->queue_dir && !a->notifications))
        return client_usage(
            "write 'belfry import minio' with --config, --queue-dir or --notifications; see 'belfry "
            "help import'");
    if (!learn_region(c, &e))
        return client_fail(&e);
    if (a->config)
        import_config(&i, a->config);
    if (a->queue_dir)
        import_queue_dir(&i, a->queue_dir);
    if (a->notifications)
        import_notifications(&i, a->notifications);
    (void)printf("%zu taken over, %zu could not be\n", i.done, i.failed);
    return i.failed ? EXIT_FAILED : EXIT_OK;
}
