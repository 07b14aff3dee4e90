/* SPDX-License-Identifier: Apache-2.0
 *
 * The program: which command, and what it ends with. */
#include "base/crash.h"
#include "base/log.h"
#include "client/client.h"
#include "cmdline.h"
#include "event/segment.h"
#include "help.h"
#include "restart.h"
#include "server.h"
#include "settings.h"
#include "store/store.h"
#include "unread.h"

static int usage(const char *text, bool json)
{
    if (json)
        log_error("server", "%s", text);
    else
        (void)fprintf(stderr, "belfry: %s\n", text);
    return EXIT_USAGE;
}

static int run_server(const struct cmdline *c, struct arena *a)
{
    struct settings s;
    struct err e;
    log_init(c->json, c->quiet);
    if (!settings_load(a, &s, &e))
        return usage(e.text, c->json);
    if (!crash_init())
        return usage("BELFRY_CRASH_AT names no crash point; 'belfry --crash-points' lists them", c->json);
    unread_warn();
    return server_run(c, &s);
}

static int run_check(const struct cmdline *c)
{
    struct err e = {0};
    log_init(c->json, c->quiet);
    bool opened = false;
    static const struct store_events events = {segments_check, segments_weigh};
    bool ok = c->salvage ? store_salvage(c->dir, c->dry_run, &events, &opened, &e)
                         : store_check_with(c->dir, segments_check, &opened, &e);
    if (ok)
        return EXIT_OK;
    (void)fprintf(stderr, "belfry: %s\n", e.text);
    return opened ? EXIT_FAILED : EXIT_DIRECTORY;
}

static int run_help(const char *topic)
{
    if (help_print(stdout, topic))
        return EXIT_OK;
    (void)fprintf(stderr, "belfry: there is no help on %s; 'belfry help' names the topics\n", topic);
    return EXIT_USAGE;
}

static int print_crash_points(void)
{
    for (int i = 0; i < CRASH_COUNT; i++)
        (void)puts(crash_point_name((enum crash_point)i));
    return EXIT_OK;
}

int main(int argc, char **argv)
{
    struct arena a;
    struct cmdline c;
    struct err e;
    int code = EXIT_OK;
    if (argc > 1 && client_knows(argv[1]))
        return client_main(argc, argv);
    arena_init(&a);
    restart_prepare(argc, argv);
    if (!cmdline_parse(&a, argc, argv, &c, &e)) {
        code = usage(e.text, false);
        arena_release(&a);
        return code;
    }
    switch (c.command) {
    case COMMAND_SERVER:
        code = run_server(&c, &a);
        break;
    case COMMAND_CHECK:
        code = run_check(&c);
        break;
    case COMMAND_HELP:
        code = run_help(c.topic);
        break;
    case COMMAND_VERSION:
        (void)puts("belfry " BELFRY_VERSION);
        break;
    case COMMAND_CRASH_POINTS:
        code = print_crash_points();
        break;
    }
    arena_release(&a);
    return code;
}
