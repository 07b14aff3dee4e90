/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry help: pages that are made of the tables of flags, variables and keys. */
#include "help.h"

#include "cmdline.h"
#include "config/config.h"
#include "settings.h"
#include "target/target.h"

static void overview(FILE *f)
{
    (void)fputs("Belfry: an S3-compatible object server that never loses bucket notifications.\n\n"
                "Usage:\n"
                "  belfry server [flags] DIR    serve the objects in DIR (created when it is not there)\n"
                "  belfry check DIR             verify every row and block of a store that is not in use\n"
                "  belfry help [TOPIC]          this text, or a page on a topic\n"
                "  belfry --version\n\n"
                "Flags of the server:\n",
                f);
    cmdline_print_flags(f);
    (void)fputs("\nTopics:\n  server, check, environment, exit-codes", f);
    for (const struct target_type *const *t = target_types; *t; t++)
        (void)fprintf(f, ", %s, %s", (*t)->subsys, (*t)->name);
    (void)fputc('\n', f);
}

static void exit_codes(FILE *f)
{
    (void)fputs(
        "Exit codes:\n"
        "  0  done; for the server: ended by SIGTERM or SIGINT, everything written\n"
        "  1  failed otherwise; for check: the store is damaged\n"
        "  2  a flag, an argument or a variable must be written differently\n"
        "  3  cannot listen: the port is taken, the address is not of this machine, a bad certificate\n"
        "  4  the directory: not writable, in use by another server, of another format, damaged;\n"
        "     for check: it could not be looked at\n",
        f);
}

static void server_page(FILE *f)
{
    (void)fputs(
        "belfry server [flags] DIR\n\n"
        "Serves the S3 interface on the objects in DIR. Flags may stand before or after DIR; where the\n"
        "command line has none, those in MINIO_OPTS and the directory in MINIO_VOLUMES are taken.\n\n",
        f);
    cmdline_print_flags(f);
    (void)fputs("\nWithout MINIO_ROOT_USER and MINIO_ROOT_PASSWORD the keys are " DEFAULT_CREDENTIAL
                "/" DEFAULT_CREDENTIAL
                ",\nand without --address the server then listens on loopback only.\n\n"
                "Signals: SIGTERM and SIGINT end the server after the requests at hand, within 10 s;\n"
                "SIGHUP loads the certificates again.\n\n"
                "Health: GET /minio/health/live, ready, cluster, cluster/read answer 200 or 503.\n\n",
                f);
    exit_codes(f);
}

static void check_page(FILE *f)
{
    (void)fputs(
        "belfry check DIR\n\n"
        "Reads every row and every block of the store in DIR and compares checksums, extents, files and\n"
        "counters. The store must not be in use. Findings go to standard output, one per line.\n\n",
        f);
    exit_codes(f);
}

static void environment_page(FILE *f)
{
    (void)fputs(
        "Every MINIO_ variable may also be written BELFRY_, which wins. An empty one counts as not set.\n\n"
        "The server (defaults in brackets):\n",
        f);
    settings_print_help(f);
    (void)fputs("  MINIO_OPTS, MINIO_ADDRESS, MINIO_CONSOLE_ADDRESS\n"
                "      flags, where the command line has none\n"
                "  MINIO_VOLUMES\n"
                "      the directory, where the command line has none\n\n"
                "Targets of events:\n",
                f);
    for (const struct target_type *const *t = target_types; *t; t++)
        (void)fprintf(f, "  see 'belfry help %s'\n", (*t)->subsys);
}

/* A variable as it is written for a named target: with its id behind it. */
static void key_line(FILE *f, const char *name, const char *fallback, const char *help, bool required)
{
    (void)fprintf(f, "  %s_<ID>\n      %s", name, help ? help : "");
    if (required)
        (void)fputs(" (must be set)", f);
    else if (fallback && *fallback)
        (void)fprintf(f, " (%s)", fallback);
    (void)fputc('\n', f);
}

static void target_page(FILE *f, const struct target_type *t)
{
    struct arena a;
    arena_init(&a);
    struct config_key enable = {.name = "enable"};
    (void)fprintf(
        f,
        "%s: events go to a receiver of the kind '%s'. ID names the receiver and is free to choose;\n"
        "its ARN is arn:minio:sqs:REGION:ID:%s. Without _<ID> the id is '_'.\n\n"
        "Variables (defaults in brackets), with the name of the key:\n",
        t->subsys, t->name, t->name);
    key_line(f, config_env_name(&a, t->subsys, &enable, STR("_")), "off", "enable: 'on' makes the target",
             false);
    for (const struct config_key *k = t->keys; k->name; k++) {
        struct str help = arena_printf(&a, "%s: %s%s%s%c", k->name, k->help ? k->help : "",
                                       k->choices ? "; one of " : "", k->choices ? k->choices : "", 0);
        key_line(f, config_env_name(&a, t->subsys, k, STR("_")), k->fallback, help.p,
                 (k->flags & CONFIG_REQUIRED) != 0);
    }
    arena_release(&a);
}

bool help_print(FILE *f, const char *topic)
{
    static const struct page {
        const char *name;
        void (*print)(FILE *f);
    } pages[] = {
        {"server", server_page},    {"check", check_page}, {"environment", environment_page},
        {"exit-codes", exit_codes}, {"help", overview},
    };
    if (!topic) {
        overview(f);
        return true;
    }
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (strcmp(pages[i].name, topic) == 0) {
            pages[i].print(f);
            return true;
        }
    for (const struct target_type *const *t = target_types; *t; t++)
        if (strcmp((*t)->subsys, topic) == 0 || strcmp((*t)->name, topic) == 0) {
            target_page(f, *t);
            return true;
        }
    return false;
}
