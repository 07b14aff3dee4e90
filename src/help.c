/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry help: pages that are made of the tables of flags, variables and keys. */
#include "help.h"

#include "client/client.h"
#include "cmdline.h"
#include "settings.h"
#include "subsys.h"

static void overview(FILE *f)
{
    (void)fputs("Belfry: an S3-compatible object server that never loses bucket notifications.\n\n"
                "Usage:\n"
                "  belfry server [flags] DIR    serve the objects in DIR (created when it is not there)\n"
                "  belfry check DIR             verify every row and block of a store that is not in use\n",
                f);
    client_overview(f);
    (void)fputs("  belfry help [TOPIC]          this text, or a page on a topic\n"
                "  belfry --version\n\n"
                "Flags of the server:\n",
                f);
    cmdline_print_flags(f);
    (void)fputs("\nTopics:\n  server, check, target, dead-letter, backfill, import, environment, exit-codes, "
                "markdown",
                f);
    for (size_t i = 0; i < subsys_table()->n; i++)
        (void)fprintf(f, "%s%s", i % 6 ? ", " : ",\n  ", subsys_table()->v[i].name);
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
        "belfry check [--salvage [--dry-run]] DIR\n\n"
        "Reads every row and every block of the store in DIR and compares checksums, extents, files and\n"
        "counters. The store must not be in use. Findings go to standard output, one per line.\n\n"
        "  --salvage  for a store whose rows are damaged: opens them up to the damage, says what is "
        "missing,\n"
        "             and writes the rest anew, so that the server starts. Nothing is deleted: the old "
        "rows,\n"
        "             and files that no row names, are in DIR/salvage-TIME. Needs free space for a copy of\n"
        "             DIR/kv. May be interrupted, and run again. 0: nothing is missing; 1: what was named "
        "is.\n"
        "  --dry-run  only says what a salvage would do\n\n",
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
    for (size_t i = 0; i < subsys_table()->n; i++)
        if (subsys_table()->v[i].type)
            (void)fprintf(f, "  see 'belfry help %s'\n", subsys_table()->v[i].name);
}

/* --- sub-systems: for the terminal, and for docs/keys.md --------------------------------------------------------------- */

/* What there is to say of a key in words. */
static struct str key_text(struct arena *a, const struct config_key *k)
{
    struct buf b;
    buf_init(&b, 4096);
    buf_puts(&b, k->help ? k->help : "");
    if (k->note)
        buf_printf(&b, "; here: %s", k->note);
    struct str text = arena_dup(a, buf_view(&b));
    buf_release(&b);
    return text;
}

static const char *key_remark(const struct config_key *k)
{
    if (k->flags & CONFIG_ENV_ONLY)
        return "variable only";
    if (k->flags & CONFIG_REQUIRED)
        return "required";
    return k->flags & CONFIG_OURS ? "ours" : "";
}

static void key_line(FILE *f, const struct config_subsys *s, const struct config_key *k, struct arena *a)
{
    struct str text = key_text(a, k);
    const char *remark = key_remark(k);
    (void)fprintf(f, "  %s%s\n      %s: %.*s", config_env_name(a, s->name, k, CONFIG_DEFAULT_ID),
                  s->type ? "_<ID>" : "", k->name, STR_FMT(text));
    if (k->choices)
        (void)fprintf(f, "; one of %s", k->choices);
    if (*remark)
        (void)fprintf(f, " (%s)", remark);
    if (k->fallback && *k->fallback)
        (void)fprintf(f, " (%s)", k->fallback);
    (void)fputc('\n', f);
}

