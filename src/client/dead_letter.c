/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry dead-letter: list, show, replay, drop. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "client/client_impl.h"

/* --- which --- */

/* An age such as 15m is turned into the time it means. False: neither. */
static bool take_time(struct client *c, const char *flag, char **text)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    int64_t ns;
    uint64_t number;
    if (!*text || clock_parse_iso(str_c(*text), &ns))
        return true;
    size_t n = strlen(*text);
    for (size_t i = 0; n > 1 && i < sizeof units / sizeof units[0]; i++) {
        if ((*text)[n - 1] != units[i].letter || !str_to_u64(str_n(*text, n - 1), &number) ||
            number > 1000000)
            continue;
        char iso[CLOCK_ISO_MS_LEN];
        clock_iso_ms(clock_real_ns() - (int64_t)number * units[i].seconds * 1000000000, iso);
        *text = arena_strz(&c->arena, str_n(iso, sizeof iso));
        return true;
    }
    (void)client_usage("%s %s is no time: write 2026-02-01T10:20:30Z, or an age such as 15m, 2h, 3d", flag,
                       *text);
    return false;
}

/* The targets to look at: the one that is named, or all that have dead letters. */
static size_t targets(struct client *c, const char ***out, struct err *e)
{
    size_t i, n = 0;
    const json_t *o;
    if (c->args.target) {
        *out = ARENA_ARRAY(&c->arena, const char *, 1);
        (*out)[0] = c->args.target;
        return 1;
    }
    e->text[0] = 0;
    json_t *reply = client_call(c, "GET", "targets", NULL, e);
    const json_t *all = json_object_get(reply, "targets");
    *out = ARENA_ARRAY(&c->arena, const char *, json_array_size(all) + 1);
    json_array_foreach(all, i, o) if (json_count(o, "deadLetters") > 0)(*out)[n++] =
        arena_strz(&c->arena, str_c(json_text(o, "target")));
    json_decref(reply);
    return n;
}

struct ask {
    const char *target, *after;
};

static json_t *ask(struct client *c, const char *method, const char *call, const struct ask *q, struct err *e)
{
    const struct client_args *a = &c->args;
    struct client_param query[] = {{"target", q->target}, {"bucket", a->bucket},
                                   {"prefix", a->prefix}, {"since", a->since},
                                   {"until", a->until},   {"reason", a->reason},
                                   {"after", q->after},   {"as-is", a->as_is ? "true" : NULL},
                                   {NULL, NULL}};
    return client_call(c, method, call, query, e);
}

/* --- list --- */

static void list_page(struct client *c, const json_t *reply)
{
    struct table t = {0};
    const json_t *o;
    size_t i;
    const json_t *all = json_object_get(reply, "deadLetters");
    json_array_foreach(all, i, o)
    {
        if (c->args.json) {
            (void)json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
            (void)fputc('\n', stdout);
            continue;
        }
        const char *object =
            arena_printf(&c->arena, "%s/%s%c", json_text(o, "bucket"), json_text(o, "key"), 0).p;
        table_row(&t, 6, json_text(o, "target"), json_text(o, "id"), json_text(o, "time"),
                  json_text(o, "event"), object, json_text(o, "reason"));
    }
    table_print(&t, stdout);
}

static int list(struct client *c)
{
    const char **names;
    struct err e;
    size_t n = targets(c, &names, &e), found = 0;
    if (n == 0 && e.text[0])
        return client_fail(&e);
    for (size_t i = 0; i < n; i++) {
        struct ask q = {.target = names[i], .after = c->args.after};
        while (q.target) {
            json_t *reply = ask(c, "GET", "dead-letters", &q, &e);
            if (!reply)
                return client_fail(&e);
            found += json_array_size(json_object_get(reply, "deadLetters"));
            list_page(c, reply);
            q.after = arena_strz(&c->arena, str_c(json_text(reply, "next")));
            if (!q.after[0])
                q.target = NULL;
            json_decref(reply);
        }
    }
    if (!c->args.json)
        (void)printf("%zu dead letters%s\n", found,
                     found ? "; 'belfry dead-letter show ID:TYPE NUMBER' has more" : "");
    return EXIT_OK;
}

static int show(struct client *c, const char *target, const char *number)
{
    struct err e;
    struct client_param query[] = {{"target", target}, {"id", number}, {NULL, NULL}};
    json_t *reply = client_call(c, "GET", "dead-letter", query, &e);
    if (!reply)
        return client_fail(&e);
    (void)json_dumpf(reply, stdout, (c->args.json ? JSON_COMPACT : JSON_INDENT(2)) | JSON_PRESERVE_ORDER);
    (void)fputc('\n', stdout);
    json_decref(reply);
    return EXIT_OK;
}

/* --- replay, drop --- */

static int take(struct client *c, bool replay)
{
    const struct client_args *a = &c->args;
    const char **names, *call = replay ? "dead-letters-replay" : "dead-letters-drop";
    long long done = 0;
    struct err e;
    if (!a->all && !a->target && !a->bucket && !a->prefix && !a->since && !a->until && !a->reason)
        return client_usage("say which: --target, --bucket, --prefix, --since, --until, --reason, or --all");
    size_t n = targets(c, &names, &e);
    if (n == 0 && e.text[0])
        return client_fail(&e);
    for (size_t i = 0; i < n; i++) {
        struct ask q = {.target = names[i], .after = c->args.after};
        const char *stopped = "";
        while (q.target && !stopped[0]) {
            json_t *reply = ask(c, "POST", call, &q, &e);
            if (!reply)
                return client_fail(&e);
            done += json_count(reply, replay ? "replayed" : "dropped");
            stopped = arena_strz(&c->arena, str_c(json_text(reply, "stopped")));
            q.after = arena_strz(&c->arena, str_c(json_text(reply, "next")));
            if (!q.after[0])
                q.target = NULL;
            json_decref(reply);
        }
        if (stopped[0]) {
            (void)err_set(&e, "%s: stopped after %lld dead letters: %s", names[i], done, stopped);
            return client_fail(&e);
        }
    }
    (void)printf(c->args.json ? "{\"%s\":%lld}\n" : "%s %lld dead letters\n", replay ? "replayed" : "dropped",
                 done);
    return EXIT_OK;
}

int command_dead_letter(struct client *c)
{
    char **w = c->args.words;
    size_t n = c->args.n;
    if (!take_time(c, "--since", &c->args.since) || !take_time(c, "--until", &c->args.until))
        return EXIT_USAGE;
    if (n == 1 && strcmp(w[0], "list") == 0)
        return list(c);
    if (n == 3 && strcmp(w[0], "show") == 0)
        return show(c, w[1], w[2]);
    if (n == 1 && (strcmp(w[0], "replay") == 0 || strcmp(w[0], "drop") == 0))
        return take(c, w[0][0] == 'r');
    return client_usage(
        "write 'belfry dead-letter list', replay or drop with flags, or show ID:TYPE NUMBER; see "
        "'belfry help dead-letter'");
}
