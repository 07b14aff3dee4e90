/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry target: status, test, pause, resume. */
#include <string.h>

#include "client/client_impl.h"

static int print_json(json_t *o)
{
    (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    (void)fputc('\n', stdout);
    json_decref(o);
    return EXIT_OK;
}

/* --- status --- */

static const char *number_text(struct arena *a, long long n)
{
    return arena_printf(a, "%lld%c", n, 0).p;
}

static void status_row(struct table *t, struct arena *a, const json_t *o)
{
    char oldest[32], since[32];
    const char *rate = arena_printf(a, "%.1f%c", json_number_value(json_object_get(o, "rate")), 0).p;
    const char *error = json_text(o, "reason");
    if (!error[0])
        error = json_text(o, "lastError");
    char when[32];
    const char *ago = age_text(json_text(o, "lastErrorTime"), when);
    if (error[0] && ago[0])
        error = arena_printf(a, "%s (%s ago)%c", error, ago, 0).p;
    table_row(t, 9, json_text(o, "target"), json_text(o, "status"), age_text(json_text(o, "since"), since),
              number_text(a, json_count(o, "queued")), age_text(json_text(o, "oldestEvent"), oldest), rate,
              number_text(a, json_count(o, "deadLetters")),
              number_text(a, json_count(o, "lost") + json_count(o, "dropped")), error);
}

static int status(struct client *c)
{
    struct err e;
    struct table t = {0};
    const json_t *o;
    size_t i;
    json_t *reply = client_call(c, "GET", "targets", NULL, &e);
    if (!reply)
        return client_fail(&e);
    if (c->args.json)
        return print_json(reply);
    const json_t *all = json_object_get(reply, "targets");
    table_row(&t, 9, "TARGET", "STATUS", "SINCE", "QUEUED", "OLDEST", "EVENTS/S", "DEAD", "LOST",
              "LAST ERROR");
    json_array_foreach(all, i, o) status_row(&t, &c->arena, o);
    if (json_array_size(all) == 0)
        (void)puts(
            "there is no target: 'mc admin config set' or MINIO_NOTIFY_* makes one; see docs/config.md");
    else
        table_print(&t, stdout);
    json_decref(reply);
    return EXIT_OK;
}

/* --- one target --- */

static int test(struct client *c, const char *target)
{
    struct err e;
    struct client_param query[] = {{"target", target}, {NULL, NULL}};
    json_t *reply = client_call(c, "POST", "target-test", query, &e);
    if (!reply)
        return client_fail(&e);
    bool ok = json_is_true(json_object_get(reply, "ok"));
    if (c->args.json) {
        (void)print_json(reply);
        return ok ? EXIT_OK : EXIT_FAILED;
    }
    const char *reason = json_text(reply, "reason");
    if (ok)
        (void)printf("%s took an s3:TestEvent, and confirmed it after %lld ms\n", target,
                     json_count(reply, "milliseconds"));
    else if (json_is_true(json_object_get(reply, "settingsRefused")))
        (void)printf("%s: its settings are wrong, nothing was sent: %s\n", target, reason);
    else
        (void)printf("%s did not take an s3:TestEvent: %s\n", target, reason);
    json_decref(reply);
    return ok ? EXIT_OK : EXIT_FAILED;
}

static int set_paused(struct client *c, const char *target, bool paused)
{
    struct err e;
    struct client_param query[] = {{"target", target}, {NULL, NULL}};
    json_t *reply = client_call(c, "POST", paused ? "target-pause" : "target-resume", query, &e);
    if (!reply)
        return client_fail(&e);
    if (c->args.json)
        return print_json(reply);
    (void)printf(paused ? "%s is paused: events are queued until 'belfry target resume %s'\n"
                        : "%s goes on\n",
                 target, target);
    json_decref(reply);
    return EXIT_OK;
}

int command_target(struct client *c)
{
    char **w = c->args.words;
    size_t n = c->args.n;
    if (n == 1 && strcmp(w[0], "status") == 0)
        return status(c);
    if (n == 2 && strcmp(w[0], "test") == 0)
        return test(c, w[1]);
    if (n == 2 && (strcmp(w[0], "pause") == 0 || strcmp(w[0], "resume") == 0))
        return set_paused(c, w[1], w[0][0] == 'p');
    return client_usage(
        "write 'belfry target status', or test, pause or resume with one ID:TYPE; see 'belfry "
        "help target'");
}