static void subsys_page(FILE *f, const struct config_subsys *s)
{
    struct arena a;
    const struct config_key **keys;
    arena_init(&a);
    (void)fprintf(f, "%s: %s\n\n", s->name, s->help);
    if (s->type)
        (void)fprintf(
            f,
            "ID names the target and is free to choose; its ARN is arn:minio:sqs:REGION:ID:%s. Without\n"
            "_<ID> the id is '_'. A variable wins over what 'mc admin config set %s:ID key=value' has "
            "stored.\n\n",
            s->type, s->name);
    (void)fputs("Variables (defaults in brackets), with the name of the key:\n", f);
    if (s->type)
        (void)fprintf(f, "  %s_<ID>\n      enable: 'on' makes the target (off)\n",
                      config_env_name(&a, s->name, &config_enable_key, CONFIG_DEFAULT_ID));
    size_t n = config_help_keys(s, true, &a, &keys);
    for (size_t i = 0; i < n; i++)
        key_line(f, s, keys[i], &a);
    arena_release(&a);
}

/* A cell of a table: a bar would end it. */
static void cell(FILE *f, struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        (void)fprintf(f, text.p[i] == '|' ? "\\|" : text.p[i] == '<' ? "&lt;" : "%c", text.p[i]);
}

static void markdown_key(FILE *f, const struct config_subsys *s, const struct config_key *k, struct arena *a)
{
    (void)fprintf(f, "| `%s` | ", k->name);
    cell(f, config_help_type(k, a));
    (void)fputs(" | ", f);
    if (k->fallback && *k->fallback)
        (void)fprintf(f, "`%s`", k->fallback);
    (void)fprintf(f, " | %s | ", key_remark(k));
    cell(f, key_text(a, k));
    if (k->env)
        (void)fprintf(f, "; variable `%s`", config_env_name(a, s->name, k, CONFIG_DEFAULT_ID));
    (void)fputs(" |\n", f);
}

static void markdown_subsys(FILE *f, const struct config_subsys *s)
{
    struct arena a;
    const struct config_key **keys;
    arena_init(&a);
    (void)fprintf(f, "\n## %s\n\n%s.\n", s->name, s->help);
    if (s->type)
        (void)fprintf(f, "\nARN: `arn:minio:sqs:REGION:ID:%s`. Variables: `MINIO_", s->type);
    else
        (void)fputs("\nNo targets. Variables: `MINIO_", f);
    for (const char *p = s->type ? s->name : ""; *p; p++)
        (void)fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, f);
    (void)fprintf(f, "%sKEY%s`.\n\n| key | type | default | | |\n|---|---|---|---|---|\n", s->type ? "_" : "",
                  s->type ? "_ID" : "");
    size_t n = config_help_keys(s, true, &a, &keys);
    for (size_t i = 0; i < n; i++)
        markdown_key(f, s, keys[i], &a);
    arena_release(&a);
}

static void markdown_page(FILE *f)
{
    (void)fputs(
        "# Keys of `mc admin config`\n\n"
        "Made by `scripts/config-docs` from the tables in the sources; do not edit. How settings work is in\n"
        "[config.md](config.md). Every sub-system with targets also has the key `enable` (`on` or `off`). "
        "*Ours*: a\n"
        "key that MinIO does not have. Texts are those that `mc` shows of any server; what is different here "
        "follows\n"
        "after \"here:\".\n",
        f);
    for (size_t i = 0; i < subsys_table()->n; i++)
        markdown_subsys(f, &subsys_table()->v[i]);
}

bool help_print(FILE *f, const char *topic)
{
    static const struct page {
        const char *name;
        void (*print)(FILE *f);
    } pages[] = {
        {"server", server_page},    {"check", check_page}, {"environment", environment_page},
        {"exit-codes", exit_codes}, {"help", overview},    {"markdown", markdown_page},
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
    if (client_help(f, topic))
        return true;
    for (size_t i = 0; i < subsys_table()->n; i++) {
        const struct config_subsys *s = &subsys_table()->v[i];
        if (strcmp(s->name, topic) == 0 || (s->type && strcmp(s->type, topic) == 0) ||
            (s->alias && strcmp(s->alias, topic) == 0)) {
            subsys_page(f, s);
            return true;
        }
    }
    return false;
}
